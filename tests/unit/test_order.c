/*
 * Orders: what crosses from the shipper to the monitor is looked at field by field; what is kept on disk comes back, or is removed if it is damaged.
 * And selectors: whom a request means.
 */
#include "tests/unit/support.h"

#include "agent/order.h"
#include "common/base/log.h"
#include "common/net/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_NS UINT64_C(1700000000000000000)

static struct order sound(void)
{
    struct order o = {.magic = ORDER_MAGIC, .name = "c1", .filter = "tcp port 80", .interfaces = {"eth*"}};
    memset(o.id, 7, sizeof o.id);
    return o;
}

static void each_field_is_looked_at(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    struct order o = sound();
    assert_int_equal(order_check(&o, &e), 0);
    struct {
        const char *field;
        struct order bad;
    } cases[] = {{"magic", o},      {"name", o},    {"name", o}, {"filter", o},           {"interfaces", o},
                 {"interfaces", o}, {"snaplen", o}, {"keep", o}, {"collector_family", o}, {"end_ns", o}};
    cases[0].bad.magic = 1;
    cases[1].bad.name[0] = 0;
    memset(cases[2].bad.name, 'x', sizeof o.name);
    cases[3].bad.filter[0] = 1;
    memset(cases[4].bad.interfaces[15], 'x', ORDER_NAME_MAX);
    strcpy(cases[5].bad.interfaces[1], "../x");
    cases[6].bad.snaplen = PACKET_SNAPLEN_MAX + 1;
    cases[7].bad.keep = KEEP_FLOWS + 1;
    cases[8].bad.collector_family = 5;
    cases[9].bad.start_ns = 2;
    cases[9].bad.end_ns = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(order_check(&cases[i].bad, &e), ERROR_INVALID);
        assert_non_null(strstr(e.text, cases[i].field));
    }
}

static void a_request_becomes_an_order(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    struct order o;
    char *names[REQUEST_INTERFACES_MAX + 1];
    struct capture_request r = {
        .name = TEXT("c1"), .filter = TEXT("udp"), .interfaces = names, .interface_count = 2, .snaplen = 96};
    for (size_t i = 0; i <= REQUEST_INTERFACES_MAX; i++)
        names[i] = TEXT("eth0");
    r.keep = KEEP_HEADERS;
    r.bytes = 5;
    assert_int_equal(order_from_request(&r, 0, UINT64_MAX, NOW_NS, &o, &e), 0);
    assert_string_equal(o.filter, "udp");
    assert_string_equal(o.interfaces[1], "eth0");
    assert_string_equal(o.interfaces[2], "");
    assert_int_equal(o.keep, KEEP_HEADERS);
    assert_int_equal(o.bytes, 5);
    assert_true(o.start_ns == 0 && o.end_ns == 0);
    /* Times are relative on the wire, so that clocks need not agree */
    assert_int_equal(order_from_request(&r, 10, 70, NOW_NS, &o, &e), 0);
    assert_true(o.start_ns == NOW_NS + 10 && o.end_ns == NOW_NS + 70);
    /* So long, and no longer, whatever else is said */
    r.for_ns = 30;
    assert_int_equal(order_from_request(&r, 10, 70, NOW_NS, &o, &e), 0);
    assert_true(o.start_ns == NOW_NS + 10 && o.end_ns == NOW_NS + 40);
    assert_int_equal(order_from_request(&r, 0, UINT64_MAX, NOW_NS, &o, &e), 0);
    assert_true(o.end_ns == NOW_NS + 30);
    assert_int_equal(order_from_request(&r, 0, 5, NOW_NS, &o, &e), 0);
    assert_true(o.end_ns == NOW_NS + 5);
    r.interface_count = REQUEST_INTERFACES_MAX + 1;
    assert_int_equal(order_from_request(&r, 0, UINT64_MAX, NOW_NS, &o, &e), ERROR_LIMIT);
    r.interface_count = 1;
    names[0] = TEXT("a-name-of-an-interface-that-is-by-far-too-long-to-be-one-in-linux-ever");
    assert_int_equal(order_from_request(&r, 0, UINT64_MAX, NOW_NS, &o, &e), ERROR_LIMIT);
}

static void only_whole_structs_pass(void **state)
{
    (void)state;
    struct monitor_request q = {.magic = ORDER_MAGIC, .kind = REQUEST_START};
    struct monitor_report r = {.magic = ORDER_MAGIC, .kind = REPORT_STATE, .stream_count = 1000};
    assert_true(monitor_request_is_sound(&q, sizeof q));
    assert_false(monitor_request_is_sound(&q, sizeof q - 1));
    q.kind = REQUEST_RECOVER + 1;
    assert_false(monitor_request_is_sound(&q, sizeof q));
    memset(r.text, 'x', sizeof r.text);
    memset(r.interfaces, 'x', sizeof r.interfaces);
    assert_true(monitor_report_is_sound(&r, sizeof r));
    assert_int_equal(strlen(r.text), sizeof r.text - 1);
    assert_int_equal(strlen(r.interfaces[3]), ORDER_NAME_MAX - 1);
    assert_int_equal(r.stream_count, REPORT_STREAMS_MAX);
    assert_false(monitor_report_is_sound(&r, 10));
}

static void count(void *context, const struct order_record *o)
{
    unsigned *n = context;
    assert_string_equal(o->order.name, "c1");
    assert_int_equal(o->order.used_packets, 12);
    (*n)++;
}

static void what_is_kept_comes_back(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    char *folder = support_folder(), spool[512];
    snprintf(spool, sizeof spool, "%s/spool", folder);
    struct order_record o = {.order = sound()};
    unsigned n = 0;
    o.order.used_packets = 12;
    assert_int_equal(order_save(spool, &o, &e), 0);
    assert_int_equal(order_save(spool, &o, &e), 0);
    const char *path = support_path(folder, "spool.orders/07070707070707070707070707070707");
    assert_int_equal(order_load_all(spool, count, &n, &e), 0);
    assert_int_equal(n, 1);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* A damaged one is removed: the collector orders it again */
    log_setup("test", LOG_LEVEL_ERROR);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(order_load_all(spool, count, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(order_save(spool, &o, &e), 0);
    assert_int_equal(order_remove(spool, o.order.id, &e), 0);
    assert_int_equal(order_load_all(spool, count, &n, &e), 0);
    assert_int_equal(n, 1);
    support_folder_remove(folder);
}

static void selectors_mean_whom_they_name(void **state)
{
    (void)state;
    static const char *const labels[] = {"role=web", "dc=fra1"};
    static const struct {
        const char *on, *label, *label2;
        bool means;
    } cases[] = {
        {NULL, NULL, NULL, true},
        {"web-*", NULL, NULL, true},
        {"db-*", NULL, NULL, false},
        {NULL, "role=web", NULL, true},
        {NULL, "role=web,dc=fra*", NULL, true},
        {NULL, "role=web,dc=ams", NULL, false},
        {NULL, "role=db", "dc=fra1", true},
        {"db-*", "role=web", NULL, false},
        {NULL, "rol=web", NULL, false},
        {NULL, "role=we", NULL, false},
        {NULL, "role=web,", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *on[] = {TEXT(cases[i].on)}, *label[] = {TEXT(cases[i].label), TEXT(cases[i].label2)};
        struct capture_request r = {.on = on, .on_count = cases[i].on != NULL, .labels = label};
        r.label_count = (cases[i].label ? 1u : 0u) + (cases[i].label2 ? 1u : 0u);
        assert_int_equal(selector_means(&r, "web-1", labels, 2), cases[i].means);
    }
    struct error e = ERROR_INIT;
    assert_int_equal(selector_check_labels("role=web,dc=fra", &e), 0);
    static const char *const bad[] = {"", "role", "=web", "role=web,", "role=web,dc"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(selector_check_labels(bad[i], &e), ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_is_looked_at),       cmocka_unit_test(a_request_becomes_an_order),
        cmocka_unit_test(only_whole_structs_pass),       cmocka_unit_test(what_is_kept_comes_back),
        cmocka_unit_test(selectors_mean_whom_they_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
