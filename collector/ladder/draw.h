/*
 * draw: a ladder for people (text, SVG, HTML) and for programs (JSON). Pure: what the terminal is like is told.
 *
 * The drawings for people leave out what says nothing of a long transfer: of four or more rows in a row that only carry
 * data and acks (no step of opening or closing, no finding, nothing said, seen everywhere) the middle ones become one
 * line that counts them. `full` draws every packet, and adds to its notes what else its headers say.
 */
#ifndef FLEETDUMP_COLLECTOR_LADDER_DRAW_H
#define FLEETDUMP_COLLECTOR_LADDER_DRAW_H

#include "collector/ladder/ladder.h"
#include "common/base/buffer.h"

struct draw_options {
    const char *id; /* of the connection, as people write it, or NULL */
    bool full;
    uint64_t limit; /* lines (JSON: packets) at the most; 0: all. A last line says how many packets are not drawn */
    unsigned width; /* text: columns of the terminal; 0: nothing is fitted or broken */
    bool colour;    /* text: with ANSI escapes */
    bool ascii;     /* text: no line-drawing characters */
};

/* Each appends to *out. SVG and HTML are whole files that need nothing else, for bright and dark screens. ERROR_LIMIT
 * if the buffer's limit is reached. */
MUST_CHECK int draw_text(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e);
MUST_CHECK int draw_svg(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e);
MUST_CHECK int draw_html(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e);
MUST_CHECK int draw_json(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e);

#endif
