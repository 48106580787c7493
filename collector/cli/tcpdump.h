/*
 * tcpdump: packets in its own words, the agent and interface in front, on standard output.
 *
 * A pcapng file goes to tcpdump's standard input as it comes, and what tcpdump prints is read meanwhile. It prints
 * packet numbers (-#), so each packet's first line is known by its number; lines that do not begin with the next number
 * belong to the packet before. It is started with the first packet: it refuses files without any.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_TCPDUMP_H
#define FLEETDUMP_COLLECTOR_CLI_TCPDUMP_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define TCPDUMP_OPTIONS_MAX 64

struct tcpdump;

/* `options` (terminated by NULL, or NULL) are handed on. With `at_once` lines come as soon as their packets are there,
 * and signals of the terminal do not reach it. */
MUST_CHECK int tcpdump_new(char *const *options, bool at_once, struct tcpdump **out, struct error *e);
void tcpdump_free(struct tcpdump *t); /* ends it; NULL is fine */

/* Takes the next bytes of the file. ERROR_CANCELLED with an empty text if nobody reads what is printed, or tcpdump
 * wants no more. */
MUST_CHECK int tcpdump_feed(struct tcpdump *t, const void *data, size_t len, struct error *e);

/* Prints what tcpdump has said until now. `fd` becomes readable when there is something; -1: it does not run. */
MUST_CHECK int tcpdump_print(struct tcpdump *t, struct error *e);
int tcpdump_fd(const struct tcpdump *t);

/* The file's end: prints the rest. ERROR_SYSTEM if tcpdump failed. */
MUST_CHECK int tcpdump_finish(struct tcpdump *t, struct error *e);

/* Whether it wanted no more: it has printed as many packets as it was told to, or failed. */
bool tcpdump_had_enough(const struct tcpdump *t);

#endif
