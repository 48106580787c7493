#include "collector/server/orders_impl.h"

#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an agent counts, and an order sums up (left_ns is not). */
static const struct number {
    const char *name;
    size_t at;
    bool summed;
} numbers[] = {
#define NUMBER(field, summed)                                                                                          \
    {                                                                                                                  \
#field, offsetof(struct message_capture_state, field), summed                                                  \
    }
    NUMBER(left_ns, false),      NUMBER(packets, true),     NUMBER(bytes, true),
    NUMBER(packets_per_s, true), NUMBER(bytes_per_s, true), NUMBER(kernel_drops, true),
    NUMBER(other_drops, true),   NUMBER(own, false),        NUMBER(forbidden, false),
#undef NUMBER
};
#define NUMBER_COUNT (sizeof numbers / sizeof numbers[0])

static uint64_t *number_at(struct message_capture_state *s, size_t i)
{
    return (uint64_t *)(void *)((char *)s + numbers[i].at);
}

static uint64_t number_of(const struct message_capture_state *s, size_t i)
{
    return *number_at((struct message_capture_state *)(uintptr_t)s, i);
}

static json_t *number_json(uint64_t v)
{
    return json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v));
}

static json_t *unless(uint64_t none, uint64_t v)
{
    return v == none ? json_null() : number_json(v);
}

static json_t *time_json(uint64_t ns)
{
    char text[64];
    return ns ? json_string(units_rfc3339(ns, text, sizeof text)) : json_null();
}

static json_t *string_json(const char *s)
{
    json_t *j = json_string(s ? s : "");
    return j ? j : json_string("?");
}

static json_t *strings_json(char *const *strings, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, string_json(strings[i]));
    return list;
}

static void set_numbers(json_t *o, const struct message_capture_state *s)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        json_object_set_new(o, numbers[i].name, unless(UINT64_MAX, number_of(s, i)));
}

/* ------------------------------------------------------------------ as they are seen */

static const char *shown_phase(const struct order *o, const struct order_agent *a, uint64_t now_ns)
{
    bool would = o->stage == ORDER_ASKED && a->answer == ANSWER_YES;
    return would ? "checked" : capture_phase_name(order_phase(o, a, now_ns));
}

static bool is_seen(const struct orders_sight *sight, const struct order_agent *a)
{
    return !sight || sight->sees(sight->context, a->is);
}

static bool is_whole(const struct orders_sight *sight, const struct order *o)
{
    return !sight || sight->sees_whole(sight->context, o->request);
}

/* Without who stopped it, unless that may be seen. */
static const char *seen_text(const struct order *o, const struct order_agent *a, uint64_t now_ns, bool whole, char *buf,
                             size_t len)
{
    const char *said = a->state.capture_state.text;
    bool told = said && strncmp(said, CAPTURE_TOLD_TO_STOP, strlen(CAPTURE_TOLD_TO_STOP)) == 0;
    return told && !whole ? said : order_agent_text(o, a, now_ns, buf, len);
}

/* What it told, less what has passed since: it tells when something changes. */
static json_t *left_json(const struct order *o, const struct order_agent *a, uint64_t now_ns)
{
    uint64_t left = a->state.capture_state.left_ns,
             passed = a->told_ns && now_ns > a->told_ns ? now_ns - a->told_ns : 0;
    uint8_t phase = order_phase(o, a, now_ns);
    if (left == UINT64_MAX || phase == PHASE_STOPPED || phase == PHASE_REFUSED || phase == PHASE_MISSED)
        return json_null();
    return number_json(left > passed ? left - passed : 0);
}

static json_t *agent_json(const struct order *o, const struct order_agent *a, uint64_t now_ns, bool whole,
                          const struct orders_sight *sight)
{
    const struct message_capture_state *s = &a->state.capture_state;
    char text[ERROR_TEXT_MAX];
    json_t *j = json_object();
    json_object_set_new(j, "agent", string_json(a->is->name));
    json_object_set_new(j, "connected", json_boolean(order_agent_is_here(a, now_ns)));
    json_object_set_new(j, "phase", json_string(shown_phase(o, a, now_ns)));
    json_object_set_new(j, "text", string_json(seen_text(o, a, now_ns, whole, text, sizeof text)));
    json_object_set_new(j, "interfaces", strings_json(s->interfaces, s->interface_count));
    if (!sight || !sight->no_numbers)
        set_numbers(j, s);
    json_object_set_new(j, "left_ns", left_json(o, a, now_ns));
    if (!sight || !sight->no_numbers)
        json_object_set_new(j, "free_bytes", unless(0, a->free_bytes));
    return j;
}

static void set_sums(json_t *j, const struct order *o, const struct orders_sight *sight)
{
    for (size_t n = 0; n < NUMBER_COUNT && (!sight || !sight->no_numbers); n++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < o->agent_count && numbers[n].summed; i++)
            if (is_seen(sight, &o->agents[i]))
                sum += number_of(&o->agents[i].state.capture_state, n);
        if (numbers[n].summed)
            json_object_set_new(j, numbers[n].name, number_json(sum));
    }
}

/* What else than its agents are to do: who wants to know what, where. */
static void set_wish(json_t *j, const struct order *o, bool whole)
{
    const struct capture_request *r = o->request;
    char *selector = request_selector(r);
    json_object_set_new(j, "filter", whole ? string_json(r->filter) : json_null());
    json_object_set_new(j, "selector", whole ? string_json(selector) : json_null());
    json_object_set_new(j, "interfaces", whole ? strings_json(r->interfaces, r->interface_count) : json_null());
    json_object_set_new(j, "who", whole ? string_json(r->who) : json_null());
    json_object_set_new(j, "why", string_json(whole ? order_why(o) : ""));
    free(selector);
}

static void set_request(json_t *j, const struct order *o)
{
    const struct capture_request *r = o->request;
    json_t *limits = json_object();
    json_object_set_new(limits, "packets", unless(0, r->packets));
    json_object_set_new(limits, "bytes", unless(0, r->bytes));
    json_object_set_new(limits, "rate", unless(0, r->rate));
    json_object_set_new(j, "capture", string_json(r->name));
    json_object_set_new(j, "keep", json_string(capture_keep_name(r->keep)));
    json_object_set_new(j, "snaplen", unless(0, r->snaplen));
    json_object_set_new(j, "cutoff", unless(0, r->cutoff));
    json_object_set_new(j, "companions", json_boolean(r->companions));
    json_object_set_new(j, "limits", limits);
    json_object_set_new(j, "start", time_json(r->start_ns));
    json_object_set_new(j, "end", time_json(order_end_ns(o)));
    json_object_set_new(j, "issued", time_json(r->issued_ns));
}

/* NULL: nothing of it may be seen. */
static json_t *seen_json(const struct order *o, uint64_t now_ns, const struct orders_sight *sight)
{
    uint64_t end_ns = order_end_ns(o);
    bool whole = is_whole(sight, o); /* once: a filter may be read for it */
    char id[ORDER_ID_TEXT];
    json_t *j = json_object(), *agents = json_array();
    json_object_set_new(j, "id", json_string(order_id_text(o, id)));
    json_object_set_new(j, "state", json_string(order_state(o, now_ns)));
    set_request(j, o);
    set_wish(j, o, whole);
    json_object_set_new(j, "created", time_json(o->created_ns));
    json_object_set_new(j, "ended", time_json(o->ended_ns));
    json_object_set_new(j, "left_ns",
                        order_is_over(o, now_ns) ? number_json(0)
                        : end_ns                 ? number_json(end_ns > now_ns ? end_ns - now_ns : 0)
                                                 : json_null());
    set_sums(j, o, sight);
    for (uint32_t i = 0; i < o->agent_count; i++)
        if (is_seen(sight, &o->agents[i]))
            json_array_append_new(agents, agent_json(o, &o->agents[i], now_ns, whole, sight));
    bool seen = !sight || json_array_size(agents);
    json_object_set_new(j, "agents", agents);
    if (seen)
        return j;
    json_decref(j);
    return NULL;
}

json_t *order_json(const struct order *o, uint64_t now_ns)
{
    return seen_json(o, now_ns, NULL);
}

int orders_json(struct orders *o, const char *which, const struct orders_sight *sight, char **out, struct error *e)
{
    struct order **found = malloc((o->count + 1) * sizeof(struct order *));
    json_t *list = json_array();
    uint64_t agents = 0, now = clock_wall_ns();
    size_t n = found ? orders_match(o, which, found) : 0;
    int r = found && list ? 0 : error_set(e, ERROR_MEMORY, "no memory for the list of captures");
    for (size_t i = 0; i < n; i++)
        agents += found[i]->agent_count;
    if (r == 0 && agents > ORDERS_LISTED_MAX)
        r = error_set(e, ERROR_LIMIT, "the list of %zu captures would have %llu agents, at most are %u: name fewer", n,
                      (unsigned long long)agents, ORDERS_LISTED_MAX);
    for (size_t i = n; r == 0 && i-- > 0;)
        (void)json_array_append_new(list, seen_json(found[i], now, sight)); /* NULL is not appended */
    *out = r ? NULL : json_dumps(list, JSON_COMPACT);
    if (r == 0 && !*out)
        r = error_set(e, ERROR_MEMORY, "no memory for the list of captures");
    json_decref(list);
    free(found);
    return r;
}

/* ------------------------------------------------------------------ as they are kept */

static json_t *kept_json(const struct order_agent *a)
{
    const struct message_capture_state *s = &a->state.capture_state;
    json_t *j = json_object();
    json_object_set_new(j, "agent", string_json(a->is->name));
    json_object_set_new(j, "phase", json_integer(s->phase));
    json_object_set_new(j, "text", string_json(s->text));
    json_object_set_new(j, "interfaces", strings_json(s->interfaces, s->interface_count));
    set_numbers(j, s);
    json_object_set_new(j, "since_ns", number_json(a->since_ns));
    json_object_set_new(j, "reaches_ns", number_json(a->reaches_ns));
    json_object_set_new(j, "left_out", json_boolean(a->left_out));
    json_object_set_new(j, "sent", json_boolean(a->sent));
    return j;
}

char *order_agents_kept(const struct order *o)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < o->agent_count; i++)
        json_array_append_new(list, kept_json(&o->agents[i]));
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return text;
}

static uint64_t read_number(const json_t *j, const char *name, uint64_t none)
{
    const json_t *v = json_object_get(j, name);
    return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : none;
}

static void read_state(const json_t *j, struct order_agent *a)
{
    char *names[NET_STRINGS_MAX];
    const json_t *interfaces = json_object_get(j, "interfaces");
    struct message_capture_state s = {.phase = (uint8_t)read_number(j, "phase", PHASE_PENDING), .interfaces = names};
    s.text = (char *)(uintptr_t)json_string_value(json_object_get(j, "text"));
    memcpy(s.id, a->state.capture_state.id, sizeof s.id);
    for (size_t i = 0; i < json_array_size(interfaces) && i < NET_STRINGS_MAX; i++)
        if (json_is_string(json_array_get(interfaces, i)))
            names[s.interface_count++] = (char *)(uintptr_t)json_string_value(json_array_get(interfaces, i));
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        *number_at(&s, i) = read_number(j, numbers[i].name, numbers[i].summed ? 0 : UINT64_MAX);
    if (order_take_state(a, &s, NULL))
        a->state.capture_state.phase = PHASE_PENDING; /* it tells when it comes */
}

static void read_agent(struct order *o, const json_t *j)
{
    struct fleet *f = o->orders->server->fleet;
    const char *name = json_string_value(json_object_get(j, "agent"));
    struct fleet_agent *is = name ? fleet_find(f, name) : NULL;
    struct order_agent *a;
    if (!name || (!is && fleet_know(f, name, "", 0, &is, NULL)) || order_add_agent(o, is, &a, NULL))
        return;
    read_state(j, a);
    a->since_ns = read_number(j, "since_ns", 0);
    a->reaches_ns = read_number(j, "reaches_ns", 0);
    a->left_out = json_is_true(json_object_get(j, "left_out"));
    a->sent = json_is_true(json_object_get(j, "sent"));
}

void order_agents_read(struct order *o, const char *agents)
{
    json_t *list = json_loads(agents, JSON_REJECT_DUPLICATES, NULL), *j;
    size_t i;
    json_array_foreach(list, i, j)
    {
        read_agent(o, j);
    }
    json_decref(list);
}
