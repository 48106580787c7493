/*
 * body: a chunk's packets as a valid .pcapng.zst file.
 *
 *   body := skippable frame (magic 0x184D2A50): "FDBODY1\0" | epoch | seq u64 | open_wall_ns u64 | open_mono_ns u64 |
 *           varint-prefixed agent, capture, filter | hash64 of the content so far
 *           zstd frame: section header block and one interface block per interface
 *           zstd frames of packets and events (common/chunk/frame.h), each of one interface
 *           zstd frame: interface statistics blocks
 *           skippable frame (magic 0x184D2A5E): the standard zstd seek table with checksums
 *
 * What makes each part valid stands on top of body.c. `zstd -dc` of a body is a pcapng file.
 */
#ifndef FLEETDUMP_CHUNK_BODY_H
#define FLEETDUMP_CHUNK_BODY_H

#include "common/chunk/frame.h"
#include "common/chunk/head.h"
#include "common/chunk/pcapng.h"
#include <sys/uio.h>

/* ------------------------------------------------------------------ writing
 * The writer makes bytes; where they go (a file, with its faults and syncs) is the caller's: it takes `out` after each
 * call and clears it. */
struct body_writer;
struct body_source;

/* Begins a body for the chunk that `h` names (epoch, seq, agent, capture, filter, clocks, interfaces are used); the
 * leading frame and the section frame are appended to out. */
MUST_CHECK int body_writer_new(const struct chunk_head *h, struct buffer *out, struct body_writer **w, struct error *e);

/* Takes a frame that is compressed already, in pieces that the caller appends behind `out` (what is in them may be
 * changed; the last one has at least 4 bytes). Its description is `f` (offset and length are filled in here). Frame
 * numbers are given by the caller and may come in any order; each 0..n-1 must have come by body_writer_finish. */
MUST_CHECK int body_writer_take(struct body_writer *w, uint32_t number, struct head_frame *f,
                                const struct iovec *pieces, size_t count, struct error *e);

/* Appends statistics (cumulative counters per interface) and the seek table; fills h->frames, frame_count (memory owned
 * by the writer until it is freed), body_length, body_raw_length, body_hash, body = BODY_ON_AGENT. */
MUST_CHECK int body_writer_finish(struct body_writer *w, const struct counters *cumulative, uint64_t now_ns,
                                  struct chunk_head *h, struct buffer *out, struct error *e);
void body_writer_free(struct body_writer *w);

/* Goes on with a body that a crash has cut, as body_scan left `h` and `end`: a writer that stands at `end`, from where
 * body_writer_finish makes it a whole body (cut the file to `end` before). */
MUST_CHECK int body_writer_resume(const struct body_source *s, const struct chunk_head *h, uint64_t end,
                                  struct body_writer **w, struct error *e);

/* ------------------------------------------------------------------ reading */
/* Random access to a body's bytes: a file at an offset, memory. Reads exactly len bytes or fails. */
struct body_source {
    int (*read)(void *context, uint64_t offset, void *buf, size_t len, struct error *e);
    void *context;
    uint64_t length;
};
struct body_file {
    int fd;
    uint64_t base;
};
/* A source over a stretch of a file; `file` must outlive it. */
struct body_source body_source_file(struct body_file *file, uint64_t length);

/* Reads and expands one frame into raw (cleared first): whole pcapng blocks for pcapng_next. Checks it against its
 * description: interface of every packet, packet count, times. */
MUST_CHECK int body_read_frame(const struct body_source *s, struct frame_codec *c, const struct head_frame *f,
                               struct buffer *raw, struct error *e);

/* Verifies the whole body against its head: leading frame's ids, section, every frame, statistics, seek table, length
 * and hash. The error says what is wrong and at which byte. Programs read frame by frame and judge each; this is for
 * tests and tools that judge what was written. */
MUST_CHECK int body_verify(const struct body_source *s, const struct chunk_head *h, struct error *e);

/* For a body cut by a crash, without a head: what the leading frame says and the frames that are whole, in file order,
 * with their descriptions; *end is the offset behind the last whole frame, *reason says why it stops there. h gets
 * epoch, seq, agent, capture, filter, clocks, interfaces, frames (free with head_free). */
MUST_CHECK int body_scan(const struct body_source *s, struct chunk_head *h, uint64_t *end, struct error *reason,
                         struct error *e);

#endif
