/* audit_impl: what the files of audit share: lines, names of files, the head. */
#ifndef FLEETDUMP_BASE_AUDIT_IMPL_H
#define FLEETDUMP_BASE_AUDIT_IMPL_H

#include "common/base/audit.h"

#define AUDIT_CURRENT   "audit.jsonl"
#define AUDIT_HEAD_FILE "audit.head"
#define AUDIT_LOCK      "audit.lock"

/* The bytes of a line behind what its hash is over: ,"hash":"<64>"} */
#define AUDIT_TAIL_SIZE (9u + 2u * HASH_SHA256_SIZE + 2u)

/* Appends the next line with its end to out, and moves head. */
MUST_CHECK int audit_line_make(struct audit_head *head, uint64_t wall_ns, const struct buffer *fields,
                               struct buffer *out, struct error *e);

/* Moves *head over one line (without its end): NULL, or what is wrong with it. With `head_unknown` the line is the
 * first of those that are there, and taken as it is. */
const char *audit_line_check(struct audit_head *head, bool head_unknown, const char *line, size_t len);

/* The number of a line; false if it does not begin as one. */
bool audit_line_seq(const char *line, size_t len, uint64_t *seq);

/* What stands behind its number as time; empty if none does. */
void audit_line_time(const char *line, size_t len, char time[AUDIT_TIME_MAX]);

/* "audit.<20 digits>.jsonl" of the file whose first line has this number. */
void audit_file_name(uint64_t seq, char name[AUDIT_NAME_MAX]);

/* The numbers of all full files, ascending: malloc'ed. */
MUST_CHECK int audit_files(int dirfd, uint64_t **out, size_t *count, struct error *e);

/* The head as it was noted; *there tells whether it was. */
MUST_CHECK int audit_head_read(int dirfd, struct audit_head *head, bool *there, struct error *e);
MUST_CHECK int audit_head_write(int dirfd, const struct audit_head *head, struct error *e);

/* One file, walked: *head is moved to its last good line. */
struct audit_walk {
    struct audit_head head; /* so far */
    bool any;               /* a line was there */
    uint64_t first_seq, lines, lost;
    char first_time[AUDIT_TIME_MAX], last_time[AUDIT_TIME_MAX];
    const struct audit_head *before; /* NULL, or the line that may come before the first */
    /* heads that must be passed: the one noted, and one known from elsewhere; NULL: none */
    const struct audit_head *must[2];
    uint64_t good_lines, good_bytes, cut_bytes; /* of the last file: whole lines, and what follows them */
    audit_line_fn *each;
    void *context;
};
MUST_CHECK int audit_walk_file(struct audit_walk *w, int fd, const char *name, struct error *e);

/* Whether all heads that must be there were reached. */
MUST_CHECK int audit_walk_end(const struct audit_walk *w, struct error *e);

#endif
