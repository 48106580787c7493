#include "collector/cli/names.h"
#include "collector/cli/client.h"
#include "common/filter/capture_filter.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_SAID 8u

struct names {
    struct net_name *items;
    uint32_t count;
    bool failed;
};

static void add_name(void *context, const char *name)
{
    struct names *n = context;
    struct net_name *grown =
        n->failed || n->count >= FILTER_NAMES_MAX ? NULL : realloc(n->items, (n->count + 1) * sizeof *grown);
    if (grown)
        n->items = grown;
    if (!grown || !(grown[n->count] = (struct net_name){.name = strdup(name)}).name)
        n->failed = true;
    else
        n->count++;
}

static int add_address(struct net_name *n, int family, const void *bytes, uint64_t from_ns, uint64_t to_ns,
                       struct error *e)
{
    struct net_address *grown = n->address_count >= FILTER_NAME_ADDRESSES_MAX
                                    ? NULL
                                    : realloc(n->addresses, (n->address_count + 1) * sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_LIMIT, "'%s' stands for more than %u addresses", n->name, n->address_count);
    n->addresses = grown;
    grown[n->address_count] =
        (struct net_address){.family = family == AF_INET ? FAMILY_IP4 : FAMILY_IP6, .from_ns = from_ns, .to_ns = to_ns};
    memcpy(grown[n->address_count++].addr, bytes, family == AF_INET ? 4 : 16);
    return 0;
}

/* ------------------------------------------------------------------ agents */

static uint64_t number_of(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v == INT64_MAX || v < 0 ? UINT64_MAX : (uint64_t)v;
}

static int take_agent(struct net_name *n, const json_t *agent, bool now, struct error *e)
{
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(agent, "addresses"), i, a)
    {
        uint8_t bytes[16];
        const char *text = json_string_value(json_object_get(a, "address"));
        int family = text && strchr(text, ':') ? AF_INET6 : AF_INET;
        uint64_t to_ns = number_of(a, "to_ns");
        if (!text || inet_pton(family, text, bytes) != 1 || (now && to_ns != UINT64_MAX))
            continue;
        int r = add_address(n, family, bytes, number_of(a, "from_ns"), to_ns, e);
        if (r)
            return r;
    }
    return 0;
}

static const json_t *find_agent(const json_t *agents, const char *name)
{
    size_t i;
    json_t *a;
    json_array_foreach(agents, i, a)
    {
        const char *have = json_string_value(json_object_get(a, "agent"));
        if (have && strcmp(have, name) == 0)
            return a;
    }
    return NULL;
}

/* ------------------------------------------------------------------ DNS */

static int take_host(struct net_name *n, struct error *e)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int r = getaddrinfo(n->name, NULL, &hints, &list);
    if (r)
        return error_set(e, ERROR_NOT_FOUND, "'%s' in the filter is no agent, and as a host: %s", n->name,
                         gai_strerror(r));
    for (struct addrinfo *a = list; a && r == 0; a = a->ai_next)
        if (a->ai_family == AF_INET)
            r = add_address(n, AF_INET, &((struct sockaddr_in *)(void *)a->ai_addr)->sin_addr, 0, UINT64_MAX, e);
        else if (a->ai_family == AF_INET6)
            r = add_address(n, AF_INET6, &((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_addr, 0, UINT64_MAX, e);
    freeaddrinfo(list);
    return r;
}

static void say_name(const struct cli *cli, const struct net_name *n, bool agent)
{
    struct buffer list = {0};
    char text[64];
    for (uint32_t i = 0; i < n->address_count && i < ADDRESSES_SAID; i++)
        buffer_printf(&list, "%s %s", i ? "," : "",
                      packet_addr_text(n->addresses[i].family, n->addresses[i].addr, text, sizeof text));
    if (n->address_count > ADDRESSES_SAID)
        buffer_printf(&list, " and %u more", n->address_count - ADDRESSES_SAID);
    if (n->address_count == 0)
        buffer_printf(&list, " without any address known");
    if (!list.failed)
        note(cli, "%s: %s%.*s", n->name, agent ? "agent" : "host", (int)list.len, (const char *)list.data);
    buffer_free(&list);
}

static int resolve(const struct cli *cli, struct net_name *n, const json_t *agents, bool now, struct error *e)
{
    bool forced = n->name[0] == '@';
    const json_t *agent = find_agent(agents, n->name + forced);
    if (forced && !agent)
        return error_set(
            e, ERROR_NOT_FOUND,
            "'%s' in the filter: the collector knows no agent of that name (`fleetdump agents` lists them)", n->name);
    int r = agent ? take_agent(n, agent, now, e) : take_host(n, e);
    if (r == 0)
        say_name(cli, n, agent != NULL);
    return r;
}

static int resolve_all(const struct cli *cli, struct names *n, const json_t *agents, bool now, struct error *e)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < n->count; i++)
        r = resolve(cli, &n->items[i], agents, now, e);
    return r;
}

static int check_count(const struct names *n, struct error *e)
{
    return n->failed ? error_set(e, ERROR_LIMIT, "more than %u names in the filter", FILTER_NAMES_MAX) : 0;
}

int names_resolve(const struct cli *cli, const char *filter, struct net_name **out, uint32_t *count, struct error *e)
{
    const struct message_query q = {.kind = QUERY_AGENTS};
    struct names n = {0};
    json_t *agents = NULL;
    int r = filter_each_name(filter, add_name, &n, e);
    if (r == 0)
        r = check_count(&n, e);
    if (r == 0 && n.count > 0)
        r = client_document(cli, &q, &agents, e);
    if (r == 0)
        r = resolve_all(cli, &n, agents, false, e);
    json_decref(agents);
    if (r) {
        names_free(n.items, n.count);
        return r;
    }
    *out = n.items;
    *count = n.count;
    return 0;
}

/* ------------------------------------------------------------------ a capture's filter */

static int expand(const char *filter, const struct names *n, char **out, struct error *e)
{
    struct filter_name *names = NULL;
    struct buffer text = {0};
    int r = names_for_filter(n->items, n->count, &names, e);
    if (r == 0)
        r = capture_filter_expand(filter, &(struct filter_names){names, n->count}, &text, e);
    names_for_filter_free(names, n->count);
    buffer_u8(&text, 0);
    if (r == 0 && text.failed)
        r = error_set(e, ERROR_MEMORY, "no memory for the filter");
    if (r)
        buffer_free(&text);
    *out = (char *)text.data;
    return r;
}

int names_expand(const struct cli *cli, const json_t *agents, const char *filter, char **out, struct error *e)
{
    struct names n = {0};
    *out = NULL;
    int r = capture_filter_each_name(filter, add_name, &n, e);
    if (r == 0)
        r = check_count(&n, e);
    if (r == 0)
        r = resolve_all(cli, &n, agents, true, e);
    if (r == 0)
        r = expand(filter, &n, out, e);
    names_free(n.items, n.count);
    return r;
}

bool names_in_connection_filter(const char *filter)
{
    struct names n = {0};
    struct filter_name *names = NULL;
    struct filter *f = NULL;
    int r = filter_each_name(filter, add_name, &n, NULL);
    if (r == 0)
        r = names_for_filter(n.items, n.count, &names, NULL);
    if (r == 0)
        r = filter_compile(filter, &(struct filter_names){names, n.count}, &f, NULL);
    bool has = r == 0 && (filter_has_connection_words(f, NULL) || filter_has_measures(f, NULL));
    filter_free(f);
    names_for_filter_free(names, n.count);
    names_free(n.items, n.count);
    return has;
}

void names_free(struct net_name *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(names[i].name);
        free(names[i].addresses);
    }
    free(names);
}

static int no_memory_for_names(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for the filter's names");
}

int names_for_filter(const struct net_name *names, uint32_t count, struct filter_name **out, struct error *e)
{
    struct filter_name *list = calloc(count + 1u, sizeof *list);
    *out = NULL;
    if (!list)
        return no_memory_for_names(e);
    for (uint32_t i = 0; i < count; i++) {
        struct filter_address *a = calloc(names[i].address_count + 1u, sizeof *a);
        if (!a) {
            names_for_filter_free(list, i);
            return no_memory_for_names(e);
        }
        for (uint32_t k = 0; k < names[i].address_count; k++) {
            const struct net_address *from = &names[i].addresses[k];
            a[k] = (struct filter_address){.family = from->family, .from_ns = from->from_ns, .to_ns = from->to_ns};
            memcpy(a[k].addr, from->addr, sizeof a[k].addr);
        }
        list[i] = (struct filter_name){names[i].name, a, names[i].address_count};
    }
    *out = list;
    return 0;
}

void names_for_filter_free(struct filter_name *names, uint32_t count)
{
    for (uint32_t i = 0; names && i < count; i++)
        free((void *)(uintptr_t)names[i].addresses);
    free(names);
}
