/* conversation: flows, from the first payload until nothing more is to be learned. */
#include "agent/capture/conversation_impl.h"
#include "common/app/detect.h"
#include "common/app/quic.h"
#include "common/app/tls.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LOOKED_MAX   4u  /* datagrams of a flow; then it is of no application that we know */
#define LOOKS        8u  /* at flows, for one that gives way */
#define PIECE_HEADER 16u /* in front of each piece of memory stands what it takes */

/* ---------------------------------------------------------------- applications */

/* Of which more is read than the name. */
static const struct app_reader *const readers[APP_COUNT] = {
    [APP_HTTP] = &app_http_reader, [APP_DNS] = &app_dns_reader, [APP_MDNS] = &app_dns_reader,
    [APP_LLMNR] = &app_dns_reader, [APP_TLS] = &app_tls_reader, [APP_SSH] = &app_ssh_reader,
    [APP_QUIC] = &app_quic_reader,
};

/* The application by these bytes from the beginning of what the side says, or of a datagram. */
static enum app look_at(const struct conversation_packet *k, unsigned side, const uint8_t *data, size_t len, bool *more)
{
    const struct packet *p = k->p;
    struct detect_input in = {.proto = p->net.proto,
                              .originator_port = p->net.port[k->originator != k->sender],
                              .responder_port = p->net.port[k->originator == k->sender],
                              .from_originator = side == k->originator,
                              .is_guess = !k->originator_is_sure,
                              .data = data,
                              .len = len,
                              .wire_len = p->payload_length};
    return detect(&in, more);
}

/* ---------------------------------------------------------------- memory */

/* With what the allocator puts in front, and rounds up to. */
static size_t piece_cost(size_t size)
{
    return (size + PIECE_HEADER + sizeof(size_t) + 15) & ~(size_t)15;
}

static size_t cost_of(const uint8_t *piece)
{
    size_t cost = 0;
    if (piece)
        memcpy(&cost, piece, sizeof cost);
    return cost;
}

/* Of all, and of the flow (NULL: it has nothing yet); one that stopped holds what stays. */
static void count(struct conversations *all, struct conversation *v, size_t before, size_t after)
{
    all->stats.memory = all->stats.memory - before + after;
    if (v)
        v->memory = (uint32_t)(v->memory - before + after);
    if (v && v->stopped)
        all->stays = all->stays - before + after;
}

/* Within the limit of all, and of the flow: v is NULL for its first piece. */
static void *resize(struct conversations *all, struct conversation *v, void *memory, size_t size)
{
    uint8_t *piece = memory ? (uint8_t *)memory - PIECE_HEADER : NULL;
    size_t before = cost_of(piece), cost = piece_cost(size);
    uint64_t used = all->stats.memory - before, own = (v ? v->memory : 0) - before;
    if (used + all->stats.exchange_memory + cost > all->options.memory || own + cost > CONVERSATION_FLOW_MAX)
        return NULL;
    uint8_t *grown = realloc(piece, size + PIECE_HEADER);
    if (!grown)
        return NULL;
    memcpy(grown, &cost, sizeof cost);
    count(all, v, before, cost);
    return grown + PIECE_HEADER;
}

void *conversation_resize(struct hearing *h, void *memory, size_t size)
{
    return resize(h->all, h->v, memory, size);
}

void *conversation_alloc(struct hearing *h, size_t size)
{
    void *memory = resize(h->all, h->v, NULL, size);
    return memory ? memset(memory, 0, size) : NULL;
}

void conversation_release(struct conversations *all, struct conversation *v, void *memory)
{
    if (!memory)
        return;
    uint8_t *piece = (uint8_t *)memory - PIECE_HEADER;
    count(all, v, cost_of(piece), 0);
    free(piece);
}

/* ---------------------------------------------------------------- beginning and end */

static void make_youngest(struct conversations *all, struct conversation *v)
{
    v->heard = false;
    v->younger = NULL;
    v->older = all->youngest;
    if (v->older)
        v->older->younger = v;
    else
        all->oldest = v;
    all->youngest = v;
}

static void take_out(struct conversations *all, struct conversation *v)
{
    if (v->older)
        v->older->younger = v->younger;
    else
        all->oldest = v->younger;
    if (v->younger)
        v->younger->older = v->older;
    else
        all->youngest = v->older;
}

static struct conversation *add(struct conversations *all, struct conversation_place *place, uint32_t flow)
{
    struct conversation *v = resize(all, NULL, NULL, sizeof *v);
    if (!v) {
        all->stats.unheard++;
        place->phase = CONVERSATION_OVER;
        return NULL;
    }
    *v = (struct conversation){.memory = (uint32_t)piece_cost(sizeof *v), .flow = flow};
    v->next = all->first;
    if (v->next)
        v->next->previous = v;
    all->first = v;
    make_youngest(all, v);
    place->it = v;
    return v;
}

/* No reader, no bytes any more; what was said stays. */
static void stop(struct conversations *all, struct conversation *v)
{
    if (v->stopped)
        return;
    v->stopped = true;
    all->stays += v->memory;
    take_out(all, v);
    stream_free(all, v);
    conversation_release(all, v, v->state);
    v->state = NULL;
    v->reader = NULL;
}

void conversation_forget(struct conversations *all, struct conversation_place *place)
{
    struct conversation *v = place->it;
    if (!v)
        return;
    stop(all, v);
    const struct remark *said[] = {&v->sni,      &v->alpn,        &v->ja4,        &v->http_host,
                                   &v->dns_name, &v->software[0], &v->software[1]};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        conversation_release(all, v, said[i]->text);
    if (v->previous)
        v->previous->next = v->next;
    else
        all->first = v->next;
    if (v->next)
        v->next->previous = v->previous;
    conversation_release(all, v, v);
    place->it = NULL;
}

/* Ends the reader's exchanges; the conversation is over. */
static void finish(struct hearing *h, uint8_t reason)
{
    struct conversation *v = h->v;
    v->place->phase = CONVERSATION_OVER;
    if (v->reader && v->reader->end)
        v->reader->end(h, v->gave_up ? (uint8_t)FLOW_END_RESOURCES : reason);
    stop(h->all, v);
}

void conversation_end(struct conversations *all, struct conversation_place *place, uint64_t flow_id, uint64_t last_ns,
                      uint8_t reason)
{
    struct conversation *v = place->it;
    if (v && place->phase != CONVERSATION_OVER) {
        v->place = place;
        if (v->direction)
            stream_end(all, v, flow_id);
        struct hearing h = {.all = all, .v = v, .flow_id = flow_id, .time_ns = last_ns, .first_ns = last_ns};
        finish(&h, reason); /* also of one that was over by what waited */
    }
    place->phase = CONVERSATION_OVER;
}

void conversation_deafen(struct hearing *h, unsigned side)
{
    struct direction *d = h->v->direction;
    if (d)
        d[side].deaf = true;
    if (!d || d[!side].deaf)
        h->v->place->phase = CONVERSATION_OVER;
}

void conversation_give_up(struct hearing *h)
{
    h->v->gave_up = true;
    h->all->stats.unheard++;
    h->v->place->phase = CONVERSATION_OVER;
}

/* ---------------------------------------------------------------- giving way */

/* From the oldest on; those that were heard meanwhile are the youngest from now on. */
static const struct conversation *choose(struct conversations *all, uint32_t but)
{
    const struct conversation *most = NULL;
    struct conversation *younger, *v = all->oldest;
    for (unsigned i = 0; v && i < LOOKS; i++, v = younger) {
        younger = v->younger;
        if (v->flow == but)
            continue;
        if (!v->heard && (!most || v->memory > most->memory))
            most = v;
        if (v->heard) {
            take_out(all, v);
            make_youngest(all, v);
        }
    }
    return most;
}

/* Where what stays fills the memory, to end those few that are read gives next to nothing back. */
static bool would_help(const struct conversations *all)
{
    return all->stats.memory - all->stays > all->options.memory / CONVERSATIONS_SPARE;
}

bool conversations_pressed(struct conversations *all, uint32_t but, uint32_t *flow)
{
    bool pressed = conversations_are_short(all) && !exchanges_are_many(all) && would_help(all);
    const struct conversation *v = pressed ? choose(all, but) : NULL;
    if (v)
        *flow = v->flow;
    return v != NULL;
}

void conversation_give_way(struct conversations *all, struct conversation_place *place, uint64_t flow_id,
                           uint64_t last_ns)
{
    struct conversation *v = place->it;
    struct hearing h = {.all = all, .v = v, .flow_id = flow_id, .time_ns = last_ns, .first_ns = last_ns};
    v->place = place;
    conversation_give_up(&h);
    finish(&h, FLOW_END_RESOURCES);
}

/* ---------------------------------------------------------------- looking */

static void name_app(struct conversation_place *place, enum app app)
{
    place->app = (uint8_t)app;
    place->phase = readers[app] ? CONVERSATION_READING : CONVERSATION_OVER;
}

static void begin_reader(struct hearing *h, enum app app)
{
    struct conversation *v = h->v;
    name_app(v->place, app);
    v->reader = readers[app];
    if (!v->reader)
        return;
    if (v->reader->state_size)
        v->state = conversation_alloc(h, v->reader->state_size);
    if (v->reader->state_size && !v->state) {
        v->reader = NULL;
        conversation_give_up(h);
        return;
    }
    for (int i = 0; v->direction && i < 2; i++)
        v->direction[i].deaf = false;
    if (v->reader->begin)
        v->reader->begin(h);
}

static void note_strange(struct conversation_place *place, unsigned side)
{
    place->strange |= (uint8_t)(1u << side);
    if (place->strange == 3)
        place->phase = CONVERSATION_OVER;
}

enum looked conversation_look(struct hearing *h, const uint8_t *data, size_t len)
{
    bool more = false;
    enum app app = h->packet ? look_at(h->packet, h->side, data, len, &more) : APP_UNKNOWN;
    if (app != APP_UNKNOWN) {
        begin_reader(h, app);
        return LOOK_FOUND;
    }
    if (more && len < CONVERSATION_LOOK_MAX)
        return LOOK_MORE;
    note_strange(h->v->place, h->side);
    h->v->direction[h->side].deaf = true;
    return LOOK_STRANGE;
}

/* ---------------------------------------------------------------- packets */

/* The first payloads, while nothing needs to be remembered: whether from now on something does. */
static bool first_look(struct conversation_place *place, const struct conversation_packet *k, const uint8_t *data,
                       size_t len)
{
    unsigned side = k->sender;
    bool more = false;
    if (place->strange >> side & 1 || !k->p->payload_length)
        return false;
    uint32_t seq = k->p->tcp_seq + ((k->p->tcp_flags & TCP_SYN) != 0);
    if (k->has_first[side] && seq != k->first[side])
        return true;
    enum app app = look_at(k, side, data, len < CONVERSATION_LOOK_MAX ? len : CONVERSATION_LOOK_MAX, &more);
    if (app == APP_UNKNOWN && !more)
        note_strange(place, side);
    else if (app != APP_UNKNOWN && !readers[app])
        name_app(place, app);
    else
        return true;
    return false;
}

static bool add_directions(struct conversations *all, struct conversation *v, const struct conversation_packet *k)
{
    struct hearing h = {.all = all, .v = v};
    v->direction = conversation_alloc(&h, 2 * sizeof *v->direction);
    if (!v->direction) {
        conversation_give_up(&h);
        finish(&h, FLOW_END_RESOURCES);
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct direction *d = &v->direction[i];
        d->deaf = v->place->strange >> i & 1;
        d->known = k->has_first[i] && !d->deaf;
        d->next = k->first[i];
    }
    return true;
}

static void hear_tcp(struct conversations *all, struct conversation_place *place, const struct conversation_packet *k,
                     const uint8_t *data, size_t len)
{
    struct conversation *v = place->it;
    if (!v) {
        if (!first_look(place, k, data, len))
            return;
        v = add(all, place, k->flow);
        if (!v)
            return;
        v->place = place;
        if (!add_directions(all, v, k))
            return;
    }
    v->place = place;
    v->heard = true;
    stream_packet(all, v, k, data, len);
    if (place->phase == CONVERSATION_OVER) {
        struct hearing h = {.all = all,
                            .v = v,
                            .flow_id = k->flow_id,
                            .time_ns = k->time_ns,
                            .first_ns = k->time_ns,
                            .side = k->sender};
        finish(&h, FLOW_GOES_ON);
    }
}

/* The application of a flow of datagrams that is not known yet. */
static void look_at_datagram(struct conversation_place *place, const struct conversation_packet *k, const uint8_t *data,
                             size_t len)
{
    bool more;
    enum app app = look_at(k, k->sender, data, len, &more);
    if (app != APP_UNKNOWN)
        name_app(place, app);
    else if (++place->looked >= LOOKED_MAX)
        place->phase = CONVERSATION_OVER;
}

static void hear_datagram(struct conversations *all, struct conversation_place *place,
                          const struct conversation_packet *k, const uint8_t *data, size_t len)
{
    if (place->phase == CONVERSATION_LOOKING)
        look_at_datagram(place, k, data, len);
    if (place->phase == CONVERSATION_LOOKING || place->phase == CONVERSATION_OVER)
        return;
    if (!place->it && !add(all, place, k->flow))
        return;
    struct conversation *v = place->it;
    struct hearing h = {.all = all,
                        .v = v,
                        .packet = k,
                        .flow_id = k->flow_id,
                        .time_ns = k->time_ns,
                        .first_ns = k->time_ns,
                        .side = k->sender,
                        .at_start = true};
    v->place = place;
    v->heard = true;
    if (!v->reader)
        begin_reader(&h, (enum app)place->app);
    if (v->reader && v->reader->datagram)
        v->reader->datagram(&h, data, len, k->p->payload_length);
    if (place->phase == CONVERSATION_OVER || !v->reader || !v->reader->datagram)
        finish(&h, FLOW_GOES_ON);
}

void conversation_packet(struct conversations *all, struct conversation_place *place,
                         const struct conversation_packet *k)
{
    const struct packet *p = k->p;
    uint32_t have = p->payload_offset && p->captured > p->payload_offset ? p->captured - p->payload_offset : 0;
    if (!all->options.payload) {
        place->phase = CONVERSATION_OVER;
        return;
    }
    if (have > p->payload_length)
        have = p->payload_length;
    if (have > all->options.payload)
        have = all->options.payload;
    if (p->has_tcp)
        hear_tcp(all, place, k, p->data + p->payload_offset, have);
    else if (p->net.proto == PROTO_UDP && p->net.has_ports)
        hear_datagram(all, place, k, p->data + p->payload_offset, have);
    else
        place->phase = CONVERSATION_OVER;
}

/* ---------------------------------------------------------------- all */

void conversations_prepare(void)
{
    struct quic *q = NULL;
    ja4_free(ja4_new());
    if (quic_new(&q, NULL) == 0)
        quic_free(q);
}

int conversations_new(const struct conversations_options *o, struct conversations **out, struct error *e)
{
    struct conversations *all = *out = calloc(1, sizeof *all);
    if (!all)
        return error_set(e, ERROR_MEMORY, "no memory for what applications say");
    all->options = *o;
    exchanges_init(&all->exchanges, o->memory);
    if (o->payload && quic_new(&all->quic, NULL))
        all->quic = NULL;
    if (o->payload)
        all->ja4 = ja4_new();
    if (!all->options.exchanges || all->options.exchanges > CONVERSATION_EXCHANGES_MAX)
        all->options.exchanges = CONVERSATION_EXCHANGES_MAX;
    return 0;
}

void conversations_free(struct conversations *all)
{
    if (!all)
        return;
    while (all->first) {
        struct conversation_place place = {.it = all->first};
        struct hearing h = {.all = all, .v = all->first};
        all->first->place = &place;
        finish(&h, FLOW_END_FORCED);
        conversation_forget(all, &place);
    }
    assert(all->stats.memory == 0 && all->stays == 0);
    exchanges_free(all);
    ja4_free(all->ja4);
    quic_free(all->quic);
    free(all);
}

void conversations_stats(const struct conversations *all, struct conversations_stats *s)
{
    *s = all->stats;
}

const char *conversation_app(const struct conversation_place *place)
{
    return app_name((enum app)place->app);
}

uint64_t conversations_unheard(const struct conversations *all)
{
    return all->stats.unheard;
}
