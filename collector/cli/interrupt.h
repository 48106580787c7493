/*
 * interrupt: SIGINT and SIGTERM as something to be asked for, for commands that have something to put in order before
 * they end. One per process.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_INTERRUPT_H
#define FLEETDUMP_COLLECTOR_CLI_INTERRUPT_H

#include "common/base/error.h"
#include <stdbool.h>

/* From now on signals are counted (those that were ignored stay ignored). Before files are opened: output_file then
 * leaves the signals alone. */
MUST_CHECK int interrupt_watch(struct error *e);

/* How many came; SIGTERM counts as many. 0 without interrupt_watch. */
unsigned interrupt_count(void);

/* A descriptor that becomes readable when one comes and stays so until interrupt_count is asked; -1 without
 * interrupt_watch. */
int interrupt_fd(void);

/* Waits: true if a signal came, or `fd` (-1: none) can be read before the time is over. */
bool interrupt_wait(unsigned timeout_ms, int fd);

#endif
