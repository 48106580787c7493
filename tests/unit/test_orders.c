/*
 * Orders: what a command comes to, what agents are told, and what outlives a restart. The collector's loop, with agents and clients of the test's own.
 */
#include "tests/unit/server_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) ((char *)(uintptr_t)(s))

/* The only order that fits, with its agents; the caller's to decref. */
static json_t *the_order(struct peer *client, const char *which)
{
    json_t *list = peer_orders(client, which);
    if (json_array_size(list) != 1)
        fail_msg("%zu captures fit '%s'", json_array_size(list), which);
    json_t *order = json_incref(json_array_get(list, 0));
    json_decref(list);
    return order;
}

static void assert_state(struct peer *client, const char *which, const char *state)
{
    json_t *order = the_order(client, which);
    assert_string_equal(json_text(order, "state"), state);
    json_decref(order);
}

static void assert_agent(struct peer *client, const char *which, const char *agent, const char *phase, const char *text)
{
    json_t *order = the_order(client, which), *a = json_agent(order, agent);
    assert_non_null(a);
    assert_string_equal(json_text(a, "phase"), phase);
    if (!strstr(json_text(a, "text"), text))
        fail_msg("'%s' has no '%s'", json_text(a, "text"), text);
    json_decref(order);
}

static void until_state(struct peer *client, const char *which, const char *state)
{
    bool is = false;
    for (unsigned i = 0; i < 1000 && !is; i++) {
        json_t *order = the_order(client, which);
        is = strcmp(json_text(order, "state"), state) == 0;
        json_decref(order);
        if (!is)
            world_pass_ms(client->world, 20);
    }
    assert_state(client, which, state);
}

static size_t listed(struct peer *client, const char *which)
{
    json_t *list = peer_orders(client, which);
    size_t n = json_array_size(list);
    json_decref(list);
    return n;
}

static void assert_starts(struct peer *client, const char *name, const char *on)
{
    struct capture_request r = request_of(name, on);
    if (peer_start(client, &r, false))
        fail_msg("%s", client->text);
}

static void assert_said(const struct peer *client, const char *text)
{
    if (!strstr(client->text, text))
        fail_msg("'%s' has no '%s'", client->text, text);
}

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
    assert_starts(client, "http", "web-*");
    UNTIL(w, web1->order_count && web2->order_count);
    assert_state(client, "http", "pending");
    peer_tell(web1, web1->ids[0], PHASE_RUNNING, "", 7);
    peer_tell(web2, web2->ids[0], PHASE_RUNNING, "", 5);
    peer_heard(web1);
    peer_heard(web2);
    json_t *order = the_order(client, "http");
    assert_string_equal(json_text(order, "state"), "running");
    assert_int_equal(json_integer_value(json_object_get(order, "packets")), 12);
    assert_int_equal(json_integer_value(json_object_get(order, "bytes")), 1200);
    assert_int_equal(json_integer_value(json_object_get(json_agent(order, "web-2"), "packets")), 5);
    json_decref(order);
    peer_tell(web1, web1->ids[0], PHASE_STOPPED, "10 packets", 10);
    peer_heard(web1);
    assert_state(client, "http", "running");
    assert_agent(client, "http", "web-1", "stopped", "10 packets");
    peer_tell(web2, web2->ids[0], PHASE_STOPPED, "10 packets", 10);
    peer_heard(web2);
    assert_state(client, "http", "over"); /* nobody who is meant may yet begin */
}

static void one_no_and_nothing_is_started(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *client = peer_client(w);
    struct capture_request r = request_of("http", "web-*");
    web2->no = ERROR_NOT_FOUND;
    assert_int_equal(peer_start(client, &r, false), ERROR_NOT_FOUND);
    assert_said(client, "web-2: no such interface\n");
    assert_said(client, "nothing was started: 1 of 2 agents said no (--partial");
    json_t *done = peer_manifest(client);
    assert_string_equal(json_text(done, "state"), "refused");
    assert_string_equal(json_text(json_agent(done, "web-1"), "phase"), "checked");
    assert_string_equal(json_text(json_agent(done, "web-2"), "phase"), "refused");
    assert_string_equal(json_text(json_agent(done, "web-2"), "text"), "no such interface");
    json_decref(done);
    world_pass_ms(w, 20);
    assert_int_equal(web1->order_count + web2->order_count, 0);
    assert_int_equal(listed(client, ""), 0);
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
    assert_said(client, "left out: web-2: no such interface");
    UNTIL(w, web1->order_count == 1);
    assert_agent(client, "http", "web-2", "refused", "no such interface");
    peer_leave(web2);
    web2 = peer_connect(w, "web-2", "");
    assert_int_equal(web2->order_count, 0); /* for good */
    web1->no = ERROR_REFUSED;
    r = request_of("more", "web-1");
    assert_int_equal(peer_start(client, &r, true), ERROR_REFUSED); /* nobody at all can */
    assert_int_equal(listed(client, "more"), 0);
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
    assert_int_equal(listed(client, ""), 0);
    assert_int_equal(web1->order_count, 0);
}

static void nobody_is_meant(void **state)
{
    struct world *w = *state;
    struct peer *client = peer_client(w);
    struct capture_request r = request_of("http", "db-*");
    assert_int_equal(peer_start(client, &r, true), ERROR_NOT_FOUND);
    assert_said(client, "no agent has ever connected");
    peer_connect(w, "web-1", "role=web");
    assert_int_equal(peer_start(client, &r, true), ERROR_NOT_FOUND);
    assert_said(client, "--on 'db-*'");
    assert_said(client, "known are web-1");
    char *labels[] = {TEXT("role=db")};
    r = request_of("http", NULL);
    r.labels = labels;
    r.label_count = 1;
    assert_int_equal(peer_start(client, &r, false), ERROR_NOT_FOUND);
    assert_said(client, "-l 'role=db'");
    labels[0] = TEXT("role=w*");
    assert_int_equal(peer_start(client, &r, false), 0);
}

static void one_who_is_away_gets_it_when_it_comes(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    peer_leave(peer_connect(w, "web-2", ""));
    assert_starts(client, "http", "web-*");
    assert_said(client, "1 not connected, begins when they come: web-2");
    UNTIL(w, web1->order_count == 1);
    assert_agent(client, "http", "web-2", "pending", "is not connected since 20");
    struct peer *web2 = peer_connect(w, "web-2", "");
    assert_int_equal(peer_order(web2, "http"), 0);
    struct peer *web3 = peer_connect(w, "web-3", ""); /* nobody had heard of it */
    assert_int_equal(peer_order(web3, "http"), 0);
    assert_agent(client, "http", "web-3", "pending", "");
    assert_int_equal(peer_connect(w, "db-1", "")->order_count, 0);
}

static void all_are_away(void **state)
{
    struct world *w = *state;
    struct peer *client = peer_client(w);
    peer_leave(peer_connect(w, "web-1", ""));
    assert_starts(client, "http", "web-*");
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
    assert_said(client, "nothing was started: web-2 is connected, but did not answer in time");
    assert_true(fleet_is_silent(fleet_find(w->server.fleet, "web-2"), clock_wall_ns()));
    assert_false(fleet_is_silent(fleet_find(w->server.fleet, "web-1"), clock_wall_ns()));
    start.partial = true;
    assert_int_equal(peer_command(client, &start), 0);
    assert_said(client, "1 did not answer in time: web-2");
    UNTIL(w, web1->order_count && web2->order_count);
    assert_agent(client, "http", "web-2", "pending", "did not answer in time");
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
    assert_said(client, "not connected");
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
    assert_agent(peer_client(w), "http", "web-1", "pending", "");
}

/* ------------------------------------------------------------------ what cannot be */

static void assert_refused(struct peer *client, struct capture_request *r, int code, const char *text)
{
    unsigned before = client->world->peers[0].checks;
    if (peer_start(client, r, true) != code)
        fail_msg("%d: %s", client->code, client->text);
    assert_said(client, text);
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
    assert_int_equal(listed(client, ""), 0);
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
    assert_starts(client, "http", NULL);
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
    assert_state(client, "abab", "pending");
    assert_int_equal(listed(client, "abac"), 0);
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
    assert_said(client, "one question at a time");
}

/* ------------------------------------------------------------------ stop, remove */

static void a_capture_is_stopped_and_removed(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    assert_starts(client, "http", NULL);
    assert_starts(client, "dns", NULL);
    UNTIL(w, web1->order_count == 2);
    uint8_t id[16];
    memcpy(id, web1->ids[peer_order(web1, "http")], sizeof id);
    peer_tell(web1, id, PHASE_RUNNING, "", 1);
    peer_heard(web1);
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "http"), ERROR_BUSY);
    assert_said(client, "http is running: stop it first");
    assert_int_equal(peer_name(client, COMMAND_STOP, "http"), 0);
    json_t *done = peer_manifest(client);
    assert_string_equal(json_text(json_array_get(done, 0), "why"), "stopped by you@there");
    json_decref(done);
    UNTIL(w, web1->order_count == 1);
    assert_int_equal(peer_order(web1, "http"), -1);
    assert_state(client, "http", "stopping");
    peer_tell(web1, id, PHASE_STOPPED, "stopped by the collector's word", 3);
    peer_heard(web1);
    assert_state(client, "http", "over");
    assert_agent(client, "http", "web-1", "stopped", "stopped by you@there");
    assert_int_equal(peer_name(client, COMMAND_STOP, "http"), 0);
    assert_said(client, "http is over already: stopped by you@there");
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "http"), 0);
    assert_int_equal(listed(client, "http"), 0);
    assert_int_equal(peer_name(client, COMMAND_STOP, "http"), ERROR_NOT_FOUND);
    assert_int_equal(peer_name(client, COMMAND_STOP, ""), ERROR_USAGE);
    assert_state(client, "dns", "pending");
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
    assert_said(client, "several ids");
    assert_int_equal(peer_name(client, COMMAND_STOP, "C0C002"), 0);
    assert_state(client, "dns", "over");
    assert_int_equal(peer_name(client, COMMAND_STOP, "http-*"), 0);
    json_t *done = peer_manifest(client);
    assert_int_equal(json_array_size(done), 2);
    json_decref(done);
    UNTIL(w, web1->order_count == 0);
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "*"), 0);
    assert_int_equal(listed(client, ""), 0);
}

static void an_agent_that_stops_while_the_order_stands_can_be_removed(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    assert_starts(client, "http", NULL);
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
    assert_agent(client, "http", "web-1", "missed", "was not connected before the end");
    assert_agent(client, "http", "web-2", "stopped", "its time is over");
    assert_int_equal(peer_connect(w, "web-1", "")->order_count, 0);
    json_t *order = the_order(client, "http");
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
    assert_starts(client, "dns", "web-1");
    UNTIL(w, web1->order_count == 2);
    peer_tell(web1, r.id, PHASE_RUNNING, "", 42);
    peer_heard(web1);
    assert_int_equal(peer_name(client, COMMAND_STOP, "dns"), 0);
    restart(w);
    client = peer_client(w);
    assert_int_equal(listed(client, ""), 2);
    assert_state(client, "dns", "over");
    json_t *order = the_order(client, "http");
    assert_string_equal(json_text(order, "state"), "running");
    assert_string_equal(json_text(order, "filter"), "tcp port 80");
    assert_int_equal(json_integer_value(json_object_get(order, "packets")), 42);
    assert_non_null(strstr(json_text(json_agent(order, "web-1"), "text"), "when it was, it ran"));
    json_decref(order);
    assert_agent(client, "http", "web-2", "refused", "no such interface");
    web1 = peer_connect(w, "web-1", "");
    assert_int_equal(web1->order_count, 1);
    assert_memory_equal(web1->ids[0], r.id, 16);
    peer_tell(web1, r.id, PHASE_RUNNING, "", 50);
    peer_heard(web1);
    assert_agent(client, "http", "web-1", "running", "");
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
    assert_int_equal(listed(peer_client(w), ""), 0);
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
    assert_int_equal(listed(client, ""), ORDERS_MAX);
    assert_int_equal(listed(client, "old-0049"), 0);
    assert_int_equal(listed(client, "old-0050"), 1);
    struct capture_request r = request_of("one-more", NULL);
    assert_int_equal(peer_start(client, &r, false), ERROR_LIMIT);
    assert_said(client, "1000 captures");
    assert_int_equal(peer_name(client, COMMAND_REMOVE, "old-0050"), 0);
    assert_int_equal(peer_start(client, &r, false), 0);
}

/* ------------------------------------------------------------------ limits of an agent */

static void start_many(struct peer *client, unsigned from, unsigned to, const char *on)
{
    char name[16];
    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof name, "c%03u", i);
        assert_starts(client, name, on);
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
    assert_said(client, "web-1: it has 64 captures already");
    assert_int_equal(peer_start(client, &r, true), 0); /* on web-2 */
    assert_int_equal(web1->order_count, NET_ORDERS_MAX);
    assert_int_equal(peer_name(client, COMMAND_STOP, "c000"), 0);
    assert_starts(client, "again", "web-1");
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
    assert_agent(client, "c064", "new-1", "pending", "has 64 captures already");
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
    assert_said(old, "connected anew");
    assert_starts(client, "http", NULL);
    UNTIL(w, new->order_count == 1);
    assert_int_equal(old->checks, 0);
    assert_int_equal(new->checks, 1);
    json_t *order = the_order(client, "http");
    assert_true(json_is_true(json_object_get(json_agent(order, "web-1"), "connected")));
    json_decref(order);
}

static void so_does_the_newest_data_connection(void **state)
{
    struct world *w = *state;
    struct peer *other = peer_data(w, "web-2"), *old = peer_data(w, "web-1"), *new = peer_data(w, "web-1");
    UNTIL(w, old->closes == 1);
    assert_said(old, "connected anew");
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
    assert_int_equal(listed(client, ""), 0);
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
    assert_said(client, "baseline = no");
    assert_starts(client, "http", NULL);
    assert_int_equal(peer_name(client, COMMAND_STOP, "*"), 0);
    assert_state(client, ORDERS_BASELINE, "pending");
    restart(w);
    web1 = peer_connect(w, "web-1", "");
    assert_memory_equal(web1->ids[0], id, sizeof id); /* the same one goes on */
    w->config.baseline = false;
    restart(w);
    assert_int_equal(peer_connect(w, "web-1", "")->order_count, 0);
    assert_state(peer_client(w), ORDERS_BASELINE, "over");
    restart(w);
    assert_int_equal(peer_connect(w, "web-1", "")->order_count, 0);
    w->config.baseline = true;
    restart(w);
    web1 = peer_connect(w, "web-1", "");
    UNTIL(w, peer_order(web1, ORDERS_BASELINE) == 0);
    assert_memory_not_equal(web1->ids[0], id, sizeof id); /* agents know that the old one is over */
    assert_state(peer_client(w), ORDERS_BASELINE, "pending");
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
