#include "collector/query/answers.h"
#include "collector/query/covered.h"
#include "common/base/hash.h"
#include "common/rows/block.h"
#include "common/rows/field.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_ROWS 32768u
#define BY_MAX     8u

struct order {
    const struct field *field;
    bool descending;
};

struct groups {
    struct flow_row *rows;
    char **keys;
    size_t count, cap;
    uint32_t *slots;
    size_t slot_count;
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

static int group_key(const struct field *const *by, uint32_t count, const struct flow_row *row, struct buffer *key)
{
    char text[FIELD_TEXT_MAX];
    buffer_clear(key);
    for (uint32_t i = 0; i < count; i++) {
        size_t n = field_text(by[i], row, true, text, sizeof text);
        buffer_append(key, text, n);
        buffer_u8(key, 0);
    }
    buffer_u8(key, 0);
    return key->failed ? ERROR_MEMORY : 0;
}

static bool groups_grow(struct groups *g)
{
    size_t cap = g->cap ? g->cap * 2 : 256;
    struct flow_row *rows = realloc(g->rows, cap * sizeof *rows);
    if (rows)
        g->rows = rows;
    char **keys = realloc(g->keys, cap * sizeof *keys);
    if (keys)
        g->keys = keys;
    uint32_t *slots = calloc(cap * 4, sizeof *slots);
    if (!rows || !keys || !slots) {
        free(slots);
        return false;
    }
    free(g->slots);
    g->slots = slots;
    g->slot_count = cap * 4;
    g->cap = cap;
    for (size_t i = 0; i < g->count; i++) {
        size_t at = hash64(keys[i], strlen(keys[i])) & (g->slot_count - 1);
        while (slots[at])
            at = (at + 1) & (g->slot_count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    return true;
}

/* The group of this key (a text without 0 bytes inside), made from `row` if new; NULL without memory. */
static struct flow_row *group_of(struct groups *g, const char *key, const struct flow_row *row)
{
    if (g->count == g->cap && !groups_grow(g))
        return NULL;
    size_t at = hash64(key, strlen(key)) & (g->slot_count - 1);
    for (; g->slots[at]; at = (at + 1) & (g->slot_count - 1))
        if (strcmp(g->keys[g->slots[at] - 1], key) == 0)
            return &g->rows[g->slots[at] - 1];
    g->keys[g->count] = strdup(key);
    if (!g->keys[g->count])
        return NULL;
    g->rows[g->count] = *row;
    g->rows[g->count].flows = 0;
    g->slots[at] = (uint32_t)++g->count;
    return &g->rows[g->count - 1];
}

static void groups_free(struct groups *g)
{
    for (size_t i = 0; i < g->count; i++)
        free(g->keys[i]);
    free(g->keys);
    free(g->rows);
    free(g->slots);
}

static int take_by(const struct message_query *q, const struct field **by, struct error *e)
{
    if (q->by_count > BY_MAX)
        return error_set(e, ERROR_LIMIT, "--by takes at most %u fields", BY_MAX);
    for (uint32_t i = 0; i < q->by_count; i++) {
        by[i] = field_named(q->by[i], strlen(q->by[i]));
        if (!by[i])
            return error_set(e, ERROR_USAGE,
                             "cannot group by '%.60s': no such field (fleetdump flows --help lists them)", q->by[i]);
    }
    return 0;
}

/* Field separators of a key become a byte that no field's text holds. */
static void join_key(struct buffer *key)
{
    for (size_t i = 0; i + 2 < key->len; i++)
        if (key->data[i] == 0)
            key->data[i] = 0x1f;
}

static int group_flows(struct plan *p, struct groups *g, struct error *e)
{
    const struct field *by[BY_MAX];
    int r = take_by(p->q, by, e);
    struct buffer key = {0};
    for (size_t i = 0; r == 0 && i < flow_set_count(p->flows); i++) {
        struct flow_set_entry *f = flow_set_at(p->flows, i);
        if (!f->selected)
            continue;
        struct flow_row row = f->sum;
        orient(&row);
        r = group_key(by, p->q->by_count, &row, &key);
        struct flow_row *group = NULL;
        if (r == 0) {
            join_key(&key);
            group = group_of(g, (const char *)key.data, &row);
        }
        if (!group) {
            r = error_set(e, ERROR_MEMORY, "no memory for more than %zu groups", g->count);
            break;
        }
        if (group->flows == 0) {
            group->flows = 1;
            column_add(&group->has, FLOW_FLOWS);
        } else
            group_add(group, &row);
    }
    buffer_free(&key);
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

static int refuse_packet_words(struct plan *p, struct error *e)
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
                     "`print`) with this filter, or "
                     "connection words such as state, bytes > 1M, syn > 0",
                     what ? what : "a word of the filter");
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
    int r = refuse_packet_words(p, e);
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
        r = collect(p, &g, &rows, &count, e);
    if (r == 0) {
        uint64_t limit = p->q->limit ? p->q->limit : QUERY_ROWS_DEFAULT;
        qsort_r(rows, count, sizeof(struct flow_row *), compare, &order);
        p->rows = count < limit ? count : limit;
        r = write_rows(p, rows, (size_t)p->rows, e);
    }
    free(rows);
    groups_free(&g);
    return r;
}
