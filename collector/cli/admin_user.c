/*
 * fleetdump admin user: users, their roles and bounds.
 */
#include "collector/cli/admin.h"
#include "common/base/units.h"
#include "common/packet/packet.h"
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ add */

struct add {
    struct cli *cli;
    json_t *wants, *labels;
    bool has_role;
};

enum { OPTION_ROLE = 0x900, OPTION_FILTER, OPTION_SNAPLEN, OPTION_RANGE, OPTION_TOKEN };

static const struct argp_option add_options[] = {
    {"role", OPTION_ROLE, "ROLE", 0,
     "viewer (rows), analyst (and packets), operator (and starts and stops captures), or admin (and all else)", 1},
    {"label", 'l', "KEY=VALUE,...", 0,
     "sees and captures on agents with these labels alone; repeat it for further agents (VALUE may be a glob). An "
     "agent that "
     "was enrolled without labels chooses its own",
     1},
    {"filter", OPTION_FILTER, "FILTER", 0, "sees only what matches this as well", 1},
    {"snaplen", OPTION_SNAPLEN, "BYTES", 0, "sees that much of the beginning of each packet", 1},
    {"range", OPTION_RANGE, "TIME", 0, "sees what is not older than that (7d)", 1},
    {"token", OPTION_TOKEN, NULL, 0, "also print how to log in if there is such a user already", 1},
    {0},
};

static void set_number(struct add *a, struct argp_state *state, const char *name, enum unit unit, uint64_t most,
                       const char *arg)
{
    struct error e = ERROR_INIT;
    uint64_t value = 0;
    if (units_parse(unit, arg, &value, &e))
        argp_error(state, "%s", e.text);
    if (value == 0 || value > most)
        argp_error(state, "'%s' is out of range", arg);
    json_object_set_new(a->wants, name, json_integer((json_int_t)value));
}

static error_t parse_add(int key, char *arg, struct argp_state *state)
{
    struct add *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->cli;
        return 0;
    case OPTION_ROLE:
        a->has_role = true;
        json_object_set_new(a->wants, "role", json_string(arg));
        return 0;
    case 'l':
        json_array_append_new(a->labels, json_string(arg));
        return 0;
    case OPTION_FILTER:
        json_object_set_new(a->wants, "filter", json_string(arg));
        return 0;
    case OPTION_SNAPLEN:
        set_number(a, state, "snaplen", UNIT_BYTES, PACKET_SNAPLEN_MAX, arg);
        return 0;
    case OPTION_RANGE:
        set_number(a, state, "range_ns", UNIT_NS, INT64_MAX, arg);
        return 0;
    case OPTION_TOKEN:
        json_object_set_new(a->wants, "token", json_true());
        return 0;
    case ARGP_KEY_ARG:
        if (json_object_get(a->wants, "name"))
            argp_error(state, "one user at a time ('%s')", arg);
        json_object_set_new(a->wants, "name", json_string(arg));
        return 0;
    case ARGP_KEY_END:
        if (!json_object_get(a->wants, "name") || !a->has_role)
            argp_error(state, "give a name, and --role viewer, analyst, operator or admin");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------ list */

#define USER_COLUMNS                                                                                                   \
    {"user", "USER", LOOK_NAME, NULL}, {"role", "ROLE", LOOK_NAME, NULL}, {"state", "STATE", LOOK_NAME, NULL},         \
        {"revoked", "REVOKED", LOOK_TIME, NULL}, {"labels", "LABELS", LOOK_WORDS, NULL},                               \
        {"filter", "FILTER", LOOK_TEXT, NULL}, {"snaplen", "SNAPLEN", LOOK_COUNT, NULL},                               \
        {"range_ns", "RANGE", LOOK_LEFT, NULL}, {"created", "CREATED", LOOK_TIME, NULL},                               \
    {                                                                                                                  \
        "created_by", "BY", LOOK_NAME, NULL                                                                            \
    }

static const struct list_column user_columns[] = {USER_COLUMNS, {0}};

/* Of one that was added. */
static const struct list_column added_columns[] = {USER_COLUMNS, {"token", "TOKEN", LOOK_NAME, NULL}, {0}};
static const struct listing added = {
    .columns = added_columns,
    .choice = {NULL, "user,role,labels,filter,snaplen,range_ns", NULL},
    .nothing = "",
};

static const struct listing users = {
    .columns = user_columns,
    .choice = {NULL, "user,role,state,revoked,labels,filter,snaplen,range_ns", NULL},
    .nothing = "no users: `fleetdump admin user add` makes one",
};

struct plain {
    struct cli *cli;
    const char *name;
    bool wants_name;
};

static error_t parse_plain(int key, char *arg, struct argp_state *state)
{
    struct plain *p = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = p->cli;
        return 0;
    case ARGP_KEY_ARG:
        if (!p->wants_name || p->name)
            argp_error(state, p->wants_name ? "one user at a time ('%s')" : "no argument is expected ('%s')", arg);
        p->name = arg;
        return 0;
    case ARGP_KEY_END:
        if (p->wants_name && !p->name)
            argp_error(state, "which user? `fleetdump admin user list` lists them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int print_users(struct cli *cli, json_t *list, struct error *e)
{
    return listing_print(cli, &users, list, e);
}

static int run_list(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct plain p = {.cli = cli};
    json_t *list = NULL;
    cli_parse(&command_admin_user_list, argc, argv, &p);
    int r = listing_check(cli, &users, e);
    if (r == 0)
        r = client_admin(cli, ADMIN_USER_LIST, NULL, &list, e);
    if (r == 0)
        r = print_users(cli, list, e);
    json_decref(list);
    return r;
}

static int run_add(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct add a = {.cli = cli, .wants = json_object(), .labels = json_array()};
    json_t *answer = NULL;
    cli_parse(&command_admin_user_add, argc, argv, &a);
    json_object_set_new(a.wants, "labels", a.labels);
    int r = client_admin(cli, ADMIN_USER_ADD, a.wants, &answer, e);
    if (r == 0) {
        json_t *list = json_pack("[O]", json_object_get(answer, "user"));
        const char *token = json_string_value(json_object_get(json_object_get(answer, "user"), "token"));
        r = listing_print(cli, &added, list, e);
        if (r == 0 && token && (cli->format == OUTPUT_TABLE || cli->format == OUTPUT_WIDE))
            printf("fleetdump login %s\n", token); /* longer than a note may be */
        if (r == 0 && !token && json_is_true(json_object_get(answer, "changed")))
            note(cli, "changed; to log in anew takes --token");
        json_decref(list);
    }
    json_decref(answer);
    return r;
}

static int run_remove(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct plain p = {.cli = cli, .wants_name = true};
    json_t *answer = NULL;
    cli_parse(&command_admin_user_remove, argc, argv, &p);
    int r = client_admin(cli, ADMIN_USER_REMOVE, json_pack("{s:s}", "name", p.name), &answer, e);
    if (r == 0)
        note(cli, "%s: removed", p.name);
    json_decref(answer);
    return r;
}

/* ------------------------------------------------------------------ the commands */

static const struct argp_child children[] = {{&cli_table_argp, 0, NULL, 0}, {0}};
static const struct argp_child plain_children[] = {{&cli_argp, 0, NULL, 0}, {0}};

static const struct argp add_argp = {
    add_options,
    parse_add,
    "NAME",
    "Adds a user, or gives one another role and other bounds.\v"
    "The last line printed is how a new user logs in, once, within a day; for one who is there already --token makes "
    "another. Without bounds a user may do all that the role "
    "allows. What a question is narrowed to by them is said with its "
    "answer.\n\n"
    "Examples:\n"
    "  fleetdump admin user add ann --role admin\n"
    "  fleetdump admin user add bob --role analyst --label role=web --filter 'port 80' --snaplen 96\n"
    "  fleetdump admin user add eve --role viewer --range 7d\n",
    children,
    NULL,
    NULL};
static const struct argp list_argp = {
    NULL,
    parse_plain,
    "",
    "Lists the users. STATE is that of the newest certificate: good, expired, revoked "
    "(then REVOKED says when), or none, if none was made here.\v"
    "Examples:\n"
    "  fleetdump admin user list\n"
    "  fleetdump admin user list -o json\n",
    children,
    NULL,
    NULL};
static const struct argp remove_argp = {NULL,
                                        parse_plain,
                                        "NAME",
                                        "Removes a user: connections end at once, and nothing is allowed any more.\v"
                                        "Example:\n"
                                        "  fleetdump admin user remove ann\n",
                                        plain_children,
                                        NULL,
                                        NULL};

const struct command command_admin_user_add = {
    .name = "admin user add",
    .summary = "adds a user, or changes role and bounds",
    .argp = &add_argp,
    .run = run_add,
    .column = listing_column,
    .columns_of = &users,
};
const struct command command_admin_user_list = {
    .name = "admin user list",
    .summary = "lists users",
    .argp = &list_argp,
    .run = run_list,
    .column = listing_column,
    .columns_of = &users,
};
const struct command command_admin_user_remove = {
    .name = "admin user remove",
    .summary = "removes a user",
    .argp = &remove_argp,
    .run = run_remove,
};
