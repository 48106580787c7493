/* What the drawings in XML share. Private to draw. */
#ifndef FLEETDUMP_COLLECTOR_LADDER_DRAW_XML_H
#define FLEETDUMP_COLLECTOR_LADDER_DRAW_XML_H

#include "collector/ladder/draw_lines.h"

/* Appends text with the characters of markup escaped. */
void draw_escaped(struct buffer *out, const char *text);
/* Of a note or line, as a class: "mark", "finding", ... and "open", "close", "reset", "data", "plain", "many". */
const char *draw_kind_class(enum draw_kind kind);
const char *draw_line_class(const struct draw *d, const struct draw_line *line);
/* The head's lines, each in front of `before` and `after`. */
void draw_head_lines(const struct draw *d, const char *before, const char *after, struct buffer *out);
/* Colours by name, on bright and dark screens: "fore", "back", ...; the last is NULL. */
struct draw_colour {
    const char *name, *bright, *dark;
};
extern const struct draw_colour draw_colours[];

#endif
