/*
 * judge: decides in the monitor what may run: who signed an order, whether it means this host and is good now, and what
 * the host's policy makes of it. Reads the policy and the operators anew for every order, and watches both files and
 * the kill file.
 *
 * Nothing of a signed order is decoded before its signature was verified against a key that this host's owner trusts.
 * Then it must mean this agent, not be expired, not come from the future (clocks may be ORDER_CLOCK_MOST_NS apart), and
 * not have been here before.
 *
 * Where the policy says 'unsigned = yes', a good signature by a key that nobody here knows is as none: the policy
 * judges the order as one that nobody signed, by the name that the collector gives. It is no better for being unsigned:
 * bytes that were changed, a forged or expired certificate, the wrong time or a second coming are refused as ever.
 */
#ifndef FLEETDUMP_AGENT_JUDGE_H
#define FLEETDUMP_AGENT_JUDGE_H

#include "agent/config.h"
#include "agent/order.h"
#include "agent/policy.h"

struct judge;

/* What was found of an order. */
struct judged {
    enum policy_verdict verdict;
    struct order order; /* as it may run; with another verdict as far as it is known, for people */
    char said[POLICY_SAID_MAX];
    char why[ORDER_TEXT_MAX]; /* not, or not yet */
};

MUST_CHECK int judge_new(const struct agent_config *c, struct judge **out, struct error *e);
void judge_free(struct judge *j); /* NULL is fine */

/* A request (START or CHECK) of the shipper: what it asks for is in `record` if the verdict is POLICY_YES or
 * POLICY_LATER. */
void judge_request(struct judge *j, const struct monitor_request *r, struct order_record *record, struct judged *out);

/* One that was taken before: by the keys and the policy that hold now. judge_read was called, if they may have
 * changed. */
void judge_record(struct judge *j, const struct order_record *record, struct judged *out);

/* Notes that a signed order was here; unsigned ones are not noted. Before it starts: if that fails, it must not. */
MUST_CHECK int judge_remember(struct judge *j, const struct order_record *record, struct error *e);

/* The rules that hold now. */
const struct policy *judge_policy(const struct judge *j);

/* Reads all anew. */
void judge_read(struct judge *j);

/* To poll for POLLIN; -1: none. judge_woken makes it quiet again. */
int judge_fd(const struct judge *j);
void judge_woken(struct judge *j);

/* When to read and judge again all the same (monotonic). */
uint64_t judge_due(const struct judge *j);

#endif
