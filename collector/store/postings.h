/*
 * postings: which heads of a partition have rows with an address, a port, ... so that a query reads only those.
 *
 * A posting is a key and the ascending numbers of the heads whose rows have it. In memory while the partition is open;
 * in table posting, in key order, once it is closed.
 *
 *   key  := kind u8 | value            (big-endian, so that ranges of values are ranges of keys)
 *     0  marker, no value: the table is complete; its list is the one number of the last head covered
 *     1  address: family u8 | 4, 6 or 16 bytes by family, of either end
 *     2  port u16, of either end
 *     3  stream u32: the stream's number in flows.db (agents and captures are streams' properties)
 *     4  flow id: its highest 16 bits
 *     5  no value: items that have no rows to judge (gaps, ends); they are in each answer that their stream is in
 *   list := varints: the first number, then differences
 *
 * Selection answers from keys alone: it never leaves out a head that has a row of which filter_row_part says more than
 * no.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_POSTINGS_H
#define FLEETDUMP_COLLECTOR_STORE_POSTINGS_H

#include "common/base/error.h"
#include "common/chunk/head.h"
#include "common/filter/filter.h"

#define POSTINGS_KEY_MAX  18u
#define POSTINGS_KEYS_MAX (4u << 20) /* in memory; the partition is closed before it has more */

enum postings_kind {
    POSTINGS_MARKER = 0,
    POSTINGS_ADDRESS = 1,
    POSTINGS_PORT = 2,
    POSTINGS_STREAM = 3,
    POSTINGS_FLOW = 4,
    POSTINGS_ROWLESS = 5,
};

struct postings_key {
    uint8_t len;
    uint8_t bytes[POSTINGS_KEY_MAX];
};
struct postings_key postings_key_of(enum postings_kind kind, const void *value, size_t len);

/* ------------------------------------------------------------------ in memory (not thread-safe) */
struct postings;
struct postings *postings_new(void);    /* NULL without memory */
void postings_free(struct postings *p); /* NULL is fine */

/* Adds head number `id` (greater than all before) of stream number `stream`. An item whose rows cannot be read is added
 * to none but its stream and the rowless ones: it is in each answer, where its damage is reported. ERROR_MEMORY. */
MUST_CHECK int postings_add(struct postings *p, uint32_t id, uint32_t stream, const struct chunk_head *h,
                            struct error *e);
/* The same for an item that cannot be read at all. */
MUST_CHECK int postings_add_unknown(struct postings *p, uint32_t id, uint32_t stream, struct error *e);

size_t postings_keys(const struct postings *p);
uint32_t postings_last(const struct postings *p); /* greatest id added */

/* Calls `each` for keys in [first, last], ascending if `sorted`; ends at the first nonzero, which is returned. */
typedef int postings_each_fn(void *context, const struct postings_key *key, const void *list, size_t len,
                             struct error *e);
MUST_CHECK int postings_range(struct postings *p, const struct postings_key *first, const struct postings_key *last,
                              bool sorted, postings_each_fn *each, void *context, struct error *e);

/* ------------------------------------------------------------------ selection */
/* A set of head numbers 1..limit. NULL stands for all. */
struct head_set;
bool head_set_has(const struct head_set *s, uint64_t id);
void head_set_free(struct head_set *s);

/* Where the lists come from: as postings_range. */
struct postings_source {
    int (*range)(void *context, const struct postings_key *first, const struct postings_key *last,
                 postings_each_fn *each, void *each_context, struct error *e);
    void *context;
    /* the numbers of the streams whose agent matches the glob */
    void (*streams)(void *context, const char *glob, void (*each)(void *each_context, uint32_t stream),
                    void *each_context);
};

/* The heads up to `limit` that the filter does not exclude; NULL (all) also if it cannot be told: a list that cannot be
 * read restricts nothing. */
struct head_set *postings_select(const struct filter *f, uint32_t limit, const struct postings_source *source);

#endif
