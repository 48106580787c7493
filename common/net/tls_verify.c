/*
 * What is demanded of the other end: the version of TLS, and a certificate that is good, under our CA, and of the right
 * kind. Each refusal is a sentence: OpenSSL's own say too little of whose certificate it was, and of which clock.
 */
#include "common/net/tls_impl.h"

#include "common/base/clock.h"
#include "common/base/units.h"
#include "common/net/identity_x509.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* The fastest first, on machines with AES instructions: packets are many. */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

#define DATE_SIZE 64

/* ------------------------------------------------------------------ sentences */

/* Which certificate it is that is refused: what it says may be a lie. */
static void describe(X509 *certificate, char text[HEAD_NAME_MAX + 64])
{
    struct identity id;
    if (identity_from_x509(certificate, &id, NULL) == 0)
        snprintf(text, HEAD_NAME_MAX + 64, "its certificate, which says %s %s,", identity_kind_name(id.kind), id.name);
    else
        snprintf(text, HEAD_NAME_MAX + 64, "its certificate");
}

static int refuse_date(struct error *e, const char *what, const ASN1_TIME *date, const char *verb)
{
    char good[DATE_SIZE], now[DATE_SIZE];
    units_format_time(identity_time_ns(date), good, sizeof good);
    units_format_time(clock_wall_ns(), now, sizeof now);
    return error_set(e, ERROR_REFUSED, "%s %s %s, and the clock here says %s: renew it, or set the clock that is wrong",
                     what, verb, good, now);
}

static int refuse(X509_STORE_CTX *store, struct error *e)
{
    char what[HEAD_NAME_MAX + 64];
    int why = X509_STORE_CTX_get_error(store);
    X509 *at = X509_STORE_CTX_get_current_cert(store), *leaf = X509_STORE_CTX_get0_cert(store);
    describe(leaf, what);
    switch (why) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return refuse_date(e, what, X509_get0_notAfter(at ? at : leaf), "was good until");
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return refuse_date(e, what, X509_get0_notBefore(at ? at : leaf), "is good only from");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return error_set(e, ERROR_REFUSED, "%s is not of the authority that is trusted here (%s)", what,
                         X509_verify_cert_error_string(why));
    case X509_V_ERR_CERT_REVOKED:
        return error_set(e, ERROR_REFUSED, "%s was revoked by its authority, as its revocation list says", what);
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return error_set(e, ERROR_REFUSED,
                         "%s is of an authority whose revocation list is not here: put it beside the other ones", what);
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return error_set(e, ERROR_REFUSED,
                         "%s cannot be judged: its authority's revocation list here is over: put the new one there",
                         what);
    case X509_V_ERR_INVALID_PURPOSE:
        return error_set(e, ERROR_REFUSED, "%s is made for another purpose (its extended key usage)", what);
    default:
        return error_set(e, ERROR_REFUSED, "%s is not accepted: %s", what, X509_verify_cert_error_string(why));
    }
}

/* ------------------------------------------------------------------ the judgement */

/* Joining: trusts the one certificate among those sent whose hash is known. False if there is none. */
static bool trust_known(const struct tls *t, X509_STORE_CTX *store, STACK_OF(X509) * *trusted)
{
    const STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned length;
    for (int i = 0; i < sk_X509_num(sent); i++) {
        X509 *x = sk_X509_value(sent, i);
        if (X509_digest(x, EVP_sha256(), hash, &length) != 1 || length != sizeof t->ca_sha256 ||
            memcmp(hash, t->ca_sha256, length) != 0)
            continue;
        *trusted = sk_X509_new_null();
        if (!*trusted || sk_X509_push(*trusted, x) == 0)
            return false;
        X509_STORE_CTX_set0_trusted_stack(store, *trusted);
        return true;
    }
    return false;
}

static int judge_chain(const struct tls *t, X509_STORE_CTX *store, struct error *e)
{
    STACK_OF(X509) *trusted = NULL;
    int r = 0;
    if (t->joining && !trust_known(t, store, &trusted)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
        r = error_set(e, ERROR_REFUSED,
                      "it is not the collector that the token or fingerprint means: its authority is another one");
    } else if (X509_verify_cert(store) != 1) {
        r = refuse(store, e);
    }
    sk_X509_free(trusted);
    return r;
}

/* OpenSSL looks at the dates of a certificate once its signature was found good, the authority's first. */
static bool is_late(X509_STORE_CTX *store)
{
    int why = X509_STORE_CTX_get_error(store);
    return X509_STORE_CTX_get_error_depth(store) == 0 &&
           (why == X509_V_ERR_CERT_HAS_EXPIRED || why == X509_V_ERR_CERT_NOT_YET_VALID);
}

static int judge_identity(struct tls_link *l, X509_STORE_CTX *store, struct error *e)
{
    int r = identity_from_x509(X509_STORE_CTX_get0_cert(store), &l->identity, e);
    bool is_collector = l->identity.kind == IDENTITY_COLLECTOR;
    if (r == 0 && is_collector == l->accepts)
        r = error_set(e, ERROR_REFUSED,
                      l->accepts ? "its certificate is that of %s %s, which does not connect to others"
                                 : "it is no collector: its certificate is that of %s %s",
                      identity_kind_name(l->identity.kind), l->identity.name);
    if (r) {
        l->identity = (struct identity){.kind = IDENTITY_NONE};
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    }
    return r;
}

/* Authorities above the one that signed it need not have revocation lists here. */
static int tolerate(int good, X509_STORE_CTX *store)
{
    if (good || X509_STORE_CTX_get_error(store) != X509_V_ERR_UNABLE_TO_GET_CRL ||
        X509_STORE_CTX_get_error_depth(store) == 0)
        return good;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

int tls_judge_again(struct tls_link *l, struct error *e)
{
    X509 *leaf = SSL_get0_peer_certificate(l->ssl);
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    int r = store &&
                    X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(l->tls->context), leaf,
                                        SSL_get_peer_cert_chain(l->ssl)) == 1 &&
                    X509_STORE_CTX_set_default(store, l->accepts ? "ssl_client" : "ssl_server") == 1
                ? 0
                : error_set(e, ERROR_MEMORY, "no memory to judge a certificate");
    if (r == 0) /* of dates others take care: it may have been renewed */
        X509_STORE_CTX_set_flags(store, X509_V_FLAG_NO_CHECK_TIME);
    if (r == 0 && leaf)
        r = judge_chain(l->tls, store, e);
    X509_STORE_CTX_free(store);
    ERR_clear_error();
    return r;
}

/* Called by OpenSSL with what the peer sent. */
static int verify(X509_STORE_CTX *store, void *context)
{
    const struct tls *t = context;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_link *l = SSL_get_app_data(ssl);
    int r = judge_chain(t, store, &l->refusal);
    if (r && is_late(store))
        (void)!identity_from_x509(X509_STORE_CTX_get0_cert(store), &l->late, NULL);
    if (r == 0)
        r = judge_identity(l, store, &l->refusal);
    return r == 0;
}

int tls_context_new(struct tls *t, SSL_CTX **out, struct error *e)
{
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    if (!c || SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1 || SSL_CTX_set_ciphersuites(c, SUITES) != 1) {
        SSL_CTX_free(c);
        ERR_clear_error();
        return error_set(e, ERROR_SYSTEM, "OpenSSL here cannot speak TLS 1.3");
    }
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_num_tickets(c, 0);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_cert_list(c, TLS_CHAIN_MAX);
    /* An organisation may trust one of its authorities without trusting the one above it. */
    X509_STORE_set_flags(SSL_CTX_get_cert_store(c), X509_V_FLAG_PARTIAL_CHAIN);
    X509_STORE_set_verify_cb(SSL_CTX_get_cert_store(c), tolerate);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(c, verify, t);
    *out = c;
    return 0;
}
