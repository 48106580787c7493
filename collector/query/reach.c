#include "collector/query/reach.h"

#include <stdlib.h>
#include <string.h>

/* The streams of one capture on one agent. */
struct tally {
    const struct query_reach *reach;
    uint32_t ended, open;
    uint64_t sealed_ns; /* the least of those that are open */
    uint64_t last_ns;   /* the greatest packet time */
};

struct account {
    const struct query_live *live;
    struct manifest *manifest;
    struct tally *tallies; /* by agent, capture */
    uint64_t need_ns;
    int failed;
};

static int compare(const char *agent, const char *capture, const struct query_reach *r)
{
    int order = strcmp(agent, r->agent);
    return order ? order : strcmp(capture, r->capture);
}

static int by_names(const void *a, const void *b)
{
    const struct query_reach *x = ((const struct tally *)a)->reach;
    return compare(x->agent, x->capture, ((const struct tally *)b)->reach);
}

static int against_names(const void *stream, const void *tally)
{
    const struct store_stream_info *s = stream;
    return compare(s->agent, s->capture, ((const struct tally *)tally)->reach);
}

static uint64_t greatest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void lacks(struct account *x, const char *agent, uint64_t reaches_ns, const char *why)
{
    struct manifest_agent *a = manifest_agent(x->manifest, agent);
    if (a)
        manifest_open(a, reaches_ns, why);
    else
        x->failed = ERROR_MEMORY;
}

/* ------------------------------------------------------------------ streams */

static void add_stream(struct tally *t, const struct store_stream_info *s)
{
    if (s->ended)
        t->ended++;
    else if (t->open++ == 0 || s->sealed_ns < t->sealed_ns)
        t->sealed_ns = s->sealed_ns;
    t->last_ns = greatest(t->last_ns, s->last_ns);
}

static int note_stream(void *context, const struct store_stream_info *s)
{
    struct account *x = context;
    struct tally *t =
        x->live->reach_count ? bsearch(s, x->tallies, x->live->reach_count, sizeof *x->tallies, against_names) : NULL;
    if (t)
        add_stream(t, s);
    else if (!s->ended && s->sealed_ns < x->need_ns)
        lacks(x, s->agent, greatest(s->sealed_ns, s->last_ns), NULL);
    return x->failed;
}

/* ------------------------------------------------------------------ captures */

static void judge(struct account *x, const struct tally *t)
{
    const struct query_reach *r = t->reach;
    bool all_ended = t->ended && !t->open;
    bool all_sealed = t->open && t->sealed_ns >= x->need_ns;
    bool is_here = r->stopped ? all_ended : r->reaches_ns >= x->need_ns || all_sealed;
    if (!is_here)
        lacks(x, r->agent, greatest(greatest(r->reaches_ns, t->sealed_ns), t->last_ns), r->why);
}

int reach_account(struct store_reader *r, const struct store_scan *scan, const struct query_live *live,
                  struct manifest *m, struct error *e)
{
    struct account x = {.live = live,
                        .manifest = m,
                        .tallies = calloc(live->reach_count + 1, sizeof *x.tallies),
                        .need_ns = scan->until_ns < live->asked_ns ? scan->until_ns : live->asked_ns};
    if (!x.tallies)
        return error_set(e, ERROR_MEMORY, "no memory for a question");
    for (size_t i = 0; i < live->reach_count; i++)
        x.tallies[i].reach = &live->reaches[i];
    qsort(x.tallies, live->reach_count, sizeof *x.tallies, by_names);
    int code = store_each_stream(r, scan, note_stream, &x, e);
    for (size_t i = 0; code == 0 && i < live->reach_count; i++)
        judge(&x, &x.tallies[i]);
    free(x.tallies);
    return x.failed ? error_set(e, x.failed, "no memory for the answer's account") : code;
}
