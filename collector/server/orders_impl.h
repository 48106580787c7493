/*
 * orders_impl: what the files of orders share.
 *
 *   orders.c          the table: what stands and what is over, what each agent is told and tells
 *   orders_time.c     what ends by itself, is forgotten, is to be kept; the baseline
 *   orders_agents.c   an order's agents: who is meant, phases as they are shown
 *   orders_command.c  a COMMAND comes, and is answered
 *   orders_start.c    check and start
 *   orders_stop.c     stop and remove
 *   orders_request.c  whether a request can be an order at all
 *   orders_json.c     orders as people and programs see them
 *   orders_keep.c     orders in the catalog: jobs of the ingest thread, reading at the start
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_ORDERS_IMPL_H
#define FLEETDUMP_COLLECTOR_SERVER_ORDERS_IMPL_H

#include "collector/server/orders.h"
#include <jansson.h>

#define ORDER_ID_TEXT 33

enum order_stage {
    ORDER_ASKED,   /* a command checks it; nobody sees it but those who would take its name */
    ORDER_KEEPING, /* it is to stand, and not kept yet */
    ORDER_STANDS,
    ORDER_OVER
};

enum order_answer { ANSWER_NONE, ANSWER_AWAITED, ANSWER_YES, ANSWER_NO };

struct order_agent {
    struct fleet_agent *is;
    struct message state; /* CAPTURE_STATE, owned; PENDING: it did not say anything yet */
    uint64_t since_ns;    /* its phase changed, wall clock */
    uint64_t told_ns;     /* when its state came, wall clock; 0: it was read from the catalog */
    uint64_t reaches_ns;  /* all that it captured until then has come: a FLUSH sent then was answered */
    uint64_t free_bytes;  /* as its CHECKED said */
    uint8_t answer;       /* enum order_answer: to the CHECK */
    int32_t code;         /* of a no */
    bool left_out;        /* it said no */
    bool sent;            /* it has been told of the order */
};

struct order {
    struct orders *orders;
    struct message held; /* CHECK, owns the request */
    struct capture_request *request;
    char own_name[9];
    enum order_stage stage;
    uint64_t created_ns, ended_ns; /* created: when the collector decided that it starts */
    char *why;                     /* it ended; NULL: "" */
    struct order_agent *agents;    /* by name */
    uint32_t agent_count, agent_size;
    bool changed;     /* since it was kept */
    bool touched;     /* likewise, but for counters alone: kept at the end */
    bool leaving;     /* its removal is under way */
    unsigned keeping; /* jobs under way */
};

struct command;

struct orders {
    struct server *server;
    struct order **items; /* the oldest first */
    size_t count, size;
    struct command *commands;
    uint64_t next_token;
    uv_timer_t tick;
    bool stopping;
    bool cannot_keep; /* was said */
};

/* ---------------------------------------------------------------- orders.c */
/* The order is put at the end of the table; `request` is copied. */
MUST_CHECK int order_new(struct orders *o, const struct capture_request *request, struct order **out, struct error *e);
void order_forget(struct order *o); /* takes it out of the table and frees it */
struct order *orders_find(const struct orders *o, const uint8_t id[16]);
struct order *orders_named(const struct orders *o, const char *name, const struct order *but); /* NULL: nobody has it */
/* Fills `found` (room for all) with those that `which` names: a glob of names, else the beginning of an id, "" for
 * all. */
size_t orders_match(const struct orders *o, const char *which, struct order **found);
void order_set_stage(struct order *o, enum order_stage stage);
void order_stand(struct order *o); /* it is kept: the agents are told */
void order_end(struct order *o, uint64_t now_ns, const char *why);
void order_tell(struct order *o); /* its agents get ORDERS anew */
/* It is over, as its agents know by themselves: those that had too many get another. Others are not told: what has
 * stopped and is not ordered any more they forget, and with it what they have still to hand over. */
void order_give_place(struct order *o);
/* By the request, and counted from created_ns where it says for how long; 0: never. */
uint64_t order_end_ns(const struct order *o);
bool order_time_is_over(const struct order *o, uint64_t now_ns);
char *order_id_text(const struct order *o, char buf[ORDER_ID_TEXT]);

/* ---------------------------------------------------------------- orders_time.c */
void orders_tick(uv_timer_t *timer);

/* ---------------------------------------------------------------- orders_agents.c */
bool order_means(const struct order *o, const struct fleet_agent *a);
/* Of an agent that is connected: why its release cannot do it, or NULL. */
const char *order_beyond(const struct order *o, const struct fleet_agent *a);
struct order_agent *order_agent(const struct order *o, const char *name); /* NULL: none */
MUST_CHECK int order_add_agent(struct order *o, struct fleet_agent *a, struct order_agent **out, struct error *e);
void order_drop_agent(struct order *o, struct order_agent *a);
MUST_CHECK int order_add_meant(struct order *o, struct error *e); /* all that are known and were not revoked */
MUST_CHECK int order_take_state(struct order_agent *a, const struct message_capture_state *m, struct error *e);
void order_say(struct order_agent *a, uint8_t phase, const char *text); /* what the collector itself knows of it */
uint8_t order_phase(const struct order *o, const struct order_agent *a,
                    uint64_t now_ns); /* MISSED for PENDING at its end; of who was revoked the phase that it ended in */
bool order_agent_is_here(const struct order_agent *a, uint64_t now_ns); /* connected, and it answers */
bool order_agent_runs(
    const struct order_agent *a); /* it said so last; waiting and trying again, too; nobody who was revoked */
uint64_t order_agent_stopped_ns(const struct order_agent *a); /* since when it has, after it ran; 0: it has not */
const char *order_agent_text(const struct order *o, const struct order_agent *a, uint64_t now_ns, char *buf,
                             size_t len);
/* Why it is over, "" if it is not: where hosts ended it before its time, what the first of them said. */
const char *order_why(const struct order *o);
const char *order_state(const struct order *o, uint64_t now_ns);
bool order_is_over(const struct order *o, uint64_t now_ns);
void order_free_agents(struct order *o);

/* ---------------------------------------------------------------- orders_request.c */
MUST_CHECK int request_check(const struct order *o, uint64_t now_ns, struct error *e); /* what needs no other thread */
/* On any thread: the filter compiles, and no stored stream has the name. */
MUST_CHECK int request_inspect(const struct capture_request *r, struct store *s, struct error *e);
char *request_selector(const struct capture_request *r); /* "--on 'web-*' -l role=web"; malloc'ed */

/* ---------------------------------------------------------------- orders_json.c */
json_t *order_json(const struct order *o, uint64_t now_ns);
char *order_agents_kept(const struct order *o);              /* malloc'ed JSON, for the catalog */
void order_agents_read(struct order *o, const char *agents); /* what of it can be read */

/* ---------------------------------------------------------------- orders_keep.c */
/* Submits a job; `done` (may be NULL) is called with what came of it. A nonzero return: not even that. */
typedef void order_kept_fn(void *context, int result, const struct error *why);
MUST_CHECK int order_keep(struct order *o, order_kept_fn *done, void *context, struct error *e);
MUST_CHECK int orders_keep_not(struct orders *o, const uint8_t id[16], order_kept_fn *done, void *context,
                               struct error *e);
MUST_CHECK int orders_load(struct orders *o, struct error *e);
void orders_keep_at_end(struct orders *o); /* the ingest thread is over: on this one */

/* ---------------------------------------------------------------- orders_command.c, orders_start.c, orders_stop.c */
struct command {
    struct orders *orders;
    struct command *next, **link;
    struct session *client; /* a reference */
    struct message held;    /* the COMMAND */
    const struct message_command *m;
    struct order *order;          /* CHECK, START: owned until it is kept; NULL then, and for others */
    struct capture_request asked; /* for the work: points into `held`, but for the name */
    char name[HEAD_NAME_MAX + 1];
    uint64_t token;
    uv_timer_t timer;
    uv_work_t work;
    unsigned uses;      /* the timer, the work, jobs: freed when 0 */
    unsigned waiting;   /* agents that are to answer; STOP, REMOVE: jobs */
    struct error error; /* of the work, and the first of jobs */
    json_t *changed;    /* STOP, REMOVE: orders */
    bool answered;
    char note[ERROR_TEXT_MAX]; /* for the user, if all goes well */
    char extent[48];           /* for the log, likewise */
};
/* Sends the DONE, logs what came of it, and lets go of the order, unless it stands. Takes the manifest. */
void command_done(struct command *c, int code, const char *text, json_t *manifest);
void command_unuse(struct command *c);
void command_start(struct command *c); /* CHECK, too */
void command_stop(struct command *c);
void command_remove(struct command *c);
void commands_answer(struct orders *o, struct fleet_agent *a, const struct message_checked *m); /* m NULL: it is gone */

#endif
