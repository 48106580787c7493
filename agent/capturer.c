/*
 * capturer: one loop that waits for packets, the monitor and signals.
 *
 * A signal only sets a flag and wakes the loop: it must be seen, too, by the thread that waits for room in the spool (sink_wait.stop), while the loop
 * itself may be waiting for that thread.
 */
#include "agent/capturer.h"

#include "agent/capture/chunk_builder.h"
#include "agent/capture/ring.h"
#include "agent/privileges.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH       4096u                                /* packets of one ring before the others get their turn */
#define RETIRE_NS   ((RING_RETIRE_MS + 10u) * NS_PER_MS) /* after this a packet is out of the kernel's block */
#define TICK_NS     NS_PER_S                             /* while packets come */
#define QUIET_NS    (5 * NS_PER_S)                       /* while none do */
#define FLUSHES_MAX 16u
#define SOFTWARE    "fleetdump " FLEETDUMP_VERSION

struct source_ring {
    struct ring *ring; /* NULL: its interface is gone */
    uint32_t index;    /* in the builder */
    uint64_t kernel_drops, interface_drops;
    bool down;
    uint64_t
        gone_ns; /* 0, or when the ring is given up: what is in the kernel's open block comes out of it until then */
};

struct capturer_process {
    const struct agent_config *config;
    const struct order *order;
    int fd; /* to the monitor */
    int watch_fd;
    uint8_t epoch[EPOCH_SIZE];
    struct source_ring *rings;
    size_t count;
    struct pollfd *fds; /* wake, monitor, watch, then the rings */
    struct spool *spool;
    struct spool_stream *stream;
    struct sink *sink;
    struct chunk_builder *builder;
    struct source_ring *reading; /* during ring_read */
    uint64_t flushes[FLUSHES_MAX];
    size_t flush_count;
    uint64_t flush_ns;      /* when it is due */
    uint64_t last_flush_ns; /* when the last one was */
    uint64_t tick_ns;       /* when it is due */
    struct monitor_report told;
    uint64_t told_ns, told_received;
    bool limit; /* packets or bytes: reached */
    char text[ORDER_TEXT_MAX];
};

static atomic_bool stop_asked;
static int wake_fd = -1;

static void on_signal(int number)
{
    (void)number;
    const uint64_t one = 1;
    atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
    ssize_t ignored = write(wake_fd, &one, sizeof one);
    (void)ignored;
}

/* ---------------------------------------------------------------- telling the monitor */

static uint64_t total(const struct capturer_process *c, enum counter which)
{
    return c->sink ? counter_page_total(c->sink->page, which) : 0;
}

static void put_interfaces(const struct capturer_process *c, struct monitor_report *r)
{
    for (size_t i = 0; i < c->count; i++) {
        if (!c->rings[i].ring)
            continue;
        if (r->interface_count < ORDER_LISTED_MAX)
            snprintf(r->interfaces[r->interface_count], ORDER_NAME_MAX, "%s", ring_interface(c->rings[i].ring)->name);
        r->interface_count++;
    }
}

static void put_counters(const struct capturer_process *c, struct monitor_report *r, uint64_t now_ns)
{
    double seconds = c->told_ns ? (double)(now_ns - c->told_ns) / (double)NS_PER_S : 0;
    r->packets = total(c, COUNTER_KEPT);
    r->bytes = total(c, COUNTER_KEPT_BYTES);
    r->kernel_drops = total(c, COUNTER_KERNEL_DROPS);
    r->other_drops = total(c, COUNTER_INTERFACE_DROPS) + total(c, COUNTER_AGENT_DROPS) + total(c, COUNTER_POLICY);
    r->own = total(c, COUNTER_OWN);
    if (seconds > 0 && r->packets >= c->told.packets) {
        r->packets_per_s = (uint64_t)((double)(r->packets - c->told.packets) / seconds);
        r->bytes_per_s = (uint64_t)((double)(r->bytes - c->told.bytes) / seconds);
    }
}

static void tell(struct capturer_process *c, uint32_t phase, const char *text)
{
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_STATE, .phase = phase, .end_ns = c->order->end_ns};
    uint64_t now_ns = clock_mono_ns();
    memcpy(r.id, c->order->id, sizeof r.id);
    snprintf(r.text, sizeof r.text, "%.*s", (int)sizeof r.text - 1, text);
    put_interfaces(c, &r);
    put_counters(c, &r, now_ns);
    if (c->stream) {
        r.stream_count = 1;
        memcpy(r.streams[0].epoch, c->epoch, EPOCH_SIZE);
    }
    c->told = r;
    c->told_ns = now_ns;
    c->told_received = total(c, COUNTER_RECEIVED);
    ssize_t ignored = send(c->fd, &r, sizeof r, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored; /* a monitor that does not read: the next report says it all again */
}

/* While it runs: what people should know. */
static void tell_running(struct capturer_process *c)
{
    size_t at = 0;
    c->text[0] = 0;
    for (size_t i = 0; i < c->count && at < sizeof c->text; i++)
        if (c->rings[i].ring && c->rings[i].down)
            at += (size_t)snprintf(c->text + at, sizeof c->text - at, "%s%s is down", at ? ", " : "",
                                   ring_interface(c->rings[i].ring)->name);
    tell(c, PHASE_RUNNING, c->text);
}

static _Noreturn void end(struct capturer_process *c, enum capturer_end how, const char *text)
{
    tell(c, how == CAPTURER_DONE ? PHASE_STOPPED : how == CAPTURER_REFUSED ? PHASE_REFUSED : PHASE_FAILED, text);
    chunk_builder_free(c->builder);
    if (c->sink)
        sink_close(c->sink);
    spool_stream_close(c->stream);
    spool_close(c->spool);
    for (size_t i = 0; i < c->count; i++)
        ring_close(c->rings[i].ring);
    free(c->rings);
    free(c->fds);
    exit(how);
}

/* ---------------------------------------------------------------- beginning */

static void catch_signals(struct capturer_process *c)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        end(c, CAPTURER_FAILED, "no descriptor is left for signals");
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

static int open_rings(struct capturer_process *c, const char *const *names, size_t count, struct error *e)
{
    const struct order *o = c->order;
    struct ring_options options = {.filter = o->filter,
                                   .companions = o->companions,
                                   .snaplen = o->snaplen,
                                   .ring_bytes = (uint32_t)c->config->ring};
    c->rings = calloc(count, sizeof *c->rings);
    c->fds = calloc(count + 3, sizeof *c->fds);
    if (!c->rings || !c->fds)
        return error_set(e, ERROR_MEMORY, "no memory for %zu interfaces", count);
    for (; c->count < count; c->count++) {
        int code = ring_open(names[c->count], &options, &c->rings[c->count].ring, e);
        if (code)
            return code;
    }
    c->watch_fd = ring_watch_open(e);
    return c->watch_fd < 0 ? c->watch_fd : 0;
}

static bool somebody_ships(void *context)
{
    (void)context;
    return true; /* the monitor sees to it */
}

static void say_full(void *context, const struct error *full)
{
    tell(context, PHASE_RUNNING, full->text);
}

static int open_stream(struct capturer_process *c, struct error *e)
{
    const struct agent_config *a = c->config;
    struct spool_limits limits = {.quota_bytes = a->quota, .floor_bytes = a->floor};
    struct sink_wait wait = {.stop = &stop_asked, .somebody_ships = somebody_ships, .waiting = say_full, .context = c};
    if (getrandom(c->epoch, sizeof c->epoch, 0) != sizeof c->epoch)
        return error_sys(e, errno, "no random numbers");
    int code = spool_open(a->spool, &limits, &c->spool, e);
    struct spool_stream_start start = {
        .agent = a->name, .capture = c->order->name, .wall_ns = clock_wall_ns(), .evict = EVICT_OLDEST};
    if (!code)
        code = spool_stream_new(c->spool, c->epoch, &start, &c->stream, e);
    if (code)
        return code;
    return sink_spool(c->spool, c->stream, &wait, &c->sink, e);
}

static int open_builder(struct capturer_process *c, struct error *e)
{
    const struct order *o = c->order;
    struct chunk_builder_options b = {
        .agent = c->config->name,
        .capture = o->name,
        .software = SOFTWARE,
        .filter = o->filter,
        .snaplen = o->snaplen,
        .keep_packets = o->keep != KEEP_FLOWS,
        .headers_only = o->keep == KEEP_HEADERS,
        .own_family = o->collector_family,
        .own_port = o->collector_port,
        .rate = o->rate,
        .level = (int)c->config->compression_level,
        .max_flows = (uint32_t)c->config->max_flows,
    };
    memcpy(b.epoch, c->epoch, EPOCH_SIZE);
    memcpy(b.own_address, o->collector_address, sizeof b.own_address);
    int code = chunk_builder_new(&b, c->sink, &c->builder, e);
    for (size_t i = 0; !code && i < c->count; i++)
        code = chunk_builder_interface(c->builder, ring_interface(c->rings[i].ring), &c->rings[i].index, e);
    return code;
}

/* ---------------------------------------------------------------- packets */

static bool limit_reached(const struct capturer_process *c)
{
    const struct order *o = c->order;
    return (o->packets && o->used_packets + total(c, COUNTER_KEPT) >= o->packets) ||
           (o->bytes && o->used_bytes + total(c, COUNTER_KEPT_BYTES) >= o->bytes);
}

static int take(void *context, const struct ring_packet *p, struct error *e)
{
    struct capturer_process *c = context;
    struct pcapng_packet packet = p->packet;
    packet.interface = c->reading->index;
    packet.comment = p->wanted ? NULL : CAPTURER_COMPANION;
    int code =
        p->wanted ? chunk_builder_packet(c->builder, &packet, e) : chunk_builder_companion(c->builder, &packet, e);
    if (!code && limit_reached(c)) {
        c->limit = true;
        return ERROR_CANCELLED;
    }
    return code;
}

static int take_drops(struct capturer_process *c, struct source_ring *r, struct error *e)
{
    uint64_t kernel = 0, interface = 0;
    if (!r->ring)
        return 0;
    ring_drops(r->ring, &kernel, &interface);
    uint64_t more = kernel - r->kernel_drops, lost = interface - r->interface_drops;
    int code = more ? chunk_builder_count(c->builder, r->index, COUNTER_KERNEL_DROPS, more, e) : 0;
    if (!code && lost)
        code = chunk_builder_count(c->builder, r->index, COUNTER_INTERFACE_DROPS, lost, e);
    r->kernel_drops = kernel;
    r->interface_drops = interface;
    return code;
}

static int on_gone(struct capturer_process *c, struct source_ring *r, struct error *e)
{
    uint64_t now = clock_mono_ns();
    r->gone_ns = r->gone_ns ? r->gone_ns : now + RETIRE_NS;
    if (now < r->gone_ns) {
        c->tick_ns = r->gone_ns < c->tick_ns ? r->gone_ns : c->tick_ns;
        return 0;
    }
    int code = take_drops(c, r, e);
    ring_close(r->ring);
    r->ring = NULL;
    tell_running(c);
    return code;
}

/* What there is in one ring, up to BATCH packets; returns how many, or a code that ends the capture. */
static int read_ring(struct capturer_process *c, struct source_ring *r, struct error *e)
{
    struct error why = ERROR_INIT;
    if (!r->ring || c->limit)
        return 0;
    c->reading = r;
    int n = ring_read(r->ring, BATCH, take, c, &why);
    if (n >= 0) {
        if (n > 0 && r->down) {
            r->down = false;
            tell_running(c);
        }
        return n;
    }
    if (c->limit)
        return 0;
    if (n == ERROR_NOT_FOUND)
        return on_gone(c, r, e);
    if (n == ERROR_UNREACHABLE) {
        bool news = !r->down;
        r->down = true;
        if (news)
            tell_running(c);
        return 0;
    }
    return error_set(e, n, "%s", why.text);
}

/* Until all rings are empty, or it has been at it for a while. */
static int read_all(struct capturer_process *c, struct error *e)
{
    uint64_t until_ns = clock_mono_ns() + NS_PER_S;
    for (bool more = true; more && clock_mono_ns() < until_ns;) {
        more = false;
        for (size_t i = 0; i < c->count; i++) {
            int n = read_ring(c, &c->rings[i], e);
            if (n < 0)
                return n;
            more = more || n == (int)BATCH;
        }
    }
    return 0;
}

static int all_drops(struct capturer_process *c, struct error *e)
{
    int code = 0;
    for (size_t i = 0; !code && i < c->count; i++)
        code = take_drops(c, &c->rings[i], e);
    return code;
}

/* ---------------------------------------------------------------- interfaces */

static bool any_ring(const struct capturer_process *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->rings[i].ring)
            return true;
    return false;
}

static int look_at_interfaces(struct capturer_process *c, struct error *e)
{
    for (size_t i = 0; i < c->count; i++) {
        struct source_ring *r = &c->rings[i];
        int code = read_ring(c, r, e); /* what came under the old name, and whether it is down or gone */
        if (code < 0)
            return code;
        code = r->ring ? ring_renamed(r->ring) : 0;
        if (code == 1)
            code = chunk_builder_interface(c->builder, ring_interface(r->ring), &r->index, e);
        if (code < 0 && code != ERROR_NOT_FOUND)
            return code;
    }
    tell_running(c);
    return 0;
}

/* ---------------------------------------------------------------- flushes */

static void ask_flush(struct capturer_process *c, uint64_t token)
{
    uint64_t now = clock_mono_ns(), due = now + RETIRE_NS, least = c->last_flush_ns + CAPTURER_FLUSH_NS;
    if (c->flush_count == FLUSHES_MAX)
        return; /* the monitor has no more under way */
    c->flushes[c->flush_count++] = token;
    c->flush_ns = c->last_flush_ns && least > due ? least : due;
}

static int flush(struct capturer_process *c, struct error *e)
{
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_FLUSHED, .stream_count = 1};
    int code = read_all(c, e);
    if (!code)
        code = all_drops(c, e);
    if (!code)
        code = chunk_builder_seal(c->builder, SEAL_FLUSH, e);
    r.streams[0].next_seq = chunk_builder_next_seq(c->builder);
    while (!code && (code = chunk_builder_wait(c->builder, 60000, e)) == 1)
        code = 0;
    if (code)
        return code;
    memcpy(r.id, c->order->id, sizeof r.id);
    memcpy(r.streams[0].epoch, c->epoch, EPOCH_SIZE);
    for (size_t i = 0; i < c->flush_count; i++) {
        r.token = c->flushes[i];
        ssize_t ignored = send(c->fd, &r, sizeof r, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)ignored; /* whoever waits has a time limit */
    }
    c->flush_count = 0;
    c->flush_ns = 0;
    c->last_flush_ns = clock_mono_ns();
    return 0;
}

/* False: the monitor is gone. */
static bool read_monitor(struct capturer_process *c)
{
    struct monitor_request r;
    ssize_t n;
    while ((n = recv(c->fd, &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC)) > 0)
        if (monitor_request_is_sound(&r, (size_t)n) && r.kind == REQUEST_FLUSH)
            ask_flush(c, r.token);
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* ---------------------------------------------------------------- the loop */

/* Nothing comes from it that a poll would tell of: it is looked at now and then. */
static bool is_dead(const struct source_ring *r)
{
    return r->down || r->gone_ns;
}

static int tick(struct capturer_process *c, struct error *e)
{
    uint64_t now = clock_mono_ns();
    bool news = total(c, COUNTER_RECEIVED) != c->told_received || c->told.packets_per_s;
    int code = all_drops(c, e);
    if (!code)
        code = chunk_builder_tick(c->builder, clock_wall_ns(), e);
    for (size_t i = 0; !code && i < c->count; i++)
        if (c->rings[i].ring && is_dead(&c->rings[i]) && (code = read_ring(c, &c->rings[i], e)) > 0)
            code = 0;
    if (!code && news)
        tell_running(c);
    c->tick_ns = now + (news ? TICK_NS : QUIET_NS);
    for (size_t i = 0; i < c->count; i++)
        if (c->rings[i].ring && c->rings[i].gone_ns && c->rings[i].gone_ns < c->tick_ns)
            c->tick_ns = c->rings[i].gone_ns;
    return code;
}

static int timeout_ms(const struct capturer_process *c)
{
    uint64_t now = clock_mono_ns(), wall = clock_wall_ns(), next = c->tick_ns;
    if (c->flush_ns && c->flush_ns < next)
        next = c->flush_ns;
    uint64_t wait = next > now ? next - now : 0;
    if (c->order->end_ns) {
        uint64_t left = c->order->end_ns > wall ? c->order->end_ns - wall : 0;
        wait = left < wait ? left : wait;
    }
    return wait ? (int)(wait / NS_PER_MS) + 1 : 0;
}

static void fill_poll(struct capturer_process *c)
{
    c->fds[0] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
    c->fds[1] = (struct pollfd){.fd = c->fd, .events = POLLIN};
    c->fds[2] = (struct pollfd){.fd = c->watch_fd, .events = POLLIN};
    for (size_t i = 0; i < c->count; i++) {
        const struct source_ring *r = &c->rings[i];
        c->fds[3 + i] = (struct pollfd){.fd = r->ring && !is_dead(r) ? ring_fd(r->ring) : -1, .events = POLLIN};
    }
}

static int on_events(struct capturer_process *c, struct error *e)
{
    int code = 0;
    for (size_t i = 0; code >= 0 && i < c->count; i++)
        if (c->fds[3 + i].revents)
            code = read_ring(c, &c->rings[i], e);
    if (code >= 0 && c->fds[2].revents) {
        ring_watch_take(c->watch_fd);
        code = look_at_interfaces(c, e);
    }
    if (c->fds[1].revents && !read_monitor(c))
        atomic_store(&stop_asked, true);
    return code < 0 ? code : 0;
}

static int step(struct capturer_process *c, struct error *e)
{
    fill_poll(c);
    int code = poll(c->fds, 3 + c->count, timeout_ms(c)) > 0 ? on_events(c, e) : 0;
    uint64_t now = clock_mono_ns();
    if (!code && c->flush_ns && now >= c->flush_ns)
        code = flush(c, e);
    if (!code && now >= c->tick_ns)
        code = tick(c, e);
    return code;
}

static bool is_time(const struct capturer_process *c)
{
    return c->order->end_ns && clock_wall_ns() >= c->order->end_ns;
}

/* What passed before it was told to stop is still taken. */
static int finish(struct capturer_process *c, struct error *e)
{
    struct timespec retire = {.tv_nsec = (long)RETIRE_NS};
    int code = 0;
    if (!c->limit) {
        nanosleep(&retire, NULL);
        code = read_all(c, e);
    }
    if (!code)
        code = all_drops(c, e);
    if (!code && c->flush_count)
        code = flush(c, e);
    return code ? code : chunk_builder_finish(c->builder, e);
}

static _Noreturn void run(struct capturer_process *c)
{
    struct error e = ERROR_INIT;
    int code = 0;
    tell_running(c);
    c->tick_ns = clock_mono_ns() + TICK_NS;
    while (!code && !c->limit && !is_time(c) && any_ring(c) && !atomic_load_explicit(&stop_asked, memory_order_relaxed))
        code = step(c, &e);
    bool stopped = stop_asked, gone = !any_ring(c);
    if (!code)
        code = finish(c, &e);
    if (code)
        end(c, CAPTURER_FAILED, e.text);
    if (c->limit)
        end(c, CAPTURER_DONE, "its limit is reached");
    if (gone && !stopped)
        end(c, CAPTURER_NO_INTERFACES, "its interfaces are gone");
    end(c, CAPTURER_DONE, stopped ? "stopped" : "its time is over");
}

void capturer_run(const struct agent_config *config, const struct order *o, const char *const *interfaces, size_t count,
                  int fd)
{
    struct error e = ERROR_INIT;
    struct capturer_process c = {.config = config, .order = o, .fd = fd, .watch_fd = -1};
    catch_signals(&c);
    int code = open_rings(&c, interfaces, count, &e);
    if (code == ERROR_USAGE || code == ERROR_REFUSED)
        end(&c, CAPTURER_REFUSED, e.text);
    if (!code)
        code = privileges_drop(config->capture_user, config->ship_user, &e);
    if (!code)
        code = open_stream(&c, &e);
    if (!code)
        code = open_builder(&c, &e);
    if (code)
        end(&c, CAPTURER_FAILED, e.text);
    run(&c);
}
