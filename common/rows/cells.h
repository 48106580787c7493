/*
 * cells: columns of few values side by side: a byte for each row and column, row by row in the block (which zstd likes:
 * alike rows repeat), column by column in memory.
 */
#ifndef FLEETDUMP_ROWS_CELLS_H
#define FLEETDUMP_ROWS_CELLS_H

#include <stddef.h>
#include <stdint.h>

#define CELLS_TOGETHER 8u /* columns that are turned in one go for little more than one of them costs */

/* n lines of m bytes each -> m lines of n bytes, of which only those from `first` on and before `last` are written:
 * to[k * n + i] = from[i * m + k]. Does not overlap. */
void cells_turn(const uint8_t *from, size_t n, size_t m, size_t first, size_t last, uint8_t *to);

/* Which of n cells are not 0: bit i % 8 of byte i / 8, for (n + 7) / 8 bytes. Returns how many. */
size_t cells_presence(const uint8_t *cells, size_t n, uint8_t *bits);

uint8_t cells_greatest(const uint8_t *cells, size_t n);

#endif
