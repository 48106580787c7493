/*
 * block: many rows of one table, stored by column.
 *
 *   block     := magic "FDBK" | version u8 (3) | table id u8 | column count u16 | row count u32
 *                | directory | hash64 of all before it | column data
 *   directory := per column, ascending ids: id u16 | codec u8 | flags u8 | stored length u32 | raw length u32
 *                | hash64 of the stored data
 *                The data stand in directory order, one directly after the other.
 *   codec     := CONSTANT 1 | FRAME (of reference, with bit widths) 2 | DELTA (with bit widths) 3 | DICTIONARY 4
 *                | PLAIN 5 | LISTS 6 | SPLIT 7 | CELLS 8
 *   flags     := PRESENCE 1 | ZSTD 2 | ABOVE 4 | BELOW 8 | MIXED 16 | LIKE 32 | ORDERED 64
 *   data      := [presence bitmap if flag PRESENCE, id of another column if flag LIKE] [id of another column if flag
 *                ABOVE, BELOW or ORDERED] values by codec; the whole then as one zstd frame if flag ZSTD (only if
 *                smaller). The exact bytes of each codec and what the flags mean is described on top of codec.h.
 *                Of columns of codec CELLS only the distinct values stand in their data; which of them each row has is
 *                in the cells, which stand in the directory as a column of id 65535, codec CELLS, with no flag but
 *                ZSTD, if there are such columns.
 *
 * All integers little-endian. A block is valid if both levels of hashes match, lengths add up to exactly the block's
 * length, and every decoded value fits its column. A reader skips columns whose id it does not know; columns that a
 * block lacks are missing. Any column can be read alone: of the others, this expands at most the cells, the one that
 * the same rows have, and the one that it is relative to or ordered by (and that one's). Columns that no row has are
 * not stored. Rows stand in any order: the more alike neighbours are, the fewer bytes they take.
 */
#ifndef FLEETDUMP_ROWS_BLOCK_H
#define FLEETDUMP_ROWS_BLOCK_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/rows/column.h"

#define BLOCK_ROWS_MAX  262144u
#define BLOCK_BYTES_MAX (256u << 20) /* stored; and the sum of all columns' raw lengths */
#define BLOCK_ITEMS_MAX (1u << 24)   /* items of all lists of a column */

/* Appends a block of n rows (structs of t->row_size at `rows`) to out. ERROR_LIMIT, ERROR_MEMORY; ERROR_INVALID for a
 * number above what its column may have, or a list that does not ascend. */
MUST_CHECK int block_encode(const struct table *t, const void *rows, size_t n, struct buffer *out, struct error *e);

/* The same for blocks one after the other: keeps its memory, and is given rows a tile at a time and by column, so there
 * need not be row structs. `fill` puts the rows [from, from + n) of the block into the tile that was begun (stage.h);
 * their texts and lists stay valid until the call returns. */
struct block_writer;
struct block_writer *block_writer_new(void);    /* NULL without memory */
void block_writer_free(struct block_writer *w); /* NULL is fine */
struct stage;
typedef void block_fill_fn(void *context, size_t from, size_t n, struct stage *tile);
MUST_CHECK int block_writer_encode(struct block_writer *w, const struct table *t, block_fill_fn *fill, void *context,
                                   size_t n, struct buffer *out, struct error *e);

/* An opened block: refers to the caller's memory, owns what it expanded. */
struct block;

/* Checks header and directory (not yet the columns' data) of a block of exactly len bytes, which must outlive it. */
MUST_CHECK int block_open(const struct table *t, const void *data, size_t len, struct block **out, struct error *e);
void block_close(struct block *b); /* NULL is fine; frees all text and lists that rows refer to */

uint32_t block_rows(const struct block *b);
bool block_has_column(const struct block *b, unsigned id);

/* Decodes one column of all rows into the row structs at `rows` (block_rows of them, stride t->row_size), setting or
 * clearing its bit in each row's column_set. Text and lists point into memory owned by the block. A column that the
 * block lacks is cleared. ERROR_CORRUPT, ERROR_INVALID name the column. */
MUST_CHECK int block_read_column(struct block *b, unsigned id, void *rows, struct error *e);

/* Decodes one COLUMN_UINT column into block_rows numbers in row order, rows without it as 0; for scans, which need no
 * rows. `present` (may be NULL) gets a bitmap of ceil(rows / 8) bytes: bit i % 8 of byte i / 8 is set if row i has the
 * column. */
MUST_CHECK int block_read_numbers(struct block *b, unsigned id, uint64_t *numbers, uint8_t *present, struct error *e);

/* All columns: a malloc'ed array of block_rows rows (NULL for 0 rows), owned by the caller; text and lists by the
 * block. */
MUST_CHECK int block_read(struct block *b, void **rows, struct error *e);

#endif
