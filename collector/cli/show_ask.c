/*
 * What `fleetdump show` asks the collector: the flows of the connection, here and elsewhere, and its packets, which go into the ladder.
 */
#include "collector/cli/show_impl.h"
#include "common/packet/community_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERRORS_NS (5 * UINT64_C(1000000000)) /* an ICMP error comes no later behind the last packet */

/* ------------------------------------------------------------------ packets */

void show_forget_interfaces(struct show *s)
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

int show_take_item(void *context, const struct pcapng_item *item, struct error *e)
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

int show_ask_which(struct show *s, const struct message_query *q, struct which *out, struct error *e)
{
    struct client_answer answer = {0};
    int r = which_ask(s->client, q, out, &answer, e);
    if (r == 0)
        r = conclude(s, &answer, e);
    client_answer_free(&answer);
    return r;
}

int show_ask_elsewhere(struct show *s, struct error *e)
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
    int r = show_ask_which(s, &q, &all, e);
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
    show_forget_interfaces(s);
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
    show_forget_interfaces(s);
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

int show_pull_all(struct show *s, struct error *e)
{
    int r = s->all_vantages ? 0 : pull(s, NULL, e);
    for (uint32_t i = 0; s->all_vantages && r == 0 && i < s->meant.flow_count; i++)
        if (is_first_there(s, i))
            r = pull(s, &s->meant.flows[i], e);
    return r == 0 && has_errors(s) ? pull_errors(s, e) : r;
}
