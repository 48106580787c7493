/*
 * orders: the captures that were ordered, and how each agent does with them. On the loop's thread; kept in the catalog
 * (store_order_put: the request as the payload of a CHECK, when it was created and ended, the agents' last phases as
 * JSON) by jobs of the ingest thread, read once at the start.
 *
 * An order is desired state: each control connection gets ORDERS, all orders that mean this agent and are not over,
 * when it comes and at every change. An order is over when it was stopped or its end has come; it is listed until it is
 * removed, or ORDERS_ENDED_MAX newer ones ended.
 *
 *   COMMAND START:  check the request (name unique among orders not removed and stored streams, filter, times, selector
 *                   means somebody)
 *                   -> CHECK to all agents meant that are connected -> all said yes, or `partial` and one did
 *                   -> kept durably -> ORDERS to the agents -> DONE with the id, and per agent what it answered
 *   agents meant that are known but not connected get the order when they come within its time: PHASE_PENDING, "is not
 *   connected since ...". If one that is connected does not answer CHECK within wait_ms (default ORDERS_CHECK_MS),
 *   nothing is started (ERROR_UNREACHABLE), or, if that is `partial`, it is on the rest, and that one is pending. What
 *   the request says of time counts from the start, which is when all have been asked (order_end_ns): one end for all.
 *   An agent that said no to a capture that was started on the rest (`partial`) is left out of it for good.
 *   If one says no and that is not `partial`: nothing is started, and the code is that of the first who said no.
 *   COMMAND CHECK:  the same, and nothing is kept. `partial`: the code is 0 if one said yes.
 *   COMMAND STOP:   0 also if what `which` names is over already; then the text says so.
 *   COMMAND REMOVE: ERROR_BUSY if it is not over.
 *   The baseline is the configuration's: no command stops or removes it ('*' passes it over).
 *
 * An agent that was revoked is not meant by what is started then, and runs nothing, whatever it said last: STOPPED
 * (MISSED, if it never began), "was revoked ...". If it joins anew, it is another agent: what is over keeps that word,
 * and where an order stands that means it, it begins from nothing.
 *
 * JSON of DONE.manifest (CHECK, START) and of QUERY_ORDERS (an array of these, the newest first):
 *   {"id": hex, "capture": name, "state": "checked" | "pending" | "running" | "stopping" | "over" | "refused",
 *    "filter", "selector", "interfaces", "keep", "snaplen", "cutoff", "limits": {"packets", "bytes", "rate"},
 *    "start", "end" (RFC 3339; null: never), "issued", "who", "ended" (null: it is not), "why" (it ended; ""),
 *    "left_ns", "packets", "bytes", "packets_per_s", "bytes_per_s", "kernel_drops", "other_drops",
 *    "agents": [{"agent", "connected": bool, "phase", "text", "interfaces": [...], "left_ns", "packets", "bytes",
 *                "packets_per_s", "bytes_per_s", "kernel_drops", "other_drops", "own", "forbidden",
 *                "free_bytes"}, ...]}
 * "state" is "over" as soon as no connected agent runs it and nobody who is meant may yet begin, "stopping" while its
 * end has come and one still runs it. "phase" is that of enum capture_phase; in what CHECK comes to also "checked": it
 * would run. "left_ns" is null if there is no end. DONE.manifest of STOP and REMOVE: an array of those that it changed.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_ORDERS_H
#define FLEETDUMP_COLLECTOR_SERVER_ORDERS_H

#include "collector/server/session.h"

#define ORDERS_MAX         1000u /* not removed */
#define ORDERS_ENDED_MAX   200u
#define ORDERS_CHECK_MS    2000u
#define ORDERS_WAIT_MAX_MS 60000u      /* of wait_ms */
#define ORDERS_BYTES_MAX   (15u << 10) /* of one request, so that NET_ORDERS_MAX of them fit into a message */
#define ORDERS_LISTED_MAX  100000u     /* agents, over all captures, in one answer to QUERY_ORDERS */

#define ORDERS_BASELINE "baseline" /* the standing capture of the configuration: flows only, all agents, for ever */

struct orders;
MUST_CHECK int orders_open(struct server *server, struct orders **out, struct error *e);

/* Before the ingest thread is stopped: ends the timer and commands that wait for agents (they are answered); the loop
 * can end then. */
void orders_stop(struct orders *o);
/* After the loop and the ingest thread have ended: keeps, on this thread, what is not kept yet, and frees. NULL is
 * fine. */
void orders_close(struct orders *o);

/* A job of orders is done (ingest_start's `done`). */
void orders_job_done(struct ingest_job *job);

/* Has the baseline run, or ended, as the configuration says. */
MUST_CHECK int orders_baseline(struct orders *o, bool wanted, struct error *e);

/* A client's COMMAND: answered by a DONE on its session, at once or when the agents have answered; the client going
 * away does not undo it. Each is logged in one line: who, from where, what came of it. */
void orders_command(struct orders *o, struct session *client, const struct message_command *m);

/* The requests of those that `which` names as for STOP or REMOVE, the configuration's left out; for STOP only of those
 * that are not over. A nonzero return ends it and is returned. */
MUST_CHECK int orders_each_named(struct orders *o, const char *which, enum command_kind kind,
                                 int (*each)(void *context, const struct capture_request *r, struct error *e),
                                 void *context, struct error *e);

/* What may be seen of orders: these agents, and orders that have any of them; without the numbers if they count more
 * than may be seen. Of an order that may not be seen whole (`sees_whole`), "filter", "selector", "interfaces" and "who"
 * are null and "why" is "": they tell of other agents, and of whoever looks for what there. */
struct orders_sight {
    bool (*sees)(void *context, const struct fleet_agent *a);
    bool (*sees_whole)(void *context, const struct capture_request *r);
    void *context;
    bool no_numbers;
};

/* QUERY_ORDERS; `which` is a glob of names or the beginning of an id ("" for all), `sight` NULL for all of it. *out is
 * malloc'ed JSON. ERROR_LIMIT if the answer would have more than ORDERS_LISTED_MAX agents. */
MUST_CHECK int orders_json(struct orders *o, const char *which, const struct orders_sight *sight, char **out,
                           struct error *e);

/* Of control connections: one is up (send it its orders), gone, or sent CHECKED or CAPTURE_STATE. */
void orders_agent_up(struct orders *o, struct session *agent);
void orders_agent_down(struct orders *o, struct session *agent);
void orders_agent_anew(struct orders *o,
                       struct fleet_agent *a); /* before it is up: it was revoked, and has joined anew */
void orders_checked(struct orders *o, struct session *agent, const struct message_checked *m);
void orders_state(struct orders *o, struct session *agent, const struct message_capture_state *m);

/* ---------------------------------------------------------------- what has come of what was captured */
/* Of a capture on an agent, which may have captured something that is not here. */
struct orders_reach {
    struct fleet_agent *agent;
    const char *capture;
    uint64_t reaches_ns; /* all until then is here; 0: not known */
    bool stopped;        /* it captures no more */
};

/* Those that fit the question's agents, capture and time, but for those that stopped and of which all is here. Agents
 * that have not been told of an order, or were left out, have nothing. */
void orders_each_reach(struct orders *o, const struct message_query *q,
                       void (*each)(void *context, const struct orders_reach *r), void *context);

/* Which capture waits on this agent for other than its time, and why (its policy, say), as people read it; malloc'ed.
 * NULL: none. */
char *orders_problem(const struct orders *o, const struct fleet_agent *a);

/* Whether a capture that the glob names was ordered, and is not forgotten. */
bool orders_know(const struct orders *o, const char *glob);

/* All that captures that fit the glob captured on the agent until then is here. */
void orders_reached(struct orders *o, const struct fleet_agent *a, const char *glob, uint64_t until_ns);

#endif
