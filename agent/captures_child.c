#include "agent/captures_impl.h"

#include "agent/capture/ring.h"
#include "agent/capturer.h"
#include "agent/confine.h"
#include "agent/journal.h"
#include "agent/privileges.h"
#include "agent/process.h"
#include "agent/ship/counter_page.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLOSE_LOOK_US 5000
#define CHECK_CPU_S   10 /* a filter may be large, but not that large */
#define CHECK_NS      (30 * NS_PER_S)
#define REPORTS_MOST  64u /* of one capturer at one waking: others, and the host's owner, get their turn */
#define PATH_SIZE     4200

static int pair(int fds[2], struct error *e)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return error_sys(e, errno, "cannot make a socket to a new process");
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    return 0;
}

/* ---------------------------------------------------------------- capturers */

bool capture_runs(const struct capture *c)
{
    for (size_t i = 0; i < CAPTURES_CAPTURERS; i++)
        if (c->capturers[i].pid)
            return true;
    return false;
}

struct capturer *capture_place(struct capture *c)
{
    for (size_t i = 0; i < CAPTURES_CAPTURERS; i++)
        if (!c->capturers[i].pid)
            return &c->capturers[i];
    return NULL;
}

static _Noreturn void run(const struct captures *s, const struct capture *c, const struct ring_choice *interfaces,
                          size_t count, int fd)
{
    const char **list = calloc(count, sizeof *list);
    if (!list)
        _exit(CAPTURER_FAILED);
    for (size_t i = 0; i < count; i++)
        list[i] = interfaces[i].name;
    const struct policy *p = judge_policy(s->judge);
    capturer_run(s->config, &c->order, forbid_any(&p->forbid) ? &p->forbid : NULL, list, count, fd);
}

int capturer_start(struct captures *s, struct capture *c, struct capturer *p, struct ring_choice *interfaces,
                   size_t count, struct error *e)
{
    int fds[2];
    int code = pair(fds, e);
    pid_t pid = code ? -1 : process_fork(fds[1], "fleetdump-cap");
    if (pid == 0)
        run(s, c, interfaces, count, fds[1]);
    if (!code)
        close(fds[1]);
    if (pid < 0) {
        if (!code) {
            code = error_sys(e, errno, "cannot start a capturer");
            close(fds[0]);
        }
        free(interfaces);
        return code;
    }
    *p = (struct capturer){.pid = pid, .fd = fds[0], .interfaces = interfaces, .interface_count = count};
    return 0;
}

void capturer_signal(const struct captures *s, const struct capturer *p, int signo)
{
    privileges_signal(p->pid, s->config->capture_user, signo);
}

void capture_signal(const struct captures *s, const struct capture *c, int signo)
{
    for (size_t i = 0; i < CAPTURES_CAPTURERS; i++)
        if (c->capturers[i].pid)
            capturer_signal(s, &c->capturers[i], signo);
}

void capturer_tell(const struct captures *s, struct capturer *p, const struct monitor_request *r)
{
    if (send(p->fd, r, sizeof *r, MSG_NOSIGNAL) != sizeof *r) {
        log_warn("a capturer does not take what it is told (%s): it gets SIGTERM", strerror(errno));
        capturer_signal(s, p, SIGTERM);
    }
}

/* What it used up: the counter page says it exactly, also after a SIGKILL. Else what it reported last. */
static void take_used(struct captures *s, struct capture *c, struct capturer *p)
{
    const struct monitor_report *last = &p->last;
    struct counter_page page;
    uint64_t packets = last->packets, bytes = last->bytes;
    char path[PATH_SIZE], name[2 * EPOCH_SIZE + 1];
    for (size_t i = 0; i < EPOCH_SIZE; i++)
        snprintf(name + 2 * i, 3, "%02x", last->streams[0].epoch[i]);
    snprintf(path, sizeof path, "%s/%s", s->config->spool, name);
    int dirfd = last->stream_count ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (dirfd >= 0 && counter_page_copy(dirfd, last->streams[0].epoch, &page, NULL) == 0) {
        packets = counter_page_total(&page, COUNTER_KEPT);
        bytes = counter_page_total(&page, COUNTER_KEPT_BYTES);
    }
    if (dirfd >= 0)
        close(dirfd);
    c->order.used_packets += packets;
    c->order.used_bytes += bytes;
    c->drops[0] += last->kernel_drops;
    c->drops[1] += last->other_drops;
    c->own += last->own;
    c->forbidden += last->forbidden;
}

/* At most so many reports. False: it speaks no more, or not as a capturer does. */
static bool hear(struct captures *s, struct capture *c, struct capturer *p, unsigned most)
{
    struct monitor_report r;
    ssize_t n = -1;
    for (unsigned i = 0; i < most && (n = recv(p->fd, &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC)) > 0; i++) {
        if (!monitor_report_is_sound(&r, (size_t)n)) {
            log_error("capture %s: its capturer sent what is no report of ours: it is ended", c->order.name);
            return false;
        }
        if (r.kind == REPORT_FLUSHED)
            flush_heard(s, c, p, &r);
        if (r.kind != REPORT_STATE)
            continue;
        bool first = !p->last.magic, ends = r.phase != PHASE_RUNNING;
        p->last = r;
        if (!ends && !c->stopping && !c->blocked) {
            c->pause_ns = 0;
            snprintf(c->text, sizeof c->text, "%s", r.text);
            if (first || c->phase != PHASE_RUNNING)
                capture_set(s, c, PHASE_RUNNING, "%s", r.text);
            else
                tell_state(s, c);
        }
    }
    return n != 0;
}

static void ended(struct captures *s, struct capture *c, struct capturer *p, int status)
{
    (void)hear(s, c, p, UINT_MAX); /* its last words */
    take_used(s, c, p);
    flush_gone(s, c, p);
    struct capturer was = *p;
    *p = (struct capturer){.fd = -1};
    capture_capturer_ended(s, c, &was, WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
    close(was.fd);
    free(was.interfaces);
}

/* ---------------------------------------------------------------- checks */

static void fill_list(struct monitor_report *r, const struct ring_choice *chosen, size_t count)
{
    r->interface_count = (uint32_t)count;
    for (size_t i = 0; i < count && i < ORDER_LISTED_MAX; i++)
        snprintf(r->interfaces[i], ORDER_NAME_MAX, "%s", chosen[i].name);
}

static int check(const struct captures *s, const struct order *o, struct monitor_report *r, struct error *e)
{
    const char *globs[REQUEST_INTERFACES_MAX];
    struct ring_choice *chosen = NULL;
    size_t count = 0, named = order_globs(o, globs);
    struct ring_options ring = {
        .filter = o->filter, .companions = o->companions, .snaplen = o->snaplen, .ring_bytes = 1u << 20};
    int code = privileges_check_capture(e);
    if (!code)
        code = ring_choose(globs, named, &chosen, &count, e);
    size_t there = code ? 0 : count;
    count = code ? 0 : captures_allowed(s, chosen, count);
    if (!code && !count && there)
        code = error_set(e, ERROR_REFUSED, "this host's policy lets nothing be captured on %s%s", chosen[0].name,
                         there > 1 ? " and the others that it means" : "");
    else if (!code && !count)
        code = ring_none(globs, named, e);
    if (!code)
        fill_list(r, chosen, count);
    for (size_t i = 0; !code && i < count; i++)
        code = ring_check(chosen[i].name, &ring, e);
    free(chosen);
    return code;
}

static _Noreturn void run_check(const struct captures *s, const struct monitor_request *q, const struct judged *j,
                                int fd)
{
    struct error e = ERROR_INIT;
    struct rlimit cpu = {CHECK_CPU_S, CHECK_CPU_S};
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_CHECKED, .token = q->token};
    (void)setrlimit(RLIMIT_CPU, &cpu);
    memcpy(r.id, q->id, sizeof r.id);
    r.code = confine_check(&e);
    if (!r.code)
        r.code = check(s, &j->order, &r, &e);
    snprintf(r.text, sizeof r.text, "%.*s", (int)sizeof r.text - 1, r.code ? e.text : j->said);
    ssize_t n = send(fd, &r, sizeof r, MSG_NOSIGNAL);
    _exit(n == sizeof r ? EXIT_OK : EXIT_FAILED);
}

void check_start(struct captures *s, const struct monitor_request *r, const struct judged *j)
{
    struct error e = ERROR_INIT;
    struct check *k = NULL;
    int fds[2];
    for (size_t i = 0; i < CAPTURES_CHECKS && !k; i++)
        k = s->checks[i].pid ? NULL : &s->checks[i];
    int code = k ? pair(fds, &e) : error_set(&e, ERROR_BUSY, "this agent checks other captures: try again in a moment");
    pid_t pid = code ? -1 : process_fork(fds[1], "fleetdump-check");
    if (pid == 0)
        run_check(s, r, j, fds[1]);
    if (!code)
        close(fds[1]);
    if (pid > 0) {
        *k = (struct check){.pid = pid, .fd = fds[0], .token = r->token, .kill_ns = clock_mono_ns() + CHECK_NS};
        memcpy(k->id, r->id, sizeof k->id);
        return;
    }
    if (!code) {
        code = error_sys(&e, errno, "cannot start a process");
        close(fds[0]);
    }
    tell_checked(s, r, code, e.text);
}

/* False: it speaks no more, or not as a check does. */
static bool hear_check(struct captures *s, struct check *k)
{
    struct monitor_report r;
    ssize_t n = recv(k->fd, &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0)
        return true;
    if (!monitor_report_is_sound(&r, (size_t)n) || r.kind != REPORT_CHECKED || r.token != k->token)
        return false;
    k->told = true;
    (void)s->tell(s->context, &r);
    return true;
}

uint64_t checks_late(const struct captures *s)
{
    uint64_t now = clock_mono_ns(), next = UINT64_MAX;
    for (size_t i = 0; i < CAPTURES_CHECKS; i++) {
        const struct check *k = &s->checks[i];
        if (k->pid && now >= k->kill_ns)
            (void)kill(k->pid, SIGKILL);
        else if (k->pid && k->kill_ns < next)
            next = k->kill_ns;
    }
    return next;
}

static void check_ended(struct captures *s, struct check *k, int status)
{
    struct monitor_request r = {.token = k->token};
    char how[SANDBOX_ENDING_MAX], text[ORDER_TEXT_MAX];
    memcpy(r.id, k->id, sizeof k->id);
    if (!k->told)
        (void)hear_check(s, k);
    if (!k->told && !s->closing) {
        snprintf(text, sizeof text, "the process that was to compile the filter %s", sandbox_ending(status, how));
        log_error("%s", text);
        tell_checked(s, &r, ERROR_SYSTEM, text);
    }
    close(k->fd);
    *k = (struct check){.fd = -1};
}

/* ---------------------------------------------------------------- all children */

size_t captures_poll(struct captures *s, struct pollfd *fds)
{
    size_t n = 0;
    for (size_t i = 0; i < CAPTURES_MAX; i++)
        for (size_t k = 0; k < CAPTURES_CAPTURERS; k++)
            if (s->captures[i].used && s->captures[i].capturers[k].pid)
                fds[n++] = (struct pollfd){.fd = s->captures[i].capturers[k].fd, .events = POLLIN};
    for (size_t i = 0; i < CAPTURES_CHECKS; i++)
        if (s->checks[i].pid && !s->checks[i].told)
            fds[n++] = (struct pollfd){.fd = s->checks[i].fd, .events = POLLIN};
    return n;
}

/* Who has closed its socket has ended, or is to: else nobody would hear of it, and it would wake us for ever. */
void captures_ready(struct captures *s, const struct pollfd *fds, size_t count)
{
    for (size_t f = 0; f < count; f++) {
        if (!fds[f].revents)
            continue;
        for (size_t i = 0; i < CAPTURES_MAX; i++)
            for (size_t k = 0; k < CAPTURES_CAPTURERS; k++)
                if (s->captures[i].used && s->captures[i].capturers[k].pid &&
                    s->captures[i].capturers[k].fd == fds[f].fd &&
                    !hear(s, &s->captures[i], &s->captures[i].capturers[k], REPORTS_MOST))
                    capturer_signal(s, &s->captures[i].capturers[k], SIGKILL);
        for (size_t i = 0; i < CAPTURES_CHECKS; i++)
            if (s->checks[i].pid && s->checks[i].fd == fds[f].fd && !hear_check(s, &s->checks[i]))
                (void)kill(s->checks[i].pid, SIGKILL);
    }
}

bool captures_reap(struct captures *s, pid_t pid, int status)
{
    for (size_t i = 0; i < CAPTURES_MAX; i++)
        for (size_t k = 0; k < CAPTURES_CAPTURERS; k++)
            if (s->captures[i].used && s->captures[i].capturers[k].pid == pid) {
                ended(s, &s->captures[i], &s->captures[i].capturers[k], status);
                return true;
            }
    for (size_t i = 0; i < CAPTURES_CHECKS; i++)
        if (s->checks[i].pid == pid) {
            check_ended(s, &s->checks[i], status);
            return true;
        }
    return false;
}

static bool any_runs(const struct captures *s)
{
    for (size_t i = 0; i < CAPTURES_MAX; i++)
        if (s->captures[i].used && capture_runs(&s->captures[i]))
            return true;
    return false;
}

static void end_all(struct captures *s, int signo)
{
    for (size_t i = 0; i < CAPTURES_MAX; i++)
        if (s->captures[i].used)
            capture_signal(s, &s->captures[i], signo);
    for (size_t i = 0; i < CAPTURES_CHECKS; i++)
        if (s->checks[i].pid)
            (void)kill(s->checks[i].pid, SIGKILL);
}

void captures_free(struct captures *s)
{
    int status;
    if (!s)
        return;
    s->closing = true;
    end_all(s, SIGTERM);
    for (uint64_t late = clock_mono_ns() + CAPTURES_CLOSE_NS; any_runs(s);) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno != EINTR)
            break;
        if (pid > 0)
            (void)captures_reap(s, pid, status);
        else if (clock_mono_ns() >= late)
            end_all(s, SIGKILL);
        if (pid == 0)
            usleep(CLOSE_LOOK_US);
    }
    judge_free(s->judge);
    journal_close();
    free(s);
}
