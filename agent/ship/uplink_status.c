#include "agent/ship/spool_dir.h"
#include "agent/ship/uplink_impl.h"
#include "common/base/clock.h"
#include "common/base/fs.h"

#include <stdlib.h>
#include <string.h>

#define STATUS_MAX (NET_FRAME_MAX - 1024)

/* A JSON string; bytes that are no ASCII text become '?': names of captures are, error texts may quote anything. */
static void put_text(struct buffer *b, const char *text)
{
    buffer_u8(b, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            buffer_u8(b, '\\');
        buffer_u8(b, *p >= 0x20 && *p < 0x7f ? (uint8_t)*p : '?');
    }
    buffer_u8(b, '"');
}

static void put_number(struct buffer *b, const char *name, uint64_t value)
{
    buffer_printf(b, ", \"%s\": %llu", name, (unsigned long long)value);
}

static void put_error(struct buffer *b, const char *name, const struct error *e)
{
    if (!e->code)
        return;
    buffer_printf(b, ", \"%s\": ", name);
    put_text(b, e->text);
}

static uint64_t item_count(const struct outbox *o)
{
    uint64_t n = 0;
    for (size_t i = 0; i < o->count; i++)
        n += o->streams[i]->count;
    return n;
}

static void put_spool(struct buffer *b, struct uplink *u)
{
    const struct outbox *o = u->outbox;
    uint64_t free_bytes = 0;
    uint64_t total_bytes;
    buffer_printf(b, "{\"path\": ");
    put_text(b, u->config.spool_path);
    put_number(b, "bytes", spool_used(u->spool));
    put_number(b, "quota", u->config.limits.quota_bytes);
    put_number(b, "floor", u->config.limits.floor_bytes);
    if (fs_free_bytes(spool_fd(u->spool), &free_bytes, &total_bytes, NULL) == 0)
        put_number(b, "free", free_bytes);
    put_number(b, "items", item_count(o));
    put_number(b, "evicted_bodies", o->evicted_bodies);
    put_number(b, "evicted_items", o->evicted_items);
    put_number(b, "damaged", o->damaged);
    put_error(b, "full", &o->full);
    buffer_u8(b, '}');
}

/* Why nothing would be captured here, if somebody ordered it; and what somebody has to look at in any case. */
static void put_problem(struct buffer *b, struct uplink *u)
{
    const char *audit = u->config.audit && u->config.audit[0] ? u->config.audit : NULL;
    struct error e = ERROR_INIT, bad = ERROR_INIT, both = ERROR_INIT;
    if (u->config.problem && u->config.problem[0])
        (void)error_set(&e, ERROR_REFUSED, "%s", u->config.problem);
    else if (u->outbox->full.code)
        e = u->outbox->full;
    else if (u->commands.fd >= 0)
        (void)!commands_room(u, &e);
    if (audit)
        (void)error_set(&bad, ERROR_CORRUPT, "%s", audit);
    put_error(b, "audit", &bad);
    if (audit && e.code)
        (void)error_set(&both, e.code, "%.*s; %s", ERROR_TEXT_MAX / 2, audit, e.text);
    put_error(b, "problem", both.code ? &both : audit ? &bad : &e);
}

static void put_clock(struct buffer *b, const struct uplink *u)
{
    struct clock_sample best;
    if (commands_clock(&u->commands, &best))
        buffer_printf(b, ", \"clock\": {\"offset_ns\": %lld, \"uncertainty_ns\": %llu}", (long long)best.offset_ns,
                      (unsigned long long)best.uncertainty_ns);
}

static void put_stream(struct buffer *b, const struct outbox_stream *t)
{
    bool writing = spool_writer_lives(t->dirfd);
    uint64_t bytes = 0;
    for (size_t i = 0; i < t->count; i++)
        bytes += t->items[i].head_cost + t->items[i].body_cost;
    buffer_printf(b, "{\"epoch\": \"%s\", \"capture\": ", t->name);
    put_text(b, t->capture);
    buffer_printf(b, ", \"state\": \"%s\"", t->ended ? "ended" : writing ? "writing" : "abandoned");
    put_number(b, "items", t->count);
    put_number(b, "bytes", bytes);
    put_number(b, "next_seq", outbox_next_seq(t));
    put_number(b, "head_next", t->head_next);
    put_number(b, "body_next", t->body_next);
    put_error(b, "refused", &t->refusal);
    put_error(b, "stuck", &t->stuck);
    for (unsigned i = 0; t->page && i < COUNTER_COUNT; i++) {
        uint64_t value = counter_page_total(t->page, (enum counter)i);
        if (value)
            put_number(b, counter_table[i].name, value);
    }
    buffer_u8(b, '}');
}

char *uplink_status(struct uplink *u)
{
    const struct outbox *o = u->outbox;
    struct buffer b = {.limit = STATUS_MAX};
    size_t most = o->count < UPLINK_STATUS_STREAMS ? o->count : UPLINK_STATUS_STREAMS;
    buffer_printf(&b, "{\"spool\": ");
    put_spool(&b, u);
    buffer_printf(&b, ", \"data\": \"%s\"", u->data.state == LINK_UP ? "up" : "down");
    put_number(&b, "flying_bytes", o->flying);
    put_clock(&b, u);
    put_problem(&b, u);
    put_number(&b, "streams_total", o->count);
    buffer_printf(&b, ", \"streams\": [");
    for (size_t i = 0; i < most; i++) {
        if (i)
            buffer_printf(&b, ", ");
        put_stream(&b, o->streams[i]);
    }
    buffer_printf(&b, "]}");
    buffer_u8(&b, 0);
    if (b.failed)
        buffer_free(&b);
    return (char *)b.data;
}

void status_send(struct uplink *u)
{
    struct message m = {.type = MESSAGE_STATUS};
    m.status.json = uplink_status(u);
    u->changed = false;
    u->status_ns = clock_mono_ns();
    if (m.status.json)
        (void)link_send(&u->control, &m);
    free(m.status.json);
}
