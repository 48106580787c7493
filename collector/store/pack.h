/*
 * pack: an append-only file of heads with their bodies.
 *
 *   pack   := header record...
 *   header := "FDPACK1\0" | version u32 (1) | zero u32 | partition u64 | number u32 | zero u32 | class, 16 bytes padded
 *             with zeros | made_ns u64 | hash64 of all before it (64 bytes)
 *   record := magic "FDRC" | version u8 (1) | zero u8 u16 | head length u32 | zero u32 | epoch | seq u64 | arrived_ns
 *             u64 (of the head) | body length u64 | hash64 of the head's bytes | hash64 of the body | install (16
 *             bytes) | hash64 of all before it (96 bytes) | head bytes | body bytes
 *
 * All integers little-endian. A record is valid if its header's hash matches, head and body lie wholly within the file,
 * and both hashes match. Records stand one directly behind the other; a stretch that a failed group left (never
 * acknowledged) may stand between the last committed record and the file's end. A reader without the database finds
 * records by walking; where a header is damaged it looks for the next valid one, so that a damaged record costs itself
 * only.
 *
 * Packs are written by the writer thread alone, and synced before the transaction that names their new records. A pack
 * whose sync failed is never written again.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_PACK_H
#define FLEETDUMP_COLLECTOR_STORE_PACK_H

#include "common/base/error.h"
#include "common/chunk/head.h"
#include <stdbool.h>
#include <stdint.h>

#define PACK_HEADER_SIZE 64u
#define PACK_RECORD_SIZE 96u
#define PACK_BYTES_MAX   (UINT64_C(1) << 30) /* a new pack is begun behind it */
#define PACK_CLASS       "packets"           /* the one retention class so far */
#define PACK_NAME_MAX    48u

struct pack_record {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t seq;
    uint64_t arrived_ns;
    uint8_t install[16];
    uint32_t head_length;
    uint64_t body_length;
    uint64_t head_hash, body_hash;
    uint64_t offset; /* of the record in its pack */
};

/* Bytes of the whole record; where its head and its body begin. */
uint64_t pack_record_size(const struct pack_record *r);
static inline uint64_t pack_head_offset(const struct pack_record *r)
{
    return r->offset + PACK_RECORD_SIZE;
}
static inline uint64_t pack_body_offset(const struct pack_record *r)
{
    return r->offset + PACK_RECORD_SIZE + r->head_length;
}

/* "packets.000001.pack"; buf has PACK_NAME_MAX bytes and is returned. */
char *pack_name(uint64_t number, char *buf);
/* The number in a pack's name, or 0 if it is none. */
uint64_t pack_number(const char *name);

/* ------------------------------------------------------------------ writing */
struct pack {
    int fd;
    uint64_t number;
    uint64_t end;       /* behind the last record appended */
    uint64_t committed; /* what the database knows */
};

/* Makes a new file in the directory, with header, file and directory synced. ERROR_EXISTS if the name is taken. */
MUST_CHECK int pack_make(int dirfd, uint64_t partition, uint64_t number, uint64_t now_ns, struct pack **out,
                         struct error *e);
void pack_close(struct pack *p); /* NULL is fine */

/* Appends a record: head bytes, and body_length bytes of body_fd from 0, hashed as they are copied. The caller has
 * filled the record but for `offset`. ERROR_CORRUPT if the body is not what body_hash or body_length say (nothing was
 * appended); other errors are the disk's. */
MUST_CHECK int pack_append(struct pack *p, struct pack_record *record, const void *head, int body_fd, struct error *e);

/* Cuts off what was appended behind the committed end and neither synced nor promised. After an error the pack must not
 * be written any more. */
MUST_CHECK int pack_cut_back(struct pack *p, struct error *e);

/* fdatasync of all records appended. After an error the pack must not be written any more. */
MUST_CHECK int pack_sync(struct pack *p, struct error *e);

/* ------------------------------------------------------------------ reading */
MUST_CHECK int pack_check_header(int fd, struct error *e);

/* Reads and checks the record header at an offset: ERROR_TRUNCATED, ERROR_CORRUPT, also if head or body pass `end`. */
MUST_CHECK int pack_read_record(int fd, uint64_t offset, uint64_t end, struct pack_record *record, struct error *e);

/* Reads the record's head bytes into malloc'ed memory, checked against its hash. */
MUST_CHECK int pack_read_head(int fd, const struct pack_record *record, uint8_t **head, struct error *e);

/* Reads the whole body and compares its hash. */
MUST_CHECK int pack_check_body(int fd, const struct pack_record *record, struct error *e);

/* The first valid record header at or behind `offset`: 1, or 0 if there is none before `end`. */
MUST_CHECK int pack_find_record(int fd, uint64_t offset, uint64_t end, struct pack_record *record, struct error *e);

#endif
