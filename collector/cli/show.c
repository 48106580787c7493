/*
 * fleetdump show: one connection as a ladder: packet by packet, from all places that saw it.
 *
 * First the flows that the filter means are asked for, to know whether that is one connection; then the flows of the
 * same connection elsewhere; then the packets, one pull for each vantage, as their link types may differ.
 */
#include "collector/cli/blocks.h"
#include "collector/cli/grid.h"
#include "collector/cli/output_file.h"
#include "collector/cli/pulling.h"
#include "collector/cli/which.h"
#include "collector/ladder/draw.h"
#include "common/base/units.h"
#include "common/packet/community_id.h"
#include <ctype.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID_DIGITS      16u
#define INTERFACES_MAX 4096u
#define ERRORS_NS      (5 * UINT64_C(1000000000)) /* an ICMP error comes no later behind the last packet */
#define DRAWING_MAX    ((size_t)1 << 30)

typedef int draw_fn(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e);

static const struct drawing {
    const char *name;
    draw_fn *draw;
} drawings[] = {{"table", draw_text}, {"json", draw_json}, {"svg", draw_svg}, {"html", draw_html}, {NULL, NULL}};

struct show {
    struct question u;
    bool all_vantages;
    const struct drawing *drawing;
    struct draw_options options;
    struct client *client;
    struct which meant;          /* flows of the connection, and others */
    uint32_t connection;         /* its number among them */
    uint64_t since_ns, until_ns; /* packets of other times are not to be shown */
    struct ladder *ladder;
    struct blocks *blocks;
    struct {
        int link_type;
        char *name; /* owned */
    } interfaces[INTERFACES_MAX];
    uint32_t interface_count;
    const struct flow_key *quoted; /* packets that quote another flow are left out; NULL: all are taken */
    struct error lacks;            /* what is missing in an answer that is good */
};

/* ------------------------------------------------------------------ packets */

static void forget_interfaces(struct show *s)
{
    while (s->interface_count)
        free(s->interfaces[--s->interface_count].name);
}

static int add_interface(struct show *s, const struct pcapng_interface *i, struct error *e)
{
    struct error printable = ERROR_INIT;
    if (s->interface_count == INTERFACES_MAX)
        return error_set(e, ERROR_LIMIT, "packets of more than %u interfaces", INTERFACES_MAX);
    (void)error_set(&printable, ERROR_NONE, "%s", i->name ? i->name : "?");
    char *name = strdup(printable.text);
    if (!name)
        return error_set(e, ERROR_MEMORY, "no memory for interface names");
    s->interfaces[s->interface_count].link_type = i->link_type;
    s->interfaces[s->interface_count++].name = name;
    return 0;
}

/* Where one interface sees a packet twice, in a VLAN or tunnel and out of it, these are vantages of their own. */
static void vantage_name(const char *interface, const struct packet *p, char *text, size_t len)
{
    size_t n = (size_t)snprintf(text, len, "%s", interface);
    for (unsigned i = 0; i < 2 && n < len; i++)
        if (p->vlan[i] != VLAN_NONE)
            n += (size_t)snprintf(text + n, len - n, " vlan %u", p->vlan[i]);
    if (p->tunnel != TUNNEL_NONE && n < len)
        snprintf(text + n, len - n, " %s %u", packet_tunnel_name(p->tunnel), p->tunnel_id);
}

/* 1 for an error that was seen where the connection was not. */
static int find_vantage(struct show *s, const char *interface, const struct packet *p, uint32_t *index, struct error *e)
{
    char name[512];
    vantage_name(interface, p, name, sizeof name);
    for (*index = 0; *index < s->ladder->vantages; ++*index)
        if (strcmp(s->ladder->vantage[*index].name, name) == 0)
            return 0;
    if (s->quoted)
        return 1;
    return ladder_add_vantage(s->ladder, name, index, e);
}

/* An ICMP error belongs to what it quotes, in either direction. */
static bool quotes(const struct packet *p, const struct flow_key *key)
{
    const struct packet_net *q = &p->quoted;
    if (q->family != key->family || q->proto != key->proto || q->has_ports != key->has_ports)
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (memcmp(q->addr[0], key->addr[i], sizeof q->addr[0]) == 0 &&
            memcmp(q->addr[1], key->addr[1 - i], sizeof q->addr[1]) == 0 &&
            (!q->has_ports || (q->port[0] == key->port[i] && q->port[1] == key->port[1 - i])))
            return true;
    return false;
}

static int take_packet(struct show *s, const struct pcapng_packet *packet, struct error *e)
{
    struct packet p;
    uint32_t vantage;
    if (packet->interface >= s->interface_count)
        return error_set(e, ERROR_INVALID, "the packets are damaged: one of an interface that was not described");
    packet_decode(s->interfaces[packet->interface].link_type, packet->data, packet->captured, packet->wire, &p);
    if (s->quoted && !quotes(&p, s->quoted))
        return 0;
    int r = find_vantage(s, s->interfaces[packet->interface].name, &p, &vantage, e);
    if (r == 0)
        r = ladder_take(s->ladder, vantage, &p, packet->time_ns, e);
    return r < 0 ? r : 0;
}

static int take_item(void *context, const struct pcapng_item *item, struct error *e)
{
    struct show *s = context;
    if (item->kind == PCAPNG_ITEM_INTERFACE)
        return add_interface(s, &item->interface_info, e);
    return item->kind == PCAPNG_ITEM_PACKET ? take_packet(s, &item->packet, e) : 0;
}

static int take(void *context, const struct message_result *r, struct error *e)
{
    struct show *s = context;
    return blocks_feed(s->blocks, r->data, r->length, e);
}

/* ------------------------------------------------------------------ questions */

/* What is missing is said in the end, when the rest is drawn. */
static int conclude(struct show *s, const struct client_answer *answer, struct error *e)
{
    struct error why = ERROR_INIT;
    int r = client_conclude(s->u.cli, answer, "the ladder is", &why);
    if (r == ERROR_INCOMPLETE)
        s->lacks = why;
    else if (r)
        *e = why;
    return r == ERROR_INCOMPLETE ? 0 : r;
}

static int ask_which(struct show *s, const struct message_query *q, struct which *out, struct error *e)
{
    struct client_answer answer = {0};
    int r = which_ask(s->client, q, out, &answer, e);
    if (r == 0)
        r = conclude(s, &answer, e);
    client_answer_free(&answer);
    return r;
}

/* The flows of the same connection that the filter, an id perhaps, does not mean. */
static int ask_elsewhere(struct show *s, struct error *e)
{
    const struct which_flow *first = which_first(&s->meant, s->connection);
    char filter[COMMUNITY_ID_SIZE + 16], id[COMMUNITY_ID_SIZE];
    struct message_query q = s->u.q;
    struct which all;
    uint64_t wanted = first->row.flow_id;
    if (!community_id(&first->row.key, 0, id))
        return 0;
    snprintf(filter, sizeof filter, "community-id %s", id);
    q.filter = filter;
    q.names = NULL;
    q.name_count = 0;
    int r = ask_which(s, &q, &all, e);
    for (uint32_t i = 0; r == 0 && i < all.flow_count; i++)
        if (all.flows[i].row.flow_id == wanted) {
            s->connection = all.flows[i].connection;
            which_free(&s->meant);
            s->meant = all;
            return 0;
        }
    which_free(&all);
    return r;
}

/* "id 7f3a or id 5c1d": of the connection's flows those of one vantage, or of all if that is NULL. */
static int ids_of(const struct show *s, const struct which_flow *vantage, struct buffer *out, struct error *e)
{
    for (uint32_t i = 0; i < s->meant.flow_count; i++) {
        const struct which_flow *f = &s->meant.flows[i];
        bool there =
            !vantage || (strcmp(f->agent, vantage->agent) == 0 && strcmp(f->interface, vantage->interface) == 0);
        if (f->connection == s->connection && there)
            buffer_printf(out, "%sid %016llx", out->len ? " or " : "", (unsigned long long)f->row.flow_id);
    }
    buffer_u8(out, 0);
    return out->failed ? error_set(e, ERROR_MEMORY, "no memory for a filter") : 0;
}

static struct message_query packets_of(const struct show *s, const struct which_flow *vantage,
                                       const struct buffer *filter)
{
    struct message_query q = s->u.q;
    q.kind = QUERY_PULL;
    q.filter = (char *)filter->data;
    q.names = NULL;
    q.name_count = 0;
    q.vantage = vantage ? VANTAGE_ALL : VANTAGE_AUTO;
    return q;
}

static int pull(struct show *s, const struct which_flow *vantage, struct error *e)
{
    struct client_answer answer = {0};
    struct buffer ids = {0};
    int r = ids_of(s, vantage, &ids, e);
    const struct message_query q = packets_of(s, vantage, &ids);
    if (r == 0)
        r = blocks_restart(s->blocks, e);
    forget_interfaces(s);
    if (r == 0)
        r = client_query(s->client, &q, "show", take, s, &answer, e);
    if (r == 0)
        r = conclude(s, &answer, e);
    client_answer_free(&answer);
    buffer_free(&ids);
    return r;
}

/* Whom errors about the connection were sent to: those who sent packets of it. */
static void put_errors_filter(const struct flow_key *key, struct buffer *out)
{
    char a[64], b[64];
    packet_addr_text(key->family, key->addr[0], a, sizeof a);
    packet_addr_text(key->family, key->addr[1], b, sizeof b);
    buffer_printf(out, "%s and (dst host %s or dst host %s)", key->family == FAMILY_IP4 ? "icmp" : "icmp6", a, b);
    buffer_u8(out, 0);
}

/* The ICMP errors that quote the connection, if its rows count some: they are of flows of their own. One that was seen where the connection was not has
 * no place in the ladder; what is missing of them is not missing in the connection. */
static int pull_errors(struct show *s, struct error *e)
{
    struct client_answer answer = {0};
    struct buffer filter = {0};
    const struct flow_row *row = &which_first(&s->meant, s->connection)->row;
    put_errors_filter(&row->key, &filter);
    struct message_query q = packets_of(s, NULL, &filter);
    q.vantage = VANTAGE_ALL; /* wherever the connection was seen, whoever else saw them */
    q.packets_only = true;
    q.link_type = s->interface_count ? (uint32_t)s->interfaces[0].link_type : UINT32_MAX;
    q.until_ns = q.until_ns < UINT64_MAX - ERRORS_NS ? q.until_ns + ERRORS_NS : UINT64_MAX;
    int r = filter.failed ? error_set(e, ERROR_MEMORY, "no memory for a filter") : blocks_restart(s->blocks, e);
    forget_interfaces(s);
    s->quoted = &row->key;
    if (r == 0)
        r = client_query(s->client, &q, "show", take, s, &answer, e);
    s->quoted = NULL;
    client_answer_free(&answer);
    buffer_free(&filter);
    return r;
}

static bool has_errors(const struct show *s)
{
    for (uint32_t i = 0; i < s->meant.flow_count; i++)
        if (s->meant.flows[i].connection == s->connection && s->meant.flows[i].row.icmp_errors > 0)
            return true;
    return false;
}

static bool is_first_there(const struct show *s, uint32_t flow)
{
    const struct which_flow *f = s->meant.flows;
    for (uint32_t i = 0; i < flow; i++)
        if (f[i].connection == s->connection && strcmp(f[i].agent, f[flow].agent) == 0 &&
            strcmp(f[i].interface, f[flow].interface) == 0)
            return false;
    return f[flow].connection == s->connection;
}

static int pull_all(struct show *s, struct error *e)
{
    int r = s->all_vantages ? 0 : pull(s, NULL, e);
    for (uint32_t i = 0; s->all_vantages && r == 0 && i < s->meant.flow_count; i++)
        if (is_first_there(s, i))
            r = pull(s, &s->meant.flows[i], e);
    return r == 0 && has_errors(s) ? pull_errors(s, e) : r;
}

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
    int r = ask_which(s, &s->u.q, &s->meant, e);
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
    r = s->all_vantages ? ask_elsewhere(s, e) : 0;
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
        r = blocks_new(take_item, s, &s->blocks, e);
    if (r == 0)
        r = pull_all(s, e);
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
    forget_interfaces(s);
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
