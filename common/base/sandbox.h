/*
 * sandbox: what each kind of process may still do once it has opened what it needs. Three locks, which nobody can open
 * again:
 *
 *   no_new_privs   nothing that it executes gets rights that it has not
 *   seccomp        a list of system calls (sandbox_profiles.c); any other one kills the process: SIGSYS, logged by the
 *                  kernel's audit. What libraries try and do without (clone3, io_uring) is answered by an error instead
 *   Landlock       files: places to list, to look into, to change, nothing else (EACCES). TCP: ports to connect to
 *                  (kernels from 6.7). No signals to others, no abstract sockets (from 6.12)
 *
 *   process    user          capabilities      system calls beyond the core                 files
 *   monitor    root          see privileges.h  those of its children; fork, users; no exec  reads; changes its folders
 *   check      root          CAP_NET_RAW       packet sockets                               reads /sys/class/net, /etc
 *   capturer   capture_user  none              threads; sends to the monitor only           lists the spool; its stream
 *   recovery   capture_user  none              files only                                   the spool
 *   finder     capture_user  none              files only                                   the spool
 *   shipper    ship_user     none              threads, sockets, resolver                   spool, its certificate
 *   --read     who started it as that user     threads, resolver's files                    the files; spool or --out
 *   collector  its user      none are needed   threads, accept                              its data, its certificate
 *
 * Network: the monitor has its children's; the shipper TCP to the collector's port and 53, and UDP; the collector
 * accepts, and connects to nobody; the others have none, and a capturer's writes to packet sockets are refused, too.
 *
 * The monitor's list holds what its children need, because they inherit it. The command line (fleetdump) has no
 * sandbox: it runs with the rights of the person who typed it, in a shell that has them, too, and starts no work for
 * others.
 *
 * Sanitized builds get more (ptrace and threads for the leak check, /proc, the folder of reports) and are refused
 * execve where others die; builds with fault points may write FLEETDUMP_FAULT_LIST; coverage builds may write into the
 * build folder. Each says so in its log.
 *
 * Fault points: sandbox.<kind>, passed as soon as the locks are closed. `try-exec` and others there make the process
 * itself try what is forbidden (fault.h, fault_try.c).
 */
#ifndef FLEETDUMP_BASE_SANDBOX_H
#define FLEETDUMP_BASE_SANDBOX_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox_kind {
    SANDBOX_MONITOR,
    SANDBOX_CHECK,
    SANDBOX_CAPTURER,
    SANDBOX_RECOVERY,
    SANDBOX_FINDER, /* looks for streams to recover */
    SANDBOX_SHIPPER,
    SANDBOX_READ,
    SANDBOX_COLLECTOR,
    SANDBOX_KINDS
};

enum sandbox_access {
    SANDBOX_LIST,   /* the names in it and below */
    SANDBOX_LOOK,   /* and what is in the files */
    SANDBOX_CHANGE, /* and make, write, rename, remove them */
};

/* A file, or a folder with all below it. What is not there is left out. */
struct sandbox_place {
    enum sandbox_access access;
    const char *path;
};

#define SANDBOX_PORTS_MAX 4u

/* What a process needs beside what its kind has. */
struct sandbox_needs {
    const struct sandbox_place *places;
    size_t place_count;
    uint16_t ports[SANDBOX_PORTS_MAX]; /* TCP, to connect to; 0: unused */
    int talk_fd;                       /* the one socket that may be sent to, for kinds without a network */
    int sealed_from;                   /* descriptors from this number on are never written to; 0: none */
    pid_t child;                       /* that it may send signals to, beside itself; 0: none */
};

/* Closes the locks, for all threads there are (Landlock: for this one and those that it starts; so call it first).
 * Without seccomp in the kernel: ERROR_UNSUPPORTED, and the process should end. Without Landlock it goes on, and a
 * warning says what that means (once in a process and its children). May be called again in a child, as another kind:
 * locks add up. */
MUST_CHECK int sandbox_enter(enum sandbox_kind kind, const struct sandbox_needs *needs, struct error *e);

/* Whether a file that the resolver reads has been replaced since: Landlock allows the old one alone, so that names are
 * not found any more until the process is started again. */
bool sandbox_outdated(void);

/* The kernel's version of Landlock; 0: none. */
unsigned sandbox_landlock(void);

/* For a log: how a process ended by waitpid's status: "was killed by SIGSYS: it tried a forbidden system call", "was
 * ended by signal 9 (Killed)", "ended with status 1". Returns `text`. */
#define SANDBOX_ENDING_MAX 128
const char *sandbox_ending(int status, char text[SANDBOX_ENDING_MAX]);

#endif
