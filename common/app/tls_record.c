/* tls: records, and one direction of a connection from record to message. */
#include "common/app/tls.h"
#include <string.h>

#define VERSION_MAJOR     3u
#define VERSION_MINOR_MAX 4u
#define ALERT_BYTES       2u

uint32_t tls_record_length(const uint8_t *h)
{
    uint32_t length = (uint32_t)h[3] << 8 | h[4];
    bool sound =
        h[0] >= TLS_CHANGE_CIPHER && h[0] <= TLS_HEARTBEAT && h[1] == VERSION_MAJOR && h[2] <= VERSION_MINOR_MAX;
    return sound && length && length <= TLS_RECORD_MAX ? TLS_RECORD_HEADER + length : 0;
}

static bool is_hello(uint8_t type)
{
    return type == TLS_CLIENT_HELLO || type == TLS_SERVER_HELLO;
}

bool tls_begins(const void *data, size_t len)
{
    const uint8_t *p = data;
    return len > TLS_RECORD_HEADER && p[0] == TLS_HANDSHAKE &&
           tls_record_length(p) > TLS_RECORD_HEADER + TLS_HANDSHAKE_HEADER && is_hello(p[5]);
}

/* ------------------------------------------------------------------ a direction */

void tls_reader_begin(struct tls_reader *r)
{
    *r = (struct tls_reader){0};
}

void tls_reader_lend(struct tls_reader *r, void *window, size_t size)
{
    r->window = window;
    r->window_size = size;
    r->window_have = 0;
}

void *tls_reader_take_back(struct tls_reader *r)
{
    void *window = r->window;
    if (window && r->in_message && r->wanted)
        r->emitted = true; /* the rest of it means nothing without its beginning */
    tls_reader_lend(r, NULL, 0);
    return window;
}

/* A piece of what is being read. */
struct piece {
    const uint8_t **data;
    size_t *len;
};

static void go_on(struct piece *in, size_t n)
{
    *in->data += n;
    *in->len -= n;
}

/* Puts bytes of the piece behind those in `to` until there are `size`; whether all are there. */
static bool gather(struct piece *in, uint8_t *to, uint8_t *have, size_t size)
{
    size_t n = size - *have;
    n = n < *in->len ? n : *in->len;
    memcpy(to + *have, *in->data, n);
    *have = (uint8_t)(*have + n);
    go_on(in, n);
    return *have == size;
}

static bool begin_record(struct tls_reader *r, struct piece *in)
{
    if (!gather(in, r->header, &r->header_have, sizeof r->header))
        return false;
    r->header_have = 0;
    uint32_t length = tls_record_length(r->header);
    r->failed = length == 0;
    if (r->failed)
        return true;
    r->record = r->header[0];
    r->record_size = r->record_left = length - TLS_RECORD_HEADER;
    r->ignored =
        r->record != TLS_HANDSHAKE && (r->record != TLS_ALERT || r->encrypted || r->record_left != ALERT_BYTES);
    r->alert_have = 0;
    if (r->encrypted && r->record == TLS_HANDSHAKE) {
        r->in_message = false;
        r->message_have = 0;
    }
    return true;
}

/* What a record says by being there. */
static enum tls_event record_event(struct tls_reader *r)
{
    if (r->failed)
        return TLS_NONE;
    if (r->record == TLS_CHANGE_CIPHER) {
        r->encrypted = true;
        return TLS_CIPHER_CHANGED;
    }
    if (r->record == TLS_ALERT && r->ignored)
        return TLS_ALERT_ENCRYPTED;
    return r->record == TLS_DATA ? TLS_DATA_BEGINS : TLS_MORE;
}

static enum tls_event read_alert(struct tls_reader *r, struct piece *in)
{
    size_t before = *in->len;
    bool whole = gather(in, r->alert_bytes, &r->alert_have, ALERT_BYTES);
    r->record_left -= (uint32_t)(before - *in->len);
    r->alert = (struct tls_alert){r->alert_bytes[0], r->alert_bytes[1]};
    return whole ? TLS_ALERTED : TLS_MORE;
}

/* ------------------------------------------------------------------ messages */

static enum tls_event tell(struct tls_reader *r, const uint8_t *body, size_t len)
{
    r->emitted = true;
    r->body = body;
    r->len = len;
    return TLS_MESSAGE;
}

/* Among encrypted records only one that a hello fills exactly is believed to be one. */
static bool hidden(const struct tls_reader *r)
{
    return r->encrypted && !(is_hello(r->type) && r->wire + TLS_HANDSHAKE_HEADER == r->record_size);
}

static enum tls_event begin_message(struct tls_reader *r, struct piece *in)
{
    const uint8_t *h = r->message_header;
    struct piece inside = *in;
    size_t left = *in->len < r->record_left ? *in->len : r->record_left, rest = left;
    inside.len = &rest;
    bool whole = gather(&inside, r->message_header, &r->message_have, sizeof r->message_header);
    *in->len -= left - rest;
    r->record_left -= (uint32_t)(left - rest);
    if (!whole)
        return TLS_MORE;
    r->message_have = 0;
    r->type = h[0];
    r->wire = r->message_left = (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
    if (hidden(r)) {
        r->ignored = true;
        return TLS_MORE;
    }
    r->in_message = true;
    r->wanted = is_hello(r->type);
    r->asked = r->emitted = false;
    r->window_have = 0;
    return r->wanted ? TLS_MORE : tell(r, NULL, 0);
}

/* Keeps what is here of a split hello, or hands it out if there is no room. */
static enum tls_event keep(struct tls_reader *r, const uint8_t *at, size_t here)
{
    if (!r->window)
        return tell(r, at, here);
    size_t room = r->window_size - r->window_have, n = here < room ? here : room;
    memcpy(r->window + r->window_have, at, n);
    r->window_have += n;
    if (r->message_left > here && r->window_have < r->window_size)
        return TLS_MORE;
    at = r->window;
    r->window = NULL; /* its owner's again */
    return tell(r, at, r->window_have);
}

static enum tls_event read_message(struct tls_reader *r, struct piece *in)
{
    const uint8_t *at = *in->data;
    size_t here = *in->len < r->record_left ? *in->len : r->record_left;
    enum tls_event event = TLS_MORE;
    here = here < r->message_left ? here : r->message_left;
    if (r->wanted && !r->emitted && here < r->message_left && !r->window && !r->asked) {
        r->asked = true;
        return TLS_WINDOW;
    }
    if (r->wanted && !r->emitted)
        event = here == r->message_left && r->window_have == 0 ? tell(r, at, here) : keep(r, at, here);
    go_on(in, here);
    r->record_left -= (uint32_t)here;
    r->message_left -= (uint32_t)here;
    r->in_message = r->message_left > 0;
    return event;
}

static enum tls_event read_record(struct tls_reader *r, struct piece *in)
{
    if (r->ignored) {
        size_t n = *in->len < r->record_left ? *in->len : r->record_left;
        go_on(in, n);
        r->record_left -= (uint32_t)n;
        return TLS_MORE;
    }
    if (r->record == TLS_ALERT)
        return read_alert(r, in);
    return r->in_message ? read_message(r, in) : begin_message(r, in);
}

/* A message without a body is over when it begins. */
static bool has_work(const struct tls_reader *r, size_t len)
{
    return len > 0 || (r->in_message && r->message_left == 0);
}

enum tls_event tls_reader_next(struct tls_reader *r, const uint8_t **data, size_t *len)
{
    struct piece in = {data, len};
    enum tls_event event = r->failed ? TLS_NONE : TLS_MORE;
    while (event == TLS_MORE && has_work(r, *len)) {
        if (r->record_left || (r->in_message && r->message_left == 0))
            event = read_record(r, &in);
        else if (begin_record(r, &in))
            event = record_event(r);
    }
    return event;
}

bool tls_reader_skip(struct tls_reader *r, uint32_t n)
{
    bool in_body = r->in_message && (r->emitted || !r->wanted) && n <= r->message_left;
    bool sound = !r->failed && r->header_have == 0 && n <= r->record_left && (r->ignored || in_body);
    r->failed = !sound;
    if (!sound)
        return false;
    r->record_left -= n;
    if (!r->ignored) {
        r->message_left -= n;
        r->in_message = r->message_left > 0;
    }
    return true;
}
