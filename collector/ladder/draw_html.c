/* For a browser: a page with a table. */
#include "collector/ladder/draw_xml.h"

static const char style[] =
    "body{background:var(--back);color:var(--fore);font:14px/1.45 system-ui,sans-serif;margin:1.5rem}"
    "header p{margin:.1rem 0}header p:first-child{font-weight:600;font-size:1.15em}header p+p{color:var(--dim)}"
    "table{border-collapse:collapse;margin-top:1rem;font-variant-numeric:tabular-nums}"
    "th{position:sticky;top:0;background:var(--back);color:var(--dim);font-weight:500;font-size:.85em}"
    "th,td{padding:.1rem .55rem;text-align:right;white-space:nowrap;vertical-align:top}"
    "td.time,td.delta,td.between{color:var(--dim)}"
    "th.ladder span{float:left}th.ladder span+span{float:right}"
    "td.ladder{border-left:2px solid var(--rail);border-right:2px solid var(--rail);padding:.1rem 0;min-width:15rem}"
    ".arrow{display:flex;align-items:center;gap:.35em}.arrow.server{flex-direction:row-reverse}"
    ".arrow::before,.arrow::after{content:\"\";border-top:2px solid;opacity:.7}"
    ".arrow::before{flex:0 0 1.2em}.arrow::after{flex:1;margin-right:-.35em}"
    ".arrow.server::after{margin-right:0;margin-left:-.35em}.arrow i{order:1;font-style:normal;font-size:.8em}"
    "tr.open .arrow{color:var(--open)}tr.close .arrow{color:var(--close)}tr.reset .arrow{color:var(--reset)}"
    "tr.data .arrow{color:var(--data)}tr.many td{color:var(--dim)}tr.many td.ladder{text-align:center}"
    "td.notes,th.notes{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:18rem}"
    "td.notes span+span::before{content:\"; \";color:var(--dim);font-weight:400}"
    "tr.open .mark{color:var(--open)}tr.close .mark{color:var(--close)}tr.reset .mark,.lost{color:var(--reset)}"
    ".finding{color:var(--finding)}.said{font-weight:600}.fields{color:var(--dim)}tbody tr:hover{background:"
    "color-mix(in srgb,var(--fore) 6%,transparent)}";

static const char *column_class(enum draw_column_id id)
{
    static const char *const classes[] = {
        [DRAW_TIME] = "time", [DRAW_DELTA] = "delta", [DRAW_LADDER] = "ladder", [DRAW_BETWEEN] = "between"};
    return id <= DRAW_BETWEEN ? classes[id] : "number";
}

static void put_titles(const struct draw_column *columns, uint32_t count, struct buffer *out)
{
    buffer_printf(out, "<table><thead><tr>");
    for (uint32_t i = 0; i < count; i++)
        if (columns[i].id == DRAW_LADDER)
            buffer_printf(out, "<th class=\"ladder\"><span>client</span><span>server</span></th>");
        else
            buffer_printf(out, "<th>%s</th>", columns[i].title);
    buffer_printf(out, "<th class=\"notes\"></th></tr></thead>\n<tbody>\n");
}

static void put_arrow(const struct draw *d, const struct draw_line *line, const char *label, struct buffer *out)
{
    bool client = ladder_main(d->l, &d->l->rows[line->row])->from == LADDER_CLIENT;
    const char *head = draw_lost(d, line) ? "&#x2717;" : client ? "&#x25B6;" : "&#x25C0;";
    buffer_printf(out, "<div class=\"arrow %s\"><span>", client ? "client" : "server");
    draw_escaped(out, label);
    buffer_printf(out, "</span><i>%s</i></div>", head);
}

static void put_cell(const struct draw *d, const struct draw_line *line, const struct draw_column *c,
                     struct buffer *out)
{
    char cell[DRAW_CELL_MAX];
    draw_cell(d, line, c, cell);
    buffer_printf(out, "<td class=\"%s\">", column_class(c->id));
    if (c->id == DRAW_LADDER && line->rows == 1)
        put_arrow(d, line, cell, out);
    else if (c->id == DRAW_LADDER)
        buffer_printf(out, "&#x22EE;");
    else
        draw_escaped(out, cell);
    buffer_printf(out, "</td>");
}

static bool put_notes(const struct draw *d, const struct draw_line *line, struct draw_notes *notes, struct buffer *out)
{
    if (!draw_notes(d, line, notes))
        return false;
    buffer_printf(out, "<td class=\"notes\">");
    for (uint32_t i = 0; i < notes->count; i++) {
        buffer_printf(out, "<span class=\"%s\">", draw_kind_class(notes->items[i].kind));
        draw_escaped(out, notes->items[i].text);
        buffer_printf(out, "</span>");
    }
    buffer_printf(out, "</td>");
    return true;
}

static bool put_table(const struct draw *d, struct buffer *out)
{
    struct draw_column columns[DRAW_COLUMNS_MAX];
    struct draw_notes notes = {.count = 0};
    bool good = true;
    uint32_t count = draw_columns(d, columns);
    put_titles(columns, count, out);
    for (uint32_t i = 0; good && i < d->line_count; i++) {
        buffer_printf(out, "<tr class=\"%s\">", draw_line_class(d, &d->lines[i]));
        for (uint32_t c = 0; c < count; c++)
            put_cell(d, &d->lines[i], &columns[c], out);
        good = put_notes(d, &d->lines[i], &notes, out);
        buffer_printf(out, "</tr>\n");
    }
    buffer_printf(out, "</tbody></table>\n");
    buffer_free(&notes.text);
    return good;
}

static void put_title(const struct ladder *l, struct buffer *out)
{
    char client[DRAW_END_MAX], server[DRAW_END_MAX];
    draw_end_text(&l->end[LADDER_CLIENT], client);
    draw_end_text(&l->end[LADDER_SERVER], server);
    buffer_printf(out, "<title>%s to %s</title>\n", client, server);
}

static void put_variables(bool dark, struct buffer *out)
{
    buffer_printf(out, dark ? "@media (prefers-color-scheme:dark){:root{" : ":root{color-scheme:light dark;");
    for (const struct draw_colour *c = draw_colours; c->name; c++)
        buffer_printf(out, "--%s:%s;", c->name, dark ? c->dark : c->bright);
    buffer_printf(out, dark ? "}}" : "}");
}

static void put_style(struct buffer *out)
{
    buffer_printf(out, "<style>");
    put_variables(false, out);
    put_variables(true, out);
    buffer_printf(out, "%s</style>\n", style);
}

int draw_html(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e)
{
    struct draw d;
    int r = draw_begin(&d, l, o, e);
    if (r)
        return r;
    buffer_printf(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width\">\n");
    put_title(l, out);
    put_style(out);
    buffer_printf(out, "</head>\n<body>\n<header>\n");
    draw_head_lines(&d, "<p>", "</p>", out);
    buffer_printf(out, "</header>\n");
    bool good = d.line_count == 0 || put_table(&d, out);
    if (d.left_out)
        buffer_printf(out, "<p>");
    draw_foot(&d, out);
    buffer_printf(out, "</body>\n</html>\n");
    draw_end(&d);
    return good && !out->failed ? 0 : error_set(e, ERROR_LIMIT, "the drawing gets too large; use --limit");
}
