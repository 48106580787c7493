#include "collector/query/answers.h"
#include "collector/query/connections.h"
#include "collector/query/covered.h"
#include "collector/query/group.h"
#include "common/rows/block.h"
#include "common/rows/field.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_ROWS 32768u

struct order {
    const struct field *field;
    bool descending;
};

struct groups {
    struct flow_row *rows;
    size_t count, cap;
};

/* ------------------------------------------------------------------ order */

static int compare(const void *a, const void *b, void *context)
{
    const struct order *o = context;
    const struct flow_row *x = *(const struct flow_row *const *)a, *y = *(const struct flow_row *const *)b;
    int c = field_compare(o->field, x, y);
    if (c)
        return o->descending ? -c : c;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    return x->flow_id < y->flow_id ? -1 : x->flow_id > y->flow_id;
}

static int take_order(const struct message_query *q, struct order *o, struct error *e)
{
    const char *name = q->sort && q->sort[0] ? q->sort : q->by_count ? "-bytes" : "time";
    o->descending = name[0] == '-';
    name += o->descending;
    o->field = field_named(name, strlen(name));
    if (!o->field)
        return error_set(e, ERROR_USAGE, "cannot sort by '%.60s': no such field (fleetdump flows --help lists them)",
                         name);
    return 0;
}

/* ------------------------------------------------------------------ groups */

static void swap_values(struct flow_row *row, const struct column *a, const struct column *b)
{
    uint8_t keep[64];
    char *x = (char *)row + a->offset, *y = (char *)row + b->offset;
    memcpy(keep, x, a->size);
    memcpy(x, y, a->size);
    memcpy(y, keep, a->size);
    bool has_a = column_has(&row->has, a->id), has_b = column_has(&row->has, b->id);
    column_remove(&row->has, a->id);
    column_remove(&row->has, b->id);
    if (has_b)
        column_add(&row->has, a->id);
    if (has_a)
        column_add(&row->has, b->id);
}

/* Makes the originator endpoint 0, so that sums over flows add clients to clients. */
static void orient(struct flow_row *row)
{
    if (!column_has(&row->has, FLOW_ORIGINATOR) || row->originator != 1)
        return;
    for (unsigned i = 0; i + 1 < table_flow.count; i++) {
        const struct column *a = &table_flow.columns[i], *b = &table_flow.columns[i + 1];
        size_t len = strlen(a->name);
        if (len > 2 && strcmp(a->name + len - 2, ".0") == 0 && b->id == a->id + 1 && a->size == b->size &&
            a->size <= 64 && a->id != FLOW_VLAN_0)
            swap_values(row, a, b);
    }
    row->originator = 0;
}

/* Adds a flow to its group's row: measures by their rule, everything else is the group's first flow's. */
static void group_add(struct flow_row *into, const struct flow_row *from)
{
    uint64_t flows = into->flows + 1;
    struct flow_row merged = *into;
    table_merge(&table_flow, &merged, from);
    into->has = merged.has;
    for (unsigned i = 0; i < table_flow.count; i++) {
        const struct column *c = &table_flow.columns[i];
        if (c->merge == MERGE_SUM || c->merge == MERGE_MIN || c->merge == MERGE_MAX || c->merge == MERGE_OR)
            memcpy((char *)into + c->offset, (char *)&merged + c->offset, c->size);
    }
    into->flows = flows;
    column_add(&into->has, FLOW_FLOWS);
}

/* The group of this number, which is made from `row` if it is new; NULL without memory. */
static struct flow_row *group_at(struct groups *g, size_t number, const struct flow_row *row)
{
    if (number < g->count)
        return &g->rows[number];
    if (g->count == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 256;
        struct flow_row *rows = realloc(g->rows, cap * sizeof *rows);
        if (!rows)
            return NULL;
        g->rows = rows;
        g->cap = cap;
    }
    g->rows[g->count] = *row;
    g->rows[g->count].flows = 0;
    return &g->rows[g->count++];
}

static int group_flow(struct groups *g, struct group_map *map, const struct flow_row *flow, struct error *e)
{
    struct flow_row row = *flow;
    orient(&row);
    int64_t number = group_map_of(map, &row, e);
    if (number < 0)
        return (int)number;
    struct flow_row *group = group_at(g, (size_t)number, &row);
    if (!group)
        return error_set(e, ERROR_MEMORY, "no memory for more than %zu groups", g->count);
    if (group->flows == 0) {
        group->flows = 1;
        column_add(&group->has, FLOW_FLOWS);
    } else
        group_add(group, &row);
    return 0;
}

static int group_flows(struct plan *p, struct groups *g, struct error *e)
{
    struct group_by by;
    int r = group_by_of(p->q, &by, e);
    struct group_map *map = r ? NULL : group_map_new(&by);
    if (r == 0 && !map)
        r = error_set(e, ERROR_MEMORY, "no memory for groups");
    for (size_t i = 0; r == 0 && i < flow_set_count(p->flows); i++) {
        const struct flow_set_entry *f = flow_set_at(p->flows, i);
        if (f->selected)
            r = group_flow(g, map, &f->sum, e);
    }
    group_map_free(map);
    return r;
}

/* ------------------------------------------------------------------ the answer */

static int write_rows(struct plan *p, const struct flow_row *const *rows, size_t count, struct error *e)
{
    struct flow_row *copy = calloc(count < BLOCK_ROWS ? count + 1 : BLOCK_ROWS, sizeof *copy);
    if (!copy)
        return error_set(e, ERROR_MEMORY, "no memory for an answer of %zu flows", count);
    struct buffer out = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < count;) {
        size_t n = 0;
        while (n < BLOCK_ROWS && i < count)
            copy[n++] = *rows[i++];
        buffer_clear(&out);
        r = block_encode(&table_flow, copy, n, &out, e);
        if (r == 0)
            r = plan_cancelled(p, e);
        if (r == 0)
            r = plan_write(p, out.data, out.len, true, e);
    }
    buffer_free(&out);
    free(copy);
    return r;
}

static void account(struct plan *p, const struct flow_row *row)
{
    struct manifest_agent *a = NULL;
    for (size_t i = 0; i < p->manifest.count && !a; i++)
        if (strlen(p->manifest.agents[i].name) == row->agent.len &&
            memcmp(p->manifest.agents[i].name, row->agent.data, row->agent.len) == 0)
            a = &p->manifest.agents[i];
    if (!a)
        return;
    a->flows++;
    a->packets += row->packets[0] + row->packets[1];
    a->bytes += row->bytes[0] + row->bytes[1];
}

int answer_refuse_exchange_words(struct plan *p, const char *instead, struct error *e)
{
    const char *what = NULL;
    if (!filter_has_exchange_words(p->asked, &what))
        return 0;
    return error_set(e, ERROR_USAGE, "'%.80s' is known of single exchanges, not of flows: %s",
                     what ? what : "a word of the filter", instead);
}

static bool is_of_groups(const struct field *f, const void *context)
{
    (void)context;
    return field_is_of_groups(f);
}

int answer_refuse_group_fields(struct plan *p, const char *of, struct error *e)
{
    const char *what = NULL;
    const struct field *f = filter_field(p->asked, is_of_groups, NULL, &what);
    if (!f)
        return 0;
    return error_set(e, ERROR_USAGE,
                     "'%.80s' is of groups, and a filter chooses single %s: groups may be ordered by it (--by ... "
                     "--sort -%s)",
                     what ? what : f->name, of, f->name);
}

int answer_refuse_packet_words(struct plan *p, const char *instead, struct error *e)
{
    const char *what = NULL;
    if (p->forced && filter_has_packet_words(p->forced, &what))
        return error_set(e, ERROR_REFUSED,
                         "'%.80s', which you are bound to, is judged packet by packet, and flows do not remember that: "
                         "you may ask for packets (`fleetdump pull`, `print`), not for flows",
                         what ? what : "a word of the filter");
    if (!filter_has_packet_words(p->asked, &what))
        return 0;
    return error_set(e, ERROR_USAGE,
                     "'%.80s' is judged packet by packet, which flows do not remember: use `fleetdump pull` (or "
                     "`print`) with this filter, or words such as %s",
                     what ? what : "a word of the filter", instead);
}

/* Pointers to the rows to show: the selected flows, or the groups. */
static int collect(struct plan *p, struct groups *g, const struct flow_row ***out, size_t *count, struct error *e)
{
    const struct flow_row **rows = calloc(p->selected + 1, sizeof *rows);
    if (!rows)
        return error_set(e, ERROR_MEMORY, "no memory for %llu flows", (unsigned long long)p->selected);
    *out = rows;
    *count = 0;
    for (size_t i = 0; i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        if (!f->selected)
            continue;
        account(p, &f->sum);
        if (!p->q->by_count)
            rows[(*count)++] = &f->sum;
    }
    int r = p->q->by_count ? group_flows(p, g, e) : 0;
    for (size_t i = 0; r == 0 && i < g->count; i++)
        rows[(*count)++] = &g->rows[i];
    return r;
}

/* A flow is shown as a whole: with packets among it that may not be seen, it may not. */
static void leave_out_parts(struct plan *p)
{
    for (size_t i = 0; p->forced && i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        if (!f->selected || filter_row_whole(p->forced, &f->sum) == TRUTH_YES)
            continue;
        f->selected = false;
        p->selected--;
        p->flows_left_out++;
    }
}

/* Of a connection that several vantages saw one counts in sums. */
static int count_connections_once(struct plan *p, struct error *e)
{
    if (!p->q->by_count || p->q->vantage == VANTAGE_ALL || p->places.vantage_count < 2)
        return 0;
    int64_t several = connections_choose_vantage(p, e);
    if (several < 0)
        return (int)several;
    p->several_vantages = (uint64_t)several;
    for (size_t i = 0; i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        if (f->selected && f->other_vantage) {
            f->selected = false;
            p->selected--;
        }
    }
    return 0;
}

/* What rows say of the time before them. */
static void forget_before(struct plan *p)
{
    for (size_t i = 0; p->bounds->since_ns && i < flow_set_count(p->flows); i++) {
        struct flow_row *row = &flow_set_at(p->flows, i)->sum;
        column_remove(&row->has, FLOW_PRIOR_PACKETS);
        column_remove(&row->has, FLOW_PRIOR_BYTES);
        row->prior_packets = row->prior_bytes = 0;
    }
}

int answer_flows(struct plan *p, struct error *e)
{
    struct groups g = {0};
    const struct flow_row **rows = NULL;
    size_t count = 0;
    struct order order;
    int r = answer_refuse_packet_words(p, "state, bytes > 1M, syn > 0", e);
    if (r == 0)
        r = answer_refuse_exchange_words(p, "use `fleetdump http`, `dns` or `tls` with this filter", e);
    if (r == 0)
        r = answer_refuse_group_fields(p, "flows", e);
    if (r == 0)
        r = take_order(p->q, &order, e);
    if (r == 0)
        r = plan_sum(p, e);
    if (r == 0) {
        leave_out_parts(p);
        forget_before(p);
        r = covered_unselect(p, false, e);
    }
    if (r == 0)
        r = count_connections_once(p, e);
    if (r == 0)
        r = collect(p, &g, &rows, &count, e);
    if (r == 0) {
        uint64_t limit = p->q->limit ? p->q->limit : QUERY_ROWS_DEFAULT;
        qsort_r(rows, count, sizeof(struct flow_row *), compare, &order);
        p->rows = count < limit ? count : limit;
        r = write_rows(p, rows, (size_t)p->rows, e);
    }
    free(rows);
    free(g.rows);
    return r;
}
