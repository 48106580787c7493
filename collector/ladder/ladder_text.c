/* The story in words. */
#include "collector/ladder/ladder_story.h"
#include "common/base/units.h"

const char *ladder_side_name(uint8_t side)
{
    return side == LADDER_CLIENT ? "client" : "server";
}

const char *ladder_mark_name(uint8_t mark)
{
    static const char *const names[] = {[LADDER_OPEN] = "three-way",        [LADDER_OPEN_BOTH] = "simultaneous",
                                        [LADDER_CLOSE3] = "three-way",      [LADDER_CLOSE4] = "four-way",
                                        [LADDER_HALF_CLOSE] = "half-close", [LADDER_CLOSE_BOTH] = "simultaneous",
                                        [LADDER_CLOSING] = "one-sided",     [LADDER_RESET] = "reset",
                                        [LADDER_REFUSED] = "refused"};
    return mark < sizeof names / sizeof names[0] ? names[mark] : NULL;
}

/* What the steps of a mark are called, and which of them are FINs. */
static const struct {
    const char *name;
    uint8_t second_fin;
} steps[] = {
    [LADDER_OPEN] = {"handshake", 0},        [LADDER_OPEN_BOTH] = {"simultaneous open", 0},
    [LADDER_CLOSE3] = {"close", 2},          [LADDER_CLOSE4] = {"close", 3},
    [LADDER_HALF_CLOSE] = {"half-close", 3}, [LADDER_CLOSE_BOTH] = {"simultaneous close", 2},
    [LADDER_CLOSING] = {"close", 3},         [LADDER_RESET] = {"reset", 0},
    [LADDER_REFUSED] = {"refused", 0},
};

void ladder_step_text(const struct ladder_step *step, uint8_t from, struct buffer *out)
{
    if (step->mark == LADDER_PLAIN || step->mark >= sizeof steps / sizeof steps[0])
        return;
    if (step->mark >= LADDER_RESET) {
        buffer_printf(out, "%s by the %s", steps[step->mark].name, ladder_side_name(from));
        return;
    }
    buffer_printf(out, "%s %u of %u", steps[step->mark].name, step->at, step->of);
    if (steps[step->mark].second_fin && (step->at == 1 || step->at == steps[step->mark].second_fin))
        buffer_printf(out, ": the %s ends", ladder_side_name(from));
    if (step->mark == LADDER_HALF_CLOSE && step->at == 1)
        buffer_printf(out, ", the %s goes on", ladder_side_name(!from));
}

static void put_duration(int64_t ns, struct buffer *out)
{
    char text[40];
    buffer_printf(out, "%s", units_format(UNIT_NS, ns > 0 ? (uint64_t)ns : 0, text, sizeof text));
}

static void tell_beginning(const struct ladder_story *s, struct buffer *out)
{
    const char *name = s->open == LADDER_OPEN ? "three-way handshake" : "simultaneous open";
    if (s->open == LADDER_PLAIN)
        buffer_printf(out, "began before what was seen");
    else if (s->opened) {
        buffer_printf(out, "%s in ", name);
        put_duration(s->open_ns, out);
    } else
        buffer_printf(out, "%s not completed", name);
}

static void tell_end(const struct ladder_story *s, struct buffer *out)
{
    const char *closer = ladder_side_name(s->closer), *name = ladder_mark_name(s->close);
    if (s->close == LADDER_PLAIN)
        buffer_printf(out, ", not closed when last seen");
    else if (s->close == LADDER_CLOSING)
        buffer_printf(out, ", closed by the %s alone when last seen", closer);
    else if (s->close >= LADDER_RESET)
        buffer_printf(out, ", %s by the %s", name, closer);
    else
        buffer_printf(out, ", %s%s %s the %s", name, s->close == LADDER_HALF_CLOSE ? "" : " close",
                      s->close == LADDER_CLOSE_BOTH ? "begun by" : "by", closer);
    if (s->closed) {
        buffer_printf(out, " after ");
        put_duration(s->close_ns, out);
    } else if (s->close != LADDER_PLAIN && s->close != LADDER_CLOSING)
        buffer_printf(out, ", not completed");
}

void ladder_story_text(const struct ladder *l, struct buffer *out)
{
    tell_beginning(&l->story, out);
    tell_end(&l->story, out);
}
