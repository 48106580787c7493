/* process: children of the agent's processes: forked, never exec'ed, and gone with their parent. */
#ifndef FLEETDUMP_AGENT_PROCESS_H
#define FLEETDUMP_AGENT_PROCESS_H

#include <sys/types.h>

/* Forks a child that ends with its parent, that no terminal's signals reach, whose signals are as at a program's start,
 * and which has no open files but the standard ones and `keep_fd` (-1: none). `title` is what ps shows of it, at most
 * 15 bytes. Returns as fork does. */
pid_t process_fork(int keep_fd, const char *title);

/* In a child: ends with its parent (again after a change of user, which the kernel forgets it by). The kernel sends it
 * SIGTERM if the parent might have done so, which a monitor without CAP_KILL may not to another user: who becomes one
 * must end by itself when the parent's socket is closed. */
void process_end_with_parent(void);

#endif
