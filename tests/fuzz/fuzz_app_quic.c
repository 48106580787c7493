/*
 * Datagrams of a stranger, who knows the keys as everybody does. First byte: 0: the rest is a datagram as it comes; else it is size of the window
 * by 16, and what follows are packets, each with two bytes of length before its frames, which are sealed here.
 */
#include "common/app/quic.h"
#include "common/app/tls.h"
#include "tests/unit/quic_build.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* False when nothing more is to come. */
static bool read_datagram(struct quic *q, struct quic_gather *g, const uint8_t *window, size_t size,
                          const uint8_t *data, size_t len)
{
    struct tls_client_hello h;
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        return false;
    if (len)
        memcpy(copy, data, len);
    enum quic_result r = quic_read(q, g, copy, len);
    free(copy);
    if (r == QUIC_HELLO || r == QUIC_TOO_LONG) {
        if (g->body < window || g->body + g->body_len > window + size)
            abort();
        (void)tls_client_hello_read(g->body, g->body_len, &h);
    }
    for (unsigned i = 0; i < g->pieces; i++)
        if (g->piece[i].from >= g->piece[i].to || g->piece[i].to > size ||
            (i && g->piece[i].from <= g->piece[i - 1].to))
            abort();
    return r <= QUIC_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct quic *q;
    static struct quic_build datagram;
    struct quic_gather g;
    if (len < 1 || (!q && quic_new(&q, NULL) != 0))
        return 0;
    size_t size = data[0] ? data[0] * 16u : 4096u;
    uint8_t *window = malloc(size);
    if (!window)
        return 0;
    quic_gather_begin(&g, window, size);
    if (data[0] == 0)
        (void)read_datagram(q, &g, window, size, data + 1, len - 1);
    data++;
    len--;
    for (bool more = size != 4096; more && len >= 2;) {
        size_t n = (size_t)data[0] << 8 | data[1];
        data += 2;
        len -= 2;
        n = n < len ? n : len;
        datagram.len = 0;
        more = quic_build(q, &datagram, &(struct quic_packet){.version = 1, .id = "01234567", .padded = 20}, data, n) &&
               read_datagram(q, &g, window, size, datagram.at, datagram.len);
        data += n;
        len -= n;
    }
    free(window);
    return 0;
}
