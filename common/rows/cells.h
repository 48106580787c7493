/*
 * cells: columns of few values side by side: a byte for each row and column, row by row in the block (which zstd likes: alike rows repeat), column
 * by column in memory.
 */
#ifndef FLEETDUMP_ROWS_CELLS_H
#define FLEETDUMP_ROWS_CELLS_H

#include <stddef.h>
#include <stdint.h>

/* n lines of m bytes each -> m lines of n bytes: to[k * n + i] = from[i * m + k]. Does not overlap. */
void cells_turn(const uint8_t *from, size_t n, size_t m, uint8_t *to);

#endif
