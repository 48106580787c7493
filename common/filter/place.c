/* place: what agent and capture alone decide; all else may be true or not. */
#include "common/base/glob.h"
#include "common/filter/tree.h"
#include <string.h>

struct place {
    const char *agent, *capture;
};

static enum truth judge(const struct node *n, const struct place *p);

static enum truth judge_chain(const struct node *chain, const struct place *p)
{
    enum truth t = TRUTH_YES;
    for (const struct node *n = chain->child; n; n = n->next) {
        enum truth next = judge(n, p);
        if (n->or_before ? next > t : next < t)
            t = next;
    }
    return t;
}

static enum truth judge_name(const struct node *n, const char *name)
{
    return glob_match(n->pattern, name, strlen(name)) ? TRUTH_YES : TRUTH_NO;
}

static enum truth judge(const struct node *n, const struct place *p)
{
    switch (n->kind) {
    case NODE_CHAIN:
        return judge_chain(n, p);
    case NODE_NOT:
        return (enum truth)(TRUTH_YES - judge(n->child, p));
    case NODE_AGENT:
        return judge_name(n, p->agent);
    case NODE_CAPTURE:
        return judge_name(n, p->capture);
    default:
        return TRUTH_MAYBE;
    }
}

bool filter_may_match_at(const struct filter *f, const char *agent, const char *capture)
{
    const struct place p = {agent, capture};
    return judge(f->root, &p) != TRUTH_NO;
}
