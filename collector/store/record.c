#include "collector/store/record.h"

#include "collector/store/schema.h"
#include "common/base/bytes.h"
#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/flow_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void record_write_counters(struct buffer *out, const struct counters *c)
{
    unsigned count = COUNTER_COUNT;
    while (count && c->value[count - 1] == 0)
        count--;
    for (unsigned i = 0; i < count; i++)
        buffer_varint(out, c->value[i]);
}

void record_read_counters(const void *data, size_t len, struct counters *c)
{
    struct bytes b = bytes_of(data, len);
    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < COUNTER_COUNT && bytes_left(&b); i++)
        c->value[i] = bytes_varint(&b);
}

static void read_counters(const struct sql *q, int column, struct counters *c)
{
    size_t len = 0;
    const void *data = sql_get_blob(q, column, &len);
    record_read_counters(data, len, c);
}

void portion_read(const struct sql *q, struct portion *p)
{
    int at = 0;
    *p = (struct portion){.id = sql_get_u64(q, at++)};
    sql_get_bytes(q, at++, p->epoch, EPOCH_SIZE);
    p->agent = sql_get_text(q, at++);
    p->capture = sql_get_text(q, at++);
    p->software = sql_get_text(q, at++);
    p->filter = sql_get_text(q, at++);
    p->snaplen = (uint32_t)sql_get_u64(q, at++);
    sql_get_bytes(q, at++, p->install, sizeof(p->install));
    p->head_next = sql_get_u64(q, at++);
    p->ended = sql_get_u64(q, at++) != 0;
    p->restored = sql_get_u64(q, at++) != 0;
    uint64_t *numbers[] = {&p->first_seq,       &p->first_ns,   &p->last_ns,    &p->first_arrived_ns,
                           &p->last_arrived_ns, &p->chunks,     &p->rows,       &p->packets,
                           &p->bytes,           &p->head_bytes, &p->body_bytes, &p->bodies,
                           &p->gap_packets};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        *numbers[i] = sql_get_u64(q, at++);
    read_counters(q, at, &p->totals);
}

void portion_bind(struct sql *q, const struct portion *p, struct buffer *scratch)
{
    sql_blob(q, p->epoch, EPOCH_SIZE);
    sql_text(q, p->agent);
    sql_text(q, p->capture);
    sql_text(q, p->software);
    sql_text(q, p->filter);
    sql_u64(q, p->snaplen);
    sql_blob(q, p->install, sizeof(p->install));
    const uint64_t numbers[] = {p->head_next,  p->ended,      p->restored,         p->first_seq,
                                p->first_ns,   p->last_ns,    p->first_arrived_ns, p->last_arrived_ns,
                                p->chunks,     p->rows,       p->packets,          p->bytes,
                                p->head_bytes, p->body_bytes, p->bodies,           p->gap_packets};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        sql_u64(q, numbers[i]);
    buffer_clear(scratch);
    record_write_counters(scratch, &p->totals);
    sql_blob(q, scratch->data, scratch->len);
}

int portion_keep(struct portion *p, struct error *e)
{
    const char **texts[] = {&p->agent, &p->capture, &p->software, &p->filter};
    size_t size = 0;
    for (size_t i = 0; i < 4; i++)
        size += strlen(*texts[i]) + 1;
    char *memory = malloc(size);
    if (!memory)
        return error_set(e, ERROR_MEMORY, "no memory for a stream");
    char *at = memory;
    for (size_t i = 0; i < 4; i++) {
        const char *from = *texts[i];
        *texts[i] = at;
        at = stpcpy(at, from) + 1;
    }
    p->memory = memory;
    return 0;
}

void portion_free(struct portion *p)
{
    if (p)
        free(p->memory);
    free(p);
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

struct portion *portion_new(const struct chunk_head *h, const uint8_t *install)
{
    struct portion *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    memcpy(p->epoch, h->epoch, EPOCH_SIZE);
    p->agent = text_or_empty(h->agent);
    p->capture = text_or_empty(h->capture);
    p->software = text_or_empty(h->software);
    p->filter = text_or_empty(h->filter);
    p->snaplen = h->snaplen;
    if (install)
        memcpy(p->install, install, sizeof(p->install));
    p->first_seq = h->seq;
    p->first_ns = INT64_MAX;
    p->first_arrived_ns = INT64_MAX;
    if (portion_keep(p, NULL)) {
        free(p);
        return NULL;
    }
    return p;
}

static void least(uint64_t *a, uint64_t b)
{
    *a = b < *a ? b : *a;
}

static void greatest(uint64_t *a, uint64_t b)
{
    *a = b > *a ? b : *a;
}

void portion_add_head(struct portion *p, const struct chunk_head *h, uint64_t length, uint64_t arrived_ns)
{
    p->changed = true;
    p->head_next = h->last_seq + 1;
    p->head_bytes += length;
    least(&p->first_arrived_ns, arrived_ns);
    greatest(&p->last_arrived_ns, arrived_ns);
    if (h->first_ns <= h->last_ns) {
        least(&p->first_ns, h->first_ns);
        greatest(&p->last_ns, h->last_ns);
    }
    if (h->kind == HEAD_END) {
        p->ended = true;
        return;
    }
    counters_add(&p->totals, &h->totals);
    if (h->kind == HEAD_GAP) {
        p->gap_packets += h->totals.value[COUNTER_KEPT];
        return;
    }
    p->chunks++;
    p->rows += h->flow_rows;
    p->packets += h->totals.value[COUNTER_KEPT];
    p->bytes += h->totals.value[COUNTER_KEPT_BYTES];
}

void head_row_read(const struct sql *q, struct head_row *row)
{
    int at = 0;
    *row = (struct head_row){.id = sql_get_u64(q, at++)};
    row->stream = sql_get_u64(q, at++);
    row->seq = sql_get_u64(q, at++);
    row->last_seq = sql_get_u64(q, at++);
    row->kind = (uint8_t)sql_get_u64(q, at++);
    row->seal = (uint8_t)sql_get_u64(q, at++);
    row->gap = (uint8_t)sql_get_u64(q, at++);
    row->body = (uint8_t)sql_get_u64(q, at++);
    uint64_t *numbers[] = {&row->arrived_ns, &row->first_ns, &row->last_ns, &row->since_ns, &row->until_ns,
                           &row->open_ns,    &row->seal_ns,  &row->rows,    &row->length};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        *numbers[i] = sql_get_u64(q, at++);
    row->hash = sql_get_bits(q, at++);
    row->body_length = sql_get_u64(q, at++);
    row->body_hash = sql_get_bits(q, at++);
    read_counters(q, at++, &row->totals);
    row->placed = !sql_get_null(q, at);
    row->pack = sql_get_u64(q, at++);
    row->offset = sql_get_u64(q, at++);
}

void head_row_bind(struct sql *q, const struct head_row *row, struct buffer *scratch)
{
    const uint64_t numbers[] = {row->stream,   row->seq,     row->last_seq, row->kind,
                                row->seal,     row->gap,     row->body,     row->arrived_ns,
                                row->first_ns, row->last_ns, row->since_ns, row->until_ns,
                                row->open_ns,  row->seal_ns, row->rows,     row->length};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        sql_u64(q, numbers[i]);
    sql_bits(q, row->hash);
    sql_u64(q, row->body_length);
    sql_bits(q, row->body_hash);
    buffer_clear(scratch);
    record_write_counters(scratch, &row->totals);
    sql_blob(q, scratch->data, scratch->len);
}

bool head_wants_body(const struct chunk_head *h)
{
    return h->kind == HEAD_CHUNK && h->body == BODY_ON_AGENT;
}

/* The first request of the exchanges that ended in the chunk. What cannot be read was refused before, or is found by a
 * check. */
static uint64_t first_request(const struct chunk_head *h)
{
    struct block *b = NULL;
    uint64_t first_ns = UINT64_MAX;
    if (!h->exchanges || block_open(&table_exchange, h->exchanges, h->exchanges_length, &b, NULL))
        return first_ns;
    uint32_t count = block_rows(b);
    uint64_t *times = calloc(count + 1u, sizeof(*times));
    uint8_t *present = calloc(count / 8 + 1u, 1);
    if (times && present && block_read_numbers(b, EXCHANGE_TIME, times, present, NULL) == 0)
        for (uint32_t i = 0; i < count; i++)
            if (present[i / 8] >> i % 8 & 1)
                least(&first_ns, times[i]);
    free(present);
    free(times);
    block_close(b);
    return first_ns;
}

void head_row_of(const struct chunk_head *h, const void *data, size_t len, uint64_t arrived_ns, struct head_row *row)
{
    *row = (struct head_row){
        .seq = h->seq,
        .last_seq = h->last_seq,
        .kind = h->kind,
        .seal = h->seal,
        .gap = h->gap,
        .body = head_wants_body(h) ? BODY_ON_AGENT : BODY_NEVER,
        .arrived_ns = arrived_ns,
        .first_ns = h->first_ns,
        .last_ns = h->last_ns,
        .since_ns = h->first_ns,
        .until_ns = h->last_ns,
        .open_ns = h->open_wall_ns,
        .seal_ns = h->seal_wall_ns,
        .rows = h->flow_rows,
        .length = len,
        .hash = hash64(data, len),
        .body_length = h->body_length,
        .body_hash = h->body_hash,
        .totals = h->totals,
        .request_ns = first_request(h),
    };
    least(&row->since_ns, row->request_ns);
}

void head_row_widen(struct head_row *row, uint64_t first_ns, uint64_t last_ns)
{
    if (row->first_ns <= row->last_ns)
        return;
    row->since_ns = row->open_ns < row->seal_ns ? row->open_ns : row->seal_ns;
    row->until_ns = row->open_ns < row->seal_ns ? row->seal_ns : row->open_ns;
    if (first_ns <= last_ns) {
        least(&row->since_ns, first_ns);
        greatest(&row->until_ns, last_ns);
    }
    least(&row->since_ns, row->request_ns);
}

void partition_sums_clear(struct partition_sums *s)
{
    *s = (struct partition_sums){.since_ns = INT64_MAX};
}

void partition_sums_add(struct partition_sums *s, const struct head_row *row)
{
    s->heads++;
    s->chunks += row->kind == HEAD_CHUNK;
    s->rows += row->rows;
    if (row->kind == HEAD_CHUNK)
        s->packets += row->totals.value[COUNTER_KEPT];
    s->head_bytes += row->length;
    least(&s->since_ns, row->since_ns);
    greatest(&s->until_ns, row->until_ns);
    greatest(&s->last_arrived_ns, row->arrived_ns);
}

char *record_epoch_text(const uint8_t epoch[EPOCH_SIZE], char *buf)
{
    for (size_t i = 0; i < EPOCH_SIZE; i++)
        snprintf(buf + 2 * i, 3, "%02x", epoch[i]);
    return buf;
}
