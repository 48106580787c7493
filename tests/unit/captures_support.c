#include "tests/unit/captures_support.h"

#include "agent/capture/ring.h"
#include "agent/confine.h"
#include "agent/privileges.h"
#include "common/base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------ what is made up */
size_t fake_interfaces;

const char *fake_second_name;

int ring_choose(const char *const *globs, size_t count, struct ring_choice **out, size_t *chosen, struct error *e)
{
    (void)globs;
    (void)count;
    (void)e;
    *out = calloc(fake_interfaces + 1, sizeof **out);
    *chosen = fake_interfaces;
    for (size_t i = 0; i < fake_interfaces; i++) {
        snprintf((*out)[i].name, sizeof(*out)[i].name, "eth%zu", i + 1);
        if (i == 1 && fake_second_name)
            snprintf((*out)[i].name, sizeof(*out)[i].name, "%s", fake_second_name);
        (*out)[i].index = (unsigned)i + 1;
    }
    return 0;
}

int ring_none(const char *const *globs, size_t count, struct error *e)
{
    (void)globs;
    (void)count;
    return error_set(e, ERROR_NOT_FOUND, "none");
}

bool fake_check_hangs;

int confine_check(struct error *e)
{
    (void)e;
    while (fake_check_hangs)
        pause();
    return 0;
}

int privileges_check_capture(struct error *e)
{
    (void)e;
    return 0;
}

void privileges_signal(pid_t child, const char *user, int signo)
{
    (void)user;
    (void)kill(child, signo);
}

bool fake_capturer_is_stubborn;

bool fake_capturer_is_mute;

bool fake_capturer_floods;

/* Says that it runs, until it is told to end; as rates what it was told: the snaplen, and how many networks are forbidden. */
void capturer_run(const struct agent_config *config, const struct order *o, const struct forbid *forbid,
                  const char *const *names, size_t count, int fd)
{
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_STATE, .phase = PHASE_RUNNING};
    (void)config;
    if (fake_capturer_is_stubborn)
        signal(SIGTERM, SIG_IGN);
    r.packets_per_s = o->snaplen;
    r.bytes_per_s = forbid ? forbid->net_count : 0;
    memcpy(r.id, o->id, sizeof r.id);
    r.interface_count = (uint32_t)count;
    for (size_t i = 0; i < count && i < ORDER_LISTED_MAX; i++)
        snprintf(r.interfaces[i], ORDER_NAME_MAX, "%s", names[i]);
    if (send(fd, &r, sizeof r, 0) != sizeof r)
        _exit(1);
    while (fake_capturer_floods)
        (void)!send(fd, &r, sizeof r, 0);
    if (fake_capturer_is_mute)
        close(fd);
    for (;;)
        pause();
}

/* ------------------------------------------------------------ the table */
bool place_tell(void *context, const struct monitor_report *r)
{
    struct place *t = context;
    if (t->deaf)
        return false;
    if (fake_capturer_floods)
        usleep(1000); /* no faster than who floods */
    t->last = *r;
    t->taken++;
    return true;
}

void place_put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, 0644), 0);
}

void place_allow(struct place *t, const char *lines)
{
    char text[1000];
    snprintf(text, sizeof text, "allow = yes\nunsigned = yes\nkill_file = %s/stop\n%s", t->folder, lines);
    place_put_file(t->config.policy, text);
}

int place_set_up(void **state)
{
    struct place *t = calloc(1, sizeof *t);
    log_setup("test_captures", LOG_LEVEL_ERROR);
    t->folder = support_folder();
    t->config = (struct agent_config){.spool = strdup(support_path(t->folder, "spool")), .memory = 64 * MIB};
    t->config.policy = strdup(support_path(t->folder, "policy"));
    t->config.operators = strdup(support_path(t->folder, "operators"));
    t->config.name = strdup("web-1");
    place_allow(t, "");
    t->config.ring = 4 * MIB;
    t->config.max_flows = 1000;
    fake_interfaces = 1;
    fake_second_name = NULL;
    fake_capturer_is_stubborn = fake_capturer_is_mute = fake_capturer_floods = fake_check_hangs = false;
    assert_int_equal(captures_new(&t->config, place_tell, t, &t->captures, NULL), 0);
    *state = t;
    return 0;
}

size_t place_step(struct place *t)
{
    static struct pollfd fds[CAPTURES_POLL_MAX];
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid > 0)
        (void)captures_reap(t->captures, pid, status);
    (void)captures_tick(t->captures);
    size_t n = captures_poll(t->captures, fds);
    (void)poll(fds, n, 10);
    captures_ready(t->captures, fds, n);
    return n;
}

void place_until_phase(struct place *t, uint32_t phase)
{
    while (t->last.phase != phase)
        (void)place_step(t);
}

void place_until_gone(struct place *t)
{
    while (place_step(t))
        ;
}

int place_tear_down(void **state)
{
    struct place *t = *state;
    if (fake_capturer_is_stubborn) {
        support_write(t->folder, "stop", "", 0);
        captures_policy_changed(t->captures);
        place_until_gone(t);
    }
    captures_free(t->captures);
    support_folder_remove(t->folder);
    free(t->config.spool);
    free(t->config.policy);
    free(t->config.operators);
    free(t->config.name);
    free(t);
    return 0;
}

struct monitor_request request_of(enum monitor_request_kind kind)
{
    struct monitor_request r = {.magic = ORDER_MAGIC, .kind = kind, .order = {.magic = ORDER_MAGIC, .name = "c"}};
    memset(r.id, 7, sizeof r.id);
    memset(r.order.id, 7, sizeof r.order.id);
    return r;
}

void place_start(struct place *t, uint64_t end_ns)
{
    struct monitor_request r = request_of(REQUEST_START);
    r.order.end_ns = end_ns;
    captures_request(t->captures, &r);
}

/* ------------------------------------------------------------ the host's policy */
void place_write_policy(struct place *t, const char *text)
{
    place_put_file(t->config.policy, text);
    captures_policy_changed(t->captures);
}
