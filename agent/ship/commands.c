#include "agent/ship/commands.h"

#include "agent/ship/spool_dir.h"
#include "agent/ship/uplink_impl.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include "common/net/selector.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define REPORTS_MOST 256         /* at one waking */
#define ROOM_MS      2000        /* how long the monitor may take until it takes a request: it waits for nobody */
#define ROOM_LEAST   (16u << 20) /* less free than this is too little to begin a capture with: about one chunk */

static const char no_monitor[] =
    "here only files are taken in (fleetdump-agent --read): start fleetdump-agent as a daemon to capture";

static struct known_order *find(struct commands *c, const uint8_t id[16])
{
    for (size_t i = 0; i < COMMANDS_ORDERS; i++)
        if (c->known[i].used && memcmp(c->known[i].id, id, 16) == 0)
            return &c->known[i];
    return NULL;
}

static struct known_order *add(struct commands *c, const uint8_t id[16])
{
    for (size_t i = 0; i < COMMANDS_ORDERS; i++)
        if (!c->known[i].used) {
            c->known[i] = (struct known_order){.used = true};
            memcpy(c->known[i].id, id, 16);
            return &c->known[i];
        }
    return NULL;
}

bool commands_request(struct uplink *u, const struct monitor_request *r)
{
    struct pollfd room = {.fd = u->commands.fd, .events = POLLOUT};
    for (unsigned tries = 0; tries < 2; tries++) {
        if (send(u->commands.fd, r, sizeof(*r), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*r))
            return true;
        if ((errno != EAGAIN && errno != EINTR) ||
            poll(&room, 1, ROOM_MS) < 0) /* it has more to judge than the socket holds */
            break;
    }
    log_error("uplink: the monitor does not take a request: %s", strerror(errno));
    return false;
}

/* ------------------------------------------------------------ states */
static void send_state(struct uplink *u, const struct monitor_report *r)
{
    char *names[ORDER_LISTED_MAX];
    uint64_t now = clock_wall_ns();
    struct message m = {
        .type = MESSAGE_CAPTURE_STATE,
        .capture_state = {.phase = (uint8_t)r->phase, .text = (char *)(uintptr_t)r->text, .interfaces = names}};
    struct message_capture_state *s = &m.capture_state;
    memcpy(s->id, r->id, sizeof(s->id));
    for (uint32_t i = 0; i < r->interface_count && i < ORDER_LISTED_MAX; i++)
        names[s->interface_count++] = (char *)(uintptr_t)r->interfaces[i];
    s->left_ns = r->end_ns ? (r->end_ns > now ? r->end_ns - now : 0) : UINT64_MAX;
    s->packets = r->packets;
    s->bytes = r->bytes;
    s->packets_per_s = r->packets_per_s;
    s->bytes_per_s = r->bytes_per_s;
    s->kernel_drops = r->kernel_drops;
    s->other_drops = r->other_drops;
    s->own = r->own;
    s->forbidden = r->forbidden;
    if (u->control.state == LINK_UP)
        (void)link_send(&u->control, &m);
}

static void refuse(struct uplink *u, const uint8_t id[16], const char *why)
{
    struct monitor_report r = {.phase = PHASE_REFUSED};
    memcpy(r.id, id, sizeof(r.id));
    snprintf(r.text, sizeof(r.text), "%.*s", (int)sizeof(r.text) - 1, why);
    send_state(u, &r);
}

/* ------------------------------------------------------------ what is asked of the monitor */
/* The collector's address as this connection has it: our own traffic is known by it. */
static void take_peer(struct uplink *u, uint8_t *family, uint8_t address[16], uint16_t *port)
{
    struct net_address peer;
    if (u->control.stream && stream_peer_address(u->control.stream, &peer, port)) {
        *family = peer.family;
        memcpy(address, peer.addr, 16);
    }
}

/* The bytes as they were signed, and nothing made of them: the monitor verifies and reads them. */
static int put_signed(struct uplink *u, const struct capture_request *r, struct monitor_request *q, struct error *e)
{
    struct clock_sample clock = {0};
    struct buffer bytes = {.limit = NET_FRAME_MAX};
    int code = message_encode_request(r, &bytes, e);
    if (!code && bytes.len > sizeof(q->by.bytes))
        code = error_set(e, ERROR_LIMIT, "a signed order of %zu bytes: this agent takes at most %zu", bytes.len,
                         sizeof(q->by.bytes));
    if (!code) {
        memcpy(q->by.bytes, bytes.data, bytes.len);
        memcpy(q->by.signature, r->signature, r->signature_length);
        q->bytes_length = (uint16_t)bytes.len;
        q->signature_length = (uint16_t)r->signature_length;
        if (commands_clock(&u->commands, &clock))
            q->clock_ns = clock.offset_ns;
        take_peer(u, &q->collector_family, q->collector_address, &q->collector_port);
    }
    buffer_free(&bytes);
    return code;
}

static int put_request(struct uplink *u, const struct capture_request *r, uint64_t wait_ns, uint64_t left_ns,
                       struct monitor_request *q, struct error *e)
{
    memcpy(q->id, r->id, sizeof(q->id));
    q->left_ns = left_ns;
    if (!selector_means(r, u->config.agent, u->config.labels, u->config.label_count))
        return error_set(e, ERROR_REFUSED, "the order is not meant for this agent");
    if (r->signature_length)
        return put_signed(u, r, q, e);
    int code = order_from_request(r, wait_ns, left_ns, clock_wall_ns(), &q->order, e);
    take_peer(u, &q->order.collector_family, q->order.collector_address, &q->order.collector_port);
    return code;
}

/* ------------------------------------------------------------ orders */
/* An order that lay in a socket while this process could not read it has less left than it says: its times are held
 * against our clock, too, as far as that is known to be the collector's. */
static struct net_order by_our_clock(const struct uplink *u, const struct net_order *n)
{
    struct net_order o = *n;
    const struct capture_request *r = n->request;
    struct clock_sample clock = {.uncertainty_ns = ORDER_CLOCK_MOST_NS};
    (void)commands_clock(&u->commands, &clock);
    uint64_t now = order_local_ns(clock_wall_ns(), -clock.offset_ns), end = n->end_ns ? n->end_ns : r->end_ns;
    uint64_t wait = r->start_ns > now ? r->start_ns - now : 0;
    now -= now > clock.uncertainty_ns ? clock.uncertainty_ns : now; /* in its favour */
    uint64_t left = end > now ? end - now : 0;
    o.left_ns = end && left < o.left_ns ? left : o.left_ns;
    o.wait_ns = wait < o.wait_ns ? wait : o.wait_ns;
    return o;
}

static void start(struct uplink *u, const struct net_order *n)
{
    const struct capture_request *r = n->request;
    struct monitor_request q = {.magic = ORDER_MAGIC, .kind = REQUEST_START};
    struct error e = ERROR_INIT;
    struct known_order *k = find(&u->commands, r->id);
    if (k && k->last.magic) { /* the monitor has it */
        snprintf(k->name, sizeof(k->name), "%s", r->name);
        return;
    }
    const struct net_order timely = by_our_clock(u, n);
    int code = put_request(u, r, timely.wait_ns, timely.left_ns, &q, &e);
    if (!code && !k && !(k = add(&u->commands, r->id)))
        code = error_set(&e, ERROR_LIMIT, "this agent has as many captures as it can tell of");
    if (code) {
        refuse(u, r->id, e.text);
        return;
    }
    snprintf(k->name, sizeof(k->name), "%s", r->name);
    if (!commands_request(u, &q))
        refuse(u, r->id, "the agent's monitor does not answer");
}

static bool is_listed(const struct message_orders *m, const uint8_t id[16])
{
    for (uint32_t i = 0; i < m->order_count; i++)
        if (memcmp(m->orders[i].request->id, id, 16) == 0)
            return true;
    return false;
}

static void on_orders(struct uplink *u, const struct message_orders *m)
{
    for (size_t i = 0; i < COMMANDS_ORDERS; i++) {
        struct known_order *k = &u->commands.known[i];
        struct monitor_request q = {.magic = ORDER_MAGIC, .kind = REQUEST_STOP, .text = CAPTURE_TOLD_TO_STOP};
        if (!k->used || is_listed(m, k->id))
            continue;
        memcpy(q.id, k->id, sizeof(q.id));
        (void)commands_request(u, &q);
        if (k->last.phase == PHASE_STOPPED || k->last.phase == PHASE_REFUSED)
            k->used = false;
    }
    for (uint32_t i = 0; i < m->order_count; i++)
        if (u->commands.fd < 0)
            refuse(u, m->orders[i].request->id, no_monitor);
        else
            start(u, &m->orders[i]);
}

/* ------------------------------------------------------------ checks */
static uint64_t room(struct uplink *u)
{
    const struct spool_limits *l = &u->config.limits;
    uint64_t free_bytes = 0, total = 0, used = spool_used(u->spool);
    uint64_t quota = l->quota_bytes > used ? l->quota_bytes - used : 0;
    if (fs_free_bytes(spool_fd(u->spool), &free_bytes, &total, NULL) != 0)
        return quota;
    free_bytes = free_bytes > l->floor_bytes ? free_bytes - l->floor_bytes : 0;
    return free_bytes < quota ? free_bytes : quota;
}

int commands_room(struct uplink *u, struct error *e)
{
    char may[40], least[40], quota[40], floor[40];
    uint64_t left = room(u);
    if (left >= ROOM_LEAST)
        return 0;
    return error_set(
        e, ERROR_FULL,
        "too little disk: %s may still be used in %.200s, %s are needed to begin a capture; make room there, "
        "or change quota (%s) or floor (%s) in this agent's configuration",
        units_format(UNIT_BYTES, left, may, sizeof(may)), u->config.spool_path,
        units_format(UNIT_BYTES, ROOM_LEAST, least, sizeof(least)),
        units_format(UNIT_BYTES, u->config.limits.quota_bytes, quota, sizeof(quota)),
        units_format(UNIT_BYTES, u->config.limits.floor_bytes, floor, sizeof(floor)));
}

static void send_checked(struct uplink *u, const struct monitor_report *r)
{
    char *names[ORDER_LISTED_MAX], text[ORDER_TEXT_MAX];
    struct message m = {.type = MESSAGE_CHECKED, .checked = {.token = r->token, .code = r->code, .interfaces = names}};
    struct message_checked *k = &m.checked;
    snprintf(text, sizeof(text), "%s", r->text);
    k->text = text;
    k->free_bytes = room(u);
    rates_sample(&u->commands.rates, clock_mono_ns());
    for (uint32_t i = 0; i < r->interface_count && i < ORDER_LISTED_MAX; i++) {
        uint64_t packets, bytes;
        names[k->interface_count++] = (char *)(uintptr_t)r->interfaces[i];
        rates_of(&u->commands.rates, r->interfaces[i], &packets, &bytes);
        k->packets_per_s += packets;
        k->bytes_per_s += bytes;
    }
    struct error e = ERROR_INIT;
    if (!k->code && commands_room(u, &e)) {
        k->code = e.code;
        snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, e.text);
    }
    if (u->control.state == LINK_UP)
        (void)link_send(&u->control, &m);
}

static void on_check(struct uplink *u, const struct message_check *m)
{
    struct monitor_request q = {.magic = ORDER_MAGIC, .kind = REQUEST_CHECK, .token = m->token};
    struct monitor_report no = {.magic = ORDER_MAGIC, .token = m->token};
    struct error e = ERROR_INIT;
    int code = u->commands.fd < 0 ? error_set(&e, ERROR_REFUSED, "%s", no_monitor)
                                  : put_request(u, m->request, 0, UINT64_MAX, &q, &e);
    rates_sample(&u->commands.rates, clock_mono_ns());
    if (!code && !commands_request(u, &q))
        code = error_set(&e, ERROR_SYSTEM, "the agent's monitor does not answer");
    if (!code)
        return;
    no.code = code;
    snprintf(no.text, sizeof(no.text), "%.*s", (int)sizeof(no.text) - 1, e.text);
    send_checked(u, &no);
}

/* ------------------------------------------------------------ the monitor's reports */
static void on_report(struct uplink *u, struct monitor_report *r)
{
    struct known_order *k = find(&u->commands, r->id);
    if (r->kind == REPORT_CHECKED) {
        send_checked(u, r);
    } else if (r->kind == REPORT_FLUSHED) {
        commands_flushed(u, r);
    } else if (k || (k = add(&u->commands, r->id))) {
        k->last = *r;
        send_state(u, r);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct uplink *u = poll->data;
    struct monitor_report r;
    ssize_t n = 0;
    (void)events;
    for (int i = 0; status == 0 && i < REPORTS_MOST; i++) {
        n = recv(u->commands.fd, &r, sizeof(r), MSG_DONTWAIT | MSG_TRUNC);
        if (n <= 0)
            break;
        if (monitor_report_is_sound(&r, (size_t)n))
            on_report(u, &r);
        else
            log_error("uplink: %zd bytes from the monitor are no report", n);
    }
    if (n == 0 || status != 0) { /* it is gone, and we go with it */
        uv_poll_stop(poll);
        uplink_stop(u);
    }
}

/* ------------------------------------------------------------ the control connection */
bool commands_message(struct uplink *u, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_ORDERS:
        on_orders(u, &m->orders);
        return true;
    case MESSAGE_CHECK:
        on_check(u, &m->check);
        return true;
    case MESSAGE_FLUSH:
        commands_flush(u, &m->flush);
        return true;
    case MESSAGE_CLOCK:
        commands_clock_reply(u, &m->clock);
        return true;
    default:
        return false;
    }
}

void commands_up(struct uplink *u)
{
    for (size_t i = 0; i < COMMANDS_ORDERS; i++)
        if (u->commands.known[i].used && u->commands.known[i].last.magic)
            send_state(u, &u->commands.known[i].last);
    commands_clock_begin(u);
}

void commands_down(struct uplink *u)
{
    commands_flushes_drop(&u->commands); /* whoever asked asks again */
}

/* ------------------------------------------------------------ start and end */
static void on_closed(uv_handle_t *handle)
{
    uplink_closed(handle->data);
}

void commands_start(struct uplink *u, int monitor_fd)
{
    struct commands *c = &u->commands;
    c->fd = monitor_fd > 0 ? monitor_fd : -1;
    uv_timer_init(u->loop, &c->clock_timer);
    uv_timer_init(u->loop, &c->flush_timer);
    c->clock_timer.data = c->flush_timer.data = u;
    u->open += 2;
    if (c->fd < 0)
        return;
    uv_poll_init(u->loop, &c->poll, c->fd);
    c->poll.data = u;
    u->open++;
    uv_poll_start(&c->poll, UV_READABLE, on_readable);
}

void commands_stop(struct uplink *u)
{
    commands_flushes_drop(&u->commands);
    uv_close((uv_handle_t *)&u->commands.clock_timer, on_closed);
    uv_close((uv_handle_t *)&u->commands.flush_timer, on_closed);
    if (u->commands.fd >= 0)
        uv_close((uv_handle_t *)&u->commands.poll, on_closed);
}
