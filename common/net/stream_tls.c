/*
 * A stream over TLS. What is read is decrypted at once, all of it, into the stream's `in`, from where its frames are taken
 * as on plain TCP; a message is encrypted at once, in one piece, into the memory that libuv holds until it is written.
 *
 * Refusing an accepted connection is done gently: it is told why (an alert), and it is drained, since its unread bytes
 * would make the kernel send a reset, which may overtake the alert.
 */
#include "common/net/stream_impl.h"
#include "common/net/tls_impl.h"

#define ANSWERS_MAX                                                                                                    \
    ((size_t)256 << 10) /* bytes of key updates that wait: some thousands, and hardly anybody wants one */

#define TEXT_SIZE ((size_t)SSL3_RT_MAX_PLAIN_LENGTH) /* one record's; more are read in turn */

static bool is_accepted(const struct stream *s)
{
    return s->listener != NULL;
}

/* Sends what TLS made; false if that ended the stream. */
static bool flush(struct stream *s)
{
    return s->link->out.len == 0 || stream_write(s, &s->link->out) == 0;
}

/* ------------------------------------------------------------ refusals */

/* Who speaks our protocol without TLS is told so in its own words; anybody else gets an alert. */
static void answer_plain(struct stream *s)
{
    char text[] =
        "this collector takes encrypted connections only: join it (`fleetdump-agent join`, `fleetdump login`), "
        "and remove insecure_plaintext there";
    struct message m = {.type = MESSAGE_REFUSE, .refuse = {.code = ERROR_REFUSED, .text = text}};
    struct buffer frame = {.limit = NET_HELLO_MAX};
    if (message_encode(&m, &frame, NULL) == 0)
        (void)!stream_write(s, &frame);
    buffer_free(&frame);
}

static void refuse(struct stream *s, const struct error *why)
{
    s->late = s->link->late;
    if (is_accepted(s))
        error_set(&s->why, why->code, "the peer %s is refused: %s", s->peer, why->text);
    else
        error_set(&s->why, why->code, "no connection with %s: %s", s->peer, why->text);
    if (s->link->plain && is_accepted(s))
        answer_plain(s);
    else
        (void)flush(s);
    if (s->state != STREAM_CLOSED)
        stream_drain(s);
}

/* ------------------------------------------------------------ the handshake */
static void send_early(struct stream *s)
{
    struct error e = ERROR_INIT;
    if (s->early.len && stream_tls_send(s, &s->early, &e) != 0)
        stream_fail(s, e.code, "%s", e.text);
    buffer_free(&s->early);
}

static void secured(struct stream *s)
{
    bool was_closed = s->state == STREAM_DRAINING;
    s->secured = true;
    s->identity = s->link->identity;
    if (!was_closed)
        s->state = STREAM_OPEN;
    if (flush(s))
        send_early(s);
    if (s->state == STREAM_DRAINING) {
        stream_tls_end(s);
        stream_drain(s);
    } else if (s->state == STREAM_OPEN && !is_accepted(s)) {
        uv_timer_stop(&s->timer);
        if (s->events->on_open)
            s->events->on_open(s->context, s);
    }
}

static void shake(struct stream *s)
{
    struct error e = ERROR_INIT;
    int r = tls_handshake(s->link, &e);
    if (r == 1)
        secured(s);
    else if (r == 0)
        (void)flush(s);
    else
        refuse(s, &e);
}

void stream_tls_begin(struct stream *s)
{
    struct error e = ERROR_INIT;
    s->state = STREAM_SECURING;
    if (tls_link_new(s->tls, is_accepted(s), &s->link, &e) != 0)
        stream_fail(s, e.code, "%s", e.text);
    else if (!is_accepted(s))
        shake(s);
}

/* ------------------------------------------------------------ bytes */

/* Sends what TLS made of what came: nobody asked for it but the peer, who is to take it before he wants ever more. */
static bool flush_answers(struct stream *s)
{
    s->answers += s->link->out.len;
    if (s->answers > ANSWERS_MAX)
        stream_fail(s, ERROR_LIMIT, "the peer %s wants ever new keys, and does not take the answers", s->peer);
    return s->state != STREAM_CLOSED && flush(s);
}

static void read_text(struct stream *s)
{
    struct error e = ERROR_INIT;
    int n;
    do {
        void *room = buffer_reserve(&s->in, TEXT_SIZE);
        n = room ? tls_read(s->link, room, TEXT_SIZE, &e) : error_set(&e, ERROR_MEMORY, "no memory to read from it");
        if (n > 0)
            s->in.len += (size_t)n;
    } while (n > 0);
    if (n < 0)
        stream_fail(s, n, "the peer %s: %s", s->peer, e.text);
    else if (flush_answers(s))
        stream_read_frames(s);
}

void stream_tls_received(struct stream *s, const void *data, size_t length)
{
    if (s->why.code) /* refused, and drained */
        return;
    tls_feed(s->link, data, length);
    if (!s->secured)
        shake(s);
    if (s->secured && s->state == STREAM_OPEN)
        read_text(s);
    tls_feed(s->link, NULL, 0);
}

int stream_tls_send(struct stream *s, const struct buffer *text, struct error *e)
{
    if (!s->secured) {
        s->early.limit = STREAM_QUEUE_MAX;
        buffer_append(&s->early, text->data, text->len);
        return s->early.failed ? error_set(e, ERROR_MEMORY, "no memory to send a message") : 0;
    }
    if (s->link->out.cap == 0 && text->len >= TEXT_SIZE)
        stream_take_spare(s, &s->link->out);
    int r = tls_write(s->link, text->data, text->len, e);
    if (r == 0 && !flush(s))
        r = error_set(e, s->why.code, "%s", s->why.text);
    return r;
}

void stream_tls_end(struct stream *s)
{
    tls_end(s->link);
    if (s->state == STREAM_CLOSED) { /* no more than what the socket takes at once */
        uv_buf_t buf = uv_buf_init((char *)s->link->out.data, (unsigned)s->link->out.len);
        if (buf.len && s->queued == 0)
            (void)uv_try_write((uv_stream_t *)s->tcp, &buf, 1);
    } else {
        (void)flush(s);
    }
}

void stream_tls_free(struct stream *s)
{
    tls_link_free(s->link);
    buffer_free(&s->early);
    tls_unref(s->tls);
}
