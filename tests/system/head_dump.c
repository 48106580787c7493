/*
 * head_dump HEAD...: what heads say, as JSON lines: one of "item" for each head, then one of "flow" for each of its rows, then one of
 * "exchange" (the flow's id) for each of its exchanges, with every column that the row has, under its own name.
 */
#include "common/base/fs.h"
#include "common/chunk/head.h"
#include "common/packet/community_id.h"
#include "common/rows/block.h"
#include "common/rows/flow_row.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(const char *text, size_t len)
{
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_string(const char *name, const char *text)
{
    printf("\"%s\":", name);
    put_text(text ? text : "", text ? strlen(text) : 0);
}

static void put_counters(const struct counters *c)
{
    putchar('{');
    for (int i = 0; i < COUNTER_COUNT; i++)
        printf("%s\"%s\":%" PRIu64, i ? "," : "", counter_table[i].name, c->value[i]);
    putchar('}');
}

static void put_item(const struct chunk_head *h)
{
    printf("{\"item\":%" PRIu64 ",\"last_seq\":%" PRIu64 ",\"kind\":%u,\"seal\":%u,\"gap\":%u,\"body\":%u,\"epoch\":\"",
           h->seq, h->last_seq, h->kind, h->seal, h->gap, h->body);
    for (int i = 0; i < EPOCH_SIZE; i++)
        printf("%02x", h->epoch[i]);
    printf("\",");
    put_string("agent", h->agent);
    putchar(',');
    put_string("capture", h->capture);
    putchar(',');
    put_string("filter", h->filter);
    printf(",\"snaplen\":%u,\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"rows\":%u,\"flow_bytes\":%" PRIu64
           ",\"exchange_bytes\":%" PRIu64 ",\"body_length\":%" PRIu64 ",\"totals\":",
           h->snaplen, h->first_ns, h->last_ns, h->flow_rows, h->flows_length, h->exchanges_length, h->body_length);
    put_counters(&h->totals);
    printf(",\"interfaces\":[");
    for (uint32_t i = 0; i < h->interface_count; i++) {
        printf("%s{", i ? "," : "");
        put_string("name", h->interfaces[i].name);
        printf(",\"link_type\":%u,\"snaplen\":%u,\"counters\":", h->interfaces[i].link_type, h->interfaces[i].snaplen);
        put_counters(&h->interfaces[i].counters);
        putchar('}');
    }
    printf("],\"frames\":[");
    for (uint32_t i = 0; i < h->frame_count; i++)
        printf("%s{\"interface\":%u,\"packets\":%u,\"offset\":%" PRIu64 ",\"length\":%u,\"raw_length\":%u}",
               i ? "," : "", h->frames[i].interface, h->frames[i].packets, h->frames[i].offset, h->frames[i].length,
               h->frames[i].raw_length);
    printf("]}\n");
}

static void put_column(const struct column *c, const void *row, uint8_t family)
{
    const uint8_t *at = (const uint8_t *)row + c->offset;
    uint64_t value;
    char buf[64];
    printf(",\"%s\":", c->name);
    switch (c->type) {
    case COLUMN_UINT:
        (void)column_uint(c, row, &value);
        if (c->value_name && c->value_name(value))
            printf("\"%s\"", c->value_name(value));
        else
            printf("%" PRIu64, value);
        break;
    case COLUMN_ADDRESS:
        printf("\"%s\"", packet_addr_text(family, at, buf, sizeof buf));
        break;
    case COLUMN_TEXT:
        put_text(((const struct text *)at)->data, ((const struct text *)at)->len);
        break;
    case COLUMN_LIST:
        putchar('[');
        for (uint32_t i = 0; i < ((const struct list *)at)->count; i++)
            printf("%s%u", i ? "," : "", ((const struct list *)at)->items[i]);
        putchar(']');
        break;
    }
}

static void put_row(const struct chunk_head *h, const struct flow_row *row)
{
    char id[COMMUNITY_ID_SIZE];
    printf("{\"flow\":\"%016" PRIx64 "\",\"seq\":%" PRIu64, row->flow_id, h->seq);
    if (community_id(&row->key, 0, id))
        printf(",\"community_id\":\"%s\"", id);
    for (unsigned i = 0; i < table_flow.count; i++)
        if (table_flow.columns[i].id != FLOW_ID && column_has(&row->has, table_flow.columns[i].id))
            put_column(&table_flow.columns[i], row, row->key.family);
    printf("}\n");
}

/* Those that have ended: each once. */
static void put_exchange(const struct chunk_head *h, const struct exchange_row *row)
{
    if (row->outcome == EXCHANGE_RUNNING)
        return;
    printf("{\"exchange\":\"%016" PRIx64 "\",\"seq\":%" PRIu64, row->flow_id, h->seq);
    for (unsigned i = 0; i < table_exchange.count; i++)
        if (table_exchange.columns[i].id != EXCHANGE_FLOW_ID && column_has(&row->has, table_exchange.columns[i].id))
            put_column(&table_exchange.columns[i], row, 0);
    printf("}\n");
}

static int put_exchanges(const struct chunk_head *h, struct error *e)
{
    struct block *b = NULL;
    void *rows = NULL;
    int code = block_open(&table_exchange, h->exchanges, h->exchanges_length, &b, e);
    if (!code)
        code = block_read(b, &rows, e);
    for (uint32_t i = 0; !code && i < block_rows(b); i++)
        put_exchange(h, (const struct exchange_row *)rows + i);
    free(rows);
    block_close(b);
    return code;
}

static int put_rows(const struct chunk_head *h, struct error *e)
{
    struct block *b = NULL;
    void *rows = NULL;
    int code = block_open(&table_flow, h->flows, h->flows_length, &b, e);
    if (!code)
        code = block_read(b, &rows, e);
    for (uint32_t i = 0; !code && i < block_rows(b); i++)
        put_row(h, (const struct flow_row *)rows + i);
    free(rows);
    block_close(b);
    return code;
}

static int dump(const char *path, struct error *e)
{
    char *data;
    size_t len;
    struct chunk_head h;
    int code = fs_read_file(AT_FDCWD, path, HEAD_BYTES_MAX, &data, &len, e);
    if (code)
        return code;
    code = head_decode(data, len, &h, e);
    if (!code) {
        put_item(&h);
        if (h.flows)
            code = put_rows(&h, e);
        if (!code && h.exchanges)
            code = put_exchanges(&h, e);
        head_free(&h);
    }
    free(data);
    return code;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct error e = ERROR_INIT;
        if (dump(argv[i], &e)) {
            fprintf(stderr, "head_dump: %s: %s\n", argv[i], e.text);
            return 1;
        }
    }
    return 0;
}
