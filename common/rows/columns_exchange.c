/*
 * The columns of the table exchange: one row per request and its reply. Nothing of it is ever summed.
 */
#include "common/rows/flow_row.h"

#define AT(member) .size = sizeof(((struct exchange_row *)0)->member), .offset = offsetof(struct exchange_row, member)

static const struct column columns[] = {
    {EXCHANGE_FLOW_ID, "flow_id", COLUMN_UINT, AT(flow_id), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "id of the flow that it belongs to"},
    {EXCHANGE_TIME, "time", COLUMN_UINT, AT(time_ns), UNIT_TIME_NS, MERGE_NONE, CODEC_DELTA,
     .help = "the request's first byte"},
    {EXCHANGE_WAIT, "wait", COLUMN_UINT, AT(wait_ns), UNIT_NS, MERGE_NONE, CODEC_AUTO,
     .help = "from the request's last byte to the reply's first"},
    {EXCHANGE_DURATION, "duration", COLUMN_UINT, AT(duration_ns), UNIT_NS, MERGE_NONE, CODEC_AUTO,
     .help = "from the request's first byte to the reply's last"},
    {EXCHANGE_REQUEST_BYTES, "request_bytes", COLUMN_UINT, AT(request_bytes), UNIT_BYTES, MERGE_NONE, CODEC_AUTO,
     .help = "payload of the request"},
    {EXCHANGE_REPLY_BYTES, "reply_bytes", COLUMN_UINT, AT(reply_bytes), UNIT_BYTES, MERGE_NONE, CODEC_AUTO,
     .help = "payload of the reply"},
    {EXCHANGE_METHOD, "method", COLUMN_TEXT, AT(method), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "HTTP method"},
    {EXCHANGE_HOST, "host", COLUMN_TEXT, AT(host), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY, .help = "HTTP host"},
    {EXCHANGE_PATH, "path", COLUMN_TEXT, AT(path), UNIT_NONE, MERGE_NONE, CODEC_AUTO,
     .help = "HTTP path, without the query"},
    {EXCHANGE_CONTENT_TYPE, "content_type", COLUMN_TEXT, AT(content_type), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "HTTP content type of the reply"},
    {EXCHANGE_STATUS, "status", COLUMN_UINT, AT(status), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "HTTP status"},
    {EXCHANGE_DNS_NAME, "dns_name", COLUMN_TEXT, AT(dns_name), UNIT_NONE, MERGE_NONE, CODEC_AUTO,
     .help = "name asked for"},
    {EXCHANGE_DNS_ANSWERS, "dns_answers", COLUMN_TEXT, AT(dns_answers), UNIT_NONE, MERGE_NONE, CODEC_AUTO,
     .help = "addresses and names in the answer"},
    {EXCHANGE_DNS_TYPE, "dns_type", COLUMN_UINT, AT(dns_type), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "type asked for"},
    {EXCHANGE_DNS_RCODE, "dns_rcode", COLUMN_UINT, AT(dns_rcode), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "response code"},
};

const struct table table_exchange = {
    .name = "exchange",
    .id = 2,
    .columns = columns,
    .count = sizeof(columns) / sizeof(*columns),
    .row_size = sizeof(struct exchange_row),
};
