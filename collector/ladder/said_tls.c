/* TLS 1.0 to 1.3 (RFC 8446, 5246): records, hellos, alerts. */
#include "collector/ladder/said_inside.h"
#include <string.h>

enum { RECORD_CHANGE_CIPHER = 20, RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23, RECORD_HEARTBEAT = 24 };
enum { CLIENT_HELLO = 1, SERVER_HELLO = 2 };
enum { EXTENSION_SERVER_NAME = 0, EXTENSION_ALPN = 16, EXTENSION_VERSIONS = 43 };

#define HANDSHAKE_HEADER 4u
#define RANDOM_BYTES     32u
#define ALPNS_SHOWN      4u
#define VERSION_13       0x0304u
#define VERSION_DRAFT    0x7f00u /* of TLS 1.3; the draft's number in the lower byte */

static const struct name_of handshakes[] = {{0, "HelloRequest"},        {4, "NewSessionTicket"},
                                            {5, "EndOfEarlyData"},      {8, "EncryptedExtensions"},
                                            {11, "Certificate"},        {12, "ServerKeyExchange"},
                                            {13, "CertificateRequest"}, {14, "ServerHelloDone"},
                                            {15, "CertificateVerify"},  {16, "ClientKeyExchange"},
                                            {20, "Finished"},           {21, "CertificateURL"},
                                            {22, "CertificateStatus"},  {0, NULL}};

/* The random of a ServerHello that asks for another ClientHello (RFC 8446, 4.1.3). */
static const uint8_t retry[RANDOM_BYTES] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                            0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                            0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

/* ------------------------------------------------------------------ records */

uint32_t said_tls_record(const uint8_t *h)
{
    uint32_t length = (uint32_t)h[3] << 8 | h[4];
    bool sound = h[0] >= RECORD_CHANGE_CIPHER && h[0] <= RECORD_HEARTBEAT && h[1] == 3 && h[2] <= 4;
    return sound && length && length <= TLS_RECORD_MAX ? TLS_HEADER + length : 0;
}

bool said_tls_begins(const uint8_t *data, size_t len)
{
    return len > TLS_HEADER && data[0] == RECORD_HANDSHAKE && said_tls_record(data) > TLS_HEADER + HANDSHAKE_HEADER &&
           (data[5] == CLIENT_HELLO || data[5] == SERVER_HELLO);
}

bool said_tls_readable(uint8_t type)
{
    return type == RECORD_ALERT || type == RECORD_CHANGE_CIPHER || type == RECORD_HANDSHAKE;
}

/* ------------------------------------------------------------------ hellos */

struct hello {
    uint16_t version;   /* of the hello */
    uint16_t extension; /* the best, or the chosen one, of the extension of versions; 0: there is none */
    struct bytes name, alpn;
    bool cut;
};

static bool is_grease(uint16_t value) /* RFC 8701 */
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

static bool is_draft(uint16_t version)
{
    return (version & 0xff00) == VERSION_DRAFT;
}

static uint16_t best_version(struct bytes b, bool client)
{
    uint16_t best = 0;
    if (client)
        bytes_skip(&b, 1); /* length of the list */
    while (bytes_left(&b) >= 2) {
        uint16_t version = bytes_be16(&b);
        if (!is_grease(version) && version > best)
            best = version;
    }
    return best;
}

static void read_extension(uint16_t type, struct bytes b, bool client, struct hello *h)
{
    if (type == EXTENSION_SERVER_NAME && client) {
        bytes_skip(&b, 3); /* length of the list, type */
        h->name = bytes_sub(&b, bytes_be16(&b));
    } else if (type == EXTENSION_ALPN) {
        bytes_skip(&b, 2);
        h->alpn = b;
    } else if (type == EXTENSION_VERSIONS)
        h->extension = best_version(b, client);
}

/* Older hellos end before. */
static void read_extensions(struct bytes *b, bool client, struct hello *h)
{
    if (bytes_left(b) == 0 && !b->bad)
        return;
    size_t claimed = bytes_be16(b);
    h->cut = b->bad || claimed > bytes_left(b);
    while (bytes_left(b) > 0) {
        uint16_t type = bytes_be16(b), length = bytes_be16(b);
        struct bytes extension = bytes_sub(b, length);
        if (b->bad) {
            h->cut = true;
            return;
        }
        read_extension(type, extension, client, h);
    }
}

/* Of a hello that is cut the version is known by its extension alone. */
static void add_version(struct words *w, const struct hello *h)
{
    uint16_t version = h->extension ? h->extension : h->version;
    const char *name = name_of(app_tls_versions, version);
    if (h->cut && !h->extension)
        words_add(w, " (cut)");
    else if (name)
        words_add(w, ", %s", name);
    else if (is_draft(version))
        words_add(w, ", TLS 1.3 (draft %u)", version & 0xffu);
    else
        words_add(w, ", version 0x%04x", version);
}

static void add_alpn(struct words *w, struct bytes b)
{
    for (unsigned i = 0; bytes_left(&b) && i < ALPNS_SHOWN; i++) {
        size_t length = bytes_u8(&b);
        const uint8_t *name = bytes_take(&b, length);
        words_add(w, "%s", i ? "," : ", ALPN ");
        if (name)
            words_quote(w, name, length);
    }
}

static void client_hello(struct bytes b, struct words *w)
{
    struct hello h = {.version = bytes_be16(&b)};
    bytes_skip(&b, RANDOM_BYTES);
    bytes_skip(&b, bytes_u8(&b));   /* session */
    bytes_skip(&b, bytes_be16(&b)); /* cipher suites */
    bytes_skip(&b, bytes_u8(&b));   /* compressions */
    read_extensions(&b, true, &h);
    words_add(w, "ClientHello");
    if (bytes_left(&h.name)) {
        words_add(w, " for ");
        words_quote(w, h.name.p, bytes_left(&h.name));
    }
    add_version(w, &h);
    add_alpn(w, h.alpn);
}

static void server_hello(struct said_tls *t, struct bytes b, struct words *w)
{
    struct hello h = {.version = bytes_be16(&b)};
    const uint8_t *random = bytes_take(&b, RANDOM_BYTES);
    bool again = random && memcmp(random, retry, sizeof retry) == 0;
    bool early = is_draft(h.version); /* the first drafts had neither session nor compression there */
    bytes_skip(&b, early ? 0 : bytes_u8(&b));
    uint16_t suite = bytes_be16(&b);
    bool known = !b.bad;
    bytes_skip(&b, !early);
    read_extensions(&b, false, &h);
    words_add(w, "%s", again ? "HelloRetryRequest" : "ServerHello");
    add_version(w, &h);
    if (known) {
        const char *name = name_of(app_tls_suites, suite);
        if (name)
            words_add(w, ", %s", name);
        else
            words_add(w, ", cipher suite 0x%04x", suite);
    }
    add_alpn(w, h.alpn);
    t->encrypted = !again && (is_draft(h.version) || h.extension >= VERSION_13);
}

/* ------------------------------------------------------------------ messages */

static void handshake(struct said_tls *t, uint8_t type, struct bytes body, struct words *w)
{
    const char *name = name_of(handshakes, type);
    words_next(w, SAID_TLS);
    if (type == CLIENT_HELLO)
        client_hello(body, w);
    else if (type == SERVER_HELLO)
        server_hello(t, body, w);
    else if (name)
        words_add(w, "%s", name);
    else
        words_add(w, "handshake message %u", type);
}

/* A hello that fills its record. In TLS 1.3 a ChangeCipherSpec means nothing, and a hello may come behind it. */
static bool is_hello(struct bytes b)
{
    size_t length = bytes_left(&b);
    uint8_t type = bytes_u8(&b);
    uint32_t claimed = (uint32_t)bytes_u8(&b) << 16 | bytes_be16(&b);
    return !b.bad && (type == CLIENT_HELLO || type == SERVER_HELLO) && claimed + HANDSHAKE_HEADER == length;
}

static void handshake_record(struct said_tls *t, struct bytes b, struct words *w)
{
    if (t->encrypted && !is_hello(b))
        return;
    size_t rest = t->left < bytes_left(&b) ? t->left : bytes_left(&b);
    bytes_skip(&b, rest);
    t->left -= (uint32_t)rest;
    while (bytes_left(&b) >= HANDSHAKE_HEADER) {
        uint8_t type = bytes_u8(&b);
        uint32_t length = (uint32_t)bytes_u8(&b) << 16 | bytes_be16(&b);
        size_t here = length < bytes_left(&b) ? length : bytes_left(&b);
        handshake(t, type, bytes_sub(&b, here), w);
        t->left = length - (uint32_t)here;
    }
}

static void alert(struct bytes b, uint32_t length, struct words *w)
{
    words_next(w, SAID_TLS);
    uint8_t level = bytes_u8(&b), what = bytes_u8(&b);
    const char *name = name_of(app_tls_alerts, what);
    if (length != 2 || b.bad)
        words_add(w, "alert (encrypted)");
    else if (name)
        words_add(w, "%s alert: %s", level == 2 ? "fatal" : "warning", name);
    else
        words_add(w, "%s alert %u", level == 2 ? "fatal" : "warning", what);
}

void said_tls(struct said_tls *t, const uint8_t *record, size_t len, struct words *w)
{
    uint32_t length = said_tls_record(record) - TLS_HEADER;
    struct bytes b = bytes_of(record + TLS_HEADER, len - TLS_HEADER);
    if (record[0] == RECORD_HANDSHAKE)
        handshake_record(t, b, w);
    else if (record[0] == RECORD_ALERT)
        alert(b, length, w);
    else if (record[0] == RECORD_CHANGE_CIPHER) {
        words_next(w, SAID_TLS);
        words_add(w, "ChangeCipherSpec");
        t->encrypted = true;
    }
}
