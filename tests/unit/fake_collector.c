#include "tests/unit/support.h"

#include "tests/unit/fake_collector.h"

#include "common/base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_stream *fake_find(struct fake_collector *c, const uint8_t epoch[EPOCH_SIZE])
{
    for (size_t i = 0; i < c->count; i++)
        if (memcmp(c->streams[i].epoch, epoch, EPOCH_SIZE) == 0)
            return &c->streams[i];
    return NULL;
}

static void send_cursors(struct fake_collector *c, const struct fake_stream *t, enum message_type type)
{
    struct message m = {.type = type};
    uint64_t lie = type == MESSAGE_STREAM_STATE ? c->lie_next : 0;
    if (type == MESSAGE_ACK) {
        memcpy(m.ack.epoch, t->epoch, EPOCH_SIZE);
        m.ack.head_next = t->head_next;
        m.ack.body_next = t->body_next;
    } else {
        memcpy(m.stream_state.epoch, t->epoch, EPOCH_SIZE);
        m.stream_state.head_next = t->head_next + lie;
        m.stream_state.body_next = t->body_next + lie;
    }
    assert_int_equal(stream_send(c->data, &m, NULL), 0);
}

/* The collector knows of itself that some items have no body. */
static void advance_bodies(struct fake_stream *t)
{
    while (t->body_next < t->head_next) {
        const struct fake_item *i = &t->items[t->body_next];
        if (i->have && i->body == BODY_ON_AGENT && !i->body_stored && !i->fate_gap)
            return;
        t->body_next++;
    }
}

static void stored(struct fake_collector *c, struct fake_stream *t)
{
    advance_bodies(t);
    if (c->cut_before_ack) {
        c->cut_now = !c->cut_now;
        if (c->cut_now) { /* stored, and the ack is lost */
            stream_abort(c->data);
            return;
        }
    }
    if (!c->no_acks)
        send_cursors(c, t, MESSAGE_ACK);
}

void fake_ack_all(struct fake_collector *c)
{
    c->no_acks = false;
    for (size_t i = 0; i < c->count && c->data; i++)
        send_cursors(c, &c->streams[i], MESSAGE_ACK);
}

static void store_head(struct fake_collector *c, struct fake_stream *t, uint64_t seq)
{
    struct chunk_head h;
    struct error e = ERROR_INIT;
    if (head_decode(t->part.data, t->part.len, &h, &e) != 0)
        fail_msg("a head came that does not decode: %s", e.text);
    assert_int_equal(seq, t->head_next);
    assert_int_equal(h.seq, seq);
    assert_memory_equal(h.epoch, t->epoch, EPOCH_SIZE);
    assert_true(h.last_seq < FAKE_ITEMS);
    struct fake_item *i = &t->items[seq];
    assert_false(i->have); /* exactly once */
    *i = (struct fake_item){.have = true, .kind = h.kind, .gap = h.gap, .body = h.body, .last_seq = h.last_seq};
    i->body_length = h.body_length;
    i->body_hash = h.body_hash;
    i->kept = h.totals.value[COUNTER_KEPT];
    i->evicted = h.totals.value[COUNTER_EVICTED];
    i->head_order = ++c->orders;
    t->ended = t->ended || h.kind == HEAD_END;
    t->head_next = h.last_seq + 1;
    head_free(&h);
}

static void store_body(struct fake_collector *c, struct fake_stream *t, uint64_t seq)
{
    struct fake_item *i = &t->items[seq];
    assert_int_equal(seq, t->body_next);
    assert_true(i->have);
    assert_false(i->body_stored); /* exactly once */
    assert_int_equal(t->part.len, i->body_length);
    assert_true(hash64(t->part.data, t->part.len) == i->body_hash);
    i->body_stored = true;
    i->body_order = ++c->orders;
}

static void on_piece(struct fake_collector *c, const struct message_piece *p)
{
    struct fake_stream *t = fake_find(c, p->epoch);
    assert_non_null(t); /* announced */
    c->pieces++;
    c->bytes += p->length;
    if (memcmp(p->epoch, c->refuse_epoch, EPOCH_SIZE) == 0) {
        struct message m = {
            .type = MESSAGE_REFUSE,
            .refuse = {.code = ERROR_CONFLICT, .text = (char *)(uintptr_t) "not \"mine\"", .seq = p->seq}};
        memcpy(m.refuse.epoch, p->epoch, EPOCH_SIZE);
        assert_int_equal(stream_send(c->data, &m, NULL), 0);
        return;
    }
    for (size_t i = 0; i < c->count; i++) /* nothing comes between the pieces of a part */
        assert_true(&c->streams[i] == t || c->streams[i].part.len == 0);
    if (p->offset == 0) {
        assert_int_equal(t->part.len, 0);
        t->part_seq = p->seq;
        t->part_kind = p->part;
    }
    assert_int_equal(p->offset, t->part.len);
    assert_int_equal(p->seq, t->part_seq);
    assert_int_equal(p->part, t->part_kind);
    buffer_append(&t->part, p->data, p->length);
    if (c->cut_at_piece && c->pieces % c->cut_at_piece == 0) {
        stream_abort(c->data);
        return;
    }
    if (t->part.len < p->total)
        return;
    if (p->part == PART_HEAD)
        store_head(c, t, p->seq);
    else
        store_body(c, t, p->seq);
    buffer_clear(&t->part);
    stored(c, t);
}

static void on_fate(struct fake_collector *c, const struct message_body_fate *f)
{
    struct fake_stream *t = fake_find(c, f->epoch);
    assert_non_null(t);
    assert_true(f->seq < t->head_next);
    struct fake_item *i = &t->items[f->seq];
    if (f->seq == t->body_next && i->body == BODY_ON_AGENT && !i->body_stored)
        i->fate_gap = f->gap;
    stored(c, t);
}

static void on_stream(struct fake_collector *c, const struct message_stream *s)
{
    struct fake_stream *t = fake_find(c, s->epoch);
    if (!t) {
        assert_true(c->count < FAKE_STREAMS);
        t = &c->streams[c->count++];
        memcpy(t->epoch, s->epoch, EPOCH_SIZE);
    }
    snprintf(t->capture, sizeof(t->capture), "%s", s->capture);
    c->announced++;
    send_cursors(c, t, MESSAGE_STREAM_STATE);
}

static void on_hello(struct fake_collector *c, struct stream *s, const struct message_hello *h)
{
    char text[] = "somebody else has this name";
    char software[] = "fake";
    c->hellos++;
    assert_int_equal(h->protocol, NET_PROTOCOL);
    snprintf(c->agent, sizeof(c->agent), "%s", h->agent);
    memcpy(c->install, h->install, 16);
    c->labels = h->label_count;
    if (c->silent)
        return;
    struct message m = {.type = MESSAGE_WELCOME, .welcome = {.protocol = NET_PROTOCOL, .software = software}};
    if (c->refuse)
        m = (struct message){.type = MESSAGE_REFUSE, .refuse = {.code = ERROR_CONFLICT, .text = text}};
    assert_int_equal(stream_send(s, &m, NULL), 0);
    if (c->refuse) {
        stream_close(s);
        return;
    }
    assert_in_range(h->role, ROLE_AGENT_CONTROL, ROLE_AGENT_DATA);
    *(h->role == ROLE_AGENT_DATA ? &c->data : &c->control) = s;
}

static void on_clock(struct stream *s, const struct message_clock *asked)
{
    struct message m = {.type = MESSAGE_CLOCK, .clock = *asked};
    m.clock.received_ns = m.clock.replied_ns = asked->sent_ns;
    assert_int_equal(stream_send(s, &m, NULL), 0);
}

static void on_flushed(struct fake_collector *c, const struct message_flushed *m)
{
    c->flushed++;
    c->flush_code = m->code;
    free(c->flush_text);
    c->flush_text = strdup(m->text ? m->text : "");
}

void fake_flush(struct fake_collector *c, const char *capture)
{
    struct message m = {.type = MESSAGE_FLUSH,
                        .flush = {.token = c->flushed + 1, .capture = (char *)(uintptr_t)capture}};
    assert_int_equal(stream_send(c->control, &m, NULL), 0);
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct fake_collector *c = context;
    switch (m->type) {
    case MESSAGE_HELLO:
        on_hello(c, s, &m->hello);
        break;
    case MESSAGE_STATUS:
        assert_ptr_equal(s, c->control);
        c->statuses++;
        free(c->status);
        c->status = strdup(m->status.json);
        break;
    case MESSAGE_STREAM:
        assert_ptr_equal(s, c->data);
        on_stream(c, &m->stream);
        break;
    case MESSAGE_PIECE:
        on_piece(c, &m->piece);
        break;
    case MESSAGE_BODY_FATE:
        on_fate(c, &m->body_fate);
        break;
    case MESSAGE_FLUSHED:
        assert_ptr_equal(s, c->control);
        on_flushed(c, &m->flushed);
        break;
    case MESSAGE_CLOCK:
        assert_ptr_equal(s, c->control);
        on_clock(s, &m->clock);
        break;
    default:
        fail_msg("a message %s came", message_type_name((int)m->type));
    }
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    struct fake_collector *c = context;
    if (s == c->control) {
        c->control = NULL;
        c->why[0] = *why;
    } else if (s == c->data) {
        c->data = NULL;
        c->why[1] = *why;
        for (size_t i = 0; i < c->count; i++)
            buffer_free(&c->streams[i].part); /* what was not whole is nothing */
    }
}

static const struct stream_events events = {.on_message = on_message, .on_close = on_close};

static bool on_accept(void *context, struct stream *s, const struct stream_events **e, void **stream_context)
{
    struct fake_collector *c = context;
    (void)s;
    c->accepted++;
    *e = &events;
    *stream_context = c;
    return true;
}

void fake_start(struct fake_collector *c, uv_loop_t *loop, const char *address)
{
    struct error e = ERROR_INIT;
    c->loop = loop;
    if (listener_new(loop, NULL, address, 100, on_accept, c, &c->listener, &e) != 0)
        fail_msg("%s", e.text);
    snprintf(c->address, sizeof(c->address), "127.0.0.1:%d", listener_port(c->listener));
}

void fake_stop(struct fake_collector *c)
{
    listener_close(c->listener);
    c->listener = NULL;
    if (c->data)
        stream_abort(c->data);
    if (c->control)
        stream_abort(c->control);
}

void fake_free(struct fake_collector *c)
{
    for (size_t i = 0; i < c->count; i++)
        buffer_free(&c->streams[i].part);
    free(c->status);
    free(c->flush_text);
}
