/* The host's policy: each key, each refusal, and what it makes of an order. */
#include "tests/unit/support.h"

#include "agent/capture/conversation.h"
#include "agent/policy.h"
#include "common/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_S 86400u

static struct policy parsed(const char *text)
{
    struct policy p;
    struct error e = ERROR_INIT;
    if (policy_parse("policy", text, strlen(text), &p, &e))
        fail_msg("%s", e.text);
    return p;
}

/* Local time of a day without a change of clocks: the tests run in UTC. */
static uint64_t at(unsigned hour, unsigned minute)
{
    return ((uint64_t)20000 * DAY_S + hour * 3600u + minute * 60u) * NS_PER_S;
}

static struct order asked(void)
{
    return (struct order){.magic = ORDER_MAGIC, .name = "c", .filter = "tcp", .who = "me@here"};
}

static enum policy_verdict judge(const char *text, const char *signed_by, uint64_t now, struct order *o,
                                 char said[POLICY_SAID_MAX], struct error *e)
{
    struct policy p = parsed(text);
    const struct policy_question q = {.signed_by = signed_by, .now_ns = now, .accepted_ns = now};
    enum policy_verdict v = policy_judge(&p, &q, o, said, e);
    policy_free(&p);
    return v;
}

static void refused(const char *text, const char *signed_by, const char *why)
{
    struct error e = ERROR_INIT;
    struct order o = asked();
    char said[POLICY_SAID_MAX];
    assert_int_equal(judge(text, signed_by, at(12, 0), &o, said, &e), POLICY_NO);
    if (!strstr(e.text, why))
        fail_msg("%s: expected '%s' in '%s'", text, why, e.text);
}

static void allowed(const char *text, const char *signed_by)
{
    struct error e = ERROR_INIT;
    struct order o = asked();
    char said[POLICY_SAID_MAX];
    if (judge(text, signed_by, at(12, 0), &o, said, &e) != POLICY_YES)
        fail_msg("%s: %s", text, e.text);
}

static void nothing_is_allowed_that_is_not_said(void **state)
{
    (void)state;
    refused("", "alice", "does not say 'allow = yes'");
    refused("unsigned = yes", NULL, "does not say 'allow = yes'");
    refused("allow = no", "alice", "does not say 'allow = yes'");
    refused("allow = yes", NULL, "nobody has signed");
    allowed("allow = yes", "alice");
    allowed("allow = yes\nunsigned = yes", NULL);
}

static void who_may_ask(void **state)
{
    (void)state;
    refused("allow = yes\nwho = bob\nwho = oncall-*", "alice", "does not let alice order");
    allowed("allow = yes\nwho = bob\nwho = oncall-*", "oncall-7");
    allowed("allow = yes\nwho = bob\nwho = oncall-*", "bob");
    refused("allow = yes\nunsigned = yes\nwho = bob", NULL, "does not let me@here order");
    allowed("allow = yes\nunsigned = yes\nwho = *@here", NULL);
}

static void the_kill_file(void **state)
{
    (void)state;
    char *folder = support_folder(), text[500];
    snprintf(text, sizeof text, "allow = yes\nkill_file = %s/stop", folder);
    allowed(text, "alice");
    support_write(folder, "stop", "", 0);
    refused(text, "alice", "nothing may be captured on this host while");
    support_folder_remove(folder);
    allowed("allow = yes\nkill_file = \"\"", "alice");
}

static struct order narrowed(const char *lines, struct order o, const char *what)
{
    char text[500], said[POLICY_SAID_MAX];
    struct error e = ERROR_INIT;
    snprintf(text, sizeof text, "allow = yes\n%s", lines);
    if (judge(text, "alice", at(12, 0), &o, said, &e) != POLICY_YES)
        fail_msg("%s: %s", lines, e.text);
    if (what ? !strstr(said, what) : said[0] != 0)
        fail_msg("%s: '%s' is not '%s'", lines, said, what ? what : "");
    return o;
}

static void limits_are_narrowed_and_never_widened(void **state)
{
    (void)state;
    struct order free = asked(), small = asked();
    small.snaplen = 64;
    small.packets = 5;
    small.bytes = 1000;
    small.rate = 10;
    small.end_ns = at(12, 1);
    static const char all[] = "snaplen = 96\npackets = 100\nbytes = 1M\nrate = 1k\nduration = 1h";
    struct order o = narrowed(all, free, "at most 96 bytes of a packet");
    assert_int_equal(o.snaplen, 96);
    assert_int_equal(o.packets, 100);
    assert_int_equal(o.bytes, 1 << 20);
    assert_int_equal(o.rate, 1024);
    assert_int_equal(o.end_ns, at(13, 0));
    o = narrowed(all, small, NULL);
    assert_memory_equal(&o, &small, sizeof o);
    narrowed(all, free, "for 1h");
    free.start_ns = at(14, 0);
    o = narrowed("duration = 1h", free, "for 1h");
    assert_int_equal(o.end_ns, at(15, 0));
}

static void what_is_kept(void **state)
{
    (void)state;
    struct order flows = asked();
    flows.keep = KEEP_FLOWS;
    assert_int_equal(narrowed("keep = headers", asked(), "headers alone").keep, KEEP_HEADERS);
    assert_int_equal(narrowed("keep = flows", asked(), "flows alone").keep, KEEP_FLOWS);
    assert_int_equal(narrowed("payload = 0", asked(), "headers alone").keep, KEEP_HEADERS);
    assert_int_equal(narrowed("keep = headers", flows, "nothing of what applications say").keep, KEEP_FLOWS);
    struct order o = narrowed("payload = 64", asked(), "of payload");
    assert_int_equal(o.payload, 64);
    assert_int_equal(o.keep, KEEP_PACKETS);
    assert_int_equal(narrowed("payload = all", asked(), NULL).payload, 0);
    /* Rows tell no more than packets would */
    assert_int_equal(narrowed("payload = all", flows, NULL).no_apps, 0);
    assert_int_equal(narrowed("payload = 64", flows, "of payload").no_apps, 0);
    assert_int_equal(narrowed("payload = 64", flows, "of payload").payload, 64);
    assert_int_equal(narrowed("payload = 0", flows, "nothing of what applications say").no_apps, 1);
    assert_int_equal(narrowed("keep = flows", flows, "nothing of what applications say").no_apps, 1);
    assert_int_equal(narrowed("keep = headers", asked(), "headers alone").no_apps, 1);
}

static void what_rows_do_not_tell(void **state)
{
    (void)state;
    struct policy p;
    struct error e = ERROR_INIT;
    assert_int_equal(narrowed("", asked(), NULL).http_blank, 0);
    assert_int_equal(
        narrowed("blank = path\nblank = User-Agent", asked(), "rows without HTTP's path, user-agent").http_blank,
        HTTP_BLANK_PATH | HTTP_BLANK_USER_AGENT);
    assert_int_equal(narrowed("blank = host\nblank = server\nblank = content-type\nblank = user-agent\nblank = path",
                              asked(), "content-type")
                         .http_blank,
                     HTTP_BLANK_ALL);
    /* What an order says of it itself does not matter. */
    struct order bold = asked();
    bold.http_blank = HTTP_BLANK_HOST;
    assert_int_equal(narrowed("blank = path", bold, "path").http_blank, HTTP_BLANK_PATH);
    static const char wrong[] = "blank = cookie";
    assert_int_equal(policy_parse("p", wrong, strlen(wrong), &p, &e), ERROR_USAGE);
    assert_non_null(strstr(e.text, "blank = cookie"));
    assert_int_equal(policy_http_blank("/nonexistent/policy.conf"), HTTP_BLANK_ALL);
}

static void hours(void **state)
{
    (void)state;
    static const char day[] = "allow = yes\nhours = \"08:00-18:00\"", night[] = "allow = yes\nhours = \"22:00-06:00\"";
    const struct {
        const char *policy;
        unsigned hour, minute;
        bool good;
        uint64_t end_ns;
    } cases[] = {
        {day, 7, 59, false, 0},
        {day, 8, 0, true, at(18, 0)},
        {day, 17, 59, true, at(18, 0)},
        {day, 18, 0, false, 0},
        {night, 23, 0, true, at(24 + 6, 0)},
        {night, 5, 59, true, at(6, 0)},
        {night, 6, 0, false, 0},
        {night, 12, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error e = ERROR_INIT;
        struct order o = asked();
        char said[POLICY_SAID_MAX];
        enum policy_verdict v = judge(cases[i].policy, "alice", at(cases[i].hour, cases[i].minute), &o, said, &e);
        assert_int_equal(v, cases[i].good ? POLICY_YES : POLICY_NO);
        assert_int_equal(o.end_ns, cases[i].end_ns);
    }
    struct policy p = parsed(day);
    assert_int_equal(policy_next_change(&p, at(7, 0)), at(8, 0));
    assert_int_equal(policy_next_change(&p, at(9, 30)), at(18, 0));
    assert_int_equal(policy_next_change(&p, at(20, 0)), at(24 + 8, 0));
    policy_free(&p);
    /* what begins later is judged by its start */
    struct error e = ERROR_INIT;
    struct order later = asked();
    char said[POLICY_SAID_MAX];
    later.start_ns = at(9, 0);
    assert_int_equal(judge(day, "alice", at(7, 0), &later, said, &e), POLICY_YES);
    assert_int_equal(later.end_ns, at(18, 0));
}

static void the_baseline_is_nobody_s_order(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    struct order baseline = {.magic = ORDER_MAGIC, .name = "baseline", .keep = KEEP_FLOWS};
    char said[POLICY_SAID_MAX];
    const struct {
        const char *policy;
        enum policy_verdict verdict;
    } cases[] = {{"", POLICY_LATER},
                 {"allow = yes", POLICY_LATER},
                 {"baseline = yes", POLICY_LATER},
                 {"allow = yes\nbaseline = yes", POLICY_YES},
                 {"allow = yes\nbaseline = yes\nwho = bob\nduration = 1s", POLICY_YES},
                 {"allow = yes\nunsigned = yes", POLICY_YES}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct order o = baseline;
        assert_int_equal(judge(cases[i].policy, NULL, at(12, 0), &o, said, &e), cases[i].verdict);
        assert_int_equal(o.end_ns, 0);
    }
    /* and nothing else is the baseline */
    struct order packets = baseline, filtered = baseline, elsewhere = baseline, named = baseline;
    packets.keep = KEEP_PACKETS;
    strcpy(filtered.filter, "tcp");
    strcpy(elsewhere.interfaces[0], "lo");
    strcpy(named.name, "other");
    struct order *others[] = {&packets, &filtered, &elsewhere, &named};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(judge("allow = yes\nbaseline = yes", NULL, at(12, 0), others[i], said, &e), POLICY_NO);
}

static void interfaces(void **state)
{
    (void)state;
    struct policy some = parsed("allow = yes\ninterface = eth*\ninterface = wlan0"), all = parsed("allow = yes"),
                  none = parsed("interface = eth*");
    assert_true(policy_interface(&some, "eth7"));
    assert_true(policy_interface(&some, "wlan0"));
    assert_false(policy_interface(&some, "lo"));
    assert_false(policy_interface(&some, "any"));
    assert_true(policy_interface(&all, "any"));
    assert_false(policy_interface(&none, "eth7"));
    policy_free(&none);
    policy_free(&some);
    policy_free(&all);
}

static void what_is_forbidden_is_said(void **state)
{
    (void)state;
    narrowed("forbid_net = 10.1.0.0/16\nforbid_port = 22", asked(), "without net 10.1.0.0/16 or port 22");
    narrowed("interface = eth*", asked(), "only on eth*");
    char many[8000] = "", *p = many;
    for (int i = 0; i < 200; i++)
        p += snprintf(p, 40, "forbid_net = 10.1.%d.0/24\n", i);
    struct policy policy = parsed(many);
    const struct policy_question q = {.signed_by = "a", .now_ns = at(1, 0), .accepted_ns = at(1, 0)};
    struct order o = asked();
    char said[POLICY_SAID_MAX];
    policy.allow = true;
    assert_int_equal(policy_judge(&policy, &q, &o, said, NULL), POLICY_YES);
    assert_true(strlen(said) < POLICY_SAID_MAX);
    policy_free(&policy);
}

static void mistakes_allow_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "allow = maybe",
        "alow = yes",
        "forbid_net = 10.0.0.1/8",
        "forbid_port = ssh",
        "hours = 8-18",
        "hours = \"08:00-25:00\"",
        "hours = \"08:00-08:00\"",
        "hours = \"08:60-18:00\"",
        "keep = all",
        "payload = some",
        "snaplen = 0",
        "snaplen = 1G",
        "duration = 5",
        "kill_file = stop",
        "allow = yes\nallow = yes",
        "allow",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[200];
        struct policy p;
        struct error e = ERROR_INIT;
        snprintf(text, sizeof text, "%s\n%s", strstr(wrong[i], "allow") ? "" : "allow = yes", wrong[i]);
        if (policy_parse("policy", text, strlen(text), &p, &e) == 0)
            fail_msg("taken: %s", wrong[i]);
        assert_non_null(strstr(e.text, "policy"));
        assert_false(p.allow);
        policy_free(&p);
    }
}

static void the_file_must_be_its_owner_s(void **state)
{
    (void)state;
    char *folder = support_folder();
    const char *path = support_path(folder, "policy.conf");
    struct policy p;
    struct error e = ERROR_INIT;
    assert_int_equal(policy_load(path, &p, &e), ERROR_NOT_FOUND);
    support_write(folder, "policy.conf", "allow = yes\n", 12);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(policy_load(path, &p, &e), 0);
    assert_true(p.allow);
    policy_free(&p);
    static const mode_t modes[] = {0664, 0646, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(policy_load(path, &p, &e), ERROR_REFUSED);
        assert_non_null(strstr(e.text, "chmod go-w"));
        assert_false(p.allow);
    }
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(policy_load(path, &p, &e), ERROR_REFUSED);
    assert_int_equal(chmod(folder, 0755), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 1, 1), 0);
        assert_int_equal(policy_load(path, &p, &e), ERROR_REFUSED);
        assert_int_equal(chown(path, 0, 0), 0);
    }
    const char *link = support_path(folder, "link");
    assert_int_equal(symlink(path, link), 0);
    assert_int_not_equal(policy_load(link, &p, &e), 0);
    assert_int_equal(policy_load(folder, &p, &e), ERROR_REFUSED);
    const char *fifo = support_path(folder, "fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(policy_load(fifo, &p, &e), ERROR_REFUSED);
    support_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_allowed_that_is_not_said),
        cmocka_unit_test(who_may_ask),
        cmocka_unit_test(the_kill_file),
        cmocka_unit_test(limits_are_narrowed_and_never_widened),
        cmocka_unit_test(what_is_kept),
        cmocka_unit_test(what_rows_do_not_tell),
        cmocka_unit_test(hours),
        cmocka_unit_test(the_baseline_is_nobody_s_order),
        cmocka_unit_test(interfaces),
        cmocka_unit_test(what_is_forbidden_is_said),
        cmocka_unit_test(mistakes_allow_nothing),
        cmocka_unit_test(the_file_must_be_its_owner_s),
    };
    (void)setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
