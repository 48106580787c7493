#include "agent/ship/uplink.h"

#include "agent/ship/spool_dir.h"
#include "agent/ship/uplink_impl.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SOON_MS         10
#define FULL_ROOM_MS    5000 /* while there is no room: so often it is looked whether there is again */
#define BLIND_LOOK_MS   2000 /* without inotify */
#define LOOK_COST_PART  100  /* looking at all folders takes at most this part of the time */
#define SPOOL_PATH_SIZE 4200

static const struct uplink_config defaults = {
    .window_bytes = 32u << 20,
    .retry_least_ms = 500,
    .retry_most_ms = 30000,
    .greeting_ms = 10000,
    .look_ms = 30000,
    .refused_ms = 600000,
    .room_ms = 500,
    .status_least_ms = 5000,
    .status_most_ms = 60000,
};

/* A watch of one stream's folder; freed when its handle is closed. */
struct watch {
    uv_fs_event_t event;
    struct uplink *u;
    struct outbox_stream *t;
};

/* ------------------------------------------------------------ the end */
static void free_uplink(struct uplink *u)
{
    void (*on_end)(void *) = u->on_end;
    void *context = u->end_context;
    part_end(&u->part);
    outbox_close(u->outbox);
    spool_close(u->spool);
    free(u);
    if (on_end)
        on_end(context);
}

void uplink_closed(struct uplink *u)
{
    if (--u->open == 0)
        free_uplink(u);
}

static void on_handle_closed(uv_handle_t *handle)
{
    uplink_closed(handle->data);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;
    struct uplink *u = w->u;
    free(w);
    uplink_closed(u);
}

static void unwatch(struct outbox_stream *t)
{
    struct watch *w = t->watch;
    t->watch = NULL;
    if (w)
        uv_close((uv_handle_t *)&w->event, on_watch_closed);
}

void uplink_stop(struct uplink *u)
{
    if (u->stopping)
        return;
    u->stopping = true;
    if (u->control.state == LINK_UP)
        status_send(u); /* the last word: how we left the spool */
    link_stop(&u->control);
    link_stop(&u->data);
    commands_stop(u);
    uv_handle_t *handles[] = {(uv_handle_t *)&u->soon, (uv_handle_t *)&u->look, (uv_handle_t *)&u->room,
                              (uv_handle_t *)&u->status, (uv_handle_t *)&u->watch};
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
        uv_close(handles[i], on_handle_closed);
    for (size_t i = 0; i < u->outbox->count; i++)
        unwatch(u->outbox->streams[i]);
}

/* ------------------------------------------------------------ what makes it look */
static void on_soon(uv_timer_t *timer)
{
    data_pump(timer->data);
}

void uplink_soon(struct uplink *u, uint64_t delay_ms)
{
    if (!u->stopping && (!uv_is_active((uv_handle_t *)&u->soon) || uv_timer_get_due_in(&u->soon) > delay_ms))
        uv_timer_start(&u->soon, on_soon, delay_ms, 0);
}

static void on_room(uv_timer_t *timer)
{
    struct uplink *u = timer->data;
    uint64_t wait_ns = spool_look_wait_ns(u->spool);
    if (wait_ns) { /* what was seen last may be older than what made us look */
        uv_timer_start(&u->room, on_room, wait_ns / NS_PER_MS + 1, 0);
        return;
    }
    outbox_make_room(u->outbox);
    u->changed = true;
    if (u->outbox->full.code)
        uv_timer_start(&u->room, on_room, FULL_ROOM_MS, 0);
    uplink_soon(u, SOON_MS);
}

void uplink_room_soon(struct uplink *u)
{
    if (!u->stopping && (!uv_is_active((uv_handle_t *)&u->room) || uv_timer_get_due_in(&u->room) > u->config.room_ms))
        uv_timer_start(&u->room, on_room, u->config.room_ms, 0);
}

static void on_stream_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct watch *w = event->data;
    if (status || !name)
        return;
    w->u->changed = true;
    uplink_room_soon(w->u);
    if (events & UV_RENAME) {
        outbox_note(w->u->outbox, w->t, name);
        uplink_soon(w->u, SOON_MS);
    }
}

/* Without a watch a stream is seen by the looks, which come more often then. */
static void watch_stream(struct uplink *u, struct outbox_stream *t)
{
    char path[SPOOL_PATH_SIZE];
    struct watch *w = calloc(1, sizeof(*w));
    if (!w)
        return;
    w->u = u;
    w->t = t;
    uv_fs_event_init(u->loop, &w->event);
    w->event.data = w;
    t->watch = w;
    u->open++;
    snprintf(path, sizeof(path), "%s/%s", u->config.spool_path, t->name);
    int r = uv_fs_event_start(&w->event, on_stream_event, path, 0);
    if (r && u->watching)
        log_warn("uplink: cannot watch %s (%s): looking more often instead", path, uv_strerror(r));
    u->watching = u->watching && r == 0;
}

void uplink_tell_abandoned(struct uplink *u, struct outbox_stream *t)
{
    if (t->abandoned || t->ended || spool_writer_lives(t->dirfd))
        return;
    t->abandoned = true;
    if (u->config.on_abandoned)
        u->config.on_abandoned(u->config.context, t->epoch);
}

static void look(struct uplink *u)
{
    struct error e = ERROR_INIT;
    if (outbox_scan(u->outbox, &e) != 0)
        log_warn("spool: %s", e.text);
    for (size_t i = 0; i < u->outbox->count; i++) {
        struct outbox_stream *t = u->outbox->streams[i];
        if (!t->watch) {
            watch_stream(u, t);
            if (outbox_rescan(u->outbox, t, &e) != 0) /* what came between the scan and the watch */
                log_warn("spool: %s", e.text);
        }
        uplink_tell_abandoned(u, t);
    }
    data_retry_refused(u);
    u->changed = true;
}

static void on_look(uv_timer_t *timer)
{
    struct uplink *u = timer->data;
    uint64_t start = clock_mono_ns();
    look(u);
    uint64_t cost_ms = (clock_mono_ns() - start) / NS_PER_MS;
    uint64_t pause = !u->watching && BLIND_LOOK_MS < u->config.look_ms ? BLIND_LOOK_MS : u->config.look_ms;
    if (pause < LOOK_COST_PART * cost_ms)
        pause = LOOK_COST_PART * cost_ms;
    uv_timer_start(&u->look, on_look, pause, 0);
    uplink_room_soon(u);
    uplink_soon(u, SOON_MS);
}

/* Only a new stream is news here. */
static void on_spool_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct uplink *u = event->data;
    uint8_t epoch[EPOCH_SIZE];
    if (!status && name && (events & UV_RENAME) && spool_stream_parse(name, epoch) && !outbox_find(u->outbox, epoch))
        uv_timer_start(&u->look, on_look, SOON_MS, 0);
}

/* ------------------------------------------------------------ control */
static void on_status(uv_timer_t *timer)
{
    struct uplink *u = timer->data;
    uint64_t age_ms = (clock_mono_ns() - u->status_ns) / NS_PER_MS;
    if (u->control.state == LINK_UP && (u->changed || age_ms >= u->config.status_most_ms))
        status_send(u);
    renew_look(u);
}

static void control_up(struct uplink *u)
{
    status_send(u);
    commands_up(u);
}

static void control_down(struct uplink *u)
{
    u->changed = true;
    commands_down(u);
}

static void control_message(struct uplink *u, const struct message *m)
{
    if (m->type == MESSAGE_ENROLLED && u->config.tls_folder)
        renew_answer(u, &m->enrolled);
    else if (!commands_message(u, m))
        link_broken(&u->control, "the collector sent a message that does not belong here");
}

/* ------------------------------------------------------------ start */
static void fill(uint64_t *value, uint64_t fallback)
{
    *value = *value ? *value : fallback;
}

static void fill_config(struct uplink_config *c)
{
    fill(&c->window_bytes, defaults.window_bytes);
    fill(&c->retry_least_ms, defaults.retry_least_ms);
    fill(&c->retry_most_ms, defaults.retry_most_ms);
    fill(&c->greeting_ms, defaults.greeting_ms);
    fill(&c->look_ms, defaults.look_ms);
    fill(&c->refused_ms, defaults.refused_ms);
    fill(&c->room_ms, defaults.room_ms);
    fill(&c->status_least_ms, defaults.status_least_ms);
    fill(&c->status_most_ms, defaults.status_most_ms);
}

static void on_drop(void *context, struct outbox_stream *t)
{
    struct uplink *u = context;
    unwatch(t);
    data_drop(u, t);
    if (u->outbox->passed_over && !u->stopping) /* its place is free */
        uv_timer_start(&u->look, on_look, SOON_MS, 0);
}

static void init_handles(struct uplink *u)
{
    link_init(&u->control, u, ROLE_AGENT_CONTROL, "control");
    u->control.on_up = control_up;
    u->control.on_message = control_message;
    u->control.on_down = control_down;
    link_init(&u->data, u, ROLE_AGENT_DATA, "data");
    u->data.on_up = data_up;
    u->data.on_message = data_message;
    u->data.on_drain = data_pump;
    u->data.on_down = data_down;
    uv_timer_t *timers[] = {&u->soon, &u->look, &u->room, &u->status};
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        uv_timer_init(u->loop, timers[i]);
        timers[i]->data = u;
    }
    uv_fs_event_init(u->loop, &u->watch);
    u->watch.data = u;
    u->open += 5;
}

static void begin(struct uplink *u)
{
    int r = uv_fs_event_start(&u->watch, on_spool_event, u->config.spool_path, 0);
    if (r)
        log_warn("uplink: cannot watch %s (%s): looking more often instead", u->config.spool_path, uv_strerror(r));
    u->watching = r == 0;
    uv_timer_start(&u->look, on_look, 0, 0);
    uv_timer_start(&u->status, on_status, u->config.status_least_ms, u->config.status_least_ms);
    link_dial(&u->control);
    link_dial(&u->data);
}

static int open_files(struct uplink *u, struct error *e)
{
    char host[256];
    uint16_t port;
    int r = net_split(u->config.collector, host, &port, e);
    if (!r)
        r = spool_open(u->config.spool_path, &u->config.limits, &u->spool, e);
    return r ? r : outbox_open(u->spool, &u->outbox, e);
}

int uplink_start(uv_loop_t *loop, const struct uplink_config *c, void (*on_end)(void *context), void *end_context,
                 struct uplink **out, struct error *e)
{
    struct uplink *u = calloc(1, sizeof(*u));
    if (!u)
        return error_set(e, ERROR_MEMORY, "no memory for the uplink");
    u->loop = loop;
    u->config = *c;
    u->part.fd = -1;
    fill_config(&u->config);
    int r = open_files(u, e);
    if (!r && getrandom(&u->random, sizeof(u->random), 0) != (ssize_t)sizeof(u->random))
        r = error_sys(e, errno, "cannot draw random numbers");
    if (r) {
        outbox_close(u->outbox);
        spool_close(u->spool);
        free(u);
        return r;
    }
    u->random |= 1;
    u->release_ms = RELEASE_LEAST_MS;
    u->on_end = on_end;
    u->end_context = end_context;
    u->outbox->on_drop = on_drop;
    u->outbox->context = u;
    init_handles(u);
    commands_start(u, c->monitor_fd);
    begin(u);
    *out = u;
    return 0;
}

/* ------------------------------------------------------------ the process */
struct process {
    uv_signal_t signals[2];
    struct uplink *u;
};

static void on_end(void *context)
{
    struct process *p = context;
    p->u = NULL;
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct process *p = handle->data;
    log_info("uplink: ends on signal %d", number);
    if (p->u)
        uplink_stop(p->u);
}

int uplink_run(const struct uplink_config *c, struct error *e)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    struct process p = {0};
    uv_loop_t loop;
    signal(SIGPIPE, SIG_IGN);
    fs_allow_many_files();
    int status = uv_loop_init(&loop);
    if (status)
        return error_set(e, ERROR_SYSTEM, "cannot make a loop of events: %s", uv_strerror(status));
    int r = uplink_start(&loop, c, on_end, &p, &p.u, e);
    for (size_t i = 0; !r && i < 2; i++) {
        uv_signal_init(&loop, &p.signals[i]);
        p.signals[i].data = &p;
        uv_signal_start(&p.signals[i], on_signal, numbers[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        log_debug("uplink: something is still open");
    return r;
}
