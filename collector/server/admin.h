/*
 * admin: requests about who may connect and what they may do. Each kind is one row of the table in admin.c: what people
 * call it, and the function that answers it. All on the loop's thread.
 *
 * What a request wants is the JSON object of its message; what it is answered is the manifest of a DONE. Who may ask is
 * judged before (rights.h).
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_ADMIN_H
#define FLEETDUMP_COLLECTOR_SERVER_ADMIN_H

#include "collector/server/session.h"
#include <jansson.h>

/* A request, from when it came until it is answered: a function of the table must end in admin_answer or admin_fail,
 * once, at once or later. */
struct admin_call {
    struct server *server;
    struct session *session; /* held; its stream may have gone meanwhile, the answer is then lost */
    uint8_t kind;            /* enum admin_kind */
    json_t *wants;           /* an object */
    const char *from;        /* the peer's address */
    /* for admin_store and admin_work: */
    int (*work)(struct admin_call *c, struct store *s, struct error *e);
    void (*then)(struct admin_call *c, int result, const struct error *e);
    void *context; /* of the function that answers, which owns it */
    int result;
    struct error error;
    uv_work_t thread;
};

/* The name of a kind, for people and for the audit; NULL: there is none. */
const char *admin_kind_name(int kind);

/* Takes a client's ADMIN; the session is not to ask anything else until it is answered (session->commanding). */
void admin_message(struct session *s, const struct message_admin *m);

/* The end of a call. The answer is an object or array, and taken over. */
void admin_answer(struct admin_call *c, json_t *answer);
void admin_fail(struct admin_call *c, const struct error *e);

/* Lets the thread that writes the store do `work` (it may write the catalog, and sees nothing else of the server), then
 * `then` on the loop's with its result: `then` must end the call or go on with it. */
void admin_store(struct admin_call *c, int (*work)(struct admin_call *c, struct store *s, struct error *e),
                 void (*then)(struct admin_call *c, int result, const struct error *e));

/* The same on a thread of libuv's, for what takes long and writes nothing of the store's (`s` is there to be read). */
void admin_work(struct admin_call *c, int (*work)(struct admin_call *c, struct store *s, struct error *e),
                void (*then)(struct admin_call *c, int result, const struct error *e));

/* What a request wants, by name. A text that is missing is NULL; one that is there and no text, or longer than `most`
 * bytes, or with control characters, is ERROR_USAGE, which names it. */
MUST_CHECK int admin_text(const struct admin_call *c, const char *name, size_t most, const char **out, struct error *e);

/* The same, for one that must be there. */
MUST_CHECK int admin_need_text(const struct admin_call *c, const char *name, size_t most, const char **out,
                               struct error *e);

/* A whole number that is not negative; 0 if it is missing. */
MUST_CHECK int admin_number(const struct admin_call *c, const char *name, uint64_t *out, struct error *e);

#endif
