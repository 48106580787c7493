/*
 * Fresh answers: agents are asked for what they have before a question about the present is answered, and what cannot be had is said.
 */
#include "tests/unit/server_support.h"
#include "tests/unit/store_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct message_query question(uint64_t fresh_ms)
{
    return (struct message_query){.kind = QUERY_FLOWS,
                                  .filter = TEXT("port 9999"),
                                  .until_ns = UINT64_MAX,
                                  .link_type = UINT32_MAX,
                                  .fresh_ms = fresh_ms};
}

static void ask_only(struct peer *client, const struct message_query *q)
{
    peer_send(client, &(struct message){.type = MESSAGE_QUERY, .query = *q});
}

/* The answer to a question of the present, which must be of this code and say this. */
static void assert_answer(struct peer *client, uint64_t fresh_ms, int code, const char *said)
{
    struct message_query q = question(fresh_ms);
    if (peer_ask(client, &q) != code)
        fail_msg("%d: %s", client->code, client->text);
    if (!strstr(client->text, said))
        fail_msg("'%s' has no '%s'", client->text, said);
}

/* A capture that runs on the agent, as it has told. */
static void run_capture(struct world *w, struct peer *client, struct peer *agent, const char *name)
{
    struct capture_request r = request_of(name, agent->name);
    if (peer_start(client, &r, false))
        fail_msg("%s", client->text);
    UNTIL(w, peer_order(agent, name) >= 0);
    peer_tell(agent, r.id, PHASE_RUNNING, "", 1);
    peer_heard(agent);
}

static void flushed(struct peer *agent, uint64_t token, int code)
{
    char text[] = "the disk is full";
    peer_send(agent,
              &(struct message){.type = MESSAGE_FLUSHED, .flushed = {.token = token, .code = code, .text = text}});
}

/* Chunks of a stream of agent web-1 in the store: one, and the stream's end. */
static void store_stream(struct world *w, const char *capture, bool ended)
{
    world_stop(w);
    struct store *s = open_store(w->path, &w->config.store);
    const struct wish chunk = {.stream = 1, .agent = "web-1", .capture = capture, .no_body = true};
    const struct wish end = {.stream = 1, .agent = "web-1", .capture = capture, .seq = 1, .kind = HEAD_END};
    assert_int_equal(commit_head(s, &chunk, T0, NULL), 0);
    if (ended)
        assert_int_equal(commit_head(s, &end, T0, NULL), 0);
    store_close(s);
    world_start(w);
}

/* ------------------------------------------------------------------ who is asked */

static void nobody_is_asked_who_has_nothing(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    assert_answer(client, 5000, 0, "");
    struct capture_request r = request_of("http", "web-2");
    peer_leave(peer_connect(w, "web-2", ""));
    assert_int_equal(peer_start(client, &r, false), 0);
    assert_answer(client, 5000, 0, ""); /* web-2 has not been told of it */
    assert_int_equal(web1->flushes, 0);
}

static void who_captures_is_asked(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    run_capture(w, client, web1, "http");
    assert_answer(client, 5000, 0, "");
    assert_int_equal(web1->flushes, 1);
    assert_string_equal(web1->flush_capture, "");
    assert_answer(client, 5000, 0, "");
    assert_int_equal(web1->flushes, 2); /* what was captured meanwhile */
    struct message_query q = question(5000);
    q.kind = QUERY_STATUS;
    assert_int_equal(peer_ask(client, &q), 0);
    assert_int_equal(web1->flushes, 2);
}

static void only_those_that_the_question_concerns(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *db1 = peer_connect(w, "db-1", ""), *client = peer_client(w);
    char *agents[] = {TEXT("db-*")};
    run_capture(w, client, web1, "http");
    run_capture(w, client, db1, "sql");
    struct message_query q = question(5000);
    q.capture = TEXT("ht*");
    assert_int_equal(peer_ask(client, &q), 0);
    assert_int_equal(web1->flushes, 1);
    assert_int_equal(db1->flushes, 0);
    assert_string_equal(web1->flush_capture, "ht*");
    q = question(5000);
    q.agents = agents;
    q.agent_count = 1;
    assert_int_equal(peer_ask(client, &q), 0);
    assert_int_equal(web1->flushes, 1);
    assert_int_equal(db1->flushes, 1);
}

static void a_question_of_the_past_is_answered_from_the_store(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    run_capture(w, client, web1, "http");
    assert_answer(client, 5000, 0, "");
    struct message_query q = question(5000);
    q.until_ns = clock_wall_ns() - 5 * NS_PER_S; /* all until then has come */
    assert_int_equal(peer_ask(client, &q), 0);
    q.until_ns = clock_wall_ns() - 3600 * NS_PER_S; /* nobody had captured yet */
    assert_int_equal(peer_ask(client, &q), 0);
    assert_int_equal(web1->flushes, 1);
}

/* ------------------------------------------------------------------ several at once */

static void those_who_come_meanwhile_share_the_next(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *clients[4];
    for (size_t i = 0; i < 4; i++)
        clients[i] = peer_client(w);
    run_capture(w, clients[0], web1, "http");
    clients[0]->dones = 0;
    web1->holds = true;
    struct message_query q = question(FRESH_MOST_MS);
    ask_only(clients[0], &q);
    UNTIL(w, web1->flushes == 1);
    for (size_t i = 1; i < 4; i++)
        ask_only(clients[i], &q);
    UNTIL(w, w->server.queries == 4);
    world_pass_ms(w, 50);
    assert_int_equal(web1->flushes, 1);
    flushed(web1, web1->token, 0);
    UNTIL(w, clients[0]->dones == 1 && web1->flushes == 2);
    world_pass_ms(w, 20);
    assert_int_equal(clients[1]->dones + clients[2]->dones + clients[3]->dones, 0);
    flushed(web1, web1->token + 7, 0); /* of no FLUSH that we sent */
    flushed(web1, web1->token, 0);
    UNTIL(w, clients[1]->dones && clients[2]->dones && clients[3]->dones);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(clients[i]->code, 0);
    assert_int_equal(web1->flushes, 2);
}

static void different_captures_share_one_of_all(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *clients[3];
    for (size_t i = 0; i < 3; i++)
        clients[i] = peer_client(w);
    run_capture(w, clients[0], web1, "http");
    run_capture(w, clients[0], web1, "dns");
    clients[0]->dones = 0;
    web1->holds = true;
    struct message_query q = question(FRESH_MOST_MS);
    q.capture = TEXT("http");
    ask_only(clients[0], &q);
    UNTIL(w, web1->flushes == 1);
    ask_only(clients[1], &q);
    q.capture = TEXT("dns");
    ask_only(clients[2], &q);
    UNTIL(w, w->server.queries == 3);
    flushed(web1, web1->token, 0);
    UNTIL(w, web1->flushes == 2);
    assert_string_equal(web1->flush_capture, "");
    flushed(web1, web1->token, 0);
    UNTIL(w, clients[0]->dones && clients[1]->dones && clients[2]->dones);
}

/* ------------------------------------------------------------------ who does not answer */

static void who_does_not_answer_is_told(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *web2 = peer_connect(w, "web-2", ""), *client = peer_client(w);
    run_capture(w, client, web1, "http");
    run_capture(w, client, web2, "dns");
    web2->holds = true;
    assert_answer(client, 100, ERROR_INCOMPLETE,
                  "web-2: did not hand over what it captured within 100 ms, nothing arrived yet");
    assert_null(strstr(client->text, "web-1"));
    json_t *manifest = peer_manifest(client);
    assert_true(json_is_false(json_object_get(manifest, "complete")));
    json_decref(manifest);
    assert_answer(client, 0, ERROR_INCOMPLETE, "web-2: was not asked");
    web2->holds = false; /* the first FLUSH is not answered any more: the next waits for it */
    flushed(web2, web2->token, 0);
    assert_answer(client, 5000, 0, "");
}

static void who_cannot_is_told(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    run_capture(w, client, web1, "http");
    web1->holds = true;
    struct message_query q = question(5000);
    client->dones = 0;
    ask_only(client, &q);
    UNTIL(w, web1->flushes == 1);
    flushed(web1, web1->token, ERROR_FULL);
    UNTIL(w, client->dones == 1);
    assert_int_equal(client->code, ERROR_INCOMPLETE);
    assert_non_null(strstr(client->text, "web-1: could not hand over all that it captured: the disk is full"));
}

static void who_leaves_is_not_waited_for(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    run_capture(w, client, web1, "http");
    web1->holds = true;
    struct message_query q = question(FRESH_MOST_MS);
    client->dones = 0;
    ask_only(client, &q);
    UNTIL(w, web1->flushes == 1);
    peer_leave(web1);
    UNTIL(w, client->dones == 1);
    assert_int_equal(client->code, ERROR_INCOMPLETE);
    assert_non_null(strstr(client->text, "web-1: is not connected since 20"));
    assert_answer(client, FRESH_MOST_MS, ERROR_INCOMPLETE, "is not connected since");
}

static void a_client_that_leaves_is_forgotten(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w), *other = peer_client(w);
    run_capture(w, client, web1, "http");
    web1->holds = true;
    struct message_query q = question(FRESH_MOST_MS);
    ask_only(client, &q);
    UNTIL(w, web1->flushes == 1);
    ask_only(other, &q);
    UNTIL(w, w->server.queries == 2);
    peer_leave(client);
    UNTIL(w, w->server.queries == 1);
    flushed(web1, web1->token, 0);
    UNTIL(w, web1->flushes == 2);
    flushed(web1, web1->token, 0);
    UNTIL(w, other->dones == 1);
    assert_int_equal(other->code, 0);
    assert_int_equal(w->server.queries, 0);
}

static void the_deadline_holds_for_the_wait(void **state)
{
    struct world *w = *state;
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    run_capture(w, client, web1, "http");
    web1->holds = true;
    struct message_query q = question(FRESH_MOST_MS);
    q.deadline_ms = 100;
    assert_int_equal(peer_ask(client, &q), ERROR_CANCELLED);
    assert_non_null(strstr(client->text, "took longer than allowed"));
}

/* ------------------------------------------------------------------ what open streams mean */

static void an_open_stream_lacks_nothing_once_it_was_flushed(void **state)
{
    struct world *w = *state;
    store_stream(w, "http", false);
    struct peer *client = peer_client(w);
    assert_answer(client, 0, ERROR_INCOMPLETE, "web-1: still sending, data reaches until");
    struct message_query past = question(0);
    past.until_ns = T0 + SECOND;
    assert_int_equal(peer_ask(client, &past), 0); /* until then it was sealed */
    past.until_ns = T0 + SECOND + 1;
    assert_int_equal(peer_ask(client, &past), ERROR_INCOMPLETE);
}

/* Streams of a capture are stored under its name: it is ordered before they come. */
static void order_before(struct world *w, const char *name)
{
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    run_capture(w, client, web1, name);
}

static void a_running_capture_is_complete_until_its_flush(void **state)
{
    struct world *w = *state;
    order_before(w, "http");
    store_stream(w, "http", false);
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    struct message_query q = question(5000);
    q.kind = QUERY_PULL;
    if (peer_ask(client, &q))
        fail_msg("%s", client->text);
    assert_int_equal(web1->flushes, 1);
    assert_answer(client, 0, ERROR_INCOMPLETE,
                  "web-1: was not asked to hand over what it captured last, data reaches until");
}

static void one_that_stopped_is_asked_until_all_is_here(void **state)
{
    struct world *w = *state;
    order_before(w, "http");
    store_stream(w, "http", true);
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    json_t *list = peer_orders(client, "http");
    uint8_t id[16];
    memcpy(id, web1->ids[0], sizeof id);
    json_decref(list);
    peer_tell(web1, id, PHASE_STOPPED, "its time is over", 10);
    peer_heard(web1);
    assert_answer(client, 0, 0, ""); /* its only stream has ended */
    assert_answer(client, 5000, 0, "");
    assert_int_equal(web1->flushes, 1);
    assert_answer(client, 5000, 0, "");
    assert_int_equal(web1->flushes, 1); /* there is no more to come */
}

static void one_that_stopped_without_its_end_lacks_something(void **state)
{
    struct world *w = *state;
    order_before(w, "http");
    store_stream(w, "http", false);
    struct peer *web1 = peer_connect(w, "web-1", ""), *client = peer_client(w);
    peer_tell(web1, web1->ids[0], PHASE_STOPPED, "its time is over", 10);
    peer_heard(web1);
    assert_answer(client, 0, ERROR_INCOMPLETE, "web-1: was not asked");
}

/* ------------------------------------------------------------------ agents */

static void the_list_of_agents_says_who_is_connected(void **state)
{
    struct world *w = *state;
    struct peer *client = peer_client(w);
    peer_connect(w, "web-1", "");
    peer_leave(peer_connect(w, "web-2", ""));
    struct message_query q = {.kind = QUERY_AGENTS, .until_ns = UINT64_MAX};
    assert_int_equal(peer_ask(client, &q), 0);
    json_t *list = json_loadb((const char *)client->result.data, client->result.len, 0, NULL);
    assert_int_equal(json_array_size(list), 2);
    assert_true(json_is_true(json_object_get(json_array_get(list, 0), "connected")));
    assert_true(json_is_false(json_object_get(json_array_get(list, 1), "connected")));
    json_decref(list);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_asked_who_has_nothing),
        TEST(who_captures_is_asked),
        TEST(only_those_that_the_question_concerns),
        TEST(a_question_of_the_past_is_answered_from_the_store),
        TEST(those_who_come_meanwhile_share_the_next),
        TEST(different_captures_share_one_of_all),
        TEST(who_does_not_answer_is_told),
        TEST(who_cannot_is_told),
        TEST(who_leaves_is_not_waited_for),
        TEST(a_client_that_leaves_is_forgotten),
        TEST(the_deadline_holds_for_the_wait),
        TEST(an_open_stream_lacks_nothing_once_it_was_flushed),
        TEST(a_running_capture_is_complete_until_its_flush),
        TEST(one_that_stopped_is_asked_until_all_is_here),
        TEST(one_that_stopped_without_its_end_lacks_something),
        TEST(the_list_of_agents_says_who_is_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
