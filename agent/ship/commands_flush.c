#include "agent/ship/spool_dir.h"
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

/* What is known already to be missing in the end. */
static void lacks(struct flush *f, int code, const char *problem)
{
    f->code = code;
    f->problem = problem;
}

static void add_stream(struct flush *f, const uint8_t epoch[EPOCH_SIZE], uint64_t next_seq, bool until_end)
{
    struct flush_stream *grown = reallocarray(f->streams, f->stream_count + 1, sizeof(*grown));
    if (!grown) {
        lacks(f, ERROR_MEMORY, "the agent has no memory for a list of what is to be handed over");
        return;
    }
    f->streams = grown;
    struct flush_stream *s = &grown[f->stream_count++];
    *s = (struct flush_stream){.next_seq = next_seq, .until_end = until_end};
    memcpy(s->epoch, epoch, EPOCH_SIZE);
}

static void add_one_spooled(struct uplink *u, struct flush *f, struct outbox_stream *t)
{
    /* whoever recovers it has the writer's lock */
    bool died = !t->ended && (t->abandoned || !spool_writer_lives(t->dirfd));
    if (t->refusal.code)
        lacks(f, t->refusal.code, "the collector refuses a part of it: `fleetdump agents` and the agent's log say why");
    else if (t->count || died)
        add_stream(f, t->epoch, outbox_next_seq(t), died);
    if (died)
        uplink_tell_abandoned(u, t);
}

/* What is in the spool already, also of captures that have ended or failed. */
static void add_spooled(struct uplink *u, struct flush *f, const char *glob)
{
    struct error e = ERROR_INIT;
    if (outbox_scan(u->outbox, &e) != 0)
        log_warn("spool: %s", e.text);
    for (size_t i = 0; i < u->outbox->count; i++) {
        struct outbox_stream *t = u->outbox->streams[i];
        if (!*glob || glob_match(glob, t->capture, strlen(t->capture)))
            add_one_spooled(u, f, t);
    }
    if (u->outbox->passed_over)
        lacks(f, ERROR_LIMIT, "there are more streams in its spool than it ships at a time: further ones wait");
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
        memcpy(q.id, c->known[i].id, sizeof(q.id));
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
        if (r->code)
            lacks(f, r->code, "others have asked it for that so often that this did not get its turn");
        for (uint32_t k = 0; k < r->stream_count; k++)
            add_stream(f, r->streams[k].epoch, r->streams[k].next_seq, false);
        f->waiting--;
    }
    commands_acked(u);
}

static void on_flush_timer(uv_timer_t *timer)
{
    commands_acked(timer->data);
}

/* A stream that is not in the outbox is over, and all of it acknowledged; or it is so new that nobody has looked yet. */
static bool is_acked(struct uplink *u, const struct flush_stream *s)
{
    const struct outbox_stream *t = outbox_find(u->outbox, s->epoch);
    struct error e = ERROR_INIT;
    if (!t && outbox_scan(u->outbox, &e) == 0)
        t = outbox_find(u->outbox, s->epoch);
    if (!t)
        return true;
    uint64_t next_seq = s->until_end ? outbox_next_seq(t) : s->next_seq;
    return t->head_next >= next_seq && t->body_next >= next_seq && (t->ended || !s->until_end);
}

/* Streams of which the collector lacks something; *died: how many of them their writers left so. */
static uint32_t count_missing(struct uplink *u, const struct flush *f, uint32_t *died)
{
    uint32_t missing = 0;
    *died = 0;
    for (uint32_t i = 0; i < f->stream_count; i++)
        if (!is_acked(u, &f->streams[i])) {
            missing++;
            *died += f->streams[i].until_end;
        }
    return missing;
}

static void answer_if_due(struct uplink *u, struct flush *f, uint64_t passed_ns)
{
    uint32_t died, missing = count_missing(u, f, &died);
    if (!f->waiting && !missing)
        answer(u, f, f->code, f->code ? f->problem : "");
    else if (!f->waiting && missing == died && passed_ns > COMMANDS_RECOVER_MS * NS_PER_MS)
        answer(u, f, ERROR_BUSY, "a capturer died, and what it left is not recovered yet");
    else if (passed_ns > COMMANDS_FLUSH_MS * NS_PER_MS)
        answer(u, f, ERROR_UNREACHABLE, "the collector did not take in time what was captured");
}

void commands_acked(struct uplink *u)
{
    struct commands *c = &u->commands;
    uint64_t now = clock_mono_ns();
    bool any = false;
    for (size_t i = 0; i < COMMANDS_FLUSHES; i++) {
        if (c->flushes[i].used)
            answer_if_due(u, &c->flushes[i], now - c->flushes[i].since_ns);
        any = any || c->flushes[i].used;
    }
    if (!any)
        uv_timer_stop(&c->flush_timer);
    else if (!uv_is_active((uv_handle_t *)&c->flush_timer))
        uv_timer_start(&c->flush_timer, on_flush_timer, COMMANDS_RECOVER_MS, COMMANDS_RECOVER_MS);
}
