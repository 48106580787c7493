/*
 * block_craft: blocks made by hand, from what block.h and codec.h say, and blocks that are made and opened by the code.
 */
#ifndef FLEETDUMP_TESTS_BLOCK_CRAFT_H
#define FLEETDUMP_TESTS_BLOCK_CRAFT_H

#include "common/base/buffer.h"
#include "common/rows/block.h"

/* A block made by hand. */
struct craft {
    struct buffer directory;
    struct buffer data;
    uint16_t columns;
};

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

#define REFUSED(code, what, ...)                                                                                       \
    do {                                                                                                               \
        struct buffer refused = __VA_ARGS__;                                                                           \
        craft_assert_refused(&refused, code, what);                                                                    \
    } while (0)

extern const struct table *const block_tables[];

/* As the code makes it. */
struct buffer block_encoded(const struct table *t, const void *rows, size_t n);
/* It must open. */
struct block *block_opened(const struct table *t, const void *data, size_t len);
/* Opens and reads all columns: 0 or the error. */
int block_read_all(const struct table *t, const void *data, size_t len, struct error *e);
void craft_add(struct craft *c, unsigned id, unsigned codec, unsigned flags, const void *data, size_t len, size_t raw);
/* Puts the parts together and empties them. */
struct buffer craft_finish(struct craft *c, unsigned version, unsigned table, uint32_t rows);
/* A block of the table flow with one column of these bytes. */
struct buffer craft_one_column(unsigned id, unsigned codec, unsigned flags, const void *data, size_t len,
                               uint32_t rows);
/* Two columns, of which the second says the first's id. */
struct buffer craft_relative(unsigned other, unsigned codec, unsigned flags, const void *data, size_t len,
                             unsigned other_flags, const void *other_data, size_t other_len);
/* Expects reading all of the block to fail with this code and a text that holds `what`; frees it. */
void craft_assert_refused(struct buffer *b, int code, const char *what);
/* All columns of the rows come back. */
void block_assert_round_trip(const struct table *t, const uint8_t *rows, size_t n);

#endif
