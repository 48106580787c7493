/*
 * One BIO is OpenSSL's wire: it reads from where tls_feed points, and writes behind `out`. So nothing is copied but what
 * OpenSSL copies itself, and there is no system call here.
 */
#include "common/net/tls_impl.h"

#include "common/base/clock.h"
#include "common/base/units.h"

#include <limits.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_TYPE_LEAST 20u /* RFC 8446, 5.1: change_cipher_spec, alert, handshake, application_data */
#define RECORD_TYPE_MOST  23u
#define RECORD_OVERHEAD   64u /* more than a record's header, type and tag */

/* ------------------------------------------------------------------ the wire */
static int wire_read(BIO *bio, char *to, size_t size, size_t *done)
{
    struct tls_link *l = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *done = l->in_left < size ? l->in_left : size;
    if (*done == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, l->in, *done);
    l->in += *done;
    l->in_left -= *done;
    return 1;
}

static int wire_write(BIO *bio, const char *from, size_t size, size_t *done)
{
    struct tls_link *l = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buffer_append(&l->out, from, size);
    *done = l->out.failed ? 0 : size;
    return !l->out.failed;
}

static long wire_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *wire; /* as long as the process */

static void make_wire(void)
{
    wire = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fleetdump");
    if (wire && (BIO_meth_set_read_ex(wire, wire_read) != 1 || BIO_meth_set_write_ex(wire, wire_write) != 1 ||
                 BIO_meth_set_ctrl(wire, wire_ctrl) != 1)) {
        BIO_meth_free(wire);
        wire = NULL;
    }
}

/* ------------------------------------------------------------------ life */
static bool set_up(struct tls_link *l)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_wire);
    BIO *bio = wire ? BIO_new(wire) : NULL;
    l->ssl = bio ? SSL_new(l->tls->context) : NULL;
    if (!l->ssl) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, l);
    BIO_set_init(bio, 1);
    SSL_set_bio(l->ssl, bio, bio);
    SSL_set_app_data(l->ssl, l);
    if (l->accepts)
        SSL_set_accept_state(l->ssl);
    else
        SSL_set_connect_state(l->ssl);
    return true;
}

int tls_link_new(struct tls *t, bool accepts, struct tls_link **out, struct error *e)
{
    struct tls_link *l = calloc(1, sizeof *l);
    if (!l || (l->tls = t, l->accepts = accepts, !set_up(l))) {
        ERR_clear_error();
        free(l);
        return error_set(e, ERROR_MEMORY, "no memory for a connection");
    }
    l->out.limit = TLS_OUT_MAX;
    *out = l;
    return 0;
}

void tls_link_free(struct tls_link *l)
{
    if (!l)
        return;
    SSL_free(l->ssl);
    ERR_clear_error();
    buffer_free(&l->out);
    free(l);
}

/* ------------------------------------------------------------------ what went wrong */

/* The peer does not accept our certificate, and says no more than one word about it. */
static int refused_by_peer(const struct tls_link *l, const char *word, struct error *e)
{
    const struct identity *we = &l->tls->identity;
    char from[40], to[40], now[40];
    if (we->kind == IDENTITY_NONE)
        return error_set(e, ERROR_REFUSED, "it refused us, who have no certificate: %s", word);
    units_format_time(we->not_before_ns, from, sizeof from);
    units_format_time(we->not_after_ns, to, sizeof to);
    units_format_time(clock_wall_ns(), now, sizeof now);
    return error_set(e, ERROR_REFUSED,
                     "it refused our certificate (%s %s, good from %s until %s; the clock here says %s): %s; its log "
                     "says more",
                     identity_kind_name(we->kind), we->name, from, to, now, word);
}

static const struct {
    int reason, code;
    const char *text; /* of what the peer did; NULL: an alert about our certificate, whose... */
    const char *word; /* meaning is this */
} reasons[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, ERROR_VERSION, "it speaks an older version of TLS; 1.3 alone is taken", NULL},
    {SSL_R_VERSION_TOO_LOW, ERROR_VERSION, "it speaks an older version of TLS; 1.3 alone is taken", NULL},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, ERROR_VERSION, "it does not speak TLS 1.3, which alone is taken", NULL},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, ERROR_LIMIT, "its certificates are larger than is taken", NULL},
    {SSL_R_BAD_SIGNATURE, ERROR_REFUSED, "it does not have the key of its certificate", NULL},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, ERROR_REFUSED, NULL, "it trusts another authority"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, ERROR_REFUSED, NULL, "its time is over"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, ERROR_REFUSED, NULL, "it is revoked"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, ERROR_REFUSED, NULL, "it is not good there"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, ERROR_REFUSED, NULL, "it is made for another purpose"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, ERROR_REFUSED, NULL, "it could not be judged there"},
    {SSL_R_TLSV1_ALERT_DECRYPT_ERROR, ERROR_REFUSED, NULL, "a signature was not good there"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, ERROR_REFUSED, NULL, "access denied"},
};

static int explain(const struct tls_link *l, struct error *e)
{
    unsigned long first = ERR_peek_error();
    const char *said = first ? ERR_reason_error_string(first) : NULL;
    int reason = ERR_GET_LIB(first) == ERR_LIB_SSL ? ERR_GET_REASON(first) : 0;
    if (l->refusal.code)
        return error_set(e, l->refusal.code, "%s", l->refusal.text);
    if (l->out.failed)
        return error_set(e, ERROR_LIMIT, "it asks for more answers than it takes, or there is no memory for them");
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reason == reasons[i].reason)
            return reasons[i].text ? error_set(e, reasons[i].code, "%s", reasons[i].text)
                                   : refused_by_peer(l, reasons[i].word, e);
    return error_set(e, ERROR_INVALID, "it does not speak TLS as it should (%s)", said ? said : "no reason is given");
}

/* After a call of OpenSSL that did not do its work: 0 if more must come, or the peer has ended; else what is wrong. */
static int outcome(struct tls_link *l, int returned, struct error *e)
{
    int r = 0;
    switch (SSL_get_error(l->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        l->ended = true;
        break;
    default:
        r = explain(l, e);
    }
    ERR_clear_error();
    return r;
}

/* ------------------------------------------------------------------ bytes */
void tls_feed(struct tls_link *l, const void *data, size_t length)
{
    l->in = data;
    l->in_left = length;
}

bool tls_is_record(uint8_t first)
{
    return first >= RECORD_TYPE_LEAST && first <= RECORD_TYPE_MOST;
}

static int check_begin(struct tls_link *l, struct error *e)
{
    if (l->begun || l->in_left == 0)
        return 0;
    l->begun = true;
    l->plain = !tls_is_record(l->in[0]);
    if (!l->plain)
        return 0;
    return error_set(e, ERROR_INVALID,
                     "it does not speak TLS: say insecure_plaintext = yes on both sides, or on none of them");
}

int tls_handshake(struct tls_link *l, struct error *e)
{
    int r = check_begin(l, e);
    if (r)
        return r;
    ERR_clear_error();
    int returned = SSL_do_handshake(l->ssl);
    if (returned != 1)
        return outcome(l, returned, e);
    if (!l->accepts && l->identity.kind != IDENTITY_COLLECTOR)
        return error_set(e, ERROR_REFUSED, "it has no certificate");
    return 1;
}

int tls_read(struct tls_link *l, void *data, size_t size, struct error *e)
{
    ERR_clear_error();
    int n = SSL_read(l->ssl, data, size < INT_MAX ? (int)size : INT_MAX);
    return n > 0 ? n : outcome(l, n, e);
}

int tls_write(struct tls_link *l, const void *data, size_t length, struct error *e)
{
    size_t records = length / SSL3_RT_MAX_PLAIN_LENGTH + 1;
    ERR_clear_error();
    (void)buffer_reserve(&l->out, length + records * RECORD_OVERHEAD); /* once, not record by record */
    int n = length > INT_MAX ? -1 : SSL_write(l->ssl, data, (int)length);
    if (n == (int)length)
        return 0;
    int r = l->out.failed ? error_set(e, ERROR_MEMORY, "no memory to send a message") : outcome(l, n, e);
    return r ? r : error_set(e, ERROR_INVALID, "it does not speak TLS as it should");
}

void tls_end(struct tls_link *l)
{
    ERR_clear_error();
    if (SSL_is_init_finished(l->ssl))
        (void)SSL_shutdown(l->ssl);
    ERR_clear_error();
}
