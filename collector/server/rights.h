/*
 * rights: who may ask the collector for what. Users with a role, and bounds within it; one table of requests and the
 * least role for each; one place of judgement, before anything is done. All on the loop's thread.
 *
 * Who a client is, its certificate says (stream_identity). Only users ask: a certificate of an agent or a collector has
 * no rights here, and a user whom the catalog does not know has none. Where connections are plain TCP
 * (insecure_plaintext) nobody is known, and everybody is an administrator.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_RIGHTS_H
#define FLEETDUMP_COLLECTOR_SERVER_RIGHTS_H

#include "collector/query/query.h"
#include "collector/server/admin.h"

#define RIGHTS_USERS_MAX  10000u
#define RIGHTS_LABELS_MAX 16u
#define RIGHTS_FILTER_MAX 1024u

/* Each may what those before it may. */
enum rights_role { RIGHTS_NONE = 0, RIGHTS_VIEWER = 1, RIGHTS_ANALYST = 2, RIGHTS_OPERATOR = 3, RIGHTS_ADMIN = 4 };

const char *rights_role_name(int role);
/* RIGHTS_NONE for a name that is none. */
enum rights_role rights_role_named(const char *name);

/* What a user is bound to. Nothing set: all that the role may. */
struct rights_bounds {
    char **labels; /* of agents, as capture_request's: each "role=web,dc=fra", one of the strings is enough */
    uint32_t label_count;
    char *filter;      /* what every packet and every flow must match, "" for none; without names and measures */
    uint32_t snaplen;  /* most bytes of a packet; 0: all */
    uint64_t range_ns; /* no older than that; 0: any age */
};

struct rights_user {
    char *name;
    enum rights_role role;
    struct rights_bounds bounds;
    uint64_t created_ns;
    char *created_by;
};

struct rights;

/* Reads the users of the store. */
MUST_CHECK int rights_open(struct server *server, struct rights **out, struct error *e);
void rights_close(struct rights *r); /* NULL is fine */

/* NULL: there is no user of this name. Valid until the loop goes on. */
const struct rights_user *rights_user(const struct rights *r, const char *name);

/* Whether the bounds make sense (filter and labels are checked, too): a row for the store of it, `row` texts owned by
 * the caller and freed by rights_row_free. For those who make users where no collector runs. created_ns is now. */
struct rights_row {
    char *role, *bounds; /* as struct store_user */
};
MUST_CHECK int rights_row_of(const char *name, enum rights_role role, const struct rights_bounds *bounds,
                             struct rights_row *row, struct error *e);
void rights_row_free(struct rights_row *row);

/* From now on the user has that role, or the greater one that he has: of somebody who logs in with a token that says so
 * (the host's root had it made). */
void rights_user_at_least(struct rights *r, const char *name, enum rights_role role);

/* ------------------------------------------------------------------ judgement */
/* What a request came to. Owns what it points to: rights_grant_free. */
struct rights_grant {
    struct query_bounds bounds;  /* of a question */
    char *labels, *filter;       /* bounds point to them */
    struct query_capture *shown; /* bounds.shown */
    char **agents; /* bounds.agents: the names that the question's own globs leave of them; texts in one piece */
    uint32_t agent_count;
    bool any_bounds;
};

/* Whether who asks may; the one place where that is decided, for each QUERY, COMMAND and ADMIN, before anything is
 * done. Bounds narrow a question (*grant says how); a command is never narrowed: one that reaches beyond them is
 * refused, since what an operator signed is not to be changed by anybody, and an agent that joins tomorrow would be
 * reached as well. ERROR_REFUSED says what is missing, and who can give it. */
MUST_CHECK int rights_judge(const struct session *s, const struct message *m, struct rights_grant *grant,
                            struct error *e);
void rights_grant_free(struct rights_grant *g);

/* The table that it walks: each request there is, with the least role for it; NULL behind the last. */
struct rights_rule {
    uint8_t type; /* MESSAGE_QUERY, MESSAGE_COMMAND, MESSAGE_ADMIN */
    uint8_t kind;
    const char *name; /* "pull" */
    enum rights_role least;
    uint8_t holds; /* RIGHTS_HOLDS_ bits: the bounds that it can be held to; who is bound otherwise is refused */
};
enum {
    RIGHTS_HOLDS_LABELS = 1,
    RIGHTS_HOLDS_FILTER = 2,
    RIGHTS_HOLDS_SNAPLEN = 4,
    RIGHTS_HOLDS_RANGE = 8,
    RIGHTS_HOLDS_ALL = 15
};
const struct rights_rule *rights_rule_at(size_t i); /* NULL: there is none; for tests, which walk all of them */
/* NULL: no such request. */
const struct rights_rule *rights_rule_of(const struct message *m);

/* Whether an agent is within the bounds of whoever asks: for lists that the loop makes. */
bool rights_sees(const struct session *s, const struct fleet_agent *a);

/* Whether an order may be seen whole: it is his own, or reaches no further than his labels and filter. */
bool rights_sees_whole(const struct session *s, const struct capture_request *r);

/* admin.c's rows. USER_ADD wants {"name", "role", "labels": [..], "filter", "snaplen", "range_ns", "token"} (a user of
 * that name gets these instead of what he had; nobody takes his own role away, so that an administrator is left);
 * USER_LIST nothing; USER_REMOVE {"name"} (tokens of his that were not used go, too). Answers: {"user": {..., "token"
 * (to log in with, once: for a new user, or if "token": true asks for it; not where certificates are made elsewhere)},
 * "changed": bool (he was there before)}; [{..., "state" (of his newest certificate: "good", "expired", "revoked";
 * "none": none was made here), "revoked" (when; null: it was not)}]; {"removed": NAME}. Where certificates are made
 * elsewhere, "revoked" means those that began before. */
void rights_user_add(struct admin_call *c);
void rights_user_list(struct admin_call *c);
void rights_user_remove(struct admin_call *c);

#endif
