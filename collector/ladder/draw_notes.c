/* What stands beside a line. */
#include "collector/ladder/draw_lines.h"
#include "collector/ladder/ladder_story.h"
#include "common/base/units.h"

/* Texts are kept by their offset while the buffer grows. */
struct taker {
    const struct draw *d;
    struct draw_notes *notes;
    size_t at[DRAW_NOTES_MAX];
    size_t begin;
};

static void begin(struct taker *t)
{
    t->begin = t->notes->text.len;
}

/* What was written since begin becomes a note, if there is anything. */
static void end(struct taker *t, enum draw_kind kind)
{
    struct draw_notes *n = t->notes;
    if (n->text.len == t->begin || n->count == DRAW_NOTES_MAX)
        return;
    buffer_u8(&n->text, 0);
    t->at[n->count] = t->begin;
    n->items[n->count++].kind = kind;
}

/* ------------------------------------------------------------------ a row */

static uint16_t all_findings(const struct ladder *l, const struct ladder_row *row)
{
    uint16_t all = 0;
    for (uint32_t v = 0; v < l->vantages; v++)
        all |= ladder_findings(l, row, v);
    return all;
}

/* " at A, C" if not all vantages that saw the row found it. */
static void put_finders(const struct ladder *l, const struct ladder_row *row, uint16_t finding, struct buffer *out)
{
    uint32_t seen = 0, found = 0;
    for (uint32_t v = 0; v < l->vantages; v++) {
        seen += row->sight[v] != LADDER_NONE;
        found += (ladder_findings(l, row, v) & finding) != 0;
    }
    if (seen == found)
        return;
    const char *before = " at ";
    for (uint32_t v = 0; v < l->vantages; v++)
        if (ladder_findings(l, row, v) & finding) {
            buffer_printf(out, "%s%c", before, 'A' + (int)v);
            before = ", ";
        }
}

static void note_findings(struct taker *t, const struct ladder_row *row)
{
    const struct ladder_sight *s = ladder_main(t->d->l, row);
    uint16_t all = all_findings(t->d->l, row);
    if (all & (TCP_FAST_RETRANSMISSION | TCP_SPURIOUS_RETRANSMISSION)) /* which are retransmissions, too */
        all &= (uint16_t)~TCP_RETRANSMISSION;
    for (const struct tcp_finding_name *n = tcp_finding_names; n->name; n++) {
        if (!(all & n->finding))
            continue;
        begin(t);
        buffer_printf(&t->notes->text, "%s", n->words);
        if (n->finding == TCP_DUPLICATE_ACK && s->reading.duplicate)
            buffer_printf(&t->notes->text, " %u", s->reading.duplicate);
        put_finders(t->d->l, row, n->finding, &t->notes->text);
        end(t, DRAW_FINDING);
    }
}

static void note_missing(struct taker *t, const struct ladder_row *row)
{
    const char *before = "not seen at ";
    begin(t);
    for (uint32_t v = 0; v < t->d->l->vantages; v++)
        if (ladder_missed(t->d->l, row, v)) {
            buffer_printf(&t->notes->text, "%s%c", before, 'A' + (int)v);
            before = ", ";
        }
    end(t, DRAW_LOST);
}

/* Where a vantage saw it in pieces. */
static void note_parts(struct taker *t, const struct ladder_row *row)
{
    for (uint32_t v = 0; v < t->d->l->vantages; v++) {
        unsigned parts = 0;
        for (uint32_t i = row->sight[v]; i != LADDER_NONE; i = t->d->l->sights[i].more)
            parts++;
        begin(t);
        if (parts > 1)
            buffer_printf(&t->notes->text, "%u segments at %c", parts, 'A' + (int)v);
        end(t, DRAW_FIELDS);
    }
}

/* The first that a vantage was told. */
static void note_said(struct taker *t, const struct ladder_row *row)
{
    const char *said = NULL;
    for (uint32_t v = 0; v < t->d->l->vantages && !said; v++)
        for (uint32_t i = row->sight[v]; i != LADDER_NONE && !said; i = t->d->l->sights[i].more)
            said = t->d->l->sights[i].said;
    begin(t);
    if (said)
        buffer_printf(&t->notes->text, "%s", said);
    end(t, DRAW_SAID);
}

static void note_state(struct taker *t, const struct ladder_sight *s)
{
    begin(t);
    if (s->ended != PACKET_OK)
        buffer_printf(&t->notes->text, s->ended == PACKET_TRUNCATED ? "headers cut" : "headers invalid");
    end(t, DRAW_LOST);
}

/* ------------------------------------------------------------------ all fields */

static void put_time(struct buffer *out, const char *before, int64_t ns)
{
    char text[40];
    buffer_printf(out, "%s%s%s", before, ns < 0 ? "-" : "",
                  units_format(UNIT_NS, (uint64_t)(ns < 0 ? -ns : ns), text, sizeof text));
}

static void put_options(const struct tcp_segment *s, struct buffer *out)
{
    if (s->mss)
        buffer_printf(out, ", MSS %u", s->mss);
    if (s->scale >= 0)
        buffer_printf(out, ", window scale %d", s->scale);
    if (s->has_stamp)
        buffer_printf(out, ", timestamp %u echo %u", s->stamp, s->echo);
}

static void put_reading(const struct ladder_sight *s, struct buffer *out)
{
    const struct tcp_reading *r = &s->reading;
    if (s->segment.sacks)
        buffer_printf(out, ", SACK %u to %u%s", r->ack + (s->segment.sack_left - s->segment.ack),
                      r->ack + (s->segment.sack_right - s->segment.ack), s->segment.sacks > 1 ? " and more" : "");
    if (r->in_flight)
        buffer_printf(out, ", %u bytes in flight", r->in_flight);
    if (r->acks) {
        buffer_printf(out, ", acks packet %u", r->acks);
        put_time(out, " after ", r->acks_after_ns);
    }
    if (r->rto_of) {
        buffer_printf(out, ", packet %u", r->rto_of);
        put_time(out, " again after ", r->rto_ns);
    }
}

static void note_fields(struct taker *t, const struct ladder_sight *s)
{
    struct buffer *out = &t->notes->text;
    begin(t);
    buffer_printf(out, "packet %u, IP id 0x%04x, hop limit %u, %u bytes", s->number, s->id, s->hop_limit, s->wire);
    if (s->captured < s->wire)
        buffer_printf(out, ", %u captured", s->captured);
    if (s->has_tcp) {
        put_options(&s->segment, out);
        put_reading(s, out);
    }
    end(t, DRAW_FIELDS);
}

/* ------------------------------------------------------------------ lines */

static void note_row(struct taker *t, const struct ladder_row *row)
{
    const struct ladder_sight *s = ladder_main(t->d->l, row);
    begin(t);
    ladder_step_text(&row->open, s->from, &t->notes->text);
    end(t, DRAW_MARK);
    begin(t);
    ladder_step_text(&row->close, s->from, &t->notes->text);
    end(t, DRAW_MARK);
    note_findings(t, row);
    note_missing(t, row);
    note_state(t, s);
    note_said(t, row);
    if (t->d->l->vantages > 1)
        note_parts(t, row);
    if (t->d->o->full)
        note_fields(t, s);
}

/* Of rows that one line stands for: how many, and how much went which way. */
static void note_rows(struct taker *t, const struct draw_line *line)
{
    const struct ladder *l = t->d->l;
    struct buffer *out = &t->notes->text;
    uint64_t bytes[2] = {0, 0};
    char text[40];
    for (uint32_t i = line->row; i < line->row + line->rows; i++) {
        const struct ladder_sight *s = ladder_main(l, &l->rows[i]);
        bytes[s->from] += s->length;
    }
    begin(t);
    buffer_printf(out, "%u packets", line->rows);
    for (unsigned side = 0; side < 2; side++)
        if (bytes[side])
            buffer_printf(out, ", %s to the %s", units_format(UNIT_BYTES, bytes[side], text, sizeof text),
                          ladder_side_name(!side));
    put_time(out, " in ", (int64_t)(l->rows[line->row + line->rows - 1].time_ns - l->rows[line->row].time_ns));
    end(t, DRAW_FIELDS);
}

bool draw_notes(const struct draw *d, const struct draw_line *line, struct draw_notes *notes)
{
    struct taker t = {.d = d, .notes = notes};
    notes->count = 0;
    buffer_clear(&notes->text);
    if (line->rows == 1)
        note_row(&t, &d->l->rows[line->row]);
    else
        note_rows(&t, line);
    if (notes->text.failed)
        return false;
    for (uint32_t i = 0; i < notes->count; i++)
        notes->items[i].text = (const char *)notes->text.data + t.at[i];
    return true;
}
