#include "agent/capturer_impl.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH       4096u /* packets of one ring before others get their turn */
#define SEALED_FROM 64u   /* packet sockets have no lower number: all else that a capturer has open fits below */
#define TURNS_MAX   64u   /* of taps_drain: under full load rings do not become empty */

/* ---------------------------------------------------------------- opening, closing */

static struct ring_options options_of(const struct live *l)
{
    const struct order *o = l->order;
    bool headers_alone = o->keep == KEEP_HEADERS || (o->keep == KEEP_FLOWS && o->no_apps);
    uint32_t least = headers_alone ? HEADER_SNAPLEN : 0;
    return (struct ring_options){.filter = o->filter,
                                 .forbid = l->forbid,
                                 .companions = o->companions,
                                 .snaplen = o->snaplen ? o->snaplen : least,
                                 .ring_bytes = (uint32_t)l->config->ring};
}

/* Descriptors below SEALED_FROM that are free, so that rings get higher numbers and what is opened later gets these. */
static size_t take_low(int fds[SEALED_FROM], int wake_fd)
{
    size_t n = 0;
    while (n < SEALED_FROM && (fds[n] = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0)) >= 0)
        if (fds[n++] >= (int)SEALED_FROM)
            break;
    return n;
}

int taps_open(struct live *l, const char *const *names, size_t count, struct error *e)
{
    struct ring_options o = options_of(l);
    int low[SEALED_FROM], code = 0;
    l->taps = calloc(count, sizeof *l->taps);
    if (!l->taps)
        return error_set(e, ERROR_MEMORY, "no memory for %zu interfaces", count);
    size_t taken = take_low(low, l->wake_fd);
    for (; !code && l->tap_count < count; l->tap_count += code == 0)
        code = ring_open(names[l->tap_count], &o, &l->taps[l->tap_count].ring, e);
    while (taken)
        close(low[--taken]);
    return code;
}

int taps_first_fd(const struct live *l)
{
    int first = INT_MAX;
    for (size_t i = 0; i < l->tap_count; i++)
        if (ring_fd(l->taps[i].ring) < first)
            first = ring_fd(l->taps[i].ring);
    return first;
}

static void close_tap(struct tap *t)
{
    ring_close(t->ring);
    t->ring = NULL;
    t->state = TAP_CLOSED;
}

void taps_close(struct live *l)
{
    for (size_t i = 0; i < l->tap_count; i++)
        close_tap(&l->taps[i]);
    free(l->taps);
    free(l->names);
}

/* ---------------------------------------------------------------- names */

/* A name that the builder knows already stands for what has it now. */
static const struct tap_name *find_name(const struct live *l, const struct pcapng_interface *i)
{
    for (size_t n = 0; n < l->name_count; n++)
        if (strcmp(l->names[n].name, i->name) == 0 && l->names[n].link_type == i->link_type)
            return &l->names[n];
    return NULL;
}

static int add_name(struct live *l, const struct pcapng_interface *i, uint32_t *index, struct error *e)
{
    struct tap_name *grown = reallocarray(l->names, l->name_count + 1, sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for the interface %s", i->name);
    l->names = grown;
    int code = chunk_builder_interface(l->builder, i, index, e);
    if (code)
        return code;
    struct tap_name *n = &grown[l->name_count++];
    *n = (struct tap_name){.link_type = i->link_type, .index = *index};
    strncpy(n->name, i->name, sizeof n->name - 1);
    return 0;
}

int taps_name(struct live *l, struct error *e)
{
    for (size_t i = 0; i < l->tap_count; i++) {
        struct tap *t = &l->taps[i];
        if (!t->ring || (t->named && ring_renamed(t->ring) != 1))
            continue;
        const struct tap_name *known = find_name(l, ring_interface(t->ring));
        int code = known ? 0 : add_name(l, ring_interface(t->ring), &t->index, e);
        if (code)
            return code;
        if (known)
            t->index = known->index;
        t->named = true;
    }
    return 0;
}

/* ---------------------------------------------------------------- packets */

static int take(void *context, const struct ring_packet *p, size_t n, struct error *e)
{
    struct live *l = context;
    struct chunk_packet k[RING_PACKETS];
    size_t some = 0;
    for (; some < n && p[some].packet.time_ns <= l->cut_ns; some++) {
        k[some] = (struct chunk_packet){.packet = p[some].packet, .companion = !p[some].wanted};
        k[some].packet.interface = l->reading->index;
        k[some].packet.comment = p[some].wanted ? NULL : CAPTURER_COMPANION;
    }
    l->reading->done = some < n;
    int code = chunk_builder_packets(l->builder, k, some, e);
    if (code == 1)
        l->limit = true;
    return code ? code : l->reading->done || !chunk_builder_ready(l->builder);
}

static void set_state(struct live *l, struct tap *t, enum tap_state state)
{
    if (t->state == state)
        return;
    t->state = state;
    t->close_ns = clock_mono_ns() + RETIRE_NS;
    say(l, PHASE_RUNNING, "");
}

/* A result of ring_read: packets are left in the ring only if all of a batch were taken. */
int tap_read(struct live *l, struct tap *t, struct error *e)
{
    if (!t->ring || t->done || l->limit)
        return 0;
    l->reading = t;
    int n = ring_read(t->ring, BATCH, take, l, e);
    if (n == ERROR_NOT_FOUND)
        set_state(l, t, TAP_GONE);
    else if (n == ERROR_UNREACHABLE)
        set_state(l, t, TAP_DOWN);
    else if (n < 0)
        return n;
    else if (t->state == TAP_DOWN)
        set_state(l, t, TAP_UP);
    return n < 0 ? 0 : n;
}

int taps_drain(struct live *l, struct error *e)
{
    for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
        bool more = false;
        for (size_t i = 0; i < l->tap_count; i++) {
            if (!chunk_builder_ready(l->builder))
                return 0;
            int n = tap_read(l, &l->taps[i], e);
            if (n < 0)
                return n;
            more = more || n == (int)BATCH;
        }
        if (l->limit)
            return 0;
        if (!more)
            return chunk_builder_ready(l->builder);
    }
    return 0;
}

/* ---------------------------------------------------------------- drops */

static int count_more(struct live *l, const struct tap *t, enum counter which, uint64_t now, uint64_t *known,
                      struct error *e)
{
    uint64_t more = now > *known ? now - *known : 0;
    *known += more;
    return more ? chunk_builder_count(l->builder, t->index, which, more, e) : 0;
}

static int count_tap(struct live *l, struct tap *t, struct error *e)
{
    uint64_t kernel, interface;
    ring_drops(t->ring, &kernel, &interface);
    int code = count_more(l, t, COUNTER_KERNEL_DROPS, kernel, &t->kernel_drops, e);
    return code ? code : count_more(l, t, COUNTER_INTERFACE_DROPS, interface, &t->interface_drops, e);
}

int taps_count(struct live *l, struct error *e)
{
    uint64_t now = clock_mono_ns();
    for (size_t i = 0; i < l->tap_count; i++) {
        struct tap *t = &l->taps[i];
        int code = t->ring ? count_tap(l, t, e) : 0;
        if (code)
            return code;
        if (t->state != TAP_GONE || now < t->close_ns)
            continue;
        code = tap_read(l, t, e);
        if (code < 0)
            return code;
        if (code == 0)
            close_tap(t);
    }
    return 0;
}

bool taps_any(const struct live *l)
{
    for (size_t i = 0; i < l->tap_count; i++)
        if (l->taps[i].state < TAP_GONE)
            return true;
    return false;
}

bool taps_done(const struct live *l)
{
    for (size_t i = 0; i < l->tap_count; i++)
        if (l->taps[i].ring && !l->taps[i].done)
            return false;
    return true;
}
