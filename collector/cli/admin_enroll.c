/*
 * fleetdump admin enroll, approve, revoke, list: who may connect.
 */
#include "collector/cli/admin.h"
#include "common/base/units.h"
#include "common/net/identity.h"
#include <stdio.h>
#include <string.h>

struct options {
    struct cli *cli;
    const struct command *command;
    json_t *wants, *labels;
    const char *name, *serial;
    bool user, pending, tokens, labelled;
};

enum {
    OPTION_NAME = 0x940,
    OPTION_TTL,
    OPTION_ADDRESS,
    OPTION_KEY,
    OPTION_USER,
    OPTION_SERIAL,
    OPTION_PENDING,
    OPTION_TOKENS,
    OPTION_FORCE
};

static void set_ttl(struct options *o, struct argp_state *state, const char *arg)
{
    struct error e = ERROR_INIT;
    uint64_t ns = 0;
    if (units_parse(UNIT_NS, arg, &ns, &e) || ns == 0 || ns > INT64_MAX)
        argp_error(state, "--ttl %s: %s", arg, e.text[0] ? e.text : "a time, as 1h or 7d");
    json_object_set_new(o->wants, "ttl_ns", json_integer((json_int_t)ns));
}

static void set_name(struct options *o, struct argp_state *state, const char *arg)
{
    if (o->name)
        argp_error(state, "one name at a time ('%s')", arg);
    o->name = arg;
    json_object_set_new(o->wants, "name", json_string(arg));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o->cli;
        return 0;
    case OPTION_NAME:
        set_name(o, state, arg);
        return 0;
    case 'l':
        json_array_append_new(o->labels, json_string(arg));
        return 0;
    case OPTION_TTL:
        set_ttl(o, state, arg);
        return 0;
    case OPTION_ADDRESS:
        json_object_set_new(o->wants, "collector", json_string(arg));
        return 0;
    case OPTION_KEY:
        json_object_set_new(o->wants, "key", json_string(arg));
        return 0;
    case OPTION_USER:
        o->user = true;
        return 0;
    case OPTION_SERIAL:
        o->serial = arg;
        json_object_set_new(o->wants, "serial", json_string(arg));
        return 0;
    case OPTION_FORCE:
        json_object_set_new(o->wants, "force", json_true());
        return 0;
    case OPTION_PENDING:
        o->pending = true;
        return 0;
    case OPTION_TOKENS:
        o->tokens = true;
        return 0;
    case ARGP_KEY_ARG:
        if (o->command == &command_admin_list)
            argp_error(state, "no argument is expected ('%s')", arg);
        set_name(o, state, arg);
        return 0;
    case ARGP_KEY_END:
        if (o->command == &command_admin_revoke && !o->name == !o->serial)
            argp_error(state,
                       "whose? NAME, or --serial of one certificate (`fleetdump admin list -o wide` shows them)");
        if ((o->command == &command_admin_enroll || o->command == &command_admin_approve) && !o->name)
            argp_error(state, "which host? give its name");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static struct options begin(const struct command *command, int argc, char **argv, struct cli *cli)
{
    struct options o = {.cli = cli, .command = command, .wants = json_object(), .labels = json_array()};
    cli_parse(command, argc, argv, &o);
    o.labelled = json_array_size(o.labels) > 0;
    if (o.labelled)
        json_object_set(o.wants, "labels", o.labels);
    json_decref(o.labels);
    o.labels = NULL;
    return o;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Users may be bound to labels, and then a host without given ones chooses who sees it. */
static void note_labels(const struct options *o)
{
    if (!o->labelled)
        note(
            o->cli,
            "no --label: the labels that %s gives itself in its agent.conf count, also where users are bound to labels",
            o->name);
}

/* ------------------------------------------------------------------ enroll */

static int run_enroll(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct options o = begin(&command_admin_enroll, argc, argv, cli);
    json_t *answer = NULL;
    char until[40];
    uint64_t until_ns = 0;
    int r = client_admin(cli, ADMIN_ENROLL, o.wants, &answer, e);
    if (r)
        return r;
    if (units_parse_time(text_of(answer, "expires"), 0, &until_ns, NULL))
        until_ns = 0;
    printf("%s\n", text_of(answer, "token"));
    if (fflush(stdout))
        r = error_set(e, ERROR_SYSTEM, "cannot write to standard output");
    note(cli, "on %s, until %s, once: fleetdump-agent join TOKEN (it is to reach the collector at %s)",
         text_of(answer, "name"), units_format_time(until_ns, until, sizeof until), text_of(answer, "collector"));
    note_labels(&o);
    json_decref(answer);
    return r;
}

/* ------------------------------------------------------------------ approve, revoke */

static int run_approve(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct options o = begin(&command_admin_approve, argc, argv, cli);
    json_t *answer = NULL;
    int r = client_admin(cli, ADMIN_APPROVE, o.wants, &answer, e);
    if (r == 0) {
        note(cli, "%s: approved; it gets its certificate when it asks again", text_of(answer, "name"));
        note_labels(&o);
    }
    json_decref(answer);
    return r;
}

static int run_revoke(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct options o = begin(&command_admin_revoke, argc, argv, cli);
    json_t *answer = NULL;
    if (o.name)
        json_object_set_new(o.wants, "kind", json_string(o.user ? "user" : "agent"));
    int r = client_admin(cli, ADMIN_REVOKE, o.wants, &answer, e);
    if (r == 0) {
        json_int_t ended = json_integer_value(json_object_get(answer, "sessions"));
        char when[64] = "";
        uint64_t since_ns;
        if (units_parse_time(text_of(answer, "since"), 0, &since_ns, NULL) == 0)
            units_format_time(since_ns, when, sizeof when);
        note(cli, "%s: %s%s, for good; %lld connection%s ended", text_of(answer, "revoked"),
             when[0] ? "had been revoked " : "revoked", when, (long long)ended, units_plural((uint64_t)ended));
    }
    json_decref(answer);
    return r;
}

/* ------------------------------------------------------------------ list */

static const struct list_column credential_columns[] = {
    {"kind", "KIND", LOOK_NAME, NULL},
    {"name", "NAME", LOOK_NAME, NULL},
    {"state", "STATE", LOOK_NAME, NULL},
    {"until", "UNTIL", LOOK_TIME, NULL},
    {"how", "HOW", LOOK_NAME, NULL},
    {"labels", "LABELS", LOOK_TEXT, NULL},
    {"made", "MADE", LOOK_TIME, NULL},
    {"from", "FROM", LOOK_TEXT, NULL},
    {"serial", "SERIAL", LOOK_NAME, NULL},
    {"key", "KEY", LOOK_ID, NULL},
    {0},
};
static const struct listing credentials = {
    .columns = credential_columns,
    .choice = {NULL, "kind,name,state,until,how,labels", NULL},
    .nothing = "no certificates were made here",
};

static const struct list_column token_columns[] = {
    {"kind", "KIND", LOOK_NAME, NULL},     {"name", "NAME", LOOK_NAME, NULL},
    {"state", "STATE", LOOK_NAME, NULL},   {"until", "UNTIL", LOOK_TIME, NULL},
    {"labels", "LABELS", LOOK_TEXT, NULL}, {"created", "CREATED", LOOK_TIME, NULL},
    {"created_by", "BY", LOOK_NAME, NULL}, {0},
};
static const struct listing tokens = {
    .columns = token_columns,
    .choice = {NULL, "kind,name,state,until,labels,created_by", NULL},
    .nothing = "no tokens that were not used",
};

static const struct list_column pending_columns[] = {
    {"name", "NAME", LOOK_NAME, NULL},   {"key", "KEY", LOOK_ID, NULL},
    {"peer", "FROM", LOOK_TEXT, NULL},   {"since", "SINCE", LOOK_AGO, NULL},
    {"seen", "ASKED", LOOK_AGO, NULL},   {"approved", "APPROVED", LOOK_NAME, NULL},
    {"known", "KNOWN", LOOK_NAME, NULL}, {0},
};
static const struct listing waiting = {
    .columns = pending_columns,
    .choice = {NULL, "name,key,peer,since,approved,known", NULL},
    .nothing = "no host waits to be approved",
};

/* All pages of it. */
static int fetch(struct cli *cli, const struct options *o, const char *part, json_t **list, struct error *e)
{
    char after[HEAD_NAME_MAX + 12] = "";
    int r = 0;
    *list = json_array();
    do {
        json_t *answer = NULL;
        r = client_admin(cli, ADMIN_CREDENTIALS, json_pack("{s:b, s:s}", "pending", (int)o->pending, "after", after),
                         &answer, e);
        if (r == 0)
            json_array_extend(*list, json_object_get(answer, part));
        snprintf(after, sizeof after, "%s", text_of(answer, "next"));
        json_decref(answer);
    } while (r == 0 && after[0]);
    return r;
}

static int run_list(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct options o = begin(&command_admin_list, argc, argv, cli);
    const struct listing *l = o.pending ? &waiting : o.tokens ? &tokens : &credentials;
    json_t *list = NULL;
    json_decref(o.wants);
    int r = listing_check(cli, l, e);
    if (r == 0)
        r = fetch(cli, &o, o.pending ? "pending" : o.tokens ? "tokens" : "credentials", &list, e);
    if (r == 0)
        r = listing_print(cli, l, list, e);
    json_decref(list);
    return r;
}

/* ------------------------------------------------------------------ the commands */

static const struct argp_option enroll_options[] = {
    {"name", OPTION_NAME, "NAME", 0, "of the host, in the fleet", 1},
    {"label", 'l', "KEY=VALUE", 0,
     "a label that it gets; repeat it for more. With none, those count that it gives itself in its agent.conf", 1},
    {"ttl", OPTION_TTL, "TIME", 0, "how long the token is good (default: 1h; 30d at most)", 1},
    {"address", OPTION_ADDRESS, "ADDRESS", 0,
     "where the host reaches the collector (default: `address` of its configuration, else what it listens on)", 1},
    {0},
};
static const struct argp_option approve_options[] = {
    {"label", 'l', "KEY=VALUE", 0,
     "a label that it gets; repeat it for more. With none, those count that it gives itself in its agent.conf", 1},
    {"key", OPTION_KEY, "FINGERPRINT", 0, "the beginning of its key's fingerprint, as it says it itself", 1},
    {0},
};
static const struct argp_option revoke_options[] = {
    {"user", OPTION_USER, NULL, 0, "NAME is a user, no host", 1},
    {"serial", OPTION_SERIAL, "SERIAL", 0,
     "the certificate of this number, and those of its key: that it renewed, or that renewed it", 1},
    {"force", OPTION_FORCE, NULL, 0, "also a name that was never heard of", 1},
    {0},
};
static const struct argp_option list_options[] = {
    {"pending", OPTION_PENDING, NULL, 0, "hosts that wait to be approved", 1},
    {"tokens", OPTION_TOKENS, NULL, 0, "tokens that were not used yet", 1},
    {0},
};

static const struct argp_child plain_children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp_child children[] = {{&cli_table_argp, 0, NULL, 0}, {0}};

static const struct argp enroll_argp = {
    enroll_options,
    parse,
    "[NAME]",
    "Makes a token with which a host joins the fleet, once, and prints it.\v"
    "Whoever has the token can be that host: give it to nobody else. A host that joins anew needs a new one.\n\n"
    "Examples:\n"
    "  fleetdump admin enroll --name web-1 --label role=web --ttl 1h\n"
    "  fleetdump admin enroll web-1 | ssh root@web-1 fleetdump-agent join -\n",
    plain_children,
    NULL,
    NULL};
static const struct argp approve_argp = {
    approve_options,
    parse,
    "NAME",
    "Lets a host in that asks without a token (enroll = approve in collector.conf).\v"
    "Compare the key's fingerprint with what the host itself said: the name is only what it claims.\n\n"
    "Examples:\n"
    "  fleetdump admin list --pending\n"
    "  fleetdump admin approve web-1 --key 3f1c9a --label role=web\n",
    plain_children,
    NULL,
    NULL};
static const struct argp revoke_argp = {
    revoke_options,
    parse,
    "NAME",
    "Makes certificates worthless: connections end at once, and none is accepted again.\v"
    "All certificates that the name has now are meant, and its tokens; with a new token it may join anew.\n\n"
    "Examples:\n"
    "  fleetdump admin revoke web-1\n"
    "  fleetdump admin revoke --user ann\n"
    "  fleetdump admin revoke --serial 5d8c1f...\n",
    plain_children,
    NULL,
    NULL};
static const struct argp list_argp = {
    list_options,
    parse,
    "",
    "Lists certificates (of each name the newest), or tokens, or who waits to be let in.\v"
    "Examples:\n"
    "  fleetdump admin list\n"
    "  fleetdump admin list --pending\n"
    "  fleetdump admin list --tokens -o json\n",
    children,
    NULL,
    NULL};

const struct command command_admin_enroll = {
    .name = "admin enroll",
    .summary = "makes a token with which a host joins",
    .argp = &enroll_argp,
    .run = run_enroll,
};
const struct command command_admin_approve = {
    .name = "admin approve",
    .summary = "lets a host in that waits for it",
    .argp = &approve_argp,
    .run = run_approve,
};
const struct command command_admin_revoke = {
    .name = "admin revoke",
    .summary = "ends what a certificate is good for",
    .argp = &revoke_argp,
    .run = run_revoke,
};
const struct command command_admin_list = {
    .name = "admin list",
    .summary = "lists certificates, tokens, who waits",
    .argp = &list_argp,
    .run = run_list,
    .column = listing_column,
    .columns_of = &credentials,
};
