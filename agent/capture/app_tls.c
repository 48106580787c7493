/*
 * app_tls: the handshake of TLS is one exchange: the client's hello is the request, the server's first bytes begin the reply, and it ends when both
 * have shown that it is over: by ChangeCipherSpec, behind which comes Finished, or, in TLS 1.3, by their first encrypted record. A fatal
 * alert in the clear ends it as well (cut). After that nothing can be read, and nothing is.
 */
#include "agent/capture/conversation_impl.h"
#include "common/app/names.h"
#include "common/app/tls.h"
#include <stdio.h>
#include <string.h>

#define WINDOW_MAX  16384u /* of a hello; of longer ones the beginning is read */
#define LEVEL_FATAL 2u
#define TEXT_SIZE   256u

struct tls_end {
    struct tls_reader reader;
    void *window;                      /* lent to it, or NULL */
    uint64_t first_ns, last_ns, bytes; /* of all that it said */
    bool said, hello, done, unseen, closed;
    bool other; /* what it said is no TLS: a refusal in words, say */
};

struct tls_state {
    struct tls_end end[2];
    uint8_t client; /* by whose hello it is */
    bool known;     /* the client is */
    bool asked;     /* its hello was read */
    bool is_13, ended;
    uint64_t asked_ns; /* the hello's last byte */
    uint16_t version, cipher;
    bool has_server; /* the server's hello was read: version, cipher */
};

static struct tls_state *state_of(const struct hearing *h)
{
    return h->v->state;
}

/* ---------------------------------------------------------------- the row */

static void fill_server(struct hearing *h, const struct tls_state *s, struct exchange_row *r)
{
    char number[16];
    const char *version = name_of(app_tls_versions, s->version);
    if (!version) {
        snprintf(number, sizeof number, "0x%04x", s->version);
        version = number;
    }
    exchange_text(h, r, EXCHANGE_VERSION, &r->version, version, strlen(version));
    EXCHANGE_PUT(r, EXCHANGE_TLS_CIPHER, tls_cipher, s->cipher);
}

static void fill(struct hearing *h, const struct tls_state *s, struct exchange_row *r, uint8_t outcome)
{
    const struct tls_end *client = &s->end[s->client], *server = &s->end[!s->client];
    const struct conversation *v = h->v;
    if (client->said)
        EXCHANGE_PUT(r, EXCHANGE_REQUEST_BYTES, request_bytes, client->bytes);
    if (server->said)
        EXCHANGE_PUT(r, EXCHANGE_REPLY_BYTES, reply_bytes, server->bytes);
    if (s->asked)
        EXCHANGE_PUT(r, EXCHANGE_SEND, send_ns, exchange_since(s->asked_ns, client->first_ns));
    if (s->asked && server->said)
        EXCHANGE_PUT(r, EXCHANGE_WAIT, wait_ns, exchange_since(server->first_ns, s->asked_ns));
    if (s->asked && outcome == EXCHANGE_COMPLETE) {
        uint64_t last = client->last_ns > server->last_ns ? client->last_ns : server->last_ns;
        EXCHANGE_PUT(r, EXCHANGE_DURATION, duration_ns, exchange_since(last, client->first_ns));
    }
    if (s->has_server)
        fill_server(h, s, r);
    exchange_text(h, r, EXCHANGE_SNI, &r->sni, v->sni.text, v->sni.len);
    exchange_text(h, r, EXCHANGE_ALPN, &r->alpn, v->alpn.text, v->alpn.len);
    exchange_text(h, r, EXCHANGE_JA4, &r->ja4, v->ja4.text, v->ja4.len);
    if (v->has_tls_alert)
        EXCHANGE_PUT(r, EXCHANGE_TLS_ALERT, tls_alert, v->tls_alert);
}

static void tell(struct hearing *h, uint32_t ordinal, uint8_t outcome)
{
    const struct tls_state *s = state_of(h);
    const struct tls_end *first = s->end[s->client].said ? &s->end[s->client] : &s->end[!s->client];
    struct exchange_row *r = exchange_add(h, ordinal, outcome, first->first_ns);
    if (r)
        fill(h, s, r, outcome);
}

static void end_exchange(struct hearing *h, uint8_t outcome)
{
    struct tls_state *s = state_of(h);
    if (s->ended || !s->known)
        return;
    s->ended = true;
    tell(h, ++h->v->ordinal, outcome);
}

static void running(struct hearing *h)
{
    const struct tls_state *s = state_of(h);
    if (s->known && !s->ended)
        tell(h, h->v->ordinal + 1, EXCHANGE_RUNNING);
}

static void over(struct hearing *h, uint8_t outcome)
{
    end_exchange(h, outcome);
    conversation_deafen(h, 0);
    conversation_deafen(h, 1);
}

/* ---------------------------------------------------------------- what is said */

static void know_client(struct tls_state *s, unsigned side)
{
    if (!s->known)
        s->client = (uint8_t)side;
    s->known = true;
}

static void client_hello(struct hearing *h, const struct tls_reader *r)
{
    struct tls_state *s = state_of(h);
    struct tls_client_hello hello;
    char text[TEXT_SIZE], ja4[JA4_SIZE];
    know_client(s, h->side);
    if (s->asked || tls_client_hello_read(r->body, r->len, &hello) == APP_READ_INVALID)
        return; /* the second one repeats the first */
    s->asked = true;
    s->asked_ns = h->time_ns;
    conversation_say(h, &h->v->sni, text, tls_name_text(&hello.server_name, text, sizeof text));
    conversation_say(h, &h->v->alpn, text, tls_alpn_text(&hello.alpn, text, sizeof text));
    if (r->len == r->wire && h->all->ja4 && tls_ja4(h->all->ja4, &hello, JA4_TCP, ja4))
        conversation_say(h, &h->v->ja4, ja4, JA4_SIZE - 1);
}

static void server_hello(struct hearing *h, const struct tls_reader *r)
{
    struct tls_state *s = state_of(h);
    struct tls_server_hello hello;
    char text[TEXT_SIZE];
    know_client(s, !h->side);
    if (tls_server_hello_read(r->body, r->len, &hello) == APP_READ_INVALID || !hello.has_cipher)
        return;
    s->has_server = true;
    s->is_13 = tls_is_13(&hello);
    s->version = h->v->tls_version = hello.version;
    s->cipher = h->v->tls_cipher = hello.cipher;
    h->v->has_tls_version = h->v->has_tls_cipher = true;
    conversation_say(h, &h->v->alpn, text, tls_alpn_text(&hello.alpn, text, sizeof text));
}

static void take_back(struct hearing *h, struct tls_end *end)
{
    (void)tls_reader_take_back(&end->reader);
    conversation_release(h->all, h->v, end->window);
    end->window = NULL;
}

static void message(struct hearing *h, struct tls_reader *r)
{
    if (r->type == TLS_CLIENT_HELLO)
        client_hello(h, r);
    else if (r->type == TLS_SERVER_HELLO)
        server_hello(h, r);
    take_back(h, &state_of(h)->end[h->side]);
}

static void alert(struct hearing *h, const struct tls_reader *r)
{
    h->v->tls_alert = r->alert.code;
    h->v->has_tls_alert = true;
    if (r->alert.level == LEVEL_FATAL)
        over(h, EXCHANGE_CUT);
}

static void lend(struct hearing *h, struct tls_reader *r)
{
    size_t size = (size_t)r->wire + TLS_HANDSHAKE_HEADER;
    if (size > WINDOW_MAX)
        size = WINDOW_MAX;
    void *window = conversation_alloc(h, size);
    if (window)
        tls_reader_lend(r, window, size);
    state_of(h)->end[h->side].window = window;
}

static void done(struct hearing *h)
{
    struct tls_state *s = state_of(h);
    s->end[h->side].done = true;
    if (s->end[0].done && s->end[1].done)
        over(h, EXCHANGE_COMPLETE);
}

static void happened(struct hearing *h, enum tls_event event, struct tls_reader *r)
{
    switch (event) {
    case TLS_WINDOW:
        lend(h, r);
        break;
    case TLS_MESSAGE:
        message(h, r);
        break;
    case TLS_ALERTED:
        alert(h, r);
        break;
    case TLS_CIPHER_CHANGED:
        if (!state_of(h)->is_13)
            done(h);
        break;
    case TLS_DATA_BEGINS:
        done(h);
        break;
    default:
        break;
    }
}

/* ---------------------------------------------------------------- bytes */

static void begin(struct hearing *h)
{
    struct tls_state *s = state_of(h);
    h->v->app = conversation_app(h->v->place);
    h->v->counts = true;
    for (unsigned i = 0; i < 2; i++)
        tls_reader_begin(&s->end[i].reader);
}

static void note_time(const struct hearing *h, struct tls_end *end)
{
    uint64_t first = h->old ? h->first_ns : h->time_ns;
    if (!end->said || first < end->first_ns)
        end->first_ns = first;
    if (!end->said || h->time_ns > end->last_ns)
        end->last_ns = h->time_ns;
    end->said = true;
}

static size_t take(struct hearing *h, const uint8_t *data, size_t len)
{
    struct tls_state *s = state_of(h);
    struct tls_end *end = &s->end[h->side];
    const uint8_t *at = data;
    size_t left = len;
    note_time(h, end);
    while (!conversation_is_over(h)) {
        size_t before = left;
        enum tls_event event = tls_reader_next(&end->reader, &at, &left);
        end->bytes += before - left;
        if (event == TLS_MORE)
            break;
        if (event == TLS_NONE) {
            end->other = true;
            conversation_deafen(h, h->side);
            break;
        }
        happened(h, event, &end->reader);
    }
    return len;
}

static void missed(struct hearing *h, uint64_t n)
{
    struct tls_end *end = &state_of(h)->end[h->side];
    if (n <= UINT32_MAX && tls_reader_skip(&end->reader, (uint32_t)n)) {
        end->bytes += n;
        return;
    }
    end->unseen = true;
    conversation_deafen(h, h->side);
}

static void closed(struct hearing *h)
{
    state_of(h)->end[h->side].closed = true;
}

static uint8_t outcome_of(const struct tls_state *s, uint8_t reason)
{
    const struct tls_end *client = &s->end[s->client], *server = &s->end[!s->client];
    if (client->unseen || server->unseen || !client->said)
        return EXCHANGE_UNSEEN;
    if (client->other || server->other)
        return EXCHANGE_CUT;
    if (client->closed || server->closed)
        return server->said ? EXCHANGE_CUT : EXCHANGE_UNANSWERED;
    return exchange_left(reason, server->said ? EXCHANGE_CUT : EXCHANGE_UNANSWERED);
}

static void end(struct hearing *h, uint8_t reason)
{
    struct tls_state *s = state_of(h);
    end_exchange(h, outcome_of(s, reason));
    for (unsigned i = 0; i < 2; i++)
        take_back(h, &s->end[i]);
}

const struct app_reader app_tls_reader = {
    .state_size = sizeof(struct tls_state),
    .window = 1, /* nothing is left */
    .begin = begin,
    .take = take,
    .missed = missed,
    .closed = closed,
    .running = running,
    .end = end,
};
