/* tls: hellos and what is in them. */
#include "common/app/tls.h"
#include <string.h>

#define RANDOM_BYTES  32u
#define VERSION_DRAFT 0x7f00u /* of TLS 1.3; the draft's number in the lower byte */
#define HOST_NAME     0u      /* RFC 6066, 3 */

/* The random of a ServerHello that asks for another ClientHello (RFC 8446, 4.1.3). */
static const uint8_t retry[RANDOM_BYTES] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                            0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                            0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

bool tls_is_grease(uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

static bool is_draft(uint16_t version)
{
    return (version & 0xff00) == VERSION_DRAFT;
}

/* ------------------------------------------------------------------ lists */

static struct tls_list list_of(const struct bytes *b)
{
    return (struct tls_list){.at = b->p, .count = bytes_left(b) / 2};
}

/* What a length of two bytes announces; where it is more than there is, what there is (and *cut). */
static struct bytes vector(struct bytes *b, bool *cut)
{
    size_t claimed = bytes_be16(b), left = bytes_left(b);
    *cut = *cut || b->bad || claimed > left;
    return bytes_sub(b, claimed < left ? claimed : left);
}

bool tls_extension_next(struct bytes *b, uint16_t *type, struct bytes *data)
{
    if (bytes_left(b) == 0)
        return false;
    *type = bytes_be16(b);
    *data = bytes_sub(b, bytes_be16(b));
    return !b->bad;
}

bool tls_alpn_next(struct bytes *alpn, struct bytes *protocol)
{
    if (bytes_left(alpn) == 0)
        return false;
    *protocol = bytes_sub(alpn, bytes_u8(alpn));
    return !alpn->bad;
}

static uint16_t best_of(const struct tls_list *versions)
{
    uint16_t best = 0;
    for (size_t i = 0; i < versions->count; i++)
        if (!tls_is_grease(tls_u16(versions, i)) && tls_u16(versions, i) > best)
            best = tls_u16(versions, i);
    return best;
}

/* ------------------------------------------------------------------ client */

static struct bytes first_host(struct bytes data)
{
    static const struct bytes none;
    bool cut = false;
    struct bytes list = vector(&data, &cut);
    while (bytes_left(&list)) {
        uint8_t type = bytes_u8(&list);
        struct bytes name = vector(&list, &cut);
        if (cut)
            break;
        if (type == HOST_NAME)
            return name;
    }
    return none;
}

static void client_extension(uint16_t type, struct bytes data, struct tls_client_hello *out)
{
    bool cut = false;
    switch (type) {
    case TLS_EXTENSION_SERVER_NAME:
        out->has_server_name = true;
        out->server_name = first_host(data);
        break;
    case TLS_EXTENSION_ALPN:
        out->alpn = vector(&data, &cut);
        break;
    case TLS_EXTENSION_SIGNATURES:
        data = vector(&data, &cut);
        out->signatures = list_of(&data);
        break;
    case TLS_EXTENSION_VERSIONS:
        data = bytes_sub(&data, bytes_u8(&data));
        out->versions = list_of(&data);
        break;
    default:
        break;
    }
}

/* Hellos of before RFC 3546 end where extensions would begin. */
static struct bytes read_extensions(struct bytes *b, bool *cut)
{
    struct bytes none = {0};
    if (b->bad)
        *cut = true;
    return b->bad || bytes_left(b) == 0 ? none : vector(b, cut);
}

enum app_read tls_client_hello_read(const void *body, size_t len, struct tls_client_hello *out)
{
    struct bytes b = bytes_of(body, len), data;
    bool cut = false;
    uint16_t type, best;
    *out = (struct tls_client_hello){.legacy_version = bytes_be16(&b)};
    if (b.bad)
        return APP_READ_INVALID;
    bytes_skip(&b, RANDOM_BYTES);
    bytes_skip(&b, bytes_u8(&b)); /* session */
    struct bytes ciphers = vector(&b, &cut);
    out->ciphers = list_of(&ciphers);
    bytes_skip(&b, bytes_u8(&b)); /* compressions */
    out->extensions = read_extensions(&b, &cut);
    struct bytes rest = out->extensions;
    while (tls_extension_next(&rest, &type, &data))
        client_extension(type, data, out);
    best = best_of(&out->versions);
    out->version = best ? best : out->legacy_version;
    return cut || rest.bad ? APP_READ_CUT : APP_READ_WHOLE;
}

/* ------------------------------------------------------------------ server */

static void server_extension(uint16_t type, struct bytes data, struct tls_server_hello *out)
{
    bool cut = false;
    if (type == TLS_EXTENSION_ALPN)
        out->alpn = vector(&data, &cut);
    else if (type == TLS_EXTENSION_VERSIONS && bytes_left(&data) >= 2) {
        out->version = bytes_be16(&data);
        out->has_version = true;
    }
}

enum app_read tls_server_hello_read(const void *body, size_t len, struct tls_server_hello *out)
{
    struct bytes b = bytes_of(body, len), data;
    bool cut = false;
    uint16_t type;
    *out = (struct tls_server_hello){.legacy_version = bytes_be16(&b)};
    if (b.bad)
        return APP_READ_INVALID;
    out->version = out->legacy_version;
    const uint8_t *random = bytes_take(&b, RANDOM_BYTES);
    out->retry = random && memcmp(random, retry, sizeof retry) == 0;
    bool early = is_draft(out->legacy_version); /* the first drafts had neither session nor compression there */
    bytes_skip(&b, early ? 0 : bytes_u8(&b));
    out->cipher = bytes_be16(&b);
    out->has_cipher = !b.bad;
    bytes_skip(&b, !early);
    struct bytes rest = read_extensions(&b, &cut);
    while (tls_extension_next(&rest, &type, &data))
        server_extension(type, data, out);
    return cut || rest.bad ? APP_READ_CUT : APP_READ_WHOLE;
}

bool tls_is_13(const struct tls_server_hello *h)
{
    return is_draft(h->legacy_version) || (h->has_version && h->version >= TLS_VERSION_13);
}

/* ------------------------------------------------------------------ text */

size_t tls_name_text(const struct bytes *server_name, char *out, size_t room)
{
    struct app_text t = app_text_in(out, room);
    app_text_quote(&t, server_name->p, bytes_left(server_name), APP_TEXT_PLAIN);
    for (size_t i = 0; i < t.len; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] + ('a' - 'A'));
    return t.len;
}

size_t tls_alpn_text(const struct bytes *alpn, char *out, size_t room)
{
    struct app_text t = app_text_in(out, room);
    struct bytes list = *alpn, protocol;
    if (tls_alpn_next(&list, &protocol))
        app_text_quote(&t, protocol.p, bytes_left(&protocol), APP_TEXT_PLAIN);
    return t.len;
}
