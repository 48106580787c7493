#include "tests/unit/exchange_support.h"
#include "common/rows/field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void exchange_put(struct exchange_row *x, unsigned id, uint64_t value)
{
    column_set_uint(table_column(&table_exchange, id), x, value);
}

void exchange_say(struct exchange_row *x, unsigned id, const char *text)
{
    const struct column *c = table_column(&table_exchange, id);
    *(struct text *)(void *)((char *)x + c->offset) = (struct text){text, (uint32_t)strlen(text)};
    column_add(&x->has, id);
}

struct exchange_row exchange_new(const struct wish *w, uint32_t flow, uint32_t ordinal, const char *app,
                                 uint64_t time_ns, uint64_t wait_ns)
{
    struct exchange_row x = {.flow_id = flow_id_of(w, flow)};
    column_add(&x.has, EXCHANGE_FLOW_ID);
    exchange_put(&x, EXCHANGE_ORDINAL, ordinal);
    exchange_put(&x, EXCHANGE_TIME, time_ns);
    exchange_say(&x, EXCHANGE_APP, app);
    exchange_put(&x, EXCHANGE_OUTCOME, wait_ns ? EXCHANGE_COMPLETE : EXCHANGE_UNANSWERED);
    if (wait_ns)
        exchange_put(&x, EXCHANGE_WAIT, wait_ns);
    exchange_put(&x, EXCHANGE_REQUEST_BYTES, 100);
    return x;
}

/* ------------------------------------------------------------------ a store and its answers */

static void take_line(struct answer *a, const struct flow_row *row)
{
    char text[FIELD_TEXT_MAX], *line = a->lines[a->count++];
    assert_in_range(a->count, 1, ANSWER_LINES);
    size_t at = 0;
    for (const char *f = a->fields; *f; f += strcspn(f, ",") + (f[strcspn(f, ",")] == ',')) {
        const struct field *field = field_named(f, strcspn(f, ","));
        assert_non_null(field);
        field_text(field, row, true, text, sizeof text);
        at += (size_t)snprintf(line + at, sizeof a->lines[0] - at, "%s%s", at ? " " : "", text);
    }
}

static void take_pair(struct answer *a)
{
    struct block *b = NULL;
    void *rows = NULL;
    if (!a->flow_block) {
        a->flow_bytes = a->bytes;
        a->bytes = (struct buffer){0};
        assert_int_equal(block_open(&table_flow, a->flow_bytes.data, a->flow_bytes.len, &a->flow_block, NULL), 0);
        assert_int_equal(block_read(a->flow_block, &a->flows, NULL), 0);
        return;
    }
    assert_int_equal(block_open(&table_exchange, a->bytes.data, a->bytes.len, &b, NULL), 0);
    assert_int_equal(block_read(b, &rows, NULL), 0);
    assert_int_equal(block_rows(b), block_rows(a->flow_block));
    for (uint32_t i = 0; i < block_rows(b); i++) {
        struct flow_row *row = (struct flow_row *)a->flows + i;
        row->exchange = (const struct exchange_row *)rows + i;
        take_line(a, row);
    }
    free(rows);
    block_close(b);
    block_close(a->flow_block);
    a->flow_block = NULL;
    free(a->flows);
    buffer_free(&a->flow_bytes);
    buffer_clear(&a->bytes);
}

static void take_flows(struct answer *a)
{
    struct block *b = NULL;
    void *rows = NULL;
    assert_int_equal(block_open(&table_flow, a->bytes.data, a->bytes.len, &b, NULL), 0);
    assert_int_equal(block_read(b, &rows, NULL), 0);
    for (uint32_t i = 0; i < block_rows(b); i++)
        take_line(a, (const struct flow_row *)rows + i);
    free(rows);
    block_close(b);
    buffer_clear(&a->bytes);
}

static int take(void *context, const void *data, size_t len, bool end_of_block, struct error *e)
{
    struct answer *a = context;
    (void)e;
    buffer_append(&a->bytes, data, len);
    if (end_of_block)
        (a->of_flows ? take_flows : take_pair)(a);
    return 0;
}

void answer_run(struct world *w, const struct message_query *q, const struct query_bounds *bounds, const char *fields,
                struct answer *a)
{
    static const struct query_live live;
    atomic_bool cancel = false;
    *a = (struct answer){.fields = fields, .of_flows = q->kind == QUERY_FLOWS};
    const struct query_sink sink = {take, a};
    query_run(w->store, q, bounds, &live, &sink, &cancel, &a->outcome);
    assert_null(a->flow_block); /* blocks come in pairs */
    buffer_free(&a->bytes);
}

struct message_query question_of(const char *app, const char *filter)
{
    return (struct message_query){.kind = QUERY_EXCHANGES,
                                  .app = (char *)(uintptr_t)app,
                                  .filter = (char *)(uintptr_t)filter,
                                  .until_ns = UINT64_MAX};
}

void answer_assert(const struct answer *a, const char *const *expected)
{
    size_t n = 0;
    if (a->outcome.code && a->outcome.code != ERROR_INCOMPLETE)
        fail_msg("%s", a->outcome.text);
    for (; expected[n]; n++)
        if (n >= a->count || strcmp(a->lines[n], expected[n]) != 0)
            fail_msg("line %zu is '%s', not '%s'", n, n < a->count ? a->lines[n] : "missing", expected[n]);
    assert_int_equal(a->count, n);
}

void answer_expect(struct world *w, const struct message_query *q, const struct query_bounds *bounds,
                   const char *fields, const char *const *lines)
{
    struct answer a;
    answer_run(w, q, bounds, fields, &a);
    answer_assert(&a, lines);
    free(a.outcome.manifest);
}

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->path = w->folder = support_folder();
    const struct store_config config = {.path = w->path, .partition_ns = HOUR};
    w->store = open_store(w->path, &config);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    store_close(w->store);
    support_folder_remove(w->folder);
    free(w);
    return 0;
}
