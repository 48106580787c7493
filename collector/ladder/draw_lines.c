/* Which lines there are, and what stands above, below, and in the cells. */
#include "collector/ladder/draw_lines.h"
#include "collector/ladder/ladder_story.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ lines */

static bool seen_everywhere(const struct ladder *l, const struct ladder_row *row)
{
    for (uint32_t v = 0; v < l->vantages; v++)
        if (ladder_missed(l, row, v))
            return false;
    return true;
}

static bool is_dull(const struct ladder *l, const struct ladder_row *row)
{
    const struct ladder_sight *s = ladder_main(l, row);
    if (!s->has_tcp || row->open.mark || row->close.mark || s->segment.flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_URG))
        return false;
    for (uint32_t v = 0; v < l->vantages; v++) {
        const struct ladder_sight *at = ladder_sight_at(l, row, v);
        if (ladder_findings(l, row, v) || (at && at->said))
            return false;
    }
    return seen_everywhere(l, row);
}

static uint32_t dull_run(const struct ladder *l, uint32_t from)
{
    uint32_t n = 0;
    while (from + n < l->row_count && is_dull(l, &l->rows[from + n]))
        n++;
    return n;
}

static void add_line(struct draw *d, uint32_t row, uint32_t rows)
{
    if (!d->o->limit || d->line_count < d->o->limit)
        d->lines[d->line_count++] = (struct draw_line){row, rows};
    else
        d->left_out += rows;
}

static void make_lines(struct draw *d)
{
    for (uint32_t i = 0; i < d->l->row_count;) {
        uint32_t run = d->o->full ? 0 : dull_run(d->l, i);
        if (run >= DRAW_DULL_MIN) {
            add_line(d, i, 1);
            add_line(d, i + 1, run - 2);
            add_line(d, i + run - 1, 1);
        }
        for (uint32_t k = run >= DRAW_DULL_MIN ? run : 0; k < run; k++)
            add_line(d, i + k, 1);
        if (run == 0)
            add_line(d, i, 1);
        i += run ? run : 1;
    }
}

int draw_begin(struct draw *d, const struct ladder *l, const struct draw_options *o, struct error *e)
{
    *d = (struct draw){.l = l, .o = o, .lines = calloc(l->row_count + 1u, sizeof *d->lines)};
    if (!d->lines)
        return error_set(e, ERROR_MEMORY, "no memory to draw %u packets", l->row_count);
    make_lines(d);
    return 0;
}

void draw_end(struct draw *d)
{
    free(d->lines);
}

/* ------------------------------------------------------------------ head and foot */

char *draw_end_text(const struct ladder_end *end, char buf[DRAW_END_MAX])
{
    char addr[46];
    packet_addr_text(end->family, end->addr, addr, sizeof addr);
    if (!end->has_port)
        snprintf(buf, DRAW_END_MAX, "%s", addr);
    else
        snprintf(buf, DRAW_END_MAX, end->family == FAMILY_IP6 ? "[%s]:%u" : "%s:%u", addr, end->port);
    return buf;
}

static const char *proto_text(const struct ladder *l, uint8_t proto, char *buf, size_t len)
{
    struct flow_key key = {.family = l->end[LADDER_CLIENT].family, .proto = proto, .ethertype = l->ethertype};
    return packet_proto_name(&key, buf, len);
}

static void put_ns(int64_t ns, struct buffer *out)
{
    char text[40];
    uint64_t value = (uint64_t)(ns < 0 ? -ns : ns);
    buffer_printf(out, "%s", units_format(UNIT_NS, value, text, sizeof text));
}

static void head_connection(const struct draw *d, struct buffer *out)
{
    const struct ladder *l = d->l;
    char ends[2][DRAW_END_MAX], proto[32];
    bool above = l->protocol == SAID_HTTP || l->protocol == SAID_TLS || l->protocol == SAID_DNS;
    buffer_printf(out, "%s (client) to %s (server), %s", draw_end_text(&l->end[0], ends[0]),
                  draw_end_text(&l->end[1], ends[1]), proto_text(l, l->proto, proto, sizeof proto));
    if (above)
        buffer_printf(out, " %s", said_protocol_name(l->protocol));
    if (d->o->id)
        buffer_printf(out, ", id %s", d->o->id);
    buffer_printf(out, "\n%u packet%s", l->row_count, l->row_count == 1 ? "" : "s");
    if (l->row_count) {
        buffer_printf(out, " in ");
        put_ns((int64_t)(l->rows[l->row_count - 1].time_ns - l->rows[0].time_ns), out);
    }
    if (l->proto == PROTO_TCP) {
        buffer_printf(out, ": ");
        ladder_story_text(l, out);
    }
    buffer_printf(out, "\n");
}

static void head_vantage(const struct draw *d, uint32_t i, struct buffer *out)
{
    const struct ladder_vantage *v = &d->l->vantage[i];
    char time[40];
    if (d->l->vantages > 1)
        buffer_printf(out, "%c = ", 'A' + (int)i);
    buffer_printf(out, "%s: %u packet%s", v->name, v->sights, v->sights == 1 ? "" : "s");
    if (v->sights)
        buffer_printf(out, " from %s", units_format_time(v->first_ns, time, sizeof time));
    if (v->estimated && i != d->l->reference) {
        buffer_printf(out, ", ");
        put_ns(v->away_ns, out);
        buffer_printf(out, " from %c, clock ", 'A' + (int)d->l->reference);
        put_ns(v->ahead_ns, out);
        buffer_printf(out, " %s (if both ways take as long)", v->ahead_ns < 0 ? "behind" : "ahead");
    }
    buffer_printf(out, "\n");
}

void draw_head(const struct draw *d, struct buffer *out)
{
    head_connection(d, out);
    for (uint32_t i = 0; i < d->l->vantages; i++)
        head_vantage(d, i, out);
}

void draw_foot(const struct draw *d, struct buffer *out)
{
    if (d->left_out)
        buffer_printf(out, "%u packet%s more (--limit)\n", d->left_out, d->left_out == 1 ? "" : "s");
}

/* ------------------------------------------------------------------ cells */

static const struct {
    enum draw_column_id id;
    const char *title;
    bool tcp; /* of TCP alone */
} table[] = {
    {DRAW_TIME, "TIME", false},       {DRAW_DELTA, "DELTA", false}, {DRAW_LADDER, "", false},
    {DRAW_BETWEEN, "BETWEEN", false}, {DRAW_SEQ, "SEQ", true},      {DRAW_ACK, "ACK", true},
    {DRAW_NEXT, "NEXT", true},        {DRAW_LENGTH, "LEN", false},  {DRAW_WINDOW, "WIN", true},
};

static uint64_t start_ns(const struct ladder *l)
{
    return ladder_main(l, &l->rows[0])->time_ns;
}

static void time_cell(const struct draw *d, const struct ladder_row *row, uint32_t vantage, char *buf)
{
    const struct ladder_sight *s = ladder_sight_at(d->l, row, vantage);
    if (!s)
        return;
    int64_t ns = (int64_t)(s->time_ns - start_ns(d->l));
    uint64_t us = ((uint64_t)(ns < 0 ? -ns : ns) + NS_PER_US / 2) / NS_PER_US;
    snprintf(buf, DRAW_CELL_MAX, "%s%llu.%06llu", ns < 0 ? "-" : "", (unsigned long long)(us / 1000000),
             (unsigned long long)(us % 1000000));
}

static void signed_ns(int64_t ns, char *buf)
{
    char text[40];
    snprintf(buf, DRAW_CELL_MAX, "%s%s", ns < 0 ? "-" : "",
             units_format(UNIT_NS, (uint64_t)(ns < 0 ? -ns : ns), text, sizeof text));
}

static void label_cell(const struct draw *d, const struct ladder_row *row, char *buf)
{
    static const struct {
        uint16_t flag;
        const char *name;
    } flags[] = {{TCP_FIN, "FIN"}, {TCP_SYN, "SYN"}, {TCP_RST, "RST"}, {TCP_PSH, "PSH"}, {TCP_ACK, "ACK"},
                 {TCP_URG, "URG"}, {TCP_ECE, "ECE"}, {TCP_CWR, "CWR"}, {0x100, "AE"}};
    const struct ladder_sight *s = ladder_main(d->l, row);
    size_t at = 0;
    for (size_t i = 0; s->has_tcp && i < sizeof flags / sizeof flags[0]; i++)
        if (s->segment.flags & flags[i].flag)
            at += (size_t)snprintf(buf + at, DRAW_CELL_MAX - at, "%s%s", at ? " " : "", flags[i].name);
    if (s->has_tcp && at == 0)
        snprintf(buf, DRAW_CELL_MAX, "no flags");
    if (s->fragment == FRAGMENT_LATER)
        snprintf(buf, DRAW_CELL_MAX, "fragment");
    else if (!s->has_tcp)
        proto_text(d->l, s->proto, buf, DRAW_CELL_MAX);
}

static void number_cell(const struct ladder_sight *s, enum draw_column_id id, char *buf)
{
    bool has_ack = s->segment.flags & TCP_ACK;
    uint32_t value = id == DRAW_SEQ    ? s->reading.seq
                     : id == DRAW_ACK  ? s->reading.ack
                     : id == DRAW_NEXT ? s->reading.next
                                       : s->reading.window;
    if (id == DRAW_LENGTH)
        snprintf(buf, DRAW_CELL_MAX, "%u", s->length);
    else if (s->has_tcp && (id != DRAW_ACK || has_ack) && (id != DRAW_NEXT || s->segment.whole))
        snprintf(buf, DRAW_CELL_MAX, "%u", value);
}

char *draw_cell(const struct draw *d, const struct draw_line *line, const struct draw_column *c,
                char buf[DRAW_CELL_MAX])
{
    const struct ladder_row *row = &d->l->rows[line->row];
    int64_t ns;
    buf[0] = 0;
    if (line->rows != 1)
        return buf;
    if (c->id == DRAW_TIME)
        time_cell(d, row, c->vantage, buf);
    else if (c->id == DRAW_DELTA && line->row > 0)
        signed_ns((int64_t)(row->time_ns - row[-1].time_ns), buf);
    else if (c->id == DRAW_LADDER)
        label_cell(d, row, buf);
    else if (c->id == DRAW_BETWEEN && ladder_between(d->l, row, &ns))
        signed_ns(ns, buf);
    else if (c->id > DRAW_BETWEEN)
        number_cell(ladder_main(d->l, row), c->id, buf);
    return buf;
}

/* ------------------------------------------------------------------ columns */

static void measure(const struct draw *d, struct draw_column *c)
{
    char text[DRAW_CELL_MAX];
    c->width = (unsigned)strlen(c->title);
    for (uint32_t i = 0; i < d->line_count; i++) {
        unsigned width = (unsigned)strlen(draw_cell(d, &d->lines[i], c, text));
        c->width = width > c->width ? width : c->width;
    }
}

static uint32_t add_column(const struct draw *d, size_t at, uint32_t vantage, struct draw_column *c)
{
    *c = (struct draw_column){.id = table[at].id, .vantage = vantage};
    if (c->id == DRAW_TIME && d->l->vantages > 1)
        snprintf(c->title, sizeof c->title, "%s %c", table[at].title, 'A' + (int)vantage);
    else
        snprintf(c->title, sizeof c->title, "%s", table[at].title);
    measure(d, c);
    return 1;
}

/* With several vantages the first one's time stands left of the ladder, the others' right of it. */
uint32_t draw_columns(const struct draw *d, struct draw_column columns[DRAW_COLUMNS_MAX])
{
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if ((table[i].tcp && d->l->proto != PROTO_TCP) || (table[i].id == DRAW_BETWEEN && d->l->vantages < 2))
            continue;
        n += add_column(d, i, 0, &columns[n]);
        for (uint32_t v = 1; table[i].id == DRAW_LADDER && v < d->l->vantages; v++)
            n += add_column(d, 0, v, &columns[n]);
    }
    return n;
}

bool draw_lost(const struct draw *d, const struct draw_line *line)
{
    const struct ladder_row *row = &d->l->rows[line->row];
    bool to_server = ladder_main(d->l, row)->from == LADDER_CLIENT;
    return line->rows == 1 && d->l->vantages > 1 && ladder_missed(d->l, row, to_server ? d->l->vantages - 1 : 0);
}
