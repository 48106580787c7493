/* What text, SVG and HTML draw alike: lines, columns, notes. Private to draw. */
#ifndef FLEETDUMP_COLLECTOR_LADDER_DRAW_LINES_H
#define FLEETDUMP_COLLECTOR_LADDER_DRAW_LINES_H

#include "collector/ladder/draw.h"

#define DRAW_CELL_MAX  48u
#define DRAW_NOTES_MAX 12u
#define DRAW_DULL_MIN  4u

/* A row, or several that one line stands for. */
struct draw_line {
    uint32_t row;
    uint32_t rows; /* 1, or how many from `row` on */
};

struct draw {
    const struct ladder *l;
    const struct draw_options *o;
    struct draw_line *lines; /* owned */
    uint32_t line_count;
    uint32_t left_out; /* rows behind the last line */
};

MUST_CHECK int draw_begin(struct draw *d, const struct ladder *l, const struct draw_options *o, struct error *e);
void draw_end(struct draw *d);

/* "10.0.0.5:40312", "[2001:db8::1]:80", "aa:bb:..". Returns buf (DRAW_CELL_MAX + 8). */
#define DRAW_END_MAX 64u
char *draw_end_text(const struct ladder_end *end, char buf[DRAW_END_MAX]);

/* What stands above the drawing: the connection, its story, where it was seen. A line each, without control
 * characters. */
void draw_head(const struct draw *d, struct buffer *out);
/* The line below it, or nothing. */
void draw_foot(const struct draw *d, struct buffer *out);

enum draw_column_id {
    DRAW_TIME, /* at a vantage */
    DRAW_DELTA,
    DRAW_LADDER,
    DRAW_BETWEEN,
    DRAW_SEQ,
    DRAW_ACK,
    DRAW_NEXT,
    DRAW_LENGTH,
    DRAW_WINDOW,
};

struct draw_column {
    enum draw_column_id id;
    uint32_t vantage; /* DRAW_TIME */
    unsigned width;   /* of the widest cell, title included */
    char title[DRAW_CELL_MAX];
};
#define DRAW_COLUMNS_MAX (LADDER_VANTAGES_MAX + 8u)

/* The columns that this ladder has, in order; returns how many. */
uint32_t draw_columns(const struct draw *d, struct draw_column columns[DRAW_COLUMNS_MAX]);
/* A cell of a line that is one row; "" if there is nothing. Of DRAW_LADDER the label on the arrow. Returns buf. */
char *draw_cell(const struct draw *d, const struct draw_line *line, const struct draw_column *c,
                char buf[DRAW_CELL_MAX]);

enum draw_kind { DRAW_MARK, DRAW_FINDING, DRAW_LOST, DRAW_SAID, DRAW_FIELDS };

struct draw_notes {
    struct {
        enum draw_kind kind;
        const char *text;
    } items[DRAW_NOTES_MAX];
    uint32_t count;
    struct buffer text; /* of all; owned, used again for the next line */
};
/* What stands beside a line. False for want of memory. */
bool draw_notes(const struct draw *d, const struct draw_line *line, struct draw_notes *notes);

/* Whether the packet did not reach the vantage nearest to its receiver, though that was watching. */
bool draw_lost(const struct draw *d, const struct draw_line *line);

#endif
