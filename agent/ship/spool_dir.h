/*
 * spool_dir: the names in the spool, made and read in one place, and what a stream's folder holds. For agent/ship
 * alone.
 */
#ifndef FLEETDUMP_AGENT_SHIP_SPOOL_DIR_H
#define FLEETDUMP_AGENT_SHIP_SPOOL_DIR_H

#include "agent/ship/spool.h"

#define SPOOL_DIR_MODE  0770 /* capturers and shipper may be different users of one group */
#define SPOOL_FILE_MODE 0660

enum spool_file {
    SPOOL_FILE_OTHER,
    SPOOL_FILE_OPEN,
    SPOOL_FILE_BODY,
    SPOOL_FILE_HEAD,
    SPOOL_FILE_EVICTED,
    SPOOL_FILE_TMP, /* a head or another file that was being written */
};

#define SPOOL_NAME_SIZE   40 /* of a file's name with its 0 */
#define SPOOL_STREAM_SIZE 33 /* of a stream's name with its 0 */

/* The name of an item's file; returns `name`. */
char *spool_file_name(enum spool_file kind, uint64_t seq, char name[SPOOL_NAME_SIZE]);

/* What a name in a stream's folder is; *seq is set for OPEN, BODY, HEAD and EVICTED. */
enum spool_file spool_file_parse(const char *name, uint64_t *seq);

char *spool_stream_name(const uint8_t epoch[EPOCH_SIZE], char name[SPOOL_STREAM_SIZE]);
bool spool_stream_parse(const char *name, uint8_t epoch[EPOCH_SIZE]);

/* What a file costs: its size in whole blocks of 4 KiB. */
uint64_t spool_file_cost(uint64_t size);

/* Opens a stream's folder. ERROR_NOT_FOUND if there is none. */
MUST_CHECK int spool_dir_open(int spool_fd, const uint8_t epoch[EPOCH_SIZE], struct error *e);

/* The folder of the spool itself; belongs to s. */
int spool_fd(const struct spool *s);
const struct spool_limits *spool_limits(const struct spool *s);

/* What eviction keeps free below the quota and above the floor; capturers that wait leave twice as much. */
uint64_t spool_reserve(const struct spool *s);

/* How long spool_used will go on telling what it saw last. */
uint64_t spool_look_wait_ns(const struct spool *s);

/* That many bytes were removed since the last look. */
void spool_gained(struct spool *s, uint64_t bytes);

/* Whether the capturer of the stream in this folder lives, so that more may come. */
#define SPOOL_WRITER_LOCK  "writer.lock"
#define SPOOL_SHIPPER_LOCK "shipper.lock"
bool spool_writer_lives(int dirfd);

/* A lock on the spool's folder. Streams are made under it, shared by all who make one; whoever has it alone knows that
 * each <epoch>.new is of a capturer that died. Returns an fd to be closed. SWEEP: ERROR_BUSY while a stream is being
 * made; MAKE waits for a sweep, which is short. */
enum spool_births_side { BIRTHS_MAKE, BIRTHS_SWEEP };
MUST_CHECK int spool_births(int spool, enum spool_births_side side, struct error *e);

/* Calls `each` for all names but "." and ".."; stops at its first nonzero result and returns it. */
typedef int spool_dir_each_fn(void *context, int dirfd, const char *name, struct error *e);
MUST_CHECK int spool_dir_each(int dirfd, spool_dir_each_fn *each, void *context, struct error *e);

/* The state of a stream's folder that its names tell. */
struct spool_dir {
    bool any; /* there is an item */
    uint64_t first_seq;
    uint64_t newest_seq; /* of the newest item */
    uint64_t next_seq;   /* behind all that it stands for */
    bool ended;          /* the newest item is an END */
    uint64_t bytes;      /* by spool_file_cost */
};
MUST_CHECK int spool_dir_read(int dirfd, struct spool_dir *d, struct error *e);

/* The kind (enum head_kind) of a sealed item whose head is small, as those of GAP and END are, and the last seq that it
 * stands for; 0 and seq for a damaged one and for a large one, which can only be a CHUNK. */
#define SPOOL_SMALL_HEAD_MAX (1u << 20)
int spool_head_kind(int dirfd, uint64_t seq, uint64_t *last_seq);

#endif
