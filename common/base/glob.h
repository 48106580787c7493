/*
 * glob: names with '*' (any bytes) and '?' (one byte), as agents, captures and texts of applications are named in
 * filters and options. Nothing else is special.
 */
#ifndef FLEETDUMP_BASE_GLOB_H
#define FLEETDUMP_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the pattern matches all `len` bytes of text. At most pattern length times text length steps. */
bool glob_match(const char *pattern, const char *text, size_t len);

/* The same, with upper and lower case of ASCII letters alike. */
bool glob_match_any_case(const char *pattern, const char *text, size_t len);

#endif
