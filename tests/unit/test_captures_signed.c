/*
 * Captures whose orders are signed, and those whose orders are not: run once, as signed, for as long as the key is trusted.
 */
#include "common/net/signature.h"
#include "tests/unit/captures_support.h"

#include <stdio.h>
#include <string.h>

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
    place_put_file(t->config.operators, line);
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
    place_put_file(t->config.policy, "allow = yes\n");
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
    place_until_phase(t, PHASE_RUNNING);
    memcpy(stop.id, s.request.id, 16);
    captures_request(t->captures, &stop);
    place_until_phase(t, PHASE_STOPPED);
    refused(t, &s, "was here before");
    captures_free(t->captures); /* a restart forgets nothing */
    assert_int_equal(captures_new(&t->config, place_tell, t, &t->captures, NULL), 0);
    refused(t, &s, "was here before");
}

static void a_signed_order_outlives_a_restart_as_long_as_its_key_is_trusted(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t), other = an_order(t);
    trust(t, &s.key);
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    captures_request(t->captures, &s.to_monitor);
    place_until_phase(t, PHASE_RUNNING);
    captures_free(t->captures);
    assert_int_equal(captures_new(&t->config, place_tell, t, &t->captures, NULL), 0);
    t->last.phase = 0;
    place_until_phase(t, PHASE_RUNNING);
    trust(t, &other.key);
    captures_policy_changed(t->captures);
    place_until_phase(t, PHASE_STOPPED);
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
    place_until_phase(t, PHASE_RUNNING);
    assert_true(t->last.end_ns && t->last.end_ns <= s.request.end_ns + NS_PER_S);
}

static void the_collector_may_shorten_it(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t);
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    s.to_monitor.left_ns = 5 * NS_PER_S;
    captures_request(t->captures, &s.to_monitor);
    place_until_phase(t, PHASE_RUNNING);
    assert_true(t->last.end_ns && t->last.end_ns <= clock_wall_ns() + 5 * NS_PER_S);
}

static void unsigned_orders_are_refused_where_they_are_not_allowed(void **state)
{
    struct place *t = *state;
    place_put_file(t->config.policy, "allow = yes\nbaseline = yes\n");
    place_start(t, 0);
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
    place_put_file(t->config.policy, "allow = yes\nunsigned = yes\nwho = alice@laptop\n");
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
    place_put_file(t->config.policy, "allow = yes\nunsigned = yes\nwho = alice\n");
    put_signed(&stranger, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &stranger, "does not let alice@laptop order");
    place_put_file(t->config.policy, "allow = yes\nunsigned = yes\nwho = alice@laptop\n");
    memset(stranger.request.id, 7, 16);
    put_signed(&stranger, REQUEST_START, SIGNATURE_ORDER);
    captures_request(t->captures, &stranger.to_monitor);
    place_until_phase(t, PHASE_RUNNING);
    captures_free(t->captures);
    assert_int_equal(captures_new(&t->config, place_tell, t, &t->captures, NULL), 0);
    t->last.phase = 0;
    place_until_phase(t, PHASE_RUNNING);
    place_put_file(t->config.policy, "allow = yes\n");
    captures_policy_changed(t->captures);
    place_until_phase(t, PHASE_STOPPED);
    assert_non_null(strstr(t->last.text, "none of those that this host trusts"));
    place_put_file(t->config.policy, "allow = yes\nunsigned = yes\n");
    memcpy(stop.id, stranger.request.id, 16); /* forgets it */
    captures_request(t->captures, &stop);
    refused(t, &stranger, "was here before");
}

/* Begun and stopped again without end, each would leave lines in the host's journal. */
static void what_nobody_signs_does_not_come_without_end(void **state)
{
    struct place *t = *state;
    struct monitor_request begin = request_of(REQUEST_START), stop = request_of(REQUEST_STOP);
    unsigned n = 0;
    fake_interfaces = 0;
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
    place_until_phase(t, PHASE_WAITING);
}

static void a_damaged_memory_of_orders_takes_none(void **state)
{
    struct place *t = *state;
    struct signing s = an_order(t);
    captures_free(t->captures);
    support_write(t->folder, "spool.orders/seen", "x", 1);
    assert_int_equal(captures_new(&t->config, place_tell, t, &t->captures, NULL), 0);
    put_signed(&s, REQUEST_START, SIGNATURE_ORDER);
    refused(t, &s, "is damaged");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
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
