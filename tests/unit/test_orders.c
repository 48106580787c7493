/*
 * Orders: what a command to start comes to, who is asked, who is waited for, and what is refused before anybody is.
 * The collector's loop, with agents and clients of the test's own.
 */
#include "tests/unit/orders_support.h"

#include <string.h>

/* ------------------------------------------------------------------ start */
static void all_say_yes(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", "role=web"), *web2 = peer_connect(w, "web-2", ""),
                *db = peer_connect(w, "db-1", "role=db"), *client = peer_client(w);
    struct capture_request r = request_of("http", "web-*");
    assert_int_equal(peer_start(client, &r, false), 0);
    assert_string_equal(client->text, "");
    UNTIL(w, peer_order(web1, "http") == 0 && peer_order(web2, "http") == 0);
    assert_int_equal(db->checks + db->order_count, 0);
    assert_in_range(web1->left_ns[0], 50 * NS_PER_S, 60 * NS_PER_S);
    json_t *done = peer_manifest(client);
    assert_string_equal(json_text(done, "id"), "01000000000000000000000000000001");
    assert_string_equal(json_text(done, "capture"), "http");
    assert_string_equal(json_text(done, "selector"), "--on 'web-*'");
    assert_string_equal(json_text(done, "who"), "me@here");
    assert_string_equal(json_text(done, "state"), "pending");
    json_t *agent = json_agent(done, "web-2");
    assert_string_equal(json_text(agent, "phase"), "pending");
    assert_int_equal(json_array_size(json_object_get(agent, "interfaces")), 2);
    assert_int_equal(json_integer_value(json_object_get(agent, "packets_per_s")), 1000);
    assert_null(json_agent(done, "db-1"));
    json_decref(done);
}

static void agents_tell_how_they_do(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *client = peer_client(w);
    orders_assert_starts(client, "http", "web-*");
    UNTIL(w, web1->order_count && web2->order_count);
    orders_assert_state(client, "http", "pending");
    peer_tell(web1, web1->ids[0], PHASE_RUNNING, "", 7);
    peer_tell(web2, web2->ids[0], PHASE_RUNNING, "", 5);
    peer_heard(web1);
    peer_heard(web2);
    json_t *order = orders_one(client, "http");
    assert_string_equal(json_text(order, "state"), "running");
    assert_int_equal(json_integer_value(json_object_get(order, "packets")), 12);
    assert_int_equal(json_integer_value(json_object_get(order, "bytes")), 1200);
    assert_int_equal(json_integer_value(json_object_get(json_agent(order, "web-2"), "packets")), 5);
    json_decref(order);
    peer_tell(web1, web1->ids[0], PHASE_STOPPED, "10 packets", 10);
    peer_heard(web1);
    orders_assert_state(client, "http", "running");
    orders_assert_agent(client, "http", "web-1", "stopped", "10 packets");
    peer_tell(web2, web2->ids[0], PHASE_STOPPED, "10 packets", 10);
    peer_heard(web2);
    orders_assert_state(client, "http", "over"); /* nobody who is meant may yet begin */
}

static void one_no_and_nothing_is_started(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", "web-*");
    web2->no = ERROR_NOT_FOUND;
    assert_int_equal(peer_start(client, &r, false), ERROR_NOT_FOUND);
    peer_assert_said(client, "web-2: no such interface\n");
    peer_assert_said(client, "nothing was started: 1 of 2 agents said no (--partial");
    json_t *done = peer_manifest(client);
    assert_string_equal(json_text(done, "state"), "refused");
    assert_string_equal(json_text(json_agent(done, "web-1"), "phase"), "checked");
    assert_string_equal(json_text(json_agent(done, "web-2"), "phase"), "refused");
    assert_string_equal(json_text(json_agent(done, "web-2"), "text"), "no such interface");
    json_decref(done);
    world_pass_ms(w, 20);
    assert_int_equal(web1->order_count + web2->order_count, 0);
    assert_int_equal(orders_listed(client, ""), 0);
    web2->no = 0;
    assert_int_equal(peer_start(client, &r, false), 0); /* its name and id are free */
}

static void partial_starts_on_the_rest(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", "web-*");
    web2->no = ERROR_REFUSED;
    assert_int_equal(peer_start(client, &r, true), 0);
    peer_assert_said(client, "left out: web-2: no such interface");
    UNTIL(w, web1->order_count == 1);
    orders_assert_agent(client, "http", "web-2", "refused", "no such interface");
    peer_leave(web2);
    web2 = peer_connect(w, "web-2", "");
    assert_int_equal(web2->order_count, 0); /* for good */
    web1->no = ERROR_REFUSED;
    r = request_of("more", "web-1");
    assert_int_equal(peer_start(client, &r, true), ERROR_REFUSED); /* nobody at all can */
    assert_int_equal(orders_listed(client, "more"), 0);
}

static void a_check_starts_nothing(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", NULL);
    struct message_command check = {.kind = COMMAND_CHECK, .request = &r, .request_count = 1};
    assert_int_equal(peer_command(client, &check), 0);
    json_t *done = peer_manifest(client);
    assert_string_equal(json_text(done, "state"), "checked");
    assert_string_equal(json_text(done, "selector"), "-A");
    assert_string_equal(json_text(json_agent(done, "web-1"), "phase"), "checked");
    assert_int_equal(json_integer_value(json_object_get(json_agent(done, "web-1"), "free_bytes")), 1u << 30);
    json_decref(done);
    web2->no = ERROR_USAGE;
    assert_int_equal(peer_command(client, &check), ERROR_USAGE);
    assert_null(strstr(client->text, "started"));
    check.partial = 1;
    assert_int_equal(peer_command(client, &check), 0);
    assert_int_equal(orders_listed(client, ""), 0);
    assert_int_equal(web1->order_count, 0);
}

static void nobody_is_meant(void **state)
{
    struct world *w = *state;
    struct peer *client = peer_client(w);
    struct capture_request r = request_of("http", "db-*");
    assert_int_equal(peer_start(client, &r, true), ERROR_NOT_FOUND);
    peer_assert_said(client, "no agent has ever connected");
    peer_connect(w, "web-1", "role=web");
    assert_int_equal(peer_start(client, &r, true), ERROR_NOT_FOUND);
    peer_assert_said(client, "--on 'db-*'");
    peer_assert_said(client, "known are web-1");
    char *labels[] = {TEXT("role=db")};
    r = request_of("http", NULL);
    r.labels = labels;
    r.label_count = 1;
    assert_int_equal(peer_start(client, &r, false), ERROR_NOT_FOUND);
    peer_assert_said(client, "-l 'role=db'");
    labels[0] = TEXT("role=w*");
    assert_int_equal(peer_start(client, &r, false), 0);
}

static void one_who_is_away_gets_it_when_it_comes(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    peer_leave(peer_connect(w, "web-2", ""));
    orders_assert_starts(client, "http", "web-*");
    peer_assert_said(client, "1 not connected, begins when they come: web-2");
    UNTIL(w, web1->order_count == 1);
    orders_assert_agent(client, "http", "web-2", "pending", "is not connected since 20");
    struct peer *web2 = peer_connect(w, "web-2", "");
    assert_int_equal(peer_order(web2, "http"), 0);
    struct peer *web3 = peer_connect(w, "web-3", ""); /* nobody had heard of it */
    assert_int_equal(peer_order(web3, "http"), 0);
    orders_assert_agent(client, "http", "web-3", "pending", "");
    assert_int_equal(peer_connect(w, "db-1", "")->order_count, 0);
}

static void all_are_away(void **state)
{
    struct world *w = *state;
    struct peer *client = peer_client(w);
    peer_leave(peer_connect(w, "web-1", ""));
    orders_assert_starts(client, "http", "web-*");
    assert_int_equal(peer_order(peer_connect(w, "web-1", ""), "http"), 0);
}

static void one_who_does_not_answer_is_named_and_not_waited_for_long(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", "web-*");
    web2->silent = true;
    struct message_command start = {.kind = COMMAND_START, .request = &r, .request_count = 1, .wait_ms = 100};
    assert_int_equal(peer_command(client, &start), ERROR_UNREACHABLE);
    peer_assert_said(client, "nothing was started: web-2 is connected, but did not answer in time");
    assert_true(fleet_is_silent(fleet_find(w->server.fleet, "web-2"), clock_wall_ns()));
    assert_false(fleet_is_silent(fleet_find(w->server.fleet, "web-1"), clock_wall_ns()));
    start.partial = true;
    assert_int_equal(peer_command(client, &start), 0);
    peer_assert_said(client, "1 did not answer in time: web-2");
    UNTIL(w, web1->order_count && web2->order_count);
    orders_assert_agent(client, "http", "web-2", "pending", "did not answer in time");
    peer_send(web2, &(struct message){.type = MESSAGE_CLOCK, .clock = {.sent_ns = 5}});
    UNTIL(w, web2->clocks == 1);
    assert_false(fleet_is_silent(fleet_find(w->server.fleet, "web-2"), clock_wall_ns()));
}

/* What the asking takes is not taken from the capture. */
static void the_time_counts_from_the_start(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", "web-*");
    uint64_t typed_ns = clock_wall_ns();
    r.for_ns = NS_PER_S;
    r.end_ns = r.expires_ns = typed_ns + 60 * NS_PER_S;
    web2->silent = true;
    struct message_command start = {
        .kind = COMMAND_START, .request = &r, .request_count = 1, .wait_ms = 1200, .partial = true};
    assert_int_equal(peer_command(client, &start), 0);
    UNTIL(w, web1->order_count == 1 && web2->order_count == 1);
    assert_in_range(web1->left_ns[0], 1, NS_PER_S);
    assert_in_range(web1->end_ns[0], typed_ns + 2 * NS_PER_S, typed_ns + 59 * NS_PER_S);
    assert_true(web1->end_ns[0] == web2->end_ns[0]);
}

static void one_who_leaves_before_it_answers_is_away(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", "web-*");
    struct message start = {.type = MESSAGE_COMMAND,
                            .command = {.kind = COMMAND_START, .request = &r, .request_count = 1, .wait_ms = 50000}};
    web1->silent = true;
    peer_send(client, &start);
    UNTIL(w, web1->checks == 1);
    peer_leave(web1);
    UNTIL(w, client->dones == 1);
    assert_int_equal(client->code, 0);
    peer_assert_said(client, "not connected");
}

static void who_asked_may_go(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", "web-*");
    struct message start = {.type = MESSAGE_COMMAND,
                            .command = {.kind = COMMAND_START, .request = &r, .request_count = 1, .wait_ms = 50000}};
    web1->silent = true;
    peer_send(client, &start);
    UNTIL(w, web1->checks == 1);
    peer_leave(client);
    struct message yes = {.type = MESSAGE_CHECKED, .checked = {.token = web1->token}};
    peer_send(web1, &yes);
    UNTIL(w, web1->order_count == 1);
    orders_assert_agent(peer_client(w), "http", "web-1", "pending", "");
}

/* ------------------------------------------------------------------ what cannot be */
static void assert_refused(struct peer *client, struct capture_request *r, int code, const char *text)
{
    unsigned before = client->world->peers[0].checks;
    if (peer_start(client, r, true) != code)
        fail_msg("%d: %s", client->code, client->text);
    peer_assert_said(client, text);
    assert_int_equal(client->world->peers[0].checks, before); /* nobody was asked */
}

static void what_cannot_be_is_refused_before_anybody_is_asked(void **state)
{
    struct world *w = *state;
    peer_connect(w, "web-1", "");
    struct peer *client = peer_client(w);
    char *labels[] = {TEXT("role")}, *many[100], one[201];
    struct capture_request r = request_of("http", NULL);
    r.filter = TEXT("tcp prot 80");
    assert_refused(client, &r, ERROR_USAGE, "\n"); /* with a caret below the place */
    r = request_of("ht*p", NULL);
    assert_refused(client, &r, ERROR_USAGE, "'ht*p' cannot be a capture's name");
    r = request_of(ORDERS_BASELINE, NULL);
    assert_refused(client, &r, ERROR_REFUSED, "is the configuration's");
    r = request_of("http", NULL);
    r.labels = labels;
    r.label_count = 1;
    assert_refused(client, &r, ERROR_USAGE, "label 'role'");
    r = request_of("http", NULL);
    r.end_ns = r.issued_ns - 1;
    assert_refused(client, &r, ERROR_USAGE, "would end at");
    r = request_of("http", NULL);
    r.expires_ns = r.issued_ns - 1;
    assert_refused(client, &r, ERROR_REFUSED, "the request was good until");
    memset(one, 'w', 200);
    one[200] = 0;
    for (size_t i = 0; i < 100; i++)
        many[i] = one;
    r = request_of("http", NULL);
    r.on = many;
    r.on_count = 100;
    assert_refused(client, &r, ERROR_LIMIT, "by patterns");
    assert_int_equal(orders_listed(client, ""), 0);
}

static void filters_of_any_link_type_compile(void **state)
{
    struct world *w = *state;
    peer_connect(w, "web-1", "");
    struct peer *client = peer_client(w);
    struct capture_request r = request_of("wifi", NULL);
    r.filter = TEXT("wlan type mgt");
    if (peer_start(client, &r, false))
        fail_msg("%s", client->text);
}

static void names_are_taken_once(void **state)
{
    struct world *w = *state;
    peer_connect(w, "web-1", "");
    struct peer *client = peer_client(w);
    orders_assert_starts(client, "http", NULL);
    struct capture_request r = request_of("http", NULL);
    assert_refused(client, &r, ERROR_EXISTS, "there is a capture http already (pending)");
    assert_int_equal(peer_name(client, COMMAND_STOP, "http"), 0);
    assert_refused(client, &r, ERROR_EXISTS, "there is a capture http already");
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "http"), 0);
    assert_int_equal(peer_start(client, &r, false), 0);
}

static void one_without_a_name_has_the_beginning_of_its_id(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    struct capture_request r = request_of("", NULL);
    memset(r.id, 0xab, sizeof r.id);
    assert_int_equal(peer_start(client, &r, false), 0);
    UNTIL(w, peer_order(web1, "abababab") == 0);
    orders_assert_state(client, "abab", "pending");
    assert_int_equal(orders_listed(client, "abac"), 0);
}

static void two_commands_at_once(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *clients[3];
    struct capture_request r[3] = {request_of("http", NULL), request_of("http", NULL), request_of("dns", NULL)};
    web1->silent = true;
    for (size_t i = 0; i < 3; i++)
        clients[i] = peer_client(w);
    for (size_t i = 0; i < 3; i++) {
        struct message start = {
            .type = MESSAGE_COMMAND,
            .command = {.kind = COMMAND_START, .request = &r[i], .request_count = 1, .wait_ms = 200, .partial = true}};
        peer_send(clients[i], &start);
    }
    UNTIL(w, clients[0]->dones && clients[1]->dones && clients[2]->dones);
    assert_int_equal(clients[2]->code, 0);
    assert_true((clients[0]->code == 0) != (clients[1]->code == 0)); /* one has the name */
    assert_int_equal(clients[0]->code + clients[1]->code, ERROR_EXISTS);
    assert_int_equal(web1->checks, 2);
    UNTIL(w, web1->order_count == 2 && web2->order_count == 2);
}

static void a_connection_asks_one_thing_at_a_time(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", NULL);
    struct message start = {.type = MESSAGE_COMMAND,
                            .command = {.kind = COMMAND_START, .request = &r, .request_count = 1}};
    web1->silent = true;
    peer_send(client, &start);
    UNTIL(w, web1->checks == 1);
    peer_send(client, &(struct message){.type = MESSAGE_QUERY, .query = {.kind = QUERY_ORDERS}});
    UNTIL(w, client->closes == 1);
    peer_assert_said(client, "one question at a time");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_say_yes),
        TEST(agents_tell_how_they_do),
        TEST(one_no_and_nothing_is_started),
        TEST(partial_starts_on_the_rest),
        TEST(a_check_starts_nothing),
        TEST(nobody_is_meant),
        TEST(one_who_is_away_gets_it_when_it_comes),
        TEST(all_are_away),
        TEST(one_who_does_not_answer_is_named_and_not_waited_for_long),
        TEST(the_time_counts_from_the_start),
        TEST(one_who_leaves_before_it_answers_is_away),
        TEST(who_asked_may_go),
        TEST(what_cannot_be_is_refused_before_anybody_is_asked),
        TEST(filters_of_any_link_type_compile),
        TEST(names_are_taken_once),
        TEST(one_without_a_name_has_the_beginning_of_its_id),
        TEST(two_commands_at_once),
        TEST(a_connection_asks_one_thing_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
