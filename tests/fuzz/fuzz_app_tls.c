/*
 * One direction of TLS from a stranger, in pieces: the reader ends, points only into what it was given, and tells the same of whole hellos in
 * one piece and in others. First byte: size of pieces; second: of the window, by 32; third: how many bytes are skipped behind each 8th piece.
 */
#include "common/app/tls.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_hello(const struct tls_reader *r)
{
    static struct ja4 *j;
    struct tls_client_hello client;
    struct tls_server_hello server;
    char text[64], ja4[JA4_SIZE];
    uint8_t *copy = malloc(r->len ? r->len : 1);
    if (!copy)
        return;
    if (r->len)
        memcpy(copy, r->body, r->len);
    if (r->type == TLS_CLIENT_HELLO && tls_client_hello_read(copy, r->len, &client) != APP_READ_INVALID) {
        if (tls_name_text(&client.server_name, text, sizeof text) != strlen(text) ||
            tls_alpn_text(&client.alpn, text, sizeof text) != strlen(text))
            abort();
        if (!j)
            j = ja4_new();
        if (j && tls_ja4(j, &client, JA4_TCP, ja4) && strlen(ja4) != JA4_SIZE - 1)
            abort();
    } else if (r->type == TLS_SERVER_HELLO && tls_server_hello_read(copy, r->len, &server) != APP_READ_INVALID)
        (void)tls_alpn_text(&server.alpn, text, sizeof text);
    free(copy);
}

/* Returns false when the reader has given up. */
static bool feed(struct tls_reader *r, const uint8_t *data, size_t len, uint8_t *window, size_t window_size)
{
    uint8_t *copy = malloc(len ? len : 1);
    const uint8_t *p = copy;
    enum tls_event event;
    size_t left = len;
    if (!copy)
        return false;
    memcpy(copy, data, len);
    while ((event = tls_reader_next(r, &p, &left)) != TLS_MORE && event != TLS_NONE) {
        bool inside = r->len == 0 || (r->body >= copy && r->body + r->len <= copy + len) ||
                      (r->body == window && r->len <= window_size);
        if (event == TLS_MESSAGE && (!inside || r->len > r->wire))
            abort();
        if (event == TLS_MESSAGE)
            check_hello(r);
        if (event == TLS_WINDOW && window_size)
            tls_reader_lend(r, window, window_size);
    }
    if (p + left != copy + len || (event == TLS_MORE && left))
        abort();
    free(copy);
    return event == TLS_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct tls_reader r;
    if (len < 3)
        return 0;
    size_t piece = 1u + data[0] * 4u, window_size = data[1] * 32u, skip = data[2];
    uint8_t *window = malloc(window_size ? window_size : 1);
    tls_reader_begin(&r);
    data += 3;
    len -= 3;
    for (unsigned i = 1; len && window; i++) {
        size_t n = len < piece ? len : piece;
        if (!feed(&r, data, n, window, window_size) || (i % 8 == 0 && skip && !tls_reader_skip(&r, (uint32_t)skip)))
            break;
        data += n;
        len -= n;
    }
    free(window);
    return 0;
}
