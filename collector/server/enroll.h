/*
 * enroll: who gets a certificate of the collector's authority, and whose are not good any more.
 *
 *   token     an administrator had it made (ADMIN_ENROLL, or rights.h for a user); whoever brings it gets a certificate
 *             for the name in it, once
 *   approval  with enroll = approve: a host asks without a token, is listed, and asks again until an administrator says
 *             yes
 *   renewal   on a connection whose certificate is good: the same key and name, a later end
 *
 * A revocation is in the catalog before it is answered, then in memory, where each hello asks for it; sessions that it
 * means are closed at once. What it means: all certificates of a name that were made before it (those made later begin
 * later), and its approvals; or, by its serial number, one and those of the same key: that it renewed, or that renewed
 * it. (Of one that was not made here the key is unknown: it alone.)
 *
 * A session ends with its certificate, unless that was renewed on it or on another of the same key.
 *
 * Where the certificates are an organisation's own there is no key here: nothing is signed, but revocations work.
 *
 * All on the loop's thread, but for enroll_earliest and what is submitted to the ingest thread.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_ENROLL_H
#define FLEETDUMP_COLLECTOR_SERVER_ENROLL_H

#include "collector/server/admin.h"
#include "common/net/token.h"

#define ENROLL_TTL_NS       (UINT64_C(3600) * NS_PER_S) /* of a token, unless said otherwise */
#define ENROLL_TTL_MOST_NS  (UINT64_C(30) * 86400 * NS_PER_S)
#define ENROLL_LABELS_MAX   64u
#define ENROLL_PENDING_MAX  256u
#define ENROLL_PENDING_EACH 8u                             /* from one address (IPv6: from one /64) */
#define ENROLL_PENDING_NS   (UINT64_C(15) * 60 * NS_PER_S) /* without asking again it is forgotten */
#define ENROLL_RENEWALS     500u                           /* in a life: more of one name are refused for the moment */
#define ENROLL_AGAIN_MS     1000u
#define ENROLL_ASKING_MAX   64u  /* at once */
#define ENROLL_LIST_MAX     500u /* names in one answer to ADMIN_CREDENTIALS */

struct enroll;

/* Reads the authority (if its key is here) and the revocations; renews the collector's own certificate when it is time,
 * now and later. */
MUST_CHECK int enroll_open(struct server *server, struct enroll **out, struct error *e);
void enroll_stop(struct enroll *en);  /* closes what is on the loop */
void enroll_close(struct enroll *en); /* NULL is fine; after the loop has run empty */

/* Whether a certificate was revoked (ERROR_REFUSED). */
MUST_CHECK int enroll_judge(const struct enroll *en, const struct identity *who, struct error *e);

/* "good", "expired" or "revoked", and when that was (else 0), of a certificate that was made here. Any thread. */
const char *enroll_state(struct enroll *en, const struct store_credential *c, uint64_t now_ns, uint64_t *revoked_ns);

/* Whether the certificate that the agent has come with is revoked: its revoked_ns. */
void enroll_mark(const struct enroll *en, struct fleet_agent *a);

/* An ENROLL: of somebody without a certificate, as first message (the session is closed with the answer), or of a
 * session that was welcomed. */
void enroll_message(struct session *s, const struct message_enroll *m);

/* A token's text, and the row to be put (store_token_put) before it is given to anybody. `labels` ("role=web") are for
 * agents, `role` for users: the role that he has at least when he logs in, "" for what the catalog says. ttl_ns 0: the
 * default. `collector`: the address that the token is to name; NULL or "": collector.conf's, or what can be guessed. */
struct enroll_wish {
    uint8_t kind; /* IDENTITY_AGENT, IDENTITY_USER */
    const char *name;
    const char *const *labels;
    size_t label_count;
    const char *role, *by, *collector;
    uint64_t ttl_ns;
};
MUST_CHECK int enroll_new_token(struct enroll *en, const struct enroll_wish *w, struct store_token *row,
                                char text[TOKEN_TEXT_MAX], struct error *e);

/* admin.c's rows.
 * ENROLL wants {"name", "labels": [..], "ttl_ns", "collector"}; answers {"token", "name", "collector", "expires"}.
 * APPROVE wants {"name", "key" (beginning of the key's fingerprint, if two ask for one name), "labels": [..]}; answers
 *   {"name", "key"}.
 * REVOKE wants {"kind": "agent"|"user", "name", "force" (also a name never heard of)} or {"serial"}; answers
 * {"revoked", "sessions" (closed),
 *   "since" (when a name had been revoked already, which stays; else null)}.
 * CREDENTIALS wants {"pending": bool, "after" (an earlier answer's "next")}; answers {"credentials": [..], "tokens":
 * [..],
 *   "pending": [..], "next"}. */
void enroll_admin_enroll(struct admin_call *c);
void enroll_admin_approve(struct admin_call *c);
void enroll_admin_revoke(struct admin_call *c);
void enroll_admin_list(struct admin_call *c);

#endif
