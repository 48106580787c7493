/*
 * fault: points at which tests make the program fail.
 *
 * Compiled in with -DFLEETDUMP_FAULTS (the debug and sanitizer presets), otherwise each point is the constant 0 and
 * costs nothing. A point stands in front of each write, fsync, rename, unlink, commit, send, receive and ack
 * (tests/unit/check-faults sees to it; those of SQLite are in collector/store/db_fault):
 *
 *     int fault = FAULT("pack.sync");          // 0, or an errno to pretend
 *     if (fault) return error_sys(e, fault, ...);
 *
 * The environment says what happens, as a comma-separated list:
 *
 *     FLEETDUMP_FAULT=pack.sync:kill:3         SIGKILL to ourselves when the point is passed the 3rd time
 *     FLEETDUMP_FAULT=spool.write:ENOSPC       that errno at every passing ("ENOSPC:2": only at the 2nd)
 *     FLEETDUMP_FAULT=recover.scan:crash       SIGABRT to ourselves, as a fault of ours would
 *     FLEETDUMP_FAULT=uplink.send:delay=50:1   50 ms pause at the 1st passing
 *     FLEETDUMP_FAULT=sandbox.capturer:try-open=/etc/shadow    the process itself tries what its sandbox forbids, and
 *                                                              says
 *                                              on stderr how that went (fault_try.c has the list)
 *     FLEETDUMP_FAULT_LIST=FILE                appends the name of every point passed (so that a test can walk them
 * all)
 *
 * Names are module.operation. `kill` happens before the operation; `kill-after` is done by putting a second point,
 * named module.operation.done, behind it. All operations of fs.h have both.
 */
#ifndef FLEETDUMP_BASE_FAULT_H
#define FLEETDUMP_BASE_FAULT_H

#include <stdbool.h>

#ifdef FLEETDUMP_FAULTS
int fault_pass(const char *name);

/* fault_try.c: tries it, at `point`; nothing if there is no such attempt (NAME or NAME=WHERE). fault_try_known: whether
 * there is. */
void fault_try(const char *point, const char *attempt);
bool fault_try_known(const char *attempt);
#define FAULT(name) fault_pass(name)
#else
#define FAULT(name) ((void)(name), 0)
#endif

#endif
