/*
 * app_dns: DNS over UDP and TCP: a query and its response are one exchange, told by id and question, whatever comes between.
 *
 * A query that is sent again while it waits, with the same id and question, is still the same one. It is unanswered when nothing has come for longer
 * than options.dns_wait_ns, whether packets pass or not; sent again after that, it is another one. It is remembered while the flow lives and memory
 * is left: an answer that comes after all is told as late, in a row of its own that has the number of the query's. A response that is said again
 * counts once. A response to a query that was not seen is an exchange of its own.
 *
 * mDNS and LLMNR are asked of all and answered by anybody, in other flows or never: of these only names are noted, no exchanges.
 */
#include "agent/capture/conversation_impl.h"
#include "common/app/dns.h"
#include "common/base/hash.h"
#include <stddef.h>
#include <string.h>

#define DNS_WAITING    256u /* queries of a flow at once; then the oldest counts as unanswered */
#define DNS_BUCKETS    16u  /* that they are found by */
#define DNS_ANSWERED   8u   /* responses that are known again */
#define DNS_TCP_LENGTH 2u   /* in front of each message (RFC 1035, 4.2.2) */
#define DNS_TCP_MAX    (DNS_TCP_LENGTH + 65535u)
#define DNS_TOLD       (CONVERSATION_FLOW_MAX / 2) /* memory of a flow that remembers unanswered ones */

struct query {
    struct query *next, *previous; /* as they came, those that are told in front */
    struct query *same;            /* the next one of its bucket */
    struct waiter waiter;          /* since its first byte, until it is told */
    bool told;                     /* there is a row that it is unanswered */
    uint64_t last_ns;
    uint64_t bytes;
    uint64_t question; /* hash of it */
    uint32_t ordinal;
    uint16_t id, type;
    uint16_t name_len;
    char name[];
};

struct dns_state {
    struct query *first, *last; /* of those remembered */
    struct query *waits;        /* the first that is not told; nor are those behind it */
    struct query *by_question[DNS_BUCKETS];
    uint64_t mix;                    /* the flow's id, which is not known any more when all is given up */
    uint32_t count;                  /* of those remembered */
    uint64_t answered[DNS_ANSWERED]; /* hashes of id and question */
    unsigned answered_next;
    bool lost[2]; /* TCP: until a segment begins with a message */
    bool unseen;  /* some of what was said is missing */
};

/* A message, and when and how it came. */
struct said {
    const struct dns_message *m;
    uint64_t first_ns, last_ns;
    uint64_t bytes;
    uint64_t question;
};

static struct dns_state *state_of(const struct hearing *h)
{
    return h->v->state;
}

/* ---------------------------------------------------------------- rows */

static void fill_question(struct hearing *h, struct exchange_row *r, const char *name, size_t len, uint16_t type)
{
    exchange_text(h, r, EXCHANGE_DNS_NAME, &r->dns_name, name, len);
    if (type)
        EXCHANGE_PUT(r, EXCHANGE_DNS_TYPE, dns_type, type);
}

static void fill_query(struct hearing *h, struct exchange_row *r, const struct query *q)
{
    fill_question(h, r, q->name, q->name_len, q->type);
    EXCHANGE_PUT(r, EXCHANGE_REQUEST_BYTES, request_bytes, q->bytes);
    EXCHANGE_PUT(r, EXCHANGE_SEND, send_ns, exchange_since(q->last_ns, q->waiter.since_ns));
}

static void fill_response(struct hearing *h, struct exchange_row *r, const struct said *said)
{
    const struct dns_message *m = said->m;
    EXCHANGE_PUT(r, EXCHANGE_REPLY_BYTES, reply_bytes, said->bytes);
    if (m->rcode <= UINT8_MAX)
        EXCHANGE_PUT(r, EXCHANGE_DNS_RCODE, dns_rcode, (uint8_t)m->rcode);
    exchange_text(h, r, EXCHANGE_DNS_ANSWERS, &r->dns_answers, m->answers_text, m->answers_len);
}

/* ---------------------------------------------------------------- queries that wait, or did in vain */

/* Where the chain begins; who sends the queries cannot tell. */
static struct query **bucket(const struct hearing *h, uint16_t id, uint64_t question)
{
    uint64_t mixed = (question ^ id ^ state_of(h)->mix) * UINT64_C(0x9e3779b97f4a7c15);
    return &state_of(h)->by_question[mixed >> 60];
}
_Static_assert(DNS_BUCKETS == 16, "as many as four bits tell apart");

/* In front of that one; NULL: behind all. */
static void put_in(struct dns_state *s, struct query *q, struct query *next)
{
    struct query *previous = next ? next->previous : s->last;
    q->next = next;
    q->previous = previous;
    *(previous ? &previous->next : &s->first) = q;
    *(next ? &next->previous : &s->last) = q;
}

static void take_out(struct dns_state *s, struct query *q)
{
    if (s->waits == q)
        s->waits = q->next;
    *(q->previous ? &q->previous->next : &s->first) = q->next;
    *(q->next ? &q->next->previous : &s->last) = q->previous;
}

static void link_query(const struct hearing *h, struct query *q)
{
    struct dns_state *s = state_of(h);
    if (!s->mix)
        s->mix = h->flow_id;
    struct query **at = bucket(h, q->id, q->question);
    q->same = *at;
    *at = q;
    put_in(s, q, NULL);
    if (!s->waits)
        s->waits = q;
    s->count++;
}

/* It waits no more. */
static void note_told(const struct hearing *h, struct query *q)
{
    struct dns_state *s = state_of(h);
    q->told = true;
    conversation_wait_no_more(h->all, &q->waiter);
    take_out(s, q);
    put_in(s, q, s->waits);
}

static void unlink_query(const struct hearing *h, struct query *q)
{
    struct dns_state *s = state_of(h);
    struct query **at = bucket(h, q->id, q->question);
    while (*at != q)
        at = &(*at)->same;
    *at = q->same;
    if (!q->told)
        conversation_wait_no_more(h->all, &q->waiter);
    take_out(s, q);
    s->count--;
}

static void forget(struct hearing *h, struct query *q)
{
    unlink_query(h, q);
    conversation_release(h->all, h->v, q);
}

static void tell(struct hearing *h, const struct query *q, uint8_t outcome)
{
    struct exchange_row *r = exchange_add(h, q->ordinal, outcome, q->waiter.since_ns);
    if (r)
        fill_query(h, r, q);
}

static void end_first(struct hearing *h, uint8_t outcome)
{
    struct query *q = state_of(h)->first;
    if (!q->told)
        tell(h, q, outcome);
    forget(h, q);
}

/* A response without a question is told by its id alone. */
static struct query *find(const struct hearing *h, const struct said *said)
{
    struct dns_state *s = state_of(h);
    uint16_t id = said->m->id;
    struct query *q = said->m->questions ? *bucket(h, id, said->question) : s->first;
    if (!said->m->questions)
        while (q && q->id != id)
            q = q->next;
    else
        while (q && (q->id != id || q->question != said->question))
            q = q->same;
    return q;
}

static bool is_old(const struct hearing *h, const struct query *q)
{
    return exchange_since(h->time_ns, q->waiter.since_ns) > h->all->options.dns_wait_ns;
}

/* It has waited for too long. */
static void tell_vain(struct hearing *h, struct query *q)
{
    tell(h, q, state_of(h)->unseen ? EXCHANGE_UNSEEN : EXCHANGE_UNANSWERED);
    note_told(h, q);
}

static void overdue(struct hearing *h, struct waiter *w)
{
    tell_vain(h, (struct query *)((char *)w - offsetof(struct query, waiter)));
}

/* The one that a message is about. */
static struct query *look_up(struct hearing *h, const struct said *said)
{
    struct query *q = find(h, said);
    if (q && !q->told && is_old(h, q))
        tell_vain(h, q);
    return q;
}

/* ---------------------------------------------------------------- messages */

/* Unanswered ones are the first. */
static bool forget_told(struct hearing *h)
{
    struct query *q = state_of(h)->first;
    if (!q || !q->told)
        return false;
    forget(h, q);
    return true;
}

/* Where memory is short, those that nobody will answer any more give theirs. */
static struct query *alloc_query(struct hearing *h, size_t name_len)
{
    struct query *q;
    while (h->v->memory > DNS_TOLD && forget_told(h))
        continue;
    do
        q = conversation_alloc(h, sizeof *q + name_len);
    while (!q && forget_told(h));
    return q;
}

static void take_query(struct hearing *h, const struct said *said)
{
    struct dns_state *s = state_of(h);
    const struct dns_message *m = said->m;
    struct query *before = look_up(h, said);
    if (before && !before->told)
        return;
    if (before)
        forget(h, before);
    while (s->count >= DNS_WAITING)
        end_first(h, EXCHANGE_UNANSWERED);
    struct query *q = alloc_query(h, m->name_len);
    if (!q) {
        conversation_give_up(h);
        return;
    }
    *q = (struct query){.last_ns = said->last_ns,
                        .bytes = said->bytes,
                        .question = said->question,
                        .ordinal = ++h->v->ordinal,
                        .id = m->id,
                        .type = m->type,
                        .name_len = m->name_len};
    memcpy(q->name, m->name, m->name_len);
    link_query(h, q);
    conversation_wait(h, &q->waiter, said->first_ns);
}

/* Whether the response was told already; it is from now on. */
static bool is_told(struct dns_state *s, const struct said *said, bool is_wanted)
{
    uint64_t mark = (said->question ^ said->m->id) | 1; /* 0 is none */
    for (unsigned i = 0; i < DNS_ANSWERED && !is_wanted; i++)
        if (s->answered[i] == mark)
            return true;
    s->answered[s->answered_next++ % DNS_ANSWERED] = mark;
    return false;
}

static void take_response(struct hearing *h, const struct said *said)
{
    struct dns_state *s = state_of(h);
    struct query *q = look_up(h, said);
    if (is_told(s, said, q != NULL))
        return;
    uint8_t outcome = !q ? EXCHANGE_UNSEEN : q->told ? EXCHANGE_LATE : EXCHANGE_COMPLETE;
    if (q)
        unlink_query(h, q);
    struct exchange_row *r =
        exchange_add(h, q ? q->ordinal : ++h->v->ordinal, outcome, q ? q->waiter.since_ns : said->first_ns);
    if (r && q) {
        if (q->told) /* what the query had stands in its row */
            fill_question(h, r, q->name, q->name_len, q->type);
        else
            fill_query(h, r, q);
        EXCHANGE_PUT(r, EXCHANGE_WAIT, wait_ns, exchange_since(said->first_ns, q->last_ns));
        EXCHANGE_PUT(r, EXCHANGE_DURATION, duration_ns, exchange_since(said->last_ns, q->waiter.since_ns));
    } else if (r) {
        fill_question(h, r, said->m->name, said->m->name_len, said->m->type);
    }
    if (r)
        fill_response(h, r, said);
    conversation_release(h->all, h->v, q);
}

static uint64_t question_of(const struct dns_message *m)
{
    return hash64_seed(m->name, m->name_len, (uint64_t)m->class << 16 | m->type);
}

static void take_message(struct hearing *h, const uint8_t *data, size_t len, struct said said)
{
    struct dns_message m;
    if (dns_read(data, len, &m) == APP_READ_INVALID)
        return;
    said.m = &m;
    said.question = question_of(&m);
    conversation_say(h, &h->v->dns_name, m.name, m.name_len);
    if (!h->v->counts)
        return;
    if (m.response)
        take_response(h, &said);
    else
        take_query(h, &said);
}

static void begin(struct hearing *h)
{
    h->v->app = conversation_app(h->v->place);
    h->v->counts = h->v->place->app == APP_DNS;
    for (unsigned i = 0; h->v->direction && i < 2; i++)
        state_of(h)->lost[i] = (h->v->place->strange >> i & 1) || !h->v->direction[i].known;
    if (h->v->direction)
        state_of(h)->lost[h->side] = false;
}

static void datagram(struct hearing *h, const uint8_t *data, size_t len, size_t wire)
{
    struct said said = {.first_ns = h->time_ns, .last_ns = h->time_ns, .bytes = wire};
    take_message(h, data, len, said);
}

/* ---------------------------------------------------------------- TCP */

static bool found_again(struct hearing *h, const uint8_t *data, size_t len)
{
    size_t length = len < DNS_TCP_LENGTH ? 0 : (size_t)data[0] << 8 | data[1];
    bool begins =
        h->at_start && length && length <= len - DNS_TCP_LENGTH && dns_plausible(data + DNS_TCP_LENGTH, length);
    state_of(h)->lost[h->side] = !begins;
    return begins;
}

static size_t take(struct hearing *h, const uint8_t *data, size_t len)
{
    size_t taken = 0;
    if (state_of(h)->lost[h->side] && !found_again(h, data, len))
        return len;
    while (len - taken >= DNS_TCP_LENGTH && !conversation_is_over(h)) {
        size_t length = (size_t)data[taken] << 8 | data[taken + 1];
        if (length < DNS_HEADER) {
            conversation_deafen(h, h->side);
            break;
        }
        if (length > len - taken - DNS_TCP_LENGTH)
            break;
        struct said said = {.first_ns = taken < h->old ? h->first_ns : h->time_ns,
                            .last_ns = h->time_ns,
                            .bytes = DNS_TCP_LENGTH + length};
        take_message(h, data + taken + DNS_TCP_LENGTH, length, said);
        taken += said.bytes;
    }
    return taken;
}

static void missed(struct hearing *h, uint64_t n)
{
    (void)n;
    state_of(h)->lost[h->side] = true;
    state_of(h)->unseen = true;
}

static void running(struct hearing *h)
{
    for (const struct query *q = state_of(h)->waits; q; q = q->next)
        tell(h, q, EXCHANGE_RUNNING);
}

static void end(struct hearing *h, uint8_t reason)
{
    struct dns_state *s = state_of(h);
    while (s->first) {
        uint8_t outcome = is_old(h, s->first) ? EXCHANGE_UNANSWERED : exchange_left(reason, EXCHANGE_UNANSWERED);
        end_first(h, s->unseen ? EXCHANGE_UNSEEN : outcome);
    }
}

const struct app_reader app_dns_reader = {
    .state_size = sizeof(struct dns_state),
    .window = DNS_TCP_MAX,
    .begin = begin,
    .take = take,
    .missed = missed,
    .datagram = datagram,
    .running = running,
    .overdue = overdue,
    .end = end,
};
