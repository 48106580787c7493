#include "collector/server/guesses.h"

#include "common/packet/packet.h"
#include <string.h>

#define NET6_BYTES 8u /* one customer's */

static void key_of(const struct net_address *from, uint8_t key[16])
{
    memset(key, 0, 16);
    key[15] = from->family;
    memcpy(key, from->addr, from->family == FAMILY_IP6 ? NET6_BYTES : 4);
}

bool guesses_same(const struct net_address *a, const struct net_address *b)
{
    uint8_t key_a[16], key_b[16];
    key_of(a, key_a);
    key_of(b, key_b);
    return memcmp(key_a, key_b, sizeof key_a) == 0;
}

static size_t find(const struct guesses *g, const struct net_address *from, uint64_t now_ns)
{
    uint8_t key[16];
    size_t at = 0;
    key_of(from, key);
    while (at < GUESSES_ADDRESSES && (memcmp(g->of[at].addr, key, sizeof key) != 0 || !g->of[at].since_ns ||
                                      now_ns - g->of[at].since_ns > GUESSES_WINDOW_NS))
        at++;
    return at;
}

bool guesses_may(const struct guesses *g, const struct net_address *from, uint64_t now_ns)
{
    size_t at = find(g, from, now_ns);
    return at == GUESSES_ADDRESSES || g->of[at].wrong < GUESSES_MOST;
}

void guesses_wrong(struct guesses *g, const struct net_address *from, uint64_t now_ns)
{
    size_t at = find(g, from, now_ns);
    if (at < GUESSES_ADDRESSES) {
        g->of[at].wrong++;
        return;
    }
    at = 0;
    for (size_t i = 1; i < GUESSES_ADDRESSES; i++)
        if (g->of[i].since_ns < g->of[at].since_ns)
            at = i;
    g->of[at] = (struct guesses_of){.since_ns = now_ns, .wrong = 1};
    key_of(from, g->of[at].addr);
}
