#include "collector/query/plan.h"
#include "collector/query/reach.h"
#include "common/rows/block.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int plan_cancelled(const struct plan *p, struct error *e)
{
    if (atomic_load_explicit(p->cancel, memory_order_relaxed))
        return error_set(e, ERROR_CANCELLED, "the query was cancelled");
    return 0;
}

bool plan_hides_numbers(const struct plan *p)
{
    return p->bounds->filter || p->bounds->since_ns;
}

int plan_write(struct plan *p, const void *data, size_t len, bool end_of_block, struct error *e)
{
    const uint8_t *at = data;
    do {
        size_t n = len > NET_PIECE_MAX ? NET_PIECE_MAX : len;
        int r = p->sink->write(p->sink->context, at, n, end_of_block && n == len, e);
        if (r)
            return r;
        p->bytes += n;
        at += n;
        len -= n;
    } while (len > 0);
    return 0;
}

/* ------------------------------------------------------------------ making ready */

const char *plan_shown_filter(const struct plan *p, const char *capture, const char *filter)
{
    const struct query_bounds *b = p->bounds;
    bool shown = !b->hides_filters;
    for (size_t i = 0; i < b->shown_count && !shown; i++)
        shown = strcmp(b->shown[i].name, capture) == 0 && strcmp(b->shown[i].filter, filter) == 0;
    return shown ? filter : NULL;
}

static int take_names(struct plan *p, struct filter_names *names, struct error *e)
{
    const struct message_query *q = p->q;
    size_t total = 0;
    for (uint32_t i = 0; i < q->name_count; i++)
        total += q->names[i].address_count;
    p->names = calloc(q->name_count + 1, sizeof *p->names);
    p->addresses = calloc(total + 1, sizeof *p->addresses);
    if (!p->names || !p->addresses)
        return error_set(e, ERROR_MEMORY, "no memory for the filter's %zu addresses", total);
    struct filter_address *at = p->addresses;
    for (uint32_t i = 0; i < q->name_count; i++) {
        p->names[i] = (struct filter_name){q->names[i].name, at, q->names[i].address_count};
        for (uint32_t a = 0; a < q->names[i].address_count; a++, at++) {
            const struct net_address *from = &q->names[i].addresses[a];
            *at = (struct filter_address){.family = from->family, .from_ns = from->from_ns, .to_ns = from->to_ns};
            memcpy(at->addr, from->addr, sizeof at->addr);
        }
    }
    *names = (struct filter_names){p->names, q->name_count};
    return 0;
}

/* What the question is bound to is another tree beside its own: neither's text can change what the other means. */
static int bind(struct plan *p, const struct filter_names *names, struct error *e)
{
    struct filter *asked = NULL, *forced = NULL;
    int r = filter_compile(p->bounds->filter, NULL, &p->forced, e);
    if (r == 0)
        r = filter_compile(p->bounds->filter, NULL, &forced, e);
    if (r == 0 && (r = filter_compile(p->q->filter ? p->q->filter : "", names, &asked, e)) != 0)
        filter_free(forced);
    return r ? r : filter_join(forced, asked, &p->filter, e);
}

static int compile(struct plan *p, struct error *e)
{
    struct filter_names names;
    int r = take_names(p, &names, e);
    if (r == 0)
        r = filter_compile(p->q->filter ? p->q->filter : "", &names, &p->asked, e);
    if (r)
        return r;
    if (p->bounds->filter)
        return bind(p, &names, e);
    p->filter = p->asked;
    return 0;
}

int plan_open(struct plan *p, struct store *s, const struct message_query *q, const struct query_bounds *bounds,
              const struct query_live *live, const struct query_sink *sink, const atomic_bool *cancel, struct error *e)
{
    static const struct query_bounds none;
    *p = (struct plan){.question = *q, .bounds = bounds ? bounds : &none, .live = live, .sink = sink, .cancel = cancel};
    p->q = &p->question;
    if (p->question.since_ns < p->bounds->since_ns)
        p->question.since_ns = p->bounds->since_ns;
    int r = compile(p, e);
    if (r == 0)
        r = store_reader_open(s, &p->reader, e);
    if (r == 0 && !(p->flows = flow_set_new(QUERY_FLOWS_MAX)))
        r = error_set(e, ERROR_MEMORY, "no memory for a query");
    p->scan = (struct store_scan){
        .since_ns = p->q->since_ns,
        .until_ns = q->until_ns,
        .capture = q->capture && q->capture[0] ? q->capture : NULL,
        .agents = (const char *const *)q->agents,
        .agent_count = q->agent_count,
        .filter = p->filter,
    };
    if (r == 0 && q->after && q->after[0])
        r = after_new(q->after, &p->after, e);
    if (p->after)
        after_scan(p->after, &p->scan);
    return r;
}

void plan_close(struct plan *p)
{
    manifest_free(&p->manifest);
    places_free(&p->places);
    flow_set_free(p->flows);
    after_free(p->after);
    store_reader_close(p->reader);
    if (p->filter != p->asked)
        filter_free(p->filter);
    filter_free(p->asked);
    filter_free(p->forced);
    buffer_free(&p->explain.captured);
    free(p->names);
    free(p->addresses);
}

/* ------------------------------------------------------------------ the rows of a chunk */

static struct text text_of(const char *s)
{
    return (struct text){s, (uint32_t)strlen(s)};
}

/* What a row in a chunk leaves to its head. */
static void complete_row(struct flow_row *row, const struct chunk_head *h, const struct head_interface *i,
                         uint32_t place)
{
    row->key.interface = place;
    row->agent = text_of(h->agent);
    row->capture = text_of(h->capture);
    row->interface_name = text_of(i->name);
    column_add(&row->has, FLOW_AGENT);
    column_add(&row->has, FLOW_CAPTURE);
    column_add(&row->has, FLOW_INTERFACE_NAME);
}

/* What applications said stands in packets behind the bytes that somebody bound to a snaplen sees. */
static void forget_said(struct flow_row *row)
{
    for (unsigned id = FLOW_SNI; id <= FLOW_STATUS_5XX; id++)
        if (id != FLOW_EXCHANGES)
            column_remove(&row->has, id);
}

static int each_row(struct plan *p, const struct store_chunk *c, struct flow_row *rows, uint32_t count,
                    const uint32_t *places, plan_row_fn *each, void *context, struct error *e)
{
    for (uint32_t i = 0; i < count; i++) {
        struct flow_row *row = &rows[i];
        if (!p->any_time && (row->last_ns < p->q->since_ns || row->first_ns > p->q->until_ns))
            continue;
        if (row->key.interface >= c->head.interface_count)
            return error_set(e, ERROR_CORRUPT, "row %u names interface %u of %u", i, row->key.interface,
                             c->head.interface_count);
        complete_row(row, &c->head, &c->head.interfaces[row->key.interface], places[row->key.interface]);
        if (p->bounds->snaplen)
            forget_said(row);
        int r = each(context, c, row, e);
        if (r)
            return r;
    }
    return 0;
}

static int chunk_places(struct plan *p, const struct chunk_head *h, uint32_t **out, struct error *e)
{
    uint32_t *places = calloc(h->interface_count + 1, sizeof *places);
    if (!places)
        return error_set(e, ERROR_MEMORY, "no memory for %u interfaces", h->interface_count);
    for (uint32_t i = 0; i < h->interface_count; i++) {
        int64_t place = places_of(&p->places, h, i, e);
        if (place < 0) {
            free(places);
            return (int)place;
        }
        p->places.place[place].keeps_packets |= h->body != BODY_NEVER;
        places[i] = (uint32_t)place;
    }
    *out = places;
    return 0;
}

static int read_columns(struct block *b, const uint8_t *columns, void **rows, struct error *e)
{
    static const uint8_t always[] = {FLOW_INTERFACE, FLOW_FIRST, FLOW_LAST};
    *rows = calloc(block_rows(b) + 1u, sizeof(struct flow_row));
    int r = *rows ? 0 : error_set(e, ERROR_MEMORY, "no memory for %u rows", block_rows(b));
    for (size_t i = 0; r == 0 && i < sizeof always; i++)
        r = block_read_column(b, always[i], *rows, e);
    for (; r == 0 && *columns; columns++)
        r = block_read_column(b, *columns, *rows, e);
    return r;
}

int plan_rows(struct plan *p, struct store_chunk *c, const uint8_t *columns, plan_row_fn *each, void *context,
              struct error *e)
{
    if (!c->head.flows || c->head.flows_length == 0)
        return 0;
    struct block *block = NULL;
    void *rows = NULL;
    uint32_t *places = NULL;
    int r = chunk_places(p, &c->head, &places, e);
    if (r == 0)
        r = block_open(&table_flow, c->head.flows, c->head.flows_length, &block, e);
    if (r == 0)
        r = columns ? read_columns(block, columns, &rows, e) : block_read(block, &rows, e);
    if (r == 0)
        r = each_row(p, c, rows, block_rows(block), places, each, context, e);
    free(rows);
    block_close(block);
    free(places);
    return r;
}

/* ------------------------------------------------------------------ the first pass */

static int sum_row(void *context, const struct store_chunk *c, const struct flow_row *row, struct error *e)
{
    struct plan *p = context;
    (void)c;
    p->rows_seen++;
    if (row->first_ns < p->bounds->since_ns && !p->manifest.counts_packets) { /* packets have their own times */
        p->rows_left_out++;
        return 0;
    }
    if (filter_row_part(p->filter, row) == TRUTH_NO)
        return 0;
    return flow_set_add(p->flows, row, e);
}

/* Damage of one chunk costs that chunk; anything else ends the question. */
static bool is_damage(int code)
{
    return code == ERROR_CORRUPT || code == ERROR_INVALID || code == ERROR_TRUNCATED || code == ERROR_VERSION;
}

static void count_vantages(struct plan *p, const struct chunk_head *h)
{
    for (uint32_t i = 0; i < h->interface_count; i++) {
        int64_t place = places_of(&p->places, h, i, NULL);
        if (place >= 0)
            counters_add(&p->places.vantage[p->places.place[place].vantage].counters, &h->interfaces[i].counters);
    }
}

struct scanning {
    struct plan *plan;
    plan_chunk_fn *chunk;
    void *context;
};

/* Chunks of later packets may hold exchanges of the question's time; what they lack is not inside it. */
static bool is_inside(const struct plan *p, const struct chunk_head *h)
{
    return h->first_ns > h->last_ns || (h->last_ns >= p->q->since_ns && h->first_ns <= p->q->until_ns);
}

static int scan_chunk(void *context, struct store_chunk *c, bool excluded, struct error *e)
{
    const struct scanning *s = context;
    struct plan *p = s->plan;
    bool wanted = true, inside = is_inside(p, &c->head);
    int r = plan_cancelled(p, e);
    if (r == 0 && p->after)
        r = after_wants(p->after, c, &wanted, e);
    if (r || !wanted)
        return r;
    struct manifest_agent *a = manifest_agent(&p->manifest, c->head.agent);
    if (!a)
        return error_set(e, ERROR_MEMORY, "no memory for the answer's account");
    if (inside)
        manifest_chunk(a, c);
    if (c->head.kind != HEAD_CHUNK)
        return 0;
    if (inside) {
        p->chunks_seen++;
        explain_note(&p->explain, &c->head);
    }
    if (excluded)
        return 0;
    struct error why = ERROR_INIT;
    r = s->chunk(s->context, c, &why);
    if (r == 0)
        count_vantages(p, &c->head);
    else if (is_damage(r)) {
        manifest_damaged(a, &why);
        r = 0;
    } else if (e)
        *e = why;
    return r;
}

static int note_dropped(void *context, const struct store_dropped_info *d, struct error *e)
{
    struct plan *p = context;
    struct manifest_agent *a = manifest_agent(&p->manifest, d->agent);
    if (!a)
        return error_set(e, ERROR_MEMORY, "no memory for the answer's account");
    manifest_dropped(a, d);
    return 0;
}

static void select_flows(struct plan *p)
{
    for (size_t i = 0; i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        enum truth t = filter_row_sum(p->filter, &f->sum);
        f->selected = t != TRUTH_NO;
        f->maybe = t == TRUTH_MAYBE;
        p->selected += f->selected;
    }
}

static int note_pause(void *context, const struct store_pause_info *s)
{
    struct plan *p = context;
    if (s->to_ns < p->q->since_ns || s->from_ns > p->q->until_ns)
        return 0;
    struct manifest_agent *a = manifest_agent(&p->manifest, s->agent);
    if (a)
        manifest_paused(a, s->from_ns, s->to_ns);
    return a ? 0 : ERROR_MEMORY;
}

/* Answers that go on are about what has come since, whenever that was captured: each would tell of it again. */
static int account_pauses(struct plan *p, struct error *e)
{
    return p->after ? 0 : store_each_pause(p->reader, &p->scan, note_pause, p, e);
}

/* A name that nobody knows is no question about packets, but for one that goes on: it waits for what will come. */
static int check_capture(struct plan *p, struct error *e)
{
    const struct store_scan seen = {.agents = p->bounds->agents ? p->scan.agents : NULL,
                                    .agent_count = p->bounds->agents ? p->scan.agent_count : 0};
    if (!p->scan.capture || p->chunks_seen || p->live->ordered || p->after)
        return 0;
    return explain_unknown(p->reader, &seen, p->scan.capture, e);
}

int plan_scan(struct plan *p, plan_chunk_fn *chunk, void *context, struct error *e)
{
    struct scanning s = {p, chunk, context};
    /* First: what comes while the scan runs is not in the answer, and must not count as being here. */
    int r = reach_account(p->reader, &p->scan, p->live, &p->manifest, e);
    if (r == 0)
        r = store_scan_chunks(p->reader, &p->scan, scan_chunk, &s, e);
    p->scan.end = NULL; /* a later scan may see more, which is in the next answer: it does not move the mark */
    if (r == 0)
        r = check_capture(p, e);
    if (r == 0)
        r = account_pauses(p, e);
    if (r == 0) /* last: what was dropped while the scan ran is known by now */
        r = store_each_dropped(p->reader, &p->scan, note_dropped, p, e);
    return r;
}

static int sum_chunk(void *context, struct store_chunk *c, struct error *e)
{
    return plan_rows(context, c, NULL, sum_row, context, e);
}

int plan_sum(struct plan *p, struct error *e)
{
    int r = plan_scan(p, sum_chunk, p, e);
    if (r == 0)
        select_flows(p);
    return r;
}
