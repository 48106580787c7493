/*
 * codec: how the values of one column stand in a block. Here is the reference of the bytes; block.h says what is around
 * them.
 *
 *   column     := [presence] [other] values; the whole then as one zstd frame if the directory's flag ZSTD is set
 *   cells      := for each row a byte for each column of codec CELLS, these in the order of their ids; one zstd frame
 *                 likewise
 *   presence   := if flag PRESENCE: ceil(rows / 8) bytes, bit i % 8 of byte i / 8 is set if row i has the column;
 *                 unused bits are 0; or if flag LIKE: varint id of a column with flag PRESENCE, which the same rows
 *                 have, or of codec CELLS. Without the flags all rows have it; of codec CELLS, those whose cell
 *                 is not 0.
 *   other      := varint id, if flag ABOVE, BELOW or ORDERED: of a column of numbers that the block has; for ABOVE and
 *                 BELOW one with none of these flags, for ORDERED the one that the column's table names (column.h)
 *
 * What is stored of a number v (columns of numbers alone, one flag at the most; ORDERED goes with MIXED or alone):
 *   ABOVE      v - o     o is the row's number in the other column; 0 if the row does not have that
 *   BELOW      o - v
 *   MIXED      the number of which v is the hash64_mix
 *   neither    v
 *   ORDERED    the numbers do not stand in the order of the rows, but of the rows' numbers in the other column,
 *              ascending (0 if a row does not have that), and where those are equal in the order of the rows
 *
 * Below, n is the number of rows that have the column, never 0. The values, by the directory's codec and the type:
 *
 *   CONSTANT, FRAME, DELTA
 *     numbers    := sequence of n values, without its form byte: that is the codec
 *   SPLIT
 *     numbers    := varint factor, at least 2 | sequence of n quotients | sequence of n remainders, less than the
 *                   factor; value[i] = quotient[i] * factor + remainder[i]
 *   DICTIONARY
 *     numbers    := varint d | sequence of d distinct values, ascending | sequence of n indexes
 *                   1 <= d <= n, indexes are < d
 *     addresses  := varint d | addresses of d distinct values           | sequence of n - 1 uses
 *     text       := varint d | texts of d distinct values               | sequence of n - 1 uses
 *                   they stand in the order of their first use. The first row's value is the first of them; a use is
 *                   one of the other rows: 0 is the next one, for the first time; k is the k-th, counted from 1, once
 *                   more. Each is used
 *   CELLS
 *     numbers    := varint d | sequence of d distinct values, ascending
 *     addresses  := varint d | addresses of d distinct values
 *     text       := varint d | texts of d distinct values
 *                   1 <= d <= n, d <= 255; a row's cell is 0, or says which of them it has, counted from 1
 *   PLAIN
 *     addresses  := addresses of n values
 *     text       := texts of n values
 *   LISTS
 *     lists      := sequence of n counts
 *                 | sequence of the first items of the lists that are not empty
 *                 | sequence of what each other item is more than the one before it in its list
 *
 *   addresses  := w u8 (1..16) | w planes: the first bytes of all, then the second bytes of all, and so on;
 *                 bytes w..15 are 0
 *   texts      := sequence of the lengths | all bytes, one text after the other
 *
 * A sequence of n numbers of up to 64 bits is its form u8 and then; of 0 numbers it is nothing at all, not even a form:
 *
 *   CONSTANT   := varint value, of all n
 *   FRAME      := varint base | packed n;                        value[i] = base + packed[i]
 *   DELTA      := varint before | varint zigzag step | packed n; value[i] = value[i-1] + step + packed[i],
 *                 where value[-1] is `before`
 *                 (the writer takes `before` = value[0] - step, so packed[0] is 0)
 *
 *   packed n   := 0 u8 | a width u8 (0..56, 64) for each group of 128 numbers, of which the last may be shorter
 *                 | the groups: each number in `width` bits, lowest bit of the first number first, filled up with
 *                 0 bits to a whole byte
 *   or         := k u8 (1..8) | k planes of n bytes: the lowest bytes of all numbers, then the next (made for zstd)
 *
 * All arithmetic is modulo 2^64. Varints are LEB128, zigzag is (v << 1) ^ (v >> 63), all integers are little-endian.
 *
 * A group of 128 numbers of w bits has exactly 16 w bytes, so any group is found from the widths alone, and a value
 * unpacks with one unaligned 64-bit load. All readers here return false for anything that breaks these rules; they
 * never read past the cursor's end and write at most n values.
 */
#ifndef FLEETDUMP_ROWS_CODEC_H
#define FLEETDUMP_ROWS_CODEC_H

#include "common/base/buffer.h"
#include "common/base/bytes.h"

#define CODEC_GROUP 128u

/* The codec byte of the directory; the first three are also the forms of sequences. Stored: never renumber. */
enum form {
    FORM_CONSTANT = 1,
    FORM_FRAME = 2,
    FORM_DELTA = 3,
    FORM_DICTIONARY = 4,
    FORM_PLAIN = 5,
    FORM_LISTS = 6,
    FORM_SPLIT = 7,
    FORM_CELLS = 8,
};

/* A sequence of n > 0 numbers with the form that is smallest when packed in groups. Refers to the caller's values. */
struct sequence {
    const uint64_t *values;
    size_t n;
    enum form form;
    uint64_t base;      /* CONSTANT: the value; FRAME: base; DELTA: before */
    uint64_t step;      /* DELTA */
    unsigned width;     /* bits of the greatest packed number */
    size_t group_bytes; /* when packed in groups */
};
struct sequence sequence_plan(const uint64_t *values, size_t n, bool delta); /* delta: consider FORM_DELTA too */

/* Appends the sequence without its form byte; packed in groups or in planes. */
void sequence_write(const struct sequence *s, bool planes, struct buffer *out);

/* Appends form byte and sequence, of any form; nothing for n = 0. */
void sequence_append(const uint64_t *values, size_t n, bool planes, struct buffer *out);

/* Reads n > 0 numbers of a form; n numbers with the form byte in front, or nothing if n is 0. */
bool sequence_read(enum form form, struct bytes *in, size_t n, uint64_t *values);
bool sequence_take(struct bytes *in, size_t n, uint64_t *values);

/* The lowest bytes of up to CODEC_GROUP numbers at `out`, the next ones a stride behind them, and so on. */
void sequence_planes(const uint64_t *restrict v, size_t n, unsigned planes, uint8_t *restrict out, size_t stride);

/* The bits that any of n numbers has. */
uint64_t sequence_bits(const uint64_t *v, size_t n);

/* Bits that v needs: 0..64. */
static inline unsigned codec_width(uint64_t v)
{
    return v ? 64u - (unsigned)__builtin_clzll(v) : 0;
}

#endif
