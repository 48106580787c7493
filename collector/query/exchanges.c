/*
 * Exchanges: a chunk has them in a block of their own, and the rows of their flows. Both are joined chunk by chunk; what
 * the filter leaves is sorted or grouped.
 *
 * An exchange that went on behind a chunk has a row in it and others in later ones, of which the last counts: the filter is judged by that alone. Chunks of a
 * stream come in order.
 */
#include "collector/query/answers.h"
#include "collector/query/exchange_set.h"
#include "collector/query/group.h"
#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/field.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_ROWS    8192u
#define RUNNING_LEAST 1024u

/* An exchange that a chunk told of while it went on. */
struct running {
    uint64_t flow_id;
    uint32_t ordinal; /* 0: the place is free */
    uint32_t line;    /* its line in the set, or one of these */
};
#define LINE_NONE     UINT32_MAX
#define LINE_LEFT_OUT (UINT32_MAX - 1) /* for the bounds' sake */

/* By flow and number: open addressing, at most half full. */
struct running_map {
    struct running *items; /* owned; mask + 1 of them */
    size_t mask, count;
};

struct exchanges {
    struct plan *plan;
    struct exchange_set set;
    struct running_map running;
    bool replaced; /* lines without a flow are of what a later row told better */
};

/* Exchanges of a chunk that may be of the answer, by flow. */
struct candidates {
    struct exchanges *x;
    const struct exchange_row **rows;
    uint8_t *found; /* of each whether its flow was: it counts once, whatever the chunk says */
    size_t count, joined;
};

/* ------------------------------------------------------------------ what goes on */

/* Its place, or the free one where it belongs. */
static struct running *place_of(const struct running_map *m, uint64_t flow_id, uint32_t ordinal)
{
    const uint64_t key[] = {flow_id, ordinal};
    size_t i = (size_t)hash64_table(key, sizeof key) & m->mask;
    while (m->items[i].ordinal && (m->items[i].flow_id != flow_id || m->items[i].ordinal != ordinal))
        i = (i + 1) & m->mask;
    return &m->items[i];
}

static int grow(struct running_map *m, struct error *e)
{
    if (m->items && m->count * 2 <= m->mask)
        return 0;
    struct running_map more = {.mask = (m->items ? (m->mask + 1) * 2 : RUNNING_LEAST) - 1, .count = m->count};
    more.items = calloc(more.mask + 1, sizeof *more.items);
    if (!more.items)
        return error_set(e, ERROR_MEMORY, "no memory for more than %zu exchanges that went on", m->count);
    for (size_t i = 0; m->items && i <= m->mask; i++)
        if (m->items[i].ordinal)
            *place_of(&more, m->items[i].flow_id, m->items[i].ordinal) = m->items[i];
    free(m->items);
    *m = more;
    return 0;
}

static int note_running(struct exchanges *x, const struct exchange_row *row, uint32_t line, struct error *e)
{
    int r = grow(&x->running, e);
    if (r)
        return r;
    struct running *at = place_of(&x->running, row->flow_id, row->ordinal);
    x->running.count += !at->ordinal;
    *at = (struct running){row->flow_id, row->ordinal, line};
    return 0;
}

/* What was told while it went on does not count any more: its line, if it has one, is free for the row. Returns whether anything was
 * told. What comes late is another row, of an exchange that had ended. */
static bool replace(struct exchanges *x, const struct exchange_row *row, uint32_t *line)
{
    bool late = column_has(&row->has, EXCHANGE_OUTCOME) && row->outcome == EXCHANGE_LATE;
    struct running *before = x->running.items && !late ? place_of(&x->running, row->flow_id, row->ordinal) : NULL;
    *line = LINE_NONE;
    if (!before || !before->ordinal)
        return false;
    if (before->line == LINE_LEFT_OUT)
        x->plan->exchanges_left_out--;
    else
        *line = before->line;
    before->line = LINE_NONE;
    return true;
}

static void leave_latest(struct exchanges *x)
{
    size_t left = 0;
    for (size_t i = 0; x->replaced && i < x->set.count; i++)
        if (x->set.lines[i].flow)
            x->set.lines[left++] = x->set.lines[i];
    if (x->replaced)
        x->set.count = left;
}

static bool goes_on(const struct exchange_row *x)
{
    return column_has(&x->has, EXCHANGE_OUTCOME) && x->outcome == EXCHANGE_RUNNING && x->ordinal;
}

/* ------------------------------------------------------------------ joining */

static int by_flow(const void *a, const void *b)
{
    const struct exchange_row *x = *(const struct exchange_row *const *)a, *y = *(const struct exchange_row *const *)b;
    if (x->flow_id != y->flow_id)
        return x->flow_id < y->flow_id ? -1 : 1;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static size_t first_of(const struct candidates *c, uint64_t flow_id)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->rows[middle]->flow_id < flow_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What an exchange is judged by: what its flow's row in one chunk counted says nothing of it, and both ends spoke as far
 * as anybody can know. */
static struct flow_row flow_of(const struct flow_row *row)
{
    struct flow_row flow = *row;
    for (unsigned i = 0; i < table_flow.count; i++) {
        const struct column *c = &table_flow.columns[i];
        if (c->merge != MERGE_KEY && c->merge != MERGE_STICKY)
            column_remove(&flow.has, c->id);
    }
    for (unsigned i = 0; i < 2; i++) {
        flow.later_fragments[i] = column_has(&row->has, FLOW_LATER_FRAGMENTS_0 + i) ? row->later_fragments[i] : 0;
        flow.packets[i] = flow.later_fragments[i] + UINT64_C(1);
        column_add(&flow.has, FLOW_LATER_FRAGMENTS_0 + i);
        column_add(&flow.has, FLOW_PACKETS_0 + i);
    }
    return flow;
}

static void forget_counts(struct flow_row *flow)
{
    for (unsigned i = 0; i < 2; i++) {
        column_remove(&flow->has, FLOW_LATER_FRAGMENTS_0 + i);
        column_remove(&flow->has, FLOW_PACKETS_0 + i);
    }
}

static bool may_be_shown(struct plan *p, const struct flow_row *flow)
{
    return !p->forced || filter_row_whole(p->forced, flow) == TRUTH_YES;
}

static int keep(struct exchanges *x, const struct flow_row *flow, const struct exchange_row *row, uint32_t *line,
                struct error *e)
{
    struct flow_row plain = *flow;
    plain.exchange = NULL;
    forget_counts(&plain);
    int r = flow_set_add(x->plan->flows, &plain, e);
    if (r == 0 && *line != LINE_NONE)
        return exchange_set_replace(&x->set, x->plan->flows, *line, row, e);
    *line = (uint32_t)x->set.count;
    return r ? r : exchange_set_add(&x->set, x->plan->flows, row, flow_set_find(x->plan->flows, plain.flow_id), e);
}

/* The exchange is not of the answer any more. */
static void leave_out(struct exchanges *x, uint32_t *line)
{
    if (*line != LINE_NONE) {
        x->set.lines[*line].flow = NULL;
        x->replaced = true;
    }
    *line = LINE_NONE;
}

/* One exchange of the flow; *line: the one that is free for it, then the one that it got, if it did. */
static int judge(struct exchanges *x, struct flow_row *flow, const struct exchange_row *row, bool shown, uint32_t *line,
                 struct error *e)
{
    struct plan *p = x->plan;
    flow->exchange = row;
    bool asked = filter_row_sum(p->asked, flow) != TRUTH_NO;
    if (asked && shown)
        return keep(x, flow, row, line, e);
    leave_out(x, line);
    if (asked) {
        *line = LINE_LEFT_OUT;
        p->exchanges_left_out++;
    }
    return 0;
}

static int take(struct exchanges *x, struct flow_row *flow, const struct exchange_row *row, bool shown, struct error *e)
{
    uint32_t line;
    if (!replace(x, row, &line))
        x->plan->exchanges_seen++;
    int r = judge(x, flow, row, shown, &line, e);
    return r == 0 && goes_on(row) ? note_running(x, row, line, e) : r;
}

static int join_row(void *context, const struct store_chunk *c, const struct flow_row *row, struct error *e)
{
    struct candidates *k = context;
    struct plan *p = k->x->plan;
    size_t i = first_of(k, row->flow_id);
    (void)c;
    if (i == k->count || k->rows[i]->flow_id != row->flow_id)
        return 0;
    struct flow_row flow = flow_of(row);
    bool shown = may_be_shown(p, &flow);
    for (; i < k->count && k->rows[i]->flow_id == row->flow_id && !k->found[i]; i++) {
        k->found[i] = 1;
        k->joined++;
        int r = take(k->x, &flow, k->rows[i], shown, e);
        if (r)
            return r;
    }
    return 0;
}

/* ------------------------------------------------------------------ a chunk */

static bool is_wanted(const struct plan *p, const struct exchange_row *x)
{
    const char *app = p->q->app ? p->q->app : "";
    if (!column_has(&x->has, EXCHANGE_FLOW_ID) || !column_has(&x->has, EXCHANGE_TIME) || x->time_ns < p->q->since_ns ||
        x->time_ns > p->q->until_ns)
        return false;
    return !app[0] || (column_has(&x->has, EXCHANGE_APP) && x->app.len == strlen(app) &&
                       memcmp(x->app.data, app, x->app.len) == 0);
}

static int join_rows(struct exchanges *x, struct store_chunk *c, const struct exchange_row *rows, uint32_t count,
                     struct error *e)
{
    struct candidates k = {.x = x, .rows = calloc(count + 1u, sizeof *k.rows), .found = calloc(count + 1u, 1)};
    int r = k.rows && k.found ? 0 : error_set(e, ERROR_MEMORY, "no memory for %u exchanges", count);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        if (is_wanted(x->plan, &rows[i]))
            k.rows[k.count++] = &rows[i];
    if (k.count)
        qsort(k.rows, k.count, sizeof(struct exchange_row *), by_flow);
    if (r == 0 && k.count)
        r = plan_rows(x->plan, c, NULL, join_row, &k, e);
    if (r == 0 && k.joined < k.count)
        r = error_set(e, ERROR_CORRUPT, "%zu exchanges are of flows that the chunk does not have", k.count - k.joined);
    free(k.found);
    free(k.rows);
    return r;
}

static int read_chunk(void *context, struct store_chunk *c, struct error *e)
{
    struct block *block = NULL;
    void *rows = NULL;
    if (!c->head.exchanges)
        return 0;
    int r = block_open(&table_exchange, c->head.exchanges, c->head.exchanges_length, &block, e);
    if (r == 0)
        r = block_read(block, &rows, e);
    if (r == 0 && rows)
        r = join_rows(context, c, rows, block_rows(block), e);
    free(rows);
    block_close(block);
    return r;
}

/* ------------------------------------------------------------------ order */

struct order {
    const struct field *field;
    bool descending;
    struct flow_row a, b; /* that only have exchanges */
};

static int compare(const void *a, const void *b, void *context)
{
    struct order *o = context;
    const struct exchange_line *x = *(const struct exchange_line *const *)a;
    const struct exchange_line *y = *(const struct exchange_line *const *)b;
    o->a.exchange = &x->row;
    o->b.exchange = &y->row;
    bool of_exchange = o->field->exchange != NULL;
    int c = field_compare(o->field, of_exchange ? &o->a : &x->flow->sum, of_exchange ? &o->b : &y->flow->sum);
    if (c)
        return o->descending ? -c : c;
    if (x->row.time_ns != y->row.time_ns)
        return x->row.time_ns < y->row.time_ns ? -1 : 1;
    if (x->row.flow_id != y->row.flow_id)
        return x->row.flow_id < y->row.flow_id ? -1 : 1;
    return x->row.ordinal < y->row.ordinal ? -1 : x->row.ordinal > y->row.ordinal;
}

/* ERROR_USAGE: there is no such field, or exchanges do not have it. */
static int take_field(const char *name, const char *what, const struct field **out, struct error *e)
{
    const struct field *f = field_named(name, strlen(name));
    if (!f || !field_is_of_exchanges(f))
        return error_set(e, ERROR_USAGE, "cannot %s by '%.60s': %s", what, name,
                         f ? "it is counted for flows, not for exchanges"
                           : "no such field (fleetdump http --columns lists them)");
    *out = f;
    return 0;
}

static int take_order(const struct message_query *q, struct order *o, struct error *e)
{
    const char *name = q->sort && q->sort[0] ? q->sort : q->by_count ? "-exchanges" : "time";
    o->descending = name[0] == '-';
    return take_field(name + o->descending, "sort", &o->field, e);
}

static bool is_of_other(const struct field *f, const void *app)
{
    const char *of = field_app(f);
    return of && strcmp(of, app) != 0;
}

/* Fields that no exchange of the question can have. */
static int refuse_foreign_fields(struct plan *p, struct error *e)
{
    const char *what = NULL, *app = p->q->app;
    int r = answer_refuse_group_fields(p, "exchanges", e);
    const struct field *f = r == 0 && app && app[0] ? filter_field(p->asked, is_of_other, app, &what) : NULL;
    if (f)
        return error_set(e, ERROR_USAGE, "'%.80s' is known of %s, not of %s: use `fleetdump %s` with this filter",
                         what ? what : f->name, field_app(f), app, field_app(f));
    return r;
}

static int check(struct plan *p, struct order *o, struct error *e)
{
    const struct field *field;
    struct group_by by;
    const char *what = NULL;
    int r = take_order(p->q, o, e);
    for (uint32_t i = 0; r == 0 && i < p->q->by_count; i++)
        r = take_field(p->q->by[i], "group", &field, e);
    if (r == 0)
        r = group_by_of(p->q, &by, e);
    if (r == 0 && filter_has_flow_measures(p->asked, &what))
        r = error_set(
            e, ERROR_USAGE,
            "'%.80s' is counted for flows, not for exchanges: use `fleetdump flows` with this filter, or words "
            "such as status, rcode, wait, duration, request_bytes, reply_bytes",
            what ? what : "a word of the filter");
    return r ? r : refuse_foreign_fields(p, e);
}

/* ------------------------------------------------------------------ the answer */

/* A block of flows and one of exchanges, row by row one line. */
static int write_pair(struct plan *p, const struct flow_row *flows, const struct exchange_row *rows, size_t n,
                      struct error *e)
{
    struct buffer out = {0};
    int r = block_encode(&table_flow, flows, n, &out, e);
    if (r == 0)
        r = plan_cancelled(p, e);
    if (r == 0)
        r = plan_write(p, out.data, out.len, true, e);
    buffer_clear(&out);
    if (r == 0)
        r = block_encode(&table_exchange, rows, n, &out, e);
    if (r == 0)
        r = plan_write(p, out.data, out.len, true, e);
    buffer_free(&out);
    return r;
}

static int write_lines(struct plan *p, const struct exchange_line *const *lines, size_t count, struct error *e)
{
    struct flow_row *flows = calloc(count < BLOCK_ROWS ? count + 1 : BLOCK_ROWS, sizeof *flows);
    struct exchange_row *rows = calloc(count < BLOCK_ROWS ? count + 1 : BLOCK_ROWS, sizeof *rows);
    int r = flows && rows ? 0 : error_set(e, ERROR_MEMORY, "no memory for an answer of %zu exchanges", count);
    for (size_t i = 0; r == 0 && i < count;) {
        size_t n = 0;
        for (; n < BLOCK_ROWS && i < count; n++, i++) {
            flows[n] = lines[i]->flow->sum;
            rows[n] = lines[i]->row;
        }
        r = write_pair(p, flows, rows, n, e);
    }
    free(flows);
    free(rows);
    return r;
}

static int account(struct plan *p, const struct exchange_set *s, struct error *e)
{
    for (size_t i = 0; i < s->count; i++) {
        p->running += goes_on(&s->lines[i].row);
        const struct place *place = &p->places.place[s->lines[i].flow->sum.key.interface];
        struct manifest_agent *a = manifest_agent(&p->manifest, p->places.vantage[place->vantage].agent);
        if (!a)
            return error_set(e, ERROR_MEMORY, "no memory for the answer's account");
        a->exchanges++;
    }
    p->selected = s->count;
    return 0;
}

static int sort_and_write(struct plan *p, const struct exchange_set *s, struct order *o, struct error *e)
{
    uint64_t limit = p->q->limit ? p->q->limit : QUERY_ROWS_DEFAULT;
    const struct exchange_line **lines = calloc(s->count + 1, sizeof *lines);
    if (!lines)
        return error_set(e, ERROR_MEMORY, "no memory for %zu exchanges", s->count);
    for (size_t i = 0; i < s->count; i++)
        lines[i] = &s->lines[i];
    qsort_r(lines, s->count, sizeof(struct exchange_line *), compare, o);
    p->rows = s->count < limit ? s->count : limit;
    int r = write_lines(p, lines, (size_t)p->rows, e);
    free(lines);
    return r;
}

int answer_exchanges(struct plan *p, struct error *e)
{
    struct exchanges x = {.plan = p};
    struct exchange_set groups = {0};
    struct order *order = calloc(1, sizeof *order);
    int r = order ? answer_refuse_packet_words(p, "host, to port, unanswered, wait > 50ms", e)
                  : error_set(e, ERROR_MEMORY, "no memory for a query");
    p->any_time = true;
    p->scan.exchanges = true;
    p->manifest.counts_exchanges = true;
    if (r == 0)
        r = check(p, order, e);
    if (r == 0)
        r = plan_scan(p, read_chunk, &x, e);
    leave_latest(&x);
    if (r == 0)
        r = exchange_set_leave_one(&x.set, p, e);
    if (r == 0)
        r = exchange_set_join(&x.set, p, p->q->vantage == VANTAGE_ALL, &p->shared, e);
    if (r == 0)
        r = account(p, &x.set, e);
    if (r == 0 && p->q->by_count)
        r = exchange_groups(&x.set, p->q, &groups, e);
    if (r == 0)
        r = sort_and_write(p, p->q->by_count ? &groups : &x.set, order, e);
    free(x.running.items);
    exchange_set_free(&groups);
    exchange_set_free(&x.set);
    free(order);
    return r;
}
