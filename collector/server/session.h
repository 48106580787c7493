/*
 * session: one connection of an agent or a client, from its hello on. All on the loop's thread.
 *
 * A session is freed when its stream is closed and nothing that runs elsewhere (an ingest job, a question) refers to it
 * any more.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_SESSION_H
#define FLEETDUMP_COLLECTOR_SERVER_SESSION_H

#include "collector/server/fleet.h"
#include "collector/server/ingest.h"
#include "collector/server/server.h"
#include "common/net/identity.h"
#include "common/net/stream.h"

#define BODY_BYTES_MAX (128u << 20) /* of one body */

/* Nobody keeps the others out: with his certificates a user has at most this part (a whole one at least) of
 * max_sessions and of max_queries at once, and an agent, which needs two, so many connections. Beyond them: ERROR_BUSY.
 * Where nobody is known, all are alike. */
#define SESSIONS_SHARE 4u
#define SESSIONS_AGENT 8u

struct query_task;

/* What all sessions share. */
struct server {
    const struct server_config *config;
    uv_loop_t *loop;
    struct store *store;
    struct ingest *ingest;
    struct tls *tls; /* NULL: plain TCP */
    struct listener *listener;
    char reach[256]; /* where tokens say that we are; "": unknown */
    struct session *sessions;
    struct fleet *fleet;
    struct orders *orders;
    struct fresh *fresh;
    struct rights *rights;
    struct trail *trail;
    struct enroll *enroll;
    unsigned queries;
    bool stopping;
};

/* A stream that an agent named. */
struct session_stream {
    uint8_t epoch[EPOCH_SIZE];
    bool refused;
    bool over; /* its place may be given to another */
};

struct session {
    struct server *server;
    struct stream *stream;        /* NULL once closed */
    struct session *next, **link; /* in server->sessions */
    unsigned refs;                /* jobs and questions under way */
    bool greeted, welcomed;
    bool closing; /* nothing is sent any more */
    bool paused;
    uint8_t role;
    uint8_t install[16];
    uint64_t features; /* of its HELLO */
    char *agent, *software, *labels, *peer;
    struct identity is;     /* by its certificate; known from its first message on */
    uint64_t good_until_ns; /* its certificate, or the one that renewed it meanwhile; 0: it has none */
    uint64_t asked;         /* hash of the list that it asked for last, and got */
    struct filter_address *addresses;
    uint32_t address_count;
    struct session_stream *streams;
    uint32_t stream_count;
    struct ingest_job *coming;       /* HEAD or BODY whose pieces come; NULL between parts */
    uint64_t coming_total, received; /* bytes of it */
    bool given_up;                   /* results that still come are of no use */
    struct query_task *query;
    bool commanding;           /* a client's COMMAND is not answered yet */
    struct fleet_agent *known; /* a control connection that was welcomed: whose */
};

/* server.c: what sessions need before the first comes (store, ingest and loop are there); the end of all that runs,
 * then the loop ends; what is left to free then. */
MUST_CHECK int server_begin(struct server *server, struct error *e);
void server_stop(struct server *server);
void server_end(struct server *server);

/* listener_accept_fn; context is the struct server. */
bool session_accept(void *context, struct stream *s, const struct stream_events **events, void **stream_context);

/* Sends a REFUSE for the whole connection and closes it. */
void session_refuse(struct session *s, int code, const char *text);
/* The same at once: what waits to be sent is not. */
void session_shut_out(struct session *s, const char *text);
/* Ends those whose certificates would not be accepted any more, for the files were read again; returns how many. */
unsigned session_judge_all(struct server *server);

/* Closes it for a reason that may pass: an agent comes again after a pause, and has everything still. */
void session_give_up(struct session *s, const char *why);

/* Closes it at once and for good: what waits to be sent is not. */
void session_cut(struct session *s, const char *why);

/* An agent that is known has these labels from now on: bounds and orders go by them. If it has others, its control
 * connection ends, and it comes again with them, as captures may mean it now, or not any more. */
void session_relabel(struct server *server, const char *agent, const char *labels);

/* Hands a job of this session to the ingest thread; stops reading while too much waits there. */
void session_submit(struct session *s, struct ingest_job *job);

/* Sends, and closes the session if that fails. */
void session_send(struct session *s, const struct message *m);

/* Who it is, by its certificate; never NULL (IDENTITY_NONE). */
const struct identity *session_identity(const struct session *s);

/* session_share.c: whether it is somebody's, by name, and is not being closed; whether whose it is may have one more
 * connection, or question (ERROR_BUSY). */
bool session_is_of(const struct session *s, uint8_t kind, const char *name);
MUST_CHECK int session_check_share(const struct session *s, struct error *e);
MUST_CHECK int session_check_questions(const struct session *s, struct error *e);

/* A job or question that referred to the session is over. */
void session_unref(struct session *s);

/* A result of the ingest thread (ingest_start's `done`). */
void session_job_done(struct ingest_job *job);

/* Goes on reading where sessions were paused for want of room. */
void session_resume_all(struct server *server);

/* agent_session.c */
void agent_session_message(struct session *s, const struct message *m);
void agent_session_job_done(struct session *s, struct ingest_job *job);
void agent_session_close(struct session *s);

/* client_session.c */
void client_session_message(struct session *s, const struct message *m);
void client_session_drain(struct session *s);
void client_session_close(struct session *s);
/* A user's rights were changed: ends his questions that he may not ask any more; all, if it was to closer bounds. */
void client_session_lowered(struct server *server, const char *name, bool bounds);

#endif
