/* app_quic: the client's hello in QUIC's first datagrams; behind it all is encrypted with keys that nobody else has. No exchanges. */
#include "agent/capture/conversation_impl.h"
#include "common/app/quic.h"
#include "common/app/tls.h"
#include <string.h>

#define WINDOW    8192u /* of a hello; what is longer is read as far as that */
#define TEXT_SIZE 256u

struct quic_state {
    struct quic_gather gather;
    uint8_t window[WINDOW];
};

static void begin(struct hearing *h)
{
    struct quic_state *s = h->v->state;
    quic_gather_begin(&s->gather, s->window, sizeof s->window);
}

static void say(struct hearing *h, const struct quic_gather *g, bool is_whole)
{
    struct tls_client_hello hello;
    char text[TEXT_SIZE], ja4[JA4_SIZE];
    if (tls_client_hello_read(g->body, g->body_len, &hello) == APP_READ_INVALID)
        return;
    conversation_say(h->all, &h->v->sni, text, tls_name_text(&hello.server_name, text, sizeof text));
    conversation_say(h->all, &h->v->alpn, text, tls_alpn_text(&hello.alpn, text, sizeof text));
    if (is_whole && tls_ja4(&hello, JA4_QUIC, ja4))
        conversation_say(h->all, &h->v->ja4, ja4, strlen(ja4));
}

static void datagram(struct hearing *h, const uint8_t *data, size_t len, size_t wire)
{
    struct quic_state *s = h->v->state;
    (void)wire;
    if (!h->all->quic) {
        conversation_deafen(h, h->side);
        return;
    }
    if (h->side != h->packet->originator)
        return;
    enum quic_result r = quic_read(h->all->quic, &s->gather, data, len);
    if (r == QUIC_NONE || r == QUIC_MORE)
        return;
    if (r == QUIC_HELLO || r == QUIC_TOO_LONG)
        say(h, &s->gather, r == QUIC_HELLO);
    conversation_deafen(h, h->side);
}

const struct app_reader app_quic_reader = {
    .state_size = sizeof(struct quic_state),
    .begin = begin,
    .datagram = datagram,
};
