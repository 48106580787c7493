/* TLS 1.0 to 1.3 (RFC 8446, 5246): records, hellos, alerts. */
#include "collector/ladder/said_inside.h"
#include <string.h>

#define ALPNS_SHOWN   4u
#define VERSION_DRAFT 0x7f00u /* of TLS 1.3; the draft's number in the lower byte */

static const struct name_of handshakes[] = {{0, "HelloRequest"},        {4, "NewSessionTicket"},
                                            {5, "EndOfEarlyData"},      {8, "EncryptedExtensions"},
                                            {11, "Certificate"},        {12, "ServerKeyExchange"},
                                            {13, "CertificateRequest"}, {14, "ServerHelloDone"},
                                            {15, "CertificateVerify"},  {16, "ClientKeyExchange"},
                                            {20, "Finished"},           {21, "CertificateURL"},
                                            {22, "CertificateStatus"},  {0, NULL}};

bool said_tls_readable(uint8_t type)
{
    return type == TLS_ALERT || type == TLS_CHANGE_CIPHER || type == TLS_HANDSHAKE;
}

/* ------------------------------------------------------------------ hellos */

/* Of a hello that is cut the version is known by its extension alone, where it has one. */
static void add_version(struct words *w, uint16_t version, bool known)
{
    const char *name = name_of(app_tls_versions, version);
    if (!known)
        words_add(w, " (cut)");
    else if (name)
        words_add(w, ", %s", name);
    else if ((version & 0xff00) == VERSION_DRAFT)
        words_add(w, ", TLS 1.3 (draft %u)", version & 0xffu);
    else
        words_add(w, ", version 0x%04x", version);
}

static void add_alpn(struct words *w, struct bytes list)
{
    struct bytes protocol;
    for (unsigned i = 0; i < ALPNS_SHOWN && tls_alpn_next(&list, &protocol); i++) {
        words_add(w, "%s", i ? "," : ", ALPN ");
        words_quote(w, protocol.p, bytes_left(&protocol));
    }
}

static void client_hello(struct bytes b, struct words *w)
{
    struct tls_client_hello h;
    enum app_read read = tls_client_hello_read(b.p, bytes_left(&b), &h);
    words_add(w, "ClientHello");
    if (bytes_left(&h.server_name)) {
        words_add(w, " for ");
        words_quote(w, h.server_name.p, bytes_left(&h.server_name));
    }
    add_version(w, h.version, read == APP_READ_WHOLE || h.versions.count);
    add_alpn(w, h.alpn);
}

static void server_hello(struct said_tls *t, struct bytes b, struct words *w)
{
    struct tls_server_hello h;
    enum app_read read = tls_server_hello_read(b.p, bytes_left(&b), &h);
    words_add(w, "%s", h.retry ? "HelloRetryRequest" : "ServerHello");
    add_version(w, h.version, read == APP_READ_WHOLE || h.has_version);
    if (h.has_cipher) {
        const char *name = name_of(app_tls_suites, h.cipher);
        if (name)
            words_add(w, ", %s", name);
        else
            words_add(w, ", cipher suite 0x%04x", h.cipher);
    }
    add_alpn(w, h.alpn);
    t->encrypted = !h.retry && tls_is_13(&h);
}

/* ------------------------------------------------------------------ messages */

static void handshake(struct said_tls *t, uint8_t type, struct bytes body, struct words *w)
{
    const char *name = name_of(handshakes, type);
    words_next(w, SAID_TLS);
    if (type == TLS_CLIENT_HELLO)
        client_hello(body, w);
    else if (type == TLS_SERVER_HELLO)
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
    return !b.bad && (type == TLS_CLIENT_HELLO || type == TLS_SERVER_HELLO) && claimed + TLS_HANDSHAKE_HEADER == length;
}

static void handshake_record(struct said_tls *t, struct bytes b, struct words *w)
{
    if (t->encrypted && !is_hello(b))
        return;
    size_t rest = t->left < bytes_left(&b) ? t->left : bytes_left(&b);
    bytes_skip(&b, rest);
    t->left -= (uint32_t)rest;
    while (bytes_left(&b) >= TLS_HANDSHAKE_HEADER) {
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
    uint32_t length = tls_record_length(record) - TLS_RECORD_HEADER;
    struct bytes b = bytes_of(record + TLS_RECORD_HEADER, len - TLS_RECORD_HEADER);
    if (record[0] == TLS_HANDSHAKE)
        handshake_record(t, b, w);
    else if (record[0] == TLS_ALERT)
        alert(b, length, w);
    else if (record[0] == TLS_CHANGE_CIPHER) {
        words_next(w, SAID_TLS);
        words_add(w, "ChangeCipherSpec");
        t->encrypted = true;
    }
}
