#include "agent/ship/uplink_impl.h"

#include "common/base/clock.h"
#include "common/base/glob.h"
#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>

static void drop(struct flush *f)
{
    free(f->streams);
    *f = (struct flush){0};
}

void commands_flushes_drop(struct commands *c)
{
    for (size_t i = 0; i < COMMANDS_FLUSHES; i++)
        if (c->flushes[i].used)
            drop(&c->flushes[i]);
}

static void answer(struct uplink *u, struct flush *f, int code, const char *text)
{
    struct message m = {.type = MESSAGE_FLUSHED,
                        .flushed = {.token = f->token, .code = code, .text = (char *)(uintptr_t)text}};
    if (u->control.state == LINK_UP)
        (void)link_send(&u->control, &m);
    drop(f);
}

/* ------------------------------------------------------------ asking */
static struct flush *add(struct commands *c)
{
    for (size_t i = 0; i < COMMANDS_FLUSHES; i++)
        if (!c->flushes[i].used)
            return &c->flushes[i];
    return NULL;
}

static bool is_asked(const struct known_order *k, const char *glob)
{
    bool runs = k->last.phase == PHASE_RUNNING || k->last.phase == PHASE_STOPPED;
    return k->used && k->last.magic && runs && (!*glob || glob_match(glob, k->name, strlen(k->name)));
}

static bool add_stream(struct flush *f, const uint8_t epoch[EPOCH_SIZE], uint64_t next_seq)
{
    struct flush_stream *grown = reallocarray(f->streams, f->stream_count + 1, sizeof(*grown));
    if (!grown)
        return false;
    f->streams = grown;
    memcpy(grown[f->stream_count].epoch, epoch, EPOCH_SIZE);
    grown[f->stream_count++].next_seq = next_seq;
    return true;
}

/* What is in the spool already, also of captures that have ended or failed. */
static void add_spooled(struct uplink *u, struct flush *f, const char *glob)
{
    struct error e = ERROR_INIT;
    if (outbox_scan(u->outbox, &e) != 0)
        log_warn("spool: %s", e.text);
    for (size_t i = 0; i < u->outbox->count; i++) {
        const struct outbox_stream *t = u->outbox->streams[i];
        bool asked = t->count && !t->refusal.code && (!*glob || glob_match(glob, t->capture, strlen(t->capture)));
        if (asked && !add_stream(f, t->epoch, t->items[t->count - 1].last_seq + 1))
            f->code = ERROR_MEMORY;
    }
}

void commands_flush(struct uplink *u, const struct message_flush *m)
{
    struct commands *c = &u->commands;
    struct flush none = {.token = m->token}, *f = add(c);
    struct monitor_request q = {.magic = ORDER_MAGIC, .kind = REQUEST_FLUSH};
    if (!f) {
        answer(u, &none, ERROR_BUSY, "too many ask this agent at once for what it has just captured");
        return;
    }
    q.token = ++c->next_token;
    *f = (struct flush){.used = true, .token = m->token, .own_token = q.token, .since_ns = clock_mono_ns()};
    add_spooled(u, f, m->capture ? m->capture : "");
    for (size_t i = 0; c->fd >= 0 && i < COMMANDS_ORDERS; i++) {
        if (!is_asked(&c->known[i], m->capture ? m->capture : ""))
            continue;
        memcpy(q.order.id, c->known[i].id, sizeof(q.order.id));
        f->waiting += commands_request(u, &q);
    }
    commands_acked(u);
}

/* ------------------------------------------------------------ hearing */
void commands_flushed(struct uplink *u, const struct monitor_report *r)
{
    for (size_t i = 0; i < COMMANDS_FLUSHES; i++) {
        struct flush *f = &u->commands.flushes[i];
        if (!f->used || f->own_token != r->token || !f->waiting)
            continue;
        f->code = r->code ? r->code : f->code;
        for (uint32_t k = 0; k < r->stream_count; k++)
            if (!add_stream(f, r->streams[k].epoch, r->streams[k].next_seq))
                f->code = ERROR_MEMORY;
        f->waiting--;
    }
    commands_acked(u);
}

/* A stream that is not in the outbox is over, and all of it acknowledged; or it is so new that nobody has looked yet. */
static bool is_acked(struct uplink *u, const struct flush_stream *s)
{
    const struct outbox_stream *t = outbox_find(u->outbox, s->epoch);
    struct error e = ERROR_INIT;
    if (!t && outbox_scan(u->outbox, &e) == 0)
        t = outbox_find(u->outbox, s->epoch);
    return !t || (t->head_next >= s->next_seq && t->body_next >= s->next_seq);
}

static bool is_done(struct uplink *u, const struct flush *f)
{
    for (uint32_t i = 0; i < f->stream_count; i++)
        if (!is_acked(u, &f->streams[i]))
            return false;
    return f->waiting == 0;
}

void commands_acked(struct uplink *u)
{
    uint64_t now = clock_mono_ns();
    for (size_t i = 0; i < COMMANDS_FLUSHES; i++) {
        struct flush *f = &u->commands.flushes[i];
        if (f->used && is_done(u, f))
            answer(u, f, f->code, f->code ? "not all that was captured could be handed over" : "");
        else if (f->used && now - f->since_ns > COMMANDS_FLUSH_MS * NS_PER_MS)
            answer(u, f, ERROR_UNREACHABLE, "the collector did not take in time what was captured");
    }
}
