/*
 * privileges: who the processes of the agent are, and what they may do.
 *
 *   monitor    root or a user of its own (systemd's unit: fleetdump-agent), with CAP_NET_RAW (interfaces), CAP_SETUID,
 *              CAP_SETGID, CAP_SETPCAP (to make others less, and to end them); as root also CAP_NET_ADMIN, CAP_KILL,
 *              CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE (a spool that is theirs). Parses no packets, no network
 *   check      the monitor's user with CAP_NET_RAW: compiles one filter
 *   capturer   `capture_user` after it has opened its handles: no capability, no_new_privs
 *   shipper    `ship_user`: no capability, no_new_privs
 *
 * Both users share the group of ship_user, which owns the spool (setgid folders, 0770 and 0660).
 */
#ifndef FLEETDUMP_AGENT_PRIVILEGES_H
#define FLEETDUMP_AGENT_PRIVILEGES_H

#include "agent/config.h"
#include <sys/types.h>

/* Whether this process may open interfaces; ERROR_REFUSED names the capability that is missing and how to give it. */
MUST_CHECK int privileges_check_capture(struct error *e);

/* Gives up everything: user, groups, capabilities (bounding set too), no_new_privs. `user` is a name or a number; ""
 * keeps the user. If it does not exist, the user stays and a warning says so (once, by privileges_prepare);
 * capabilities go in any case. As another user than root: no_new_privs and capabilities only. */
MUST_CHECK int privileges_drop(const char *user, const char *group_of, struct error *e);

/* Keeps of its capabilities those that this kind needs, in the bounding set, too. */
enum privileges_kind { PRIVILEGES_MONITOR, PRIVILEGES_CHECK };
MUST_CHECK int privileges_keep(enum privileges_kind kind, struct error *e);

/* Sends a signal to a child that was not waited for and has become `user`, or is about to. Where the monitor may not
 * signal another user (it has no CAP_KILL), it takes that user as its effective one for this one call (kill(2)), by
 * CAP_SETUID; its real and saved user stay, so that nobody gets at it meanwhile. What fails is logged. Of a process
 * with one thread. */
void privileges_signal(pid_t child, const char *user, int signo);

/* For the monitor, before it forks: makes the spool belong to ship_user's group, and warns of users that do not
 * exist. */
MUST_CHECK int privileges_prepare(const struct agent_config *c, struct error *e);

#endif
