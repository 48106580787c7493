/*
 * audit_files: audits where they lie, of a collector or an agent's host, without asking anybody: folders, files out of
 * them, and what `audit export` wrote.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_AUDIT_FILES_H
#define FLEETDUMP_COLLECTOR_CLI_AUDIT_FILES_H

#include "collector/cli/listing.h"
#include "common/base/audit.h"

/* Paths in the order in which their lines follow each other: what comes before vouches for the first line of the next
 * file. */
struct audit_files {
    char **paths; /* borrowed */
    size_t count;
};

/* A path with ": " or "", a number. */
#define AUDIT_LOST_TEXT                                                                                                \
    "%sall fits, but lines were never written (on a full disk?), %llu in all: `fleetdump audit show --event lost` "    \
    "says when"

/* Verifies each, and prints what it found out as `l` has it. ERROR_CORRUPT: something was changed; ERROR_INCOMPLETE:
 * all fits that is there, but a crash (or somebody) left half a line, or a head that is behind; or lines were never
 * written. `known` (or NULL) takes one path. */
MUST_CHECK int audit_files_verify(const struct cli *cli, const struct audit_files *files,
                                  const struct audit_head *known, const struct listing *l, struct error *e);

/* Gives each line to `take`, in order, up to the first that is broken (ERROR_CORRUPT). */
MUST_CHECK int audit_files_read(const struct audit_files *files, audit_line_fn *take, void *context, struct error *e);

#endif
