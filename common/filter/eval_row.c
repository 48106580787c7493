/* eval_row: flows, by the classes of packets that rows counted. */
#include "common/filter/eval.h"

struct class
{
    unsigned sender; /* endpoint */
    bool later;      /* fragments but the first */
};

static const struct class classes[] = {{0, false}, {1, false}, {0, true}, {1, true}};
#define CLASSES (sizeof classes / sizeof *classes)

static struct view class_view(const struct flow_row *row, const struct class *c, enum scope scope)
{
    const struct flow_key *key = &row->key;
    unsigned from = c->sender, to = 1 - c->sender;
    return (struct view){
        .scope = scope,
        .flow = row,
        .addr = {key->addr[from], key->addr[to]},
        .port = {key->port[from], key->port[to]},
        .ethertype = key->ethertype,
        .vlan = {key->vlan[0], key->vlan[1]},
        .tunnel_id = key->tunnel_id,
        .tunnel = key->tunnel,
        .family = key->family,
        .proto = key->proto,
        .has_ports = key->has_ports && !c->later,
    };
}

static bool counted(const struct flow_row *row, const struct class *c)
{
    uint64_t packets = column_has(&row->has, FLOW_PACKETS_0 + c->sender) ? row->packets[c->sender] : 0;
    uint32_t later = column_has(&row->has, FLOW_LATER_FRAGMENTS_0 + c->sender) ? row->later_fragments[c->sender] : 0;
    return c->later ? later > 0 : packets > later;
}

/* Fragments exist above IP alone. */
static bool possible(const struct flow_row *row, const struct class *c)
{
    return !c->later || row->key.ethertype == ETHERTYPE_IP4 || row->key.ethertype == ETHERTYPE_IP6;
}

static enum truth eval_class(const struct filter *f, const struct flow_row *row, const struct class *c,
                             enum scope scope)
{
    struct view v = class_view(row, c, scope);
    enum truth t = eval(f->root, &v);
    return t == TRUTH_YES && v.may_reject ? TRUTH_MAYBE : t;
}

enum truth filter_row_part(const struct filter *f, const struct flow_row *row)
{
    enum truth best = TRUTH_NO;
    for (size_t i = 0; i < CLASSES && best != TRUTH_YES; i++) {
        if (!possible(row, &classes[i]))
            continue;
        enum truth t = eval_class(f, row, &classes[i], SCOPE_PART);
        if (t == TRUTH_YES && !counted(row, &classes[i])) /* another row may have such packets, or none has */
            t = TRUTH_MAYBE;
        best = t > best ? t : best;
    }
    return best;
}

/* Calls for each class that the flow counted, and takes the least or the greatest truth. */
static enum truth over_classes(const struct filter *f, const struct flow_row *sum, bool all)
{
    enum truth end = all ? TRUTH_NO : TRUTH_YES, result = all ? TRUTH_YES : TRUTH_NO;
    bool any = false;
    for (size_t i = 0; i < CLASSES; i++)
        any |= counted(sum, &classes[i]);
    for (size_t i = 0; i < CLASSES && result != end; i++) {
        /* A flow whose packets stand in rows that are gone is judged as if it had some either way. */
        if (any ? !counted(sum, &classes[i]) : classes[i].later)
            continue;
        enum truth t = eval_class(f, sum, &classes[i], SCOPE_SUM);
        if (all ? t < result : t > result)
            result = t;
    }
    return result;
}

enum truth filter_row_sum(const struct filter *f, const struct flow_row *sum)
{
    return over_classes(f, sum, false);
}

enum truth filter_row_whole(const struct filter *f, const struct flow_row *sum)
{
    return over_classes(f, sum, true);
}
