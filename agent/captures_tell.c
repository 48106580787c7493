#include "agent/captures_impl.h"

#include "common/base/buffer.h"
#include <stdio.h>
#include <string.h>

static void add_interfaces(struct monitor_report *r, const struct monitor_report *of)
{
    for (size_t i = 0; i < of->interface_count && i < ORDER_LISTED_MAX; i++)
        if (r->interface_count + i < ORDER_LISTED_MAX)
            memcpy(r->interfaces[r->interface_count + i], of->interfaces[i], ORDER_NAME_MAX);
    r->interface_count += of->interface_count;
}

/* How it goes or went, what is left out, and what the policy made of it. */
static void put_text(const struct capture *c, char text[ORDER_TEXT_MAX])
{
    const char *const parts[] = {c->text, c->renamed, c->left_out,
                                 c->phase == PHASE_REFUSED || c->blocked ? "" : c->said};
    struct buffer b = {.limit = ORDER_TEXT_MAX - 1};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i][0])
            buffer_printf(&b, "%s%.*s", b.len ? "; " : "",
                          i == 0 && (c->renamed[0] || c->left_out[0] || c->said[0]) ? 150 : ORDER_TEXT_MAX, parts[i]);
    if (b.failed) /* together too long: how it goes */
        snprintf(text, ORDER_TEXT_MAX, "%s", c->text);
    else
        snprintf(text, ORDER_TEXT_MAX, "%.*s", (int)b.len, b.data ? (const char *)b.data : "");
    buffer_free(&b);
}

void tell_state(struct captures *s, struct capture *c)
{
    struct monitor_report r = {
        .magic = ORDER_MAGIC, .kind = REPORT_STATE, .phase = c->phase, .end_ns = c->order.end_ns};
    memcpy(r.id, c->order.id, sizeof r.id);
    put_text(c, r.text);
    r.packets = c->order.used_packets;
    r.bytes = c->order.used_bytes;
    r.kernel_drops = c->drops[0];
    r.other_drops = c->drops[1];
    r.own = c->own;
    r.forbidden = c->forbidden;
    for (size_t i = 0; i < CAPTURES_CAPTURERS; i++) {
        const struct monitor_report *p = &c->capturers[i].last;
        if (!c->capturers[i].pid || !p->magic)
            continue;
        r.packets += p->packets;
        r.bytes += p->bytes;
        r.packets_per_s += p->packets_per_s;
        r.bytes_per_s += p->bytes_per_s;
        r.kernel_drops += p->kernel_drops;
        r.other_drops += p->other_drops;
        r.own += p->own;
        r.forbidden += p->forbidden;
        add_interfaces(&r, p);
    }
    c->untold = !s->tell(s->context, &r);
}

void captures_tell_all(struct captures *s)
{
    for (size_t i = 0; i < CAPTURES_MAX; i++)
        if (s->captures[i].used)
            tell_state(s, &s->captures[i]);
}

void tell_checked(struct captures *s, const struct monitor_request *q, int code, const char *text)
{
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_CHECKED, .token = q->token, .code = code};
    memcpy(r.id, q->id, sizeof r.id);
    snprintf(r.text, sizeof r.text, "%.*s", (int)sizeof r.text - 1, text);
    (void)s->tell(s->context, &r); /* whoever asked has a time limit, as for flushes */
}

/* ---------------------------------------------------------------- flushes */

static void flush_told(struct captures *s, struct capture *c, size_t i)
{
    c->flushes[i].token = 0;
    (void)s->tell(s->context, &c->flushes[i].report);
}

void flush_begin(struct captures *s, struct capture *c, uint64_t token)
{
    struct monitor_request q = {.magic = ORDER_MAGIC, .kind = REQUEST_FLUSH, .token = token};
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_FLUSHED, .token = token};
    size_t i = 0;
    while (c && i < FLUSHES_MAX && c->flushes[i].token)
        i++;
    if (c)
        memcpy(r.id, c->order.id, sizeof r.id);
    if (!c || !capture_runs(c) || i == FLUSHES_MAX) {
        r.code = i == FLUSHES_MAX ? ERROR_BUSY : 0;
        (void)s->tell(s->context, &r);
        return;
    }
    c->flushes[i].token = token;
    c->flushes[i].waiting = 0;
    c->flushes[i].report = r;
    memcpy(q.id, c->order.id, sizeof q.id);
    for (size_t k = 0; k < CAPTURES_CAPTURERS; k++)
        if (c->capturers[k].pid) {
            c->flushes[i].waiting |= 1u << k;
            capturer_tell(s, &c->capturers[k], &q);
        }
}

static void no_longer_wait(struct captures *s, struct capture *c, size_t i, const struct capturer *p)
{
    c->flushes[i].waiting &= ~(1u << (p - c->capturers));
    if (!c->flushes[i].waiting)
        flush_told(s, c, i);
}

void flush_heard(struct captures *s, struct capture *c, const struct capturer *p, const struct monitor_report *r)
{
    for (size_t i = 0; i < FLUSHES_MAX; i++) {
        struct monitor_report *all = &c->flushes[i].report;
        if (!c->flushes[i].token || c->flushes[i].token != r->token)
            continue;
        for (size_t k = 0; k < r->stream_count && all->stream_count < REPORT_STREAMS_MAX; k++)
            all->streams[all->stream_count++] = r->streams[k];
        no_longer_wait(s, c, i, p);
    }
}

void flush_gone(struct captures *s, struct capture *c, const struct capturer *p)
{
    for (size_t i = 0; i < FLUSHES_MAX; i++)
        if (c->flushes[i].token)
            no_longer_wait(s, c, i, p);
}
