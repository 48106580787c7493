/* Orders outlive the collector, an older catalog, and a damaged one; and what streams tell of a capture's reach. */
#include "tests/unit/store_place.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(struct place *p, uint8_t id, const char *request, uint64_t created_ns, uint64_t ended_ns)
{
    struct store_order o = {.request = request,
                            .request_length = strlen(request),
                            .created_ns = created_ns,
                            .ended_ns = ended_ns,
                            .why = ended_ns ? "stopped" : "",
                            .agents = "[]"};
    memset(o.id, id, sizeof(o.id));
    assert_int_equal(store_order_put(p->s, &o, &p->e), 0);
}

static int note_order(void *context, const struct store_order *o)
{
    buffer_printf(context, "%02x%02x %.*s %llu-%llu %s %s; ", o->id[0], o->id[15], (int)o->request_length,
                  (const char *)o->request, (unsigned long long)o->created_ns, (unsigned long long)o->ended_ns, o->why,
                  o->agents);
    return 0;
}

static void assert_orders(struct place *p, const char *expected)
{
    struct store_reader *r = NULL;
    struct buffer text = {0};
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_each_order(r, note_order, &text, &p->e), 0);
    buffer_u8(&text, 0);
    assert_string_equal((char *)text.data, expected);
    buffer_free(&text);
    store_reader_close(r);
}

static void orders_are_kept_changed_and_removed(void **state)
{
    struct place *p = *state;
    put(p, 2, "web", 20, 0);
    put(p, 1, "dns", 10, 0);
    assert_orders(p, "0101 dns 10-0  []; 0202 web 20-0  []; ");
    put(p, 2, "web", 20, 25);
    place_reopen(p, NULL);
    assert_orders(p, "0101 dns 10-0  []; 0202 web 20-25 stopped []; ");
    uint8_t id[16];
    memset(id, 1, sizeof(id));
    assert_int_equal(store_order_remove(p->s, id, &p->e), 0);
    assert_int_equal(store_order_remove(p->s, id, &p->e), 0);
    place_reopen(p, NULL);
    assert_orders(p, "0202 web 20-25 stopped []; ");
}

static void put_user(struct place *p, const char *name, const char *role, const char *bounds)
{
    const struct store_user u = {.name = name, .role = role, .bounds = bounds, .created_ns = 5, .created_by = "root"};
    assert_int_equal(store_user_put(p->s, &u, &p->e), 0);
}

static int note_user(void *context, const struct store_user *u)
{
    buffer_printf(context, "%s %s %s %llu %s; ", u->name, u->role, u->bounds, (unsigned long long)u->created_ns,
                  u->created_by);
    return 0;
}

static void assert_users(struct place *p, const char *expected)
{
    struct store_reader *r = NULL;
    struct buffer text = {0};
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_each_user(r, note_user, &text, &p->e), 0);
    buffer_u8(&text, 0);
    assert_string_equal((char *)text.data, expected);
    buffer_free(&text);
    store_reader_close(r);
}

static void users_are_kept_changed_and_removed(void **state)
{
    struct place *p = *state;
    put_user(p, "bob", "viewer", "{}");
    put_user(p, "ann", "admin", "{}");
    put_user(p, "bob", "analyst", "{\"snaplen\":96}");
    place_reopen(p, NULL);
    assert_users(p, "ann admin {} 5 root; bob analyst {\"snaplen\":96} 5 root; ");
    assert_int_equal(store_user_remove(p->s, "ann", &p->e), 0);
    assert_int_equal(store_user_remove(p->s, "ann", &p->e), 0);
    place_reopen(p, NULL);
    assert_users(p, "bob analyst {\"snaplen\":96} 5 root; ");
}

/* ------------------------------------------------------------------ other catalogs */

static void change_catalog(struct place *p, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(support_path(p->path, "catalog.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int note_known(void *context, const struct store_agent_info *a)
{
    buffer_printf(context, "%s [%s] %llu (%s)%llu; ", a->name, a->labels, (unsigned long long)a->last_seen_ns,
                  a->serial, (unsigned long long)a->certified_ns);
    return 0;
}

static void assert_known(struct place *p, const char *expected)
{
    struct store_reader *r = NULL;
    struct buffer text = {0};
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_each_known(r, note_known, &text, &p->e), 0);
    buffer_u8(&text, 0);
    assert_string_equal((char *)text.data, expected);
    buffer_free(&text);
    store_reader_close(r);
}

static void an_older_catalog_is_brought_up_to_date(void **state)
{
    struct place *p = *state;
    commit_chunk(p->s, &(struct wish){.stream = 1}, T0);
    assert_int_equal(store_agent_seen(p->s, &(struct store_agent){.name = "db-1", .seen_ns = 5}, &p->e), 0);
    store_close(p->s);
    change_catalog(p, "DROP TABLE orders; DROP TABLE users; DROP TABLE token; DROP TABLE credential; "
                      "DROP TABLE revocation; ALTER TABLE agent DROP COLUMN serial; "
                      "ALTER TABLE agent DROP COLUMN certified_ns; PRAGMA user_version=1");
    struct store_report report;
    assert_int_equal(store_check(p->path, NULL, NULL, &report, &p->e), ERROR_VERSION);
    assert_non_null(strstr(p->e.text, "start the collector once"));
    p->s = open_store(p->path, NULL);
    assert_orders(p, "");
    assert_known(p, "db-1 [] 5 ()5; "); /* as good as when it was last seen */
    put(p, 1, "dns", 10, 0);
    place_reopen(p, NULL);
    assert_orders(p, "0101 dns 10-0  []; ");
    assert_int_equal(commit_head(p->s, &(struct wish){.stream = 1, .seq = 1}, T0, NULL), 0);
    store_close(p->s);
    assert_int_equal(check_findings(p->path, true), 0);
    p->s = open_store(p->path, NULL);
}

static void a_newer_catalog_is_left_alone(void **state)
{
    struct place *p = *state;
    struct store_config config = {.path = p->path};
    struct store *s = NULL;
    store_close(p->s);
    change_catalog(p, "PRAGMA user_version=99");
    assert_int_equal(store_open(&config, &s, &p->e), ERROR_VERSION);
    assert_non_null(strstr(p->e.text, "version 99"));
    change_catalog(p, "PRAGMA user_version=5");
    p->s = open_store(p->path, NULL);
}

/* The table's first page becomes garbage. */
static void damage_table(struct place *p, const char *table)
{
    char sql[100], garbage[8192];
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    memset(garbage, 0xa5, sizeof(garbage));
    snprintf(sql, sizeof(sql), "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
    assert_int_equal(sqlite3_open(support_path(p->path, "catalog.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    off_t at = (off_t)(sqlite3_column_int64(stmt, 0) - 1) * (off_t)sizeof(garbage);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    int fd = open(support_path(p->path, "catalog.db"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, garbage, sizeof(garbage), at), sizeof(garbage));
    close(fd);
}

static void note_finding(void *context, const char *text)
{
    buffer_printf(context, "%s\n", text);
}

static void reindex(struct place *p, struct buffer *said)
{
    struct store_report report;
    buffer_clear(said);
    assert_int_equal(store_reindex(p->path, note_finding, said, &report, &p->e), 0);
    buffer_u8(said, 0);
    p->s = open_store(p->path, NULL);
}

static void reindex_keeps_orders_or_says_that_they_are_lost(void **state)
{
    struct place *p = *state;
    struct buffer said = {0};
    put(p, 1, "dns", 10, 0);
    put_user(p, "ann", "admin", "{}");
    store_close(p->s);
    damage_table(p, "address");
    reindex(p, &said);
    assert_users(p, "ann admin {} 5 root; ");
    assert_orders(p, "0101 dns 10-0  []; ");
    assert_null(strstr((char *)said.data, "ordered"));
    store_close(p->s);
    damage_table(p, "orders");
    reindex(p, &said);
    assert_orders(p, "");
    assert_non_null(strstr((char *)said.data, "captures that were ordered could be read, others are lost"));
    assert_users(p, "ann admin {} 5 root; ");
    store_close(p->s);
    damage_table(p, "users");
    reindex(p, &said);
    assert_users(p, "");
    assert_non_null(strstr((char *)said.data, "0 users could be read, others are lost"));
    put(p, 2, "web", 20, 0);
    store_close(p->s);
    int fd = open(support_path(p->path, "catalog.db"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "no database     ", 16, 0), 16);
    close(fd);
    reindex(p, &said);
    assert_orders(p, "");
    assert_non_null(strstr((char *)said.data, "captures that were ordered are lost"));
    buffer_free(&said);
}

/* ------------------------------------------------------------------ names and agents */

static bool has_capture(struct place *p, const char *name)
{
    struct store_reader *r = NULL;
    bool has = false;
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_has_capture(r, name, &has, &p->e), 0);
    store_reader_close(r);
    return has;
}

static void a_captures_name_is_taken_while_a_stream_of_it_is_stored(void **state)
{
    struct place *p = *state;
    assert_false(has_capture(p, "capture"));
    commit_chunk(p->s, &(struct wish){.stream = 1}, T0);
    assert_true(has_capture(p, "capture"));
    assert_false(has_capture(p, "captur"));
    assert_int_equal(store_maintain(p->s, T0 + 5 * HOUR, &p->e), 0);
    assert_true(has_capture(p, "capture"));
}

static void known_agents_are_listed(void **state)
{
    struct place *p = *state;
    const struct store_agent agents[] = {
        {.name = "web-2", .labels = "role=web,dc=fra", .serial = "a1", .certified_ns = 3, .seen_ns = 7},
        {.name = "db-1", .labels = "", .seen_ns = 5},
        {.name = "web-2", .labels = "role=web,dc=fra", .serial = "a2", .certified_ns = 6, .seen_ns = 8}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(store_agent_seen(p->s, &agents[i], &p->e), 0);
    assert_known(p, "db-1 [] 5 ()0; web-2 [role=web,dc=fra] 8 (a2)6; ");
}

/* ------------------------------------------------------------------ how far a stream reaches */

static int take_sealed(void *context, const struct store_stream_info *s)
{
    *(uint64_t *)context = s->sealed_ns;
    return 0;
}

static uint64_t sealed(struct place *p, const char *capture)
{
    struct store_reader *r = NULL;
    uint64_t ns = UINT64_MAX;
    assert_int_equal(store_reader_open(p->s, &r, &p->e), 0);
    assert_int_equal(store_each_stream(r, &(struct store_scan){.capture = capture}, take_sealed, &ns, &p->e), 0);
    store_reader_close(r);
    return ns;
}

/* Chunks made here are opened with their first packet and sealed a second later, by time. */
static void a_live_stream_reaches_until_its_last_chunk_was_sealed(void **state)
{
    struct place *p = *state;
    commit_chunk(p->s, &(struct wish){.stream = 1, .capture = "live"}, T0);
    assert_int_equal(sealed(p, "live"), T0 + SECOND);
    commit_chunk(p->s, &(struct wish){.stream = 1, .capture = "live", .seq = 1}, T0 + HOUR);
    assert_int_equal(sealed(p, "live"), T0 + 2 * SECOND);
    assert_int_equal(store_maintain(p->s, T0 + 5 * HOUR, &p->e), 0);
    assert_int_equal(sealed(p, "live"), T0 + 2 * SECOND);
    commit_chunk(p->s, &(struct wish){.stream = 1, .capture = "live", .seq = 2, .kind = HEAD_END}, T0 + HOUR);
    assert_int_equal(sealed(p, "live"), 0); /* it has ended: nothing more is to come */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        TEST(orders_are_kept_changed_and_removed),
        TEST(users_are_kept_changed_and_removed),
        TEST(an_older_catalog_is_brought_up_to_date),
        TEST(a_newer_catalog_is_left_alone),
        TEST(reindex_keeps_orders_or_says_that_they_are_lost),
        TEST(a_captures_name_is_taken_while_a_stream_of_it_is_stored),
        TEST(known_agents_are_listed),
        TEST(a_live_stream_reaches_until_its_last_chunk_was_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
