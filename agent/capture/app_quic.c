/*
 * app_quic: the client's hello in QUIC's first datagrams; behind it all is encrypted with keys that nobody else has. No exchanges.
 *
 * Most hellos come whole in the first datagram: it is read in memory that all flows share. A flow has some of its own only while parts of
 * its hello are still to come.
 */
#include "agent/capture/conversation_impl.h"
#include "common/app/quic.h"
#include "common/app/tls.h"
#include <string.h>

#define TEXT_SIZE  256u
#define UNREAD_MAX 4u /* datagrams of a client in which there was nothing to be read: then there will not be */

/* Of a flow whose hello is not whole. */
struct quic_state {
    struct quic_gather gather;
    uint8_t window[QUIC_HELLO_WINDOW];
};

static void say(struct hearing *h, const struct quic_gather *g, bool is_whole)
{
    struct tls_client_hello hello;
    char text[TEXT_SIZE], ja4[JA4_SIZE];
    if (tls_client_hello_read(g->body, g->body_len, &hello) == APP_READ_INVALID)
        return;
    conversation_say(h, &h->v->sni, text, tls_name_text(&hello.server_name, text, sizeof text));
    conversation_say(h, &h->v->alpn, text, tls_alpn_text(&hello.alpn, text, sizeof text));
    if (is_whole && h->all->ja4 && tls_ja4(h->all->ja4, &hello, JA4_QUIC, ja4))
        conversation_say(h, &h->v->ja4, ja4, JA4_SIZE - 1);
}

/* What was gathered in the shared memory becomes the flow's. */
static void keep(struct hearing *h, const struct quic_gather *shared)
{
    struct quic_state *s = h->v->state = conversation_alloc(h, sizeof *s);
    if (!s) {
        conversation_give_up(h);
        return;
    }
    s->gather = *shared;
    s->gather.window = s->window;
    memcpy(s->window, shared->window, sizeof s->window);
}

static void datagram(struct hearing *h, const uint8_t *data, size_t len, size_t wire)
{
    struct quic_state *s = h->v->state;
    struct quic_gather first;
    // cppcheck-suppress uninitvar ; begun below, if it is used
    struct quic_gather *g = s ? &s->gather : &first;
    (void)wire;
    if (!h->all->quic) {
        conversation_deafen(h, h->side);
        return;
    }
    if (h->side != h->packet->originator)
        return;
    if (!s)
        quic_gather_begin(&first, h->all->quic_window, sizeof h->all->quic_window);
    enum quic_result r = quic_read(h->all->quic, g, data, len);
    if (r == QUIC_MORE && !s)
        keep(h, g);
    if (r == QUIC_MORE || (r == QUIC_NONE && (s || ++h->v->place->looked < UNREAD_MAX)))
        return;
    if (r == QUIC_HELLO || r == QUIC_TOO_LONG)
        say(h, g, r == QUIC_HELLO);
    conversation_deafen(h, h->side);
}

const struct app_reader app_quic_reader = {
    .datagram = datagram,
};
