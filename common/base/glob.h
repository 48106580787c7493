/*
 * glob: names with '*' (any bytes) and '?' (one byte), as agents and captures are named in filters and options. Nothing else is special.
 */
#ifndef FLEETDUMP_BASE_GLOB_H
#define FLEETDUMP_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the pattern matches all `len` bytes of text. At most pattern length times text length steps. */
bool glob_match(const char *pattern, const char *text, size_t len);

#endif
