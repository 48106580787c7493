/* Taking packets, and what the drawings ask of rows. */
#include "collector/ladder/ladder_inside.h"
#include "common/base/hash.h"
#include "common/base/utf8.h"
#include <stdlib.h>
#include <string.h>

#define KEY_PAYLOAD 32u /* bytes of payload that tell packets apart which are no TCP */

/* ------------------------------------------------------------------ begin and end */

int ladder_new(const struct ladder_end *client, struct ladder **out, struct error *e)
{
    struct ladder *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(e, ERROR_MEMORY, "no memory for a connection");
    if (client)
        l->end[LADDER_CLIENT] = *client;
    l->client_known = client && client->family != FAMILY_NONE;
    *out = l;
    return 0;
}

void ladder_free(struct ladder *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; i < l->vantages; i++) {
        free(l->vantage[i].name);
        tcp_analysis_free(l->vantage[i].analysis);
        said_free(l->vantage[i].talk);
    }
    for (uint32_t i = 0; i < l->sight_count; i++)
        free(l->sights[i].said);
    free(l->sights);
    free(l->rows);
    free(l);
}

int ladder_add_vantage(struct ladder *l, const char *name, uint32_t *index, struct error *e)
{
    struct ladder_vantage *v = &l->vantage[l->vantages];
    if (l->vantages == LADDER_VANTAGES_MAX)
        return error_set(e, ERROR_LIMIT,
                         "the connection was seen at more than %u places; choose some with --on, or one with "
                         "--vantage auto",
                         LADDER_VANTAGES_MAX);
    *index = l->vantages++;
    v->name = strdup(name);
    if (v->name)
        utf8_clean(v->name, strlen(v->name));
    int r = v->name ? tcp_analysis_new(&v->analysis, e) : error_set(e, ERROR_MEMORY, "no memory for a name");
    return r ? r : said_new(&v->talk, e);
}

/* ------------------------------------------------------------------ ends */

static struct ladder_end end_of(const struct packet *p, unsigned i)
{
    struct ladder_end end = {.family = p->net.family, .port = p->net.port[i], .has_port = p->net.has_ports};
    if (p->net.family == FAMILY_NONE && p->has_mac) {
        end.family = FAMILY_LINK;
        memcpy(end.addr, p->mac[i], sizeof p->mac[i]);
    } else
        memcpy(end.addr, p->net.addr[i], sizeof end.addr);
    return end;
}

static bool same_end(const struct ladder_end *a, const struct ladder_end *b)
{
    return a->family == b->family && memcmp(a->addr, b->addr, sizeof a->addr) == 0 &&
           (!a->has_port || !b->has_port || a->port == b->port);
}

static unsigned guess_client(const struct packet *p)
{
    if (p->has_tcp && (p->tcp_flags & TCP_SYN))
        return (p->tcp_flags & TCP_ACK) != 0;
    return p->net.has_ports && p->net.port[0] < p->net.port[1];
}

static void swap_ends(struct ladder *l)
{
    struct ladder_end client = l->end[LADDER_SERVER];
    l->end[LADDER_SERVER] = l->end[LADDER_CLIENT];
    l->end[LADDER_CLIENT] = client;
    for (uint32_t i = 0; i < l->sight_count; i++)
        l->sights[i].from ^= 1;
}

/* With the first packet; a SYN that comes later knows better who the client is. */
static void know_ends(struct ladder *l, const struct packet *p)
{
    bool syn = p->has_tcp && (p->tcp_flags & TCP_SYN);
    if (l->sight_count == 0) {
        struct ladder_end ends[2] = {end_of(p, 0), end_of(p, 1)};
        unsigned client = l->client_known ? !same_end(&l->end[LADDER_CLIENT], &ends[0]) : guess_client(p);
        l->end[LADDER_CLIENT] = ends[client];
        l->end[LADDER_SERVER] = ends[!client];
        l->proto = p->net.proto;
        l->ethertype = p->ethertype;
    } else if (syn && !l->client_known) {
        struct ladder_end client = end_of(p, guess_client(p));
        if (same_end(&l->end[LADDER_SERVER], &client))
            swap_ends(l);
    }
    l->client_known = l->client_known || syn;
}

/* ------------------------------------------------------------------ packets */

/* What all vantages see alike of a packet. */
struct identity {
    uint32_t from, id, length, fragment;
    uint32_t seq, ack, flags, window;
    uint64_t payload;
};

static uint64_t key_of(const struct ladder_sight *s, const struct packet *p)
{
    struct identity identity = {.from = s->from, .length = s->length, .fragment = s->fragment};
    if (p->net.family == FAMILY_IP4 || s->fragment != FRAGMENT_NONE)
        identity.id = s->id;
    if (s->has_tcp) {
        identity.seq = s->segment.seq;
        identity.ack = s->segment.ack;
        identity.flags = s->segment.flags;
        identity.window = s->segment.window;
    } else {
        uint32_t at = p->payload_offset ? p->payload_offset : p->transport_offset ? p->transport_offset : p->net_offset;
        uint32_t have = at < p->captured ? p->captured - at : 0;
        identity.payload = hash64(p->data + at, have < KEY_PAYLOAD ? have : KEY_PAYLOAD);
    }
    return hash64(&identity, sizeof identity);
}

static struct ladder_sight *new_sight(struct ladder *l, struct error *e)
{
    if (l->sight_count == l->sight_room) {
        uint32_t room = l->sight_room ? 2 * l->sight_room : 256;
        struct ladder_sight *grown = realloc(l->sights, room * sizeof *grown);
        if (!grown) {
            (void)error_set(e, ERROR_MEMORY, "no memory for %u packets", room);
            return NULL;
        }
        l->sights = grown;
        l->sight_room = room;
    }
    return &l->sights[l->sight_count];
}

static int read_words(struct ladder *l, struct ladder_sight *s, const struct packet *p, struct error *e)
{
    struct words words;
    int r = said_packet(l->vantage[s->vantage].talk, s->from, p, &words, e);
    if (r || words.len == 0)
        return r;
    s->protocol = words.protocol;
    if (l->protocol == SAID_NOTHING)
        l->protocol = words.protocol;
    s->said = strdup(words.text);
    return s->said ? 0 : error_set(e, ERROR_MEMORY, "no memory for what was said");
}

static int read_packet(struct ladder *l, struct ladder_sight *s, const struct packet *p, struct error *e)
{
    struct ladder_vantage *v = &l->vantage[s->vantage];
    int r = 0;
    if (p->has_tcp) {
        tcp_segment_read(p, s->time_ns, s->number, &s->segment);
        r = tcp_analysis_next(v->analysis, s->from, &s->segment, &s->reading, e);
    }
    s->key = key_of(s, p);
    return r ? r : read_words(l, s, p, e);
}

int ladder_take(struct ladder *l, uint32_t vantage, const struct packet *p, uint64_t time_ns, struct error *e)
{
    struct ladder_vantage *v = &l->vantage[vantage];
    if (l->sight_count == LADDER_SIGHTS_MAX)
        return error_set(e, ERROR_LIMIT,
                         "the connection has more than %u packets; narrow it with --since, --until, --vantage auto, or "
                         "use `fleetdump pull`",
                         LADDER_SIGHTS_MAX);
    know_ends(l, p);
    struct ladder_sight *s = new_sight(l, e);
    if (!s)
        return ERROR_MEMORY;
    struct ladder_end sender = end_of(p, 0);
    *s = (struct ladder_sight){
        .time_ns = time_ns,
        .number = ++v->sights,
        .row = LADDER_NONE,
        .more = LADDER_NONE,
        .vantage = (uint8_t)vantage,
        .from = same_end(&l->end[LADDER_CLIENT], &sender) ? LADDER_CLIENT : LADDER_SERVER,
        .fragment = p->net.fragment,
        .hop_limit = p->hop_limit,
        .ended = (uint8_t)p->end,
        .proto = p->net.proto,
        .has_tcp = p->has_tcp,
        .id = p->fragment_id,
        .length = p->payload_length,
        .wire = p->wire,
        .captured = p->captured,
    };
    l->sight_count++;
    v->first_ns = v->sights == 1 || time_ns < v->first_ns ? time_ns : v->first_ns;
    v->last_ns = time_ns > v->last_ns ? time_ns : v->last_ns;
    return read_packet(l, s, p, e);
}

int ladder_finish(struct ladder *l, struct error *e)
{
    int r = ladder_match(l, e);
    if (r == 0 && l->vantages > 1)
        r = ladder_join_parts(l, e);
    if (r)
        return r;
    ladder_order(l);
    if (l->proto == PROTO_TCP)
        ladder_tell(l);
    return 0;
}

/* ------------------------------------------------------------------ asking */

const struct ladder_sight *ladder_main(const struct ladder *l, const struct ladder_row *row)
{
    return &l->sights[row->main];
}

const struct ladder_sight *ladder_sight_at(const struct ladder *l, const struct ladder_row *row, uint32_t vantage)
{
    return row->sight[vantage] == LADDER_NONE ? NULL : &l->sights[row->sight[vantage]];
}

uint16_t ladder_findings(const struct ladder *l, const struct ladder_row *row, uint32_t vantage)
{
    uint16_t findings = 0;
    for (uint32_t i = row->sight[vantage]; i != LADDER_NONE; i = l->sights[i].more)
        findings |= l->sights[i].reading.findings;
    return findings;
}

bool ladder_missed(const struct ladder *l, const struct ladder_row *row, uint32_t vantage)
{
    const struct ladder_vantage *v = &l->vantage[vantage];
    int64_t way = ladder_main(l, row)->from == LADDER_CLIENT ? v->away_ns : -v->away_ns;
    uint64_t there = row->time_ns + (uint64_t)(v->ahead_ns + way);
    return row->sight[vantage] == LADDER_NONE && v->sights && there > v->first_ns && there < v->last_ns;
}

bool ladder_between(const struct ladder *l, const struct ladder_row *row, int64_t *ns)
{
    const struct ladder_sight *first = NULL, *last = NULL;
    for (uint32_t i = 0; i < l->vantages; i++) {
        const struct ladder_sight *s = ladder_sight_at(l, row, i);
        first = first ? first : s;
        last = s ? s : last;
    }
    if (!first || first == last)
        return false;
    *ns = (int64_t)(last->time_ns - first->time_ns) * (first->from == LADDER_CLIENT ? 1 : -1);
    return true;
}
