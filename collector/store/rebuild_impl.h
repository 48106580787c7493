/*
 * rebuild_impl: a partition that is made anew: rebuild_gather.c finds what there is of it, rebuild_write.c writes it,
 * rebuild.c puts it in the old one's place.
 */
#ifndef FLEETDUMP_STORE_REBUILD_IMPL_H
#define FLEETDUMP_STORE_REBUILD_IMPL_H

#include "collector/store/rebuild.h"

/* A head that was found: in the old database, in a pack, or both. */
struct found {
    uint8_t epoch[EPOCH_SIZE];
    uint8_t install[16];
    uint64_t seq, last_seq, arrived_ns;
    uint64_t order_ns; /* arrived_ns, made to rise within a stream */
    uint64_t old_head; /* number in the old database; 0: not there */
    uint8_t body, gap; /* as the old database says; a head of a pack alone: BODY_STORED */
    uint64_t pack;     /* 0: in none */
    struct pack_record record;
    bool body_whole; /* the body in the pack has its hash */
};

/* What should be there of a stream. */
struct expected {
    struct portion portion; /* with its own texts */
};

struct rebuild {
    struct checking *c;
    struct store *s;
    struct partition *old, *new;
    struct db *db; /* the old one, or NULL */
    struct found *found;
    size_t found_count, found_size;
    struct expected *expected;
    size_t expected_count;
    uint64_t *packs;
    size_t pack_count;
    uint64_t restored, lost;
};

/* Notes what the old database says should be there. */
MUST_CHECK int rebuild_expect(struct rebuild *b, struct error *e);
/* NULL: nothing is known of it. */
const struct portion *rebuild_expected_of(const struct rebuild *b, const uint8_t epoch[EPOCH_SIZE]);
/* Heads of the old database, as far as it can be read. */
MUST_CHECK int rebuild_take_old_heads(struct rebuild *b, struct error *e);
/* Heads in them. */
MUST_CHECK int rebuild_take_packs(struct rebuild *b, int dirfd, struct error *e);
/* The packs in the old folder, by number. */
MUST_CHECK int rebuild_list_packs(struct rebuild *b, int folder, struct error *e);
/* By stream and item; what the database said comes first, then packs as they were written. */
int rebuild_compare_items(const void *a, const void *b);
int rebuild_compare_order(const void *a, const void *b);
/* One of each, in the order of arrival. */
void rebuild_unite(struct rebuild *b);
/* Gaps where something should be and is not. */
MUST_CHECK int rebuild_fill_holes(struct rebuild *b, struct error *e);
/* All that was found. */
MUST_CHECK int rebuild_write_heads(struct rebuild *b, struct error *e);

#endif
