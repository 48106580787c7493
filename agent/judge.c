#include "agent/judge.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/selector.h"
#include "common/net/signature.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LOOK_NS       (60 * NS_PER_S) /* hours begin and end, clocks are set */
#define LOOK_BLIND_NS NS_PER_S        /* where the kernel does not tell of files */
#define WATCHED                                                                                                        \
    (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ATTRIB | IN_DELETE_SELF |               \
     IN_MOVE_SELF | IN_ONLYDIR)

struct judge {
    const struct agent_config *config;
    struct policy policy;
    struct signature_operators operators;
    char policy_problem[ORDER_TEXT_MAX], operators_problem[ORDER_TEXT_MAX], seen_problem[ORDER_TEXT_MAX]; /* "": none */
    struct order_seen_list seen;
    int fd;
    bool blind; /* a folder is not watched */
    uint64_t due_ns;
};

/* ---------------------------------------------------------------- files */

/* Logged once each time it changes. */
static void note_problem(char kept[ORDER_TEXT_MAX], const char *text, const char *then)
{
    if (strncmp(kept, text, ORDER_TEXT_MAX - 1) == 0)
        return;
    snprintf(kept, ORDER_TEXT_MAX, "%s", text);
    if (text[0])
        log_warn("%s: %s", text, then);
}

static void read_policy(struct judge *j)
{
    struct error e = ERROR_INIT;
    policy_free(&j->policy);
    int r = policy_load(j->config->policy, &j->policy, &e);
    if (r == ERROR_NOT_FOUND)
        (void)error_set(&e, r, "there is no %.200s, so nothing may be captured by order on this host",
                        j->config->policy);
    note_problem(j->policy_problem, r ? e.text : "", "nothing is captured by order");
}

static void read_operators(struct judge *j)
{
    struct error e = ERROR_INIT;
    char *text = NULL;
    size_t len = 0;
    signature_operators_free(&j->operators);
    int r = policy_read_file(j->config->operators, SIGNATURE_OPERATORS_BYTES, &text, &len, &e);
    if (!r)
        r = signature_operators_read(j->config->operators, text, len, &j->operators, &e);
    free(text);
    if (r)
        signature_operators_free(&j->operators);
    note_problem(j->operators_problem, r && r != ERROR_NOT_FOUND ? e.text : "", "no signed order is taken");
}

static void watch(struct judge *j, const char *path)
{
    char copy[PATH_MAX];
    if (!path || !path[0] || (size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy)
        return;
    if (j->fd < 0 || inotify_add_watch(j->fd, dirname(copy), WATCHED) < 0)
        j->blind = true;
}

void judge_read(struct judge *j)
{
    read_policy(j);
    read_operators(j);
    j->blind = false;
    watch(j, j->config->policy);
    watch(j, j->config->operators);
    watch(j, j->policy.kill_file);
    uint64_t wall = clock_wall_ns(), change = policy_next_change(&j->policy, wall),
             most = j->blind ? LOOK_BLIND_NS : LOOK_NS;
    uint64_t wait = change > wall ? change - wall : NS_PER_MS;
    j->due_ns = clock_mono_ns() + (wait < most ? wait : most);
}

int judge_fd(const struct judge *j)
{
    return j->fd;
}

void judge_woken(struct judge *j)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    while (read(j->fd, events, sizeof events) > 0)
        ;
}

uint64_t judge_due(const struct judge *j)
{
    return j->due_ns;
}

const struct policy *judge_policy(const struct judge *j)
{
    return &j->policy;
}

int judge_new(const struct agent_config *c, struct judge **out, struct error *e)
{
    struct error problem = ERROR_INIT;
    struct judge *j = calloc(1, sizeof *j);
    *out = j;
    if (!j)
        return error_set(e, ERROR_MEMORY, "no memory for the policy");
    j->config = c;
    j->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (order_seen_load(c->spool, &j->seen, &problem))
        note_problem(j->seen_problem, problem.text, "no signed order is taken");
    judge_read(j);
    if (j->policy.allow && j->policy.unsigned_too)
        log_warn("%s says 'unsigned = yes': whoever commands the collector captures on this host", c->policy);
    return 0;
}

void judge_free(struct judge *j)
{
    if (!j)
        return;
    policy_free(&j->policy);
    signature_operators_free(&j->operators);
    free(j->seen.items);
    if (j->fd >= 0)
        close(j->fd);
    free(j);
}

/* ---------------------------------------------------------------- signed orders */

/* `who` is "" for a stranger, where the policy takes what nobody has signed. */
static int verify(const struct judge *j, unsigned purposes, const struct order_record *o, uint64_t now_ns,
                  char who[SIGNATURE_NAME_MAX + 1], struct error *e)
{
    if (j->operators_problem[0])
        return error_set(e, ERROR_REFUSED, "%s", j->operators_problem);
    int code = signature_verify(&j->operators, purposes, o->bytes, o->bytes_length, o->signature, o->signature_length,
                                now_ns, who, e);
    if (code != ERROR_NOT_FOUND)
        return code;
    return j->policy.unsigned_too ? 0 : error_prefix(e, "%s", j->config->operators);
}

static int64_t believed(int64_t clock_ns)
{
    const int64_t most = (int64_t)ORDER_CLOCK_MOST_NS;
    return clock_ns > most ? most : clock_ns < -most ? -most : clock_ns;
}

static int check_times(const struct capture_request *r, int64_t clock_ns, uint64_t now_ns, struct error *e)
{
    uint64_t expires = order_local_ns(r->expires_ns, clock_ns), issued = order_local_ns(r->issued_ns, clock_ns);
    if (!r->expires_ns || now_ns > expires)
        return error_set(e, ERROR_REFUSED, "the order has expired: it is played again, or this host's clock is wrong");
    if (issued > now_ns && issued - now_ns > ORDER_CLOCK_MOST_NS)
        return error_set(e, ERROR_REFUSED, "the order comes from the future: somebody's clock is wrong");
    return 0;
}

/* What was signed, in this host's time; left_ns only shortens it. */
static int order_of(const struct capture_request *q, const struct monitor_request *r, uint64_t now_ns, struct order *o,
                    struct error *e)
{
    int64_t clock_ns = believed(r->clock_ns);
    uint64_t start = q->start_ns ? order_local_ns(q->start_ns, clock_ns) : 0,
             end = q->end_ns ? order_local_ns(q->end_ns, clock_ns) : 0;
    uint64_t left = end ? (end > now_ns ? end - now_ns : 0) : UINT64_MAX;
    if (r->kind == REQUEST_START && r->left_ns < left)
        left = r->left_ns;
    int code = order_from_request(q, start > now_ns ? start - now_ns : 0, left, now_ns, o, e);
    o->collector_family = r->collector_family;
    o->collector_port = r->collector_port;
    memcpy(o->collector_address, r->collector_address, sizeof o->collector_address);
    return code ? code : order_check(o, e);
}

static int take_verified(struct judge *j, const struct monitor_request *r, const char *who, uint64_t now_ns,
                         struct order_record *record, struct error *e)
{
    struct message m;
    const struct agent_config *c = j->config;
    int code = message_decode_request(record->bytes, record->bytes_length, &m, e);
    if (code)
        return code;
    const struct capture_request *q = m.check.request;
    code = check_times(q, believed(r->clock_ns), now_ns, e);
    if (!code)
        code = order_of(q, r, now_ns, &record->order, e);
    if (!code && !selector_means(q, c->name, (const char *const *)c->labels.items, (uint32_t)c->labels.count))
        code = error_set(e, ERROR_REFUSED, "the order is not meant for this agent");
    if (!code && order_seen_has(&j->seen, q->id))
        code = error_set(e, ERROR_REFUSED, "the order was here before: it is played again");
    if (who[0]) /* else it is the collector's word */
        snprintf(record->order.who, sizeof record->order.who, "%s (%.*s)", who, (int)sizeof record->order.who,
                 q->who ?: "");
    message_free(&m);
    return code;
}

static int take_signed(struct judge *j, const struct monitor_request *r, uint64_t now_ns, struct order_record *record,
                       char who[SIGNATURE_NAME_MAX + 1], struct error *e)
{
    unsigned purposes = SIGNATURE_ORDER | (r->kind == REQUEST_CHECK ? (unsigned)SIGNATURE_CHECK : 0);
    record->signature_length = r->signature_length;
    record->bytes_length = r->bytes_length;
    memcpy(record->signature, r->by.signature, sizeof record->signature);
    memcpy(record->bytes, r->by.bytes, sizeof record->bytes);
    int code = verify(j, purposes, record, now_ns, who, e);
    if (!code && j->seen_problem[0])
        code = error_set(e, ERROR_REFUSED, "%s", j->seen_problem);
    return code ? code : take_verified(j, r, who, now_ns, record, e);
}

int judge_remember(struct judge *j, const struct order_record *record, struct error *e)
{
    struct message m;
    if (!record->signature_length)
        return 0;
    int r = message_decode_request(record->bytes, record->bytes_length, &m, e);
    if (r)
        return r;
    uint64_t until = order_local_ns(m.check.request->expires_ns, (int64_t)(2 * ORDER_CLOCK_MOST_NS));
    r = order_seen_add(j->config->spool, &j->seen, m.check.request->id, until, clock_wall_ns(), e);
    message_free(&m);
    return r ? error_prefix(e, "a signed order cannot be remembered, so it is not taken") : 0;
}

/* ---------------------------------------------------------------- judging */

static void refuse(struct judged *out, const char *why)
{
    out->verdict = POLICY_NO;
    snprintf(out->why, sizeof out->why, "%.*s", (int)sizeof out->why - 1, why);
}

/* `who`: its verified operator; "": none. */
static void ask_policy(struct judge *j, const struct order_record *record, const char *who, struct judged *out)
{
    struct error e = ERROR_INIT;
    const struct policy_question q = {
        .signed_by = who[0] ? who : NULL, .now_ns = clock_wall_ns(), .accepted_ns = record->accepted_ns};
    out->order = record->order;
    if (j->policy_problem[0]) {
        refuse(out, j->policy_problem);
        if (policy_is_baseline(&record->order, who[0] != 0))
            out->verdict = POLICY_LATER;
        return;
    }
    out->verdict = policy_judge(&j->policy, &q, &out->order, out->said, &e);
    if (out->verdict != POLICY_YES)
        snprintf(out->why, sizeof out->why, "%.*s", (int)sizeof out->why - 1, e.text);
}

void judge_record(struct judge *j, const struct order_record *record, struct judged *out)
{
    struct error e = ERROR_INIT;
    char who[SIGNATURE_NAME_MAX + 1];
    *out = (struct judged){.order = record->order};
    if (!record->signature_length)
        ask_policy(j, record, "", out);
    else if (verify(j, SIGNATURE_ORDER, record, record->accepted_ns, who, &e))
        refuse(out, e.text);
    else
        ask_policy(j, record, who, out);
}

void judge_request(struct judge *j, const struct monitor_request *r, struct order_record *record, struct judged *out)
{
    struct error e = ERROR_INIT;
    uint64_t now = clock_wall_ns();
    char who[SIGNATURE_NAME_MAX + 1] = "";
    judge_read(j);
    *record = (struct order_record){.accepted_ns = now};
    *out = (struct judged){0};
    int code;
    if (r->signature_length)
        code = take_signed(j, r, now, record, who, &e);
    else {
        record->order = r->order;
        record->order.used_packets = record->order.used_bytes = 0;
        code = order_check(&record->order, &e);
    }
    out->order = record->order;
    if (code)
        refuse(out, j->policy_problem[0] ? j->policy_problem : e.text); /* a better signature would not help then */
    else
        ask_policy(j, record, who, out);
}
