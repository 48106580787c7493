/*
 * The monitor's table of captures, with interfaces and capturers made up here: what becomes of interfaces for which there is no place, and of
 * states that the shipper does not take at once.
 */
#include "tests/unit/support.h"

#include "agent/capture/ring.h"
#include "agent/capturer.h"
#include "agent/captures.h"
#include "agent/confine.h"
#include "agent/privileges.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/signature.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* ------------------------------------------------------------ what is made up */

static size_t interfaces;  /* eth1, eth2, ... */
static const char *second; /* the second's other name; or NULL */

int ring_choose(const char *const *globs, size_t count, struct ring_choice **out, size_t *chosen, struct error *e)
{
    (void)globs;
    (void)count;
    (void)e;
    *out = calloc(interfaces + 1, sizeof **out);
    *chosen = interfaces;
    for (size_t i = 0; i < interfaces; i++) {
        snprintf((*out)[i].name, sizeof(*out)[i].name, "eth%zu", i + 1);
        if (i == 1 && second)
            snprintf((*out)[i].name, sizeof(*out)[i].name, "%s", second);
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

static bool hanging; /* checks do not end */

int confine_check(struct error *e)
{
    (void)e;
    while (hanging)
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

static bool stubborn; /* capturers do not end when they are told to */
static bool mute;     /* they say no more */
static bool flooding; /* they say it again and again */

/* Says that it runs, until it is told to end; as rates what it was told: the snaplen, and how many networks are forbidden. */
void capturer_run(const struct agent_config *config, const struct order *o, const struct forbid *forbid,
                  const char *const *names, size_t count, int fd)
{
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_STATE, .phase = PHASE_RUNNING};
    (void)config;
    if (stubborn)
        signal(SIGTERM, SIG_IGN);
    r.packets_per_s = o->snaplen;
    r.bytes_per_s = forbid ? forbid->net_count : 0;
    memcpy(r.id, o->id, sizeof r.id);
    r.interface_count = (uint32_t)count;
    for (size_t i = 0; i < count && i < ORDER_LISTED_MAX; i++)
        snprintf(r.interfaces[i], ORDER_NAME_MAX, "%s", names[i]);
    if (send(fd, &r, sizeof r, 0) != sizeof r)
        _exit(1);
    while (flooding)
        (void)!send(fd, &r, sizeof r, 0);
    if (mute)
        close(fd);
    for (;;)
        pause();
}

/* ------------------------------------------------------------ the table */

struct place {
    char *folder;
    struct agent_config config;
    struct captures *captures;
    struct monitor_report last; /* that was taken */
    unsigned taken;
    bool deaf;
};

static bool tell(void *context, const struct monitor_report *r)
{
    struct place *t = context;
    if (t->deaf)
        return false;
    if (flooding)
        usleep(1000); /* no faster than who floods */
    t->last = *r;
    t->taken++;
    return true;
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, 0644), 0);
}

/* The host's policy: everything, but for these lines. */
static void allow(struct place *t, const char *lines)
{
    char text[1000];
    snprintf(text, sizeof text, "allow = yes\nunsigned = yes\nkill_file = %s/stop\n%s", t->folder, lines);
    put_file(t->config.policy, text);
}

static int set_up(void **state)
{
    struct place *t = calloc(1, sizeof *t);
    log_setup("test_captures", LOG_LEVEL_ERROR);
    t->folder = support_folder();
    t->config = (struct agent_config){.spool = strdup(support_path(t->folder, "spool")), .memory = 64 * MIB};
    t->config.policy = strdup(support_path(t->folder, "policy"));
    t->config.operators = strdup(support_path(t->folder, "operators"));
    t->config.name = strdup("web-1");
    allow(t, "");
    t->config.ring = 4 * MIB;
    t->config.max_flows = 1000;
    interfaces = 1;
    second = NULL;
    stubborn = mute = flooding = hanging = false;
    assert_int_equal(captures_new(&t->config, tell, t, &t->captures, NULL), 0);
    *state = t;
    return 0;
}

/* What a monitor's loop does. */
static size_t step(struct place *t)
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

static void until_phase(struct place *t, uint32_t phase)
{
    while (t->last.phase != phase)
        (void)step(t);
}

static void until_gone(struct place *t)
{
    while (step(t))
        ;
}

/* None is left by a test, however stubborn. */
static int tear_down(void **state)
{
    struct place *t = *state;
    if (stubborn) {
        support_write(t->folder, "stop", "", 0);
        captures_policy_changed(t->captures);
        until_gone(t);
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

static struct monitor_request request(enum monitor_request_kind kind)
{
    struct monitor_request r = {.magic = ORDER_MAGIC, .kind = kind, .order = {.magic = ORDER_MAGIC, .name = "c"}};
    memset(r.id, 7, sizeof r.id);
    memset(r.order.id, 7, sizeof r.order.id);
    return r;
}

static void start(struct place *t, uint64_t end_ns)
{
    struct monitor_request r = request(REQUEST_START);
    r.order.end_ns = end_ns;
    captures_request(t->captures, &r);
}

static void listen_once(struct place *t)
{
    static struct pollfd fds[CAPTURES_POLL_MAX];
    size_t n = captures_poll(t->captures, fds);
    assert_true(poll(fds, n, 10000) > 0);
    captures_ready(t->captures, fds, n);
}

/* One more interface appears. */
static void appears(struct place *t)
{
    interfaces++;
    captures_interfaces_changed(t->captures);
}

static void each_new_interface_is_captured_or_named(void **state)
{
    struct place *t = *state;
    start(t, 0);
    for (uint32_t n = 1; n <= CAPTURES_CAPTURERS; n++) {
        while (t->last.interface_count < n)
            listen_once(t);
        assert_int_equal(t->last.phase, PHASE_RUNNING);
        assert_string_equal(t->last.text, "");
        appears(t);
    }
    assert_int_equal(t->last.phase, PHASE_RUNNING);
    assert_int_equal(t->last.interface_count, CAPTURES_CAPTURERS);
    assert_non_null(strstr(t->last.text, "left out: eth5: 4 processes"));
    interfaces = 1; /* the others are gone */
    captures_interfaces_changed(t->captures);
    captures_tell_all(t->captures);
    assert_string_equal(t->last.text, "");
}

static void interfaces_that_come_later_keep_within_the_memory(void **state)
{
    struct place *t = *state;
    t->config.ring = 24 * MIB;
    start(t, 0);
    while (t->last.phase != PHASE_RUNNING)
        listen_once(t);
    appears(t);
    while (t->last.interface_count < 2)
        listen_once(t);
    appears(t); /* the third would be beyond 64 MiB */
    assert_int_equal(t->last.phase, PHASE_RUNNING);
    assert_int_equal(t->last.interface_count, 2);
    assert_non_null(strstr(t->last.text, "left out: eth3: "));
    assert_non_null(strstr(t->last.text, "MiB would be needed"));
}

static void a_state_that_was_not_taken_is_told_again(void **state)
{
    struct place *t = *state;
    t->deaf = true;
    start(t, 1);
    assert_true(captures_tick(t->captures) < clock_mono_ns() + NS_PER_S);
    t->deaf = false;
    (void)captures_tick(t->captures);
    assert_int_equal(t->taken, 1);
    assert_int_equal(t->last.phase, PHASE_STOPPED);
    assert_true(captures_tick(t->captures) > clock_mono_ns() + NS_PER_S);
    assert_int_equal(t->taken, 1);
}

static void what_is_forgotten_tells_its_end_first(void **state)
{
    struct place *t = *state;
    struct monitor_request stop = request(REQUEST_STOP);
    interfaces = 0;
    start(t, 0);
    assert_int_equal(t->last.phase, PHASE_WAITING);
    t->deaf = true;
    captures_request(t->captures, &stop);
    captures_request(t->captures, &stop);
    t->deaf = false;
    (void)captures_tick(t->captures);
    assert_int_equal(t->last.phase, PHASE_STOPPED);
    t->taken = 0;
    captures_tell_all(t->captures);
    assert_int_equal(t->taken, 0); /* it is forgotten */
}

/* ------------------------------------------------------------ the host's policy */

static void write_policy(struct place *t, const char *text)
{
    put_file(t->config.policy, text);
    captures_policy_changed(t->captures);
}

static void without_a_policy_nothing_runs(void **state)
{
    struct place *t = *state;
    struct monitor_request check = request(REQUEST_CHECK);
    assert_int_equal(unlink(t->config.policy), 0);
    start(t, 0);
    assert_int_equal(t->last.phase, PHASE_REFUSED);
    assert_non_null(strstr(t->last.text, "so nothing may be captured by order on this host"));
    captures_request(t->captures, &check);
    assert_int_equal(t->last.kind, REPORT_CHECKED);
    assert_int_equal(t->last.code, ERROR_REFUSED);
    put_file(t->config.policy, "alow = yes\n");
    captures_request(t->captures, &check);
    assert_int_equal(t->last.code, ERROR_REFUSED);
    assert_non_null(strstr(t->last.text, "'alow' is no key"));
}

static void what_runs_is_narrowed_when_the_policy_is_tightened(void **state)
{
    struct place *t = *state;
    start(t, 0);
    until_phase(t, PHASE_RUNNING);
    assert_int_equal(t->last.packets_per_s, 0); /* its snaplen: all */
    write_policy(t, "allow = yes\nunsigned = yes\nsnaplen = 96\nforbid_net = 10.0.0.0/8\n");
    while (t->last.packets_per_s != 96) {
        t->last.phase = 0;
        until_phase(t, PHASE_RUNNING);
    }
    assert_int_equal(t->last.bytes_per_s, 1);
    assert_non_null(strstr(t->last.text, "at most 96 bytes of a packet"));
    assert_non_null(strstr(t->last.text, "without net 10.0.0.0/8"));
    unsigned taken = t->taken;
    captures_policy_changed(t->captures); /* nothing has changed: it goes on */
    assert_int_equal(t->taken, taken);
}

static void what_may_no_longer_run_ends_for_good(void **state)
{
    struct place *t = *state;
    start(t, 0);
    until_phase(t, PHASE_RUNNING);
    write_policy(t, "allow = no\n");
    until_phase(t, PHASE_STOPPED);
    assert_non_null(strstr(t->last.text, "does not say 'allow = yes'"));
    allow(t, "");
    captures_policy_changed(t->captures);
    (void)captures_tick(t->captures);
    assert_int_equal(t->last.phase, PHASE_STOPPED);
    /* nor behind a restart */
    captures_free(t->captures);
    assert_int_equal(captures_new(&t->config, tell, t, &t->captures, NULL), 0);
    t->last.phase = 0;
    until_phase(t, PHASE_STOPPED);
}

static void the_kill_file_ends_all_and_lets_nothing_begin(void **state)
{
    struct place *t = *state;
    struct monitor_request other = request(REQUEST_START);
    start(t, 0);
    until_phase(t, PHASE_RUNNING);
    support_write(t->folder, "stop", "", 0);
    captures_policy_changed(t->captures);
    until_phase(t, PHASE_STOPPED);
    assert_non_null(strstr(t->last.text, "/stop is there"));
    memset(other.id, 8, sizeof other.id);
    memset(other.order.id, 8, sizeof other.id);
    captures_request(t->captures, &other);
    assert_int_equal(t->last.phase, PHASE_REFUSED);
    assert_int_equal(unlink(support_path(t->folder, "stop")), 0);
    captures_request(t->captures, &other);
    until_phase(t, PHASE_RUNNING);
}

static struct monitor_request the_baseline(void)
{
    struct monitor_request r = request(REQUEST_START);
    strcpy(r.order.name, "baseline");
    r.order.keep = KEEP_FLOWS;
    return r;
}

static void the_baseline_stands_by(void **state)
{
    struct place *t = *state;
    struct monitor_request r = the_baseline();
    put_file(t->config.policy, "allow = yes\n");
    captures_request(t->captures, &r);
    assert_int_equal(t->last.phase, PHASE_WAITING);
    assert_non_null(strstr(t->last.text, "baseline = yes"));
    write_policy(t, "allow = yes\nbaseline = yes\n");
    until_phase(t, PHASE_RUNNING);
    write_policy(t, "allow = yes\n");
    until_phase(t, PHASE_WAITING);
    write_policy(t, "allow = yes\nbaseline = yes\n"); /* its capturer may not have ended yet */
    until_phase(t, PHASE_RUNNING);
}

/* Capturers that hang, or that somebody else rules. */
static void the_kill_file_ends_those_who_do_not_end_by_themselves(void **state)
{
    struct place *t = *state;
    struct monitor_request r = the_baseline(), stop = request(REQUEST_STOP);
    stubborn = true;
    captures_request(t->captures, &r);
    until_phase(t, PHASE_RUNNING);
    support_write(t->folder, "stop", "", 0);
    captures_policy_changed(t->captures);
    assert_int_equal(t->last.phase, PHASE_WAITING); /* the baseline stands by */
    until_gone(t);
    assert_int_equal(unlink(support_path(t->folder, "stop")), 0);
    captures_policy_changed(t->captures);
    until_phase(t, PHASE_RUNNING);
    captures_request(t->captures, &stop); /* that one ends already */
    support_write(t->folder, "stop", "", 0);
    captures_policy_changed(t->captures);
    until_phase(t, PHASE_STOPPED);
}

static void whoever_is_told_to_end_has_a_time_for_it(void **state)
{
    struct place *t = *state;
    struct monitor_request stop = request(REQUEST_STOP);
    stubborn = true;
    start(t, 0);
    until_phase(t, PHASE_RUNNING);
    write_policy(t, "allow = yes\nunsigned = yes\nforbid_net = 10.0.0.0/8\n");
    uint64_t after_policy = captures_tick(t->captures);
    assert_true(after_policy < clock_mono_ns() + 20 * NS_PER_S);
    captures_request(t->captures, &stop);
    assert_true(captures_tick(t->captures) <= after_policy); /* no longer for that */
    allow(t, "");
}

static void who_says_no_more_is_ended(void **state)
{
    struct place *t = *state;
    mute = true;
    start(t, 0);
    until_phase(t, PHASE_FAILED);
    assert_non_null(strstr(t->last.text, "signal 9"));
}

static void who_floods_does_not_keep_the_monitor_from_its_work(void **state)
{
    struct place *t = *state;
    flooding = true;
    start(t, 0);
    until_phase(t, PHASE_RUNNING);
    support_write(t->folder, "stop", "", 0);
    captures_policy_changed(t->captures);
    until_phase(t, PHASE_STOPPED);
}

static void a_check_has_a_time_to_end(void **state)
{
    struct place *t = *state;
    struct monitor_request check = request(REQUEST_CHECK);
    hanging = true;
    captures_request(t->captures, &check);
    assert_true(captures_tick(t->captures) < clock_mono_ns() + 40 * NS_PER_S);
}

/* The monitor's clock is not the one that may be set, and it asks no capturer. */
static void nobody_goes_on_behind_the_end(void **state)
{
    struct place *t = *state;
    start(t, clock_wall_ns() + NS_PER_S);
    until_phase(t, PHASE_STOPPED); /* by these capturers it never would be */
    assert_string_equal(t->last.text, CAPTURE_TIME_IS_OVER);
    captures_free(t->captures);
    assert_int_equal(captures_new(&t->config, tell, t, &t->captures, NULL), 0);
    t->last.phase = 0;
    until_phase(t, PHASE_STOPPED);
}

static void interfaces_that_are_not_allowed_are_left_alone(void **state)
{
    struct place *t = *state;
    interfaces = 3;
    allow(t, "interface = eth2\n");
    start(t, 0);
    until_phase(t, PHASE_RUNNING);
    assert_int_equal(t->last.interface_count, 1);
    assert_string_equal(t->last.interfaces[0], "eth2");
    allow(t, "interface = eth3\n");
    captures_policy_changed(t->captures);
    while (strcmp(t->last.interfaces[0], "eth3") != 0) {
        t->last.phase = 0;
        until_phase(t, PHASE_RUNNING);
    }
}

/* The kernel knows them by number: what was opened by one name is still captured by another. */
static void who_gets_a_forbidden_name_is_captured_no_longer(void **state)
{
    struct place *t = *state;
    interfaces = 2;
    allow(t, "interface = eth*\n");
    start(t, 0);
    while (t->last.phase != PHASE_RUNNING || t->last.interface_count != 2)
        (void)step(t);
    second = "eth7"; /* which is allowed */
    captures_renamed(t->captures);
    captures_tell_all(t->captures);
    assert_null(strstr(t->last.text, "is called"));
    second = "dmz0";
    captures_renamed(t->captures);
    assert_non_null(strstr(t->last.text, "eth7 is called dmz0 now, which this host's policy does not allow"));
    while (t->last.interface_count != 1)
        (void)step(t);
    assert_string_equal(t->last.interfaces[0], "eth1");
    assert_non_null(strstr(t->last.text, "eth7 is called dmz0"));
    second = "eth2";
    captures_interfaces_changed(t->captures);
    while (t->last.interface_count != 2)
        (void)step(t);
}

static void without_another_interface_it_waits(void **state)
{
    struct place *t = *state;
    interfaces = 2;
    allow(t, "interface = eth2\n");
    start(t, 0);
    until_phase(t, PHASE_RUNNING);
    second = "dmz0";
    captures_interfaces_changed(t->captures);
    until_phase(t, PHASE_WAITING);
    assert_int_equal(t->last.interface_count, 0);
    assert_non_null(strstr(t->last.text, "eth2 is called dmz0"));
}

/* ------------------------------------------------------------ signed orders */

struct signing {
    struct capture_request request;
    char *on[1];
    struct signature_key key;
    struct monitor_request to_monitor;
};

static void trust(struct place *t, const struct signature_key *k)
{
    char line[200], key[SIGNATURE_KEY_TEXT];
    snprintf(line, sizeof line, "operator alice %s\n", signature_key_text(k->key, key));
    put_file(t->config.operators, line);
}

static struct signing an_order(struct place *t)
{
    struct signing s = {.on = {(char *)(uintptr_t) "web-*"}};
    uint64_t now = clock_wall_ns();
    s.request = (struct capture_request){.name = (char *)(uintptr_t) "c",
                                         .who = (char *)(uintptr_t) "alice@laptop",
                                         .on_count = 1,
                                         .issued_ns = now,
                                         .end_ns = now + 60 * NS_PER_S,
                                         .expires_ns = now + 60 * NS_PER_S};
    memset(s.request.id, 9, 16);
    assert_int_equal(signature_key_new(&s.key, NULL), 0);
    trust(t, &s.key);
    put_file(t->config.policy, "allow = yes\n");
    return s;
}

static void put_signed(struct signing *s, enum monitor_request_kind kind, enum signature_purpose purpose)
{
    struct monitor_request *r = &s->to_monitor;
    struct buffer b = {.limit = NET_FRAME_MAX};
    uint32_t length = 0;
    s->request.on = s->on;
    *r = (struct monitor_request){.magic = ORDER_MAGIC, .kind = kind, .left_ns = UINT64_MAX};
    memcpy(r->id, s->request.id, 16);
    assert_int_equal(message_encode_request(&s->request, &b, NULL), 0);
    assert_true(b.len <= sizeof r->by.bytes);
    memcpy(r->by.bytes, b.data, b.len);
    r->bytes_length = (uint16_t)b.len;
    assert_int_equal(signature_sign(&s->key, NULL, purpose, b.data, b.len, r->by.signature, &length, NULL), 0);
    r->signature_length = (uint16_t)length;
    buffer_free(&b);
}

static void refused(struct place *t, const struct signing *s, const char *why)
{
    t->last.phase = 0;
    assert_true(monitor_request_is_sound(&s->to_monitor, sizeof s->to_monitor));
    captures_request(t->captures, &s->to_monitor);
    assert_int_equal(t->last.phase, PHASE_REFUSED);
    if (!strstr(t->last.text, why))
        fail_msg("expected '%s' in '%s'", why, t->last.text);
}

static void a_signed_order_runs_once(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t);
    struct monitor_request stop = {.magic = ORDER_MAGIC, .kind = REQUEST_STOP};
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    captures_request(t->captures, &s.to_monitor);
    until_phase(t, PHASE_RUNNING);
    memcpy(stop.id, s.request.id, 16);
    captures_request(t->captures, &stop);
    until_phase(t, PHASE_STOPPED);
    refused(t, &s, "was here before");
    captures_free(t->captures); /* a restart forgets nothing */
    assert_int_equal(captures_new(&t->config, tell, t, &t->captures, NULL), 0);
    refused(t, &s, "was here before");
}

static void a_signed_order_outlives_a_restart_as_long_as_its_key_is_trusted(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t), other = an_order(t);
    trust(t, &s.key);
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    captures_request(t->captures, &s.to_monitor);
    until_phase(t, PHASE_RUNNING);
    captures_free(t->captures);
    assert_int_equal(captures_new(&t->config, tell, t, &t->captures, NULL), 0);
    t->last.phase = 0;
    until_phase(t, PHASE_RUNNING);
    trust(t, &other.key);
    captures_policy_changed(t->captures);
    until_phase(t, PHASE_STOPPED);
    assert_non_null(strstr(t->last.text, "none of those that this host trusts"));
}

static void what_is_changed_on_the_way_is_refused(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t);
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    s.to_monitor.by.bytes[5] ^= 1;
    refused(t, &s, "has not signed this");
    s.to_monitor.by.bytes[5] ^= 1;
    s.to_monitor.by.bytes[s.to_monitor.bytes_length++] = 0;
    refused(t, &s, "has not signed this");
    put_signed(&s, REQUEST_START, SIGNATURE_CHECK);
    refused(t, &s, "has not signed this");
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    s.to_monitor.signature_length = 7;
    refused(t, &s, "none of a form that is known");
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    memset(s.to_monitor.id, 1, 16);
    refused(t, &s, "another id");
}

static void orders_for_others_and_of_other_times_are_refused(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t);
    uint64_t now = clock_wall_ns();
    s.on[0] = (char *)(uintptr_t) "db-*";
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &s, "not meant for this agent");
    s = an_order(t);
    s.request.expires_ns = now - 1;
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &s, "has expired");
    s.to_monitor.clock_ns = INT64_MAX; /* the shipper's clock is believed so far and no farther */
    s.request.expires_ns = now - ORDER_CLOCK_MOST_NS - NS_PER_S;
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    s.to_monitor.clock_ns = INT64_MAX;
    refused(t, &s, "has expired");
    s.request.expires_ns = 0;
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &s, "has expired");
    s = an_order(t);
    s.request.issued_ns = now + 2 * ORDER_CLOCK_MOST_NS;
    s.request.end_ns = s.request.expires_ns = s.request.issued_ns + NS_PER_S;
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &s, "comes from the future");
}

static void nobody_prolongs_what_was_signed(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t);
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    s.to_monitor.left_ns = UINT64_MAX;
    s.to_monitor.clock_ns = 0;
    captures_request(t->captures, &s.to_monitor);
    until_phase(t, PHASE_RUNNING);
    assert_true(t->last.end_ns && t->last.end_ns <= s.request.end_ns + NS_PER_S);
}

static void the_collector_may_shorten_it(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t);
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    s.to_monitor.left_ns = 5 * NS_PER_S;
    captures_request(t->captures, &s.to_monitor);
    until_phase(t, PHASE_RUNNING);
    assert_true(t->last.end_ns && t->last.end_ns <= clock_wall_ns() + 5 * NS_PER_S);
}

static void unsigned_orders_are_refused_where_they_are_not_allowed(void **state)
{
    struct place *t = *state;
    put_file(t->config.policy, "allow = yes\nbaseline = yes\n");
    start(t, 0);
    assert_int_equal(t->last.phase, PHASE_REFUSED);
    assert_non_null(strstr(t->last.text, "nobody has signed"));
}

/* It would be taken without its signature: by the collector's word for who asks, once, in its time, and unchanged. */
static void a_stranger_s_signature_is_as_none_where_none_is_needed(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t), stranger = an_order(t);
    struct monitor_request stop = {.magic = ORDER_MAGIC, .kind = REQUEST_STOP};
    trust(t, &s.key);
    memset(stranger.request.id, 8, 16);
    put_signed(&stranger, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &stranger, "none of those that this host trusts");
    put_file(t->config.policy, "allow = yes\nunsigned = yes\nwho = alice@laptop\n");
    stranger.to_monitor.by.bytes[5] ^= 1;
    refused(t, &stranger, "has not signed this");
    put_signed(&stranger, REQUEST_START, SIGNATURE_CHECK);
    refused(t, &stranger, "has not signed this");
    stranger.request.expires_ns = clock_wall_ns() - 1;
    put_signed(&stranger, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &stranger, "has expired");
    stranger.request.expires_ns = stranger.request.end_ns;
    stranger.on[0] = (char *)(uintptr_t) "db-*";
    put_signed(&stranger, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &stranger, "not meant for this agent");
    stranger.on[0] = (char *)(uintptr_t) "web-*";
    put_file(t->config.policy, "allow = yes\nunsigned = yes\nwho = alice\n");
    put_signed(&stranger, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &stranger, "does not let alice@laptop order");
    put_file(t->config.policy, "allow = yes\nunsigned = yes\nwho = alice@laptop\n");
    memset(stranger.request.id, 7, 16);
    put_signed(&stranger, REQUEST_START, SIGNATURE_ORDER);
    captures_request(t->captures, &stranger.to_monitor);
    until_phase(t, PHASE_RUNNING);
    captures_free(t->captures);
    assert_int_equal(captures_new(&t->config, tell, t, &t->captures, NULL), 0);
    t->last.phase = 0;
    until_phase(t, PHASE_RUNNING);
    put_file(t->config.policy, "allow = yes\n");
    captures_policy_changed(t->captures);
    until_phase(t, PHASE_STOPPED);
    assert_non_null(strstr(t->last.text, "none of those that this host trusts"));
    put_file(t->config.policy, "allow = yes\nunsigned = yes\n");
    memcpy(stop.id, stranger.request.id, 16); /* forgets it */
    captures_request(t->captures, &stop);
    refused(t, &stranger, "was here before");
}

/* Begun and stopped again without end, each would leave lines in the host's journal. */
static void what_nobody_signs_does_not_come_without_end(void **state)
{
    struct place *t = *state;
    struct monitor_request begin = request(REQUEST_START), stop = request(REQUEST_STOP);
    unsigned n = 0;
    interfaces = 0;
    for (; n < 2 * CAPTURES_UNSIGNED && t->last.phase != PHASE_REFUSED; n++) { /* a slow disk leaves time for more */
        captures_request(t->captures, &begin);
        captures_request(t->captures, &stop);
    }
    assert_int_equal(t->last.phase, PHASE_REFUSED);
    assert_non_null(strstr(t->last.text, "too many orders"));
    assert_true(n >= CAPTURES_UNSIGNED);
    struct signing s = an_order(t); /* where it is needed, a signature is enough */
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    captures_request(t->captures, &s.to_monitor);
    until_phase(t, PHASE_WAITING);
}

static void a_damaged_memory_of_orders_takes_none(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t);
    captures_free(t->captures);
    support_write(t->folder, "spool.orders/seen", "x", 1);
    assert_int_equal(captures_new(&t->config, tell, t, &t->captures, NULL), 0);
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &s, "is damaged");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_new_interface_is_captured_or_named),
        TEST(interfaces_that_come_later_keep_within_the_memory),
        TEST(a_state_that_was_not_taken_is_told_again),
        TEST(what_is_forgotten_tells_its_end_first),
        TEST(without_a_policy_nothing_runs),
        TEST(what_runs_is_narrowed_when_the_policy_is_tightened),
        TEST(what_may_no_longer_run_ends_for_good),
        TEST(the_kill_file_ends_all_and_lets_nothing_begin),
        TEST(the_baseline_stands_by),
        TEST(the_kill_file_ends_those_who_do_not_end_by_themselves),
        TEST(whoever_is_told_to_end_has_a_time_for_it),
        TEST(nobody_goes_on_behind_the_end),
        TEST(who_says_no_more_is_ended),
        TEST(who_floods_does_not_keep_the_monitor_from_its_work),
        TEST(a_check_has_a_time_to_end),
        TEST(interfaces_that_are_not_allowed_are_left_alone),
        TEST(who_gets_a_forbidden_name_is_captured_no_longer),
        TEST(without_another_interface_it_waits),
        TEST(a_signed_order_runs_once),
        TEST(a_signed_order_outlives_a_restart_as_long_as_its_key_is_trusted),
        TEST(what_is_changed_on_the_way_is_refused),
        TEST(orders_for_others_and_of_other_times_are_refused),
        TEST(nobody_prolongs_what_was_signed),
        TEST(the_collector_may_shorten_it),
        TEST(unsigned_orders_are_refused_where_they_are_not_allowed),
        TEST(a_stranger_s_signature_is_as_none_where_none_is_needed),
        TEST(what_nobody_signs_does_not_come_without_end),
        TEST(a_damaged_memory_of_orders_takes_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
