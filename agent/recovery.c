/* recovery: what its processes do, and when they are started. */
#include "agent/recovery.h"
#include "agent/capture/conversation.h"
#include "agent/capture/recover.h"
#include "agent/confine.h"
#include "agent/policy.h"
#include "agent/privileges.h"
#include "agent/process.h"
#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process may use at the most: it reads what a crash left. */
#define RECOVERY_MEMORY ((rlim_t)2 << 30)
#define RECOVERY_CPU_S  600

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

#define FOUND_MOST     65536u
#define LOOK_NS        (60 * NS_PER_S) /* when nobody told of anything */
#define RETRY_LEAST_NS NS_PER_S        /* when something could not be ended; doubles */
#define RETRY_MOST_NS  LOOK_NS

/* ---------------------------------------------------------------- one stream */

static int open_spool(const struct agent_config *c, struct spool **spool, struct error *e)
{
    struct spool_limits limits = {.quota_bytes = c->quota, .floor_bytes = c->floor};
    return spool_open(c->spool, &limits, spool, e);
}

static int recover(const struct agent_config *c, const uint8_t epoch[EPOCH_SIZE], struct recover_options o,
                   struct recovered *r, struct error *e)
{
    struct spool *spool;
    o.agent = c->name;
    o.timeouts = c->timeouts;
    int code = open_spool(c, &spool, e);
    if (code)
        return code;
    code = recover_stream(spool, epoch, &o, r, e);
    spool_close(spool);
    return code;
}

static void limit(int resource, rlim_t most)
{
    struct rlimit l = {most, most};
    (void)setrlimit((__rlimit_resource_t)resource, &l);
}

/* In a child: from here on it has no privileges. */
static int give_up(const struct agent_config *c, enum sandbox_kind kind, struct error *e)
{
    if (!SANITIZED) /* whose shadows are larger */
        limit(RLIMIT_AS, RECOVERY_MEMORY);
    limit(RLIMIT_CPU, RECOVERY_CPU_S);
    limit(RLIMIT_CORE, 0);
    int code = privileges_drop(c->capture_user, c->ship_user, e);
    conversations_prepare();
    return code ? code : confine_recovery(c, kind, e);
}

static void run_recovery(const struct agent_config *c, const uint8_t epoch[EPOCH_SIZE], bool without_body)
{
    struct recovered r;
    struct error e = ERROR_INIT;
    /* Of now: which policy the packets were captured under is not known any more. */
    const struct recover_options o = {.without_body = without_body, .http_blank = policy_http_blank(c->policy)};
    int code = give_up(c, SANDBOX_RECOVERY, &e);
    if (!code)
        code = recover(c, epoch, o, &r, &e);
    if (code == ERROR_BUSY || code == ERROR_NOT_FOUND)
        _exit(EXIT_OK); /* its writer lives after all, or it is gone */
    if (code)
        log_error("recovery: a stream whose writer died cannot be ended: %s", e.text);
    else
        log_info("recovery: ended a stream whose writer died: %llu packets of its last chunk saved, %llu lost",
                 (unsigned long long)r.packets, (unsigned long long)r.lost);
    _exit(code ? EXIT_FAILED : EXIT_OK);
}

static pid_t spawn_recovery(const struct agent_config *c, const uint8_t epoch[EPOCH_SIZE], bool without_body)
{
    pid_t pid = process_fork(-1, "fleetdump-mend");
    if (pid == 0)
        run_recovery(c, epoch, without_body);
    return pid;
}

/* By a fault of ours that its bytes brought out, or in a loop: the next try would end so, too. */
static bool is_crash(int status)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS, SIGXCPU};
    for (size_t i = 0; WIFSIGNALED(status) && i < sizeof signals / sizeof *signals; i++)
        if (WTERMSIG(status) == signals[i])
            return true;
    return false;
}

/* Whether the stream is as it should be. */
static bool recover_now(const struct agent_config *c, const uint8_t epoch[EPOCH_SIZE])
{
    char how[SANDBOX_ENDING_MAX];
    for (int without_body = 0; without_body <= 1; without_body++) {
        int status = 0;
        pid_t pid = spawn_recovery(c, epoch, without_body != 0);
        if (pid < 0)
            log_error("cannot start a recovery: %s", strerror(errno));
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (WIFSIGNALED(status) && !is_crash(status))
            log_error("recovery: a process %s; it is tried again", sandbox_ending(status, how));
        if (!is_crash(status))
            return pid > 0 && status == 0;
        log_error(
            "recovery: a process %s while it read a stream whose writer died; the stream's last packets are given up",
            sandbox_ending(status, how));
    }
    return false;
}

/* ---------------------------------------------------------------- which */

/* Writes the epochs of streams whose writer died. */
static _Noreturn void run_finder(const struct agent_config *c, int fd)
{
    struct error e = ERROR_INIT;
    struct spool *spool = NULL;
    struct spool_stream_info *all = NULL;
    size_t count = 0;
    int code = give_up(c, SANDBOX_FINDER, &e);
    if (!code)
        code = open_spool(c, &spool, &e);
    if (!code)
        code = spool_list(spool, &all, &count, &e);
    for (size_t i = 0; !code && i < count; i++)
        if (!all[i].writer_alive && !all[i].ended)
            code = fs_write(fd, all[i].epoch, EPOCH_SIZE, NULL, &e);
    if (code)
        log_error("recovery: %s", e.text);
    _exit(code ? EXIT_FAILED : EXIT_OK);
}

static int read_found(int fd, struct buffer *found, struct error *e)
{
    uint8_t bytes[4096];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            buffer_append(found, bytes, (size_t)n);
    return n < 0 || found->failed ? error_set(e, ERROR_SYSTEM, "streams whose writers died cannot be told") : 0;
}

static int find(const struct agent_config *c, struct buffer *found, struct error *e)
{
    char how[SANDBOX_ENDING_MAX];
    int fds[2], status = 0;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_sys(e, errno, "cannot look for streams whose writers died");
    pid_t pid = process_fork(fds[1], "fleetdump-find");
    if (pid == 0)
        run_finder(c, fds[1]);
    int code = pid < 0 ? error_sys(e, errno, "cannot look for streams whose writers died") : 0;
    close(fds[1]);
    if (!code)
        code = read_found(fds[0], found, e);
    close(fds[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!code && status)
        code = error_set(e, ERROR_SYSTEM, "the process that looks for streams whose writers died %s",
                         sandbox_ending(status, how));
    return code;
}

/* ---------------------------------------------------------------- all of them */

/* *left: how many could not be ended. */
static int recover_all(const struct agent_config *c, unsigned *left, struct error *e)
{
    struct buffer found = {.limit = FOUND_MOST * EPOCH_SIZE};
    *left = 0;
    int code = find(c, &found, e);
    for (size_t at = 0; !code && at + EPOCH_SIZE <= found.len; at += EPOCH_SIZE)
        if (!recover_now(c, found.data + at))
            ++*left;
    buffer_free(&found);
    return code;
}

int recovery_all(const struct agent_config *c, struct error *e)
{
    unsigned left;
    int code = recovery_check(c, e); /* also makes the spool */
    return code ? code : recover_all(c, &left, e);
}

int recovery_own(const struct agent_config *c, const uint8_t epoch[EPOCH_SIZE], struct error *e)
{
    struct recovered r;
    int code = recover(c, epoch, (struct recover_options){.without_body = false}, &r, e);
    return code == ERROR_NOT_FOUND ? 0 : code; /* nothing of it is here any more */
}

int recovery_check(const struct agent_config *c, struct error *e)
{
    struct spool *spool;
    int code = open_spool(c, &spool, e);
    if (!code)
        spool_close(spool);
    return code;
}

/* ---------------------------------------------------------------- beside something else */

static _Noreturn void run_all(const struct agent_config *c)
{
    struct error e = ERROR_INIT;
    unsigned left = 0;
    if (recover_all(c, &left, &e)) {
        log_error("recovery: %s", e.text);
        _exit(EXIT_FAILED);
    }
    _exit(left ? EXIT_FAILED : EXIT_OK);
}

void recovery_wake(struct recovery_process *r)
{
    r->next_ns = 0;
}

static void try_later(struct recovery_process *r)
{
    r->pause_ns = !r->pause_ns ? RETRY_LEAST_NS : 2 * r->pause_ns < RETRY_MOST_NS ? 2 * r->pause_ns : RETRY_MOST_NS;
    r->next_ns = clock_mono_ns() + r->pause_ns;
}

uint64_t recovery_step(struct recovery_process *r)
{
    if (r->pid)
        return UINT64_MAX;
    if (clock_mono_ns() < r->next_ns)
        return r->next_ns;
    r->pid = process_fork(-1, "fleetdump-mend");
    if (r->pid == 0)
        run_all(r->config);
    if (r->pid > 0) {
        r->next_ns = clock_mono_ns() + LOOK_NS;
        return UINT64_MAX;
    }
    log_error("cannot start a recovery: %s", strerror(errno));
    r->pid = 0;
    try_later(r);
    return r->next_ns;
}

bool recovery_reap(struct recovery_process *r, pid_t pid, int status)
{
    if (pid <= 0 || pid != r->pid)
        return false;
    r->pid = 0;
    if (status == 0)
        r->pause_ns = 0;
    else if (r->next_ns) /* else it was asked for meanwhile */
        try_later(r);
    return true;
}
