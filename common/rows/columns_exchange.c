/*
 * The columns of the table exchange: one row per request and its reply, in the chunk in which it ended; and one, with the outcome running, in each
 * chunk before in which its flow has a row. Of these the latest counts: merge rules are those of groups in answers.
 */
#include "common/rows/column_names.h"
#include "common/rows/flow_row.h"

const char *exchange_outcome_name(uint64_t value)
{
    static const char *const names[] = {[EXCHANGE_COMPLETE] = "complete", [EXCHANGE_UNANSWERED] = "unanswered",
                                        [EXCHANGE_CUT] = "cut",           [EXCHANGE_UNSEEN] = "unseen",
                                        [EXCHANGE_OPEN] = "open",         [EXCHANGE_LATE] = "late",
                                        [EXCHANGE_RUNNING] = "running"};
    return value < sizeof names / sizeof *names ? names[value] : NULL;
}

#define AT(member) .size = sizeof(((struct exchange_row *)0)->member), .offset = offsetof(struct exchange_row, member)

static const struct column columns[] = {
    {EXCHANGE_FLOW_ID, "flow_id", COLUMN_UINT, AT(flow_id), UNIT_NONE, MERGE_KEY, CODEC_MIXED,
     .help = "id of the flow that it belongs to"},
    {EXCHANGE_TIME, "time", COLUMN_UINT, AT(time_ns), UNIT_TIME_NS, MERGE_NONE, CODEC_DELTA,
     .help = "the request's first byte; without a request, the reply's"},
    {EXCHANGE_WAIT, "wait", COLUMN_UINT, AT(wait_ns), UNIT_NS, MERGE_NONE, CODEC_AUTO,
     .help = "from the request's last byte to the reply's first"},
    {EXCHANGE_DURATION, "duration", COLUMN_UINT, AT(duration_ns), UNIT_NS, MERGE_NONE, CODEC_AUTO,
     .above = EXCHANGE_WAIT, .help = "from the request's first byte to the reply's last that came"},
    {EXCHANGE_REQUEST_BYTES, "request_bytes", COLUMN_UINT, AT(request_bytes), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "payload of the request, with its head; of TLS what the client said until it encrypted"},
    {EXCHANGE_REPLY_BYTES, "reply_bytes", COLUMN_UINT, AT(reply_bytes), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "payload of the reply, with its head; of TLS what the server said until it encrypted"},
    {EXCHANGE_METHOD, "method", COLUMN_TEXT, AT(method), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "HTTP method"},
    {EXCHANGE_HTTP_HOST, "http_host", COLUMN_TEXT, AT(http_host), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "host that the HTTP request named"},
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
     .value_name = dns_type_name, .help = "type asked for"},
    {EXCHANGE_DNS_RCODE, "dns_rcode", COLUMN_UINT, AT(dns_rcode), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .value_name = dns_rcode_name, .help = "response code"},
    {EXCHANGE_APP, "app", COLUMN_TEXT, AT(app), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "application protocol: http, dns, tls"},
    {EXCHANGE_ORDINAL, "ordinal", COLUMN_UINT, AT(ordinal), UNIT_NONE, MERGE_NONE, CODEC_DELTA,
     .help = "number of the exchange in its flow, from 1"},
    {EXCHANGE_SEND, "send", COLUMN_UINT, AT(send_ns), UNIT_NS, MERGE_NONE, CODEC_AUTO,
     .help = "from the request's first byte to its last"},
    {EXCHANGE_REQUEST_BODY, "request_body", COLUMN_UINT, AT(request_body), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "body of the HTTP request as sent, without chunk sizes"},
    {EXCHANGE_REPLY_BODY, "reply_body", COLUMN_UINT, AT(reply_body), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .below = EXCHANGE_REPLY_BYTES, .help = "body of the HTTP reply as sent, without chunk sizes"},
    {EXCHANGE_OUTCOME, "outcome", COLUMN_UINT, AT(outcome), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .value_name = exchange_outcome_name,
     .help = "how it ended: complete, unanswered, cut, unseen; open: not followed to its end, as the capture ended or "
             "memory was short; running: it had not ended "
             "in what is here; late: a reply to a request that was unanswered for so long that it is listed as that, "
             "or as unseen"},
    {EXCHANGE_VERSION, "version", COLUMN_TEXT, AT(version), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "version of the protocol that was used: HTTP/1.1, TLS 1.3"},
    {EXCHANGE_SNI, "sni", COLUMN_TEXT, AT(sni), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "server name in the TLS client hello"},
    {EXCHANGE_ALPN, "alpn", COLUMN_TEXT, AT(alpn), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "protocol chosen within TLS; where the answer is encrypted (TLS 1.3, QUIC) or was not seen, the first one "
             "that the "
             "client offered, which need not be the one chosen"},
    {EXCHANGE_JA4, "ja4", COLUMN_TEXT, AT(ja4), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .help = "JA4 fingerprint of the TLS client hello"},
    {EXCHANGE_TLS_CIPHER, "tls_cipher", COLUMN_UINT, AT(tls_cipher), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .value_name = tls_cipher_name, .help = "TLS cipher suite that the server chose"},
    {EXCHANGE_TLS_ALERT, "tls_alert", COLUMN_UINT, AT(tls_alert), UNIT_NONE, MERGE_NONE, CODEC_DICTIONARY,
     .value_name = tls_alert_name, .help = "TLS alert that ended or followed the handshake"},

    /* Only in answers, never in a chunk */
    {EXCHANGE_EXCHANGES, "exchanges", COLUMN_UINT, AT(exchanges), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "of groups: how many exchanges"},
    {EXCHANGE_ERRORS, "errors", COLUMN_UINT, AT(errors), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help =
         "of groups: HTTP statuses from 400 on, DNS response codes but NOERROR, TLS handshakes that an alert ended"},
    {EXCHANGE_NO_REPLY, "unanswered", COLUMN_UINT, AT(unanswered), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "of groups: exchanges that got no reply"},
    {EXCHANGE_WAIT_MAX, "wait_max", COLUMN_UINT, AT(wait_max), UNIT_NS, MERGE_MAX, CODEC_AUTO,
     .help = "of groups: longest wait from a request's last byte to its reply's first"},
    {EXCHANGE_WAIT_P95, "wait_p95", COLUMN_UINT, AT(wait_p95), UNIT_NS, MERGE_NONE, CODEC_AUTO,
     .help = "of groups: the shortest wait that 95% of those with a reply do not pass"},
};

const struct table table_exchange = {
    .name = "exchange",
    .id = 2,
    .columns = columns,
    .count = sizeof(columns) / sizeof(*columns),
    .row_size = sizeof(struct exchange_row),
};
