/* listeners: a sorted list of sockets, and the host's addresses for those that are bound to none. */
#include "agent/capture/listeners.h"
#include <stdlib.h>
#include <string.h>

struct address {
    uint8_t family;
    uint8_t addr[16];
};

struct listeners {
    struct listener *sockets; /* by port */
    size_t count;
    struct address *addresses; /* sorted */
    size_t address_count;
};

static int compare_ports(const void *a, const void *b)
{
    const struct listener *x = a, *y = b;
    return x->port - y->port;
}

static int compare_address(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct address));
}

static struct address address_of(uint8_t family, const uint8_t addr[16])
{
    struct address a = {.family = family};
    memcpy(a.addr, addr, family == FAMILY_IP4 ? 4 : sizeof a.addr);
    return a;
}

int listeners_new(const struct listener *sockets, size_t count, const uint8_t (*addresses)[16], const uint8_t *families,
                  size_t address_count, struct listeners **out, struct error *e)
{
    struct listeners *l = calloc(1, sizeof *l);
    *out = NULL;
    if (l) {
        l->sockets = calloc(count + 1, sizeof *l->sockets);
        l->addresses = calloc(address_count + 1, sizeof *l->addresses);
    }
    if (!l || !l->sockets || !l->addresses) {
        listeners_free(l);
        return error_set(e, ERROR_MEMORY, "no memory for %zu listening sockets", count);
    }
    for (; l->count < count; l->count++)
        l->sockets[l->count] = sockets[l->count];
    for (; l->address_count < address_count; l->address_count++)
        l->addresses[l->address_count] = address_of(families[l->address_count], addresses[l->address_count]);
    qsort(l->sockets, count, sizeof *l->sockets, compare_ports);
    qsort(l->addresses, address_count, sizeof *l->addresses, compare_address);
    *out = l;
    return 0;
}

void listeners_free(struct listeners *l)
{
    if (!l)
        return;
    free(l->sockets);
    free(l->addresses);
    free(l);
}

static bool is_any(const struct listener *s)
{
    static const uint8_t none[16];
    return memcmp(s->addr, none, sizeof none) == 0;
}

static bool waits_at(const struct listeners *l, const struct listener *s, const struct address *a)
{
    if (!is_any(s))
        return s->family == a->family && memcmp(s->addr, a->addr, a->family == FAMILY_IP4 ? 4 : 16) == 0;
    bool both = s->family == FAMILY_IP6 && !s->only_ip6;
    return (both || s->family == a->family) &&
           bsearch(a, l->addresses, l->address_count, sizeof *l->addresses, compare_address);
}

bool listeners_has(const struct listeners *l, uint8_t family, const uint8_t addr[16], uint16_t port)
{
    if (!l || (family != FAMILY_IP4 && family != FAMILY_IP6))
        return false;
    struct listener wanted = {.port = port};
    struct address a = address_of(family, addr);
    size_t low = 0, high = l->count;
    while (low < high) { /* the first that is not before it */
        size_t middle = low + (high - low) / 2;
        if (compare_ports(&l->sockets[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < l->count && compare_ports(&l->sockets[low], &wanted) == 0; low++)
        if (waits_at(l, &l->sockets[low], &a))
            return true;
    return false;
}
