#include "collector/cli/order.h"
#include "common/base/glob.h"
#include <stdio.h>
#include <string.h>

uint64_t order_number(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v < 0 ? 0 : (uint64_t)v;
}

const char *order_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

bool order_flag(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

uint64_t order_drops(const json_t *o)
{
    return order_number(o, "kernel_drops") + order_number(o, "other_drops");
}

int order_phase(const json_t *agent)
{
    const char *text = order_text(agent, "phase");
    int phase = PHASE_PENDING;
    while (phase <= PHASE_MISSED && strcmp(capture_phase_name(phase), text) != 0)
        phase++;
    return phase <= PHASE_MISSED ? phase : 0;
}

bool order_agent_is_final(const json_t *agent)
{
    int phase = order_phase(agent);
    return phase == PHASE_STOPPED || phase == PHASE_REFUSED || phase == PHASE_MISSED;
}

size_t order_count(const json_t *order, int phase)
{
    size_t i, n = 0;
    json_t *a;
    json_array_foreach(json_object_get(order, "agents"), i, a) n += order_phase(a) == phase;
    return n;
}

bool order_has_ended(const json_t *order)
{
    static const char *const ends[] = {"over", "stopping", "refused"};
    const char *state = order_text(order, "state");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(state, ends[i]) == 0)
            return true;
    return false;
}

bool order_is_over(const json_t *order)
{
    const json_t *agents = json_object_get(order, "agents");
    bool ended = order_has_ended(order);
    size_t i;
    json_t *a;
    json_array_foreach(agents, i, a)
    {
        bool away = !order_flag(a, "connected") || order_phase(a) == PHASE_PENDING;
        if (!order_agent_is_final(a) && !(ended && away))
            return false;
    }
    return ended || json_array_size(agents) > 0;
}

static bool fits_one(char *const *globs, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (glob_match(globs[i], name, strlen(name)))
            return true;
    return count == 0;
}

bool order_feeds(const json_t *order, const struct message_query *q)
{
    bool named = q->capture && q->capture[0];
    size_t i;
    json_t *a;
    if (order_is_over(order) || strcmp(order_text(order, "keep"), capture_keep_name(KEEP_FLOWS)) == 0 ||
        !fits_one(&q->capture, named, order_text(order, "capture")))
        return false;
    json_array_foreach(json_object_get(order, "agents"), i, a)
    {
        if (!order_agent_is_final(a) && fits_one(q->agents, q->agent_count, order_text(a, "agent")))
            return true;
    }
    return false;
}

char *order_words(const json_t *o, const char *key, char *buf, size_t len)
{
    size_t i, n = 0;
    json_t *text;
    buf[0] = 0;
    json_array_foreach(json_object_get(o, key), i, text)
    {
        const char *word = json_string_value(text);
        if (word && n < len)
            n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? ", " : "", word);
    }
    return buf;
}

char *order_id_text(const uint8_t id[16], char *out)
{
    for (size_t i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", id[i]);
    return out;
}

int order_fetch(struct client *c, const char *which, json_t **orders, struct error *e)
{
    const struct message_query q = {
        .kind = QUERY_ORDERS, .capture = (char *)(uintptr_t)which, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    return client_fetch(c, &q, orders, e);
}

int order_fetch_one(struct client *c, const char *id, json_t **order, struct error *e)
{
    json_t *orders = NULL, *one;
    size_t i;
    int r = order_fetch(c, id, &orders, e);
    *order = NULL;
    json_array_foreach(orders, i, one)
    {
        if (!*order && strcmp(order_text(one, "id"), id) == 0)
            *order = json_incref(one);
    }
    json_decref(orders);
    if (r == 0 && !*order)
        r = error_set(e, ERROR_NOT_FOUND, "the collector does not know the capture %s any more", id);
    return r;
}
