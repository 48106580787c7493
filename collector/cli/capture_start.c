/*
 * fleetdump capture start: orders a capture, waits until it is over, and says what came of it.
 *
 * options -> request (names resolved, filter checked) -> the collector checks it on all hosts and starts it -> wait,
 * live -> what was captured has arrived -> the file, totals, the next commands
 */
#include "collector/cli/capture.h"
#include "collector/cli/capture_stream.h"
#include "collector/cli/interrupt.h"
#include "collector/cli/order_end.h"
#include "collector/cli/order_options.h"
#include "collector/cli/order_watch.h"
#include "collector/cli/pulling.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED_MOST            4u /* agents in a note */
#define ANSWER_WITHIN_MOST_NS (60 * NS_PER_S)

struct start {
    struct cli *cli;
    struct order_options options;
    bool dry_run, no_wait;
    uint64_t answer_ms; /* 0: the collector's default */
    int vantage;        /* enum query_vantage; -1: not said */
    uint32_t link_type;
    const char *write;
    struct output_file file;
    struct capture_stream *stream; /* of a pipe */
    struct client *client;
    json_t *order; /* as it is now */
};

enum { OPTION_DRY_RUN = 0x700, OPTION_PARTIAL, OPTION_NO_WAIT, OPTION_VANTAGE, OPTION_LINK_TYPE, OPTION_ANSWER_WITHIN };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "How:", 5},
    {"dry-run", OPTION_DRY_RUN, NULL, 0,
     "start nothing: who would capture on what, the traffic seen there now, and the disk it would take", 5},
    {"partial", OPTION_PARTIAL, NULL, 0, "start it where it can be, even if some agents refuse (then the status is 3)",
     5},
    {"answer-within", OPTION_ANSWER_WITHIN, "DURATION", 0,
     "how long agents may take to say whether they can, before they count as hanging (default: 2s; at most 60s)", 5},
    {"no-wait", OPTION_NO_WAIT, NULL, 0, "print its id and leave it alone, instead of waiting until it is over", 5},
    {"write", 'w', "FILE", 0,
     "the packets of all agents, merged by time into one pcapng file when it is over; - for standard output, at once "
     "as "
     "they come",
     5},
    {"vantage", OPTION_VANTAGE, "auto|all", 0,
     "with -w FILE: of a connection that several agents or interfaces saw, the packets of one of them or of all "
     "(default: auto; a pipe gets all)",
     5},
    {"link-type", OPTION_LINK_TYPE, "NUMBER", 0, "with -w: only packets of this link type", 5},
    {"output", 'o', "FORMAT", 0, "of --dry-run: table, wide, json, ndjson or csv (default: table)", 5},
    {0},
};

/* ------------------------------------------------------------------ options */

static void check(const struct start *s, struct argp_state *state)
{
    if (s->no_wait && s->write)
        argp_error(state, "-w writes what was captured when it is over: it does not go with --no-wait");
    if (s->dry_run && (s->write || s->no_wait))
        argp_error(state, "--dry-run captures nothing: it does not go with -w and --no-wait");
    if (s->write && s->options.keep == KEEP_FLOWS)
        argp_error(state, "--keep flows keeps no packets that -w could write");
    if (s->write && strcmp(s->write, "-") == 0 && s->vantage == VANTAGE_AUTO)
        argp_error(state, "-w - writes what all agents see: --vantage auto can only be judged afterwards");
}

static uint64_t parse_answer_ms(const char *arg, struct argp_state *state)
{
    struct error e = ERROR_INIT;
    uint64_t ns = 0;
    if (units_parse(UNIT_NS, arg, &ns, &e))
        argp_error(state, "--answer-within: %s", e.text);
    if (ns < NS_PER_MS || ns > ANSWER_WITHIN_MOST_NS)
        argp_error(state, "--answer-within %s: between 1ms and 60s", arg);
    return ns / NS_PER_MS;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct start *s = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &s->options;
        state->child_inputs[1] = s->cli;
        return 0;
    case OPTION_DRY_RUN:
        s->dry_run = true;
        return 0;
    case OPTION_PARTIAL:
        s->options.partial = true;
        return 0;
    case OPTION_ANSWER_WITHIN:
        s->answer_ms = parse_answer_ms(arg, state);
        return 0;
    case OPTION_NO_WAIT:
        s->no_wait = true;
        return 0;
    case OPTION_VANTAGE:
        s->vantage = pulling_vantage(arg, state);
        return 0;
    case OPTION_LINK_TYPE:
        s->link_type = pulling_link_type(arg, state);
        return 0;
    case 'w':
        s->write = arg;
        return 0;
    case 'o':
        return cli_parse_format(state, arg, s->cli);
    case ARGP_KEY_END:
        check(s, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------ checked and started by the collector */

/* Appends what agents said who refused, a line each. */
static void put_refusals(const json_t *order, struct buffer *out)
{
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(order, "agents"), i, a)
    {
        if (order_phase(a) == PHASE_REFUSED)
            buffer_printf(out, "\n%s: %s", order_text(a, "agent"), order_text(a, "text"));
    }
}

static int refused(const struct client_answer *answer, struct error *e)
{
    int code = answer->code < 0 ? answer->code : ERROR_INVALID;
    size_t refusals = order_count(answer->manifest, PHASE_REFUSED);
    struct buffer list = {.limit = ERROR_TEXT_MAX};
    put_refusals(answer->manifest, &list);
    if (refusals)
        (void)error_set(e, code, "nothing was started: %zu of %zu agents said no%.*s", refusals,
                        json_array_size(json_object_get(answer->manifest, "agents")), (int)list.len,
                        (const char *)list.data);
    else
        (void)error_set(e, code, "%s", answer->text[0] ? answer->text : "nothing was started, and it is not said why");
    buffer_free(&list);
    return code;
}

static bool says(const json_t *agent, const char *text)
{
    return order_phase(agent) != PHASE_REFUSED && strcmp(order_text(agent, "text"), text) == 0;
}

/* Agents that say the same, in one line. */
static void say_one(const struct start *s, const json_t *agents, size_t from, const char *text)
{
    struct buffer b = {.limit = 300};
    size_t n = 0;
    for (size_t i = from; i < json_array_size(agents); i++)
        if (says(json_array_get(agents, i), text) && n++ < NAMED_MOST)
            buffer_printf(&b, "%s%.60s", b.len ? ", " : "", order_text(json_array_get(agents, i), "agent"));
    if (n > NAMED_MOST)
        buffer_printf(&b, " and %zu more", n - NAMED_MOST);
    note(s->cli, "%.*s: %s", (int)b.len, b.data ? (const char *)b.data : "", text);
    buffer_free(&b);
}

/* What hosts make less of. */
static void say_narrowed(const struct start *s, const json_t *order)
{
    const json_t *agents = json_object_get(order, "agents");
    for (size_t i = 0; i < json_array_size(agents); i++) {
        const char *text = order_text(json_array_get(agents, i), "text");
        size_t before = 0;
        while (before < i && !says(json_array_get(agents, before), text))
            before++;
        if (before == i && *text && order_phase(json_array_get(agents, i)) != PHASE_REFUSED)
            say_one(s, agents, i, text);
    }
}

static int dry_run(struct start *s, const struct client_answer *answer, struct error *e)
{
    const struct order_options *o = &s->options;
    int r = 0;
    if (json_array_size(json_object_get(answer->manifest, "agents")) > 0)
        r = capture_print_check(s->cli, answer->manifest, o->for_ns, o->bytes, o->keep == KEEP_PACKETS, e);
    if (r == 0)
        say_narrowed(s, answer->manifest);
    size_t refusals = order_count(answer->manifest, PHASE_REFUSED);
    struct buffer list = {.limit = ERROR_TEXT_MAX};
    put_refusals(answer->manifest, &list);
    if (r == 0 && answer->code && refusals)
        r = error_set(e, answer->code < 0 ? answer->code : ERROR_INVALID,
                      "it would not start: %zu of %zu agents say no%.*s", refusals,
                      json_array_size(json_object_get(answer->manifest, "agents")), (int)list.len,
                      (const char *)list.data);
    else if (r == 0 && answer->code)
        r = error_set(e, answer->code < 0 ? answer->code : ERROR_INVALID, "it would not start%s%s",
                      answer->text[0] ? ": " : "", answer->text);
    else if (r == 0 && answer->text[0])
        note(s->cli, "%s", answer->text);
    buffer_free(&list);
    return r;
}

static int command(struct start *s, struct client_answer *answer, struct error *e)
{
    struct order_request request = {0};
    int r = client_open(s->cli, &s->client, e);
    if (r == 0)
        r = order_request_make(s->cli, s->client, &s->options, s->dry_run ? SIGNATURE_CHECK : SIGNATURE_ORDER, &request,
                               e);
    const struct message_command m = {.kind = s->dry_run ? COMMAND_CHECK : COMMAND_START,
                                      .request = &request.request,
                                      .request_count = 1,
                                      .partial = s->options.partial,
                                      .wait_ms = s->answer_ms};
    if (r == 0)
        r = client_command(s->client, &m, answer, e);
    order_request_free(&request);
    return r;
}

/* ------------------------------------------------------------------ while it runs, and afterwards */

static int write_file(struct start *s, struct error *e)
{
    const struct message_query q = {.kind = QUERY_PULL,
                                    .capture = (char *)(uintptr_t)order_text(s->order, "capture"),
                                    .until_ns = UINT64_MAX,
                                    .vantage = s->vantage == VANTAGE_ALL ? VANTAGE_ALL : VANTAGE_AUTO,
                                    .link_type = s->link_type,
                                    .fresh_ms = QUESTION_FRESH_MS};
    struct client_answer answer;
    int r = pulling_fetch(s->client, &q, &s->file, &answer, e);
    if (r == 0)
        r = pulling_conclude(s->cli, &answer, "the file is", e);
    client_answer_free(&answer);
    if (r == 0 || r == ERROR_INCOMPLETE)
        note(s->cli, "wrote %s", s->write);
    return r;
}

static int reopen(struct start *s, struct error *e)
{
    return s->client ? 0 : client_open(s->cli, &s->client, e);
}

/* What was captured has arrived, and is in the file. */
static int collect(struct start *s, bool *arrived, struct error *e)
{
    int r = reopen(s, e);
    if (r == 0 && s->stream)
        return capture_stream_end(s->stream, s->client, s->order, arrived, e);
    if (r == 0)
        r = order_settle(s->cli, s->client, s->order, arrived, e);
    if (r == 0)
        r = reopen(s, e);
    return r == 0 && s->write ? write_file(s, e) : r;
}

static int finish(struct start *s, struct error *e)
{
    bool arrived = false;
    struct error missing = ERROR_INIT;
    int collected = collect(s, &arrived, e);
    order_say_totals(s->cli, s->order);
    if (collected && collected != ERROR_INCOMPLETE)
        return collected;
    order_say_next(s->cli, s->order);
    int r = order_verdict(s->order, arrived, &missing);
    return collected ? collected : r ? error_set(e, r, "%s", missing.text) : 0;
}

static int left_alone(struct start *s, enum watch_end end)
{
    const char *name = order_text(s->order, "capture");
    if (end == WATCH_IMPATIENT)
        note(s->cli, "%s was told to stop, but not all agents have answered yet", name);
    else
        note(s->cli, "%s goes on", name);
    note(s->cli, "  fleetdump capture show %s", name);
    if (end == WATCH_DETACHED)
        note(s->cli, "  fleetdump capture stop %s", name);
    order_say_next(s->cli, s->order);
    return end == WATCH_DETACHED ? 0 : ERROR_INCOMPLETE;
}

static int watch(struct start *s, enum watch_end *end, struct error *e)
{
    struct watch w = {.cli = s->cli, .id = order_text(s->order, "id"), .order = json_incref(s->order)};
    if (s->stream)
        w.step = capture_stream_step;
    w.context = s->stream;
    int r = watch_run(&w, &s->client, end, e);
    json_decref(s->order);
    s->order = w.order;
    return r;
}

/* Nobody reads the packets any more, so nobody wants them. */
static int stop_for_reader(struct start *s, enum watch_end *end, struct error *e)
{
    struct client_answer answer = {0};
    capture_stream_free(s->stream);
    s->stream = NULL;
    s->write = NULL;
    note(s->cli, "whoever read the packets has ended%s: the capture is stopped",
         interrupt_count() ? " (Ctrl-C reaches all of a pipe)" : "");
    int r = reopen(s, e);
    if (r == 0)
        r = watch_stop(s->client, order_text(s->order, "id"), &answer, e);
    client_answer_free(&answer);
    return r ? r : watch(s, end, e);
}

static int wait_for_end(struct start *s, struct error *e)
{
    enum watch_end end = WATCH_OVER;
    int r = 0;
    if (s->write && !s->file.temporary)
        r = capture_stream_new(s->cli, order_text(s->order, "capture"), s->link_type, &s->file, &s->stream, e);
    if (r == 0)
        r = watch(s, &end, e);
    if (r == ERROR_CANCELLED && s->stream)
        r = stop_for_reader(s, &end, e);
    if (r)
        return r;
    return end == WATCH_OVER ? finish(s, e) : left_alone(s, end);
}

static int started(struct start *s, const struct client_answer *answer, struct error *e)
{
    s->order = json_incref(answer->manifest);
    if (!s->order || !*order_text(s->order, "id"))
        return error_set(e, ERROR_INVALID, "the collector at %s does not say what it started", s->cli->collector);
    if (s->no_wait)
        say_narrowed(s, s->order);
    if (s->no_wait)
        return puts(order_text(s->order, "id")) < 0 ? error_set(e, ERROR_SYSTEM, "cannot write to standard output") : 0;
    size_t agents = json_array_size(json_object_get(s->order, "agents"));
    note(s->cli, "started %s on %zu agent%s (%s)", order_text(s->order, "capture"), agents, agents == 1 ? "" : "s",
         order_text(s->order, "selector"));
    say_narrowed(s, s->order);
    return wait_for_end(s, e);
}

static int start(struct start *s, struct error *e)
{
    struct client_answer answer = {0};
    int r = order_request_check(&s->options, e);
    if (r == 0)
        r = interrupt_watch(e);
    if (r == 0 && s->write)
        r = output_file_open(s->write, true, &s->file, e);
    if (r == 0 && s->file.temporary && s->options.for_ns == 0)
        r = error_set(e, ERROR_USAGE,
                      "-w FILE is written when the capture is over, but --for ever has no end: use -w - "
                      "or `fleetdump pull`");
    if (r == 0)
        r = command(s, &answer, e);
    if (r == 0 && s->dry_run)
        r = dry_run(s, &answer, e);
    else if (r == 0)
        r = answer.code ? refused(&answer, e) : started(s, &answer, e);
    client_answer_free(&answer);
    return r;
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct start s = {
        .cli = cli, .options = ORDER_OPTIONS_INIT, .file = OUTPUT_FILE_NONE, .vantage = -1, .link_type = UINT32_MAX};
    cli_parse(&command_capture_start, argc, argv, &s);
    int r = start(&s, e);
    capture_stream_free(s.stream);
    client_close(s.client);
    output_file_close(&s.file);
    json_decref(s.order);
    order_options_free(&s.options);
    return r;
}

static const struct argp_child children[] = {{&order_argp, 0, NULL, 0}, {&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    options,
    parse,
    "[FILTER]",
    "Starts a capture on all hosts at once, waits until it is over, and says what came of it.\v"
    "The filter is tcpdump's; names of agents and hosts in it are resolved here. Before anything starts, all agents "
    "are asked whether they can: if one refuses, nothing is started, unless --partial is said. Ctrl-C asks whether to "
    "stop the capture or to leave it alone. fleetdump's own connections to the collector are left out on every host, "
    "and "
    "counted (OWN of `fleetdump capture show -o wide`).\n\n"
    "Examples:\n"
    "  fleetdump capture start -A 'tcp port 80'\n"
    "  fleetdump capture start --on 'web-*,db-1' --for 5m 'host 10.0.0.5'\n"
    "  fleetdump capture start -l role=web,dc=fra -i 'eth*' -s 96 'tcp' --dry-run\n"
    "  fleetdump capture start -A --for 10s -w out.pcapng 'udp port 53'\n"
    "  fleetdump capture start --on web-1 --for 5m -w - 'icmp' | wireshark -k -i -\n"
    "  fleetdump capture start -A --for ever --bytes none --keep flows --name all\n\n"
    "Exit status: 0 complete, 1 failed, 2 wrong use, 3 something is missing: an agent refused or never came, packets "
    "were dropped.\n",
    children,
    NULL,
    NULL};

const struct command command_capture_start = {
    .name = "capture start",
    .summary = "starts a capture on all hosts, and waits for its end",
    .argp = &argp,
    .run = run,
};
