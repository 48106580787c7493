#include "agent/ship/uplink_impl.h"

#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RELEASE_MOST_MS 1000

/* ------------------------------------------------------------ parts */
void part_end(struct part *p)
{
    if (p->fd >= 0)
        close(p->fd);
    buffer_free(&p->head);
    *p = (struct part){.fd = -1};
}

/* From here on it is on its way. */
static void part_sent(struct uplink *u)
{
    struct part *p = &u->part;
    struct outbox_stream *t = p->t;
    struct outbox_item *item = outbox_item(t, p->seq);
    bool head = p->part == PART_HEAD;
    if (item && !t->refusal.code) {
        *(head ? &item->flying_head : &item->flying_body) = p->total;
        u->outbox->flying += p->total;
    }
    if (head && t->head_sent <= p->last_seq)
        t->head_sent = p->last_seq + 1;
    else if (!head && t->body_sent <= p->seq)
        t->body_sent = p->seq + 1;
    part_end(p);
}

/* A body that was good a moment ago cannot be read: the collector must forget what it has of it, so the connection is given up. */
static void part_failed(struct uplink *u, const struct error *e)
{
    struct outbox_item *item = outbox_item(u->part.t, u->part.seq);
    if (item)
        outbox_damaged_body(u->outbox, u->part.t, item, e->text);
    link_broken(&u->data, "a file could not be read while it was sent");
    part_end(&u->part);
}

static bool send_piece(struct uplink *u)
{
    static uint8_t buf[NET_PIECE_MAX]; /* one thread */
    struct part *p = &u->part;
    struct error e = ERROR_INIT;
    uint64_t left = p->total - p->offset;
    uint32_t n = left < NET_PIECE_MAX ? (uint32_t)left : NET_PIECE_MAX;
    struct message m = {.type = MESSAGE_PIECE,
                        .piece = {.seq = p->seq, .part = p->part, .total = p->total, .offset = p->offset, .length = n}};
    memcpy(m.piece.epoch, p->t->epoch, EPOCH_SIZE);
    m.piece.data = p->part == PART_HEAD ? p->head.data + p->offset : buf;
    if (p->part == PART_BODY && fs_pread(p->fd, buf, n, p->offset, &e) != 0) {
        part_failed(u, &e);
        return false;
    }
    if (!link_send(&u->data, &m))
        return false;
    p->offset += n;
    if (p->offset == p->total)
        part_sent(u);
    return true;
}

/* ------------------------------------------------------------ choosing */
static void stick(struct outbox_stream *t, const struct error *e)
{
    log_warn("spool: stream %s waits: %s", t->name, e->text);
    t->stuck = *e;
}

static bool begin_head(struct uplink *u, struct outbox_stream *t, struct outbox_item *item)
{
    struct error e = ERROR_INIT;
    struct part *p = &u->part;
    if (outbox_read_head(u->outbox, t, item, &p->head, &e) != 0) {
        buffer_free(&p->head);
        stick(t, &e);
        return false;
    }
    p->t = t;
    p->seq = item->seq;
    p->last_seq = item->last_seq;
    p->part = PART_HEAD;
    p->total = p->head.len;
    p->offset = 0;
    return true;
}

static bool begin_body(struct uplink *u, struct outbox_stream *t, struct outbox_item *item)
{
    struct error e = ERROR_INIT;
    int fd = outbox_open_body(u->outbox, t, item, &e);
    if (fd < 0 && item->has_body)
        stick(t, &e);
    if (fd < 0)
        return false;
    u->part = (struct part){.t = t, .seq = item->seq, .last_seq = item->seq, .part = PART_BODY, .fd = fd};
    u->part.total = item->body_length;
    return true;
}

static struct outbox_stream *oldest_head(struct uplink *u)
{
    struct outbox_stream *oldest = NULL;
    uint64_t sealed_ns = 0;
    for (size_t i = 0; i < u->outbox->count; i++) {
        struct outbox_stream *t = u->outbox->streams[i];
        const struct outbox_item *item = outbox_head_due(u->outbox, t);
        if (item && (!oldest || item->sealed_ns < sealed_ns)) {
            oldest = t;
            sealed_ns = item->sealed_ns;
        }
    }
    return oldest;
}

static bool send_fate(struct uplink *u, struct outbox_stream *t, uint64_t seq, int gap)
{
    struct message m = {.type = MESSAGE_BODY_FATE,
                        .body_fate = {.seq = seq, .state = BODY_EVICTED, .gap = (uint8_t)gap}};
    memcpy(m.body_fate.epoch, t->epoch, EPOCH_SIZE);
    if (!link_send(&u->data, &m))
        return false;
    t->body_sent = seq + 1;
    return true;
}

/* The next body of the stream that there is; what will not come before it is said on the way. */
static struct outbox_item *next_body(struct uplink *u, struct outbox_stream *t)
{
    struct outbox_item *item = NULL;
    uint64_t seq;
    int gap;
    enum outbox_fate fate;
    while ((fate = outbox_body_due(u->outbox, t, &item, &seq, &gap)) == FATE_GONE)
        if (!send_fate(u, t, seq, gap))
            return NULL;
    return fate == FATE_SEND && !t->stuck.code ? item : NULL;
}

/* Bodies wait for the heads of all streams, so for the collector's word on each. */
static bool all_known(const struct uplink *u)
{
    for (size_t i = 0; i < u->outbox->count; i++)
        if (!u->outbox->streams[i]->known && !u->outbox->streams[i]->refusal.code)
            return false;
    return true;
}

static struct outbox_stream *oldest_body(struct uplink *u)
{
    struct outbox_stream *oldest = NULL;
    uint64_t sealed_ns = 0;
    for (size_t i = 0; i < u->outbox->count; i++) {
        struct outbox_stream *t = u->outbox->streams[i];
        const struct outbox_item *item = next_body(u, t);
        if (item && (!oldest || item->sealed_ns < sealed_ns)) {
            oldest = t;
            sealed_ns = item->sealed_ns;
        }
    }
    return oldest;
}

/* Each round begins a part, or finds out that what was due cannot be sent, or that nothing is due. */
static bool choose(struct uplink *u)
{
    while (u->data.state == LINK_UP && u->outbox->flying < u->config.window_bytes) {
        struct outbox_stream *t = oldest_head(u);
        if (t) {
            if (begin_head(u, t, outbox_item_from(t, t->head_sent)))
                return true;
            continue;
        }
        t = all_known(u) ? oldest_body(u) : NULL;
        if (!t)
            return false;
        if (begin_body(u, t, outbox_item_from(t, t->body_sent)))
            return true;
    }
    return false;
}

/* ------------------------------------------------------------ the connection */
static void announce(struct uplink *u, struct outbox_stream *t)
{
    struct message m = {.type = MESSAGE_STREAM, .stream = {.capture = t->capture}};
    memcpy(m.stream.epoch, t->epoch, EPOCH_SIZE);
    t->announced = link_send(&u->data, &m);
}

/* Streams that are over but for their writer's hold on them. */
static void finish_streams(struct uplink *u)
{
    bool held = false;
    for (size_t i = u->outbox->count; i-- > 0;) {
        struct outbox_stream *t = u->outbox->streams[i];
        bool over = t->known && t->ended && t->count && t->body_next >= outbox_next_seq(t);
        held = (over && !outbox_finish(u->outbox, t)) || held;
    }
    if (held)
        uplink_soon(u, u->release_ms);
    u->release_ms = !held                                 ? RELEASE_LEAST_MS
                    : 2 * u->release_ms < RELEASE_MOST_MS ? 2 * u->release_ms
                                                          : RELEASE_MOST_MS;
    if (u->config.until_empty && u->outbox->count == 0 && u->outbox->passed_over == 0)
        uplink_stop(u);
}

void data_pump(struct uplink *u)
{
    if (u->stopping)
        return;
    if (u->data.state == LINK_UP) {
        for (size_t i = 0; i < u->outbox->count; i++)
            if (!u->outbox->streams[i]->announced)
                announce(u, u->outbox->streams[i]);
        while (u->data.state == LINK_UP && stream_queued(u->data.stream) < STREAM_QUEUE_HIGH)
            if ((!u->part.t && !choose(u)) || !send_piece(u))
                break;
    }
    finish_streams(u);
}

void data_up(struct uplink *u)
{
    data_pump(u);
}

void data_down(struct uplink *u)
{
    part_end(&u->part);
    outbox_disconnected(u->outbox);
    u->changed = true;
}

static void refuse(struct uplink *u, struct outbox_stream *t, int code, const char *text)
{
    if (!t->refusal.code && strcmp(t->refusal.text, text) != 0) /* not each of many */
        log_error("uplink: stream %s (capture '%s') stays in the spool: %s", t->name, t->capture, text);
    error_set(&t->refusal, code ? code : ERROR_REFUSED, "%s", text);
    t->refused_ns = clock_mono_ns();
    for (size_t i = 0; i < t->count; i++) { /* nothing of it will be acked */
        u->outbox->flying -= t->items[i].flying_head + t->items[i].flying_body;
        t->items[i].flying_head = 0;
        t->items[i].flying_body = 0;
    }
}

static void on_cursors(struct uplink *u, const uint8_t epoch[EPOCH_SIZE], uint64_t head_next, uint64_t body_next,
                       bool first)
{
    struct outbox_stream *t = outbox_find(u->outbox, epoch);
    struct error e = ERROR_INIT;
    if (!t)
        return; /* it is over, or was removed */
    if (first == t->known) {
        link_broken(&u->data, first ? "the collector told the state of a stream twice"
                                    : "the collector acked a stream whose state it had not told");
        return;
    }
    int r = outbox_acked(u->outbox, &t, head_next, body_next, first, &e);
    if (r == ERROR_CONFLICT && first)
        refuse(u, t, r, e.text);
    else if (r == ERROR_CONFLICT)
        link_broken(&u->data, e.text);
    else if (r)
        log_warn("spool: %s", e.text);
    commands_acked(u);
}

void data_message(struct uplink *u, const struct message *m)
{
    struct outbox_stream *t = NULL;
    u->changed = true;
    switch (m->type) {
    case MESSAGE_STREAM_STATE:
        on_cursors(u, m->stream_state.epoch, m->stream_state.head_next, m->stream_state.body_next, true);
        break;
    case MESSAGE_ACK:
        on_cursors(u, m->ack.epoch, m->ack.head_next, m->ack.body_next, false);
        break;
    case MESSAGE_REFUSE:
        t = outbox_find(u->outbox, m->refuse.epoch);
        if (t)
            refuse(u, t, m->refuse.code, m->refuse.text);
        break;
    default:
        link_broken(&u->data, "the collector sent a message that does not belong here");
        return;
    }
    data_pump(u);
}

void data_retry_refused(struct uplink *u)
{
    uint64_t now = clock_mono_ns();
    for (size_t i = 0; i < u->outbox->count; i++) {
        struct outbox_stream *t = u->outbox->streams[i];
        if (!t->refusal.code || t == u->part.t || now - t->refused_ns < u->config.refused_ms * NS_PER_MS)
            continue;
        t->refusal.code = 0; /* the text stays: the same one is not logged again */
        t->known = false;
        t->announced = false;
    }
}

void data_drop(void *uplink, struct outbox_stream *t)
{
    struct uplink *u = uplink;
    if (u->part.t != t)
        return;
    part_end(&u->part);
    if (u->data.stream) /* amid a part, whose beginning must be forgotten */
        stream_abort(u->data.stream);
}
