#include "common/rows/cells.h"

#include <string.h>

#define PART  64u /* lines and columns that are turned at once: they stay in the cache */
#define WORD  8u  /* bytes that are turned or looked at together */
#define LOWER UINT64_C(0x7f7f7f7f7f7f7f7f)
#define ONES  UINT64_C(0x0101010101010101)
#define PACK  UINT64_C(0x0102040810204080) /* ones and zeroes times this: in the highest byte a bit for each */

/* Exchanges what the mask covers in b with what stands `shift` higher in a. */
static inline void exchange(uint64_t *a, uint64_t *b, unsigned shift, uint64_t mask)
{
    uint64_t differ = (*a >> shift ^ *b) & mask;
    *b ^= differ;
    *a ^= differ << shift;
}

/* 8 lines of 8 bytes each; halves, quarters, and then bytes change places. Little-endian, as all that we run on. */
static inline void turn_word(const uint8_t *from, size_t from_line, uint8_t *to, size_t to_line)
{
    uint64_t line[WORD];
    for (unsigned i = 0; i < WORD; i++)
        memcpy(&line[i], from + i * from_line, WORD);
    for (unsigned i = 0; i < WORD / 2; i++)
        exchange(&line[i], &line[i + 4], 32, UINT64_C(0x00000000ffffffff));
    for (unsigned i = 0; i < WORD; i += i % 4 ? 3 : 1)
        exchange(&line[i], &line[i + 2], 16, UINT64_C(0x0000ffff0000ffff));
    for (unsigned i = 0; i < WORD; i += 2)
        exchange(&line[i], &line[i + 1], 8, UINT64_C(0x00ff00ff00ff00ff));
    for (unsigned i = 0; i < WORD; i++)
        memcpy(to + i * to_line, &line[i], WORD);
}

static size_t upto(size_t end, size_t n)
{
    return end < n ? end : n;
}

void cells_turn(const uint8_t *from, size_t n, size_t m, size_t first, size_t last, uint8_t *to)
{
    size_t whole_n = n - n % WORD;
    size_t whole_m = first + (last - first) / WORD * WORD;
    for (size_t i = 0; i < whole_n; i += PART)
        for (size_t k = first; k < whole_m; k += WORD)
            for (size_t a = i; a < upto(i + PART, whole_n); a += WORD)
                turn_word(from + a * m + k, m, to + k * n + a, n);
    for (size_t a = 0; a < n; a++)
        for (size_t b = a < whole_n ? whole_m : first; b < last; b++)
            to[b * n + a] = from[a * m + b];
}

/* A one for each byte that is not 0. */
static inline uint64_t not_zero(uint64_t bytes)
{
    return (((bytes & LOWER) + LOWER) | bytes) >> 7 & ONES;
}

size_t cells_presence(const uint8_t *cells, size_t n, uint8_t *bits)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += WORD) {
        uint64_t bytes = 0;
        if (n - i >= WORD)
            memcpy(&bytes, cells + i, WORD);
        else
            memcpy(&bytes, cells + i, n - i);
        uint64_t ones = not_zero(bytes);
        bits[i / WORD] = (uint8_t)(ones * PACK >> 56);
        count += ones * ONES >> 56;
    }
    return count;
}

uint8_t cells_greatest(const uint8_t *cells, size_t n)
{
    uint8_t most[PART] = {0};
    size_t i = 0;
    for (; i + PART <= n; i += PART)
        for (size_t k = 0; k < PART; k++)
            most[k] = cells[i + k] > most[k] ? cells[i + k] : most[k];
    for (; i < n; i++)
        most[0] = cells[i] > most[0] ? cells[i] : most[0];
    for (size_t k = 1; k < PART; k++)
        most[0] = most[k] > most[0] ? most[k] : most[0];
    return most[0];
}
