/*
 * For a terminal. Columns that a narrow one has no room for are left out, the least needed first. Notes stand beside the
 * columns if they fit there in one line, else below.
 */
#include "collector/ladder/draw_lines.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LADDER_MIN  20u
#define LADDER_MOST 34u
#define ARROW_MORE  7u  /* columns of an arrow besides its label */
#define SIDE_WISHED 40u /* columns left for notes before the ladder grows */
#define BELOW_IN    4u  /* notes below are indented */
#define BELOW_LEAST 16u /* columns that they have at least */
#define RESET       "\033[0m"

struct glyphs {
    const char *rail, *shaft, *right, *left, *lost, *dots;
};
static const struct glyphs fine = {"│", "─", "▶", "◀", "✗", "⋮"};
static const struct glyphs plain = {"|", "-", ">", "<", "X", ":"};

enum paint { PAINT_NONE, PAINT_DIM, PAINT_OPEN, PAINT_CLOSE, PAINT_RESET, PAINT_DATA, PAINT_FINDING, PAINT_SAID };
static const char *const paints[] = {
    [PAINT_NONE] = "",          [PAINT_DIM] = "\033[2m",   [PAINT_OPEN] = "\033[32m",    [PAINT_CLOSE] = "\033[35m",
    [PAINT_RESET] = "\033[31m", [PAINT_DATA] = "\033[36m", [PAINT_FINDING] = "\033[33m", [PAINT_SAID] = "\033[1m",
};

struct text {
    struct draw d;
    struct draw_column columns[DRAW_COLUMNS_MAX];
    uint32_t count;
    unsigned side; /* columns beside the others for notes; UINT_MAX: as many as it takes */
    const struct glyphs *glyphs;
    struct draw_notes notes;
    struct buffer *out;
};

/* ------------------------------------------------------------------ layout */

static unsigned columns_width(const struct text *t)
{
    unsigned width = 0;
    for (uint32_t i = 0; i < t->count; i++)
        width += t->columns[i].width + 1;
    return width;
}

static void drop(struct text *t, enum draw_column_id id)
{
    for (uint32_t i = t->count; i-- > 0;)
        if (t->columns[i].id == id) {
            memmove(&t->columns[i], &t->columns[i + 1], (t->count - i - 1) * sizeof t->columns[0]);
            t->count--;
            return;
        }
}

static struct draw_column *ladder_column(struct text *t)
{
    uint32_t i = 0;
    while (t->columns[i].id != DRAW_LADDER)
        i++;
    return &t->columns[i];
}

static void grow_ladder(struct draw_column *ladder, unsigned by)
{
    if (ladder->width < LADDER_MOST)
        ladder->width = ladder->width + by < LADDER_MOST ? ladder->width + by : LADDER_MOST;
}

static void lay_out(struct text *t)
{
    static const enum draw_column_id least[] = {DRAW_NEXT, DRAW_WINDOW, DRAW_DELTA, DRAW_ACK, DRAW_SEQ, DRAW_LENGTH};
    unsigned width = t->d.o->width;
    struct draw_column *ladder = ladder_column(t);
    ladder->width = ladder->width + ARROW_MORE > LADDER_MIN ? ladder->width + ARROW_MORE : LADDER_MIN;
    for (size_t i = 0; width && i < sizeof least / sizeof least[0] && columns_width(t) > width + 1; i++)
        drop(t, least[i]);
    unsigned used = columns_width(t), spare = width > used ? width - used : 0;
    grow_ladder(ladder_column(t), !width ? LADDER_MOST : spare > SIDE_WISHED ? spare - SIDE_WISHED : 0);
    used = columns_width(t) + 1;
    t->side = !width ? UINT_MAX : width > used ? width - used : 0;
}

/* ------------------------------------------------------------------ pieces */

static void put(struct text *t, enum paint paint, const char *text)
{
    if (t->d.o->colour && paint != PAINT_NONE && text[0])
        buffer_printf(t->out, "%s%s" RESET, paints[paint], text);
    else
        buffer_printf(t->out, "%s", text);
}

/* Ends a line without blanks, and begins another. */
static void new_line(struct text *t, unsigned indent)
{
    while (t->out->len && t->out->data[t->out->len - 1] == ' ')
        t->out->len--;
    buffer_printf(t->out, "\n%*s", (int)indent, "");
}

static void put_times(struct text *t, const char *glyph, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        buffer_printf(t->out, "%s", glyph);
}

static enum paint paint_of(const struct ladder_row *row, const struct ladder_sight *s)
{
    if (s->segment.flags & TCP_RST)
        return PAINT_RESET;
    if (row->open.mark || s->segment.flags & TCP_SYN)
        return PAINT_OPEN;
    if (row->close.mark || s->segment.flags & TCP_FIN)
        return PAINT_CLOSE;
    return s->length ? PAINT_DATA : PAINT_NONE;
}

/* "│── SYN ACK ──────▶│", to the left for the server's; a packet that did not arrive ends in a cross. */
static void put_arrow(struct text *t, const struct draw_line *line, const char *label, unsigned width)
{
    const struct ladder_row *row = &t->d.l->rows[line->row];
    const struct ladder_sight *s = ladder_main(t->d.l, row);
    const struct glyphs *g = t->glyphs;
    enum paint paint = paint_of(row, s);
    bool right = s->from == LADDER_CLIENT;
    unsigned body = width - 3, used = (unsigned)strlen(label) + 2, before = right ? 2 : body - used - 2;
    put(t, PAINT_DIM, g->rail);
    if (t->d.o->colour)
        buffer_printf(t->out, "%s", paints[paint]);
    if (!right)
        buffer_printf(t->out, "%s", draw_lost(&t->d, line) ? g->lost : g->left);
    put_times(t, g->shaft, before);
    buffer_printf(t->out, " %s ", label);
    put_times(t, g->shaft, body - used - before);
    if (right)
        buffer_printf(t->out, "%s", draw_lost(&t->d, line) ? g->lost : g->right);
    if (t->d.o->colour)
        buffer_printf(t->out, RESET);
    put(t, PAINT_DIM, g->rail);
}

static void put_rails(struct text *t, unsigned width)
{
    put(t, PAINT_DIM, t->glyphs->rail);
    put_times(t, " ", (width - 2) / 2);
    buffer_printf(t->out, "%s", t->glyphs->dots);
    put_times(t, " ", width - 3 - (width - 2) / 2);
    put(t, PAINT_DIM, t->glyphs->rail);
}

static void put_cell(struct text *t, const struct draw_line *line, const struct draw_column *c)
{
    char cell[DRAW_CELL_MAX];
    draw_cell(&t->d, line, c, cell);
    if (c->id == DRAW_LADDER && line->rows == 1)
        put_arrow(t, line, cell, c->width);
    else if (c->id == DRAW_LADDER)
        put_rails(t, c->width);
    else {
        put_times(t, " ", c->width - (unsigned)strlen(cell));
        put(t, c->id == DRAW_TIME || c->id == DRAW_DELTA ? PAINT_DIM : PAINT_NONE, cell);
    }
}

/* ------------------------------------------------------------------ notes */

static enum paint note_paint(enum draw_kind kind, const struct ladder_row *row)
{
    if (kind == DRAW_MARK)
        return row->close.mark >= LADDER_RESET ? PAINT_RESET : row->open.mark ? PAINT_OPEN : PAINT_CLOSE;
    return kind == DRAW_FINDING ? PAINT_FINDING
           : kind == DRAW_LOST  ? PAINT_RESET
           : kind == DRAW_SAID  ? PAINT_SAID
                                : PAINT_DIM;
}

/* Writes words, going on below where the line is full; `at` is the column, `width` UINT_MAX if lines are not broken. */
static void put_words(struct text *t, enum paint paint, const char *words, unsigned width, unsigned *at)
{
    char word[SAID_MAX];
    while (*words) {
        size_t n = strcspn(words, " ");
        bool gap = *at > 0;
        if (gap && n + 1 > width - *at) {
            new_line(t, BELOW_IN);
            *at = 0;
            gap = false;
        }
        if (n > width - *at - gap)
            n = width - *at - gap; /* a word longer than a line */
        snprintf(word, sizeof word, "%.*s", (int)n, words);
        buffer_printf(t->out, "%s", gap ? " " : "");
        put(t, paint, word);
        *at += (unsigned)n + gap;
        words += n + (words[n] == ' ');
    }
}

static unsigned notes_length(const struct draw_notes *notes)
{
    size_t length = 0;
    for (uint32_t i = 0; i < notes->count; i++)
        length += strlen(notes->items[i].text) + (i ? strlen("; ") : 0);
    return (unsigned)length;
}

static bool put_notes(struct text *t, const struct draw_line *line)
{
    char text[SAID_MAX + 8];
    unsigned at = 0, width = t->side;
    if (!draw_notes(&t->d, line, &t->notes))
        return false;
    if (t->notes.count == 0)
        return true;
    if (notes_length(&t->notes) <= t->side)
        buffer_printf(t->out, "  ");
    else {
        width = t->d.o->width > BELOW_IN + BELOW_LEAST ? t->d.o->width - BELOW_IN : BELOW_LEAST;
        new_line(t, BELOW_IN);
    }
    for (uint32_t i = 0; i < t->notes.count; i++) {
        snprintf(text, sizeof text, "%s%s", t->notes.items[i].text, i + 1 < t->notes.count ? ";" : "");
        put_words(t, note_paint(t->notes.items[i].kind, &t->d.l->rows[line->row]), text, width, &at);
    }
    return true;
}

/* ------------------------------------------------------------------ the whole */

static void put_head(struct text *t)
{
    struct buffer head = {0};
    unsigned width = t->d.o->width > BELOW_IN + BELOW_LEAST ? t->d.o->width : UINT_MAX;
    draw_head(&t->d, &head);
    buffer_u8(&head, 0);
    char *rest = head.failed ? NULL : (char *)head.data;
    for (const char *line; (line = strsep(&rest, "\n")) && *line;) {
        unsigned at = 0;
        put_words(t, PAINT_NONE, line, width - (width == UINT_MAX ? 0 : BELOW_IN), &at);
        buffer_printf(t->out, "\n");
    }
    buffer_free(&head);
}

static void put_titles(struct text *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct draw_column *c = &t->columns[i];
        if (c->id == DRAW_LADDER)
            buffer_printf(t->out, "%-*s%s", (int)c->width - 6, "client", "server");
        else
            buffer_printf(t->out, "%*s", (int)c->width, c->title);
        buffer_printf(t->out, i + 1 < t->count ? " " : "\n");
    }
}

static bool put_line(struct text *t, const struct draw_line *line)
{
    for (uint32_t i = 0; i < t->count; i++) {
        put_cell(t, line, &t->columns[i]);
        if (i + 1 < t->count)
            buffer_printf(t->out, " ");
    }
    bool good = put_notes(t, line);
    new_line(t, 0);
    return good;
}

int draw_text(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e)
{
    struct text t = {.out = out, .glyphs = o->ascii ? &plain : &fine};
    bool good = true;
    int r = draw_begin(&t.d, l, o, e);
    if (r)
        return r;
    put_head(&t);
    if (t.d.line_count) {
        t.count = draw_columns(&t.d, t.columns);
        lay_out(&t);
        put_titles(&t);
    }
    for (uint32_t i = 0; good && i < t.d.line_count; i++)
        good = put_line(&t, &t.d.lines[i]);
    draw_foot(&t.d, out);
    buffer_free(&t.notes.text);
    draw_end(&t.d);
    return good && !out->failed ? 0 : error_set(e, ERROR_LIMIT, "the drawing gets too large; use --limit");
}
