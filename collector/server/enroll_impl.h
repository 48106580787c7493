/* enroll_impl: what the files of enroll share. */
#ifndef FLEETDUMP_COLLECTOR_SERVER_ENROLL_IMPL_H
#define FLEETDUMP_COLLECTOR_SERVER_ENROLL_IMPL_H

#include "collector/server/enroll.h"
#include "collector/server/guesses.h"
#include "common/net/ca.h"

struct enroll_revoked {
    uint8_t kind;
    char *name;
    char serial[IDENTITY_SERIAL_MAX + 1];
    uint64_t revoked_ns;
    uint64_t before_ns; /* a whole second: certificates of the name that begin before */
};

/* A host that waits to be approved, or was and has not come back for its certificate yet. */
struct enroll_pending {
    struct enroll_pending *next;
    char name[HEAD_NAME_MAX + 1];
    uint8_t key_sha256[32];
    struct net_address from;
    char peer[64];
    uint64_t first_ns, last_ns;
    bool approved;
    char labels[STORE_LABELS_MAX + 1];
};

struct enroll {
    struct server *server;
    struct ca *ca; /* NULL: an organisation's own */
    char *ca_pem;  /* likewise */
    uint8_t ca_sha256[32];
    uv_mutex_t lock; /* of revoked, and of ca: the ingest thread asks, too */
    struct enroll_revoked *revoked;
    size_t revoked_count;
    struct guesses guesses;
    struct enroll_pending *pending;
    unsigned pending_count;
    unsigned asking;
    uv_timer_t renew, end;
};

/* "no certificate can be made here": NULL if one can. */
MUST_CHECK int enroll_can_sign(const struct enroll *en, struct error *e);

/* The authority and its certificates are those of the files now; ERROR_NOT_FOUND if a file is not there. Its key was
 * looked at before. */
MUST_CHECK int enroll_load_ca(struct enroll *en, struct error *e);

/* Adds what was revoked (it is in the catalog), and marks the agents of the fleet that it means. */
MUST_CHECK int enroll_add_revoked(struct enroll *en, const struct store_revocation *v, struct error *e);
/* A certificate of this name is not to begin before. Any thread. */
uint64_t enroll_earliest(struct enroll *en, uint8_t kind, const char *name);

/* enroll_known.c: whether the catalog has a certificate, a token, an agent's hello or a user of this name.
 * ERROR_NOT_FOUND names the nearest that there is. On the store's thread. */
MUST_CHECK int enroll_check_known(struct store *store, uint8_t kind, const char *name, struct error *e);

/* enroll_key.c: the serial numbers of certificates of one key and name, which are renewals of each other. The first is
 * the one that was asked for, and the only one if it was not made here (`of` is empty then). Begins zeroed. */
struct enroll_key {
    struct store_credential of;
    char (*serials)[IDENTITY_SERIAL_MAX + 1];
    size_t count;
};
MUST_CHECK int enroll_key_find(struct enroll_key *k, struct store *store, const char *serial,
                               struct error *e); /* on the store's thread */
bool enroll_key_is(const struct enroll_key *k, uint8_t kind, const char *name, const uint8_t key_sha256[32]);
void enroll_key_free(struct enroll_key *k);

/* enroll_labels.c: "role=web" each -> "role=web,dc=fra"; checked. */
MUST_CHECK int enroll_join_labels(const char *const *labels, size_t count, char out[STORE_LABELS_MAX + 1],
                                  struct error *e);
MUST_CHECK int enroll_wanted_labels(const struct admin_call *c, char out[STORE_LABELS_MAX + 1], struct error *e);

/* enroll_pending.c */
struct enroll_pending *enroll_wait(struct enroll *en, const struct session *s, const struct ca_request *wish,
                                   struct error *e); /* NULL: there are too many */
void enroll_forget_pending(struct enroll *en, struct enroll_pending *p);
json_t *enroll_pending_json(struct enroll *en);

/* enroll_end.c: sessions end with their certificates. A renewal is one of all sessions of that key. */
void enroll_end_start(struct enroll *en);
void enroll_extend(struct enroll *en, const struct identity *who, uint64_t good_until_ns);

/* enroll_own.c: the collector's own certificate: once at the start, then by the timer. */
MUST_CHECK int enroll_own_start(struct enroll *en, struct error *e);

#endif
