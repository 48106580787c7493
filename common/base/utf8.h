/*
 * utf8: whether bytes are text (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
 */
#ifndef FLEETDUMP_BASE_UTF8_H
#define FLEETDUMP_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at `text`, of which `left` are there; 0 if it is none, or a control character (C0, DEL,
 * C1). */
size_t utf8_printable(const char *text, size_t left);

/* True if it is valid and has no control characters (C0, DEL, C1); with `lines` tab, line feed and carriage return may
 * be in it. */
bool utf8_is_clean(const char *text, size_t len, bool lines);

/* Replaces each byte that is not part of clean text by '?'. */
void utf8_clean(char *text, size_t len);

#endif
