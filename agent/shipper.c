/* shipper: forks, and what the children do. */
#include "agent/shipper.h"
#include "agent/confine.h"
#include "agent/journal.h"
#include "agent/order.h"
#include "agent/privileges.h"
#include "agent/process.h"
#include "agent/recovery.h"
#include "agent/ship/uplink.h"
#include "common/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TURN_US  100000
#define LOOK_US  5000
#define END_US   10000000 /* multiple of LOOK_US */
#define SOFTWARE "fleetdump " FLEETDUMP_VERSION

/* ---------------------------------------------------------------- shipping */

static void tell_abandoned(void *context, const uint8_t epoch[EPOCH_SIZE])
{
    struct monitor_request r = {.magic = ORDER_MAGIC, .kind = REQUEST_RECOVER};
    memcpy(r.id, epoch, EPOCH_SIZE);
    ssize_t ignored = send(*(int *)context, &r, sizeof r, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored; /* no room: the monitor looks by itself now and then */
}

/* One that somebody else's may have to follow: it waits as long as another has the spool. */
static int ship_in_turn(const struct uplink_config *u, struct error *e)
{
    int code;
    while ((code = uplink_run(u, e)) == ERROR_BUSY)
        usleep(TURN_US);
    return code;
}

/* As ship_user, who alone may read the key. */
static int load_tls(const struct agent_config *c, struct tls **out, struct error *e)
{
    if (c->insecure_plaintext)
        return 0;
    int code = tls_load_folder(c->tls, IDENTITY_AGENT, out, e);
    if (code || strcmp(tls_identity(*out)->name, c->name) == 0)
        return code;
    return error_set(e, ERROR_CONFLICT,
                     "the certificate in %s is that of agent %s, and this is agent %s: set name = %s, or join anew "
                     "(`fleetdump-agent join`)",
                     c->tls, tls_identity(*out)->name, c->name, tls_identity(*out)->name);
}

static void ship(const struct agent_config *c, int fd, bool captures)
{
    struct error e = ERROR_INIT, problem = ERROR_INIT;
    if (captures)
        (void)!privileges_check_capture(&problem); /* as the monitor has them still */
    struct uplink_config u = {
        .problem = problem.text,
        .audit = captures ? journal_problem() : NULL,
        .spool_path = c->spool,
        .limits = {.quota_bytes = c->quota, .floor_bytes = c->floor},
        .collector = c->collector,
        .tls_folder = c->insecure_plaintext ? NULL : c->tls,
        .agent = c->name,
        .labels = (const char *const *)c->labels.items,
        .label_count = (uint32_t)c->labels.count,
        .software = SOFTWARE,
        .on_abandoned = tell_abandoned,
        .context = &fd,
        .monitor_fd = captures ? fd : -1,
    };
    if (!captures && agent_config_log_level(c) == LOG_LEVEL_INFO) /* a command says by itself how it goes */
        log_setup("fleetdump-agent", LOG_LEVEL_WARN);
    int code = privileges_drop(c->ship_user, c->ship_user, &e);
    if (!code)
        code = confine_shipper(c, &e);
    if (!code)
        code = load_tls(c, &u.tls, &e);
    if (!code)
        code = captures ? uplink_run(&u, &e) : ship_in_turn(&u, &e);
    if (code)
        log_error("%s", e.text);
    _exit(code ? EXIT_FAILED : EXIT_OK);
}

int shipper_spawn(struct shipper *s, const struct agent_config *c, bool captures, struct error *e)
{
    int fds[2];
    *s = (struct shipper){.config = c, .fd = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return error_sys(e, errno, "cannot start the shipper");
    s->pid = process_fork(fds[1], "fleetdump-ship");
    if (s->pid == 0)
        ship(c, fds[1], captures);
    int sys = errno;
    close(fds[1]);
    if (s->pid < 0) {
        close(fds[0]);
        s->pid = 0;
        return error_sys(e, sys, "cannot start the shipper");
    }
    s->fd = fds[0];
    return 0;
}

int shipper_start(struct shipper *s, const struct agent_config *c, bool start, struct error *e)
{
    *s = (struct shipper){.config = c, .fd = -1};
    if (!start)
        return 0;
    int code = spool_shipped(c->spool) ? 0 : recovery_all(c, e);
    return code ? code : shipper_spawn(s, c, false, e);
}

void shipper_forget(struct shipper *s)
{
    s->pid = 0;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

bool shipper_runs(struct shipper *s)
{
    if (!s->config)
        return false;
    if (s->pid && waitpid(s->pid, NULL, WNOHANG) == 0)
        return true;
    if (s->pid)
        shipper_forget(s);
    return spool_shipped(s->config->spool);
}

void shipper_signal(const struct shipper *s, int signo)
{
    if (s->config && s->pid)
        privileges_signal(s->pid, s->config->ship_user, signo);
}

void shipper_stop(struct shipper *s)
{
    if (!s->config || !s->pid)
        return;
    shipper_signal(s, SIGTERM);
    for (unsigned waited_us = 0; waitpid(s->pid, NULL, WNOHANG) == 0; waited_us += LOOK_US) {
        if (waited_us == END_US)
            shipper_signal(s, SIGKILL);
        usleep(LOOK_US);
    }
    shipper_forget(s);
}
