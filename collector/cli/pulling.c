#include "collector/cli/pulling.h"
#include "common/base/units.h"
#include <jansson.h>
#include <stdio.h>
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

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct pulling *p = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &p->u;
        return 0;
    case OPTION_PACKETS:
        p->packets_only = true;
        return 0;
    case OPTION_VANTAGE:
        p->all_vantages = strcmp(arg, "all") == 0;
        if (!p->all_vantages && strcmp(arg, "auto") != 0)
            argp_error(state, "--vantage %s: it is auto or all", arg);
        return 0;
    case OPTION_LINK_TYPE:
        p->link_type = (uint32_t)strtoul(arg, &end, 10);
        if (*end || end == arg || p->link_type > UINT16_MAX)
            argp_error(state, "--link-type %s: it is a number up to 65535", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&question_argp, 0, NULL, 0}, {0}};
const struct argp pulling_argp = {options, parse, NULL, NULL, children, NULL, NULL};

int pulling_prepare(struct pulling *p, struct error *e)
{
    int r = question_prepare(&p->u, QUERY_PULL, e);
    p->u.q.packets_only = p->packets_only;
    p->u.q.vantage = p->all_vantages ? VANTAGE_ALL : VANTAGE_AUTO;
    p->u.q.link_type = p->link_type;
    return r;
}

/* ------------------------------------------------------------------ the account */

static uint64_t number(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void say_agents(const json_t *manifest)
{
    char packets[32], bytes[32];
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(manifest, "agents"), i, a)
    {
        const char *name = json_string_value(json_object_get(a, "agent"));
        fprintf(stderr, "%s: %s packets, %s\n", name ? name : "?",
                units_format(UNIT_COUNT, number(a, "packets"), packets, sizeof packets),
                units_format(UNIT_BYTES, number(a, "bytes"), bytes, sizeof bytes));
    }
    uint64_t several = number(manifest, "several_vantages"), duplicates = number(manifest, "duplicates");
    if (several)
        fprintf(stderr,
                "%llu connections were seen at several places; each is taken from one, since both together look like "
                "retransmissions (--vantage all gives "
                "all)\n",
                (unsigned long long)several);
    if (duplicates)
        fprintf(stderr, "%llu packets that several captures on one interface saw come once\n",
                (unsigned long long)duplicates);
}

int pulling_account(const struct cli *cli, const struct client_answer *answer, struct error *e)
{
    if (answer->code && answer->code != ERROR_INCOMPLETE)
        return error_set(e, answer->code, "%s", answer->text);
    json_t *manifest = answer->manifest ? json_loads(answer->manifest, 0, NULL) : NULL;
    if (!cli->quiet)
        say_agents(manifest);
    if (!cli->quiet && answer->code == 0 && answer->text[0])
        fprintf(stderr, "%s\n", answer->text);
    json_decref(manifest);
    if (answer->code)
        return error_set(e, ERROR_INCOMPLETE, "the file is good, but inside the question is missing:\n%s",
                         answer->text);
    return 0;
}
