/*
 * fleetdump capture stop, rm: end captures, and forget those that are over.
 */
#include "collector/cli/capture.h"
#include "collector/cli/interrupt.h"
#include "collector/cli/order_end.h"
#include "collector/cli/order_options.h"
#include "collector/cli/order_watch.h"
#include "common/base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AWAY_MS       10000u /* a collector that does not answer is asked again for so long: a capture is to be stopped */
#define AWAY_RETRY_MS 500u

struct stop {
    struct cli *cli;
    const char *which;
    bool no_wait;
    struct client *client;
    const char **several; /* rm: the names; room for all arguments */
    size_t count;
};

enum { OPTION_NO_WAIT = 0x700 };

static const struct argp_option stop_options[] = {
    {"no-wait", OPTION_NO_WAIT, NULL, 0, "do not wait until all agents have stopped", 5},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct stop *s = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = s->cli;
        return 0;
    case OPTION_NO_WAIT:
        s->no_wait = true;
        return 0;
    case ARGP_KEY_ARG:
        if (s->several)
            s->which = s->several[s->count++] = arg;
        else if (s->which)
            argp_error(state, "one name or id at a time ('%s'); a name may be a glob: quote it", arg);
        s->which = arg;
        return 0;
    case ARGP_KEY_END:
        if (!s->which)
            argp_error(state, "which capture? `fleetdump capture list` lists them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------ stop */

/* Whether those that were stopped are over; *orders is replaced by what they are now. */
static int ask_again(struct stop *s, json_t **orders, bool *over, struct error *e)
{
    json_t *now = json_array(), *one;
    size_t i;
    int r = 0;
    *over = true;
    json_array_foreach(*orders, i, one)
    {
        json_t *fresh = NULL;
        if (r == 0)
            r = order_fetch_one(s->client, order_text(one, "id"), &fresh, e);
        *over = *over && fresh && order_is_over(fresh);
        (void)json_array_append_new(now, fresh);
    }
    json_decref(*orders);
    *orders = now;
    return r;
}

static int wait_until_over(struct stop *s, json_t **orders, bool *over, struct error *e)
{
    uint64_t end_ns = clock_mono_ns() + WATCH_GRACE_MS * NS_PER_MS;
    int r = ask_again(s, orders, over, e);
    while (r == 0 && !*over && clock_mono_ns() < end_ns) {
        (void)interrupt_wait(WATCH_EVERY_MS, -1);
        r = ask_again(s, orders, over, e);
    }
    return r;
}

/* Agents that did not say that they stopped. */
static int still_running(const json_t *orders, struct error *e)
{
    struct buffer list = {.limit = 500};
    size_t i, k;
    json_t *order, *agent;
    json_array_foreach(orders, i, order)
    {
        json_array_foreach(json_object_get(order, "agents"), k, agent)
        {
            if (!order_agent_is_final(agent) && order_phase(agent) != PHASE_PENDING)
                buffer_printf(&list, "%s%s (%s)", list.len ? ", " : "", order_text(agent, "agent"),
                              order_text(agent, "phase"));
        }
    }
    int r = error_set(e, ERROR_INCOMPLETE,
                      "not all agents have said that they stopped: %.*s; they will, as soon as they can", (int)list.len,
                      (const char *)list.data);
    buffer_free(&list);
    return r;
}

static int stopped(struct stop *s, json_t **orders, struct error *e)
{
    bool over = true;
    size_t i;
    json_t *order;
    int r = s->no_wait ? 0 : wait_until_over(s, orders, &over, e);
    json_array_foreach(*orders, i, order)
    {
        if (r == 0)
            order_say_totals(s->cli, order);
    }
    return r == 0 && !over ? still_running(*orders, e) : r;
}

/* Also a stop whose answer got lost is told again: it does no harm. */
static int tell(struct stop *s, struct client_answer *answer, struct error *e)
{
    uint64_t end_ns = clock_mono_ns() + AWAY_MS * NS_PER_MS;
    for (bool said = false;; said = true) {
        struct error why = ERROR_INIT;
        int r = s->client ? 0 : client_open(s->cli, &s->client, &why);
        if (r == 0)
            r = watch_stop(s->client, s->which, answer, &why);
        if (r != ERROR_UNREACHABLE)
            return r ? error_set(e, r, "%s", why.text) : 0;
        client_answer_free(answer);
        client_close(s->client);
        s->client = NULL;
        if (clock_mono_ns() >= end_ns)
            return error_set(e, r, "nothing was stopped: %s", why.text);
        if (!said)
            note(s->cli, "%s; trying again for %u s", why.text, AWAY_MS / 1000);
        (void)interrupt_wait(AWAY_RETRY_MS, -1);
    }
}

static int run_stop(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct stop s = {.cli = cli};
    struct client_answer answer = {0};
    cli_parse(&command_capture_stop, argc, argv, &s);
    int r = tell(&s, &answer, e);
    if (r == 0 && answer.text[0])
        note(cli, "%s", answer.text);
    json_t *orders = json_incref(answer.manifest);
    if (r == 0 && json_is_array(orders))
        r = stopped(&s, &orders, e);
    json_decref(orders);
    client_answer_free(&answer);
    client_close(s.client);
    return r;
}

/* ------------------------------------------------------------------ rm */

static int remove_one(struct stop *s, const char *which, struct error *e)
{
    struct client_answer answer = {0};
    char who[ORDER_WHO_MAX];
    size_t i;
    json_t *order;
    const struct message_command m = {
        .kind = COMMAND_REMOVE, .which = (char *)(uintptr_t)which, .who = order_who(false, who)};
    int r = client_command(s->client, &m, &answer, e);
    if (r == 0)
        r = client_conclude(s->cli, &answer, "the rest is", e);
    json_array_foreach(answer.manifest, i, order)
        note(s->cli, "%s: forgotten (what it captured stays)", order_text(order, "capture"));
    client_answer_free(&answer);
    return r;
}

static int run_rm(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct stop s = {.cli = cli, .several = calloc((size_t)argc, sizeof(char *))};
    cli_parse(&command_capture_rm, argc, argv, &s);
    int r = s.several ? client_open(cli, &s.client, e) : error_set(e, ERROR_MEMORY, "no memory for names");
    for (size_t i = 0; r == 0 && i < s.count; i++)
        r = remove_one(&s, s.several[i], e);
    client_close(s.client);
    free(s.several);
    return r;
}

/* ------------------------------------------------------------------ the commands */

static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp stop_argp = {
    stop_options,
    parse,
    "NAME|ID",
    "Stops captures, waits until all agents have stopped, and says what they captured.\v"
    "NAME may be a glob, ID the beginning of one. An agent that is away stops when it comes back; a collector that "
    "does not answer is asked again for 10 s.\n\n"
    "Examples:\n"
    "  fleetdump capture stop slow\n"
    "  fleetdump capture stop 'slow-*'\n"
    "  fleetdump capture stop 7f3a\n",
    children,
    NULL,
    NULL};
static const struct argp rm_argp = {NULL,
                                    parse,
                                    "NAME|ID...",
                                    "Forgets captures that are over: they are not listed any more. What they captured "
                                    "stays.\v"
                                    "Examples:\n"
                                    "  fleetdump capture rm slow fast\n"
                                    "  fleetdump capture rm '*'\n",
                                    children,
                                    NULL,
                                    NULL};

const struct command command_capture_stop = {
    .name = "capture stop",
    .summary = "stops captures, and says what they captured",
    .argp = &stop_argp,
    .run = run_stop,
};
const struct command command_capture_rm = {
    .name = "capture rm",
    .summary = "forgets captures that are over",
    .argp = &rm_argp,
    .run = run_rm,
};
