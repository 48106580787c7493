/*
 * supervise: one loop that waits for signals, children, and what the shipper tells.
 *
 * The shipper is started again when it ends, after a pause that doubles while it does not stay alive. A stream is recovered when the shipper
 * tells of it, and when a look now and then finds it; one whose recovery failed is tried again at the next look.
 */
#include "agent/supervise.h"
#include "agent/order.h"
#include "agent/privileges.h"
#include "agent/shipper.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_LEAST_NS NS_PER_S
#define PAUSE_MOST_NS  (60 * NS_PER_S)
#define HEALTHY_NS     (60 * NS_PER_S) /* a shipper that lived so long may be started again at once */
#define LOOK_NS        (60 * NS_PER_S)

struct supervisor {
    const struct agent_config *config;
    int signal_fd;
    struct shipper shipper;
    uint64_t started_ns; /* the shipper */
    uint64_t start_ns;   /* when to start it again; 0: it runs */
    uint64_t pause_ns;
    uint64_t look_ns; /* when to look for streams without a writer */
    bool stopping;
};

static int open_signals(struct supervisor *s, struct error *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return error_sys(e, errno, "cannot wait for signals");
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd < 0 ? error_sys(e, errno, "cannot wait for signals") : 0;
}

/* ---------------------------------------------------------------- the shipper */

static void start_shipper(struct supervisor *s)
{
    struct error e = ERROR_INIT;
    s->start_ns = 0;
    s->started_ns = clock_mono_ns();
    if (shipper_spawn(&s->shipper, s->config, true, &e)) {
        log_error("%s", e.text);
        s->start_ns = s->started_ns + s->pause_ns;
    }
}

static void shipper_ended(struct supervisor *s, int status)
{
    uint64_t now = clock_mono_ns();
    shipper_forget(&s->shipper);
    if (s->stopping)
        return;
    if (now - s->started_ns >= HEALTHY_NS)
        s->pause_ns = PAUSE_LEAST_NS;
    if (WIFSIGNALED(status))
        log_error("the shipper was ended by signal %d (%s); it is started again in %llu s", WTERMSIG(status),
                  strsignal(WTERMSIG(status)), (unsigned long long)(s->pause_ns / NS_PER_S));
    else
        log_error("the shipper ended; it is started again in %llu s", (unsigned long long)(s->pause_ns / NS_PER_S));
    s->start_ns = now + s->pause_ns;
    s->pause_ns = s->pause_ns * 2 > PAUSE_MOST_NS ? PAUSE_MOST_NS : s->pause_ns * 2;
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == s->shipper.pid)
            shipper_ended(s, status);
}

static void read_requests(struct supervisor *s)
{
    struct monitor_request r;
    ssize_t n;
    while ((n = recv(s->shipper.fd, &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC)) > 0)
        if (monitor_request_is_sound(&r, (size_t)n) && r.kind == REQUEST_RECOVER &&
            recovery_spawn(s->config, r.order.id) < 0)
            log_error("cannot start a recovery: %s", strerror(errno));
}

/* ---------------------------------------------------------------- the loop */

static void look(struct supervisor *s)
{
    struct error e = ERROR_INIT;
    if (recovery_all(s->config, &e))
        log_error("%s", e.text);
    s->look_ns = clock_mono_ns() + LOOK_NS;
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(s);
        else
            s->stopping = true;
    }
}

static int timeout_ms(const struct supervisor *s)
{
    uint64_t now = clock_mono_ns(), next = s->look_ns;
    if (s->start_ns && s->start_ns < next)
        next = s->start_ns;
    return next <= now ? 0 : (int)((next - now) / NS_PER_MS) + 1;
}

static void step(struct supervisor *s)
{
    struct pollfd fds[] = {{.fd = s->signal_fd, .events = POLLIN}, {.fd = s->shipper.fd, .events = POLLIN}};
    int ready = poll(fds, 2, timeout_ms(s));
    if (ready > 0 && fds[1].revents & POLLIN)
        read_requests(s);
    if (ready > 0 && fds[0].revents)
        read_signals(s);
    uint64_t now = clock_mono_ns();
    if (s->stopping)
        return;
    if (now >= s->look_ns)
        look(s);
    if (s->start_ns && now >= s->start_ns)
        start_shipper(s);
}

int agent_supervise(const struct agent_config *c)
{
    struct error e = ERROR_INIT;
    struct supervisor s = {.config = c, .signal_fd = -1, .pause_ns = PAUSE_LEAST_NS, .shipper = {.fd = -1}};
    int code = agent_config_check_collector(c, &e);
    if (!code)
        code = privileges_prepare(c, &e);
    if (!code)
        code = recovery_all(c, &e); /* also says if the spool cannot be used */
    if (!code)
        code = open_signals(&s, &e);
    if (code) {
        log_error("%s", e.text);
        return error_exit_status(code);
    }
    log_info("agent %s ships %s to %s", c->name, c->spool, c->collector);
    s.look_ns = clock_mono_ns() + LOOK_NS;
    start_shipper(&s);
    while (!s.stopping)
        step(&s);
    log_info("stopping");
    shipper_stop(&s.shipper);
    close(s.signal_fd);
    return EXIT_OK;
}
