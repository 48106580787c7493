/*
 * store: everything the collector keeps, on disk: chunks (packs), rows (partitions), names (catalog).
 *
 *   DATA/lock                      held by the one collector
 *   DATA/catalog.db                agents and their addresses over time, orders, users, certificates, streams and their
 *                                  cursors, partitions
 *   DATA/partitions/<hour>-<n>/    one per hour of arrival, never reused: "20261122T03-000017"
 *       flows.db                   heads, row blocks, postings (store_schema.h)
 *       <class>.<n>.pack           append-only: heads with their bodies (pack.h), one retention class a file
 *   DATA/trash/                    directories on their way out
 *
 * Threads: one writer thread calls the functions under "writing" (it alone writes any SQLite file); any number of
 * reader threads each open a struct store_reader. The loop's thread calls none of them.
 *
 * Commit: fdatasync of the packs, then one SQLite transaction per partition touched, then the caller's acks. At the
 * start each pack is cut at its last committed end. The cursors of a stream are committed with the rows in flows.db,
 * and copied to the catalog before a partition is dropped.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_STORE_H
#define FLEETDUMP_COLLECTOR_STORE_STORE_H

#include "common/base/error.h"
#include "common/chunk/body.h"
#include "common/chunk/head.h"
#include "common/filter/filter.h"
#include <stdbool.h>
#include <stdint.h>

#define STORE_LABELS_MAX    1023u
#define STORE_ROLE_MAX      31u
#define STORE_SERIAL_MAX    40u
#define STORE_TOKEN_KEPT_NS (UINT64_C(30) * 86400 * 1000000000)

struct store_config {
    const char *path;
    uint64_t retain_bytes;      /* all partitions together; 0: no limit */
    uint64_t retain_age_ns;     /* by arrival; 0: no limit */
    uint64_t retain_body_bytes; /* bodies (packs) may go earlier than rows; 0: no limit of their own */
    uint64_t floor_bytes;       /* free disk below which nothing more is taken in */
    uint64_t partition_ns;      /* length of a partition; 1 h unless a test says otherwise */
};

struct store;

/* Opens, makes, or mends what a crash left: takes the lock (ERROR_BUSY names the holder), cuts packs, empties the
 * trash. ERROR_VERSION for a newer format. */
MUST_CHECK int store_open(const struct store_config *config, struct store **out, struct error *e);
void store_close(struct store *s);

/* ------------------------------------------------------------------ writing (the writer thread) */
/* A part that came over the wire, verified by store_verify_head / store_verify_body before (on any thread). */
struct store_part {
    const void *head_bytes; /* encoded head; for a body: NULL */
    size_t head_length;
    struct chunk_head *head; /* decoded, of head_bytes; for a body: NULL */
    int body_fd;             /* body: a temporary file that holds it from offset 0 (pack_scratch), else -1 */
    uint64_t body_length;
    uint8_t epoch[EPOCH_SIZE];
    uint64_t seq;
    uint8_t fate; /* body fate instead of a body: BODY_EVICTED; 0 otherwise */
    uint8_t gap;
    uint64_t arrived_ns;
    const uint8_t *install; /* of the agent, 16 bytes */
    const char *agent;      /* who sends it, and may send nobody else's; NULL: whoever the head names */
    int result;             /* out: 0 stored or already there; or the error */
    struct error error;     /* out */
};

/* Stores a group of parts of any streams in the given order, durably, all or (on a disk error) none. Each part's
 * result: 0; ERROR_CONFLICT (same id, other content); ERROR_REFUSED (of another agent than the one who sends it);
 * ERROR_INVALID (out of order). The return value is 0 or why the group as a whole failed (ERROR_FULL: nothing was
 * stored, try again later; ERROR_SYSTEM: likewise). */
MUST_CHECK int store_commit(struct store *s, struct store_part *parts, size_t count, struct error *e);

/* The cursors of a stream (0, 0 if never heard of). `agent`: who asks; ERROR_REFUSED if it is another's; NULL:
 * whoever. */
MUST_CHECK int store_stream_state(struct store *s, const uint8_t epoch[EPOCH_SIZE], const char *agent,
                                  uint64_t *head_next, uint64_t *body_next, struct error *e);

/* Whether the stream, whose state was asked for just now, ended and nothing of it is waited for. */
bool store_stream_is_over(struct store *s, const uint8_t epoch[EPOCH_SIZE]);

/* Records an agent's hello: name, install, software, labels (joined by ','), addresses seen now. ERROR_CONFLICT if
 * another install uses the name and was seen within the last minutes. */
struct store_agent {
    const char *name;
    const char *software;
    const char *labels;
    uint8_t install[16];
    const char *serial;                     /* of his certificate; NULL: he has none */
    uint64_t certified_ns;                  /* since when it is good; 0: likewise */
    const struct filter_address *addresses; /* times unused */
    uint32_t address_count;
    uint64_t seen_ns;
    const char *peer;        /* address it connected from */
    const char *status_json; /* last status, or NULL to leave */
};
MUST_CHECK int store_agent_seen(struct store *s, const struct store_agent *a, struct error *e);

/* Captures as ordered: the store keeps them and does not look into request and agents. Put replaces the one of the same
 * id. */
struct store_order {
    uint8_t id[16];
    const void *request;
    size_t request_length;
    uint64_t created_ns, ended_ns; /* ended: 0: it stands */
    const char *why;               /* it ended */
    const char *agents;            /* JSON */
};
MUST_CHECK int store_order_put(struct store *s, const struct store_order *o, struct error *e);
MUST_CHECK int store_order_remove(struct store *s, const uint8_t id[16],
                                  struct error *e); /* one that is not there is fine */

/* Who may ask what: the store keeps them, and what role and bounds mean is the server's. Put replaces the one of the
 * same name. */
struct store_user {
    const char *name;
    const char *role;
    const char *bounds; /* JSON */
    uint64_t created_ns;
    const char *created_by;
};
MUST_CHECK int store_user_put(struct store *s, const struct store_user *u, struct error *e);
MUST_CHECK int store_user_remove(struct store *s, const char *name,
                                 struct error *e); /* one that is not there is fine */

/* ---- who may connect (writing). What kinds, roles and labels mean is the server's. */

/* A token that was given out: its secret is not kept. */
struct store_token {
    uint8_t hash[32]; /* SHA-256 of the secret */
    uint8_t kind;     /* enum identity_kind */
    char name[HEAD_NAME_MAX + 1];
    char labels[STORE_LABELS_MAX + 1]; /* "role=web,dc=fra" */
    char role[STORE_ROLE_MAX + 1];     /* that the user gets; "": as is */
    char created_by[HEAD_NAME_MAX + 1];
    uint64_t created_ns, expires_ns;
    uint64_t used_ns; /* 0: not yet */
};
/* Those of a name that were not used are good for nothing any more. */
MUST_CHECK int store_token_void(struct store *s, uint8_t kind, const char *name, struct error *e);
/* Also forgets those that were over STORE_TOKEN_KEPT_NS before this one was made. */
MUST_CHECK int store_token_put(struct store *s, const struct store_token *t, struct error *e);
MUST_CHECK int store_token_find(struct store *s, const uint8_t hash[32], struct store_token *out,
                                struct error *e); /* ERROR_NOT_FOUND */

/* A certificate that was made here. */
struct store_credential {
    char serial[STORE_SERIAL_MAX + 1];
    uint8_t kind;
    char name[HEAD_NAME_MAX + 1];
    char labels[STORE_LABELS_MAX + 1];
    uint8_t key_sha256[32];
    uint64_t made_ns, not_before_ns, not_after_ns;
    char how[STORE_ROLE_MAX + 1]; /* "token", "approval", "renewal" */
    char peer[HEAD_NAME_MAX + 1]; /* who asked for it */
};
/* Keeps it and, with a token's hash (may be NULL), marks that as used: both or none. ERROR_CONFLICT if it was used.
 * Forgets certificates of that name that ended STORE_TOKEN_KEPT_NS before. */
MUST_CHECK int store_credential_put(struct store *s, const struct store_credential *c, const uint8_t *token_hash,
                                    struct error *e);
MUST_CHECK int store_credential_find(struct store *s, const char *serial, struct store_credential *out,
                                     struct error *e); /* ERROR_NOT_FOUND */

/* The newest certificate of a name, but for those that were revoked by their serial numbers: what was given with it
 * counts for the name. */
MUST_CHECK int store_credential_named(struct store *s, uint8_t kind, const char *name, struct store_credential *out,
                                      struct error *e); /* ERROR_NOT_FOUND */

/* When the last certificate of a name was made, and when the one that begins last does so; 0: there is none. */
MUST_CHECK int store_credential_newest(struct store *s, uint8_t kind, const char *name, uint64_t *made_ns,
                                       uint64_t *not_before_ns, struct error *e);

/* All certificates of a name that were made before (its tokens that were not used go, too), or the one of this serial
 * number. Kept for ever. */
struct store_revocation {
    uint8_t kind;
    const char *name;
    const char *serial; /* "": all of the name */
    uint64_t revoked_ns;
    const char *revoked_by;
};
MUST_CHECK int store_revoke(struct store *s, const struct store_revocation *r, struct error *e);

/* Puts a token into the catalog of a store that a collector may be using at the same time (SQLite arbitrates). */
MUST_CHECK int store_token_put_beside(const char *path, const struct store_token *t, struct error *e);

/* Retention, closing of partitions that are over (postings to disk), copying of cursors: what is due at now_ns. Called
 * now and then. */
MUST_CHECK int store_maintain(struct store *s, uint64_t now_ns, struct error *e);

/* ------------------------------------------------------------------ verification (any thread) */
/* Decodes and checks a head as it came: format, hashes, that its row blocks decode, that frames fit. */
MUST_CHECK int store_verify_head(const void *data, size_t len, struct chunk_head *h, struct error *e);

/* ------------------------------------------------------------------ reading (any thread, a reader each) */
struct store_reader;
MUST_CHECK int store_reader_open(struct store *s, struct store_reader **out, struct error *e);
void store_reader_close(struct store_reader *r);

/* What a query wants of the store; pruned by time, agent, capture and postings. */
struct store_scan {
    uint64_t since_ns, until_ns; /* packet time, inclusive */
    const char *capture;         /* glob or NULL */
    const char *const *agents;   /* globs */
    size_t agent_count;
    const struct filter *filter; /* for postings, and its agents and captures; NULL: none */
    bool exchanges;              /* also chunks of which only exchanges began in that time: their packets are later */
    uint64_t from;               /* only chunks with this id or a greater one: ids grow in order of arrival */
    uint64_t *end;               /* NULL, or out: one more than the greatest id there was, whatever was asked for */
};

/* A head that may hold what the query wants, with what the store knows of it. Valid until the callback returns, unless
 * store_chunk_keep. */
struct store_chunk {
    struct chunk_head head;     /* flows points to its row block in memory */
    uint64_t id;                /* of this chunk in the store; what arrives later has a greater one */
    enum body_state body_state; /* now, at the collector */
    uint8_t gap;                /* why, if the body is not here */
    uint64_t arrived_ns;
};

/* Calls `each` for every chunk (and GAP, END) of the scan, in order of arrival; a nonzero return ends the scan and is
 * returned. *pruned counts heads that postings excluded. Chunks that postings exclude are not given, but their counters
 * are (each with rows NULL: flows == NULL) because losses inside the question must be known: see `excluded`. */
typedef int store_chunk_fn(void *context, struct store_chunk *c, bool excluded, struct error *e);
MUST_CHECK int store_scan_chunks(struct store_reader *r, const struct store_scan *scan, store_chunk_fn *each,
                                 void *context, struct error *e);

/* Opens the body of a chunk for random access. ERROR_NOT_FOUND if it is not stored (any more). The source is valid
 * until store_body_close. */
struct store_body;
MUST_CHECK int store_body_open(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq,
                               struct store_body **out, struct body_source *source, struct error *e);
void store_body_close(struct store_body *b);

/* The head of one chunk by id; ERROR_NOT_FOUND. Free with store_chunk_free. */
MUST_CHECK int store_chunk_get(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq,
                               struct store_chunk **out, struct error *e);
void store_chunk_free(struct store_chunk *c);

/* Lists. Strings are valid during the callback. */
struct store_agent_info {
    const char *name, *software, *labels, *peer, *status_json;
    uint64_t first_seen_ns, last_seen_ns;
    const char *serial;                     /* of the certificate that it came with last, "": unknown or none */
    uint64_t certified_ns;                  /* since when that is good; 0: it had none */
    uint64_t chunks, packets, bytes;        /* stored now */
    const struct filter_address *addresses; /* with the times in which the agent had them */
    uint32_t address_count;
};
MUST_CHECK int store_each_agent(struct store_reader *r, int (*each)(void *context, const struct store_agent_info *a),
                                void *context, struct error *e);

/* Of each agent that ever said hello: its name, labels, certificate, and when it was last seen; nothing of what is
 * stored. By name. */
MUST_CHECK int store_each_known(struct store_reader *r, int (*each)(void *context, const struct store_agent_info *a),
                                void *context, struct error *e);

/* Orders, the oldest first. A nonzero return ends the list and is returned. */
MUST_CHECK int store_each_order(struct store_reader *r, int (*each)(void *context, const struct store_order *o),
                                void *context, struct error *e);

/* Users, by name; likewise. */
MUST_CHECK int store_each_user(struct store_reader *r, int (*each)(void *context, const struct store_user *u),
                               void *context, struct error *e);
/* Who may connect: certificates by kind, name and time; tokens by time; revocations in the order in which they were
 * made. A nonzero return ends the list and is returned. */
MUST_CHECK int store_each_credential(struct store_reader *r,
                                     int (*each)(void *context, const struct store_credential *c), void *context,
                                     struct error *e);
MUST_CHECK int store_each_token(struct store_reader *r, int (*each)(void *context, const struct store_token *t),
                                void *context, struct error *e);
MUST_CHECK int store_each_revocation(struct store_reader *r,
                                     int (*each)(void *context, const struct store_revocation *v), void *context,
                                     struct error *e);

/* Whether a stream of this capture is stored. */
MUST_CHECK int store_has_capture(struct store_reader *r, const char *capture, bool *has, struct error *e);

struct store_capture_info {
    const char *name, *filter;
    const char *agents;         /* names, joined by ',' */
    uint64_t first_ns, last_ns; /* packet time */
    uint64_t first_arrived_ns, last_arrived_ns;
    uint64_t streams, open_streams, chunks, rows, packets, bytes, stored_bytes;
    struct counters totals;
    uint64_t gap_packets; /* in GAP items and evicted bodies */
};
/* Of the streams that the scan's agents and captures name (NULL: of all). */
MUST_CHECK int store_each_capture(struct store_reader *r, const struct store_scan *scan,
                                  int (*each)(void *context, const struct store_capture_info *c), void *context,
                                  struct error *e);

/* Streams that the scan's agents and captures name (of the filter its words agent and capture; times are not looked
 * at). */
struct store_stream_info {
    uint8_t epoch[EPOCH_SIZE];
    const char *agent, *capture;
    uint64_t head_next, body_next; /* body_next < head_next: bodies are still to come */
    bool ended;                    /* its END item is here */
    uint64_t last_ns;              /* greatest packet time so far; 0 if none */
    uint64_t last_arrived_ns;
    /* Of streams that have not ended: until then, by the agent's clock, all that was captured is here (heads), as the
     * time at which its last chunk was sealed says. 0: not known, and of files that are read. */
    uint64_t sealed_ns;
};
MUST_CHECK int store_each_stream(struct store_reader *r, const struct store_scan *scan,
                                 int (*each)(void *context, const struct store_stream_info *s), void *context,
                                 struct error *e);

/* Times, by the agent's clock, in which none of a capture's streams on an agent captured, between two that did:
 * likewise. Files that are read make none. The streams are dropped or all here: of one that has not ended it is not
 * known how far it reaches. */
struct store_pause_info {
    const char *agent, *capture;
    uint64_t from_ns, to_ns;
};
MUST_CHECK int store_each_pause(struct store_reader *r, const struct store_scan *scan,
                                int (*each)(void *context, const struct store_pause_info *p), void *context,
                                struct error *e);

/* What was dropped of a stream, flows and packets: of those packet times. Only what the scan's times, agents and
 * captures name (of the filter its words agent and capture). */
struct store_dropped_info {
    const char *agent, *capture;
    uint64_t first_ns, last_ns;
};
typedef int store_dropped_fn(void *context, const struct store_dropped_info *d, struct error *e);
MUST_CHECK int store_each_dropped(struct store_reader *r, const struct store_scan *scan, store_dropped_fn *each,
                                  void *context, struct error *e);

struct store_stats {
    uint64_t partitions, open_partitions, chunks, rows, packets, head_bytes, body_bytes, database_bytes, free_bytes,
        total_bytes;
    uint64_t oldest_ns, newest_ns; /* packet time */
    uint64_t expired_chunks, expired_bytes;
};
MUST_CHECK int store_stats(struct store_reader *r, struct store_stats *out, struct error *e);

/* ------------------------------------------------------------------ offline (no collector runs on the folder) */
struct store_report {
    uint64_t partitions, packs, chunks, bodies, rows;
    uint64_t damaged; /* findings */
};
/* Reads everything: packs against heads, heads against flows.db, rows against blocks, postings against rows; says each
 * finding through `say` (what, where, what it costs). */
MUST_CHECK int store_check(const char *path, void (*say)(void *context, const char *text), void *context,
                           struct store_report *report, struct error *e);
/* Makes every flows.db that is missing or damaged anew from the packs; says what cannot be restored (heads without a
 * body). */
MUST_CHECK int store_reindex(const char *path, void (*say)(void *context, const char *text), void *context,
                             struct store_report *report, struct error *e);

#endif
