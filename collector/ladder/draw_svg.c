/* For documents: a picture of the table, in a font whose characters are of one width. */
#include "collector/ladder/draw_xml.h"
#include <stdio.h>
#include <string.h>

#define CHAR_W      7.3 /* width of a character of 12 px in most such fonts, rounded up */
#define LINE_H      26u
#define HEAD_H      18u
#define MARGIN      16u
#define GAP         12u
#define LADDER_W    260u
#define NOTES_CHARS 110u /* what is longer is cut, and whole in the element's title */
#define ARROW       7u

static const char style[] =
    "text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
    ".head,.said{font-weight:bold}.rail{stroke-width:2}.arrow{stroke-width:1.6;fill:none}.label{font-size:11px;"
    "text-anchor:middle}.right{text-anchor:end}";

/* Not all that draws SVG knows variables: each colour stands where it is used. */
static const struct {
    const char *selector, *property, *colour;
} rules[] = {
    {".back", "fill", "back"},     {"text", "fill", "fore"},        {".dim,.fields", "fill", "dim"},
    {".rail", "stroke", "rail"},   {".open", "stroke", "open"},     {".close", "stroke", "close"},
    {".reset", "stroke", "reset"}, {".data", "stroke", "data"},     {".plain,.many", "stroke", "dim"},
    {".mark", "fill", "open"},     {".finding", "fill", "finding"}, {".lost", "fill", "reset"},
};

struct svg {
    struct draw d;
    struct draw_column columns[DRAW_COLUMNS_MAX];
    uint32_t count;
    unsigned x[DRAW_COLUMNS_MAX]; /* left of each column */
    unsigned notes_x, width, top, height;
    struct draw_notes notes;
    struct buffer *out;
};

static unsigned text_width(size_t chars)
{
    return (unsigned)((double)chars * CHAR_W + 0.999);
}

static unsigned column_width(const struct draw_column *c)
{
    return c->id == DRAW_LADDER ? LADDER_W : text_width(c->width);
}

static uint32_t head_lines(const struct draw *d)
{
    return 2 + d->l->vantages;
}

static void lay_out(struct svg *s)
{
    unsigned x = MARGIN;
    s->count = draw_columns(&s->d, s->columns);
    for (uint32_t i = 0; i < s->count; i++) {
        s->x[i] = x;
        x += column_width(&s->columns[i]) + GAP;
    }
    s->notes_x = x;
    s->width = x + text_width(NOTES_CHARS) + MARGIN;
    s->top = MARGIN + (head_lines(&s->d) + 2) * HEAD_H;
    s->height = s->top + (s->d.line_count + 1) * LINE_H + MARGIN;
}

static void put_text(struct svg *s, unsigned x, unsigned y, const char *class, const char *text)
{
    if (!text[0])
        return;
    buffer_printf(s->out, "<text x=\"%u\" y=\"%u\" class=\"%s\">", x, y, class);
    draw_escaped(s->out, text);
    buffer_printf(s->out, "</text>\n");
}

static void put_head(struct svg *s)
{
    struct buffer head = {0};
    unsigned y = MARGIN + HEAD_H;
    draw_head(&s->d, &head);
    buffer_u8(&head, 0);
    char *rest = head.failed ? NULL : (char *)head.data;
    for (const char *line; (line = strsep(&rest, "\n")) && *line; y += HEAD_H)
        put_text(s, MARGIN, y, y == MARGIN + HEAD_H ? "head" : "dim", line);
    buffer_free(&head);
    for (uint32_t i = 0; i < s->count; i++) {
        unsigned right = s->x[i] + column_width(&s->columns[i]);
        put_text(s, right, s->top - 8, "dim right", s->columns[i].id == DRAW_LADDER ? "server" : s->columns[i].title);
        if (s->columns[i].id == DRAW_LADDER)
            put_text(s, s->x[i], s->top - 8, "dim", "client");
    }
}

static void put_rails(struct svg *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->columns[i].id == DRAW_LADDER)
            buffer_printf(s->out, "<path class=\"rail\" d=\"M%u %uV%uM%u %uV%u\"/>\n", s->x[i], s->top,
                          s->height - MARGIN - LINE_H / 2, s->x[i] + LADDER_W, s->top, s->height - MARGIN - LINE_H / 2);
}

/* A line from rail to rail and its head: an arrow's, or a cross where the packet was lost. */
static void put_arrow(struct svg *s, const struct draw_line *line, unsigned x, unsigned y, const char *label)
{
    bool client = ladder_main(s->d.l, &s->d.l->rows[line->row])->from == LADDER_CLIENT;
    unsigned from = client ? x + 2 : x + LADDER_W - 2, to = client ? x + LADDER_W - 3 : x + 3;
    int back = client ? -(int)ARROW : (int)ARROW;
    buffer_printf(s->out, "<path class=\"arrow %s\" d=\"M%u %uH%u", draw_line_class(&s->d, line), from, y, to);
    if (draw_lost(&s->d, line))
        buffer_printf(s->out, "m%d -4l%d 8m0 -8l%d 8\"/>\n", back, -back, back);
    else
        buffer_printf(s->out, "m%d -4L%u %ul%d 4\"/>\n", back, to, y, back);
    put_text(s, x + LADDER_W / 2, y - 4, "label", label);
}

static void put_cell(struct svg *s, const struct draw_line *line, uint32_t i, unsigned y)
{
    const struct draw_column *c = &s->columns[i];
    char cell[DRAW_CELL_MAX];
    draw_cell(&s->d, line, c, cell);
    if (c->id == DRAW_LADDER && line->rows == 1)
        put_arrow(s, line, s->x[i], y, cell);
    else if (c->id == DRAW_LADDER)
        put_text(s, s->x[i] + LADDER_W / 2, y + 4, "label dim", "\xe2\x8b\xae");
    else
        put_text(s, s->x[i] + column_width(c), y + 4, c->id <= DRAW_BETWEEN ? "dim right" : "right", cell);
}

static bool put_notes(struct svg *s, const struct draw_line *line, unsigned y)
{
    size_t left = NOTES_CHARS;
    char text[NOTES_CHARS + 8];
    if (!draw_notes(&s->d, line, &s->notes))
        return false;
    if (s->notes.count == 0)
        return true;
    buffer_printf(s->out, "<text x=\"%u\" y=\"%u\"><title>", s->notes_x, y + 4);
    for (uint32_t i = 0; i < s->notes.count; i++) {
        buffer_printf(s->out, "%s", i ? "; " : "");
        draw_escaped(s->out, s->notes.items[i].text);
    }
    buffer_printf(s->out, "</title>");
    for (uint32_t i = 0; i < s->notes.count && left > 4; i++) {
        size_t n = strlen(s->notes.items[i].text), most = n <= left ? n : left - 3;
        snprintf(text, sizeof text, "%.*s%s", (int)most, s->notes.items[i].text, n <= left ? "" : "...");
        buffer_printf(s->out, "%s<tspan class=\"%s\">", i ? "; " : "", draw_kind_class(s->notes.items[i].kind));
        draw_escaped(s->out, text);
        buffer_printf(s->out, "</tspan>");
        left = n + 2 < left ? left - n - 2 : 0;
    }
    buffer_printf(s->out, "</text>\n");
    return true;
}

static bool put_lines(struct svg *s)
{
    bool good = true;
    for (uint32_t i = 0; good && i < s->d.line_count; i++) {
        unsigned y = s->top + i * LINE_H + LINE_H * 2 / 3;
        for (uint32_t c = 0; c < s->count; c++)
            put_cell(s, &s->d.lines[i], c, y);
        good = put_notes(s, &s->d.lines[i], y);
    }
    return good;
}

static void put_foot(struct svg *s)
{
    struct buffer foot = {0};
    draw_foot(&s->d, &foot);
    if (foot.len && !foot.failed) {
        foot.data[foot.len - 1] = 0;
        put_text(s, MARGIN, s->height - MARGIN, "dim", (const char *)foot.data);
    }
    buffer_free(&foot);
}

static const char *colour(const char *name, bool dark)
{
    const struct draw_colour *c = draw_colours;
    while (c->name && strcmp(c->name, name) != 0)
        c++;
    return dark ? c->dark : c->bright;
}

static void put_rules(bool dark, struct buffer *out)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        buffer_printf(out, "%s{%s:%s}", rules[i].selector, rules[i].property, colour(rules[i].colour, dark));
}

static void put_style(struct buffer *out)
{
    buffer_printf(out, "<style>%s", style);
    put_rules(false, out);
    buffer_printf(out, "@media (prefers-color-scheme:dark){");
    put_rules(true, out);
    buffer_printf(out, "}</style>\n<rect class=\"back\" width=\"100%%\" height=\"100%%\"/>\n");
}

int draw_svg(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e)
{
    struct svg s = {.out = out};
    int r = draw_begin(&s.d, l, o, e);
    if (r)
        return r;
    if (s.d.line_count)
        lay_out(&s);
    buffer_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\">\n",
                  s.width, s.height, s.width, s.height);
    put_style(out);
    if (s.d.line_count) {
        put_head(&s);
        put_rails(&s);
    }
    bool good = put_lines(&s);
    put_foot(&s);
    buffer_printf(out, "</svg>\n");
    buffer_free(&s.notes.text);
    draw_end(&s.d);
    return good && !out->failed ? 0 : error_set(e, ERROR_LIMIT, "the drawing gets too large; use --limit");
}
