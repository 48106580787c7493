#include "collector/cli/order_options.h"
#include "collector/cli/question.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include "common/net/selector.h"
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_FOR = 0x600,
    OPTION_BYTES,
    OPTION_RATE,
    OPTION_KEEP,
    OPTION_NAME,
    OPTION_START_AT,
    OPTION_NO_ICMP,
    OPTION_CUTOFF
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Where (one of --on, -l, -A is needed):", 10},
    {"on", 'n', "AGENT", 0, "on agents with this name (a glob; may repeat, or be separated by commas)", 10},
    {"label", 'l', "KEY=VALUE", 0,
     "on agents with this label (VALUE is a glob); role=web,dc=fra wants both, a second -l is an alternative", 10},
    {"all", 'A', NULL, 0, "on all agents, also those that come later", 10},
    {"interface", 'i', "NAME", 0,
     "on interfaces with this name (a glob; may repeat, or be separated by commas), or any (default: those that are "
     "up, have an address and no master, and are not the loopback)",
     10},
    {NULL, 0, NULL, 0, "What:", 11},
    {"snaplen", 's', "BYTES", 0, "of each packet (default: 262144)", 11},
    {"cutoff", OPTION_CUTOFF, "BYTES", 0,
     "of the payload of each direction of a flow only the first; headers are kept, and all is counted", 11},
    {"keep", OPTION_KEEP, "WHAT", 0, "packets, headers, or flows alone (default: packets)", 11},
    {"no-icmp-errors", OPTION_NO_ICMP, NULL, 0,
     "without the ICMP errors that quote a captured connection and without later fragments, which come along else", 11},
    {"name", OPTION_NAME, "NAME", 0, "of the capture (default: the first digits of its id)", 11},
    {NULL, 0, NULL, 0, "Until when, for each agent:", 12},
    {"for", OPTION_FOR, "TIME", 0, "how long, or ever: until it is stopped (default: 60s)", 12},
    {"count", 'c', "PACKETS", 0, "at most so many packets", 12},
    {"bytes", OPTION_BYTES, "BYTES", 0, "at most so many, as they were on the wire, or none: no limit (default: 1G)",
     12},
    {"rate", OPTION_RATE, "BYTES", 0, "at most so many in a second; what is more is left out and counted", 12},
    {"start-at", OPTION_START_AT, "TIME", 0, "not at once: 23:30, '2026-11-26 03:00', or +15m (from now on)", 12},
    {0},
};

/* ------------------------------------------------------------------ options with numbers, lists, words */

#define AT(field) offsetof(struct order_options, field)

static const struct number_option {
    int key;
    const char *name;
    enum unit unit;
    size_t at;
    const char *none; /* the word for no limit, or NULL */
} numbers[] = {
    {'s', "-s", UNIT_BYTES, AT(snaplen), NULL},
    {OPTION_CUTOFF, "--cutoff", UNIT_BYTES, AT(cutoff), NULL},
    {'c', "-c", UNIT_COUNT, AT(packets), NULL},
    {OPTION_FOR, "--for", UNIT_NS, AT(for_ns), "ever"},
    {OPTION_BYTES, "--bytes", UNIT_BYTES, AT(bytes), "none"},
    {OPTION_RATE, "--rate", UNIT_BYTES, AT(rate), "none"},
};

static const struct list_option {
    int key;
    size_t items_at, count_at;
    bool one; /* commas are the item's own */
} lists[] = {
    {'n', AT(on), AT(on_count), false},
    {'l', AT(labels), AT(label_count), true},
    {'i', AT(interfaces), AT(interface_count), false},
};

static void *at(struct order_options *o, size_t offset)
{
    return (char *)o + offset;
}

static void take_number(const struct number_option *n, const char *arg, struct order_options *o,
                        struct argp_state *state)
{
    struct error e = ERROR_INIT;
    uint64_t value = 0;
    bool none = n->none && strcmp(arg, n->none) == 0;
    if (!none && units_parse(n->unit, arg, &value, &e))
        argp_error(state, "%s: %s%s%s%s", n->name, e.text, n->none ? " (or '" : "", n->none ? n->none : "",
                   n->none ? "')" : "");
    else if (!none && value == 0)
        argp_error(state, "%s 0 %s", n->name,
                   n->key == OPTION_CUTOFF ? "would keep headers alone: that is --keep headers"
                                           : "would capture nothing");
    memcpy(at(o, n->at), &value, sizeof value);
    o->bytes_said |= n->key == OPTION_BYTES;
}

static void take_item(const struct list_option *l, const char *arg, struct order_options *o, struct argp_state *state)
{
    struct error e = ERROR_INIT;
    char ***items = at(o, l->items_at);
    uint32_t *count = at(o, l->count_at), before = *count;
    if (l->one && selector_check_labels(arg, &e))
        argp_error(state, "-l: %s", e.text);
    else if ((l->one ? add_to_list(arg, strlen(arg), items, count, &e) : split_list(arg, items, count, &e)))
        argp_failure(state, EXIT_FAILED, 0, "%s", e.text);
    else if (*count == before)
        argp_error(state, "-%c '': a name is missing", l->key);
}

static void take_keep(const char *arg, struct order_options *o, struct argp_state *state)
{
    for (int k = KEEP_PACKETS; k <= KEEP_FLOWS; k++)
        if (strcmp(arg, capture_keep_name(k)) == 0) {
            o->keep = (uint8_t)k;
            return;
        }
    argp_error(state, "--keep %s: it is packets, headers or flows", arg);
}

/* Whether the key is of one of the tables. */
static bool take_by_table(int key, const char *arg, struct order_options *o, struct argp_state *state)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].key == key) {
            take_number(&numbers[i], arg, o, state);
            return true;
        }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (lists[i].key == key) {
            take_item(&lists[i], arg, o, state);
            return true;
        }
    return false;
}

/* ------------------------------------------------------------------ the whole */

static void check(const struct order_options *o, struct argp_state *state)
{
    if (!o->all && o->on_count == 0 && o->label_count == 0)
        argp_error(state, "capture where? --on AGENT, -l KEY=VALUE, or -A for all agents");
    if (o->all && (o->on_count || o->label_count))
        argp_error(state, "-A means all agents: leave it, or --on and -l");
    if (o->interface_count > REQUEST_INTERFACES_MAX)
        argp_error(state, "-i: at most %u names of interfaces (they may be globs)", REQUEST_INTERFACES_MAX);
    if (o->on_count > NET_STRINGS_MAX || o->label_count > NET_STRINGS_MAX)
        argp_error(state, "more than %u names of agents: use a glob or labels", NET_STRINGS_MAX);
    if (o->snaplen > ORDER_SNAPLEN_DEFAULT)
        argp_error(state, "-s: at most %u bytes", ORDER_SNAPLEN_DEFAULT);
    if (o->cutoff > UINT32_MAX)
        argp_error(state, "--cutoff: at most 4G - 1 bytes");
    if (o->name && (!o->name[0] || strlen(o->name) > HEAD_NAME_MAX || strpbrk(o->name, " \t\r\n/*?'\"")))
        argp_error(state, "--name: 1 to %u characters, no spaces, quotes, slashes, '*' or '?'", HEAD_NAME_MAX);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct order_options *o = state->input;
    struct error e = ERROR_INIT;
    if (take_by_table(key, arg, o, state))
        return 0;
    switch (key) {
    case 'A':
        o->all = true;
        return 0;
    case OPTION_KEEP:
        take_keep(arg, o, state);
        return 0;
    case OPTION_NO_ICMP:
        o->no_companions = true;
        return 0;
    case OPTION_NAME:
        o->name = arg;
        return 0;
    case OPTION_START_AT:
        o->start_at = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (append_word(&o->filter, arg, &e))
            argp_failure(state, EXIT_FAILED, 0, "%s", e.text);
        return 0;
    case ARGP_KEY_END:
        check(o, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp order_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

void order_options_free(struct order_options *o)
{
    free_list(o->on, o->on_count);
    free_list(o->labels, o->label_count);
    free_list(o->interfaces, o->interface_count);
    free(o->filter);
}
