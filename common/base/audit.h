/*
 * audit: an append-only file of JSON lines in which each line vouches for all before it.
 *
 *   {"seq":17,"time":"2026-11-22T03:04:05.678901234Z",FIELDS,"hash":"<64 hex digits>"}
 *
 * FIELDS are the caller's. hash = SHA-256(hash of the line before (32 bytes; of line 1: zeros) | the line's bytes
 * before `,"hash"`). A line that was changed, taken out, put in or moved breaks the chain there. A tail that was cut
 * off leaves a good chain: so seq and hash of what was synced last also stand in a second file, and a chain that ends
 * before is told. Who can write both files can make a chain of his own: what shows that are heads kept elsewhere (the
 * journal).
 *
 *   FOLDER/audit.jsonl             what is written to
 *   FOLDER/audit.<seq>.jsonl       full ones; the number is that of their first line, 20 digits; the chain goes through
 *                                  all. The oldest may be moved away: then the first line that is there vouches for
 *                                  what follows, and nothing for it
 *   FOLDER/audit.head              {"seq":17,"hash":".."}: all up to there was there once
 *   FOLDER/audit.lock              held by the one who writes
 *
 * A crash may leave half a line at the end: audit_open cuts it off, logs a warning and writes a line that says so
 * ("event":"cut","audit":"cut"). Not for several threads at once. Fault points: audit.write, audit.sync, audit.undo,
 * audit.cut, audit.new, audit.rotate, audit.dir and those of fs_replace under audit.head.
 */
#ifndef FLEETDUMP_BASE_AUDIT_H
#define FLEETDUMP_BASE_AUDIT_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/base/hash.h"
#include <stdbool.h>
#include <stdint.h>

#define AUDIT_LINE_MAX      8192u       /* bytes of a line with its end */
#define AUDIT_FIELDS_MAX    7936u       /* of it the caller's */
#define AUDIT_FILE_BYTES    (16u << 20) /* then the next file begins */
#define AUDIT_FILE_MOST     (64u << 20) /* no file that is written is longer */
#define AUDIT_FILES_MAX     100000u     /* in a folder */
#define AUDIT_HEAD_TEXT_MAX 128u
#define AUDIT_TIME_MAX      40u
#define AUDIT_NAME_MAX      40u

struct audit;

struct audit_head {
    uint64_t seq; /* of the last line; 0: none */
    uint8_t hash[HASH_SHA256_SIZE];
};

/* Opens or makes the folder (mode 0700; files 0600) and goes on behind the last line. file_bytes: 0 for
 * AUDIT_FILE_BYTES, at most half of AUDIT_FILE_MOST. ERROR_BUSY names who writes already. ERROR_CORRUPT: the newest
 * lines do not fit, or there were more once: nothing is changed, audit_verify says where, and the folder is to be moved
 * away by hand for a new chain to begin. */
MUST_CHECK int audit_open(const char *folder, uint64_t file_bytes, struct audit **out, struct error *e);
void audit_close(struct audit *a); /* syncs; NULL is fine */

/* Appends a line, at once; durable after audit_sync. `fields` are JSON without braces, as audit_put_text makes them.
 * ERROR_LIMIT if they are longer than AUDIT_FIELDS_MAX. After a failed write what came of it is cut off, and the next
 * may succeed; if that fails, too, or a sync or a change of files failed, all later calls return ERROR_SYSTEM: close it
 * and open it anew. */
MUST_CHECK int audit_append(struct audit *a, uint64_t wall_ns, const struct buffer *fields, struct error *e);

/* Makes durable what was appended, and notes the head; nothing to do if nothing was. */
MUST_CHECK int audit_sync(struct audit *a, struct error *e);

/* The last line written. */
struct audit_head audit_head(const struct audit *a);

/* Appends "name":"text" to fields, with a comma before it unless they are empty; of the text at most `most` bytes
 * ("..." follows if it was cut); escaped, and what is not UTF-8 is '?'. NULL reads as "". Likewise a number. */
void audit_put_text(struct buffer *fields, const char *name, const char *text, size_t most);
void audit_put_number(struct buffer *fields, const char *name, uint64_t value);

/* ------------------------------------------------------------------ reading: any process, while another writes */
struct audit_line {
    uint64_t seq;
    const char *text; /* one JSON object, terminated, without an end of line */
    size_t length;
};
typedef int audit_line_fn(void *context, const struct audit_line *line, struct error *e);

struct audit_report {
    uint64_t lines;     /* good ones */
    uint64_t first_seq; /* of the first line there is; 0: there is none */
    char first_time[AUDIT_TIME_MAX], last_time[AUDIT_TIME_MAX];
    struct audit_head last;  /* of the last good one */
    uint64_t lost;           /* that never were written, as lines say whose "event" is "lost", by their "lines" */
    uint64_t cut_bytes;      /* of half a line at the end, as a crash leaves it, or a writer that is at it */
    uint64_t cut_line;       /* where it is in the file that is written to */
    bool folder;             /* rather than a file of its own, which has none of these: */
    struct audit_head noted; /* what audit.head says */
    bool written;            /* somebody writes it now, so half a line and a head that is behind are no wonder */
};

/* Reads all lines in order and verifies each. `each` (or NULL) gets those that are good; a nonzero return ends the
 * reading and is returned. ERROR_CORRUPT names the first line that is broken, with its file, or says that the end is
 * gone; ERROR_NOT_FOUND: it is no folder of an audit. `known` (or NULL): a head that was kept elsewhere, which must be
 * in the chain. */
MUST_CHECK int audit_verify(const char *folder, const struct audit_head *known, audit_line_fn *each, void *context,
                            struct audit_report *report, struct error *e);

/* The same with such a folder, or one file: a full one that was moved away, or lines that were written elsewhere as
 * they are. `before` (or NULL): the last line of what comes before: if the first line here has the next number, it is
 * vouched for; else it is taken as it is. ERROR_NOT_FOUND: there is no line in the file. */
MUST_CHECK int audit_verify_path(const char *path, const struct audit_head *before, const struct audit_head *known,
                                 audit_line_fn *each, void *context, struct audit_report *report, struct error *e);

/* A head as text, "17:<64 hex digits>", and back (ERROR_USAGE). */
char *audit_head_text(const struct audit_head *head, char text[AUDIT_HEAD_TEXT_MAX]);
MUST_CHECK int audit_head_parse(const char *text, struct audit_head *head, struct error *e);

#endif
