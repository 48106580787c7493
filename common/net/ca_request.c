/*
 * Keys, and requests to sign them.
 */
#include "common/net/ca_pem.h"
#include "common/net/identity_x509.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define RSA_BITS_LEAST 2048
#define RSA_BITS_MOST  8192 /* larger ones only cost time */

static int put_key(BIO *bio, void *key)
{
    return PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
}

int ca_new_key(struct buffer *key_pem, struct error *e)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    int r = key ? ca_put(key_pem, put_key, key, e) : ca_fail(e, ERROR_SYSTEM, "no key can be made");
    EVP_PKEY_free(key);
    return r;
}

/* ------------------------------------------------------------------ making one */

static bool add_names(X509_REQ *request, uint8_t kind, const char *name)
{
    GENERAL_NAMES *names = ca_names_of(kind, name);
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    bool good = names && X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 &&
                X509_REQ_add_extensions(request, extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(names);
    return good;
}

static int put_request(BIO *bio, void *request)
{
    return PEM_write_bio_X509_REQ(bio, request);
}

static int make_request(EVP_PKEY *key, uint8_t kind, const char *name, struct buffer *out, struct error *e)
{
    X509_REQ *request = X509_REQ_new();
    bool good = request && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
                X509_REQ_set_pubkey(request, key) == 1 && add_names(request, kind, name) &&
                X509_REQ_sign(request, key, ca_digest(key)) > 0;
    int r = good ? ca_put(out, put_request, request, e)
                 : ca_fail(e, ERROR_SYSTEM, "the request for a certificate cannot be made");
    X509_REQ_free(request);
    return r;
}

int ca_new_request(struct ca_text key_pem, uint8_t kind, const char *name, struct buffer *request_pem, struct error *e)
{
    int r = identity_check_name(name, e);
    EVP_PKEY *key = r ? NULL : ca_load_key(key_pem, e);
    if (!key)
        return r ? r : ERROR_INVALID;
    r = make_request(key, kind, name, request_pem, e);
    EVP_PKEY_free(key);
    return r;
}

/* ------------------------------------------------------------------ reading one */

static bool is_taken(EVP_PKEY *key)
{
    char group[32] = "";
    if (EVP_PKEY_is_a(key, "ED25519"))
        return true;
    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) >= RSA_BITS_LEAST && EVP_PKEY_get_bits(key) <= RSA_BITS_MOST;
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
}

/* Of what a request may ask only the name is looked at. */
static void read_wish(X509_REQ *request, struct ca_request *out)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
    GENERAL_NAMES *names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    if (identity_from_names(names, &out->kind, out->name, NULL)) {
        out->kind = IDENTITY_NONE;
        out->name[0] = 0;
    }
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

static int read_request(X509_REQ *request, struct ca_request *out, struct error *e)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);
    if (!key)
        return ca_fail(e, ERROR_INVALID, "the request for a certificate has no key that can be read");
    if (!is_taken(key))
        return error_set(
            e, ERROR_UNSUPPORTED,
            "the request's key is of a kind or size that is not taken: Ed25519, EC P-256 and P-384, RSA of %d "
            "to %d bits are",
            RSA_BITS_LEAST, RSA_BITS_MOST);
    if (X509_REQ_verify(request, key) != 1)
        return ca_fail(e, ERROR_INVALID, "the request for a certificate is not signed by its own key");
    read_wish(request, out);
    return ca_hash_key(key, out->key_sha256, e);
}

int ca_read_request(struct ca_text request_pem, struct ca_request *out, struct error *e)
{
    *out = (struct ca_request){.kind = IDENTITY_NONE};
    X509_REQ *request = ca_load_request(request_pem, e);
    if (!request)
        return e ? e->code : ERROR_INVALID;
    int r = read_request(request, out, e);
    X509_REQ_free(request);
    return r;
}
