#include "collector/server/fleet.h"

#include "common/base/glob.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fleet {
    struct fleet_agent **agents; /* by name */
    size_t count, size;
};

static void free_agent(struct fleet_agent *a)
{
    if (!a)
        return;
    free(a->name);
    free(a->labels);
    free(a->label);
    free(a->labels_apart);
    free(a->flush_problem);
    free(a->refused);
    free(a);
}

void fleet_close(struct fleet *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        free_agent(f->agents[i]);
    free(f->agents);
    free(f);
}

/* ------------------------------------------------------------------ by name */

size_t fleet_count(const struct fleet *f)
{
    return f->count;
}

struct fleet_agent *fleet_at(const struct fleet *f, size_t i)
{
    return f->agents[i];
}

/* The first that does not come before it. */
static size_t place_of(const struct fleet *f, const char *name)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(f->agents[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct fleet_agent *fleet_find(const struct fleet *f, const char *name)
{
    size_t at = place_of(f, name);
    return at < f->count && strcmp(f->agents[at]->name, name) == 0 ? f->agents[at] : NULL;
}

bool fleet_is_silent(const struct fleet_agent *a, uint64_t now_ns)
{
    bool owes = a->asked_ns && a->asked_ns >= a->seen_ns;
    return a->control && (owes || (now_ns > a->seen_ns && now_ns - a->seen_ns > FLEET_SILENT_NS));
}

bool fleet_fits(const struct fleet_agent *a, char *const *globs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (glob_match(globs[i], a->name, strlen(a->name)))
            return true;
    return count == 0;
}

/* ------------------------------------------------------------------ making */

static bool set_labels(struct fleet_agent *a, const char *labels)
{
    if (a->labels && strcmp(a->labels, labels) == 0)
        return true;
    size_t most = 1;
    for (const char *p = labels; *p; p++)
        most += *p == ',';
    char *whole = strdup(labels), *apart = strdup(labels), **label = calloc(most, sizeof *label);
    if (!whole || !apart || !label) {
        free(whole);
        free(apart);
        free(label);
        return false;
    }
    free(a->labels);
    free(a->labels_apart);
    free(a->label);
    a->labels = whole;
    a->labels_apart = apart;
    a->label = label;
    a->label_count = 0;
    for (char *rest = apart, *one; (one = strsep(&rest, ","));)
        if (*one)
            label[a->label_count++] = one;
    return true;
}

static int make_room(struct fleet *f, struct error *e)
{
    if (f->count >= FLEET_AGENTS_MAX)
        return error_set(e, ERROR_LIMIT, "the collector knows %u agents, which is the most: take another for new ones",
                         FLEET_AGENTS_MAX);
    if (f->count < f->size)
        return 0;
    size_t size = f->size ? 2 * f->size : 64;
    struct fleet_agent **more = realloc(f->agents, size * sizeof(struct fleet_agent *));
    if (!more)
        return error_set(e, ERROR_MEMORY, "no memory for %zu agents", size);
    f->agents = more;
    f->size = size;
    return 0;
}

static int add(struct fleet *f, const char *name, struct fleet_agent **out, struct error *e)
{
    int r = make_room(f, e);
    if (r)
        return r;
    struct fleet_agent *a = calloc(1, sizeof *a);
    if (!a || !(a->name = strdup(name))) {
        free(a);
        return error_set(e, ERROR_MEMORY, "no memory for the agent %s", name);
    }
    size_t at = place_of(f, name);
    memmove(&f->agents[at + 1], &f->agents[at], (f->count - at) * sizeof(struct fleet_agent *));
    f->agents[at] = a;
    f->count++;
    *out = a;
    return 0;
}

int fleet_know(struct fleet *f, const char *name, const char *labels, uint64_t seen_ns, struct fleet_agent **out,
               struct error *e)
{
    struct fleet_agent *a = fleet_find(f, name);
    int r = a ? 0 : add(f, name, &a, e);
    if (r)
        return r;
    if (!set_labels(a, labels))
        return error_set(e, ERROR_MEMORY, "no memory for the labels of agent %s", name);
    a->seen_ns = seen_ns;
    *out = a;
    return 0;
}

void fleet_certify(struct fleet_agent *a, const char *serial, uint64_t certified_ns)
{
    snprintf(a->serial, sizeof a->serial, "%s", serial);
    a->certified_ns = certified_ns;
    free(a->refused);
    a->refused = NULL;
}

void fleet_refuse(struct fleet_agent *a, uint64_t now_ns, const char *why)
{
    if (a->control)
        return;
    free(a->refused);
    a->refused = strdup(why);
    a->refused_ns = now_ns;
}

char *fleet_problem(const struct fleet_agent *a)
{
    char when[64], *text = NULL;
    int n = 0;
    if (a->revoked_ns)
        n = asprintf(&text, CAPTURE_REVOKED " %s", units_format_time(a->revoked_ns, when, sizeof when));
    else if (!a->control && a->refused)
        n = asprintf(&text, "%s: %s", units_format_time(a->refused_ns, when, sizeof when), a->refused);
    return n < 0 ? NULL : text;
}

/* ------------------------------------------------------------------ from the catalog */

struct loading {
    struct fleet *f;
    struct error *e;
};

static int load(void *context, const struct store_agent_info *info)
{
    struct loading *l = context;
    struct fleet_agent *a;
    int r = fleet_know(l->f, info->name, info->labels, info->last_seen_ns, &a, l->e);
    if (r == 0)
        fleet_certify(a, info->serial, info->certified_ns);
    return r == ERROR_LIMIT ? 0 : r; /* it is known again when it comes, if there is room then */
}

int fleet_open(struct store *store, struct fleet **out, struct error *e)
{
    struct store_reader *r = NULL;
    struct fleet *f = calloc(1, sizeof *f);
    struct loading l = {f, e};
    int result = f ? store_reader_open(store, &r, e) : error_set(e, ERROR_MEMORY, "no memory for the agents");
    if (result == 0)
        result = store_each_known(r, load, &l, e);
    store_reader_close(r);
    if (result) {
        fleet_close(f);
        return result;
    }
    *out = f;
    return 0;
}
