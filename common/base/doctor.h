/*
 * doctor: what a program found out about its own health, as a table for people or JSON for others.
 *
 * Each finding has a check's name, a verdict, what was found, and unless all is well what mends it: a command or a line
 * of a configuration, to be typed as it stands. Findings are shown in the order in which they came.
 */
#ifndef FLEETDUMP_BASE_DOCTOR_H
#define FLEETDUMP_BASE_DOCTOR_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define DOCTOR_TEXT_MAX     ERROR_TEXT_MAX
#define DOCTOR_FINDINGS_MAX 4096u /* more are counted, and said at the end */

enum doctor_verdict { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAILURE };

struct doctor;

MUST_CHECK int doctor_new(struct doctor **out, struct error *e);

/* `check` stays valid ("clock"). */
void doctor_say(struct doctor *d, enum doctor_verdict verdict, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* What mends the last finding. */
void doctor_mend(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints all, as a table or as a JSON array of {check, verdict, found, mend}, and frees. Returns the exit status:
 * EXIT_FAILED if there is a failure. */
int doctor_end(struct doctor *d, bool json, FILE *to);

/* ---------------------------------------------------------------- checks that all programs share */

/* Whether the system keeps its clock right by some other clock. */
void doctor_clock(struct doctor *d);

/* Free space at `path` (or the nearest folder above that exists), of which `floor_bytes` are never used, as `config`
 * says, and of the rest `need_bytes` are wanted at once. */
void doctor_disk(struct doctor *d, const char *path, uint64_t floor_bytes, uint64_t need_bytes, const char *config);

/* Whether all lines of the audit in `folder` fit, none were lost and there is room for more (audit.h); `restart`: what
 * begins a new one when the broken one was moved away. */
void doctor_audit(struct doctor *d, const char *folder, const char *restart);

/* This program's version, and the kernel's. */
void doctor_version(struct doctor *d);

/* How far a clock is ahead of another one (less than 0: behind), as somebody estimated: "the collector's clock", "this
 * one". */
void doctor_offset(struct doctor *d, int64_t offset_ns, const char *whose, const char *other);

#endif
