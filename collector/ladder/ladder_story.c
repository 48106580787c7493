#include "collector/ladder/ladder_story.h"
#include "collector/ladder/ladder_inside.h"

/* Rows [from, to) from one beginning to the next; LADDER_NONE for rows that there are not. */
struct tale {
    struct ladder *l;
    uint32_t from, to;
    uint32_t syn[2], answer[2]; /* SYN, SYN+ACK */
    uint32_t fin[2];
    uint32_t reset;
    bool said[2]; /* sent something before the reset */
    struct ladder_story story;
};

static const struct tcp_segment *segment_of(const struct tale *t, uint32_t row)
{
    const struct ladder_sight *s = ladder_main(t->l, &t->l->rows[row]);
    return s->has_tcp && s->segment.whole ? &s->segment : NULL;
}

static uint8_t sender(const struct tale *t, uint32_t row)
{
    return ladder_main(t->l, &t->l->rows[row])->from;
}

static int64_t time_between(const struct tale *t, uint32_t a, uint32_t b)
{
    return (int64_t)(t->l->rows[b].time_ns - t->l->rows[a].time_ns);
}

/* ------------------------------------------------------------------ looking */

static void note(uint32_t *place, bool is, uint32_t row)
{
    if (is && *place == LADDER_NONE)
        *place = row;
}

static void look(struct tale *t)
{
    for (uint32_t i = t->from; i < t->to; i++) {
        const struct tcp_segment *s = segment_of(t, i);
        if (!s)
            continue;
        unsigned side = sender(t, i), begins = s->flags & (TCP_SYN | TCP_ACK);
        note(&t->syn[side], begins == TCP_SYN, i);
        note(&t->answer[side], begins == (TCP_SYN | TCP_ACK), i);
        note(&t->fin[side], s->flags & TCP_FIN, i);
        note(&t->reset, s->flags & TCP_RST, i);
        if (t->reset == LADDER_NONE)
            t->said[side] = true;
    }
}

/* The number that acks a segment's SYN or FIN, or its last byte. */
static uint32_t end_of(const struct tcp_segment *s)
{
    return s->seq + s->length + ((s->flags & (TCP_SYN | TCP_FIN)) != 0);
}

/* The first segment of the other end, from a row on, that acks all of a row's; with none of these flags. */
static uint32_t ack_of(const struct tale *t, uint32_t row, uint16_t without)
{
    uint32_t end = end_of(segment_of(t, row));
    for (uint32_t i = row + 1; i < t->to; i++) {
        const struct tcp_segment *s = segment_of(t, i);
        if (s && sender(t, i) != sender(t, row) && (s->flags & TCP_ACK) && !(s->flags & without) &&
            (int32_t)(s->ack - end) >= 0)
            return i;
    }
    return LADDER_NONE;
}

/* ------------------------------------------------------------------ marking */

static void mark_open(struct tale *t, uint32_t row, uint8_t at, uint8_t of)
{
    if (row != LADDER_NONE)
        t->l->rows[row].open = (struct ladder_step){t->story.open, at, of};
}

static void mark_close(struct tale *t, uint32_t row, uint8_t at, uint8_t of)
{
    if (row != LADDER_NONE)
        t->l->rows[row].close = (struct ladder_step){t->story.close, at, of};
}

/* Two rows that may come in either order. */
static void in_order(uint32_t *a, uint32_t *b)
{
    if (*a <= *b)
        return;
    uint32_t first = *b;
    *b = *a;
    *a = first;
}

static void opened(struct tale *t, uint32_t first, uint32_t last)
{
    t->story.opened = last != LADDER_NONE && first != LADDER_NONE;
    t->story.open_ns = t->story.opened ? time_between(t, first, last) : 0;
}

static void tell_open_both(struct tale *t)
{
    uint32_t first = t->syn[0], second = t->syn[1];
    in_order(&first, &second);
    uint32_t a = ack_of(t, first, TCP_RST), b = ack_of(t, second, TCP_RST);
    in_order(&a, &b);
    t->story.open = LADDER_OPEN_BOTH;
    mark_open(t, first, 1, 4);
    mark_open(t, second, 2, 4);
    mark_open(t, a, 3, 4);
    mark_open(t, b, 4, 4);
    opened(t, first, b);
}

static void tell_open(struct tale *t)
{
    unsigned server = t->syn[0] != LADDER_NONE ? 1 : t->syn[1] != LADDER_NONE || t->answer[0] != LADDER_NONE ? 0 : 1;
    uint32_t syn = t->syn[!server], answer = t->answer[server];
    if (syn == LADDER_NONE && answer == LADDER_NONE)
        return;
    uint32_t ack = answer == LADDER_NONE ? LADDER_NONE : ack_of(t, answer, TCP_RST | TCP_SYN);
    t->story.open = LADDER_OPEN;
    mark_open(t, syn, 1, 3);
    mark_open(t, answer, 2, 3);
    mark_open(t, ack, 3, 3);
    opened(t, syn, ack);
}

/* New payload of the end that got the first FIN, from its ack on. */
static bool went_on(const struct tale *t, uint32_t ack)
{
    for (uint32_t i = ack; i < t->to; i++) {
        const struct ladder_sight *s = ladder_main(t->l, &t->l->rows[i]);
        if (s->has_tcp && s->from == sender(t, ack) && s->segment.length &&
            !(s->reading.findings & (TCP_RETRANSMISSION | TCP_KEEP_ALIVE)))
            return true;
    }
    return false;
}

static void closed(struct tale *t, uint32_t last)
{
    t->story.closed = last != LADDER_NONE;
    if (t->story.closed)
        t->story.close_ns = time_between(t, t->from, last);
}

static void tell_close_both(struct tale *t, uint32_t first, uint32_t second)
{
    uint32_t a = ack_of(t, first, TCP_RST), b = ack_of(t, second, TCP_RST);
    in_order(&a, &b);
    t->story.close = LADDER_CLOSE_BOTH;
    mark_close(t, first, 1, 4);
    mark_close(t, second, 2, 4);
    mark_close(t, a, 3, 4);
    mark_close(t, b, 4, 4);
    closed(t, b);
}

static void tell_close3(struct tale *t, uint32_t first, uint32_t second)
{
    uint32_t last = ack_of(t, second, TCP_RST);
    t->story.close = LADDER_CLOSE3;
    mark_close(t, first, 1, 3);
    mark_close(t, second, 2, 3);
    mark_close(t, last, 3, 3);
    closed(t, last);
}

static void tell_close4(struct tale *t, uint32_t first, uint32_t ack, uint32_t second)
{
    uint32_t last = second == LADDER_NONE ? LADDER_NONE : ack_of(t, second, TCP_RST);
    bool half = ack != LADDER_NONE && went_on(t, ack);
    t->story.close = half ? LADDER_HALF_CLOSE : second == LADDER_NONE ? LADDER_CLOSING : LADDER_CLOSE4;
    mark_close(t, first, 1, 4);
    mark_close(t, ack, 2, 4);
    mark_close(t, second, 3, 4);
    mark_close(t, last, 4, 4);
    closed(t, last);
}

static void tell_close(struct tale *t)
{
    uint32_t first = t->fin[0], second = t->fin[1];
    in_order(&first, &second); /* LADDER_NONE is last */
    if (first == LADDER_NONE)
        return;
    uint32_t ack = ack_of(t, first, TCP_RST);
    t->story.closer = sender(t, first);
    if (second == LADDER_NONE || ack < second)
        tell_close4(t, first, ack, second);
    else if (ack == second)
        tell_close3(t, first, second);
    else
        tell_close_both(t, first, second);
}

/* After what FINs closed a reset changes nothing. */
static void tell_reset(struct tale *t)
{
    if (t->reset == LADDER_NONE || (t->story.closed && t->story.close_ns <= time_between(t, t->from, t->reset)))
        return;
    uint8_t side = sender(t, t->reset);
    bool refused = t->syn[!side] != LADDER_NONE && t->syn[!side] < t->reset && !t->said[side];
    t->story.close = refused ? LADDER_REFUSED : LADDER_RESET;
    t->story.closer = side;
    mark_close(t, t->reset, 1, 1);
    closed(t, t->reset);
}

static void tell_tale(struct ladder *l, uint32_t from, uint32_t to)
{
    struct tale t = {.l = l, .from = from, .to = to, .reset = LADDER_NONE};
    t.syn[0] = t.syn[1] = t.answer[0] = t.answer[1] = t.fin[0] = t.fin[1] = LADDER_NONE;
    look(&t);
    if (t.syn[0] != LADDER_NONE && t.syn[1] != LADDER_NONE)
        tell_open_both(&t);
    else
        tell_open(&t);
    tell_close(&t);
    tell_reset(&t);
    l->story = t.story;
}

static bool begins_anew(const struct ladder *l, uint32_t row)
{
    const struct ladder_sight *s = ladder_main(l, &l->rows[row]);
    return s->has_tcp && (s->reading.findings & TCP_REUSED_PORTS) &&
           (s->segment.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

void ladder_tell(struct ladder *l)
{
    uint32_t from = 0;
    for (uint32_t i = 1; i < l->row_count; i++)
        if (begins_anew(l, i)) {
            tell_tale(l, from, i);
            from = i;
        }
    tell_tale(l, from, l->row_count);
}
