/* eval: the walk. NO < MAYBE < YES: `and` is the least, `or` the greatest, `not` the mirror. */
#include "common/filter/eval.h"

static enum truth eval_chain(const struct node *chain, struct view *v)
{
    enum truth t = TRUTH_YES;
    for (const struct node *n = chain->child; n && !v->stopped; n = n->next) {
        if (n->or_before ? t == TRUTH_YES : t == TRUTH_NO)
            continue;
        enum truth next = eval(n, v);
        if (n->or_before ? next > t : next < t)
            t = next;
    }
    return t;
}

/* Without a tunnel the outer header is the only one, of rows too. */
static enum truth eval_outer(const struct node *n, struct view *v)
{
    if (v->tunnel == TUNNEL_NONE)
        return eval(n->child, v);
    if (v->scope != SCOPE_PACKET) {
        v->may_reject = true;
        return TRUTH_MAYBE;
    }
    struct view outer = eval_outer_view(v);
    enum truth t = eval(n->child, &outer);
    v->stopped = outer.stopped;
    v->code = outer.code;
    return t;
}

enum truth eval(const struct node *n, struct view *v)
{
    if (v->stopped)
        return TRUTH_NO;
    switch (n->kind) {
    case NODE_CHAIN:
        return eval_chain(n, v);
    case NODE_NOT:
        return (enum truth)(TRUTH_YES - eval(n->child, v));
    case NODE_OUTER:
        return eval_outer(n, v);
    case NODE_PCAP:
    case NODE_MPLS:
        if (v->scope == SCOPE_PACKET)
            return eval_packet_word(n, v);
        v->may_reject |= n->kind == NODE_PCAP;
        return TRUTH_MAYBE;
    default:
        return eval_leaf(n, v);
    }
}
