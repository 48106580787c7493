/*
 * text: what a stranger sent, as printable ASCII in room of ours.
 *
 * A byte that is not printable ASCII comes as \DDD, three decimal digits (RFC 1035, 5.1); so do backslash and quotation
 * mark, with a backslash in front, so that what was sent can be told from what was added. What does not fit ends in
 * "...".
 */
#ifndef FLEETDUMP_APP_TEXT_H
#define FLEETDUMP_APP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct app_text {
    char *at;    /* always ends in a 0 byte */
    size_t room; /* with that byte */
    size_t len;
    size_t safe; /* where "..." can stand */
    bool cut;    /* something did not fit; nothing is added any more */
};

/* Empty text in `room` bytes, at least 4. */
struct app_text app_text_in(char *at, size_t room);

/* Adds text of ours. */
void app_text_add(struct app_text *t, const char *text);
void app_text_addf(struct app_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds text of theirs. */
enum app_text_kind {
    APP_TEXT_PLAIN,
    APP_TEXT_LABEL /* of a name in DNS: in lower case, dots get a backslash, too */
};
void app_text_quote(struct app_text *t, const void *data, size_t len, enum app_text_kind kind);

#endif
