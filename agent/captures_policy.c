/* captures_policy: what the host's policy says of orders that begin, and of those that run when it has changed. */
#include "agent/captures_impl.h"

#include "agent/journal.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILL_NS  (900 * NS_PER_MS) /* the owner's kill file: all is over within a second, also what ends already */
#define GRACE_NS (15 * NS_PER_S)   /* else: capturers bring what they have to the disk */

/* What the policy makes of it becomes what runs; what it has used up stays. */
static void take(struct capture *c, const struct judged *j)
{
    uint64_t packets = c->order.used_packets, bytes = c->order.used_bytes, end_ns = c->order.end_ns;
    c->order = j->order;
    c->order.used_packets = packets;
    c->order.used_bytes = bytes;
    c->order.end_ns = end_ns;
    capture_set_end(c, j->order.end_ns);
    c->renamed[0] = 0;
    snprintf(c->said, sizeof c->said, "%s", j->said);
}

static void block(struct captures *s, struct capture *c, const char *why)
{
    c->blocked = true;
    c->begun = false;
    c->retry_ns = 0;
    capture_set(s, c, PHASE_WAITING, "%s", why);
}

bool capture_may_begin(struct captures *s, struct capture *c)
{
    struct judged j;
    judge_record(s->judge, &c->record, &j);
    c->blocked = false;
    if (j.verdict == POLICY_YES) {
        take(c, &j);
        return true;
    }
    if (j.verdict == POLICY_LATER)
        block(s, c, j.why);
    else {
        c->record.over = 1;
        snprintf(c->record.over_text, sizeof c->record.over_text, "%s", j.why);
        capture_keep(s, c);
        capture_set(s, c, PHASE_REFUSED, "%s", j.why);
    }
    return false;
}

/* ---------------------------------------------------------------- changes */

static bool is_same(const struct captures *s, const struct capture *c, const struct judged *j)
{
    struct order now = c->order;
    now.used_packets = j->order.used_packets;
    now.used_bytes = j->order.used_bytes;
    if (memcmp(&now, &j->order, sizeof now) != 0)
        return false;
    for (size_t i = 0; i < CAPTURES_CAPTURERS; i++)
        for (size_t k = 0; c->capturers[i].pid && k < c->capturers[i].interface_count; k++)
            if (!policy_interface(judge_policy(s->judge), c->capturers[i].interfaces[k].name))
                return false;
    return true;
}

/* Capturers end, and new ones begin when they have: capture_capturer_ended. */
static void begin_anew(struct captures *s, struct capture *c, const char *why)
{
    (void)journal_write("narrowed", &c->order, why);
    c->restarts = true;
    capture_end_capturers(s, c, GRACE_NS);
    tell_state(s, c);
}

static void restart(struct captures *s, struct capture *c, const struct judged *j)
{
    take(c, j);
    log_info("capture %s: this host's policy has changed%s%s", c->order.name, j->said[0] ? ": " : "", j->said);
    begin_anew(s, c, j->said);
}

/* The baseline stands by: its capturers end, it is not over. */
static void stand_by(struct captures *s, struct capture *c, const char *why)
{
    capture_end_capturers(s, c, GRACE_NS);
    c->restarts = capture_runs(c);
    block(s, c, why);
}

static void look_again(struct captures *s, struct capture *c, bool rules_changed)
{
    struct judged j;
    judge_record(s->judge, &c->record, &j);
    if (j.verdict == POLICY_NO) {
        char why[ORDER_TEXT_MAX];
        snprintf(why, sizeof why, CAPTURE_HOST_ENDED "%.*s", (int)(sizeof why - sizeof CAPTURE_HOST_ENDED), j.why);
        capture_end(s, c, why, GRACE_NS);
    } else if (j.verdict == POLICY_LATER && !c->blocked)
        stand_by(s, c, j.why);
    else if (j.verdict == POLICY_YES && c->blocked) {
        take(c, &j);
        c->blocked = false; /* captures_tick begins it */
        c->phase = PHASE_PENDING;
    } else if (j.verdict == POLICY_YES && !c->restarts && capture_runs(c) && (rules_changed || !is_same(s, c, &j)))
        restart(s, c, &j);
    else if (j.verdict == POLICY_YES)
        take(c, &j);
}

/* ---------------------------------------------------------------- other names */

static const char *name_of(const struct ring_choice *there, size_t count, unsigned index)
{
    for (size_t i = 0; i < count; i++)
        if (there[i].index == index)
            return there[i].name;
    return NULL;
}

/* Whether a new name is one that the policy does not allow. */
static bool take_name(const struct captures *s, struct capture *c, struct ring_choice *interface, const char *now)
{
    if (!now || !interface->index || strcmp(now, interface->name) == 0)
        return false;
    bool allowed = policy_interface(judge_policy(s->judge), now);
    if (!allowed)
        snprintf(c->renamed, sizeof c->renamed, "%.63s is called %.63s now, which this host's policy does not allow",
                 interface->name, now);
    snprintf(interface->name, sizeof interface->name, "%s", now);
    return !allowed;
}

static bool take_names(const struct captures *s, struct capture *c, const struct ring_choice *there, size_t count)
{
    bool forbidden = false;
    for (size_t i = 0; i < CAPTURES_CAPTURERS; i++)
        for (size_t k = 0; c->capturers[i].pid && k < c->capturers[i].interface_count; k++) {
            struct ring_choice *interface = &c->capturers[i].interfaces[k];
            forbidden = take_name(s, c, interface, name_of(there, count, interface->index)) || forbidden;
        }
    return forbidden;
}

void captures_renamed(struct captures *s)
{
    static const char *const all[] = {"*"};
    struct ring_choice *there = NULL;
    size_t count = 0;
    if (ring_choose(all, 1, &there, &count, NULL)) /* it is looked again soon */
        count = 0;
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        struct capture *c = &s->captures[i];
        if (!c->used || !capture_runs(c) || !take_names(s, c, there, count) || c->stopping || c->restarts)
            continue;
        log_info("capture %s: %s", c->order.name, c->renamed);
        begin_anew(s, c, c->renamed);
    }
    free(there);
}

/* ---------------------------------------------------------------- another policy */

void captures_policy_changed(struct captures *s)
{
    judge_read(s->judge);
    bool rules_changed = memcmp(&s->forbid, &judge_policy(s->judge)->forbid, sizeof s->forbid) != 0;
    bool killed = policy_is_killed(judge_policy(s->judge));
    s->forbid = judge_policy(s->judge)->forbid;
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        struct capture *c = &s->captures[i];
        if (c->used && !capture_is_over(c) && !c->stopping)
            look_again(s, c, rules_changed);
        if (c->used && killed)
            capture_end_capturers(s, c, KILL_NS); /* whatever they were told to end for before */
    }
}

int captures_policy_fd(const struct captures *s)
{
    return judge_fd(s->judge);
}

void captures_policy_woken(struct captures *s)
{
    judge_woken(s->judge);
    captures_policy_changed(s);
}
