/*
 * fleetdump show: one connection as a ladder: packet by packet, from all places that saw it.
 *
 * First the flows that the filter means are asked for, to know whether that is one connection; then the flows of the
 * same connection elsewhere; then the packets, one pull for each vantage, as their link types may differ.
 */
#include "collector/cli/grid.h"
#include "collector/cli/output_file.h"
#include "collector/cli/show_impl.h"
#include "common/base/units.h"

#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID_DIGITS   16u
#define DRAWING_MAX ((size_t)1 << 30)

static const struct drawing drawings[] = {
    {"table", draw_text}, {"json", draw_json}, {"svg", draw_svg}, {"html", draw_html}, {NULL, NULL}};

/* ------------------------------------------------------------------ which connection */

static int list_them(struct show *s, struct error *e)
{
    struct cli cli = *s->u.cli;
    cli.format = s->drawing->draw == draw_json ? OUTPUT_JSON : OUTPUT_TABLE;
    bool lists = s->drawing->draw == draw_json || s->drawing->draw == draw_text;
    int r = lists ? which_list(&cli, &s->meant, e) : 0;
    if (r)
        return r;
    fflush(stdout);
    return error_set(e, ERROR_USAGE, "%s%u connections match: choose one by its id%s",
                     s->meant.more ? "more than " : "", s->meant.count,
                     lists ? ", as in `fleetdump show ID`" : " (`fleetdump flows` lists them)");
}

/* When packets of the connection may have been captured: all of it, also what lies before the time that flows are
 * sought in, but for what was asked not to be shown. One that was cut off may have gone on. */
static void keep_to_times(struct show *s, uint64_t slack_ns)
{
    uint64_t first = UINT64_MAX, last = 0;
    for (uint32_t i = 0; i < s->meant.flow_count; i++) {
        const struct flow_row *row = &s->meant.flows[i].row;
        if (s->meant.flows[i].connection != s->connection)
            continue;
        bool began = column_has(&row->has, FLOW_START) && row->start_ns < row->first_ns;
        bool cut = row->end_reason == FLOW_GOES_ON || row->end_reason == FLOW_END_FORCED;
        uint64_t begin = began ? row->start_ns : row->first_ns, end = row->last_ns + (cut ? WHICH_SLACK_NS : 0);
        first = begin < first ? begin : first;
        last = end > last ? end : last;
    }
    first = first > slack_ns ? first - slack_ns : 0;
    last += slack_ns;
    s->u.q.since_ns = s->since_ns > first ? s->since_ns : first;
    s->u.q.until_ns = s->until_ns < last ? s->until_ns : last;
}

static int find_connection(struct show *s, struct error *e)
{
    int r = show_ask_which(s, &s->u.q, &s->meant, e);
    if (r)
        return r;
    if (s->meant.count == 0)
        return error_set(e, ERROR_NOT_FOUND, "no connection matches");
    if (s->meant.count > 1 || s->meant.more)
        return list_them(s, e);
    bool any_time = !s->u.since && !s->u.until;
    s->since_ns = any_time ? 0 : s->u.q.since_ns;
    s->until_ns = any_time ? UINT64_MAX : s->u.q.until_ns;
    keep_to_times(s, WHICH_SLACK_NS);
    r = s->all_vantages ? show_ask_elsewhere(s, e) : 0;
    keep_to_times(s, 0);
    s->lacks = (struct error)ERROR_INIT; /* what is missing elsewhere is not missing in this connection */
    return r;
}

static struct ladder_end client_of(const struct which_flow *f)
{
    const struct flow_key *key = &f->row.key;
    struct ladder_end end = {.family = FAMILY_NONE};
    if (!column_has(&f->row.has, FLOW_ORIGINATOR))
        return end;
    end.family = key->family;
    end.has_port = key->has_ports;
    end.port = key->has_ports ? key->port[f->row.originator] : 0;
    memcpy(end.addr, key->addr[f->row.originator], sizeof end.addr);
    return end;
}

/* ------------------------------------------------------------------ drawing */

static void look_at_terminal(struct draw_options *o)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    o->width = grid_terminal_width();
    o->colour = isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && !(term && strcmp(term, "dumb") == 0);
    o->ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

static int write_out(const struct buffer *out, struct error *e)
{
    struct output_file file = OUTPUT_FILE_NONE;
    int r = output_file_open("-", false, &file, e);
    if (r == 0)
        r = output_file_write(&file, out->data, out->len, e);
    output_file_close(&file);
    return r;
}

static int draw(struct show *s, struct error *e)
{
    struct buffer out = {.limit = DRAWING_MAX};
    char id[ID_DIGITS + 1];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)which_first(&s->meant, s->connection)->row.flow_id);
    s->options.id = id;
    look_at_terminal(&s->options);
    int r = ladder_finish(s->ladder, e);
    if (r == 0)
        r = s->drawing->draw(s->ladder, &s->options, &out, e);
    if (r == 0)
        r = write_out(&out, e);
    buffer_free(&out);
    return r;
}

/* A connection of which no packet is here, as its flows have it. */
static int list_it(struct show *s, struct error *e)
{
    struct which one = {.flows = calloc(s->meant.flow_count + 1, sizeof *one.flows), .count = 1};
    struct cli cli = *s->u.cli;
    if (!one.flows)
        return error_set(e, ERROR_MEMORY, "no memory for %u flows", s->meant.flow_count);
    for (uint32_t i = 0; i < s->meant.flow_count; i++)
        if (s->meant.flows[i].connection == s->connection) {
            one.flows[one.flow_count] = s->meant.flows[i];
            one.flows[one.flow_count++].connection = 0;
        }
    cli.format = OUTPUT_TABLE;
    int r = which_list(&cli, &one, e);
    free(one.flows);
    return r;
}

static int show(struct show *s, struct error *e)
{
    int r = find_connection(s, e);
    if (r)
        return r;
    struct ladder_end client = client_of(which_first(&s->meant, s->connection));
    r = ladder_new(client.family == FAMILY_NONE ? NULL : &client, &s->ladder, e);
    if (r == 0)
        r = blocks_new(show_take_item, s, &s->blocks, e);
    if (r == 0)
        r = show_pull_all(s, e);
    if (r == 0 && s->ladder->sight_count == 0 && s->drawing->draw == draw_text)
        r = list_it(s, e);
    else if (r == 0)
        r = draw(s, e);
    if (r == 0 && s->lacks.code)
        *e = s->lacks;
    return r ? r : s->lacks.code;
}

/* ------------------------------------------------------------------ the command */

enum { OPTION_FULL = 0x600, OPTION_LIMIT, OPTION_VANTAGE };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "How it is drawn:", 5},
    {"output", 'o', "FORMAT", 0,
     "table (fitted to the terminal), json, or svg or html (one file each that needs nothing else) (default: table)",
     5},
    {"full", OPTION_FULL, NULL, 0, "every packet, with all that its headers say", 5},
    {"limit", OPTION_LIMIT, "N", 0, "at most N lines", 5},
    {NULL, 0, NULL, 0, "Seen from where:", 6},
    {"vantage", OPTION_VANTAGE, "auto|all", 0,
     "auto takes the server's agent, else the client's, else the earliest; all shows every one and the time between "
     "them (default: all)",
     6},
    {0},
};

static void take_format(struct show *s, const char *arg, struct argp_state *state)
{
    for (const struct drawing *d = drawings; d->name; d++)
        if (strcmp(d->name, arg) == 0) {
            s->drawing = d;
            return;
        }
    argp_error(state, "-o %s: it is table, json, svg or html", arg);
}

/* An id alone: "7f3a" means "id 7f3a", whenever that was. */
static int take_id(struct question *u, struct error *e)
{
    char id[ID_DIGITS + 1];
    size_t n = u->filter ? strspn(u->filter, "0123456789abcdefABCDEF") : 0;
    if (n == 0 || n > ID_DIGITS || u->filter[n])
        return 0;
    snprintf(id, sizeof id, "%s", u->filter);
    free(u->filter);
    u->filter = NULL;
    if (!u->since && !u->until)
        u->since = "@0";
    int r = append_word(&u->filter, "id", e);
    return r ? r : append_word(&u->filter, id, e);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct show *s = state->input;
    struct error e = ERROR_INIT;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &s->u;
        state->child_inputs[1] = s->u.cli;
        return 0;
    case 'o':
        take_format(s, arg, state);
        return 0;
    case OPTION_FULL:
        s->options.full = true;
        return 0;
    case OPTION_LIMIT:
        if (units_parse(UNIT_COUNT, arg, &s->options.limit, &e) || s->options.limit == 0)
            argp_error(state, "--limit takes a number from 1: '%s'", arg);
        return 0;
    case OPTION_VANTAGE:
        s->all_vantages = pulling_vantage(arg, state) == VANTAGE_ALL;
        return 0;
    case ARGP_KEY_END:
        if (!s->u.filter && !s->u.capture)
            argp_error(state, "which connection? Its id or a filter (`fleetdump flows` lists them)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct show *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, ERROR_MEMORY, "no memory");
    *s = (struct show){.u = QUESTION_INIT(cli), .all_vantages = true, .drawing = drawings};
    cli_parse(&command_show, argc, argv, s);
    int r = take_id(&s->u, e);
    if (r == 0)
        r = question_prepare(&s->u, QUERY_FLOWS, e);
    if (r == 0)
        r = client_open(cli, &s->client, e);
    if (r == 0)
        r = show(s, e);
    client_close(s->client);
    blocks_free(s->blocks);
    show_forget_interfaces(s);
    ladder_free(s->ladder);
    which_free(&s->meant);
    question_free(&s->u);
    free(s);
    return r;
}

static const struct argp_child children[] = {{&question_argp, 0, NULL, 0}, {&cli_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    options,
    parse,
    "ID|FILTER",
    "One connection as a ladder: its packets in order, who sent them, their TCP numbers, what is remarkable about them "
    "and what HTTP, DNS or TLS said in them.\v"
    "An id is what `fleetdump flows -o wide` shows (its first digits are enough). A filter has to mean one connection, "
    "else "
    "those that it means are listed. ICMP errors that quote it are among its packets. Numbers and findings are those "
    "of Wireshark. With several vantages the columns "
    "TIME A, TIME B are their clocks, BETWEEN the time that the packet took from the sender's side to the receiver's "
    "by "
    "these.\n\n"
    "Examples:\n"
    "  fleetdump show 7f3a\n"
    "  fleetdump show 'from 10.0.0.5 and to port 80' --since 5m\n"
    "  fleetdump show 'state REJ' --capture monday --full | less -S\n"
    "  fleetdump show 7f3a -o html > ladder.html\n"
    "  fleetdump show 7f3a -o json | jq '.packets[] | select(.findings != [])'\n\n"
    "`fleetdump help filter` lists the words of filters.\n",
    children,
    NULL,
    NULL};

const struct command command_show = {
    .name = "show",
    .summary = "one connection, packet by packet, from both ends",
    .argp = &argp,
    .run = run,
};
