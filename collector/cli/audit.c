/*
 * fleetdump audit: what the collector noted of all that was asked and done; or what lies in files.
 */
#include "collector/audit/choice.h"
#include "collector/cli/admin.h"
#include "collector/cli/audit_files.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <string.h>

#define LAST_DEFAULT 50u

struct asked {
    struct cli *cli;
    json_t *wants;
    bool times;
    bool may_name_files;
    struct audit_files files; /* none: the collector is asked */
};

enum { OPTION_SINCE = 0xa00, OPTION_UNTIL, OPTION_WHO, OPTION_EVENT, OPTION_LAST, OPTION_KNOWN };

static const struct argp_option show_options[] = {
    {"since", OPTION_SINCE, "TIME", 0, "not before: 15m, 'yesterday 22:00', 2026-11-22T03:00:00Z", 1},
    {"until", OPTION_UNTIL, "TIME", 0, "not after", 1},
    {"who", OPTION_WHO, "NAME", 0, "of this user or agent (a glob)", 1},
    {"event", OPTION_EVENT, "NAME", 0, "query, command, admin, refused, connect, enroll, ... (a glob)", 1},
    {"last", OPTION_LAST, "N", 0, "the newest N lines that fit (default: 50, or all with --since)", 1},
    {0},
};
static const struct argp_option verify_options[] = {
    {"known", OPTION_KNOWN, "NUMBER:HASH", 0, "a line that was noted elsewhere (in syslog, say), which must be there",
     1},
    {0},
};

static void set_time(struct asked *a, struct argp_state *state, const char *name, const char *arg)
{
    struct error e = ERROR_INIT;
    uint64_t ns = 0;
    if (units_parse_time(arg, clock_wall_ns(), &ns, &e))
        argp_error(state, "%s", e.text);
    json_object_set_new(a->wants, name, json_integer((json_int_t)ns));
    a->times = true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct asked *a = state->input;
    struct error e = ERROR_INIT;
    uint64_t last = 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->cli;
        return 0;
    case OPTION_SINCE:
    case OPTION_UNTIL:
        set_time(a, state, key == OPTION_SINCE ? "since_ns" : "until_ns", arg);
        return 0;
    case OPTION_WHO:
    case OPTION_EVENT:
        json_object_set_new(a->wants, key == OPTION_WHO ? "who" : "event", json_string(arg));
        return 0;
    case OPTION_LAST:
        if (units_parse(UNIT_COUNT, arg, &last, &e) || last == 0 || last > INT32_MAX)
            argp_error(state, "--last: a number of lines, not '%s'", arg);
        json_object_set_new(a->wants, "last", json_integer((json_int_t)last));
        return 0;
    case OPTION_KNOWN:
        json_object_set_new(a->wants, "known", json_string(arg));
        return 0;
    case ARGP_KEY_ARG:
        if (a->may_name_files)
            return ARGP_ERR_UNKNOWN; /* then all of them at once */
        argp_error(state, "no argument is expected ('%s')", arg);
        return 0;
    case ARGP_KEY_ARGS:
        a->files =
            (struct audit_files){.paths = state->argv + state->next, .count = (size_t)(state->argc - state->next)};
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------ pages */

typedef int take_fn(void *context, const char *line, struct error *e);

static int take_page(const json_t *answer, take_fn *take, void *context, struct error *e)
{
    size_t i;
    json_t *line;
    int r = 0;
    json_array_foreach(json_object_get(answer, "lines"), i, line)
    {
        if (r == 0 && json_is_string(line))
            r = take(context, json_string_value(line), e);
    }
    return r;
}

/* Page by page, until there is no next one. */
static int each_line(struct asked *a, take_fn *take, void *context, struct error *e)
{
    bool more = true;
    int r = 0;
    while (r == 0 && more) {
        json_t *answer = NULL;
        r = client_admin(a->cli, ADMIN_AUDIT, json_deep_copy(a->wants), &answer, e);
        if (r == 0)
            r = take_page(answer, take, context, e);
        json_t *next = json_object_get(answer, "next");
        more = json_is_integer(next);
        if (more)
            json_object_set(a->wants, "after", next);
        json_decref(answer);
    }
    return r;
}

/* ------------------------------------------------------------------ show */

static const struct list_column columns[] = {
    {"time", "TIME", LOOK_TIME, NULL},       {"event", "EVENT", LOOK_NAME, NULL},
    {"who", "WHO", LOOK_NAME, NULL},         {"from", "FROM", LOOK_NAME, NULL},
    {"what", "WHAT", LOOK_TEXT, NULL},       {"result", "RESULT", LOOK_NAME, NULL},
    {"rows", "ROWS", LOOK_COUNT, NULL},      {"packets", "PACKETS", LOOK_COUNT, NULL},
    {"bytes", "BYTES", LOOK_BYTES, NULL},    {"narrowed", "NARROWED TO", LOOK_TEXT, NULL},
    {"text", "WHY", LOOK_TEXT, NULL},        {"cert", "CERTIFICATE", LOOK_ID, NULL},
    {"capture", "CAPTURE", LOOK_NAME, NULL}, {"id", "ID", LOOK_ID, NULL},
    {"filter", "FILTER", LOOK_TEXT, NULL},   {"interfaces", "INTERFACES", LOOK_NAME, NULL},
    {"keep", "KEEPS", LOOK_NAME, NULL},      {"lines", "LOST", LOOK_COUNT, NULL},
    {"more", "MORE", LOOK_COUNT, NULL},      {"seq", "NUMBER", LOOK_COUNT, NULL},
    {"hash", "HASH", LOOK_ID, NULL},         {0},
};

static const struct listing lines = {
    .columns = columns,
    .choice = {"time,event,who,what,result", "time,event,who,from,what,result,packets,bytes",
               "seq,time,event,who,from,what,result,rows,packets,bytes,narrowed,text"},
    .nothing = "nothing was noted that fits",
};

/* A host's own: of captures alone. */
static const struct listing host_lines = {
    .columns = columns,
    .choice = {"time,event,who,capture,filter", "time,event,who,capture,filter,interfaces,text",
               "seq,time,event,who,capture,id,filter,interfaces,keep,text"},
    .nothing = "nothing was noted that fits",
};

/* Lines that stand for others say so as if they had been asked. */
static void say_count(json_t *line)
{
    static const struct {
        const char *number, *words;
    } counts[] = {{"lines", "lines never written"}, {"more", "more refusals and connections"}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const json_t *n = json_object_get(line, counts[i].number);
        if (n && !json_object_get(line, "what"))
            json_object_set_new(line, "what",
                                json_sprintf("%s: %lld", counts[i].words, (long long)json_integer_value(n)));
    }
}

static int keep_line(void *context, const char *text, struct error *e)
{
    json_t *line = json_loads(text, 0, NULL);
    (void)e;
    say_count(line);
    if (line)
        json_array_append_new(context, line);
    return 0;
}

static uint64_t wanted_number(const struct asked *a, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(a->wants, name));
}

struct shown {
    struct audit_choice choice;
    uint64_t last; /* 0: all */
    json_t *list;
    bool host;
};

static int show_line(void *context, const struct audit_line *line, struct error *e)
{
    struct shown *s = context;
    if (!audit_choice_fits(&s->choice, line->text, line->length))
        return 0;
    int r = keep_line(s->list, line->text, e);
    size_t count = json_array_size(s->list);
    s->host = s->host || json_object_get(json_array_get(s->list, count - 1), "interfaces");
    if (s->last && count > s->last)
        json_array_remove(s->list, 0);
    return r;
}

/* What fits up to damage is shown before that is said. */
static int show_files(const struct asked *a, json_t *list, struct error *e)
{
    struct error why = ERROR_INIT;
    struct shown s = {.last = wanted_number(a, "last"), .list = list};
    s.choice = (struct audit_choice){.since_ns = wanted_number(a, "since_ns"),
                                     .until_ns = wanted_number(a, "until_ns"),
                                     .who = json_string_value(json_object_get(a->wants, "who")),
                                     .event = json_string_value(json_object_get(a->wants, "event"))};
    int broken = audit_files_read(&a->files, show_line, &s, &why);
    int r = broken && broken != ERROR_CORRUPT ? 0 : listing_print(a->cli, s.host ? &host_lines : &lines, list, e);
    return r || !broken ? r : error_set(e, broken, "%s", why.text);
}

static int run_show(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct asked a = {.cli = cli, .wants = json_object(), .may_name_files = true};
    json_t *list = json_array();
    cli_parse(&command_audit_show, argc, argv, &a);
    if (!a.times && !json_object_get(a.wants, "last"))
        json_object_set_new(a.wants, "last", json_integer(LAST_DEFAULT));
    int r = listing_check(cli, &lines, e);
    if (r == 0 && a.files.count)
        r = show_files(&a, list, e);
    else if (r == 0 && (r = each_line(&a, keep_line, list, e)) == 0)
        r = listing_print(cli, &lines, list, e);
    json_decref(list);
    json_decref(a.wants);
    return r;
}

/* ------------------------------------------------------------------ export */

static int put_line(void *context, const char *text, struct error *e)
{
    (void)context;
    return puts(text) < 0 ? error_set(e, ERROR_SYSTEM, "standard output cannot be written") : 0;
}

static int run_export(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct asked a = {.cli = cli, .wants = json_object()};
    cli_parse(&command_audit_export, argc, argv, &a);
    int r = each_line(&a, put_line, NULL, e);
    if (r == 0 && fflush(stdout) != 0)
        r = error_set(e, ERROR_SYSTEM, "standard output cannot be written");
    if (r == 0 && (json_object_get(a.wants, "who") || json_object_get(a.wants, "event")))
        note(cli,
             "with lines left out, `audit verify` cannot follow the chain: export without --who and --event for that");
    json_decref(a.wants);
    return r;
}

/* ------------------------------------------------------------------ verify */

static const struct list_column report_columns[] = {
    {"file", "FILE", LOOK_NAME, NULL},
    {"result", "RESULT", LOOK_NAME, NULL},
    {"lines", "LINES", LOOK_COUNT, NULL},
    {"first", "FIRST", LOOK_COUNT, NULL},
    {"last", "LAST", LOOK_COUNT, NULL},
    {"from", "FROM", LOOK_TIME, NULL},
    {"until", "UNTIL", LOOK_TIME, NULL},
    {"head", "HEAD", LOOK_NAME, NULL},
    {"cut_bytes", "CUT BYTES", LOOK_BYTES, NULL},
    {"lost", "NEVER WRITTEN", LOOK_COUNT, NULL},
    {"text", "WHAT", LOOK_TEXT, NULL},
    {0},
};

#define OF_COLLECTOR "lines,first,last,from,until,head,cut_bytes,lost"
#define OF_FILES     "file,result,lines,first,last,from,until,head,lost"
static const struct listing report = {
    .single = true, .columns = report_columns, .choice = {NULL, OF_COLLECTOR, OF_COLLECTOR}};
static const struct listing file_report = {.columns = report_columns, .choice = {NULL, OF_FILES, OF_FILES}};

static int verify_files(const struct asked *a, struct error *e)
{
    const char *text = json_string_value(json_object_get(a->wants, "known"));
    struct audit_head known;
    int r = text ? audit_head_parse(text, &known, e) : 0;
    return r ? r : audit_files_verify(a->cli, &a->files, text ? &known : NULL, &file_report, e);
}

static int verify_collector(const struct cli *cli, json_t *wants, struct error *e)
{
    json_t *answer = NULL;
    int r = client_admin(cli, ADMIN_AUDIT, json_incref(wants), &answer, e);
    if (r == 0)
        r = listing_print(cli, &report, answer, e);
    json_int_t first = json_integer_value(json_object_get(answer, "first"));
    json_int_t lost = json_integer_value(json_object_get(answer, "lost"));
    if (r == 0 && lost)
        r = error_set(e, ERROR_INCOMPLETE, AUDIT_LOST_TEXT, "", (unsigned long long)lost);
    else if (r == 0 && first > 1)
        note(cli, "all fits from line %lld on; those before are not there (moved away?)", (long long)first);
    else if (r == 0)
        note(cli, "all fits; keep the head elsewhere, and ask with --known whether it is still there");
    json_decref(answer);
    return r;
}

static int run_verify(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct asked a = {.cli = cli, .wants = json_pack("{s:b}", "verify", 1), .may_name_files = true};
    cli_parse(&command_audit_verify, argc, argv, &a);
    int r = listing_check(cli, &report, e);
    if (r == 0)
        r = a.files.count ? verify_files(&a, e) : verify_collector(cli, a.wants, e);
    json_decref(a.wants);
    return r;
}

/* ------------------------------------------------------------------ the commands */

static const struct argp_child children[] = {{&cli_table_argp, 0, NULL, 0}, {0}};
static const struct argp_child plain_children[] = {{&cli_argp, 0, NULL, 0}, {0}};

static const struct argp show_argp = {
    show_options,
    parse,
    "[FILE|FOLDER...]",
    "Shows what was asked and done: who, from where, what came of it, and how much "
    "came back; of the collector, or of the files named, as `audit verify` has them.\v"
    "Examples:\n"
    "  fleetdump audit show\n"
    "  fleetdump audit show --since 1h --who ann\n"
    "  fleetdump audit show --event refused -o json\n"
    "  fleetdump audit show /var/lib/fleetdump-agent/spool.audit\n",
    children,
    NULL,
    NULL};
static const struct argp verify_argp = {
    verify_options,
    parse,
    "[FILE|FOLDER...]",
    "Reads the whole audit, and says the first line that was changed, or that its "
    "end is gone. Files and folders are read here, and no collector is asked: the audit folder of a "
    "collector or of an agent's host, one file out of it, or what `audit export` wrote; several "
    "in the order of their lines.\v"
    "Each line holds a hash over all before it. Whoever could write all files could "
    "make other lines: a head that was kept elsewhere shows that. One file by itself does not tell that its end is "
    "gone.\n\n"
    "Exit status of files: 0 good; 1 something was changed or taken out, or cannot be read; 3 all that is there fits, "
    "but a crash "
    "left half a line or a head that is behind, and nobody has gone on since. Of all: 3 also if lines were never "
    "written (a "
    "full disk), as a line with the event `lost` says once it can.\n\n"
    "Examples:\n"
    "  fleetdump audit verify\n"
    "  fleetdump audit verify --known 17:2f1c...\n"
    "  fleetdump audit verify /var/lib/fleetdump-agent/spool.audit\n"
    "  fleetdump audit verify old/audit.0*.jsonl /var/lib/fleetdump-collector/audit\n",
    children,
    NULL,
    NULL};
static const struct argp export_argp = {show_options,
                                        parse,
                                        "",
                                        "Writes the audit to standard output as it is: a JSON object a line.\v"
                                        "Examples:\n"
                                        "  fleetdump audit export > audit.jsonl && fleetdump audit verify audit.jsonl\n"
                                        "  fleetdump audit export --since 1d --who 'web-*'\n",
                                        plain_children,
                                        NULL,
                                        NULL};

const struct command command_audit_show = {
    .name = "audit show",
    .summary = "shows what was asked and done",
    .argp = &show_argp,
    .run = run_show,
    .column = listing_column,
    .columns_of = &lines,
};
const struct command command_audit_verify = {
    .name = "audit verify",
    .summary = "says whether any of it was changed",
    .argp = &verify_argp,
    .run = run_verify,
    .column = listing_column,
    .columns_of = &report,
};
const struct command command_audit_export = {
    .name = "audit export",
    .summary = "writes it out as it is",
    .argp = &export_argp,
    .run = run_export,
};

static const struct command *const subcommands[] = {&command_audit_show, &command_audit_verify, &command_audit_export,
                                                    NULL};

const struct command command_audit = {
    .name = "audit",
    .summary = "says who asked for what, and what came of it",
    .subcommands = subcommands,
    .examples = "Examples:\n"
                "  fleetdump audit show --since 1h\n"
                "  fleetdump audit verify\n"
                "  fleetdump audit export > audit.jsonl\n",
};
