#include "agent/capturer_impl.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPORT_NS NS_PER_S

/* A monitor that does not read: the next report says it all again, and whoever waits for a flush has a time limit. */
static void send_report(const struct live *l, const struct monitor_report *r)
{
    ssize_t ignored = send(l->fd, r, sizeof *r, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored;
}

/* ---------------------------------------------------------------- state */

static struct counters counters_of(const struct live *l)
{
    struct chunk_builder_stats s = {0};
    if (l->builder)
        chunk_builder_stats(l->builder, &s);
    return s.counters;
}

static void put_interfaces(const struct live *l, struct monitor_report *r)
{
    for (size_t i = 0; i < l->tap_count; i++) {
        if (l->taps[i].state >= TAP_GONE)
            continue;
        if (r->interface_count < ORDER_LISTED_MAX)
            snprintf(r->interfaces[r->interface_count], ORDER_NAME_MAX, "%s", ring_interface(l->taps[i].ring)->name);
        r->interface_count++;
    }
}

static uint64_t rate(uint64_t now, uint64_t before, uint64_t ns)
{
    return ns ? (uint64_t)((double)(now - before) * (double)NS_PER_S / (double)ns) : 0;
}

static void put_counters(struct live *l, struct monitor_report *r, uint64_t now_ns)
{
    struct counters c = counters_of(l);
    uint64_t passed = l->told_ns ? now_ns - l->told_ns : 0;
    r->packets = c.value[COUNTER_KEPT];
    r->bytes = c.value[COUNTER_KEPT_BYTES];
    r->kernel_drops = c.value[COUNTER_KERNEL_DROPS];
    r->other_drops = c.value[COUNTER_INTERFACE_DROPS] + c.value[COUNTER_AGENT_DROPS] + c.value[COUNTER_POLICY];
    r->own = c.value[COUNTER_OWN];
    r->forbidden = c.value[COUNTER_FORBIDDEN];
    r->packets_per_s = rate(r->packets, l->told.packets, passed);
    r->bytes_per_s = rate(r->bytes, l->told.bytes, passed);
    l->told_received = c.value[COUNTER_RECEIVED];
}

/* "eth1 is down; the spool is full: ..." */
static void put_news(struct live *l, char text[ORDER_TEXT_MAX])
{
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < l->tap_count && at < ORDER_TEXT_MAX; i++)
        if (l->taps[i].state == TAP_DOWN)
            at += (size_t)snprintf(text + at, ORDER_TEXT_MAX - at, "%s%s is down", at ? ", " : "",
                                   ring_interface(l->taps[i].ring)->name);
    pthread_mutex_lock(&l->full_mutex);
    l->told_full = l->full[0] != 0;
    if (l->told_full && at < ORDER_TEXT_MAX)
        snprintf(text + at, ORDER_TEXT_MAX - at, "%swaiting for room: %.400s", at ? "; " : "", l->full);
    pthread_mutex_unlock(&l->full_mutex);
}

bool say_is_full(struct live *l)
{
    pthread_mutex_lock(&l->full_mutex);
    bool full = l->full[0] != 0;
    pthread_mutex_unlock(&l->full_mutex);
    return full;
}

void say(struct live *l, uint32_t phase, const char *text)
{
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_STATE, .phase = phase, .end_ns = l->order->end_ns};
    uint64_t now_ns = clock_mono_ns();
    memcpy(r.id, l->order->id, sizeof r.id);
    if (text[0])
        snprintf(r.text, sizeof r.text, "%.*s", (int)sizeof r.text - 1, text);
    else
        put_news(l, r.text);
    put_interfaces(l, &r);
    put_counters(l, &r, now_ns);
    if (l->stream) {
        r.stream_count = 1;
        memcpy(r.streams[0].epoch, l->epoch, EPOCH_SIZE);
    }
    l->told = r;
    l->told_ns = now_ns;
    send_report(l, &r);
}

uint64_t say_due(const struct live *l)
{
    struct counters c = counters_of(l);
    bool news = c.value[COUNTER_RECEIVED] != l->told_received || l->told.packets_per_s;
    return news ? l->told_ns + REPORT_NS : UINT64_MAX;
}

/* ---------------------------------------------------------------- the sink's thread */

void say_sealed(void *context)
{
    const struct live *l = context;
    const uint64_t one = 1;
    ssize_t ignored = write(l->wake_fd, &one, sizeof one);
    (void)ignored;
}

static void set_full(struct live *l, const char *text)
{
    pthread_mutex_lock(&l->full_mutex);
    snprintf(l->full, sizeof l->full, "%.*s", (int)sizeof l->full - 1, text);
    pthread_mutex_unlock(&l->full_mutex);
    say_sealed(l);
}

void say_full(void *context, const struct error *full)
{
    set_full(context, full->text);
}

void say_room(void *context)
{
    set_full(context, "");
}

/* ---------------------------------------------------------------- flushes */

static void schedule(struct live *l, const struct live_flush *f)
{
    uint64_t least = l->last_flush_ns ? l->last_flush_ns + CAPTURER_FLUSH_NS : 0;
    uint64_t due = f->due_ns > least ? f->due_ns : least;
    l->flush_ns = due < l->flush_ns ? due : l->flush_ns;
}

void flush_ask(struct live *l, uint64_t token)
{
    if (l->flush_count == FLUSHES_MAX)
        return; /* whoever waits has a time limit */
    struct live_flush *f = &l->flushes[l->flush_count++];
    *f = (struct live_flush){.token = token, .due_ns = clock_mono_ns() + RETIRE_NS, .next_seq = UINT64_MAX};
    schedule(l, f);
}

int flush_seal(struct live *l, struct error *e)
{
    int code = chunk_builder_seal(l->builder, SEAL_FLUSH, e);
    l->last_flush_ns = clock_mono_ns();
    l->flush_ns = UINT64_MAX;
    for (size_t i = 0; i < l->flush_count; i++) {
        struct live_flush *f = &l->flushes[i];
        if (f->next_seq == UINT64_MAX && f->due_ns <= l->last_flush_ns)
            f->next_seq = chunk_builder_next_seq(l->builder);
        else if (f->next_seq == UINT64_MAX)
            schedule(l, f);
    }
    return code;
}

static void answer(const struct live *l, const struct live_flush *f)
{
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_FLUSHED, .token = f->token, .stream_count = 1};
    memcpy(r.id, l->order->id, sizeof r.id);
    memcpy(r.streams[0].epoch, l->epoch, EPOCH_SIZE);
    r.streams[0].next_seq = f->next_seq;
    send_report(l, &r);
}

void flush_answer(struct live *l)
{
    uint64_t sealed = chunk_builder_sealed(l->builder);
    size_t left = 0;
    for (size_t i = 0; i < l->flush_count; i++) {
        if (l->flushes[i].next_seq <= sealed)
            answer(l, &l->flushes[i]);
        else
            l->flushes[left++] = l->flushes[i];
    }
    l->flush_count = left;
}
