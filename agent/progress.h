/*
 * progress: a line on a terminal's standard error that says how far something is. Shown only there, and only once it
 * took longer than a second.
 */
#ifndef FLEETDUMP_AGENT_PROGRESS_H
#define FLEETDUMP_AGENT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    uint64_t start_ns;
    uint64_t next_ns; /* when to draw again */
    bool terminal;
    bool drawn;
};

void progress_start(struct progress *p);

/* Draws "[=====>    ] 45% of 2.7G, 310M/s, 12s left"; total 0 if unknown. Cheap to call often: it looks at the clock
 * only. */
void progress_bytes(struct progress *p, const char *what, uint64_t done, uint64_t total);

/* Draws a text of our own. */
void progress_text(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Takes the line away, so that something else can be printed. */
void progress_clear(struct progress *p);

double progress_seconds(const struct progress *p);

#endif
