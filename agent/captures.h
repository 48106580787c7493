/*
 * captures: the orders of this host, and the capturers that run them. The monitor's table: it forks, it keeps the files
 * of orders, and it adds up what capturers report. It sees no packet and speaks to no network.
 *
 * A capture has one capturer for the interfaces that were there when it began, and one more for those that came later
 * (a capturer cannot open any further one: it has no privileges left); interfaces for which there is no place or no
 * memory are left out, and its state says so. A capturer that died is started again, after a pause that doubles; what
 * it used up is in its counter page.
 *
 *   START -> waiting (for its time, for an interface) -> running -> stopped (a limit, its end, STOP)
 *                 ^------------- failed <--------------|        \-> refused (cannot be run at all)
 *
 * An order that is over stays in the table until STOP: it is not started anew when the collector still names it.
 *
 * Orders that need no signature could come without end, and each leaves lines in the host's journal: beyond
 * CAPTURES_UNSIGNED at once one is taken in CAPTURES_UNSIGNED_NS, the others are refused.
 *
 * Whatever is asked for is judged first (judge.h), and again when it begins and when the host's policy has changed:
 * what runs is narrowed or ended then. The collector's baseline, which stands always, waits where the policy does not
 * let it run; anything else is refused, or over for good.
 */
#ifndef FLEETDUMP_AGENT_CAPTURES_H
#define FLEETDUMP_AGENT_CAPTURES_H

#include "agent/config.h"
#include "agent/order.h"
#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

#define CAPTURES_MAX         NET_ORDERS_MAX
#define CAPTURES_CAPTURERS   4u /* of one capture at once */
#define CAPTURES_UNSIGNED    300u
#define CAPTURES_UNSIGNED_NS (UINT64_C(20) * 1000000000)
#define CAPTURES_CHECKS      8u /* at once; more are answered as busy */
#define CAPTURES_POLL_MAX    (CAPTURES_MAX * CAPTURES_CAPTURERS + CAPTURES_CHECKS)

struct captures;
/* Gets every report that is for the shipper; false if it does not take it at the moment: a capture's state is told
 * again then. */
typedef bool captures_tell_fn(void *context, const struct monitor_report *r);

/* Loads the orders that are kept. */
MUST_CHECK int captures_new(const struct agent_config *c, captures_tell_fn *tell, void *context, struct captures **out,
                            struct error *e);
/* Stops all capturers (orders stay on disk) and waits for them; those that have not ended after CAPTURES_CLOSE_NS are
 * killed. */
#define CAPTURES_CLOSE_NS (UINT64_C(25) * 1000000000)
void captures_free(struct captures *s);

void captures_request(struct captures *s, const struct monitor_request *r);

/* Tells the state of all, to a shipper that is new. */
void captures_tell_all(struct captures *s);

/* What to poll: fills at most CAPTURES_POLL_MAX entries; captures_ready takes them after the poll. */
size_t captures_poll(struct captures *s, struct pollfd *fds);
void captures_ready(struct captures *s, const struct pollfd *fds, size_t count);

/* A child ended; false if it is none of ours. */
bool captures_reap(struct captures *s, pid_t pid, int status);

/* The policy, the operators or the kill file may have changed: reads them, and narrows or ends what runs. */
void captures_policy_changed(struct captures *s);
/* To poll for POLLIN (-1: none): then captures_policy_woken. */
int captures_policy_fd(const struct captures *s);
void captures_policy_woken(struct captures *s);

/* Interfaces or addresses have changed. */
void captures_interfaces_changed(struct captures *s);
/* Before that has settled: interfaces may have other names, and under those that the policy does not allow none is
 * captured any longer. */
void captures_renamed(struct captures *s);

/* What time asks for: starts, ends, new tries. Returns when it wants to be called again (monotonic ns; UINT64_MAX: not
 * by time). */
uint64_t captures_tick(struct captures *s);

#endif
