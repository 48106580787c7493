/*
 * Whether authorities that come later are those that were known, renewed: it is the key that tells.
 */
#include "common/net/ca_pem.h"
#include "common/net/identity_x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/* All certificates of a text, of which there is one at least. NULL (and e) if it has none, or one that cannot be read. */
static STACK_OF(X509) * load_all(struct ca_text pem, struct error *e)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *bio = pem.length && pem.length <= CA_PEM_MAX ? BIO_new_mem_buf(pem.data, (int)pem.length) : NULL;
    for (X509 *x; bio && all && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL));)
        if (sk_X509_push(all, x) == 0)
            X509_free(x);
    BIO_free(bio);
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (all && sk_X509_num(all) > 0 && is_end) {
        ERR_clear_error();
        return all;
    }
    (void)ca_fail(e, ERROR_INVALID, "these are no certificates in PEM form");
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

static bool is_signed_by_one(X509 *x, const STACK_OF(X509) * known)
{
    bool is = false;
    for (int i = 0; !is && i < sk_X509_num(known); i++)
        is = X509_verify(x, X509_get0_pubkey(sk_X509_value(known, i))) == 1;
    ERR_clear_error();
    return is;
}

int ca_check_renewed(struct ca_text now, struct ca_text known, struct error *e)
{
    STACK_OF(X509) *these = load_all(now, e), *those = these ? load_all(known, e) : NULL;
    int r = those ? 0 : ERROR_INVALID;
    for (int i = 0; r == 0 && i < sk_X509_num(these); i++)
        if (!is_signed_by_one(sk_X509_value(these, i), those))
            r = error_set(e, ERROR_CONFLICT, "an authority's certificate is of none that was trusted before");
    sk_X509_pop_free(these, X509_free);
    sk_X509_pop_free(those, X509_free);
    return r;
}

static bool has_hash(X509 *x, const uint8_t sha256[32])
{
    uint8_t is[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    return X509_digest(x, EVP_sha256(), is, &length) == 1 && length == 32 && memcmp(is, sha256, 32) == 0;
}

int ca_check_known(struct ca_text certificates_pem, const uint8_t sha256[32], struct error *e)
{
    STACK_OF(X509) *all = load_all(certificates_pem, e);
    if (!all)
        return ERROR_INVALID;
    EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(all, 0));
    bool found = false;
    for (int i = 0; !found && i < sk_X509_num(all); i++)
        found =
            has_hash(sk_X509_value(all, i), sha256) && EVP_PKEY_eq(key, X509_get0_pubkey(sk_X509_value(all, i))) == 1;
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return found ? 0 : error_set(e, ERROR_CONFLICT, "it gave another authority's certificate than it was asked for");
}

int ca_read_dates(struct ca_text certificate_pem, struct ca_dates *out, struct error *e)
{
    X509 *x = ca_load_certificate(certificate_pem, e);
    if (!x)
        return ERROR_INVALID;
    out->from_ns = identity_time_ns(X509_get0_notBefore(x));
    out->to_ns = identity_time_ns(X509_get0_notAfter(x));
    X509_free(x);
    return 0;
}

static int put(BIO *bio, void *x)
{
    return PEM_write_bio_X509(bio, x);
}

int ca_append_current(struct ca_text certificates_pem, uint64_t now_ns, struct buffer *out, struct error *e)
{
    STACK_OF(X509) *all = load_all(certificates_pem, e);
    int r = all ? 0 : ERROR_INVALID;
    for (int i = 0; r == 0 && i < sk_X509_num(all); i++)
        if (identity_time_ns(X509_get0_notAfter(sk_X509_value(all, i))) > now_ns)
            r = ca_put(out, put, sk_X509_value(all, i), e);
    sk_X509_pop_free(all, X509_free);
    return r;
}
