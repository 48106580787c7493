/* A radix sort from the lowest byte on; bytes that are the same in all keys cost nothing. */
#include "common/rows/order.h"

#include <stdbool.h>
#include <string.h>

#define BYTES  8u
#define VALUES 256u

/* Often they come so. */
static bool is_sorted(const struct order_item *items, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (items[i].key < items[i - 1].key)
            return false;
    return true;
}

static void count_bytes(const struct order_item *items, size_t n, uint32_t count[BYTES][VALUES])
{
    memset(count, 0, BYTES * sizeof *count);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < BYTES; k++)
            count[k][items[i].key >> 8 * k & 0xff]++;
}

/* Counts of a byte's values -> where each value's items begin. */
static void counts_to_places(uint32_t count[VALUES])
{
    uint32_t at = 0;
    for (unsigned v = 0; v < VALUES; v++) {
        uint32_t here = count[v];
        count[v] = at;
        at += here;
    }
}

struct order_item *order_sort(struct order_item *items, size_t n)
{
    uint32_t count[BYTES][VALUES];
    struct order_item *from = items;
    struct order_item *to = items + n;
    if (is_sorted(items, n))
        return items;
    count_bytes(items, n, count);
    for (unsigned k = 0; k < BYTES; k++) {
        uint32_t *place = count[k];
        if (place[items[0].key >> 8 * k & 0xff] == n)
            continue;
        counts_to_places(place);
        for (size_t i = 0; i < n; i++)
            to[place[from[i].key >> 8 * k & 0xff]++] = from[i];
        struct order_item *swapped = from;
        from = to;
        to = swapped;
    }
    return from;
}
