/*
 * The monitor's table of captures, with interfaces and capturers made up here: what becomes of interfaces for which there is no place, and of
 * states that the shipper does not take at once.
 */
#include "tests/unit/support.h"

#include "agent/capture/ring.h"
#include "agent/capturer.h"
#include "agent/captures.h"
#include "agent/privileges.h"
#include "common/base/clock.h"
#include "common/base/log.h"

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

static size_t interfaces; /* eth1, eth2, ... */

int ring_choose(const char *const *globs, size_t count, struct ring_choice **out, size_t *chosen, struct error *e)
{
    (void)globs;
    (void)count;
    (void)e;
    *out = calloc(interfaces + 1, sizeof **out);
    *chosen = interfaces;
    for (size_t i = 0; i < interfaces; i++) {
        snprintf((*out)[i].name, sizeof(*out)[i].name, "eth%zu", i + 1);
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

int privileges_check_capture(struct error *e)
{
    (void)e;
    return 0;
}

/* Says that it runs, until it is told to end. */
void capturer_run(const struct agent_config *config, const struct order *o, const struct forbid *forbid,
                  const char *const *names, size_t count, int fd)
{
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_STATE, .phase = PHASE_RUNNING};
    (void)config;
    r.packets_per_s = o->snaplen; /* so that tests see how it runs */
    r.bytes_per_s = forbid ? forbid->net_count : 0;
    memcpy(r.id, o->id, sizeof r.id);
    r.interface_count = (uint32_t)count;
    for (size_t i = 0; i < count && i < ORDER_LISTED_MAX; i++)
        snprintf(r.interfaces[i], ORDER_NAME_MAX, "%s", names[i]);
    if (send(fd, &r, sizeof r, 0) != sizeof r)
        _exit(1);
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
    assert_int_equal(captures_new(&t->config, tell, t, &t->captures, NULL), 0);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct place *t = *state;
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_new_interface_is_captured_or_named),
        TEST(interfaces_that_come_later_keep_within_the_memory),
        TEST(a_state_that_was_not_taken_is_told_again),
        TEST(what_is_forgotten_tells_its_end_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
