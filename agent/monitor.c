/*
 * monitor: one loop that waits for signals, children, the shipper's requests, and the kernel's word that interfaces have changed.
 *
 * The shipper is started again when it ends, after a pause that doubles while it does not stay alive. Streams are recovered beside all else
 * (recovery.h).
 */
#include "agent/monitor.h"

#include "agent/captures.h"
#include "agent/confine.h"
#include "agent/journal.h"
#include "agent/privileges.h"
#include "agent/recovery.h"
#include "agent/shipper.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/sandbox.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_LEAST_NS NS_PER_S
#define PAUSE_MOST_NS  (60 * NS_PER_S)
#define HEALTHY_NS     (60 * NS_PER_S)   /* a shipper that lived so long may be started again at once */
#define ENDING_NS      (15 * NS_PER_S)   /* that a shipper has to end, when another one is to start */
#define LOOK_NS        (60 * NS_PER_S)   /* at the interfaces, where the kernel does not tell */
#define SETTLE_NS      (100 * NS_PER_MS) /* interfaces change in bursts */
#define REQUESTS_MOST  64                /* at one waking */
#define FDS            4                 /* besides those of captures */

struct monitor {
    const char *path; /* of the configuration, which may be missing if it is optional */
    bool optional;
    struct agent_config *config;
    struct captures *captures;
    int lock_fd;
    int signal_fd;
    int links_fd; /* -1: changes are seen by the looks alone */
    struct shipper shipper;
    uint64_t started_ns; /* the shipper */
    uint64_t start_ns;   /* when to start it again; 0: it runs */
    uint64_t pause_ns;
    uint64_t kill_ns; /* told to end for another one to start, it is killed then; 0: it was not told */
    struct recovery_process recovery;
    uint64_t links_ns; /* when to look at the interfaces; 0: when something has changed */
    bool stopping;
};

static int open_signals(struct monitor *m, struct error *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return error_sys(e, errno, "cannot wait for signals");
    m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return m->signal_fd < 0 ? error_sys(e, errno, "cannot wait for signals") : 0;
}

static void open_links(struct monitor *m)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    m->links_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (m->links_fd >= 0 && bind(m->links_fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(m->links_fd);
        m->links_fd = -1;
    }
    if (m->links_fd < 0)
        log_warn("the kernel does not tell of new interfaces (%s): they are looked for once a minute", strerror(errno));
}

/* ---------------------------------------------------------------- the shipper */

/* One that is gone needs nothing: the next one is told all. */
static bool tell_shipper(void *context, const struct monitor_report *r)
{
    struct monitor *m = context;
    return m->shipper.fd < 0 || send(m->shipper.fd, r, sizeof *r, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof *r ||
           (errno != EAGAIN && errno != ENOBUFS);
}

static void start_shipper(struct monitor *m)
{
    struct error e = ERROR_INIT;
    m->start_ns = 0;
    m->started_ns = clock_mono_ns();
    if (shipper_spawn(&m->shipper, m->config, true, &e)) {
        log_error("%s", e.text);
        m->start_ns = m->started_ns + m->pause_ns;
    } else
        captures_tell_all(m->captures);
}

static void shipper_ended(struct monitor *m, int status)
{
    uint64_t now = clock_mono_ns();
    char how[SANDBOX_ENDING_MAX];
    bool told = m->kill_ns;
    shipper_forget(&m->shipper);
    m->kill_ns = 0;
    if (m->stopping)
        return;
    if (told) {
        m->start_ns = now;
        return;
    }
    if (now - m->started_ns >= HEALTHY_NS)
        m->pause_ns = PAUSE_LEAST_NS;
    log_error("the shipper %s; it is started again in %llu s", sandbox_ending(status, how),
              (unsigned long long)(m->pause_ns / NS_PER_S));
    m->start_ns = now + m->pause_ns;
    m->pause_ns = m->pause_ns * 2 > PAUSE_MOST_NS ? PAUSE_MOST_NS : m->pause_ns * 2;
}

/* Not at once: what it has under way is let go of, and a broken one is killed. */
static void restart_shipper(struct monitor *m)
{
    m->pause_ns = PAUSE_LEAST_NS;
    if (!m->shipper.pid)
        m->start_ns = clock_mono_ns();
    else if (!m->kill_ns) {
        m->kill_ns = clock_mono_ns() + ENDING_NS;
        shipper_signal(&m->shipper, SIGTERM);
    }
}

static void reap(struct monitor *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (!captures_reap(m->captures, pid, status) && !recovery_reap(&m->recovery, pid, status) &&
            pid == m->shipper.pid)
            shipper_ended(m, status);
}

static void read_requests(struct monitor *m)
{
    struct monitor_request r;
    ssize_t n = 0;
    for (int i = 0; i < REQUESTS_MOST && (n = recv(m->shipper.fd, &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC)) > 0; i++) {
        if (!monitor_request_is_sound(&r, (size_t)n))
            log_error("the shipper sent %zd bytes that are no request: refused", n);
        else if (r.kind == REQUEST_RECOVER)
            recovery_wake(&m->recovery);
        else
            captures_request(m->captures, &r);
    }
}

/* ---------------------------------------------------------------- the loop */

static void reload(struct monitor *m)
{
    struct error e = ERROR_INIT;
    char left[AGENT_CONFIG_NAMES_MAX];
    if (agent_config_reload(m->path, m->optional, m->config, left, &e))
        log_error("SIGHUP: %s; what was read before goes on being used", e.text);
    else if (left[0])
        log_warn("SIGHUP: %s: changed in %s, which counts when this agent is started again", left, m->path);
    log_setup("fleetdump-agent", (enum log_level)agent_config_log_level(m->config));
    log_info("SIGHUP: policy and operators are read again; the shipper is started again");
    captures_policy_changed(m->captures);
    restart_shipper(m);
}

static void read_signals(struct monitor *m)
{
    struct signalfd_siginfo info;
    while (read(m->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(m);
        else if (info.ssi_signo == SIGHUP)
            reload(m);
        else
            m->stopping = true;
    }
}

/* What it says is not looked at: that it speaks is enough. */
static void read_links(struct monitor *m)
{
    char bytes[8192];
    while (recv(m->links_fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    captures_renamed(m->captures); /* at once: what goes by a forbidden name is not captured */
    if (!m->links_ns)
        m->links_ns = clock_mono_ns() + SETTLE_NS;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

static int timeout_ms(const struct monitor *m, uint64_t next)
{
    uint64_t now = clock_mono_ns();
    next = earlier(earlier(earlier(next, m->start_ns), m->links_ns), m->kill_ns);
    return next == UINT64_MAX ? -1 : next <= now ? 0 : (int)((next - now) / NS_PER_MS) + 1;
}

static void on_time(struct monitor *m)
{
    uint64_t now = clock_mono_ns();
    if (m->links_ns && now >= m->links_ns) {
        m->links_ns = m->links_fd < 0 ? now + LOOK_NS : 0;
        captures_interfaces_changed(m->captures);
    }
    if (m->kill_ns && now >= m->kill_ns) {
        shipper_signal(&m->shipper, SIGKILL);
        m->kill_ns = now + ENDING_NS;
    }
    if (m->start_ns && now >= m->start_ns)
        start_shipper(m);
}

static void step(struct monitor *m)
{
    struct pollfd fds[FDS + CAPTURES_POLL_MAX] = {{.fd = m->signal_fd, .events = POLLIN},
                                                  {.fd = m->shipper.fd, .events = POLLIN},
                                                  {.fd = m->links_fd, .events = POLLIN},
                                                  {.fd = captures_policy_fd(m->captures), .events = POLLIN}};
    uint64_t next = earlier(earlier(captures_tick(m->captures), recovery_step(&m->recovery)), journal_due());
    size_t n = captures_poll(m->captures, fds + FDS);
    if (poll(fds, FDS + n, timeout_ms(m, next)) > 0) {
        if (fds[3].revents) /* before anything that could be asked for */
            captures_policy_woken(m->captures);
        captures_ready(m->captures, fds + FDS, n);
        if (fds[1].revents & POLLIN)
            read_requests(m);
        if (fds[2].revents)
            read_links(m);
        if (fds[1].revents & POLLHUP) /* the shipper is gone, or is to be: it would wake us for ever */
            shipper_signal(&m->shipper, SIGKILL);
        if (fds[0].revents)
            read_signals(m);
        else if (fds[1].revents & POLLHUP) /* SIGCHLD is on its way */
            reap(m);
    }
    if (!m->stopping)
        on_time(m);
    journal_sync();
}

static int open_all(struct monitor *m, struct error *e)
{
    const struct agent_config *c = m->config;
    int code = agent_config_check_collector(c, e);
    if (!code && (m->lock_fd = order_lock(c->spool, e)) < 0)
        code = m->lock_fd;
    if (!code)
        code = privileges_prepare(c, e);
    if (!code)
        code = recovery_check(c, e);
    if (!code)
        code = captures_new(c, tell_shipper, m, &m->captures, e);
    return code ? code : open_signals(m, e);
}

int agent_monitor(const char *path, bool optional, struct agent_config *c)
{
    struct error e = ERROR_INIT;
    struct monitor m = {.path = path,
                        .optional = optional,
                        .config = c,
                        .lock_fd = -1,
                        .signal_fd = -1,
                        .links_fd = -1,
                        .pause_ns = PAUSE_LEAST_NS,
                        .shipper = {.fd = -1},
                        .recovery = {.config = c}};
    int code = open_all(&m, &e);
    if (!code)
        code = confine_monitor(c, &e);
    if (code) {
        log_error("%s", e.text);
        captures_free(m.captures);
        if (m.lock_fd >= 0)
            close(m.lock_fd);
        return error_exit_status(code);
    }
    log_info("agent %s ships %s to %s", c->name, c->spool, c->collector);
    if (privileges_check_capture(&e))
        log_warn("%s; files can be taken in all the same", e.text);
    open_links(&m);
    m.links_ns = m.links_fd < 0 ? clock_mono_ns() + LOOK_NS : 0;
    start_shipper(&m);
    while (!m.stopping)
        step(&m);
    log_info("stopping");
    captures_free(m.captures);
    shipper_stop(&m.shipper);
    close(m.signal_fd);
    close(m.lock_fd);
    if (m.links_fd >= 0)
        close(m.links_fd);
    return EXIT_OK;
}
