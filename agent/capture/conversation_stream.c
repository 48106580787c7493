/*
 * conversation_stream: TCP segments -> the bytes of each direction, in order and once.
 *
 * The two directions' `next` move independently. What a reader left of earlier bytes stands in `pending`; new bytes are put behind it
 * until the reader takes it all, and from then on it reads from the packet again.
 */
#include "agent/capture/conversation_impl.h"
#include "common/tcp/tcp_segment.h"
#include <string.h>

#define PENDING_STEP 2048u /* put behind what is pending at once */

/* A stretch of one direction that comes next. */
struct stretch {
    const uint8_t *data;
    uint32_t have;   /* bytes at data, ... */
    uint32_t length; /* ... of so many */
};

/* ---------------------------------------------------------------- to the reader */

static void pending_drop(struct hearing *h, struct direction *d)
{
    conversation_release(h->all, h->v, d->pending);
    d->pending = NULL;
    d->pending_len = d->pending_room = 0;
}

static bool pending_add(struct hearing *h, struct direction *d, const uint8_t *data, size_t len)
{
    if (d->pending_len + len > d->pending_room) {
        size_t room = d->pending_len + len + (d->pending_len ? PENDING_STEP : 0);
        uint8_t *grown = conversation_resize(h, d->pending, room);
        if (!grown) {
            conversation_give_up(h);
            return false;
        }
        d->pending = grown;
        d->pending_room = (uint32_t)room;
    }
    if (!d->pending_len)
        d->pending_ns = h->time_ns;
    memcpy(d->pending + d->pending_len, data, len);
    d->pending_len += (uint32_t)len;
    return true;
}

static bool hears(const struct hearing *h, const struct direction *d)
{
    return !d->deaf && !conversation_is_over(h);
}

static size_t window(const struct conversation *v)
{
    return v->reader ? v->reader->window : CONVERSATION_LOOK_MAX;
}

/* Bytes for the reader, or for a look: how many were taken. */
static size_t offer(struct hearing *h, const uint8_t *data, size_t len)
{
    struct conversation *v = h->v;
    if (!v->reader &&
        conversation_look(h, data, len < CONVERSATION_LOOK_MAX ? len : CONVERSATION_LOOK_MAX) != LOOK_FOUND)
        return 0;
    return v->reader ? v->reader->take(h, data, len) : len;
}

/* Puts new bytes behind those pending until they are taken: how many of the new ones were used. */
static size_t feed_pending(struct hearing *h, struct direction *d, const uint8_t *data, size_t len)
{
    size_t used = 0;
    while (used < len && hears(h, d)) {
        size_t old = d->pending_len, most = window(h->v);
        size_t n = old < most ? most - old : 0;
        n = n < PENDING_STEP ? n : PENDING_STEP;
        n = n < len - used ? n : len - used;
        if (!n) {
            conversation_deafen(h, h->side);
            break;
        }
        if (!pending_add(h, d, data + used, n))
            break;
        h->old = old;
        h->first_ns = d->pending_ns;
        size_t taken = offer(h, d->pending, d->pending_len);
        h->old = 0;
        h->first_ns = h->time_ns;
        if (taken >= old && taken) {
            used += taken - old;
            pending_drop(h, d);
            return used;
        }
        d->pending_len -= (uint32_t)taken;
        memmove(d->pending, d->pending + taken, d->pending_len);
        used += n;
    }
    return used;
}

/* An application was found by the other side: what waited for a look is read. */
static void feed_waiting(struct hearing *h, struct direction *d)
{
    uint8_t *was = d->pending;
    size_t len = d->pending_len;
    if (!was || !h->v->reader || !hears(h, d))
        return;
    uint64_t ns = h->time_ns;
    unsigned side = h->side;
    h->side = (unsigned)(d - h->v->direction);
    h->time_ns = h->first_ns = d->pending_ns;
    d->pending = NULL;
    d->pending_len = d->pending_room = 0;
    size_t taken = h->v->reader->take(h, was, len);
    if (taken < len && hears(h, d))
        (void)pending_add(h, d, was + taken, len - taken);
    conversation_release(h->all, h->v, was);
    h->side = side;
    h->time_ns = h->first_ns = ns;
}

static void feed(struct hearing *h, struct direction *d, const uint8_t *data, size_t len)
{
    bool had_reader = h->v->reader != NULL;
    h->first_ns = h->time_ns;
    h->old = 0;
    while (len && hears(h, d)) {
        size_t n = d->pending_len ? feed_pending(h, d, data, len) : offer(h, data, len);
        data += n;
        len -= n;
        h->at_start = false;
        if (!n && len && hears(h, d)) {
            size_t most = window(h->v);
            if (len > most)
                conversation_deafen(h, h->side);
            else
                (void)pending_add(h, d, data, len);
            break;
        }
    }
    if (!had_reader && h->v->reader)
        feed_waiting(h, &h->v->direction[!h->side]);
}

static void miss(struct hearing *h, struct direction *d, uint64_t n)
{
    if (!n || !hears(h, d))
        return;
    if (d->pending && h->v->reader && h->v->reader->cut)
        h->v->reader->cut(h, d->pending, d->pending_len);
    if (d->pending)
        pending_drop(h, d);
    if (!h->v->reader) { /* it will not be told by its beginning */
        d->deaf = true;
        h->v->place->strange |= (uint8_t)(1u << h->side);
        if (h->v->place->strange == 3)
            h->v->place->phase = CONVERSATION_OVER;
    } else {
        h->v->reader->missed(h, n);
    }
}

/* The bytes at `next`. */
static void deliver(struct hearing *h, struct direction *d, const struct stretch *s)
{
    d->next += s->length;
    feed(h, d, s->data, s->have);
    miss(h, d, s->length - s->have);
}

/* ---------------------------------------------------------------- waiting */

static uint64_t ahead(const struct hearing *h)
{
    const struct conversation *v = h->v;
    return v->reader && v->reader->ahead ? v->reader->ahead(v, h->side) : 0;
}

/* Behind one that waits and needs no content, as this one does: both are one. */
static bool hold_joined(struct direction *d, uint32_t seq, uint32_t length, uint64_t time_ns)
{
    for (struct held *w = d->held; w; w = w->next)
        if (!w->have && w->seq + w->length == seq && (!w->next || !tcp_before(w->next->seq, seq + length))) {
            w->length += length;
            if (time_ns > w->time_ns)
                w->time_ns = time_ns;
            return true;
        }
    return false;
}

/* Keeps a segment that is ahead, as much of it as a reader will look at. */
static void hold(struct hearing *h, struct direction *d, uint32_t seq, const struct stretch *s)
{
    uint64_t counted = ahead(h), distance = seq - d->next;
    uint64_t skip = counted > distance ? counted - distance : 0;
    uint32_t from = skip < s->have ? (uint32_t)skip : s->have;
    bool is_bare = skip >= s->length;
    if (is_bare && hold_joined(d, seq, s->length, h->time_ns))
        return;
    struct held **at = &d->held;
    while (*at && tcp_before((*at)->seq, seq))
        at = &(*at)->next;
    if (*at && (*at)->seq == seq && (*at)->length >= s->length)
        return;
    size_t have = is_bare ? 0 : s->have - from;
    struct held *w = conversation_resize(h, NULL, sizeof *w + have);
    if (!w) {
        conversation_give_up(h);
        return;
    }
    *w = (struct held){.next = *at,
                       .time_ns = h->time_ns,
                       .seq = seq,
                       .length = s->length,
                       .from = is_bare ? s->length : from,
                       .have = (uint32_t)have};
    if (have)
        memcpy(w->data, s->data + from, have);
    *at = w;
    d->held_count++;
}

/* What of a segment lies at `next` or behind; false: nothing. */
static bool trim(const struct direction *d, uint32_t seq, struct stretch *s)
{
    uint32_t old = d->next - seq;
    if ((int32_t)old <= 0)
        return true;
    if (old >= s->length)
        return false;
    uint32_t skip = old < s->have ? old : s->have;
    s->data += skip;
    s->have -= skip;
    s->length -= old;
    return true;
}

static struct held *unhold(struct direction *d)
{
    struct held *w = d->held;
    d->held = w->next;
    d->held_count--;
    return w;
}

/* Gives what waited and is next. Its first bytes may have been counted alone. */
static void deliver_held(struct hearing *h, struct direction *d, struct held *w)
{
    uint32_t skipped = d->next - w->seq; /* not negative */
    uint64_t ns = h->time_ns;
    bool at_start = h->at_start;
    h->time_ns = w->time_ns;
    if (skipped < w->from) {
        d->next = w->seq + w->from;
        miss(h, d, w->from - skipped);
        skipped = w->from;
    }
    struct stretch s = {w->data, w->have, w->length - w->from};
    uint32_t old = skipped - w->from;
    if (old < s.length) {
        uint32_t skip = old < s.have ? old : s.have;
        s.data += skip;
        s.have -= skip;
        s.length -= old;
        h->at_start = !skipped;
        deliver(h, d, &s);
    }
    h->time_ns = h->first_ns = ns;
    h->at_start = at_start;
}

static void drain(struct hearing *h, struct direction *d)
{
    while (d->held && !tcp_before(d->next, d->held->seq)) {
        struct held *w = unhold(d);
        if (tcp_before(d->next, w->seq + w->length))
            deliver_held(h, d, w);
        conversation_release(h->all, h->v, w);
    }
}

/* Everything before `seq` that was not seen will not be. */
static void give_up_before(struct hearing *h, struct direction *d, uint32_t seq)
{
    drain(h, d);
    while (tcp_before(d->next, seq)) {
        uint32_t until = d->held && tcp_before(d->held->seq, seq) ? d->held->seq : seq;
        uint32_t n = until - d->next;
        d->next = until;
        miss(h, d, n);
        drain(h, d);
    }
}

/* ---------------------------------------------------------------- segments */

static void check_closed(struct hearing *h, struct direction *d)
{
    if (!d->has_fin || d->closed || tcp_before(d->next, d->fin))
        return;
    d->closed = true;
    if (hears(h, d) && h->v->reader && h->v->reader->closed)
        h->v->reader->closed(h);
}

/* Nobody acknowledges more than was sent; that is what we saw, and at most a window of what we did not. */
static bool is_believable(const struct conversation_packet *k, uint32_t ack)
{
    unsigned other = !k->sender;
    return !k->has_sent[other] || !tcp_before(k->sent[other] + k->window, ack);
}

/* The sender goes on after it acknowledged what we have not seen of the other end. */
static void take_ack(struct hearing *h, const struct conversation_packet *k)
{
    unsigned other = !k->sender;
    struct direction *d = &h->v->direction[other];
    if (!(k->p->tcp_flags & TCP_ACK) || (k->p->tcp_flags & TCP_RST))
        return;
    if (!d->known) {
        d->known = true;
        d->next = k->p->tcp_ack;
        return;
    }
    uint32_t ack = k->p->tcp_ack - (d->has_fin && k->p->tcp_ack == d->fin + 1);
    if (!tcp_before(d->next, ack) || !is_believable(k, ack))
        return;
    h->side = other;
    give_up_before(h, d, ack);
    check_closed(h, d);
    h->side = k->sender;
}

static void take_payload(struct hearing *h, struct direction *d, const struct conversation_packet *k, uint32_t seq,
                         struct stretch *s)
{
    if (!d->known) {
        d->known = true;
        d->next = seq;
    }
    if (!trim(d, seq, s))
        return;
    if (tcp_before(d->next, seq)) {
        bool never = k->has_acked[h->side] && !tcp_before(k->acked[h->side], seq);
        if (never || d->held_count >= CONVERSATION_HELD_MAX)
            give_up_before(h, d, never ? seq : d->held->seq);
        if (tcp_before(d->next, seq)) {
            if (hears(h, d))
                hold(h, d, seq, s);
            return;
        }
        if (!trim(d, seq, s))
            return;
    }
    h->at_start = true;
    deliver(h, d, s);
    drain(h, d);
}

void stream_packet(struct conversations *all, struct conversation *v, const struct conversation_packet *k,
                   const uint8_t *data, size_t len)
{
    const struct packet *p = k->p;
    struct direction *d = &v->direction[k->sender];
    struct hearing h = {.all = all,
                        .v = v,
                        .packet = k,
                        .flow_id = k->flow_id,
                        .time_ns = k->time_ns,
                        .first_ns = k->time_ns,
                        .side = k->sender};
    uint32_t seq = p->tcp_seq + ((p->tcp_flags & TCP_SYN) != 0);
    if (p->payload_length) {
        struct stretch s = {data, (uint32_t)len, p->payload_length};
        take_ack(&h, k);
        if (!d->deaf && !(p->tcp_flags & TCP_RST))
            take_payload(&h, d, k, seq, &s);
    }
    if (p->tcp_flags & TCP_FIN) {
        d->has_fin = true;
        d->fin = seq + p->payload_length;
    }
    check_closed(&h, d);
}

void stream_end(struct conversations *all, struct conversation *v, uint64_t flow_id)
{
    for (unsigned side = 0; side < 2; side++) {
        struct direction *d = &v->direction[side];
        while (d->held && hears(&(struct hearing){.v = v}, d)) {
            struct hearing h = {.all = all, .v = v, .flow_id = flow_id, .side = side};
            h.time_ns = h.first_ns = d->held->time_ns;
            give_up_before(&h, d, d->held->seq); /* its end may be too far ahead to be told from what is behind */
        }
        if (d->known) {
            struct hearing h = {.all = all, .v = v, .flow_id = flow_id, .side = side};
            check_closed(&h, d);
        }
    }
}

void stream_free(struct conversations *all, struct conversation *v)
{
    for (unsigned side = 0; v->direction && side < 2; side++) {
        struct direction *d = &v->direction[side];
        while (d->held)
            conversation_release(all, v, unhold(d));
        conversation_release(all, v, d->pending);
    }
    conversation_release(all, v, v->direction);
    v->direction = NULL;
}
