/*
 * choice: which lines of an audit somebody asks for.
 */
#ifndef FLEETDUMP_COLLECTOR_AUDIT_CHOICE_H
#define FLEETDUMP_COLLECTOR_AUDIT_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_choice {
    uint64_t since_ns, until_ns; /* until_ns 0: for ever */
    const char *who, *event;     /* globs; NULL or empty: all. "user ann" is found by "ann" as well */
};

/* Whether a line (JSON, as it stands in the audit) fits. */
bool audit_choice_fits(const struct audit_choice *c, const char *line, size_t len);

#endif
