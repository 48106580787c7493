#include "collector/cli/pulling.h"
#include "common/base/units.h"
#include <stdlib.h>
#include <string.h>

enum { OPTION_PACKETS = 0x400, OPTION_VANTAGE, OPTION_LINK_TYPE };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Which packets:", 15},
    {"packets", OPTION_PACKETS, NULL, 0,
     "exactly the packets that match, not the whole connections, also with words like from, to, state", 15},
    {"vantage", OPTION_VANTAGE, "auto|all", 0,
     "of a connection that several agents or interfaces saw: auto takes the server's agent, else the client's, else "
     "the earliest; all takes every one (default: auto)",
     15},
    {"link-type", OPTION_LINK_TYPE, "NUMBER", 0,
     "only packets of this link type (LINKTYPE_ value: 1 Ethernet, 113 and 276 Linux cooked)", 15},
    {0},
};

int pulling_vantage(const char *arg, struct argp_state *state)
{
    bool all = strcmp(arg, "all") == 0;
    if (!all && strcmp(arg, "auto") != 0)
        argp_error(state, "--vantage %s: it is auto or all", arg);
    return all ? VANTAGE_ALL : VANTAGE_AUTO;
}

uint32_t pulling_link_type(const char *arg, struct argp_state *state)
{
    char *end;
    unsigned long type = strtoul(arg, &end, 10);
    if (*end || end == arg || type > UINT16_MAX)
        argp_error(state, "--link-type %s: it is a number up to 65535", arg);
    return (uint32_t)type;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct pulling *p = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &p->u;
        state->child_inputs[1] = p->u.cli;
        return 0;
    case OPTION_PACKETS:
        p->packets_only = true;
        return 0;
    case OPTION_VANTAGE:
        p->vantage_said = true;
        p->all_vantages = pulling_vantage(arg, state) == VANTAGE_ALL;
        return 0;
    case OPTION_LINK_TYPE:
        p->link_type = pulling_link_type(arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&question_argp, 0, NULL, 0}, {&cli_argp, 0, NULL, 0}, {0}};
const struct argp pulling_argp = {options, parse, NULL, NULL, children, NULL, NULL};

int pulling_prepare(struct pulling *p, struct error *e)
{
    int r = question_prepare(&p->u, QUERY_PULL, e);
    p->u.q.packets_only = p->packets_only;
    p->u.q.vantage = p->all_vantages ? VANTAGE_ALL : VANTAGE_AUTO;
    p->u.q.link_type = p->link_type;
    return r;
}

/* ------------------------------------------------------------------ the packets */

static int take(void *context, const struct message_result *r, struct error *e)
{
    return output_file_write(context, r->data, r->length, e);
}

int pulling_fetch(struct client *c, const struct message_query *q, struct output_file *file,
                  struct client_answer *answer, struct error *e)
{
    int r = client_query(c, q, "pull", take, file, answer, e);
    if (r == 0 && (answer->code == 0 || answer->code == ERROR_INCOMPLETE))
        r = output_file_keep(file, e);
    return r;
}

/* ------------------------------------------------------------------ the account */

static uint64_t number(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void say_agents(const struct cli *cli, const json_t *manifest)
{
    char packets[40], bytes[40];
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(manifest, "agents"), i, a)
    {
        const char *name = json_string_value(json_object_get(a, "agent"));
        uint64_t count = number(a, "packets");
        note(cli, "%s: %s packet%s%s%s", name ? name : "?", units_format(UNIT_COUNT, count, packets, sizeof packets),
             units_plural(count), count ? ", " : "",
             count ? units_format(UNIT_BYTES, number(a, "bytes"), bytes, sizeof bytes) : "");
    }
}

static void say_left_out(const struct cli *cli, const json_t *manifest)
{
    unsigned long long several = number(manifest, "several_vantages"), duplicates = number(manifest, "duplicates");
    if (several)
        note(cli,
             "%llu connection%s seen at several places; each is taken from one of them, since both together look like "
             "retransmissions (--vantage all takes all)",
             several, several == 1 ? " was" : "s were");
    if (duplicates)
        note(cli, "%llu packet%s that several captures on one interface saw come%s once", duplicates,
             duplicates == 1 ? "" : "s", duplicates == 1 ? "s" : "");
}

/* Of all that was captured in that time: which packets it was is not remembered. */
static void say_cut_off(const struct cli *cli, const json_t *manifest)
{
    char bytes[40];
    uint64_t all = 0;
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(manifest, "agents"), i, a) all +=
        number(json_object_get(a, "counters"), "cutoff_bytes");
    if (all)
        note(cli, "%s of payload in that time were not kept (--cutoff)",
             units_format(UNIT_BYTES, all, bytes, sizeof bytes));
}

int pulling_conclude(const struct cli *cli, const struct client_answer *answer, const char *good, struct error *e)
{
    if (answer->code == 0 || answer->code == ERROR_INCOMPLETE) {
        say_agents(cli, answer->manifest);
        say_left_out(cli, answer->manifest);
        say_cut_off(cli, answer->manifest);
    }
    return client_conclude(cli, answer, good, e);
}
