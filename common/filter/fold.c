/* fold: what a row must have, for indexes. A class of packets that matches has all that an `and` asks for, and so
 * has its row. */
#include "common/filter/tree.h"
#include <string.h>

static void *leaf(const struct filter_fold *ops, const struct filter_term *t)
{
    return ops->leaf(ops->context, t);
}

static void *any(const struct filter_fold *ops)
{
    return leaf(ops, &(struct filter_term){.kind = FILTER_TERM_ANY});
}

static void *fold_address(const struct node *n, const struct filter_fold *ops)
{
    unsigned bits = n->net.family == FAMILY_IP4 ? 32 : 128;
    struct filter_term t = {.family = n->net.family, .prefix = n->net.prefix};
    t.kind = n->net.prefix == bits ? FILTER_TERM_ADDRESS : FILTER_TERM_NET;
    memcpy(t.addr, n->net.addr, sizeof t.addr);
    return leaf(ops, &t); /* cppcheck-suppress returnDanglingLifetime ; used until it returns */
}

/* Nothing matches a name without addresses, but there is no term for nothing. */
static void *fold_name(const struct node *n, const struct filter_fold *ops)
{
    if (!n->name.count)
        return any(ops);
    void *value = NULL;
    for (uint32_t i = 0; i < n->name.count; i++) {
        const struct filter_address *a = &n->name.items[i];
        struct filter_term t = {.kind = FILTER_TERM_ADDRESS, .family = a->family};
        t.prefix = a->family == FAMILY_IP4 ? 32 : 128;
        memcpy(t.addr, a->addr, sizeof t.addr);
        void *one = leaf(ops, &t);
        value = i ? ops->either(ops->context, value, one) : one;
    }
    return value;
}

static void *fold_port(const struct node *n, const struct filter_fold *ops)
{
    struct filter_term t = {.port = n->port.first, .last_port = n->port.last};
    t.kind = n->port.first == n->port.last ? FILTER_TERM_PORT : FILTER_TERM_PORT_RANGE;
    return leaf(ops, &t); /* cppcheck-suppress returnDanglingLifetime ; used until it returns */
}

static void *fold(const struct node *n, const struct filter_fold *ops);

static void *fold_chain(const struct node *chain, const struct filter_fold *ops)
{
    if (!chain->child)
        return any(ops);
    void *value = fold(chain->child, ops);
    for (const struct node *n = chain->child->next; n; n = n->next) {
        void *next = fold(n, ops);
        value = (n->or_before ? ops->either : ops->both)(ops->context, value, next);
    }
    return value;
}

static void *fold(const struct node *n, const struct filter_fold *ops)
{
    switch (n->kind) {
    case NODE_CHAIN:
        return fold_chain(n, ops);
    case NODE_ADDRESS:
        return fold_address(n, ops);
    case NODE_NAME:
        return fold_name(n, ops);
    case NODE_PORT:
        return fold_port(n, ops);
    case NODE_AGENT:
        return leaf(ops, &(struct filter_term){.kind = FILTER_TERM_AGENT, .glob = n->pattern});
    case NODE_ID:
        return leaf(ops,
                    &(struct filter_term){.kind = FILTER_TERM_FLOW_ID, .flow_id = n->id.value, .prefix = n->id.digits});
    default:
        return any(ops);
    }
}

void *filter_fold(const struct filter *f, const struct filter_fold *ops)
{
    return fold(f->root, ops);
}
