/*
 * tls: reads what TLS says before it is encrypted: records, hellos, alerts (RFC 8446; 5246 and before).
 *
 * Three layers, each usable alone:
 *
 * - Records: tls_record_length. Handshake messages: tls_client_hello_read, tls_server_hello_read take one in one piece.
 * - struct tls_reader takes the bytes of one direction of a connection, in order and in any pieces, and hands out what
 *   can be read. It keeps nothing of them but a split hello, in a window that the caller lends when one is needed.
 * - tls_ja4 makes the client's fingerprint.
 *
 * Pure; nothing is trusted; work is bounded by the number of bytes given.
 */
#ifndef FLEETDUMP_APP_TLS_H
#define FLEETDUMP_APP_TLS_H

#include "common/app/read.h"
#include "common/app/text.h"
#include "common/base/bytes.h"

enum tls_record {
    TLS_CHANGE_CIPHER = 20,
    TLS_ALERT = 21,
    TLS_HANDSHAKE = 22,
    TLS_DATA = 23,
    TLS_HEARTBEAT = 24 /* RFC 6520 */
};
enum tls_handshake { TLS_CLIENT_HELLO = 1, TLS_SERVER_HELLO = 2 };
enum tls_extension {
    TLS_EXTENSION_SERVER_NAME = 0,
    TLS_EXTENSION_SIGNATURES = 13,
    TLS_EXTENSION_ALPN = 16,
    TLS_EXTENSION_VERSIONS = 43
};

#define TLS_VERSION_12       0x0303u
#define TLS_VERSION_13       0x0304u
#define TLS_RECORD_HEADER    5u
#define TLS_RECORD_MAX       (16384u + 2048u) /* of its content (RFC 5246, 6.2.3) */
#define TLS_HANDSHAKE_HEADER 4u

/* ------------------------------------------------------------------ records */

/* Length of the record that begins with these TLS_RECORD_HEADER bytes, header included; 0 if they begin none: type,
 * version 3.0 to 3.4, and a length between 1 and TLS_RECORD_MAX. */
uint32_t tls_record_length(const uint8_t *header);

/* Whether data begins with the record of a hello: a record's header, and the first byte of a ClientHello or
 * ServerHello. False where less than these 6 bytes are there. */
bool tls_begins(const void *data, size_t len);

/* ------------------------------------------------------------------ hellos */

/* RFC 8701: values that mean nothing, and that everybody skips. */
bool tls_is_grease(uint16_t value);

/* A list of numbers of 16 bits as it came, an odd byte at its end left out; tls_u16 reads the i-th. */
struct tls_list {
    const uint8_t *at;
    size_t count;
};
static inline uint16_t tls_u16(const struct tls_list *list, size_t i)
{
    return (uint16_t)((unsigned)list->at[2 * i] << 8 | list->at[2 * i + 1]);
}

/* What is not there has length or count 0. Everything points into the message. */
struct tls_client_hello {
    uint16_t legacy_version;  /* of the hello itself; for TLS 1.3 that of TLS 1.2 */
    uint16_t version;         /* the best that is offered: of `versions`, GREASE left out, else legacy_version */
    bool has_server_name;     /* the extension is there, be it empty */
    struct bytes server_name; /* the first host name; not checked in any way: see tls_name_text */
    struct bytes alpn;        /* the list of protocols: tls_alpn_next */
    struct tls_list ciphers, versions, signatures;
    struct bytes extensions; /* all, as they came: tls_extension_next */
};

struct tls_server_hello {
    uint16_t legacy_version;
    uint16_t version; /* chosen: by its extension, else legacy_version; drafts of TLS 1.3 as 0x7fNN */
    uint16_t cipher;
    bool has_cipher;   /* false where it is cut before */
    bool retry;        /* it is a HelloRetryRequest (RFC 8446, 4.1.3): the client's second hello follows */
    bool has_version;  /* by the extension */
    struct bytes alpn; /* chosen; up to TLS 1.2 only, later ones encrypt it */
};

/* Read the body of a handshake message, behind its TLS_HANDSHAKE_HEADER bytes. WHOLE: all of it; CUT: it ends within,
 * or an extension does (one that ends right before its extensions looks whole); INVALID: not even the version is
 * there. */
enum app_read tls_client_hello_read(const void *body, size_t len, struct tls_client_hello *out);
enum app_read tls_server_hello_read(const void *body, size_t len, struct tls_server_hello *out);

/* Whether nothing that follows a server's hello can be read (TLS 1.3 and its drafts). */
bool tls_is_13(const struct tls_server_hello *h);

/* The next of all extensions; false at the end, or (and `b` is bad) where they are cut. */
bool tls_extension_next(struct bytes *b, uint16_t *type, struct bytes *data);

/* The next protocol of an ALPN list (RFC 7301), false at the end. */
bool tls_alpn_next(struct bytes *alpn, struct bytes *protocol);

/* Both as text, and 0 if there is none: the server's name in lower case, the first protocol of a list. */
size_t tls_name_text(const struct bytes *server_name, char *out, size_t room);
size_t tls_alpn_text(const struct bytes *alpn, char *out, size_t room);

/* ------------------------------------------------------------------ alerts */

struct tls_alert {
    uint8_t level; /* 1 warning, 2 fatal */
    uint8_t code;  /* names: app_tls_alerts in names.h */
};

/* ------------------------------------------------------------------ one direction of a connection */

enum tls_event {
    TLS_MORE, /* all bytes were taken; come again with the next */
    TLS_NONE, /* this is no TLS, or not any more: an impossible record. Nothing is taken from here on */
    /* a hello of `wire` bytes goes on in a later piece: lend a window (tls_reader_lend), or go on without, and it comes
     * as a TLS_MESSAGE with what of it is here */
    TLS_WINDOW,
    /* a handshake message: `type`, its body. Only of hellos are there any bytes; of a message that is longer than the
     * window its beginning (len < wire) */
    TLS_MESSAGE,
    TLS_ALERTED, /* `alert` */
    TLS_ALERT_ENCRYPTED,
    TLS_CIPHER_CHANGED, /* a ChangeCipherSpec; in TLS 1.3 it means nothing */
    /* a record of application data (in TLS 1.3 maybe of an encrypted handshake); told of each one, at its header */
    TLS_DATA_BEGINS
};

struct tls_reader {
    /* What the last event was about */
    uint8_t type; /* enum tls_handshake and others */
    const uint8_t *body;
    size_t len;
    uint32_t wire; /* length of the message's body as it claims */
    struct tls_alert alert;

    /* Inside */
    bool failed;
    bool encrypted; /* a ChangeCipherSpec came: only hellos are still looked for */
    bool ignored;   /* nobody reads the rest of the record */
    bool in_message, wanted, asked, emitted;
    uint8_t record; /* type of the record at hand */
    uint8_t header[TLS_RECORD_HEADER], message_header[TLS_HANDSHAKE_HEADER], alert_bytes[2];
    uint8_t header_have, message_have, alert_have;
    uint32_t record_size, record_left, message_left;
    uint8_t *window;
    size_t window_size, window_have;
};

/* A direction from its first byte on; no memory of its own, all zero is the same. */
void tls_reader_begin(struct tls_reader *r);

/* Takes bytes from the front of *data (of which *len are left) up to the next event. Call it until it returns TLS_MORE
 * or TLS_NONE. `body` points into the bytes or the window and is good until the next call.
 *
 * Bytes that are missing: tls_reader_skip; then go on behind them. */
enum tls_event tls_reader_next(struct tls_reader *r, const uint8_t **data, size_t *len);

/* After TLS_WINDOW: memory for the hello. It is the caller's again with the TLS_MESSAGE, whose body lies in it, or by
 * tls_reader_take_back. */
void tls_reader_lend(struct tls_reader *r, void *window, size_t size);

/* Returns the window, or NULL if none is lent; what it held is lost. */
void *tls_reader_take_back(struct tls_reader *r);

/* `n` bytes were not captured. True if they lie within one record whose content nobody would read, so that reading goes
 * on; else false, and the reader has failed (TLS_NONE). */
bool tls_reader_skip(struct tls_reader *r, uint32_t n);

/* ------------------------------------------------------------------ JA4 */

#define JA4_SIZE     37u  /* with a 0 byte */
#define JA4_LIST_MAX 512u /* ciphers, extensions, or signature algorithms; hellos with more have no fingerprint */

/* What carried the hello: first letter of the fingerprint. */
enum ja4_transport { JA4_TCP = 't', JA4_QUIC = 'q', JA4_DTLS = 'd' };

/* Room to work in, and SHA-256, which is looked up by ja4_new: to be called once before a process closes its locks.
 * NULL without memory. Used by one thread at a time. */
struct ja4;
struct ja4 *ja4_new(void);
void ja4_free(struct ja4 *j);

/* JA4 (FoxIO, technical_details/JA4.md): "t13d1516h2_8daaf6152771_e5627efa2ab1". False, and an empty text, if there is
 * none: too many entries, or no memory. */
bool tls_ja4(struct ja4 *j, const struct tls_client_hello *h, enum ja4_transport transport, char out[JA4_SIZE]);

#endif
