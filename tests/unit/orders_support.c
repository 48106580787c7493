#include "tests/unit/orders_support.h"

#include <string.h>

json_t *orders_one(struct peer *client, const char *which)
{
    json_t *list = peer_orders(client, which);
    if (json_array_size(list) != 1)
        fail_msg("%zu captures fit '%s'", json_array_size(list), which);
    json_t *order = json_incref(json_array_get(list, 0));
    json_decref(list);
    return order;
}

void orders_assert_state(struct peer *client, const char *which, const char *state)
{
    json_t *order = orders_one(client, which);
    assert_string_equal(json_text(order, "state"), state);
    json_decref(order);
}

void orders_assert_agent(struct peer *client, const char *which, const char *agent, const char *phase, const char *text)
{
    json_t *order = orders_one(client, which), *a = json_agent(order, agent);
    assert_non_null(a);
    assert_string_equal(json_text(a, "phase"), phase);
    if (!strstr(json_text(a, "text"), text))
        fail_msg("'%s' has no '%s'", json_text(a, "text"), text);
    json_decref(order);
}

size_t orders_listed(struct peer *client, const char *which)
{
    json_t *list = peer_orders(client, which);
    size_t n = json_array_size(list);
    json_decref(list);
    return n;
}

void orders_assert_starts(struct peer *client, const char *name, const char *on)
{
    struct capture_request r = request_of(name, on);
    if (peer_start(client, &r, false))
        fail_msg("%s", client->text);
}

void peer_assert_said(const struct peer *client, const char *text)
{
    if (!strstr(client->text, text))
        fail_msg("'%s' has no '%s'", client->text, text);
}
