/*
 * fleetdump print: packets of all hosts in tcpdump's own words, the agent and interface in front; with --follow on and on.
 */
#include "collector/cli/follow.h"
#include "collector/cli/interrupt.h"
#include "collector/cli/order.h"
#include "collector/cli/pulling.h"
#include "collector/cli/tcpdump.h"
#include "common/base/clock.h"
#include "common/base/suggest.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_AFTER_END 2u   /* once a capture is over: the second answer has what came while the first was made */
#define FOLLOW_SINCE    "2s" /* without --since: from now on, give or take what clocks differ */

struct print {
    struct pulling p;
    bool follow;
    char *options[TCPDUMP_OPTIONS_MAX + 1]; /* of tcpdump, terminated by NULL */
    int option_count;
    struct tcpdump *tcpdump;
    bool ordered; /* --follow: --capture names one that was started, so it has an end */
    struct client *watcher;
};

enum { OPTION_FOLLOW = 'f' };

/* Letters of tcpdump's that mean nothing else here are taken without the -- before them. */
static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "How they are printed, as by tcpdump (others behind --):", 5},
    {NULL, 'v', NULL, 0, "more of each header; -vv, -vvv: still more", 5},
    {NULL, 'X', NULL, 0, "the bytes too, as hex digits and letters", 5},
    {NULL, 'x', NULL, 0, "the bytes too, as hex digits", 5},
    {NULL, 'A', NULL, 0, "the bytes too, as letters", 5},
    {NULL, 'e', NULL, 0, "the link layer's header too", 5},
    {NULL, 'S', NULL, 0, "TCP's sequence numbers as they are, not relative", 5},
    {NULL, 't', NULL, 0, "no time; -tttt with the day, -ttttt since the first packet", 5},
    {"follow", OPTION_FOLLOW, NULL, 0,
     "go on with what agents capture from now on, until Ctrl-C, --deadline, or the end of the one that --capture "
     "names (packets stored before only with --since or --capture)",
     6},
    {0},
};

/* ------------------------------------------------------------------ once */

static int take(void *context, const struct message_result *result, struct error *e)
{
    return tcpdump_feed(context, result->data, result->length, e);
}

/* What `r` comes to once tcpdump has ended: it may have had enough, or failed. */
static int finish(struct print *p, int r, struct error *e)
{
    struct error why = ERROR_INIT;
    bool enough = tcpdump_had_enough(p->tcpdump);
    int ended = tcpdump_finish(p->tcpdump, &why);
    if (ended && (r == 0 || enough))
        return error_set(e, ended, "%s", why.text);
    return enough ? 0 : r;
}

static int print_once(struct print *p, struct error *e)
{
    struct client_answer answer;
    int r = client_ask(p->p.u.cli, &p->p.u.q, "print", take, p->tcpdump, &answer, e);
    r = finish(p, r, e);
    if (r == 0 && !tcpdump_had_enough(p->tcpdump))
        r = pulling_conclude(p->p.u.cli, &answer, "what is printed is", e);
    client_answer_free(&answer);
    return r;
}

/* ------------------------------------------------------------------ on and on */

static int take_followed(void *context, const void *data, size_t len, struct error *e)
{
    return tcpdump_feed(context, data, len, e);
}

/* Prints what tcpdump says until the next question is due. */
static int wait_and_print(struct print *p, const struct follow *f, struct error *e)
{
    unsigned ms, interrupts = interrupt_count();
    int r = 0;
    while (r == 0 && (ms = follow_wait_ms(f)) > 0 && interrupt_count() == interrupts && !tcpdump_had_enough(p->tcpdump))
        if (interrupt_wait(ms, tcpdump_fd(p->tcpdump)) && tcpdump_fd(p->tcpdump) >= 0)
            r = tcpdump_print(p->tcpdump, e);
    return r;
}

/* Whether the capture that is followed is over, as far as the collector tells. */
static bool is_over(struct print *p)
{
    const char *name = p->p.u.q.capture;
    json_t *orders = NULL, *one;
    bool over = p->ordered;
    size_t i;
    int r = !over ? ERROR_NOT_FOUND : p->watcher ? 0 : client_open(p->p.u.cli, &p->watcher, NULL);
    if (r == 0)
        r = order_fetch(p->watcher, name, &orders, NULL);
    json_array_foreach(orders, i, one) over =
        over && (!order_feeds(one, &p->p.u.q) || strcmp(order_text(one, "state"), "over") == 0);
    json_decref(orders);
    if (r) {
        client_close(p->watcher);
        p->watcher = NULL;
    }
    return over && r == 0;
}

static bool time_is_over(const struct print *p, uint64_t begin_ns)
{
    uint64_t ms = p->p.u.deadline_ms;
    return ms && clock_mono_ns() - begin_ns >= ms * NS_PER_MS;
}

static int go_on(struct print *p, struct follow *f, struct error *e)
{
    uint64_t begin_ns = clock_mono_ns();
    unsigned asked_after_end = 0;
    int r = 0;
    while (r == 0 && interrupt_count() == 0 && !tcpdump_had_enough(p->tcpdump) && asked_after_end < ASKED_AFTER_END &&
           !time_is_over(p, begin_ns)) {
        asked_after_end = is_over(p) ? asked_after_end + 1 : 0;
        r = follow_ask(f, e);
        if (r == 0)
            r = wait_and_print(p, f, e);
    }
    return r;
}

static void say_sum(const struct cli *cli, const struct follow *f)
{
    char packets[40], bytes[40];
    note(cli, "%s packets, %s", units_format(UNIT_COUNT, follow_packets(f), packets, sizeof packets),
         units_format(UNIT_BYTES, follow_bytes(f), bytes, sizeof bytes));
}

/* Adds those of a list of orders or captures to what may have been meant; true if one has the name. */
static bool find_name(const json_t *list, const char *name, struct suggest *meant)
{
    bool found = false;
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *capture = order_text(one, "capture");
        suggest_consider(meant, capture);
        found = found || strcmp(capture, name) == 0;
    }
    return found;
}

/* One name that no capture has, ordered or stored, is mistyped; a pattern may fit what comes later. */
static int check_name(struct print *p, struct client *c, const json_t *orders, struct error *e)
{
    const struct message_query q = {.kind = QUERY_CAPTURES, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    const char *name = p->p.u.q.capture;
    struct suggest meant;
    json_t *captures = NULL;
    if (!name || !*name || name[strcspn(name, "*?[")])
        return 0;
    suggest_begin(&meant, name, strlen(name));
    p->ordered = find_name(orders, name, &meant);
    int r = 0;
    if (!p->ordered && client_fetch(c, &q, &captures, NULL) == 0 && !find_name(captures, name, &meant))
        r = error_set(e, ERROR_NOT_FOUND,
                      "no capture is called '%s'%s%s%s (`fleetdump capture list` and `fleetdump captures` list them)",
                      name, meant.word ? ": did you mean '" : "", meant.word ? meant.word : "", meant.word ? "'?" : "");
    json_decref(captures);
    return r;
}

/* Files may be read in all the same. */
static int look_what_may_come(struct print *p, struct error *e)
{
    struct client *c = NULL;
    json_t *orders = NULL, *one;
    bool any = false;
    size_t i;
    if (client_open(p->p.u.cli, &c, NULL) || order_fetch(c, "", &orders, NULL)) { /* it may not, or not now */
        client_close(c);
        return 0;
    }
    int r = check_name(p, c, orders, e);
    json_array_foreach(orders, i, one) any = any || order_feeds(one, &p->p.u.q);
    if (r == 0 && !any && p->ordered)
        note(p->p.u.cli, "the capture %s is over: what is stored of it is printed", p->p.u.q.capture);
    else if (r == 0 && !any)
        note(p->p.u.cli,
             "no capture runs that could bring such packets (`fleetdump capture start` begins one): waiting");
    json_decref(orders);
    client_close(c);
    return r;
}

static int print_on(struct print *p, struct error *e)
{
    struct follow *f = NULL;
    int r = interrupt_watch(e);
    if (r == 0)
        r = follow_new(p->p.u.cli, &p->p.u.q, take_followed, p->tcpdump, &f, e);
    if (r == 0)
        r = look_what_may_come(p, e);
    if (r == 0)
        r = finish(p, go_on(p, f, e), e);
    if (r == 0) {
        say_sum(p->p.u.cli, f);
        r = follow_losses(f, e);
    }
    follow_free(f);
    client_close(p->watcher);
    return r;
}

/* ------------------------------------------------------------------ the command */

static void add_option(struct print *p, char *option, struct argp_state *state)
{
    if (p->option_count == TCPDUMP_OPTIONS_MAX)
        argp_error(state, "more than %d options for tcpdump", TCPDUMP_OPTIONS_MAX);
    else
        p->options[p->option_count++] = option;
}

static char *letter(int key)
{
    static char texts[][3] = {"-v", "-X", "-x", "-A", "-e", "-S", "-t"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i][1] == key)
            return texts[i];
    return NULL;
}

/* Packets of a stream come from all who saw them: which one is best is only known afterwards. */
static void check(struct print *p, struct argp_state *state)
{
    if (p->follow && p->p.vantage_said && !p->p.all_vantages)
        argp_error(state, "--follow prints what all agents see: --vantage auto can only be judged afterwards");
    if (p->follow && p->p.u.until)
        argp_error(state, "--follow goes on until Ctrl-C: it does not go with --until");
    p->p.all_vantages |= p->follow;
    p->p.u.goes_on = p->follow;
    if (p->follow && !p->p.u.since && !p->p.u.capture)
        p->p.u.since = FOLLOW_SINCE;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct print *p = state->input;
    (void)arg;
    if (letter(key)) {
        add_option(p, letter(key), state);
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &p->p;
        return 0;
    case OPTION_FOLLOW:
        p->follow = true;
        return 0;
    case ARGP_KEY_END:
        check(p, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Cuts off what stands behind --. */
static int split_options(struct print *p, int *argc, char **argv, struct error *e)
{
    int end = 1;
    while (end < *argc && strcmp(argv[end], "--") != 0)
        end++;
    if (*argc - end - 1 > TCPDUMP_OPTIONS_MAX)
        return error_set(e, ERROR_USAGE, "more than %d options for tcpdump", TCPDUMP_OPTIONS_MAX);
    for (int i = end + 1; i < *argc; i++)
        p->options[p->option_count++] = argv[i];
    *argc = end;
    return 0;
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct print p = {.p = PULLING_INIT(cli)};
    int r = split_options(&p, &argc, argv, e);
    if (r)
        return r;
    cli_parse(&command_print, argc, argv, &p);
    r = tcpdump_new(p.options, p.follow, &p.tcpdump, e);
    if (r == 0)
        r = pulling_prepare(&p.p, e);
    if (r == 0)
        r = p.follow ? print_on(&p, e) : print_once(&p, e);
    tcpdump_free(p.tcpdump);
    question_free(&p.p.u);
    return r;
}

static const struct argp_child children[] = {{&pulling_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {options,
                                 parse,
                                 "[FILTER] [-- TCPDUMP-OPTION...]",
                                 "Packets of all hosts in tcpdump's words, the agent and interface in front.\v"
                                 "What stands behind -- is handed on to tcpdump (-c 10, -K, -T rpc, ...).\n\n"
                                 "Examples:\n"
                                 "  fleetdump print 'udp port 53' --since 5m\n"
                                 "  fleetdump print 'host 10.0.0.5 and port 80' --capture monday -X\n"
                                 "  fleetdump print --follow 'tcp port 80' -A\n\n"
                                 "`fleetdump help filter` lists the words of filters.\n",
                                 children,
                                 NULL,
                                 NULL};

const struct command command_print = {
    .name = "print",
    .summary = "packets of all hosts in tcpdump's words",
    .argp = &argp,
    .run = run,
};
