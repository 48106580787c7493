/*
 * Orders that stand: how they are stopped, removed and over, what outlives a restart, how many an agent has, and which of its connections counts.
 */
#include "tests/unit/orders_support.h"

#include <stdio.h>
#include <string.h>

static void until_state(struct peer *client, const char *which, const char *state)
{
    bool is = false;
    for (unsigned i = 0; i < 1000 && !is; i++) {
        json_t *order = orders_one(client, which);
        is = strcmp(json_text(order, "state"), state) == 0;
        json_decref(order);
        if (!is)
            world_pass_ms(client->world, 20);
    }
    orders_assert_state(client, which, state);
}

/* ------------------------------------------------------------------ stop, remove */
static void a_capture_is_stopped_and_removed(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    orders_assert_starts(client, "http", NULL);
    orders_assert_starts(client, "dns", NULL);
    UNTIL(w, web1->order_count == 2);
    uint8_t id[16];
    memcpy(id, web1->ids[peer_order(web1, "http")], sizeof id);
    peer_tell(web1, id, PHASE_RUNNING, "", 1);
    peer_heard(web1);
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "http"), ERROR_BUSY);
    peer_assert_said(client, "http is running: stop it first");
    assert_int_equal(peer_name(client, COMMAND_STOP, "http"), 0);
    json_t *done = peer_manifest(client);
    assert_string_equal(json_text(json_array_get(done, 0), "why"), "stopped by you@there");
    json_decref(done);
    UNTIL(w, web1->order_count == 1);
    assert_int_equal(peer_order(web1, "http"), -1);
    orders_assert_state(client, "http", "stopping");
    peer_tell(web1, id, PHASE_STOPPED, "stopped by the collector's word", 3);
    peer_heard(web1);
    orders_assert_state(client, "http", "over");
    orders_assert_agent(client, "http", "web-1", "stopped", "stopped by you@there");
    assert_int_equal(peer_name(client, COMMAND_STOP, "http"), 0);
    peer_assert_said(client, "http is over already: stopped by you@there");
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "http"), 0);
    assert_int_equal(orders_listed(client, "http"), 0);
    assert_int_equal(peer_name(client, COMMAND_STOP, "http"), ERROR_NOT_FOUND);
    assert_int_equal(peer_name(client, COMMAND_STOP, ""), ERROR_USAGE);
    orders_assert_state(client, "dns", "pending");
}

static void names_are_globs_and_ids_are_known_by_their_beginning(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    static const char *const names[] = {"http-a", "http-b", "dns"};
    for (uint8_t i = 0; i < 3; i++) {
        struct capture_request r = request_of(names[i], NULL);
        memset(r.id, 0xc0, sizeof r.id);
        r.id[2] = i;
        assert_int_equal(peer_start(client, &r, false), 0);
    }
    assert_int_equal(peer_name(client, COMMAND_STOP, "c0c0"), ERROR_USAGE);
    peer_assert_said(client, "several ids");
    assert_int_equal(peer_name(client, COMMAND_STOP, "C0C002"), 0);
    orders_assert_state(client, "dns", "over");
    assert_int_equal(peer_name(client, COMMAND_STOP, "http-*"), 0);
    json_t *done = peer_manifest(client);
    assert_int_equal(json_array_size(done), 2);
    json_decref(done);
    UNTIL(w, web1->order_count == 0);
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "*"), 0);
    assert_int_equal(orders_listed(client, ""), 0);
}

static void an_agent_that_stops_while_the_order_stands_can_be_removed(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    orders_assert_starts(client, "http", NULL);
    UNTIL(w, web1->order_count == 1);
    peer_tell(web1, web1->ids[0], PHASE_STOPPED, "10 packets", 10);
    peer_heard(web1);
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "http"), 0);
    UNTIL(w, web1->order_count == 0);
}

/* ------------------------------------------------------------------ time */
static void one_that_is_over_before_the_agent_comes_was_missed(void **state)
{
    struct world *w = *state;
    struct peer *client = peer_client(w);
    struct peer *web2 = peer_connect(w, "web-2", "");
    peer_leave(peer_connect(w, "web-1", ""));
    struct capture_request r = request_of("http", NULL);
    r.end_ns = clock_wall_ns() + 2 * NS_PER_S;
    assert_int_equal(peer_start(client, &r, false), 0);
    UNTIL(w, web2->order_count == 1);
    peer_tell(web2, web2->ids[0], PHASE_RUNNING, "", 1);
    until_state(client, "http", "stopping");
    peer_tell(web2, web2->ids[0], PHASE_STOPPED, "its time is over", 1);
    until_state(client, "http", "over");
    UNTIL(w, fleet_find(w->server.fleet, "web-2")->orders == 0); /* and nobody is told of it any more */
    orders_assert_agent(client, "http", "web-1", "missed", "was not connected before the end");
    orders_assert_agent(client, "http", "web-2", "stopped", "its time is over");
    assert_int_equal(peer_connect(w, "web-1", "")->order_count, 0);
    json_t *order = orders_one(client, "http");
    assert_string_equal(json_text(order, "why"), "its time is over");
    assert_true(json_is_string(json_object_get(order, "ended")));
    json_decref(order);
}

/* ------------------------------------------------------------------ restarts */
static void restart(struct world *w)
{
    world_stop(w);
    world_start(w);
}

static void orders_and_states_outlive_a_restart(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    struct peer *web2 = peer_connect(w, "web-2", "");
    web2->no = ERROR_REFUSED;
    struct capture_request r = request_of("http", NULL);
    assert_int_equal(peer_start(client, &r, true), 0);
    orders_assert_starts(client, "dns", "web-1");
    UNTIL(w, web1->order_count == 2);
    peer_tell(web1, r.id, PHASE_RUNNING, "", 42);
    peer_heard(web1);
    assert_int_equal(peer_name(client, COMMAND_STOP, "dns"), 0);
    restart(w);
    client = peer_client(w);
    assert_int_equal(orders_listed(client, ""), 2);
    orders_assert_state(client, "dns", "over");
    json_t *order = orders_one(client, "http");
    assert_string_equal(json_text(order, "state"), "running");
    assert_string_equal(json_text(order, "filter"), "tcp port 80");
    assert_int_equal(json_integer_value(json_object_get(order, "packets")), 42);
    assert_non_null(strstr(json_text(json_agent(order, "web-1"), "text"), "when it was, it ran"));
    json_decref(order);
    orders_assert_agent(client, "http", "web-2", "refused", "no such interface");
    web1 = peer_connect(w, "web-1", "");
    assert_int_equal(web1->order_count, 1);
    assert_memory_equal(web1->ids[0], r.id, 16);
    peer_tell(web1, r.id, PHASE_RUNNING, "", 50);
    peer_heard(web1);
    orders_assert_agent(client, "http", "web-1", "running", "");
    assert_int_equal(peer_connect(w, "web-2", "")->order_count, 0); /* left out */
}

static void a_restart_amid_a_command_starts_nothing(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", NULL);
    struct message start = {.type = MESSAGE_COMMAND,
                            .command = {.kind = COMMAND_START, .request = &r, .request_count = 1}};
    web1->silent = true;
    peer_send(client, &start);
    UNTIL(w, web1->checks == 1);
    restart(w);
    assert_int_equal(orders_listed(peer_client(w), ""), 0);
}

static void those_that_ended_long_ago_are_forgotten(void **state)
{
    struct world *w = *state;
    struct error e = ERROR_INIT;
    char name[16];
    world_stop(w);
    struct store *s = NULL;
    assert_int_equal(store_open(&w->config.store, &s, &e), 0);
    for (unsigned i = 0; i < ORDERS_MAX + 50; i++) {
        snprintf(name, sizeof name, "old-%04u", i);
        struct capture_request r = request_of(name, "nobody");
        memcpy(r.id, &i, sizeof i);
        struct message m = {.type = MESSAGE_CHECK, .check = {.request = &r, .request_count = 1}};
        struct buffer bytes = {0};
        assert_int_equal(message_encode(&m, &bytes, &e), 0);
        struct store_order o = {.request = bytes.data + NET_HEADER_SIZE,
                                .request_length = bytes.len - NET_HEADER_SIZE,
                                .created_ns = i + 1,
                                .ended_ns = i < 50 + ORDERS_ENDED_MAX ? i + 1 : 0,
                                .why = "",
                                .agents = "[]"};
        memcpy(o.id, r.id, 16);
        o.created_ns = r.issued_ns;
        assert_int_equal(store_order_put(s, &o, &e), 0);
        buffer_free(&bytes);
    }
    store_close(s);
    world_start(w);
    peer_connect(w, "web-1", "");
    struct peer *client = peer_client(w);
    world_pass_ms(w, 50);
    assert_int_equal(orders_listed(client, ""), ORDERS_MAX);
    assert_int_equal(orders_listed(client, "old-0049"), 0);
    assert_int_equal(orders_listed(client, "old-0050"), 1);
    struct capture_request r = request_of("one-more", NULL);
    assert_int_equal(peer_start(client, &r, false), ERROR_LIMIT);
    peer_assert_said(client, "1000 captures");
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "old-0050"), 0);
    assert_int_equal(peer_start(client, &r, false), 0);
}

/* ------------------------------------------------------------------ limits of an agent */
static void start_many(struct peer *client, unsigned from, unsigned to, const char *on)
{
    char name[16];
    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof name, "c%03u", i);
        orders_assert_starts(client, name, on);
    }
}

static void an_agent_has_so_many_at_once(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    peer_connect(w, "web-2", "");
    start_many(client, 0, NET_ORDERS_MAX, "web-1");
    UNTIL(w, web1->order_count == NET_ORDERS_MAX);
    struct capture_request r = request_of("more", "web-*");
    assert_int_equal(peer_start(client, &r, false), ERROR_LIMIT);
    peer_assert_said(client, "web-1: it has 64 captures already");
    assert_int_equal(peer_start(client, &r, true), 0); /* on web-2 */
    assert_int_equal(web1->order_count, NET_ORDERS_MAX);
    assert_int_equal(peer_name(client, COMMAND_STOP, "c000"), 0);
    orders_assert_starts(client, "again", "web-1");
    UNTIL(w, peer_order(web1, "again") >= 0 && web1->order_count == NET_ORDERS_MAX);
}

static void one_that_comes_to_too_many_gets_the_oldest_and_the_rest_later(void **state)
{
    struct world *w = *state;
    struct peer *client = peer_client(w);
    peer_leave(peer_connect(w, "web-1", ""));
    peer_leave(peer_connect(w, "web-2", ""));
    for (unsigned i = 0; i < 80; i++) {
        char name[16], *on[] = {TEXT(i % 2 ? "web-1" : "web-2"), TEXT("new-1")};
        snprintf(name, sizeof name, "c%03u", i);
        struct capture_request r = request_of(name, NULL);
        r.on = on;
        r.on_count = 2;
        assert_int_equal(peer_start(client, &r, false), 0);
    }
    struct peer *new = peer_connect(w, "new-1", "");
    assert_int_equal(new->order_count, NET_ORDERS_MAX);
    assert_int_equal(peer_order(new, "c000"), 0);
    assert_int_equal(peer_order(new, "c064"), -1);
    orders_assert_agent(client, "c064", "new-1", "pending", "has 64 captures already");
    assert_int_equal(peer_name(client, COMMAND_STOP, "c000"), 0);
    UNTIL(w, peer_order(new, "c064") >= 0);
    assert_int_equal(new->order_count, NET_ORDERS_MAX);
}

/* ------------------------------------------------------------------ connections */
static void the_newest_control_connection_counts(void **state)
{
    struct world *w = *state;
    struct peer *old = peer_connect(w, "web-1", ""), *new = peer_connect(w, "web-1", ""), *client = peer_client(w);
    UNTIL(w, old->closes == 1);
    peer_assert_said(old, "connected anew");
    orders_assert_starts(client, "http", NULL);
    UNTIL(w, new->order_count == 1);
    assert_int_equal(old->checks, 0);
    assert_int_equal(new->checks, 1);
    json_t *order = orders_one(client, "http");
    assert_true(json_is_true(json_object_get(json_agent(order, "web-1"), "connected")));
    json_decref(order);
}

static void so_does_the_newest_data_connection(void **state)
{
    struct world *w = *state;
    struct peer *other = peer_data(w, "web-2"), *old = peer_data(w, "web-1"), *new = peer_data(w, "web-1");
    UNTIL(w, old->closes == 1);
    peer_assert_said(old, "connected anew");
    assert_int_equal(new->closes, 0);
    assert_int_equal(other->closes, 0);
}

static void clocks_are_answered_at_once(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", "");
    uint64_t before = clock_wall_ns();
    peer_send(web1, &(struct message){.type = MESSAGE_CLOCK, .clock = {.sent_ns = 5}});
    UNTIL(w, web1->clocks == 1);
    assert_int_equal(web1->clock.sent_ns, 5);
    assert_in_range(web1->clock.received_ns, before, web1->clock.replied_ns);
    assert_in_range(web1->clock.replied_ns, web1->clock.received_ns, clock_wall_ns());
}

static void states_of_what_nobody_ordered_are_passed_over(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    uint8_t id[16] = {9};
    peer_tell(web1, id, PHASE_RUNNING, "", 1);
    peer_send(web1, &(struct message){.type = MESSAGE_CHECKED, .checked = {.token = 77}});
    peer_send(web1, &(struct message){.type = MESSAGE_FLUSHED, .flushed = {.token = 77}});
    peer_heard(web1);
    assert_int_equal(orders_listed(client, ""), 0);
    assert_int_equal(web1->closes, 0);
}

/* ------------------------------------------------------------------ the baseline */
static void the_baseline_is_the_configurations(void **state)
{
    struct world *w = *state;
    peer_leave(peer_connect(w, "web-1", ""));
    w->config.baseline = true;
    restart(w);
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    UNTIL(w, peer_order(web1, ORDERS_BASELINE) == 0);
    assert_int_equal(web1->keep[0], KEEP_FLOWS);
    assert_true(web1->left_ns[0] == UINT64_MAX);
    uint8_t id[16];
    memcpy(id, web1->ids[0], sizeof id);
    assert_int_equal(peer_order(peer_connect(w, "new-1", ""), ORDERS_BASELINE), 0);
    assert_int_equal(peer_name(client, COMMAND_STOP, ORDERS_BASELINE), ERROR_REFUSED);
    peer_assert_said(client, "baseline = no");
    orders_assert_starts(client, "http", NULL);
    assert_int_equal(peer_name(client, COMMAND_STOP, "*"), 0);
    orders_assert_state(client, ORDERS_BASELINE, "pending");
    restart(w);
    web1 = peer_connect(w, "web-1", "");
    assert_memory_equal(web1->ids[0], id, sizeof id); /* the same one goes on */
    w->config.baseline = false;
    restart(w);
    assert_int_equal(peer_connect(w, "web-1", "")->order_count, 0);
    orders_assert_state(peer_client(w), ORDERS_BASELINE, "over");
    restart(w);
    assert_int_equal(peer_connect(w, "web-1", "")->order_count, 0);
    w->config.baseline = true;
    restart(w);
    web1 = peer_connect(w, "web-1", "");
    UNTIL(w, peer_order(web1, ORDERS_BASELINE) == 0);
    assert_memory_not_equal(web1->ids[0], id, sizeof id); /* agents know that the old one is over */
    orders_assert_state(peer_client(w), ORDERS_BASELINE, "pending");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_capture_is_stopped_and_removed),
        TEST(names_are_globs_and_ids_are_known_by_their_beginning),
        TEST(an_agent_that_stops_while_the_order_stands_can_be_removed),
        TEST(one_that_is_over_before_the_agent_comes_was_missed),
        TEST(orders_and_states_outlive_a_restart),
        TEST(a_restart_amid_a_command_starts_nothing),
        TEST(those_that_ended_long_ago_are_forgotten),
        TEST(an_agent_has_so_many_at_once),
        TEST(one_that_comes_to_too_many_gets_the_oldest_and_the_rest_later),
        TEST(the_newest_control_connection_counts),
        TEST(so_does_the_newest_data_connection),
        TEST(clocks_are_answered_at_once),
        TEST(states_of_what_nobody_ordered_are_passed_over),
        TEST(the_baseline_is_the_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
