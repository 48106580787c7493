/*
 * capturer: one loop that waits for packets, the monitor, signals and changes of interfaces, and never for anything else: what is slow or full
 * waits in the compressor's thread. While that has too much to do, rings are not read, and the kernel counts what it has no room for.
 *
 * The time that the builder is told is that of a moment in which the rings were empty, less what packets need to get there; so flows end by the
 * times of packets alone.
 */
#include "agent/capture/conversation.h"
#include "agent/capturer_impl.h"

#include "agent/confine.h"
#include "agent/privileges.h"
#include "common/base/log.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOFTWARE "fleetdump " FLEETDUMP_VERSION
#define TICK_NS  NS_PER_S
#define DROPS_NS (100 * NS_PER_MS)
#define STALL_MS 20 /* how long the loop waits for the compressor before it looks at other things */
/* The kernel's timer may be late on a busy machine; at the end nothing is behind it that would bring the block. */
#define END_RETIRE_NS (4 * (uint64_t)RETIRE_NS)
#define PATIENCE_NS   (10 * NS_PER_S) /* at the end: for a full disk, and for rings that do not become empty */
#define ALIVE_NS                                                                                                       \
    (5 * NS_PER_S) /* also an idle one notes so often that it captures; and notices that a wall clock was set */

enum { FD_SIGNAL, FD_MONITOR, FD_WATCH, FD_WAKE, FD_TAPS };

/* ---------------------------------------------------------------- beginning */

static int open_descriptors(struct live *l, size_t taps, struct error *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || (l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return error_sys(e, errno, "cannot wait for signals");
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0)
        return error_sys(e, errno, "cannot wait for what is written");
    l->watch_fd = ring_watch_open(e);
    if (l->watch_fd < 0)
        return l->watch_fd;
    l->fds = calloc(FD_TAPS + taps, sizeof *l->fds);
    return l->fds ? 0 : error_set(e, ERROR_MEMORY, "no memory for %zu interfaces", taps);
}

static bool somebody_ships(void *context)
{
    (void)context;
    return true; /* the monitor sees to it */
}

static int open_stream(struct live *l, struct error *e)
{
    const struct agent_config *c = l->config;
    struct spool_limits limits = {.quota_bytes = c->quota, .floor_bytes = c->floor};
    struct spool_stream_start start = {
        .agent = c->name, .capture = l->order->name, .wall_ns = clock_wall_ns(), .evict = EVICT_OLDEST};
    struct sink_wait wait = {
        .stop = &l->give_up, .somebody_ships = somebody_ships, .waiting = say_full, .over = say_room, .context = l};
    if (getrandom(l->epoch, sizeof l->epoch, 0) != sizeof l->epoch)
        return error_sys(e, errno, "no random numbers");
    int code = spool_open(c->spool, &limits, &l->spool, e);
    if (!code)
        code = spool_stream_new(l->spool, l->epoch, &start, &l->stream, e);
    if (!code)
        code = sink_spool(l->spool, l->stream, &wait, &l->sink, e);
    if (code)
        return code;
    l->sink->sealed = say_sealed;
    l->sink->sealed_context = l;
    return 0;
}

static uint64_t left_of(uint64_t limit, uint64_t used)
{
    if (!limit)
        return 0;
    return limit > used ? limit - used : 1;
}

static int open_builder(struct live *l, struct error *e)
{
    const struct order *o = l->order;
    struct chunk_builder_options b = {
        .agent = l->config->name,
        .capture = o->name,
        .software = SOFTWARE,
        .filter = o->filter,
        .snaplen = ring_interface(l->taps[0].ring)->snaplen,
        .keep_packets = o->keep != KEEP_FLOWS,
        .headers_only = o->keep == KEEP_HEADERS,
        .live = true,
        .level = (int)l->config->compression_level,
        .max_flows = (uint32_t)l->config->max_flows,
        .timeouts = l->config->timeouts,
        .most_packets = left_of(o->packets, o->used_packets),
        .most_bytes = left_of(o->bytes, o->used_bytes),
        .rate = o->rate,
        .own_family = o->collector_family,
        .own_port = o->collector_port,
        .payload = o->payload,
        .no_apps = o->no_apps,
        .http_blank = o->http_blank,
        .cutoff = o->cutoff,
        .forbid = l->forbid,
        .listeners = l->listeners,
    };
    memcpy(b.epoch, l->epoch, EPOCH_SIZE);
    memcpy(b.own_address, o->collector_address, sizeof b.own_address);
    int code = chunk_builder_new(&b, l->sink, &l->builder, e);
    return code ? code : taps_name(l, e);
}

/* ---------------------------------------------------------------- what others say */

static bool read_signals(const struct live *l)
{
    struct signalfd_siginfo info;
    bool any = false;
    while (read(l->signal_fd, &info, sizeof info) == sizeof info)
        any = true;
    return any;
}

/* Also the end of the monitor is an order to stop. */
static void read_monitor(struct live *l)
{
    struct monitor_request r;
    ssize_t n;
    while ((n = recv(l->fd, &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC)) > 0) {
        if (!monitor_request_is_sound(&r, (size_t)n))
            continue;
        if (r.kind == REQUEST_FLUSH)
            flush_ask(l, r.token);
        l->stopped = l->stopped || r.kind == REQUEST_STOP;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        l->stopped = true;
}

static void read_wake(struct live *l)
{
    uint64_t times;
    ssize_t ignored = read(l->wake_fd, &times, sizeof times);
    (void)ignored;
    flush_answer(l);
    if (say_is_full(l) != l->told_full)
        say(l, PHASE_RUNNING, "");
}

/* What came under the old name is taken before the builder hears of the new one. */
static int interfaces_changed(struct live *l, struct error *e)
{
    ring_watch_take(l->watch_fd);
    int code = taps_drain(l, e);
    if (code < 0)
        return code;
    size_t names = l->name_count;
    code = taps_name(l, e);
    if (!code && l->name_count != names)
        say(l, PHASE_RUNNING, "");
    return code;
}

static int hear(struct live *l, struct error *e)
{
    if (l->fds[FD_SIGNAL].revents && read_signals(l))
        l->stopped = true;
    if (l->fds[FD_MONITOR].revents)
        read_monitor(l);
    if (l->fds[FD_WAKE].revents)
        read_wake(l);
    return l->fds[FD_WATCH].revents ? interfaces_changed(l, e) : 0;
}

/* ---------------------------------------------------------------- time */

static int tick(struct live *l, struct error *e)
{
    uint64_t before = clock_wall_ns();
    int drained = taps_drain(l, e);
    if (drained < 0)
        return drained;
    int code = taps_count(l, e);
    if (!code && drained)
        code = chunk_builder_tick(l->builder, before - 2 * RETIRE_NS, e);
    l->tick_ns = clock_mono_ns() + TICK_NS;
    return code;
}

static int flush(struct live *l, struct error *e)
{
    int code = taps_drain(l, e);
    if (code >= 0)
        code = taps_count(l, e);
    if (!code)
        code = flush_seal(l, e);
    if (!code)
        flush_answer(l);
    return code;
}

static int count_drops(struct live *l, struct error *e)
{
    l->drops_ns = UINT64_MAX;
    return taps_count(l, e);
}

static int what_is_due(struct live *l, bool ready, struct error *e)
{
    uint64_t now = clock_mono_ns();
    atomic_store_explicit(&l->sink->page->alive_wall_ns, clock_wall_ns(), memory_order_relaxed);
    int code = now >= l->drops_ns ? count_drops(l, e) : 0;
    if (!code && ready && now >= l->flush_ns)
        code = flush(l, e);
    if (!code && ready && now >= l->tick_ns)
        code = tick(l, e);
    if (!code && now >= say_due(l))
        say(l, PHASE_RUNNING, "");
    l->time_is_over = l->order->end_ns && clock_wall_ns() >= l->order->end_ns;
    return code;
}

/* Without packets and flows nothing is due but the end. */
static void schedule(struct live *l, bool any_read)
{
    uint64_t now = clock_mono_ns();
    if (chunk_builder_idle(l->builder))
        l->tick_ns = UINT64_MAX;
    else if (l->tick_ns == UINT64_MAX)
        l->tick_ns = now + TICK_NS;
    if (any_read && l->drops_ns == UINT64_MAX)
        l->drops_ns = now + DROPS_NS;
    for (size_t i = 0; i < l->tap_count; i++)
        if (l->taps[i].state == TAP_GONE && l->taps[i].close_ns < l->drops_ns)
            l->drops_ns = l->taps[i].close_ns;
}

static int timeout_ms(const struct live *l)
{
    uint64_t now = clock_mono_ns(), wall = clock_wall_ns(), next = say_due(l);
    next = l->tick_ns < next ? l->tick_ns : next;
    next = l->flush_ns < next ? l->flush_ns : next;
    next = l->drops_ns < next ? l->drops_ns : next;
    uint64_t wait = next > now ? next - now : 0;
    wait = wait < ALIVE_NS ? wait : ALIVE_NS;
    if (l->order->end_ns) {
        uint64_t left = l->order->end_ns > wall ? l->order->end_ns - wall : 0;
        wait = left < wait ? left : wait;
    }
    return (int)((wait + NS_PER_MS - 1) / NS_PER_MS);
}

/* ---------------------------------------------------------------- the loop */

static void fill_poll(struct live *l, bool ready)
{
    const int fds[FD_TAPS] = {
        [FD_SIGNAL] = l->signal_fd, [FD_MONITOR] = l->fd, [FD_WATCH] = l->watch_fd, [FD_WAKE] = l->wake_fd};
    for (size_t i = 0; i < FD_TAPS; i++)
        l->fds[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    for (size_t i = 0; i < l->tap_count; i++) {
        const struct tap *t = &l->taps[i];
        l->fds[FD_TAPS + i] = (struct pollfd){.fd = ready && t->ring ? ring_fd(t->ring) : -1, .events = POLLIN};
    }
}

static int read_taps(struct live *l, bool *any, struct error *e)
{
    *any = false;
    for (size_t i = 0; i < l->tap_count; i++) {
        if (!l->fds[FD_TAPS + i].revents)
            continue;
        int n = tap_read(l, &l->taps[i], e);
        if (n < 0)
            return n;
        *any = *any || n > 0;
        if (!chunk_builder_ready(l->builder))
            return 0;
    }
    return 0;
}

static int step(struct live *l, struct error *e)
{
    bool any = false, ready = chunk_builder_ready(l->builder) || chunk_builder_wait_ready(l->builder, STALL_MS);
    fill_poll(l, ready);
    int code = 0;
    if (poll(l->fds, FD_TAPS + l->tap_count, ready ? timeout_ms(l) : 0) > 0) {
        code = read_taps(l, &any, e);
        if (!code)
            code = hear(l, e);
    }
    schedule(l, any || !ready);
    return code ? code : what_is_due(l, ready, e);
}

/* ---------------------------------------------------------------- the end */

/* What passed before the end is still in the rings, in part in blocks that the kernel has not given up yet. */
static int take_rest(struct live *l, struct error *e)
{
    uint64_t wall = clock_wall_ns(), retired = clock_mono_ns() + END_RETIRE_NS,
             patience = clock_mono_ns() + PATIENCE_NS;
    l->cut_ns = wall < l->cut_ns ? wall : l->cut_ns;
    while (!l->limit && !taps_done(l) && clock_mono_ns() < patience) {
        uint64_t now = clock_mono_ns();
        int drained = taps_drain(l, e);
        if (drained < 0)
            return drained;
        if (drained && now >= retired)
            break;
        if (!drained)
            (void)chunk_builder_wait_ready(l->builder, STALL_MS);
        fill_poll(l, true);
        (void)poll(l->fds + FD_TAPS, l->tap_count, drained ? (int)((retired - now) / NS_PER_MS) + 1 : 0);
    }
    return taps_count(l, e);
}

/* All that was captured becomes durable; if there is no room for it, not for ever. */
static int write_rest(struct live *l, struct error *e)
{
    uint64_t patience = clock_mono_ns() + PATIENCE_NS;
    int code = flush_seal(l, e);
    if (!code)
        code = chunk_builder_end(l->builder, e);
    while (!code && (code = chunk_builder_wait(l->builder, 100, e)) == 1) {
        code = 0;
        flush_answer(l);
        if (say_is_full(l) && clock_mono_ns() >= patience)
            atomic_store(&l->give_up, true);
    }
    flush_answer(l);
    return code;
}

static _Noreturn void leave(struct live *l, enum capturer_end how, const char *text)
{
    say(l, how == CAPTURER_DONE ? PHASE_STOPPED : how == CAPTURER_REFUSED ? PHASE_REFUSED : PHASE_FAILED, text);
    atomic_store(&l->give_up, true);
    chunk_builder_free(l->builder);
    sink_close(l->sink);
    spool_stream_close(l->stream);
    spool_close(l->spool);
    taps_close(l);
    listeners_free(l->listeners);
    free(l->fds);
    exit((int)how);
}

static _Noreturn void finish(struct live *l)
{
    struct error e = ERROR_INIT;
    char text[ORDER_TEXT_MAX];
    enum capturer_end how = l->stopped || l->limit || l->time_is_over ? CAPTURER_DONE : CAPTURER_NO_INTERFACES;
    const char *why = l->stopped        ? "stopped"
                      : l->limit        ? "its limit is reached"
                      : l->time_is_over ? "its time is over"
                                        : "its interfaces are gone";
    int code = take_rest(l, &e);
    if (!code)
        code = write_rest(l, &e);
    if (code == ERROR_CANCELLED) {
        snprintf(text, sizeof text, "%s; what was captured last is lost: there was no room for it: %.300s", why,
                 l->full);
        leave(l, how, text);
    }
    leave(l, code ? CAPTURER_FAILED : how, code ? e.text : why);
}

/* Without them the capture is as good, only some originators are less sure. */
static void read_listeners(struct live *l)
{
    struct error e = ERROR_INIT;
    if (listeners_read(&l->listeners, &e))
        log_warn("capture %s: %s; who is the client of older connections is judged by ports", l->order->name, e.text);
}

static int begin(struct live *l, struct error *e)
{
    read_listeners(l);
    int code = privileges_drop(l->config->capture_user, l->config->ship_user, e);
    if (!code)
        code = open_stream(l, e);
    conversations_prepare();
    if (!code)
        code = confine_capturer(l->config, l->epoch, l->fd, taps_first_fd(l), e);
    return code ? code : open_builder(l, e);
}

void capturer_run(const struct agent_config *config, const struct order *o, const struct forbid *forbid,
                  const char *const *interfaces, size_t count, int fd)
{
    struct error e = ERROR_INIT;
    struct live l = {.config = config,
                     .order = o,
                     .forbid = forbid,
                     .fd = fd,
                     .cut_ns = o->end_ns ? o->end_ns : UINT64_MAX,
                     .full_mutex = PTHREAD_MUTEX_INITIALIZER,
                     .flush_ns = UINT64_MAX,
                     .tick_ns = UINT64_MAX,
                     .drops_ns = UINT64_MAX};
    int code = open_descriptors(&l, count, &e);
    if (!code)
        code = taps_open(&l, interfaces, count, &e);
    if (code == ERROR_USAGE || code == ERROR_REFUSED)
        leave(&l, CAPTURER_REFUSED, e.text);
    if (!code)
        code = begin(&l, &e);
    if (!code)
        say(&l, PHASE_RUNNING, "");
    while (!code && !l.stopped && !l.limit && !l.time_is_over && taps_any(&l))
        code = step(&l, &e);
    if (code)
        leave(&l, CAPTURER_FAILED, e.text);
    finish(&l);
}
