/*
 * order: sorts by numbers, without comparing.
 */
#ifndef FLEETDUMP_ROWS_ORDER_H
#define FLEETDUMP_ROWS_ORDER_H

#include <stddef.h>
#include <stdint.h>

struct order_item {
    uint64_t key;
    uint32_t place; /* what it is of */
};

/* Sorts the first n items by ascending key; those of equal keys keep their order. There is room for 2 n items; returns
 * where the sorted ones begin: the items, or their second half. */
struct order_item *order_sort(struct order_item *items, size_t n);

#endif
