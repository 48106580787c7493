/*
 * fleetdump capture list, show: captures as they were ordered, and how their agents do.
 *
 * What tables show but the collector's documents do not have as it is (sums of drops, "2/3") is added to the documents
 * before they are printed.
 */
#include "collector/cli/capture.h"
#include "collector/cli/order.h"
#include "common/base/clock.h"
#include "common/base/suggest.h"
#include <stdio.h>
#include <string.h>

static const struct list_column orders_columns[] = {
    {"capture", "CAPTURE", LOOK_NAME, NULL},
    {"id", "ID", LOOK_ID, NULL},
    {"state", "STATE", LOOK_NAME, NULL},
    {"on", "AGENTS", LOOK_NAME, NULL},
    {"packets", "PACKETS", LOOK_COUNT, NULL},
    {"bytes", "BYTES", LOOK_BYTES, NULL},
    {"bytes_per_s", "RATE", LOOK_RATE, NULL},
    {"drops", "DROPPED", LOOK_COUNT, NULL},
    {"left_ns", "LEFT", LOOK_LEFT, NULL},
    {"filter", "FILTER", LOOK_TEXT, NULL},
    {"selector", "WHERE", LOOK_TEXT, NULL},
    {"interfaces", "INTERFACES", LOOK_WORDS, NULL},
    {"keep", "KEEP", LOOK_NAME, NULL},
    {"snaplen", "SNAPLEN", LOOK_COUNT, NULL},
    {"cutoff", "CUTOFF", LOOK_BYTES, NULL},
    {"start", "START", LOOK_TIME, NULL},
    {"end", "END", LOOK_TIME, NULL},
    {"why", "ENDED BY", LOOK_TEXT, NULL},
    {"limit_packets", "MOST PACKETS", LOOK_COUNT, "limits.packets"},
    {"limit_bytes", "MOST BYTES", LOOK_BYTES, "limits.bytes"},
    {"limit_rate", "MOST RATE", LOOK_RATE, "limits.rate"},
    {"kernel_drops", "KERNEL DROPS", LOOK_COUNT, NULL},
    {"other_drops", "OTHER DROPS", LOOK_COUNT, NULL},
    {"packets_per_s", "PACKETS/S", LOOK_COUNT, NULL},
    {"issued", "ISSUED", LOOK_TIME, NULL},
    {"ended", "ENDED", LOOK_TIME, NULL},
    {"who", "BY", LOOK_TEXT, NULL},
    {"agents", "AGENTS", LOOK_JSON, NULL},
    {0},
};
static const struct list_column agents_columns[] = {
    {"agent", "AGENT", LOOK_NAME, NULL},
    {"phase", "PHASE", LOOK_NAME, NULL},
    {"interfaces", "ON", LOOK_WORDS, NULL},
    {"packets", "PACKETS", LOOK_COUNT, NULL},
    {"bytes", "BYTES", LOOK_BYTES, NULL},
    {"bytes_per_s", "RATE", LOOK_RATE, NULL},
    {"drops", "DROPPED", LOOK_COUNT, NULL},
    {"left_ns", "LEFT", LOOK_LEFT, NULL},
    {"text", "WHY", LOOK_TEXT, NULL},
    {"connected", "CONNECTED", LOOK_NAME, NULL},
    {"packets_per_s", "PACKETS/S", LOOK_COUNT, NULL},
    {"kernel_drops", "KERNEL DROPS", LOOK_COUNT, NULL},
    {"other_drops", "OTHER DROPS", LOOK_COUNT, NULL},
    {"own", "OWN", LOOK_COUNT, NULL},
    {"forbidden", "FORBIDDEN", LOOK_COUNT, NULL},
    {0},
};
static const struct list_column check_columns[] = {
    {"agent", "AGENT", LOOK_NAME, NULL},
    {"answer", "ANSWER", LOOK_TEXT, NULL},
    {"interfaces", "ON", LOOK_WORDS, NULL},
    {"packets_per_s", "PACKETS/S", LOOK_COUNT, NULL},
    {"bytes_per_s", "RATE NOW", LOOK_RATE, NULL},
    {"needs", "AT MOST", LOOK_BYTES, NULL},
    {"free_bytes", "ROOM", LOOK_BYTES, NULL},
    {"phase", "PHASE", LOOK_NAME, NULL},
    {"text", "WHY", LOOK_TEXT, NULL},
    {"connected", "CONNECTED", LOOK_NAME, NULL},
    {0},
};

static const struct listing list_orders = {
    .kind = QUERY_ORDERS,
    .columns = orders_columns,
    .choice =
        {.narrow = "capture,state,on,packets,bytes,drops,left_ns,filter",
         .table = "capture,id,state,on,packets,bytes,drops,left_ns,filter",
         .wide =
             "capture,id,state,on,packets,bytes,bytes_per_s,drops,left_ns,start,end,keep,snaplen,cutoff,limit_packets,"
             "limit_bytes,limit_rate,who,why,selector,interfaces,filter"},
    .nothing = "no captures were started: `fleetdump capture start --help` (those that files were read into stand in "
               "`fleetdump captures`)",
};
static const struct listing list_agents = {
    .columns = agents_columns,
    .choice = {.narrow = "agent,phase,interfaces,packets,drops,left_ns,text",
               .table = "agent,phase,interfaces,packets,bytes,bytes_per_s,drops,left_ns,text",
               .wide = "agent,phase,interfaces,packets,bytes,packets_per_s,bytes_per_s,kernel_drops,other_drops,own,"
                       "forbidden,left_"
                       "ns,connected,text"},
};
static const struct listing list_check = {
    .columns = check_columns,
    .choice = {.table = "agent,answer,interfaces,packets_per_s,bytes_per_s,needs,free_bytes",
               .wide = "agent,answer,interfaces,packets_per_s,bytes_per_s,needs,free_bytes,text"},
};

/* ------------------------------------------------------------------ what is added */

static void add_text(json_t *o, const char *key, const char *text)
{
    (void)json_object_set_new(o, key, json_string(text));
}

static void add_number(json_t *o, const char *key, uint64_t value)
{
    (void)json_object_set_new(o, key, json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value)));
}

/* What has ended has no time left, and nobody of how many who run it. */
static void complete_order(json_t *order)
{
    char text[64];
    const json_t *agents = json_object_get(order, "agents");
    size_t i;
    json_t *a;
    bool ended = order_has_ended(order);
    if (ended)
        snprintf(text, sizeof text, "%zu", json_array_size(agents));
    else
        snprintf(text, sizeof text, "%zu/%zu", order_count(order, PHASE_RUNNING), json_array_size(agents));
    add_text(order, "on", text);
    add_number(order, "drops", order_drops(order));
    if (ended)
        (void)json_object_set_new(order, "left_ns", json_null());
    json_array_foreach(agents, i, a)
    {
        add_number(a, "drops", order_drops(a));
        if (ended)
            (void)json_object_set_new(a, "left_ns", json_null());
        if (!ended && order_phase(a) == PHASE_RUNNING && !order_number(a, "left_ns"))
            add_number(a, "left_ns", INT64_MAX);
    }
    if (!ended && !json_is_integer(json_object_get(order, "left_ns")))
        add_number(order, "left_ns", INT64_MAX);
}

static int print_orders(const struct cli *cli, json_t *orders, struct error *e)
{
    size_t i;
    json_t *order;
    json_array_foreach(orders, i, order) complete_order(order);
    return listing_print(cli, &list_orders, orders, e);
}

static bool would_run(const json_t *agent)
{
    return strcmp(order_text(agent, "phase"), "checked") == 0;
}

static uint64_t needed(const json_t *agent, uint64_t for_ns, uint64_t bytes)
{
    uint64_t rate = order_number(agent, "bytes_per_s"), seconds = (for_ns + NS_PER_S - 1) / NS_PER_S, takes;
    if (for_ns == 0 || __builtin_mul_overflow(rate, seconds, &takes))
        takes = UINT64_MAX;
    return bytes && bytes < takes ? bytes : takes;
}

int capture_print_check(const struct cli *cli, json_t *order, uint64_t for_ns, uint64_t bytes, bool packets,
                        struct error *e)
{
    json_t *agents = json_object_get(order, "agents"), *a;
    size_t i;
    json_array_foreach(agents, i, a)
    {
        add_text(a, "answer", would_run(a) ? "yes" : order_text(a, "phase")); /* why is said below the table */
        uint64_t takes = needed(a, for_ns, bytes);
        if (would_run(a) && packets && takes != UINT64_MAX)
            add_number(a, "needs", takes);
        for (const char *const *key = (const char *const[]){"packets_per_s", "bytes_per_s", "free_bytes", NULL}; *key;
             key++)
            if (!would_run(a))
                (void)json_object_del(a, *key);
    }
    return listing_print(cli, &list_check, agents, e);
}

/* ------------------------------------------------------------------ list */

static int fetch(const struct cli *cli, const char *which, json_t **orders, struct error *e)
{
    struct client *client = NULL;
    *orders = NULL;
    int r = client_open(cli, &client, e);
    if (r == 0)
        r = order_fetch(client, which, orders, e);
    client_close(client);
    return r;
}

struct which {
    struct cli *cli;
    const char *which;
    bool needed;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct which *w = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = w->cli;
        return 0;
    case ARGP_KEY_ARG:
        if (w->which)
            argp_error(state, "one name or id at a time ('%s'); a name may be a glob: quote it", arg);
        w->which = arg;
        return 0;
    case ARGP_KEY_END:
        if (!w->which && w->needed)
            argp_error(state, "which capture? `fleetdump capture list` lists them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run_list(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct which w = {.cli = cli};
    json_t *orders = NULL;
    cli_parse(&command_capture_list, argc, argv, &w);
    int r = listing_check(cli, &list_orders, e);
    if (r == 0)
        r = fetch(cli, w.which ? w.which : "", &orders, e);
    if (r == 0)
        r = print_orders(cli, orders, e);
    json_decref(orders);
    return r;
}

/* ------------------------------------------------------------------ show */

static int unknown(const struct cli *cli, const char *which, struct error *e)
{
    struct suggest meant;
    json_t *orders = NULL, *order;
    size_t i;
    int r = fetch(cli, "", &orders, e);
    suggest_begin(&meant, which, strlen(which));
    json_array_foreach(orders, i, order) suggest_consider(&meant, order_text(order, "capture"));
    if (r == 0)
        r = error_set(e, ERROR_NOT_FOUND, "no capture is called '%s'%s%s%s (`fleetdump capture list` lists them)",
                      which, meant.word ? ": did you mean '" : "", meant.word ? meant.word : "",
                      meant.word ? "'?" : "");
    json_decref(orders);
    return r;
}

static int several(const char *which, const json_t *orders, struct error *e)
{
    return error_set(e, ERROR_USAGE,
                     "'%s' is %zu captures ('%s', '%s', ...): show takes one; `fleetdump capture list "
                     "'%s'` lists them",
                     which, json_array_size(orders), order_text(json_array_get(orders, 0), "capture"),
                     order_text(json_array_get(orders, 1), "capture"), which);
}

static void say_order(const struct cli *cli, const json_t *order)
{
    const char *filter = order_text(order, "filter"), *why = order_text(order, "why");
    note(cli, "%s (%s): %s%s%s", order_text(order, "capture"), order_text(order, "id"), order_text(order, "state"),
         *why ? ", " : "", why);
    if (json_is_null(json_object_get(order, "filter")))
        note(cli,
             "others started it, and it reaches further than what you may see: filter, agents and who are not shown");
    else
        note(cli, "filter: %s; agents: %s; started by %s", *filter ? filter : "none, all packets",
             order_text(order, "selector"), order_text(order, "who"));
}

static int show_one(const struct cli *cli, json_t *order, struct error *e)
{
    complete_order(order);
    say_order(cli, order);
    return listing_print(cli, &list_agents, json_object_get(order, "agents"), e);
}

static int run_show(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct which w = {.cli = cli, .needed = true};
    json_t *orders = NULL;
    cli_parse(&command_capture_show, argc, argv, &w);
    int r = listing_check(cli, &list_agents, e);
    if (r == 0)
        r = fetch(cli, w.which, &orders, e);
    if (r == 0 && json_array_size(orders) == 0)
        r = unknown(cli, w.which, e);
    else if (r == 0 && json_array_size(orders) > 1)
        r = several(w.which, orders, e);
    else if (r == 0)
        r = show_one(cli, json_array_get(orders, 0), e);
    json_decref(orders);
    return r;
}

/* ------------------------------------------------------------------ the commands */

static const struct argp_child children[] = {{&cli_table_argp, 0, NULL, 0}, {0}};
static const struct argp list_argp = {NULL,
                                      parse,
                                      "[NAME|ID]",
                                      "Captures that were started, the newest first: how many of the agents that are "
                                      "meant run it, and what they captured.\v"
                                      "NAME may be a glob, ID the beginning of one.\n\n"
                                      "Examples:\n"
                                      "  fleetdump capture list\n"
                                      "  fleetdump capture list 'slow-*' -o json\n",
                                      children,
                                      NULL,
                                      NULL};
static const struct argp show_argp = {NULL,
                                      parse,
                                      "NAME|ID",
                                      "One capture, agent by agent: what each captures on, how much, what was dropped, "
                                      "and why it does not capture.\v"
                                      "Examples:\n"
                                      "  fleetdump capture show slow\n"
                                      "  fleetdump capture show 7f3a -o wide\n",
                                      children,
                                      NULL,
                                      NULL};

const struct command command_capture_list = {
    .name = "capture list",
    .summary = "captures that were started, and how far they are",
    .argp = &list_argp,
    .run = run_list,
    .column = listing_column,
    .columns_of = &list_orders,
};
const struct command command_capture_show = {
    .name = "capture show",
    .summary = "one capture, agent by agent",
    .argp = &show_argp,
    .run = run_show,
    .column = listing_column,
    .columns_of = &list_agents,
};
