#include "collector/cli/order_selector.h"
#include "common/base/suggest.h"
#include "common/net/selector.h"
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 256u
#define NAMED_MAX  8u /* agents or labels in a message */

/* An agent's labels, taken apart. */
struct labels_of {
    char *text; /* owned */
    char *items[LABELS_MAX];
    uint32_t count;
};

static const char *text_of(const json_t *agent, const char *key)
{
    const char *text = json_string_value(json_object_get(agent, key));
    return text ? text : "";
}

static void split_labels(const json_t *agent, struct labels_of *l)
{
    char *rest, *item;
    *l = (struct labels_of){.text = strdup(text_of(agent, "labels"))};
    rest = l->text;
    while (rest && l->count < LABELS_MAX && (item = strsep(&rest, ",")))
        if (*item)
            l->items[l->count++] = item;
}

static size_t count_meant(const json_t *agents, const struct capture_request *r)
{
    size_t i, n = 0;
    json_t *a;
    json_array_foreach(agents, i, a)
    {
        struct labels_of labels;
        split_labels(a, &labels);
        n += selector_means(r, text_of(a, "agent"), (const char *const *)labels.items, labels.count);
        free(labels.text);
    }
    return n;
}

/* ------------------------------------------------------------------ what was probably meant */

static const char *near_agent(const json_t *agents, const char *name)
{
    struct suggest meant;
    size_t i;
    json_t *a;
    suggest_begin(&meant, name, strlen(name));
    json_array_foreach(agents, i, a) suggest_consider(&meant, text_of(a, "agent"));
    return meant.word;
}

/* The first agents' names, or the first labels that they have, each once. */
static void put_known(const json_t *agents, bool labels, struct buffer *out)
{
    const char *put[NAMED_MAX];
    size_t i, count = 0, start = out->len;
    json_t *a;
    json_array_foreach(agents, i, a)
    {
        const char *text = text_of(a, labels ? "labels" : "agent");
        bool known = !*text;
        for (size_t k = 0; k < count && k < NAMED_MAX; k++)
            known |= strcmp(put[k], text) == 0;
        if (known)
            continue;
        if (count < NAMED_MAX) {
            put[count] = text;
            buffer_printf(out, "%s%s", out->len > start ? labels ? "; " : ", " : "", text);
        }
        count++;
    }
    if (count > NAMED_MAX)
        buffer_printf(out, " and %zu more", count - NAMED_MAX);
    if (count == 0)
        buffer_printf(out, "none");
}

static void put_selector(const struct capture_request *r, struct buffer *out)
{
    for (uint32_t i = 0; i < r->on_count; i++)
        buffer_printf(out, "%s--on %s", out->len ? " " : "", r->on[i]);
    for (uint32_t i = 0; i < r->label_count; i++)
        buffer_printf(out, "%s-l %s", out->len ? " " : "", r->labels[i]);
}

static int nobody(const json_t *agents, const struct capture_request *r, struct error *e)
{
    struct buffer selector = {.limit = 200}, known = {.limit = 400};
    const char *near = NULL;
    if (json_array_size(agents) == 0)
        return error_set(e, ERROR_NOT_FOUND, "nobody to capture: %s",
                         client_is_bound()
                             ? "no agent is among those that you may see"
                             : "no agent has ever connected to this collector (start fleetdump-agent with "
                               "`collector = ADDRESS`)");
    put_selector(r, &selector);
    for (uint32_t i = 0; i < r->on_count && !near; i++)
        near = near_agent(agents, r->on[i]);
    put_known(agents, r->label_count > 0 && r->on_count == 0, &known);
    int code = error_set(
        e, ERROR_NOT_FOUND, "no agent fits %.*s%s%s%s (%s: %.*s; `fleetdump agents` lists all)", (int)selector.len,
        (const char *)selector.data, near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "",
        r->label_count && !r->on_count ? "labels are" : "agents are", (int)known.len, (const char *)known.data);
    buffer_free(&selector);
    buffer_free(&known);
    return code;
}

/* Names that mean nobody, while others do: probably mistyped. */
static int check_idle_names(const struct cli *cli, const json_t *agents, const struct capture_request *r, bool partial,
                            struct error *e)
{
    for (uint32_t i = 0; i < r->on_count && r->on_count > 1; i++) {
        const struct capture_request one = {.on = r->on + i, .on_count = 1};
        if (count_meant(agents, &one))
            continue;
        const char *near = near_agent(agents, r->on[i]);
        struct error why = ERROR_INIT;
        (void)error_set(&why, ERROR_NOT_FOUND, "no agent is called '%s'%s%s%s", r->on[i],
                        near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
        if (!partial)
            return error_set(e, ERROR_NOT_FOUND, "nothing was started: %s (--partial starts on the others)", why.text);
        note(cli, "%s", why.text);
    }
    return 0;
}

int order_selector_check(const struct cli *cli, const json_t *agents, const struct capture_request *r, bool partial,
                         struct error *e)
{
    return count_meant(agents, r) ? check_idle_names(cli, agents, r, partial, e) : nobody(agents, r, e);
}
