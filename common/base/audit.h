/*
 * audit: an append-only file of JSON lines in which each line vouches for all before it.
 *
 *   {"seq":17,"time":"2026-11-22T03:04:05.678901234Z", WHAT, "hash":"<64 hex digits>"}
 *
 * WHAT are the caller's fields. hash = SHA-256(hash of the line before (32 bytes; of the first: zeros) | the line's bytes up to, and without,
 * `,"hash"`). A line that was changed, taken out, put in or moved breaks the chain there. A tail that was cut off leaves
 * a good chain: so the last seq and hash of what was synced also stand in a second file, and a file that ends before is told.
 * Who can write both files can write a chain of his own: what shows that are the heads kept elsewhere (the journal).
 *
 *   FOLDER/audit.jsonl             what is written to
 *   FOLDER/audit.<seq>.jsonl       full ones; the number is their first line's, 20 digits; the chain goes through all
 *   FOLDER/audit.head              {"seq":..,"hash":".."}: all up to there was there once
 *   FOLDER/audit.lock              held by the one who writes
 *
 * A crash may leave half a line at the end: audit_open cuts it off and writes a line that says so ("audit": "cut"). Fault points: audit.write,
 * audit.sync, audit.rotate, and those of fs_replace under audit.head. Not for several threads at once.
 */
#ifndef FLEETDUMP_BASE_AUDIT_H
#define FLEETDUMP_BASE_AUDIT_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define AUDIT_LINE_MAX   8192u       /* bytes of a line with all that is in it; the caller's fields are cut before */
#define AUDIT_FIELDS_MAX 7936u       /* of it the caller's */
#define AUDIT_FILE_BYTES (16u << 20) /* then the next file begins */
#define AUDIT_FILES_MAX  100000u     /* that a folder may hold */
#define AUDIT_HASH_SIZE  32u

struct audit;

struct audit_head {
    uint64_t seq; /* of the last line; 0: none */
    uint8_t hash[AUDIT_HASH_SIZE];
};

/* Opens or makes the folder (mode 0700; files 0600) and goes on behind the last line. file_bytes 0: AUDIT_FILE_BYTES. ERROR_BUSY names who writes already;
 * ERROR_CORRUPT: the last file's end does not fit the chain, or the head is of lines that are gone: nothing is changed, `audit_verify` says where, and the
 * folder is to be moved away by hand. */
MUST_CHECK int audit_open(const char *folder, uint64_t file_bytes, struct audit **out, struct error *e);
void audit_close(struct audit *a); /* syncs; NULL is fine */

/* Appends a line. `fields` are the caller's, JSON without braces (audit_put_* make them): `"who":"ann","what":"pull"`. Written at once, durable after
 * audit_sync. What is longer than AUDIT_FIELDS_MAX is an error: ERROR_LIMIT. After any other error nothing is appended any more: the chain ends where the file is good. */
MUST_CHECK int audit_append(struct audit *a, uint64_t wall_ns, const char *fields, size_t len, struct error *e);

/* fdatasync of what was appended, and the head noted; nothing to do if nothing was. Call it before an answer that must not be given without its line,
 * or in groups (a timer of a second). */
MUST_CHECK int audit_sync(struct audit *a, struct error *e);

/* The last line written. */
void audit_get_head(const struct audit *a, struct audit_head *out);

/* Appends `,"name":"text"` to fields (without the comma if they are empty), escaped, what is not UTF-8 replaced, at most `most` bytes of text ("..." follows what was cut);
 * likewise a number. */
void audit_put_text(struct buffer *fields, const char *name, const char *text, size_t most);
void audit_put_number(struct buffer *fields, const char *name, uint64_t value);

/* ------------------------------------------------------------------ reading: any process, while another writes */
/* Reads all lines from the first on, in order, and verifies the chain. `each` (or NULL) gets a line that is good, without its end of line; a nonzero
 * return ends the reading and is returned. ERROR_CORRUPT names file, number of line and seq of the first that is broken, or says that the tail is gone. With `known` (a
 * head that was kept elsewhere, or NULL) the chain must also hold exactly that line. */
struct audit_line {
    uint64_t seq;
    const char *text; /* terminated, with all fields */
    size_t len;
};
typedef int audit_line_fn(void *context, const struct audit_line *line, struct error *e);
MUST_CHECK int audit_verify(const char *folder, const struct audit_head *known, audit_line_fn *each, void *context,
                            struct audit_head *last, struct error *e);

#endif
