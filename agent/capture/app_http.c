/*
 * app_http: HTTP/1: requests wait in a queue for their replies, which come in the same order (RFC 9112, 9.3.2).
 *
 * An exchange ends when both its request and its final response have; responses of 1xx are only counted. After 101, and 2xx for
 * CONNECT, nothing more is read. Of what is missing (snaplen, lost packets) bodies do without; else the direction is lost until a
 * segment begins with a message: the message at hand was not seen to its end, and requests that wait may have been answered meanwhile,
 * so that the next reply is that of a later request, if there is one. A reply without a request is an exchange of its own.
 */
#include "agent/capture/conversation_impl.h"
#include "common/app/http.h"
#include <string.h>

#define WAITING_MAX 256u /* requests without a reply in one flow; then the oldest counts as not seen */

struct exchange {
    struct exchange *next;
    uint64_t first_ns, last_ns; /* of the request; without one: of the reply */
    uint64_t reply_ns, end_ns;  /* of the reply: first and last */
    uint64_t request_bytes, request_body, reply_bytes, reply_body;
    uint32_t ordinal;
    bool has_request, asked; /* there is one; it has ended */
    bool has_reply, replied; /* likewise, its final response */
    bool unseen;             /* bytes of it are missing */
    bool early;              /* the reply began before the request had ended */
    uint64_t early_ns;       /* how long after what was sent of it until then */
    uint8_t minor;           /* of the version; HTTP_MINOR_NONE: not seen */
    uint16_t status;
    uint16_t method_len, path_len, host_len, type_len;
    char *type;
    char text[]; /* method and 0, path, host */
};

struct http_end {
    struct http_reader reader;
    struct http_head *saved; /* of a head that has not ended yet */
    uint64_t first_ns, last_ns;
    bool lost;   /* until a segment begins with a message */
    bool passed; /* a response that ends nothing, 1xx */
    bool closed, broken;
};

struct http_state {
    struct http_end end[2];
    bool known; /* `client` is */
    uint8_t client;
    struct exchange *first, *last; /* oldest and newest that has not ended */
    uint32_t waiting;
    uint32_t doubted;           /* ordinal: of exchanges up to here the replies may be among what is missing */
    struct exchange *asking;    /* whose request is being read */
    struct exchange *answering; /* whose reply is */
};

static struct http_state *state_of(const struct hearing *h)
{
    return h->v->state;
}

/* ---------------------------------------------------------------- rows */

static void fill_request(struct hearing *h, const struct exchange *x, struct exchange_row *r)
{
    EXCHANGE_PUT(r, EXCHANGE_REQUEST_BYTES, request_bytes, x->request_bytes);
    EXCHANGE_PUT(r, EXCHANGE_REQUEST_BODY, request_body, x->request_body);
    if (x->asked && !x->unseen)
        EXCHANGE_PUT(r, EXCHANGE_SEND, send_ns, exchange_since(x->last_ns, x->first_ns));
    const char *path = x->text + x->method_len + 1;
    exchange_text(h, r, EXCHANGE_METHOD, &r->method, x->text, x->method_len);
    exchange_text(h, r, EXCHANGE_PATH, &r->path, path, x->path_len);
    exchange_text(h, r, EXCHANGE_HTTP_HOST, &r->http_host, path + x->path_len, x->host_len);
}

static void fill_reply(struct hearing *h, const struct exchange *x, struct exchange_row *r, uint8_t outcome)
{
    EXCHANGE_PUT(r, EXCHANGE_REPLY_BYTES, reply_bytes, x->reply_bytes);
    EXCHANGE_PUT(r, EXCHANGE_REPLY_BODY, reply_body, x->reply_body);
    EXCHANGE_PUT(r, EXCHANGE_STATUS, status, x->status);
    if (x->has_request && x->early)
        EXCHANGE_PUT(r, EXCHANGE_WAIT, wait_ns, x->early_ns);
    else if (x->has_request && x->asked)
        EXCHANGE_PUT(r, EXCHANGE_WAIT, wait_ns, exchange_since(x->reply_ns, x->last_ns));
    bool is_over = x->replied && outcome != EXCHANGE_RUNNING;
    if (x->has_request && (is_over || outcome == EXCHANGE_CUT || outcome == EXCHANGE_OPEN)) /* as far as it came */
        EXCHANGE_PUT(r, EXCHANGE_DURATION, duration_ns, exchange_since(x->end_ns, x->first_ns));
    if (x->type)
        exchange_text(h, r, EXCHANGE_CONTENT_TYPE, &r->content_type, x->type, x->type_len);
}

static void tell(struct hearing *h, const struct exchange *x, uint8_t outcome)
{
    char version[] = "HTTP/1.0";
    struct exchange_row *r = exchange_add(h, x->ordinal, outcome, x->first_ns);
    if (!r)
        return;
    version[sizeof version - 2] = (char)('0' + x->minor); /* one digit */
    if (x->minor != HTTP_MINOR_NONE)
        exchange_text(h, r, EXCHANGE_VERSION, &r->version, version, sizeof version - 1);
    if (x->has_request)
        fill_request(h, x, r);
    if (x->has_reply)
        fill_reply(h, x, r, outcome);
}

/* The first in the queue ends. */
static void end_first(struct hearing *h, uint8_t outcome)
{
    struct http_state *s = state_of(h);
    struct exchange *x = s->first;
    s->first = x->next;
    if (!s->first)
        s->last = NULL;
    s->waiting--;
    if (s->asking == x)
        s->asking = NULL;
    if (s->answering == x)
        s->answering = NULL;
    tell(h, x, outcome);
    conversation_release(h->all, h->v, x->type);
    conversation_release(h->all, h->v, x);
}

static void end_ready(struct hearing *h)
{
    struct http_state *s = state_of(h);
    while (s->first && s->first->replied && s->first->asked)
        end_first(h, s->first->unseen ? EXCHANGE_UNSEEN : EXCHANGE_COMPLETE);
}

/* ---------------------------------------------------------------- the queue */

static struct exchange *add(struct hearing *h, size_t text)
{
    struct http_state *s = state_of(h);
    struct exchange *x = conversation_alloc(h, sizeof *x + text);
    if (!x) {
        conversation_give_up(h);
        return NULL;
    }
    x->ordinal = ++h->v->ordinal;
    if (s->last)
        s->last->next = x;
    else
        s->first = x;
    s->last = x;
    s->waiting++;
    return x;
}

static struct exchange *add_request(struct hearing *h, const struct http_head *head)
{
    struct exchange *x = add(h, (size_t)head->method_len + 1 + head->path_len + head->host_len);
    if (!x)
        return NULL;
    x->has_request = true;
    x->minor = head->minor;
    x->method_len = head->method_len;
    x->path_len = head->path_len;
    x->host_len = head->host_len;
    char *path = x->text + head->method_len + 1;
    memcpy(x->text, head->method, head->method_len);
    memcpy(path, head->path, head->path_len);
    memcpy(path + head->path_len, head->host, head->host_len);
    return x;
}

static struct exchange *next_waiting(const struct http_state *s)
{
    struct exchange *x = s->first;
    while (x && x->has_reply)
        x = x->next;
    return x;
}

static bool is_doubtful(const struct http_state *s, const struct exchange *x)
{
    return !x->has_reply && x->ordinal <= s->doubted;
}

/* Replies may have been missed: which request does this one answer? */
static struct exchange *whose_reply(struct hearing *h)
{
    struct http_state *s = state_of(h);
    struct exchange *sure = next_waiting(s);
    while (sure && is_doubtful(s, sure) && sure->next)
        sure = sure->next;
    while (sure && s->first != sure && is_doubtful(s, s->first))
        end_first(h, EXCHANGE_UNSEEN);
    return sure;
}

/* ---------------------------------------------------------------- messages */

static void note_request(struct http_state *s, const struct http_end *end, bool is_over)
{
    struct exchange *x = s->asking;
    if (!x)
        return;
    x->first_ns = end->first_ns;
    x->last_ns = end->last_ns;
    x->request_bytes = end->reader.bytes;
    x->request_body = end->reader.body;
    x->asked = is_over;
}

static void request_head(struct hearing *h, struct http_end *end)
{
    struct http_state *s = state_of(h);
    const struct http_head *head = end->reader.head;
    while (s->first && is_doubtful(s, s->first))
        end_first(h, EXCHANGE_UNSEEN);
    while (s->waiting >= WAITING_MAX)
        end_first(h, EXCHANGE_UNSEEN);
    conversation_say(h, &h->v->http_host, head->host, head->host_len);
    conversation_say(h, &h->v->software[h->side], head->software, head->software_len);
    s->asking = add_request(h, head);
    note_request(s, end, false);
}

static void request_end(struct hearing *h, struct http_end *end)
{
    struct http_state *s = state_of(h);
    note_request(s, end, true);
    s->asking = NULL;
    end_ready(h);
}

static struct exchange *reply_alone(struct hearing *h)
{
    struct exchange *x = add(h, 1);
    if (x) {
        x->asked = x->unseen = true;
        x->first_ns = state_of(h)->end[h->side].first_ns;
    }
    return x;
}

static void note_reply(struct http_state *s, const struct http_end *end, bool is_over)
{
    struct exchange *x = s->answering;
    if (!x)
        return;
    x->reply_ns = end->first_ns;
    x->end_ns = end->last_ns;
    x->reply_bytes = end->reader.bytes;
    x->reply_body = end->reader.body;
    x->replied = is_over;
}

/* The connection goes on as something else. */
static void switched(struct hearing *h, struct http_end *end)
{
    struct http_state *s = state_of(h);
    note_reply(s, end, true);
    if (s->answering)
        s->answering->asked = true;
    end_ready(h);
    conversation_deafen(h, 0);
    conversation_deafen(h, 1);
}

static void reply_head(struct hearing *h, struct http_end *end)
{
    struct http_state *s = state_of(h);
    const struct http_head *head = end->reader.head;
    h->v->answers_have_status = true;
    conversation_status(h->v, head->status);
    conversation_say(h, &h->v->software[h->side], head->software, head->software_len);
    end->passed = head->status < 200 && head->status != 101;
    if (end->passed) {
        (void)http_reply_to(&end->reader, "");
        return;
    }
    struct exchange *x = whose_reply(h);
    if (!x)
        x = reply_alone(h);
    if (!x)
        return;
    s->answering = x;
    x->early = !x->asked;
    x->early_ns = exchange_since(end->first_ns, x->last_ns);
    x->has_reply = true;
    x->status = head->status;
    x->minor = head->minor;
    note_reply(s, end, false);
    if (head->type_len) {
        x->type = conversation_alloc(h, head->type_len);
        x->type_len = x->type ? head->type_len : 0;
        if (x->type)
            memcpy(x->type, head->type, head->type_len);
    }
    if (!http_reply_to(&end->reader, x->text))
        switched(h, end);
}

static void reply_end(struct hearing *h, struct http_end *end)
{
    struct http_state *s = state_of(h);
    if (!end->passed)
        note_reply(s, end, true);
    end->passed = false;
    s->answering = NULL;
    end_ready(h);
}

/* What no row may tell goes no further than this. The path of CONNECT is a host. */
static void blank(const struct hearing *h, struct http_head *head, bool is_request)
{
    unsigned words = h->all->options.http_blank;
    bool tells_host = (words & HTTP_BLANK_HOST) && is_request && strcmp(head->method, "CONNECT") == 0;
    if ((words & HTTP_BLANK_PATH) || tells_host)
        head->path_len = 0;
    if (words & HTTP_BLANK_HOST)
        head->host_len = 0;
    if (words & (is_request ? HTTP_BLANK_USER_AGENT : HTTP_BLANK_SERVER))
        head->software_len = 0;
    if (words & HTTP_BLANK_CONTENT_TYPE)
        head->type_len = 0;
}

static void happened(struct hearing *h, struct http_end *end, enum http_event event)
{
    bool is_request = end->reader.kind == HTTP_REQUEST;
    if (event == HTTP_HEAD) {
        blank(h, end->reader.head, is_request);
        if (is_request)
            request_head(h, end);
        else
            reply_head(h, end);
        conversation_release(h->all, h->v, end->saved);
        end->saved = NULL;
    } else if (is_request) {
        request_end(h, end);
    } else {
        reply_end(h, end);
    }
}

/* ---------------------------------------------------------------- bytes */

static void begin_ends(struct hearing *h, struct http_state *s, const uint8_t *data, size_t len)
{
    s->known = true;
    s->client = (uint8_t)(http_begins(HTTP_REPLY, data, len) ? !h->side : h->side);
    for (unsigned i = 0; i < 2; i++)
        http_begin(&s->end[i].reader, i == s->client ? HTTP_REQUEST : HTTP_REPLY, NULL);
    s->end[h->side].lost = false;
}

static void begin(struct hearing *h)
{
    struct http_state *s = state_of(h);
    h->v->counts = true;
    h->v->app = conversation_app(h->v->place);
    for (unsigned i = 0; i < 2; i++)
        s->end[i].lost = (h->v->place->strange >> i & 1) || !h->v->direction[i].known;
}

/* Whether a message begins here; else *taken says how many bytes are passed over. */
static bool found_again(const struct hearing *h, struct http_end *end, const uint8_t *data, size_t len, size_t *taken)
{
    enum http_kind kind = end->reader.kind;
    bool begins = h->at_start && http_begins(kind, data, len);
    *taken = h->at_start && !begins && len < CONVERSATION_LOOK_MAX && http_may_begin(data, len) ? 0 : len;
    if (begins) {
        http_begin(&end->reader, kind, NULL);
        end->lost = false;
    }
    return begins;
}

/* A head goes on in a later segment. */
static void save_head(struct hearing *h, struct http_end *end)
{
    if (!http_in_head(&end->reader) || end->saved || conversation_is_over(h))
        return;
    end->saved = conversation_alloc(h, sizeof *end->saved);
    if (end->saved)
        memcpy(end->saved, end->reader.head, sizeof *end->saved);
    else
        conversation_give_up(h);
}

static void note_bytes(struct hearing *h, struct http_end *end, bool was_between, bool is_old)
{
    if (was_between) {
        end->first_ns = is_old ? h->first_ns : h->time_ns;
        end->last_ns = h->time_ns;
    }
    if (h->time_ns > end->last_ns)
        end->last_ns = h->time_ns;
    if (h->time_ns < end->first_ns) /* what waited for other bytes was seen before them */
        end->first_ns = h->time_ns;
    if (end->reader.kind == HTTP_REQUEST)
        note_request(state_of(h), end, false);
    else
        note_reply(state_of(h), end, false);
}

/* Reads on until there is nothing more to tell; data may be NULL with len 0. */
static size_t read_all(struct hearing *h, struct http_end *end, const uint8_t *data, size_t len)
{
    struct http_reader *r = &end->reader;
    size_t taken = 0;
    enum http_event event = HTTP_HEAD;
    while (event != HTTP_MORE && !conversation_is_over(h) && !h->v->direction[h->side].deaf) {
        bool was_between = http_between(r);
        r->head = end->saved ? end->saved : &h->all->http_head;
        size_t n = http_read(r, data ? data + taken : NULL, len - taken, &event);
        if (event == HTTP_BROKEN) {
            end->broken = true;
            conversation_deafen(h, h->side);
            break;
        }
        if (n && !(was_between && http_between(r)))
            note_bytes(h, end, was_between, taken < h->old);
        taken += n;
        if (event != HTTP_MORE)
            happened(h, end, event);
        else
            save_head(h, end);
    }
    r->head = NULL;
    return taken;
}

static size_t take(struct hearing *h, const uint8_t *data, size_t len)
{
    struct http_state *s = state_of(h);
    struct http_end *end = &s->end[h->side];
    size_t taken;
    if (!s->known)
        begin_ends(h, s, data, len);
    if (end->lost && !found_again(h, end, data, len, &taken))
        return taken;
    if (len < http_ahead(&end->reader)) { /* most packets: the middle of a body */
        http_missed(&end->reader, len);
        note_bytes(h, end, false, false);
        return len;
    }
    return read_all(h, end, data, len);
}

static uint64_t ahead(const struct conversation *v, unsigned side)
{
    const struct http_state *s = v->state;
    const struct http_end *end = &s->end[side];
    return end->lost ? 0 : http_ahead(&end->reader);
}

/* A request of whose first line only the beginning was captured. */
static void cut(struct hearing *h, const uint8_t *data, size_t len)
{
    struct http_state *s = state_of(h);
    struct http_end *end = &s->end[h->side];
    struct http_head *head = &h->all->http_head;
    if (!s->known || h->side != s->client || end->lost || !http_between(&end->reader) ||
        !http_cut_request(data, len, head))
        return;
    blank(h, head, true);
    end->first_ns = h->v->direction[h->side].pending_ns;
    end->last_ns = h->time_ns;
    end->reader.bytes = len;
    end->reader.body = 0;
    end->reader.head = head;
    request_head(h, end);
    end->reader.head = NULL;
}

/* A head of which the rest is missing: what it said so far. */
static void tell_head(struct hearing *h, struct http_end *end)
{
    if (end->lost || !end->saved)
        return;
    end->reader.head = end->saved;
    blank(h, end->saved, end->reader.kind == HTTP_REQUEST);
    if (end->reader.kind == HTTP_REQUEST)
        request_head(h, end);
    else
        reply_head(h, end);
    end->reader.head = NULL;
}

/* The message at hand will not be seen to its end. */
static void lose(struct hearing *h, struct http_end *end)
{
    struct http_state *s = state_of(h);
    tell_head(h, end);
    bool is_request = !s->known || h->side == s->client;
    struct exchange *x = is_request ? s->asking : s->answering;
    if (x) {
        x->unseen = true;
        x->asked |= is_request;
        x->replied |= !is_request;
    }
    if (is_request)
        s->asking = NULL;
    else
        s->answering = NULL;
    end_ready(h);
    if (!is_request)
        s->doubted = h->v->ordinal;
    conversation_release(h->all, h->v, end->saved);
    end->saved = NULL;
    end->passed = false;
    end->lost = true;
}

static void missed(struct hearing *h, uint64_t n)
{
    struct http_end *end = &state_of(h)->end[h->side];
    uint64_t counted = ahead(h->v, h->side);
    if (counted) {
        uint64_t now = n < counted ? n : counted;
        n -= now;
        http_missed(&end->reader, now);
        note_bytes(h, end, false, false);
        (void)read_all(h, end, NULL, 0);
    }
    if (n && !conversation_is_over(h))
        lose(h, end);
}

static void closed(struct hearing *h)
{
    struct http_state *s = state_of(h);
    struct http_end *end = &s->end[h->side];
    end->closed = true;
    if (s->known && !end->lost && end->reader.kind == HTTP_REPLY && http_closed(&end->reader))
        reply_end(h, end);
}

/* ---------------------------------------------------------------- the end */

static uint8_t outcome_of(const struct http_state *s, const struct exchange *x, uint8_t reason)
{
    const struct http_end *client = &s->end[s->client], *server = &s->end[!s->client];
    if (x->replied && !x->unseen)
        return EXCHANGE_COMPLETE;
    if (x->unseen || is_doubtful(s, x) || server->broken || (server->lost && !x->has_reply))
        return EXCHANGE_UNSEEN;
    bool begun = !server->lost && !http_between(&server->reader); /* a head that has not ended */
    if (x->has_reply || begun)
        return server->closed ? EXCHANGE_CUT : exchange_left(reason, EXCHANGE_CUT);
    if (!x->asked)
        return client->closed ? EXCHANGE_CUT : exchange_left(reason, EXCHANGE_CUT);
    return server->closed ? EXCHANGE_UNANSWERED : exchange_left(reason, EXCHANGE_UNANSWERED);
}

static void running(struct hearing *h)
{
    for (const struct exchange *x = state_of(h)->first; x; x = x->next)
        tell(h, x, EXCHANGE_RUNNING);
}

static void end(struct hearing *h, uint8_t reason)
{
    struct http_state *s = state_of(h);
    while (s->first)
        end_first(h, outcome_of(s, s->first, reason));
    conversation_release(h->all, h->v, s->end[0].saved);
    conversation_release(h->all, h->v, s->end[1].saved);
}

const struct app_reader app_http_reader = {
    .state_size = sizeof(struct http_state),
    .window = HTTP_LINE_MAX,
    .begin = begin,
    .take = take,
    .ahead = ahead,
    .cut = cut,
    .missed = missed,
    .closed = closed,
    .running = running,
    .end = end,
};
