/* What the writer, the reader and the scanner of bodies share; the format is described on top of body.c. */
#ifndef FLEETDUMP_CHUNK_BODY_FORMAT_H
#define FLEETDUMP_CHUNK_BODY_FORMAT_H

#include "common/chunk/body.h"

#define ZSTD_SKIPPABLE_HEADER 8u /* magic, size */

#define LEAD_MAGIC      0x184d2a50u
#define LEAD_MARK       "FDBODY1" /* with its final 0 */
#define LEAD_MARK_BYTES 8u
#define LEAD_BYTES_MAX  (16u << 10)

#define SEEK_MAGIC        0x184d2a5eu
#define SEEK_END_MAGIC    0x8f92eab1u
#define SEEK_HAS_CHECKSUM 0x80u
#define SEEK_ENTRY_BYTES  12u
#define SEEK_FOOTER_BYTES 9u

/* What the seek table says of one frame. The checksum is the low half of the content's XXH64: a zstd frame ends with
 * it. */
struct seek_entry {
    uint32_t length;
    uint32_t raw_length;
    uint32_t checksum;
};
#define SEEK_EMPTY_CHECKSUM 0x51d8e999u /* of no bytes: what a skippable frame expands to */

void body_seek_table_write(struct buffer *out, const struct seek_entry *entries, size_t count);
size_t body_seek_table_length(size_t count);

/* The checksum at the end of a frame of at least 4 bytes. */
uint32_t body_frame_checksum(const void *frame, size_t len);

/* The leading frame. lead_read takes it from the source's start: fills epoch, seq, clocks, agent, capture, filter of *h
 * (memory: head_free), and *length of the whole skippable frame. */
void body_lead_write(const struct chunk_head *h, struct buffer *out);
MUST_CHECK int body_lead_read(const struct body_source *s, struct chunk_head *h, size_t *length, struct error *e);

/* The blocks of the section frame. */
void body_section_write(const struct chunk_head *h, struct buffer *raw);

/* Reads blocks of the section frame into h->interfaces (memory: head_free); h->agent is known. */
MUST_CHECK int body_section_read(const void *raw, size_t len, struct chunk_head *h, struct error *e);

/* Walks the blocks of a frame of packets: fills interface, packets, first_ns, last_ns of *f. All packets must be of one
 * interface. *statistics is the number of interface statistics blocks; a frame has either these or packets and events.
 */
MUST_CHECK int body_frame_describe(const void *raw, size_t len, struct head_frame *f, uint32_t *statistics,
                                   struct error *e);

/* Reads len bytes at the offset into part (cleared first). */
MUST_CHECK int body_read_part(const struct body_source *s, uint64_t offset, size_t len, struct buffer *part,
                              struct error *e);

/* Expands a frame of packets and checks it against its description. */
MUST_CHECK int body_frame_check(struct frame_codec *c, const struct head_frame *f, const struct buffer *stored,
                                struct buffer *raw, struct error *e);

#endif
