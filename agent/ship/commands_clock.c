#include "agent/ship/uplink_impl.h"

#include "agent/ship/refusal.h"
#include "agent/ship/spool_dir.h"
#include "common/base/clock.h"

#define FIRST_SAMPLES  4u /* taken one right after the other: the offset is known soon */
#define FIRST_EVERY_MS 50u
#define NOTE_NS        INT64_C(100000000)

static void ask(uv_timer_t *timer)
{
    struct uplink *u = timer->data;
    struct message m = {.type = MESSAGE_CLOCK, .clock = {.sent_ns = clock_wall_ns()}};
    rates_sample(&u->commands.rates, clock_mono_ns());
    if (u->control.state == LINK_UP)
        (void)link_send(&u->control, &m);
}

void commands_clock_begin(struct uplink *u)
{
    u->commands.sample_count = 0;
    uv_timer_start(&u->commands.clock_timer, ask, 0, FIRST_EVERY_MS);
}

/* For doctor: when it is known, and when it has changed by what matters to anybody. */
static void note(struct uplink *u)
{
    struct commands *c = &u->commands;
    struct clock_sample best = {0};
    if (c->sample_count < FIRST_SAMPLES || !commands_clock(c, &best))
        return;
    int64_t change;
    bool is_far = __builtin_sub_overflow(best.offset_ns, c->noted_ns, &change) || change > NOTE_NS || change < -NOTE_NS;
    if (c->sample_count > FIRST_SAMPLES && !is_far)
        return;
    c->noted_ns = best.offset_ns;
    clock_note(spool_fd(u->spool), best.offset_ns);
}

/* RFC 5905, 8: theta is the collector's clock minus ours; what we tell is ours minus the collector's. */
void commands_clock_reply(struct uplink *u, const struct message_clock *m)
{
    struct commands *c = &u->commands;
    uint64_t now = clock_wall_ns();
    if (m->sent_ns > now || m->received_ns > m->replied_ns)
        return; /* a clock was set meanwhile */
    uint64_t trip = now - m->sent_ns, there = m->replied_ns - m->received_ns;
    int64_t theta = ((int64_t)(m->received_ns - m->sent_ns) + (int64_t)(m->replied_ns - now)) / 2;
    c->samples[c->sample_count % CLOCK_SAMPLES] =
        (struct clock_sample){.offset_ns = -theta, .uncertainty_ns = (trip > there ? trip - there : 0) / 2};
    c->sample_count++;
    u->changed = u->changed || c->sample_count <= FIRST_SAMPLES;
    if (c->sample_count == FIRST_SAMPLES)
        uv_timer_start(&c->clock_timer, ask, CLOCK_EVERY_MS, CLOCK_EVERY_MS);
    note(u);
}

bool commands_clock(const struct commands *c, struct clock_sample *best)
{
    unsigned n = c->sample_count < CLOCK_SAMPLES ? c->sample_count : CLOCK_SAMPLES;
    for (unsigned i = 0; i < n; i++)
        if (i == 0 || c->samples[i].uncertainty_ns < best->uncertainty_ns)
            *best = c->samples[i];
    return n > 0;
}
