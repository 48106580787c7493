/*
 * column_write: the values of one column -> bytes, in whichever way is smallest. See codec.h for the bytes.
 */
#ifndef FLEETDUMP_ROWS_COLUMN_WRITE_H
#define FLEETDUMP_ROWS_COLUMN_WRITE_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/rows/block_format.h"
#include "common/rows/stage.h"

/* Memory that all columns of a block share. */
struct column_writer;
struct column_writer *column_writer_new(void); /* NULL: no memory */
void column_writer_free(struct column_writer *w);
/* Before each block: what failed in the one before is forgotten. */
void column_writer_begin(struct column_writer *w);

/* Appends the stored bytes of the i-th column of the staged table, which at least one row has, to out, and fills entry.
 * If its codec is CELLS, the column's bytes of all rows are appended to cells.
 * What a reader would refuse is not written: ERROR_LIMIT, ERROR_INVALID name the column. ERROR_MEMORY. */
MUST_CHECK int column_write(struct column_writer *w, const struct stage *s, unsigned i, struct block_entry *entry,
                            struct buffer *out, struct buffer *cells, struct error *e);

/* The same for the cells: of so many columns one after the other, each of so many rows. */
MUST_CHECK int column_write_cells(struct column_writer *w, const uint8_t *cells, size_t rows, size_t columns,
                                  struct block_entry *entry, struct buffer *out, struct error *e);

#endif
