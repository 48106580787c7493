/*
 * trail: the collector's audit (common/base/audit) in DATA/audit: who asked for what, from where, what came of it, and
 * how much came back. On the loop's thread, but for reading.
 *
 * A line: {"seq", "time", "event", "who", "cert", "from", "what", "result", "text", "rows", "packets", "bytes",
 * "narrowed", "hash"}: `who` is "user ann" or "agent web-1" by the certificate (`cert` its serial number), "" where
 * connections are not encrypted; `result` "ok" or an error's name, `text` why; numbers only where something came back;
 * `narrowed` the bounds that held.
 *
 *   query      a question, when it has been answered
 *   command    a capture was ordered, stopped, forgotten
 *   admin      users, certificates, the audit itself
 *   refused    a request that the asker may not make; a connection that was not let in
 *   connect    a user, or an agent (its control connection)
 *   enroll     a certificate was given, or refused
 *   lost       so many lines could not be written (a full disk)
 *   start, stop  of the collector
 *
 * What only repeats is noted once: the same list again on the same connection (somebody watches), and an answer with
 * nothing new to a question that goes on (`--follow`). Refusals of those who are not let in (strangers, revoked
 * certificates) are at most TRAIL_STRANGERS a minute, those of others and connections TRAIL_KNOWN, and then counted
 * ("more"). Lines are durable within a second. With `audit = syslog` (or journal, which reads syslog) in collector.conf
 * each line also goes there, with its hash: so what was rewritten here is noticed.
 *
 * If the audit cannot be written the collector goes on, says so in its log, and notes how many lines were lost as soon
 * as it can.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_TRAIL_H
#define FLEETDUMP_COLLECTOR_SERVER_TRAIL_H

#include "collector/server/admin.h"

#define TRAIL_STRANGERS 60u   /* lines a minute */
#define TRAIL_KNOWN     1000u /* likewise: a whole fleet that connects anew fits */
#define TRAIL_PAGE      (300u << 10)

struct trail;

/* ERROR_CORRUPT: the audit was tampered with, and the collector does not start: see audit_open. */
MUST_CHECK int trail_open(struct server *server, struct trail **out, struct error *e);
void trail_stop(struct trail *t);  /* closes what is on the loop */
void trail_close(struct trail *t); /* NULL is fine */

/* What came back of a question. */
struct trail_result {
    uint64_t rows, packets, bytes;
    const char *narrowed; /* or NULL */
};

/* Notes something; s may be NULL (the collector itself), its stream gone. `what` and `text` are cut where they are too
 * long; result NULL: nothing came back. */
void trail_note(struct server *server, const struct session *s, const char *event, const char *what, int code,
                const char *text, const struct trail_result *result);

/* A question in words: "pull 'tcp' --on web-* --capture x --since ..." */
void trail_query_text(const struct message_query *q, struct buffer *out);

/* admin.c's row. Wants {"verify": true, "known": "17:<hash>" (or none)} and answers {"first", "last", "head", "lines",
 * "cut_bytes", "lost" (never written)}, or fails with what is broken; or {"after": number, "last": how many,
 * "since_ns", "until_ns", "who": glob, "event": glob} and answers {"lines": [text, ...], "next": number, or null at the
 * end}: with "last" the newest that fit, else as many as fit into an answer behind "after". */
void trail_read(struct admin_call *c);

#endif
