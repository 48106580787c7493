/*
 * Who may ask for what: a walk over the table of requests, every role and targets within and outside of bounds, by real messages to a real collector; and what bounds do to lists and
 * commands; how much one may have at once. Here certificates are only pretended: session_identity is wrapped; and questions may take for ever: query_run, too.
 */
#include "collector/query/query.h"
#include "collector/server/rights.h"
#include "tests/unit/server_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct identity pretended, of_one;
static const struct session *one; /* is somebody else: of_one */
static bool all_are;              /* pretended, also before it is known what they are */
static bool endless;              /* questions are answered until they are cancelled */

const struct identity *__wrap_session_identity(const struct session *s);
const struct identity *__wrap_session_identity(const struct session *s)
{
    static const struct identity nobody;
    return s == one ? &of_one : all_are || s->role == ROLE_CLIENT ? &pretended : &nobody;
}

void __real_query_run(struct store *s, const struct message_query *q, const struct query_bounds *bounds,
                      const struct query_live *live, const struct query_sink *sink, const atomic_bool *cancel,
                      struct query_outcome *out);
void __wrap_query_run(struct store *s, const struct message_query *q, const struct query_bounds *bounds,
                      const struct query_live *live, const struct query_sink *sink, const atomic_bool *cancel,
                      struct query_outcome *out);
void __wrap_query_run(struct store *s, const struct message_query *q, const struct query_bounds *bounds,
                      const struct query_live *live, const struct query_sink *sink, const atomic_bool *cancel,
                      struct query_outcome *out)
{
    if (!endless) {
        __real_query_run(s, q, bounds, live, sink, cancel, out);
        return;
    }
    out->code = sink->write(sink->context, "begins", 6, true, NULL);
    while (!atomic_load(cancel))
        usleep(1000);
    out->code = ERROR_CANCELLED;
}

static void be(uint8_t kind, const char *name)
{
    pretended = (struct identity){.kind = kind};
    snprintf(pretended.name, sizeof pretended.name, "%s", name);
}

static char *text_of(const char *fixed)
{
    return (char *)(uintptr_t)fixed;
}

static void add_user(struct peer *p, const char *json)
{
    struct identity was = pretended;
    be(IDENTITY_NONE, "");
    if (peer_admin(p, ADMIN_USER_ADD, json))
        fail_msg("%s: %s", json, p->text);
    pretended = was;
}

/* ------------------------------------------------------------------ the walk */

static const char *const roles[] = {"viewer", "analyst", "operator", "admin"};

/* One request of each kind, as harmless as there is; the target is an agent's label. */
static int request(struct peer *p, const struct rights_rule *rule, const char *label)
{
    char *labels[] = {text_of(label)};
    struct capture_request r = request_of("walk", NULL);
    struct message_command c = {.kind = rule->kind, .which = text_of("none*"), .request = &r};
    struct message_query q = {.kind = rule->kind, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    r.labels = labels;
    r.label_count = label[0] != 0;
    c.request_count = rule->kind == COMMAND_CHECK || rule->kind == COMMAND_START;
    if (rule->type == MESSAGE_QUERY)
        return peer_ask(p, &q);
    if (rule->type == MESSAGE_COMMAND)
        return peer_command(p, &c);
    return peer_admin(p, (enum admin_kind)rule->kind, "{}");
}

static bool was_refused(const struct peer *p, const struct rights_rule *rule)
{
    return p->code == ERROR_REFUSED && strncmp(p->text, rule->name, strlen(rule->name)) == 0;
}

/* Whatever comes of a request that is allowed (there may be nothing to stop), it is not refused for the role's sake. */
static void each_role_may_what_the_table_says(void **state)
{
    struct world *w = *state;
    struct peer *p = peer_client(w);
    peer_connect(w, "web-1", "role=web");
    const struct rights_rule *rule;
    size_t count = 0;
    for (size_t i = 0; i < 4; i++) {
        char json[200];
        snprintf(json, sizeof json, "{\"name\":\"%s\",\"role\":\"%s\"}", roles[i], roles[i]);
        add_user(p, json);
    }
    for (size_t i = 0; (rule = rights_rule_at(i)); i++)
        for (int role = RIGHTS_VIEWER; role <= RIGHTS_ADMIN; role++, count++) {
            be(IDENTITY_USER, rights_role_name(role));
            (void)request(p, rule, "");
            bool allowed = role >= (int)rule->least;
            if (was_refused(p, rule) == allowed)
                fail_msg("%s as %s: %d %s", rule->name, rights_role_name(role), p->code, p->text);
        }
    assert_int_equal(count, 4 * 21);
}

/* Every kind of every message that a client may send is in the table, once. */
static void the_table_has_every_request(void **state)
{
    (void)state;
    static const struct {
        enum message_type type;
        uint8_t last;
    } all[] = {{MESSAGE_QUERY, QUERY_EXCHANGES}, {MESSAGE_COMMAND, COMMAND_REMOVE}, {MESSAGE_ADMIN, ADMIN_AUDIT}};
    for (size_t t = 0; t < 3; t++)
        for (uint8_t kind = 1; kind <= all[t].last; kind++) {
            size_t found = 0;
            const struct rights_rule *rule;
            for (size_t i = 0; (rule = rights_rule_at(i)); i++)
                found += rule->type == all[t].type && rule->kind == kind;
            if (found != 1)
                fail_msg("%s %d stands there %zu times", message_type_name((int)all[t].type), kind, found);
        }
}

static void who_is_not_known_has_no_rights(void **state)
{
    struct world *w = *state;
    struct peer *p = peer_client(w);
    const struct rights_rule *rule;
    for (size_t i = 0; (rule = rights_rule_at(i)); i++) {
        be(IDENTITY_USER, "stranger");
        assert_int_equal(request(p, rule, ""), ERROR_REFUSED);
        assert_non_null(strstr(p->text, "admin user add stranger"));
        be(IDENTITY_AGENT, "web-1");
        assert_int_equal(request(p, rule, ""), ERROR_REFUSED);
        be(IDENTITY_COLLECTOR, "hub");
        assert_int_equal(request(p, rule, ""), ERROR_REFUSED);
    }
}

/* ------------------------------------------------------------------ bounds */

/* Each kind of bound with each request: held to it, or refused. */
static void what_cannot_be_held_to_a_bound_is_refused(void **state)
{
    static const struct {
        const char *json;
        uint8_t bit;
    } bounds[] = {{"\"labels\":[\"role=web\"]", RIGHTS_HOLDS_LABELS},
                  {"\"filter\":\"port 80\"", RIGHTS_HOLDS_FILTER},
                  {"\"snaplen\":96", RIGHTS_HOLDS_SNAPLEN},
                  {"\"range_ns\":3600000000000", RIGHTS_HOLDS_RANGE}};
    struct world *w = *state;
    struct peer *p = peer_client(w);
    peer_connect(w, "web-1", "role=web");
    for (size_t b = 0; b < 4; b++) {
        char json[200];
        const struct rights_rule *rule;
        snprintf(json, sizeof json, "{\"name\":\"bo\",\"role\":\"operator\",%s}", bounds[b].json);
        add_user(p, json);
        be(IDENTITY_USER, "bo");
        for (size_t i = 0; (rule = rights_rule_at(i)) && rule->type == MESSAGE_QUERY; i++) {
            (void)request(p, rule, "");
            if (was_refused(p, rule) == ((rule->holds & bounds[b].bit) != 0))
                fail_msg("%s with %s: %d %s", rule->name, bounds[b].json, p->code, p->text);
        }
    }
}

static void lists_have_the_agents_within(void **state)
{
    struct world *w = *state;
    struct peer *p = peer_client(w);
    peer_connect(w, "web-1", "role=web,dc=fra");
    peer_connect(w, "web-2", "role=web,dc=ams");
    peer_connect(w, "db-1", "role=db");
    struct capture_request all = request_of("all", NULL), db = request_of("only-db", "db-*");
    assert_int_equal(peer_start(p, &all, false), 0);
    assert_int_equal(peer_start(p, &db, false), 0);
    add_user(p, "{\"name\":\"ann\",\"role\":\"viewer\",\"labels\":[\"role=web\"]}");
    be(IDENTITY_USER, "ann");

    struct message_query q = {.kind = QUERY_AGENTS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    assert_int_equal(peer_ask(p, &q), 0);
    json_t *agents = json_loadb((const char *)p->result.data, p->result.len, 0, NULL);
    assert_int_equal(json_array_size(agents), 2);
    assert_string_equal(json_text(json_array_get(agents, 0), "agent"), "web-1");
    json_decref(agents);
    json_t *manifest = peer_manifest(p);
    assert_string_equal(json_text(json_object_get(manifest, "bounds"), "labels"), "role=web");
    json_decref(manifest);

    char *globs[] = {text_of("db-*"), text_of("*-1")};
    q.agents = globs;
    q.agent_count = 2;
    assert_int_equal(peer_ask(p, &q), 0);
    agents = json_loadb((const char *)p->result.data, p->result.len, 0, NULL);
    assert_int_equal(json_array_size(agents), 1);
    json_decref(agents);
    q.agent_count = 1;
    assert_int_equal(peer_ask(p, &q), 0);
    agents = json_loadb((const char *)p->result.data, p->result.len, 0, NULL);
    assert_int_equal(json_array_size(agents), 0);
    json_decref(agents);

    json_t *orders = peer_orders(p, "");
    assert_int_equal(json_array_size(orders), 1);
    assert_string_equal(json_text(json_array_get(orders, 0), "capture"), "all");
    assert_int_equal(json_array_size(json_object_get(json_array_get(orders, 0), "agents")), 2);
    assert_null(json_agent(json_array_get(orders, 0), "db-1"));
    json_decref(orders);

    be(IDENTITY_NONE, "");
    orders = peer_orders(p, "");
    assert_int_equal(json_array_size(orders), 2);
    json_decref(orders);
}

static int start_with(struct peer *p, const char *name, const char *const *labels, uint32_t count, const char *filter,
                      uint32_t snaplen)
{
    struct capture_request r = request_of(name, NULL);
    r.labels = (char **)(uintptr_t)labels;
    r.label_count = count;
    r.filter = text_of(filter);
    r.snaplen = snaplen;
    return peer_start(p, &r, false);
}

static void an_operator_starts_and_stops_within_his_labels(void **state)
{
    static const char *const web[] = {"role=web"}, *const fra[] = {"dc=fra,role=web"}, *const db[] = {"role=db"},
                             *const two[] = {"role=web", "role=db"}, *const glob[] = {"role=we*"};
    struct world *w = *state;
    struct peer *p = peer_client(w);
    peer_connect(w, "web-1", "role=web,dc=fra");
    struct peer *db1 = peer_connect(w, "db-1", "role=db");
    add_user(p, "{\"name\":\"bo\",\"role\":\"operator\",\"labels\":[\"role=web\"]}");
    be(IDENTITY_USER, "bo");
    assert_int_equal(start_with(p, "a", web, 1, "", 0), 0);
    assert_int_equal(start_with(p, "b", fra, 1, "", 0), 0);
    assert_int_equal(start_with(p, "c", NULL, 0, "", 0), ERROR_REFUSED);
    assert_non_null(strstr(p->text, "order it with --label role=web"));
    assert_int_equal(start_with(p, "d", db, 1, "", 0), ERROR_REFUSED);
    assert_int_equal(start_with(p, "e", two, 2, "", 0), ERROR_REFUSED);
    assert_int_equal(start_with(p, "f", glob, 1, "", 0), ERROR_REFUSED); /* would mean role=wexyz, too */
    assert_int_equal(db1->checks, 0);
    assert_int_equal(db1->order_count, 0);

    be(IDENTITY_NONE, "");
    assert_int_equal(start_with(p, "db", db, 1, "", 0), 0);
    be(IDENTITY_USER, "bo");
    assert_int_equal(peer_name(p, COMMAND_STOP, "db"), ERROR_REFUSED);
    assert_int_equal(peer_name(p, COMMAND_STOP, "*"), ERROR_REFUSED);
    assert_int_equal(db1->order_count, 1);
    assert_int_equal(peer_name(p, COMMAND_STOP, "a"), 0);
    json_t *stopped = peer_manifest(p);
    assert_string_equal(json_text(json_array_get(stopped, 0), "why"), "stopped by bo");
    json_decref(stopped);
    be(IDENTITY_NONE, "");
    assert_int_equal(peer_name(p, COMMAND_STOP, "db"), 0);
    be(IDENTITY_USER, "bo");
    assert_int_equal(peer_name(p, COMMAND_REMOVE, "db"), ERROR_REFUSED);
}

static void an_operator_captures_within_filter_and_snaplen(void **state)
{
    static const struct {
        const char *filter;
        uint32_t snaplen;
        int code;
    } cases[] = {
        {"port 80", 96, 0},
        {"(port 80) and (host 10.0.0.1 or udp)", 64, 0},
        {"(port 80) and (host 10.0.0.1) and (tcp)", 96, ERROR_REFUSED}, /* not of that form; says how */
        {"(port 80) and ((host 10.0.0.1) and (tcp))", 96, 0},
        {"(port 80) and (tcp) or (udp)", 96, ERROR_REFUSED},
        {"(port 80) or (port 81)", 96, ERROR_REFUSED},
        {"port 80 or port 81", 96, ERROR_REFUSED},
        {"not port 80", 96, ERROR_REFUSED},
        {"", 96, ERROR_REFUSED},
        {"port 80", 0, ERROR_REFUSED},
        {"port 80", 97, ERROR_REFUSED},
    };
    struct world *w = *state;
    struct peer *p = peer_client(w);
    peer_connect(w, "web-1", "role=web");
    add_user(p, "{\"name\":\"bo\",\"role\":\"operator\",\"filter\":\"port 80\",\"snaplen\":96}");
    be(IDENTITY_USER, "bo");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%zu", i);
        if (start_with(p, name, NULL, 0, cases[i].filter, cases[i].snaplen) != cases[i].code)
            fail_msg("'%s' %u: %d %s", cases[i].filter, cases[i].snaplen, p->code, p->text);
    }
}

/* ------------------------------------------------------------------ users */

static void users_are_checked_when_they_are_added(void **state)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"role\":\"viewer\"}", "name is missing"},
        {"{\"name\":\"a b\",\"role\":\"viewer\"}", "name 'a b'"},
        {"{\"name\":\"a\",\"role\":\"king\"}", "is no role"},
        {"{\"name\":\"a\",\"role\":7}", "role is to be a text"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"labels\":\"role=web\"}", "labels are a list"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"labels\":[7]}", "labels are a list"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"labels\":[\"web\"]}", "not of the form KEY=VALUE"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"filter\":\"host web-1\"}", "has a name"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"filter\":\"bytes > 1M\"}", "depends on the time"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"filter\":\"tcp and sni != x.example\"}",
         "'sni != x.example' depends on"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"filter\":\"app http\"}", "'app http' depends on"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"filter\":\"port 80) or (tcp\"}", "port 80) or (tcp"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"snaplen\":-1}", "whole numbers"},
        {"{\"name\":\"a\",\"role\":\"viewer\",\"range_ns\":1.5}", "whole numbers"},
        {"{\"name\":\"a\",\"role\":\"admin\",\"snaplen\":96}", "an administrator has no bounds"},
        {"[]", "no JSON object"},
        {"{", "no JSON object"},
    };
    struct world *w = *state;
    struct peer *p = peer_client(w);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_not_equal(peer_admin(p, ADMIN_USER_ADD, cases[i].json), 0);
        if (!strstr(p->text, cases[i].says))
            fail_msg("%s: %s", cases[i].json, p->text);
    }
    assert_null(rights_user(w->server.rights, "a"));
}

static void changes_hold_at_once_and_after_a_restart(void **state)
{
    struct world *w = *state;
    struct peer *p = peer_client(w);
    const struct message_query q = {.kind = QUERY_FLOWS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    add_user(p, "{\"name\":\"ann\",\"role\":\"viewer\"}");
    add_user(p, "{\"name\":\"root\",\"role\":\"admin\"}");
    be(IDENTITY_USER, "ann");
    assert_int_equal(peer_ask(p, &q), 0);
    be(IDENTITY_USER, "root");
    assert_int_equal(peer_admin(p, ADMIN_USER_ADD, "{\"name\":\"root\",\"role\":\"viewer\"}"), ERROR_REFUSED);
    assert_int_equal(peer_admin(p, ADMIN_USER_REMOVE, "{\"name\":\"root\"}"), ERROR_REFUSED);
    assert_int_equal(peer_admin(p, ADMIN_USER_REMOVE, "{\"name\":\"nobody\"}"), ERROR_NOT_FOUND);
    assert_int_equal(peer_admin(p, ADMIN_USER_REMOVE, "{\"name\":\"ann\"}"), 0);
    be(IDENTITY_USER, "ann");
    assert_int_equal(peer_ask(p, &q), ERROR_REFUSED);
    world_stop(w);
    world_start(w);
    p = peer_client(w);
    assert_int_equal(peer_ask(p, &q), ERROR_REFUSED);
    be(IDENTITY_USER, "root");
    assert_int_equal(peer_admin(p, ADMIN_USER_LIST, ""), 0);
    json_t *users = peer_manifest(p);
    assert_int_equal(json_array_size(users), 1);
    assert_string_equal(json_text(json_array_get(users, 0), "role"), "admin");
    json_decref(users);
}

static void a_removed_user_is_disconnected(void **state)
{
    struct world *w = *state;
    struct peer *p = peer_client(w), *other = peer_client(w);
    add_user(p, "{\"name\":\"ann\",\"role\":\"viewer\"}");
    one = w->server.sessions; /* the newest */
    of_one = (struct identity){.kind = IDENTITY_USER, .name = "ann"};
    assert_int_equal(peer_admin(p, ADMIN_USER_REMOVE, "{\"name\":\"ann\"}"), 0);
    UNTIL(w, !other->stream);
    one = NULL;
    assert_non_null(p->stream);
}

/* ------------------------------------------------------------------ how much one may have at once */

/* Connects as whoever is pretended: whether it is let in. */
static bool is_let_in(struct world *w, struct peer **out)
{
    *out = peer_client(w);
    return (*out)->stream != NULL;
}

static size_t open_sessions(const struct world *w)
{
    size_t n = 0;
    for (const struct session *s = w->server.sessions; s; s = s->next)
        n += s->stream != NULL;
    return n;
}

static void a_user_has_a_part_of_all_connections(void **state)
{
    struct world *w = *state;
    struct peer *p, *other = peer_client(w);
    one = w->server.sessions;
    of_one = (struct identity){.kind = IDENTITY_USER, .name = "bob"};
    w->config.max_sessions = 2 * SESSIONS_SHARE;
    all_are = true;
    be(IDENTITY_USER, "ann");
    assert_true(is_let_in(w, &p) && is_let_in(w, &p));
    struct peer *last = p;
    assert_false(is_let_in(w, &p));
    assert_non_null(strstr(p->text, "user ann has 2 connections already, which is the most that one user may have"));
    peer_leave(last);
    UNTIL(w, open_sessions(w) == 2); /* the other's, and one of ann */
    assert_true(is_let_in(w, &p));
    assert_non_null(other->stream);
    be(IDENTITY_NONE, "");
    assert_int_equal(peer_admin(other, ADMIN_USER_LIST, ""), ERROR_REFUSED); /* bob is none */
}

static void an_agent_has_a_handful_of_connections(void **state)
{
    struct world *w = *state;
    struct peer *p;
    all_are = true;
    be(IDENTITY_AGENT, "web-1");
    for (unsigned i = 0; i < SESSIONS_AGENT; i++)
        assert_true(is_let_in(w, &p));
    assert_false(is_let_in(w, &p));
    assert_non_null(strstr(p->text, "agent web-1 has 8 connections already"));
}

static void where_nobody_is_known_there_are_no_parts(void **state)
{
    struct world *w = *state;
    struct peer *p;
    w->config.max_sessions = 1;
    for (unsigned i = 0; i < 2 * SESSIONS_AGENT - 4; i++)
        assert_true(is_let_in(w, &p));
}

static void ask_without_end(struct peer *p)
{
    struct message m = {.type = MESSAGE_QUERY,
                        .query = {.kind = QUERY_FLOWS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX}};
    endless = true;
    buffer_clear(&p->result);
    peer_send(p, &m);
    UNTIL(p->world, p->result.len == 6);
}

static void a_user_asks_a_part_of_all_questions_at_once(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w), *other = peer_client(w);
    const struct message_query q = {.kind = QUERY_FLOWS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    one = w->server.sessions;
    of_one = (struct identity){.kind = IDENTITY_USER, .name = "bob"};
    add_user(admin, "{\"name\":\"ann\",\"role\":\"viewer\"}");
    add_user(admin, "{\"name\":\"bob\",\"role\":\"viewer\"}");
    w->config.max_queries = 2 * SESSIONS_SHARE;
    be(IDENTITY_USER, "ann");
    ask_without_end(peer_client(w));
    ask_without_end(peer_client(w));
    struct peer *third = peer_client(w);
    assert_int_equal(peer_ask(third, &q), ERROR_BUSY);
    assert_non_null(strstr(third->text, "2 questions of ann are being answered"));
    endless = false;
    assert_int_equal(peer_ask(other, &q), 0); /* bob's */
    be(IDENTITY_NONE, "");
    assert_int_equal(peer_admin(admin, ADMIN_AUDIT, "{\"event\": \"refused\"}"), 0);
    json_t *audit = peer_manifest(admin);
    assert_int_equal(json_array_size(json_object_get(audit, "lines")), 1);
    json_decref(audit);
}

/* ------------------------------------------------------------------ rights that are lowered */

/* ann, an analyst bound to a week, has a question under way; what became of it after that change. */
static struct peer *asked_before(struct world *w, uint8_t kind, const char *change)
{
    struct peer *admin = peer_client(w), *ann = peer_client(w);
    struct message m = {.type = MESSAGE_QUERY,
                        .query = {.kind = kind, .until_ns = UINT64_MAX, .link_type = UINT32_MAX}};
    add_user(admin, "{\"name\":\"ann\",\"role\":\"analyst\",\"range_ns\":600000000000000}");
    one = w->server.sessions;
    of_one = (struct identity){.kind = IDENTITY_USER, .name = "ann"};
    endless = true;
    peer_send(ann, &m);
    UNTIL(w, ann->result.len == 6);
    add_user(admin, change);
    return ann;
}

static void check_is_cut(struct world *w, uint8_t kind, const char *change)
{
    struct peer *ann = asked_before(w, kind, change);
    UNTIL(w, ann->dones);
    assert_int_equal(ann->code, ERROR_REFUSED);
    assert_non_null(strstr(ann->text, "were lowered while the question was being answered"));
    assert_int_equal(w->server.queries, 0);
    assert_int_equal(ann->closes, 0);
}

static void a_lower_role_ends_what_it_may_not_ask(void **state)
{
    check_is_cut(*state, QUERY_PULL, "{\"name\":\"ann\",\"role\":\"viewer\",\"range_ns\":600000000000000}");
}

static void a_closer_bound_ends_what_is_asked(void **state)
{
    static const char *const changes[] = {
        "{\"name\":\"ann\",\"role\":\"analyst\",\"range_ns\":500000000000000}",
        "{\"name\":\"ann\",\"role\":\"operator\",\"range_ns\":600000000000000,\"snaplen\":96}",
        "{\"name\":\"ann\",\"role\":\"analyst\",\"range_ns\":600000000000000,\"filter\":\"port 80\"}",
        "{\"name\":\"ann\",\"role\":\"analyst\",\"range_ns\":600000000000000,\"labels\":[\"role=web\"]}",
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        check_is_cut(*state, QUERY_FLOWS, changes[i]);
}

static void a_wider_bound_ends_nothing(void **state)
{
    struct world *w = *state;
    struct peer *ann = asked_before(w, QUERY_PULL, "{\"name\":\"ann\",\"role\":\"operator\"}");
    world_pass_ms(w, 50);
    assert_int_equal(ann->dones, 0);
    assert_int_equal(w->server.queries, 1);
}

static void what_waits_for_agents_is_ended_too(void **state)
{
    struct world *w = *state;
    struct peer *admin = peer_client(w), *ann = peer_client(w);
    struct message m = {.type = MESSAGE_QUERY, .query = {.kind = QUERY_FLOWS, .until_ns = UINT64_MAX}};
    m.query.link_type = UINT32_MAX;
    m.query.fresh_ms = 30000;
    one = w->server.sessions;
    of_one = (struct identity){.kind = IDENTITY_USER, .name = "ann"};
    add_user(admin, "{\"name\":\"ann\",\"role\":\"viewer\"}");
    struct peer *web = peer_connect(w, "web-1", "");
    struct capture_request r = request_of("live", "web-1");
    assert_int_equal(peer_start(admin, &r, false), 0);
    UNTIL(w, peer_order(web, "live") >= 0);
    peer_tell(web, r.id, PHASE_RUNNING, "", 1);
    web->holds = true;
    peer_send(ann, &m);
    UNTIL(w, web->flushes);
    add_user(admin, "{\"name\":\"ann\",\"role\":\"viewer\",\"filter\":\"port 80\"}");
    UNTIL(w, ann->dones);
    assert_int_equal(ann->code, ERROR_REFUSED);
}

static int set_up(void **state)
{
    one = NULL;
    all_are = endless = false;
    be(IDENTITY_NONE, "");
    return world_set_up(state);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_role_may_what_the_table_says),
        TEST(the_table_has_every_request),
        TEST(who_is_not_known_has_no_rights),
        TEST(what_cannot_be_held_to_a_bound_is_refused),
        TEST(lists_have_the_agents_within),
        TEST(an_operator_starts_and_stops_within_his_labels),
        TEST(an_operator_captures_within_filter_and_snaplen),
        TEST(users_are_checked_when_they_are_added),
        TEST(changes_hold_at_once_and_after_a_restart),
        TEST(a_removed_user_is_disconnected),
        TEST(a_user_has_a_part_of_all_connections),
        TEST(an_agent_has_a_handful_of_connections),
        TEST(where_nobody_is_known_there_are_no_parts),
        TEST(a_user_asks_a_part_of_all_questions_at_once),
        TEST(a_lower_role_ends_what_it_may_not_ask),
        TEST(a_closer_bound_ends_what_is_asked),
        TEST(a_wider_bound_ends_nothing),
        TEST(what_waits_for_agents_is_ended_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
