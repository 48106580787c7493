#include "collector/ladder/draw_xml.h"
#include <string.h>

const struct draw_colour draw_colours[] = {
    {"back", "#fff", "#16181c"},       {"fore", "#1c1e21", "#e4e6ea"},
    {"dim", "#6b7280", "#8b93a1"},     {"rail", "#c3c8d0", "#454b55"},
    {"open", "#13803c", "#4cc27a"},    {"close", "#8b2fb5", "#cf8ef0"},
    {"reset", "#c81e1e", "#ff7b72"},   {"data", "#0b6e99", "#5cc1ea"},
    {"finding", "#a35200", "#f0a95c"}, {NULL, NULL, NULL},
};

void draw_escaped(struct buffer *out, const char *text)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    while (*text) {
        size_t n = strcspn(text, "&<>\"'");
        buffer_append(out, text, n);
        text += n;
        for (size_t i = 0; *text && i < sizeof entities / sizeof entities[0]; i++)
            if (entities[i].c == *text) {
                buffer_printf(out, "%s", entities[i].entity);
                text++;
                break;
            }
    }
}

const char *draw_kind_class(enum draw_kind kind)
{
    static const char *const classes[] = {[DRAW_MARK] = "mark",
                                          [DRAW_FINDING] = "finding",
                                          [DRAW_LOST] = "lost",
                                          [DRAW_SAID] = "said",
                                          [DRAW_FIELDS] = "fields"};
    return classes[kind];
}

const char *draw_line_class(const struct draw *d, const struct draw_line *line)
{
    const struct ladder_row *row = &d->l->rows[line->row];
    const struct ladder_sight *s = ladder_main(d->l, row);
    if (line->rows != 1)
        return "many";
    if (s->segment.flags & TCP_RST)
        return "reset";
    if (row->open.mark || s->segment.flags & TCP_SYN)
        return "open";
    if (row->close.mark || s->segment.flags & TCP_FIN)
        return "close";
    return s->length ? "data" : "plain";
}

void draw_head_lines(const struct draw *d, const char *before, const char *after, struct buffer *out)
{
    struct buffer head = {0};
    draw_head(d, &head);
    buffer_u8(&head, 0);
    char *rest = head.failed ? NULL : (char *)head.data;
    for (const char *line; (line = strsep(&rest, "\n")) && *line;) {
        buffer_printf(out, "%s", before);
        draw_escaped(out, line);
        buffer_printf(out, "%s\n", after);
    }
    buffer_free(&head);
}
