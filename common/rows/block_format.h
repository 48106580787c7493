/*
 * block_format: what writer and reader of blocks share: sizes and flags of the bytes that block.h describes.
 */
#ifndef FLEETDUMP_ROWS_BLOCK_FORMAT_H
#define FLEETDUMP_ROWS_BLOCK_FORMAT_H

#include <stdint.h>

#define BLOCK_MAGIC       "FDBK"
#define BLOCK_VERSION     3
#define BLOCK_HEADER_SIZE 12u /* magic to row count */
#define BLOCK_ENTRY_SIZE  20u
#define BLOCK_HASH_SIZE   8u

#define BLOCK_PRESENCE    0x01u
#define BLOCK_ZSTD        0x02u
#define BLOCK_ABOVE       0x04u
#define BLOCK_BELOW       0x08u
#define BLOCK_MIXED       0x10u
#define BLOCK_LIKE        0x20u
#define BLOCK_ORDERED     0x40u
#define BLOCK_ROWS        (BLOCK_PRESENCE | BLOCK_LIKE) /* one of them at the most */
#define BLOCK_RELATIVE    (BLOCK_ABOVE | BLOCK_BELOW)
#define BLOCK_NUMBERS     (BLOCK_RELATIVE | BLOCK_MIXED)   /* of COLUMN_UINT alone, and one of them at the most */
#define BLOCK_OTHER       (BLOCK_RELATIVE | BLOCK_ORDERED) /* the same; the other's id stands before the values */
#define BLOCK_FLAGS_KNOWN (BLOCK_ROWS | BLOCK_ZSTD | BLOCK_NUMBERS | BLOCK_ORDERED)

#define BLOCK_CELLS     0xffffu /* id of the cells in the directory */
#define BLOCK_CELLS_MAX 255u    /* values of a column in cells: 0 is a row without it */

#define ADDRESS_SIZE 16u

/* One entry of the directory. */
struct block_entry {
    uint16_t id;
    uint8_t codec; /* enum form */
    uint8_t flags;
    uint32_t stored_length;
    uint32_t raw_length;
    uint64_t hash;
};

#endif
