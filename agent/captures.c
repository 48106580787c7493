#include "agent/captures_impl.h"

#include "agent/capture/flow_table.h"
#include "agent/capture/ring.h"
#include "agent/capturer.h"
#include "agent/journal.h"
#include "agent/privileges.h"
#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/sandbox.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_LEAST_NS NS_PER_S
#define PAUSE_MOST_NS  (60 * NS_PER_S)
#define UNTOLD_NS      (50 * NS_PER_MS)
#define LEFT_OUT_NAMED 4u
#define STOP_NS        (60 * NS_PER_S) /* capturers that were told to end may take so long: their disk is full or slow */
#define FAR_NS         (UINT64_MAX / 4)
#define LATE_NS        (2 * NS_PER_S) /* behind its end a capture is told: its capturers end by themselves */

/* In the host's journal; false: not even the log wants to hear of it. */
static bool note_phase(const struct capture *c, uint32_t phase)
{
    static const char *const events[] = {
        [PHASE_REFUSED] = "refused", [PHASE_RUNNING] = "started", [PHASE_STOPPED] = "ended", [PHASE_FAILED] = "failed"};
    const char *event = phase < sizeof events / sizeof *events ? events[phase] : NULL;
    return !event || journal_write(event, &c->order, phase == PHASE_RUNNING && c->said[0] ? c->said : c->text);
}

void capture_set(struct captures *s, struct capture *c, uint32_t phase, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->text, sizeof c->text, fmt, ap); /* NOLINT(clang-analyzer-valist.Uninitialized): see the line before */
    va_end(ap);
    if (c->phase != phase && note_phase(c, phase))
        log_info("capture %s (%s): %s%s%s", c->order.name, c->order.who[0] ? c->order.who : "by nobody named",
                 capture_phase_name((int)phase), c->text[0] ? ": " : "", c->text);
    c->phase = phase;
    tell_state(s, c);
}

static struct capture *find(struct captures *s, const uint8_t id[16])
{
    for (size_t i = 0; i < CAPTURES_MAX; i++)
        if (s->captures[i].used && memcmp(s->captures[i].order.id, id, 16) == 0)
            return &s->captures[i];
    return NULL;
}

bool capture_is_over(const struct capture *c)
{
    return c->phase == PHASE_STOPPED || c->phase == PHASE_REFUSED;
}

/* ---------------------------------------------------------------- limits */

/* What ended it already, or NULL. */
static const char *limit_reached(const struct order *o, uint64_t now_ns)
{
    static char text[ORDER_TEXT_MAX];
    if (o->end_ns && now_ns >= o->end_ns)
        return CAPTURE_TIME_IS_OVER;
    if (o->packets && o->used_packets >= o->packets) {
        snprintf(text, sizeof text, "its limit of %llu packets is reached", (unsigned long long)o->packets);
        return text;
    }
    if (o->bytes && o->used_bytes >= o->bytes) {
        snprintf(text, sizeof text, "its limit of %llu bytes is reached", (unsigned long long)o->bytes);
        return text;
    }
    return NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t mono_of(uint64_t wall_ns)
{
    uint64_t now = clock_wall_ns();
    return clock_mono_ns() + least(wall_ns > now ? wall_ns - now : 0, FAR_NS);
}

void capture_set_end(struct capture *c, uint64_t end_ns)
{
    uint64_t before = c->order.end_ns;
    c->order.end_ns = end_ns;
    if (!c->begun || !end_ns)
        c->end_mono_ns = 0;
    else if (!c->end_mono_ns)
        c->end_mono_ns = mono_of(end_ns);
    else if (end_ns > before)
        c->end_mono_ns = least(c->end_mono_ns, FAR_NS) + least(end_ns - before, FAR_NS);
    else
        c->end_mono_ns -= least(before - end_ns, c->end_mono_ns - 1);
}

/* ---------------------------------------------------------------- interfaces and memory */

static bool has_interface(const struct capture *c, unsigned index)
{
    for (size_t i = 0; i < CAPTURES_CAPTURERS; i++)
        for (size_t k = 0; c->capturers[i].pid && k < c->capturers[i].interface_count; k++)
            if (c->capturers[i].interfaces[k].index == index)
                return true;
    return false;
}

/* Interfaces that the order means and no capturer has; malloc'ed. */
size_t captures_allowed(const struct captures *s, struct ring_choice *list, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (policy_interface(judge_policy(s->judge), list[i].name))
            list[n++] = list[i];
    return n;
}

static int missing_interfaces(const struct captures *s, const struct capture *c, struct ring_choice **missing,
                              size_t *count, struct error *e)
{
    const char *globs[REQUEST_INTERFACES_MAX];
    size_t n = 0;
    *count = 0;
    int code = ring_choose(globs, order_globs(&c->order, globs), missing, &n, e);
    n = code ? 0 : captures_allowed(s, *missing, n);
    for (size_t i = 0; !code && i < n; i++)
        if (!has_interface(c, (*missing)[i].index))
            (*missing)[(*count)++] = (*missing)[i];
    return code;
}

static int no_place(struct error *e)
{
    return error_set(e, ERROR_LIMIT, "%u processes capture for it already, which is the most; a new capture has them",
                     CAPTURES_CAPTURERS);
}

/* Whether one more capturer on `count` interfaces keeps within the agent's memory. */
static int check_memory(const struct captures *s, size_t count, struct error *e)
{
    const struct agent_config *a = s->config;
    uint64_t flows = a->max_flows * (FLOW_TABLE_FLOW_BYTES + FLOW_TABLE_APP_BYTES), used = flows + count * a->ring;
    for (size_t i = 0; i < CAPTURES_MAX; i++)
        for (size_t k = 0; k < CAPTURES_CAPTURERS; k++)
            if (s->captures[i].used && s->captures[i].capturers[k].pid)
                used += flows + s->captures[i].capturers[k].interface_count * a->ring;
    if (used <= a->memory)
        return 0;
    return error_set(
        e, ERROR_LIMIT,
        "%llu MiB would be needed for all captures (rings of %llu MiB on each interface, flow tables), and "
        "'memory' in this agent's configuration allows %llu MiB",
        (unsigned long long)(used >> 20), (unsigned long long)(a->ring >> 20), (unsigned long long)(a->memory >> 20));
}

/* ---------------------------------------------------------------- starting */

static void fail(struct captures *s, struct capture *c, const char *why)
{
    c->pause_ns = c->pause_ns ? c->pause_ns : PAUSE_LEAST_NS;
    c->retry_ns = clock_mono_ns() + c->pause_ns;
    capture_set(s, c, PHASE_FAILED, "%s; tried again in %llu s", why, (unsigned long long)(c->pause_ns / NS_PER_S));
    c->pause_ns = c->pause_ns * 2 > PAUSE_MOST_NS ? PAUSE_MOST_NS : c->pause_ns * 2;
}

/* "left out: eth1, eth2: why"; a look at the interfaces may find place later. */
static void leave_out(struct captures *s, struct capture *c, const struct ring_choice *missing, size_t count,
                      const char *why)
{
    struct buffer b = {.limit = sizeof c->left_out - 1};
    buffer_printf(&b, "left out: ");
    for (size_t i = 0; i < count && i < LEFT_OUT_NAMED; i++)
        buffer_printf(&b, "%s%.15s", i ? ", " : "", missing[i].name);
    buffer_printf(&b, "%s: %.120s", count > LEFT_OUT_NAMED ? ", ..." : "", why);
    snprintf(c->left_out, sizeof c->left_out, "%.*s", (int)b.len, b.data ? (const char *)b.data : "left out: some");
    buffer_free(&b);
    c->retry_ns = clock_mono_ns() + PAUSE_MOST_NS;
    log_warn("capture %s: %s", c->order.name, c->left_out);
    tell_state(s, c);
}

void capture_launch(struct captures *s, struct capture *c)
{
    struct error e = ERROR_INIT;
    struct ring_choice *missing = NULL;
    struct capturer *place = capture_place(c);
    size_t count = 0;
    c->retry_ns = 0;
    c->left_out[0] = 0;
    int code = missing_interfaces(s, c, &missing, &count, &e);
    if (!code && count)
        code = place ? check_memory(s, count, &e) : no_place(&e);
    if (code == ERROR_LIMIT && capture_runs(c)) {
        leave_out(s, c, missing, count, e.text);
        free(missing);
        return;
    }
    if (!code && count)
        code = capturer_start(s, c, place, missing, count, &e); /* takes the list */
    else
        free(missing);
    if (code == ERROR_LIMIT && !capture_runs(c))
        capture_set(s, c, PHASE_REFUSED, "%s", e.text);
    else if (code)
        fail(s, c, e.text);
    else if (!count && !capture_runs(c))
        capture_set(s, c, PHASE_WAITING, "for an interface that is up: none is now%s",
                    c->order.interfaces[0][0]                  ? " that fits its names"
                    : judge_policy(s->judge)->interfaces.count ? " that this host's policy allows"
                                                               : "");
}

static void begin(struct captures *s, struct capture *c)
{
    struct error e = ERROR_INIT;
    const char *over = c->record.over ? c->record.over_text : limit_reached(&c->order, clock_wall_ns());
    if (over)
        capture_set(s, c, PHASE_STOPPED, "%s", over);
    else if (!capture_may_begin(s, c))
        ;
    else if (privileges_check_capture(&e))
        capture_set(s, c, PHASE_REFUSED, "%s", e.text);
    else if (c->order.start_ns > clock_wall_ns())
        capture_set(s, c, PHASE_WAITING, CAPTURE_WAITS_TIME);
    else {
        c->begun = true;
        capture_set_end(c, c->order.end_ns);
        capture_launch(s, c);
    }
}

static struct capture *add(struct captures *s, const struct order_record *record, const struct order *runs)
{
    for (size_t i = 0; i < CAPTURES_MAX; i++)
        if (!s->captures[i].used) {
            s->captures[i] = (struct capture){.order = *runs, .record = *record, .used = true, .phase = PHASE_PENDING};
            return &s->captures[i];
        }
    return NULL;
}

/* Of one that is not in the table. */
static void refuse(struct captures *s, const struct monitor_request *r, const struct judged *j, const char *why)
{
    struct capture refused = {.order = j->order, .used = true};
    if (!refused.order.name[0])
        snprintf(refused.order.name, sizeof refused.order.name, "(not read)");
    memcpy(refused.order.id, r->id, sizeof refused.order.id);
    capture_set(s, &refused, PHASE_REFUSED, "%s", why);
}

static bool is_flood(struct captures *s, const struct order_record *o)
{
    if (o->signature_length && !judge_policy(s->judge)->unsigned_too)
        return false;
    return !pace_take(&s->unsigned_orders, clock_mono_ns(), CAPTURES_UNSIGNED, CAPTURES_UNSIGNED_NS);
}

static void start(struct captures *s, const struct monitor_request *r)
{
    struct error e = ERROR_INIT;
    struct order_record record;
    struct judged j;
    if (find(s, r->id))
        return;
    judge_request(s->judge, r, &record, &j);
    if (j.verdict != POLICY_NO && memcmp(record.order.id, r->id, sizeof r->id) != 0) {
        refuse(s, r, &j, "the order has another id than the shipper says");
        return;
    }
    if (j.verdict != POLICY_NO && is_flood(s, &record)) {
        refuse(s, r, &j, "too many orders came that nobody has to sign here: one is taken in 20 s");
        return;
    }
    struct capture *c = j.verdict == POLICY_NO ? NULL : add(s, &record, &j.order);
    if (!c) {
        refuse(s, r, &j, j.verdict == POLICY_NO ? j.why : "this agent runs as many captures as it may");
        return;
    }
    if (judge_remember(s->judge, &record, &e)) {
        c->used = false;
        refuse(s, r, &j, e.text);
        return;
    }
    if (order_save(s->config->spool, &c->record, &e))
        log_warn("capture %s: it will not outlive a restart of this agent: %s", c->order.name, e.text);
    begin(s, c);
}

static void take_kept(void *context, const struct order_record *o)
{
    struct captures *s = context;
    if (!add(s, o, &o->order))
        log_warn("capture %s: more orders are kept than an agent runs; it is left out", o->order.name);
}

/* ---------------------------------------------------------------- ending */

void capture_keep(struct captures *s, struct capture *c)
{
    struct error e = ERROR_INIT;
    c->record.order.used_packets = c->order.used_packets;
    c->record.order.used_bytes = c->order.used_bytes;
    if (order_save(s->config->spool, &c->record, &e))
        log_warn("capture %s: %s", c->order.name, e.text);
}

static void forget(struct captures *s, struct capture *c)
{
    struct error e = ERROR_INIT;
    if (order_remove(s->config->spool, c->order.id, &e))
        log_warn("capture %s: %s", c->order.name, e.text);
    c->used = c->untold; /* its last state is told before */
}

void capture_end_capturers(const struct captures *s, struct capture *c, uint64_t grace_ns)
{
    uint64_t by = clock_mono_ns() + grace_ns;
    if (!capture_runs(c))
        return;
    c->kill_ns = c->kill_ns && c->kill_ns < by ? c->kill_ns : by;
    capture_signal(s, c, SIGTERM);
}

void capture_stop(struct captures *s, struct capture *c, const char *why)
{
    if (capture_is_over(c)) {
        if (c->forget)
            forget(s, c);
        return;
    }
    if (!capture_runs(c)) {
        capture_set(s, c, PHASE_STOPPED, "%s", why);
        if (c->forget)
            forget(s, c);
        return;
    }
    c->stopping = true;
    snprintf(c->text, sizeof c->text, "%s", why);
    capture_end_capturers(s, c, STOP_NS);
}

void capture_end(struct captures *s, struct capture *c, const char *why, uint64_t grace_ns)
{
    c->record.over = 1;
    snprintf(c->record.over_text, sizeof c->record.over_text, "%s", why);
    capture_keep(s, c);
    c->restarts = false;
    capture_end_capturers(s, c, grace_ns);
    if (!c->stopping) /* else already, for another reason */
        capture_stop(s, c, why);
}

static void ended_well(struct captures *s, struct capture *c, const char *why)
{
    if (!c->stopping)
        capture_stop(s, c, why); /* the others of this capture, too */
    if (capture_runs(c))
        return;
    c->stopping = false;
    capture_set(s, c, PHASE_STOPPED, "%.*s", (int)sizeof c->text - 1, why);
    if (c->forget)
        forget(s, c);
}

void capture_capturer_ended(struct captures *s, struct capture *c, struct capturer *p, int end)
{
    char why[ORDER_TEXT_MAX], how[SANDBOX_ENDING_MAX];
    capture_keep(s, c);
    if (!capture_runs(c))
        c->kill_ns = 0;
    if (end < 0)
        snprintf(why, sizeof why, "its capturer %s",
                 sandbox_ending(-end, how)); /* a death by signal as waitpid has it */
    else
        snprintf(why, sizeof why, "%s", p->last.text[0] ? p->last.text : "its capturer ended without a word");
    if (s->closing)
        return;
    const char *over = limit_reached(&c->order, clock_wall_ns());
    if (c->restarts && !c->stopping && !over) {
        c->restarts = capture_runs(c);
        if (!c->restarts && c->begun)
            capture_launch(s, c);
        return;
    }
    if (c->stopping)
        snprintf(why, sizeof why, "%s", c->text);
    if (c->stopping || over || end == CAPTURER_DONE)
        ended_well(s, c, over && !c->stopping ? over : why);
    else if (end == CAPTURER_REFUSED && !capture_runs(c))
        capture_set(s, c, PHASE_REFUSED, "%s", why);
    else if (end == CAPTURER_NO_INTERFACES)
        capture_launch(s, c);
    else
        fail(s, c, why);
}

/* ---------------------------------------------------------------- requests */

/* Most orders are refused here: nothing starts until all hosts were asked. */
static void note_refused_check(const struct monitor_request *r, const struct judged *j)
{
    struct order o = j->order;
    if (!o.name[0])
        snprintf(o.name, sizeof o.name, "(not read)");
    memcpy(o.id, r->id, sizeof o.id);
    (void)journal_write("refused", &o, j->why);
}

static void check(struct captures *s, const struct monitor_request *r)
{
    struct order_record record;
    struct judged j;
    judge_request(s->judge, r, &record, &j);
    if (j.verdict == POLICY_YES)
        check_start(s, r, &j);
    else {
        note_refused_check(r, &j);
        tell_checked(s, r, ERROR_REFUSED, j.why);
    }
}

void captures_request(struct captures *s, const struct monitor_request *r)
{
    struct capture *c = find(s, r->id);
    if (r->kind == REQUEST_START)
        start(s, r);
    else if (r->kind == REQUEST_CHECK)
        check(s, r);
    else if (r->kind == REQUEST_FLUSH)
        flush_begin(s, c, r->token);
    else if (r->kind == REQUEST_STOP && c) {
        c->forget = true;
        capture_stop(s, c, r->text[0] ? r->text : "stopped");
    }
}

/* ---------------------------------------------------------------- time */

/* Those who were told to end and do not: they hang, or somebody else rules them. */
static uint64_t kill_late(const struct captures *s, const struct capture *c)
{
    if (!c->kill_ns || clock_mono_ns() < c->kill_ns)
        return c->kill_ns ? c->kill_ns : UINT64_MAX;
    capture_signal(s, c, SIGKILL);
    return UINT64_MAX;
}

/* Capturers end by the wall clock. Who goes on is told, also when that was set back: a capture is not prolonged by it. */
static uint64_t end_late(struct captures *s, struct capture *c)
{
    if (!c->end_mono_ns || !capture_runs(c))
        return UINT64_MAX;
    if (clock_mono_ns() < c->end_mono_ns || clock_mono_ns() - c->end_mono_ns < LATE_NS)
        return c->end_mono_ns + LATE_NS;
    capture_end(s, c, CAPTURE_TIME_IS_OVER, STOP_NS);
    return kill_late(s, c);
}

/* When the capture wants to be looked at again. */
static uint64_t due(struct captures *s, struct capture *c)
{
    uint64_t wall = clock_wall_ns();
    if (c->stopping || capture_is_over(c) || c->restarts || c->blocked)
        return kill_late(s, c);
    if (c->order.end_ns && wall >= c->order.end_ns && !capture_runs(c))
        capture_set(s, c, PHASE_STOPPED, CAPTURE_TIME_IS_OVER);
    else if (!c->begun && c->order.start_ns > wall && c->phase == PHASE_WAITING)
        return mono_of(c->order.start_ns);
    else if (!c->begun)
        begin(s, c);
    else if (c->retry_ns && clock_mono_ns() >= c->retry_ns)
        capture_launch(s, c);
    if (capture_is_over(c) || c->blocked)
        return UINT64_MAX;
    if (!c->begun)
        return c->retry_ns ? c->retry_ns : mono_of(c->order.start_ns);
    uint64_t end = capture_runs(c) ? end_late(s, c) : c->order.end_ns ? mono_of(c->order.end_ns) : UINT64_MAX;
    return c->retry_ns ? least(c->retry_ns, end) : end;
}

/* Returns when to try again. */
static uint64_t tell_again(struct captures *s, struct capture *c)
{
    tell_state(s, c);
    if (c->untold)
        return clock_mono_ns() + UNTOLD_NS;
    if (c->forget && capture_is_over(c))
        c->used = false;
    return UINT64_MAX;
}

uint64_t captures_tick(struct captures *s)
{
    if (clock_mono_ns() >= judge_due(s->judge))
        captures_policy_changed(s);
    uint64_t next = least(judge_due(s->judge), checks_late(s));
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        struct capture *c = &s->captures[i];
        uint64_t at = c->used ? due(s, c) : UINT64_MAX;
        if (c->used && c->untold)
            at = least(at, tell_again(s, c));
        next = least(at, next);
    }
    return next;
}

void captures_interfaces_changed(struct captures *s)
{
    captures_renamed(s);
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        struct capture *c = &s->captures[i];
        if (c->used && c->begun && !c->stopping && !c->restarts &&
            (c->phase == PHASE_WAITING || c->phase == PHASE_RUNNING))
            capture_launch(s, c);
    }
}

/* ---------------------------------------------------------------- beginning and end */

int captures_new(const struct agent_config *c, captures_tell_fn *tell, void *context, struct captures **out,
                 struct error *e)
{
    struct captures *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return error_set(e, ERROR_MEMORY, "no memory for captures");
    s->config = c;
    s->tell = tell;
    s->context = context;
    int code = judge_new(c, &s->judge, e);
    if (code)
        return code;
    journal_open(c->spool);
    return order_load_all(c->spool, take_kept, s, e);
}
