#include "common/rows/cells.h"

#define PART 64u /* lines and columns that are turned at once: they stay in the cache */

static size_t part(size_t from, size_t n)
{
    return n - from < PART ? n - from : PART;
}

void cells_turn(const uint8_t *from, size_t n, size_t m, uint8_t *to)
{
    for (size_t i = 0; i < n; i += PART)
        for (size_t k = 0; k < m; k += PART)
            for (size_t b = k; b < k + part(k, m); b++)
                for (size_t a = i; a < i + part(i, n); a++)
                    to[b * n + a] = from[a * m + b];
}
