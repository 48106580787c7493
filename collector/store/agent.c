/*
 * Agents as they said hello, and the addresses that each had, with their times. A time begins when the agent was last seen without the address (so that what was
 * captured while it was away is not lost to a name), and ends when it is first seen without it.
 */
#include "collector/store/store_impl.h"

#include "common/base/clock.h"
#include "common/base/units.h"

#include <stdlib.h>
#include <string.h>

#define NAME_TAKEN_NS  (300 * NS_PER_S) /* an installation that was seen since then has the name */
#define PAST_ADDRESSES 4096u            /* kept of an agent */

struct known_agent {
    bool found;
    uint8_t install[16];
    uint64_t last_seen_ns;
};

static int find_agent(struct db *db, const char *name, struct known_agent *known, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_AGENT_FIND);
    sql_text(&q, name);
    int r = sql_step(&q, e);
    *known = (struct known_agent){.found = r > 0};
    if (r > 0) {
        sql_get_bytes(&q, 0, known->install, sizeof(known->install));
        known->last_seen_ns = sql_get_u64(&q, 1);
    }
    sql_end(&q);
    return r < 0 ? r : 0;
}

static int check_name(const struct known_agent *known, const struct store_agent *a, struct error *e)
{
    char seen[64];
    if (!known->found || memcmp(known->install, a->install, sizeof(a->install)) == 0 ||
        known->last_seen_ns + NAME_TAKEN_NS < a->seen_ns ||
        a->certified_ns >= known->last_seen_ns) /* made for the one that comes */
        return 0;
    return error_set(e, ERROR_CONFLICT,
                     "another installation uses the agent name %s (seen %s): give one of the two another name, or wait "
                     "%llu minutes after "
                     "the other was stopped",
                     a->name, units_format_time(known->last_seen_ns, seen, sizeof(seen)),
                     (unsigned long long)(NAME_TAKEN_NS / NS_PER_S / 60));
}

static int put_agent(struct db *db, const struct store_agent *a, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_AGENT_PUT);
    sql_text(&q, a->name);
    sql_blob(&q, a->install, sizeof(a->install));
    sql_text(&q, a->software ? a->software : "");
    sql_text(&q, a->labels ? a->labels : "");
    sql_text(&q, a->peer ? a->peer : "");
    sql_text(&q, a->status_json);
    sql_u64(&q, a->seen_ns);
    sql_text(&q, a->serial ? a->serial : "");
    sql_u64(&q, a->certified_ns);
    return sql_run(&q, e);
}

static bool is_among(const struct filter_address *items, size_t count, const struct filter_address *one)
{
    for (size_t i = 0; i < count; i++)
        if (items[i].family == one->family && memcmp(items[i].addr, one->addr, sizeof(one->addr)) == 0)
            return true;
    return false;
}

/* The addresses that the agent had at its last hello. */
static int read_current(struct db *db, const char *agent, struct filter_address **out, size_t *count, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_ADDRESS_LIST);
    sql_text(&q, agent);
    sql_u64(&q, FILTER_NAME_ADDRESSES_MAX);
    *out = malloc(FILTER_NAME_ADDRESSES_MAX * sizeof(**out));
    int r = *out ? 0 : error_set(e, ERROR_MEMORY, "no memory for addresses");
    while (!r && (r = sql_step(&q, e)) > 0 && *count < FILTER_NAME_ADDRESSES_MAX) {
        struct filter_address *one = &(*out)[*count];
        *one = (struct filter_address){.family = (uint8_t)sql_get_u64(&q, 0)};
        sql_get_bytes(&q, 1, one->addr, sizeof(one->addr));
        *count += sql_get_null(&q, 3);
        r = 0;
    }
    sql_end(&q);
    return r < 0 ? r : 0;
}

static int begin_address(struct db *db, const char *agent, const struct filter_address *one, uint64_t from_ns,
                         struct error *e)
{
    struct sql q = sql_start(db, CATALOG_ADDRESS_PUT);
    sql_text(&q, agent);
    sql_u64(&q, one->family);
    sql_blob(&q, one->addr, sizeof(one->addr));
    sql_u64(&q, from_ns);
    return sql_run(&q, e);
}

static int end_address(struct db *db, const char *agent, const struct filter_address *one, uint64_t to_ns,
                       struct error *e)
{
    struct sql q = sql_start(db, CATALOG_ADDRESS_END);
    sql_u64(&q, to_ns);
    sql_text(&q, agent);
    sql_u64(&q, one->family);
    sql_blob(&q, one->addr, sizeof(one->addr));
    return sql_run(&q, e);
}

static int trim_addresses(struct db *db, const char *agent, struct error *e)
{
    struct sql q = sql_start(db, CATALOG_ADDRESS_TRIM);
    sql_text(&q, agent);
    sql_u64(&q, PAST_ADDRESSES);
    return sql_run(&q, e);
}

static int put_addresses(struct db *db, const struct store_agent *a, const struct known_agent *known, struct error *e)
{
    struct filter_address *current = NULL;
    size_t count = 0;
    size_t now = a->address_count < FILTER_NAME_ADDRESSES_MAX ? a->address_count : FILTER_NAME_ADDRESSES_MAX;
    int r = read_current(db, a->name, &current, &count, e);
    for (size_t i = 0; !r && i < count; i++)
        if (!is_among(a->addresses, now, &current[i]))
            r = end_address(db, a->name, &current[i], a->seen_ns, e);
    for (size_t i = 0; !r && i < now; i++)
        if (!is_among(current, count, &a->addresses[i]) && !is_among(a->addresses, i, &a->addresses[i]))
            r = begin_address(db, a->name, &a->addresses[i], known->last_seen_ns, e);
    free(current);
    return r ? r : trim_addresses(db, a->name, e);
}

int store_agent_seen(struct store *s, const struct store_agent *a, struct error *e)
{
    struct known_agent known;
    int r = find_agent(s->catalog, a->name, &known, e);
    if (!r)
        r = check_name(&known, a, e);
    if (r)
        return r;
    r = db_begin(s->catalog, e);
    if (!r)
        r = put_agent(s->catalog, a, e);
    if (!r && a->addresses)
        r = put_addresses(s->catalog, a, &known, e);
    if (!r)
        r = db_commit(s->catalog, e);
    if (r)
        db_rollback(s->catalog);
    return r;
}
