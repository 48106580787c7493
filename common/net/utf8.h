/*
 * utf8: whether bytes are text (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). For common/net alone.
 */
#ifndef FLEETDUMP_NET_UTF8_H
#define FLEETDUMP_NET_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* True if it is valid and has no control characters (C0, DEL, C1); with `lines` tab, line feed and carriage return may
 * be in it. */
bool utf8_is_clean(const char *text, size_t len, bool lines);

/* Replaces each byte that is not part of clean text by '?'. */
void utf8_clean(char *text, size_t len);

#endif
