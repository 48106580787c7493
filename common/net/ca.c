#include "common/net/ca_pem.h"
#include "common/net/identity_x509.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CN_MAX         64u /* RFC 5280, ub-common-name */
#define SERIAL_BITS    159 /* positive, in 20 bytes: RFC 5280, 4.1.2.2 */
#define BACKDATE_PART  10u
#define RENEWAL_THIRDS 2u

/* ------------------------------------------------------------------ parts of a certificate */

static bool set_serial(X509 *x)
{
    BIGNUM *number = BN_new();
    bool good = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
                (!BN_is_zero(number) || BN_one(number) == 1) && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
    BN_free(number);
    return good;
}

static bool set_times(X509 *x, uint64_t from_ns, uint64_t to_ns)
{
    return ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(from_ns / NS_PER_S)) &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(to_ns / NS_PER_S));
}

static bool add_extension(X509 *x, const X509V3_CTX *context, int nid, const char *value)
{
    X509V3_CTX c = *context;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &c, nid, value);
    bool good = extension && X509_add_ext(x, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool add_subject(X509 *x, const char *unit, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(x);
    const unsigned char *ou = (const unsigned char *)unit, *cn = (const unsigned char *)name;
    bool good = X509_NAME_add_entry_by_txt(subject, "OU", MBSTRING_ASC, ou, -1, -1, 0) == 1;
    if (strlen(name) <= CN_MAX) /* a longer one stands in the alternative name alone */
        good = good && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, cn, -1, -1, 0) == 1;
    return good;
}

static int put_certificate(BIO *bio, void *x)
{
    return PEM_write_bio_X509(bio, x);
}

static uint64_t begin_ns(uint64_t now_ns, uint64_t life_ns)
{
    uint64_t back_ns = life_ns / BACKDATE_PART < CA_BACKDATE_NS ? life_ns / BACKDATE_PART : CA_BACKDATE_NS;
    return now_ns > back_ns ? now_ns - back_ns : 0;
}

/* ------------------------------------------------------------------ the authority */

/* Its subject is there already. */
static bool fill_root(X509 *x, EVP_PKEY *key, uint64_t now_ns, uint64_t life_ns)
{
    X509V3_CTX c;
    X509V3_set_ctx_nodb(&c);
    X509V3_set_ctx(&c, x, x, NULL, NULL, 0);
    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
           set_times(x, begin_ns(now_ns, life_ns), now_ns + life_ns) &&
           X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 && X509_set_pubkey(x, key) == 1 &&
           add_extension(x, &c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(x, &c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(x, &c, NID_subject_key_identifier, "hash") && X509_sign(x, key, ca_digest(key)) > 0;
}

int ca_new_root(struct ca_text key_pem, const char *name, uint64_t now_ns, uint64_t life_ns,
                struct buffer *certificate_pem, struct error *e)
{
    EVP_PKEY *key = ca_load_key(key_pem, e);
    if (!key)
        return ERROR_INVALID;
    X509 *x = X509_new();
    int r = x && add_subject(x, "fleetdump-ca", name) && fill_root(x, key, now_ns, life_ns)
                ? ca_put(certificate_pem, put_certificate, x, e)
                : ca_fail(e, ERROR_SYSTEM, "the authority's certificate cannot be made");
    X509_free(x);
    EVP_PKEY_free(key);
    return r;
}

int ca_open(struct ca_text certificate_pem, struct ca_text key_pem, struct ca **out, struct error *e)
{
    struct ca *ca = calloc(1, sizeof *ca);
    if (!ca)
        return error_set(e, ERROR_MEMORY, "no memory for an authority");
    ca->certificate = ca_load_certificate(certificate_pem, e);
    ca->key = ca->certificate ? ca_load_key(key_pem, e) : NULL;
    int r = ca->key ? 0 : ERROR_INVALID;
    if (r == 0 && X509_check_private_key(ca->certificate, ca->key) != 1)
        r = ca_fail(e, ERROR_CONFLICT, "the authority's key is not that of its certificate");
    if (r == 0 && X509_check_ca(ca->certificate) != 1)
        r = ca_fail(e, ERROR_INVALID, "the certificate is none of an authority (basicConstraints CA:TRUE)");
    if (r) {
        ca_close(ca);
        return r;
    }
    *out = ca;
    return 0;
}

void ca_close(struct ca *ca)
{
    if (!ca)
        return;
    X509_free(ca->certificate);
    EVP_PKEY_free(ca->key);
    free(ca);
}

int ca_renew_root(const struct ca *ca, uint64_t now_ns, uint64_t life_ns, struct buffer *certificate_pem,
                  struct error *e)
{
    if (X509_verify(ca->certificate, ca->key) != 1)
        return ca_fail(e, ERROR_UNSUPPORTED, "the authority's certificate was signed by another one, which renews it");
    X509 *x = X509_new();
    int r = x && X509_set_subject_name(x, X509_get_subject_name(ca->certificate)) == 1 &&
                    fill_root(x, ca->key, now_ns, life_ns)
                ? ca_put(certificate_pem, put_certificate, x, e)
                : ca_fail(e, ERROR_SYSTEM, "the authority's certificate cannot be renewed");
    X509_free(x);
    return r;
}

/* ------------------------------------------------------------------ signing */

static const char *const units[] = {
    [IDENTITY_AGENT] = "fleetdump-agent",
    [IDENTITY_USER] = "fleetdump-user",
    [IDENTITY_COLLECTOR] = "fleetdump-collector",
};

static bool set_life(X509 *x, const struct ca *ca, const struct ca_grant *g)
{
    uint64_t from_ns = begin_ns(g->now_ns, g->life_ns), to_ns = g->now_ns + g->life_ns;
    uint64_t least_ns = identity_time_ns(X509_get0_notBefore(ca->certificate));
    uint64_t most_ns = identity_time_ns(X509_get0_notAfter(ca->certificate));
    least_ns = g->earliest_ns > least_ns ? g->earliest_ns : least_ns;
    return set_times(x, from_ns > least_ns ? from_ns : least_ns, to_ns < most_ns ? to_ns : most_ns);
}

static bool add_identity(X509 *x, const struct ca_grant *g)
{
    GENERAL_NAMES *names = ca_names_of(g->kind, g->name);
    bool good = names && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return good && add_subject(x, units[g->kind], g->name);
}

static bool fill(X509 *x, const struct ca *ca, EVP_PKEY *key, const struct ca_grant *g)
{
    X509V3_CTX c;
    X509V3_set_ctx_nodb(&c);
    X509V3_set_ctx(&c, ca->certificate, x, NULL, NULL, 0);
    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) && set_life(x, ca, g) &&
           X509_set_issuer_name(x, X509_get_subject_name(ca->certificate)) == 1 && X509_set_pubkey(x, key) == 1 &&
           add_identity(x, g) && add_extension(x, &c, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(x, &c, NID_key_usage, "critical,digitalSignature") &&
           add_extension(x, &c, NID_ext_key_usage,
                         g->kind == IDENTITY_COLLECTOR ? "serverAuth,clientAuth" : "clientAuth") &&
           add_extension(x, &c, NID_subject_key_identifier, "hash") &&
           add_extension(x, &c, NID_authority_key_identifier, "keyid") && X509_sign(x, ca->key, ca_digest(ca->key)) > 0;
}

static int sign(const struct ca *ca, EVP_PKEY *key, const struct ca_grant *g, struct buffer *out, struct identity *is,
                struct error *e)
{
    X509 *x = X509_new();
    int r = x && fill(x, ca, key, g) ? identity_from_x509(x, is, e)
                                     : ca_fail(e, ERROR_SYSTEM, "a certificate cannot be made");
    if (r == 0 && is->not_after_ns <= g->now_ns)
        r = error_set(e, ERROR_REFUSED, "the authority's own certificate is at its end: make a new one");
    if (r == 0)
        r = ca_put(out, put_certificate, x, e);
    X509_free(x);
    return r;
}

int ca_sign(const struct ca *ca, struct ca_text request_pem, const struct ca_grant *grant,
            struct buffer *certificate_pem, struct identity *out, struct error *e)
{
    struct ca_request wish;
    int r = identity_check_name(grant->name, e);
    if (r == 0)
        r = ca_read_request(request_pem, &wish, e);
    if (r)
        return r;
    X509_REQ *request = ca_load_request(request_pem, e);
    if (!request)
        return ERROR_INVALID;
    r = sign(ca, X509_REQ_get0_pubkey(request), grant, certificate_pem, out, e);
    X509_REQ_free(request);
    return r;
}

/* ------------------------------------------------------------------ reading */

int ca_read_certificate(struct ca_text certificate_pem, struct identity *out, struct error *e)
{
    X509 *x = ca_load_certificate(certificate_pem, e);
    if (!x)
        return ERROR_INVALID;
    int r = identity_from_x509(x, out, e);
    X509_free(x);
    return r;
}

int ca_check_pair(struct ca_text certificate_pem, struct ca_text key_pem, struct error *e)
{
    X509 *x = ca_load_certificate(certificate_pem, e);
    EVP_PKEY *key = x ? ca_load_key(key_pem, e) : NULL;
    int r = key ? 0 : ERROR_INVALID;
    if (r == 0 && X509_check_private_key(x, key) != 1)
        r = ca_fail(e, ERROR_CONFLICT, "the key is not that of the certificate");
    EVP_PKEY_free(key);
    X509_free(x);
    return r;
}

int ca_check_signed(struct ca_text certificate_pem, struct ca_text ca_pem, struct error *e)
{
    X509 *x = ca_load_certificate(certificate_pem, e);
    X509 *root = x ? ca_load_certificate(ca_pem, e) : NULL;
    int r = root ? 0 : ERROR_INVALID;
    if (r == 0 && X509_verify(x, X509_get0_pubkey(root)) != 1)
        r = ca_fail(e, ERROR_CONFLICT, "the certificate was not signed by the authority");
    X509_free(root);
    X509_free(x);
    return r;
}

uint64_t ca_renewal_between_ns(const struct ca_dates *life)
{
    return life->from_ns + (life->to_ns > life->from_ns ? life->to_ns - life->from_ns : 0) / 3 * RENEWAL_THIRDS;
}

uint64_t ca_renewal_ns(const struct identity *of)
{
    return ca_renewal_between_ns(&(struct ca_dates){of->not_before_ns, of->not_after_ns});
}

/* ------------------------------------------------------------------ fingerprints */

int ca_fingerprint(struct ca_text certificate_pem, uint8_t sha256[32], struct error *e)
{
    X509 *x = ca_load_certificate(certificate_pem, e);
    if (!x)
        return ERROR_INVALID;
    int r = X509_digest(x, EVP_sha256(), sha256, NULL) == 1
                ? 0
                : ca_fail(e, ERROR_MEMORY, "a certificate cannot be hashed");
    X509_free(x);
    return r;
}

char *ca_format_hash(const uint8_t sha256[32], char text[CA_HASH_TEXT])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", sha256[i]);
    return text;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

int ca_parse_hash(const char *text, uint8_t sha256[32], struct error *e)
{
    const char *p = strncasecmp(text, "sha256:", 7) == 0 ? text + 7 : text;
    size_t n = 0;
    for (; n < 32 && hex_digit(p[0]) >= 0 && hex_digit(p[1]) >= 0; n++) {
        sha256[n] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
        p += p[2] == ':' ? 3 : 2;
    }
    if (n == 32 && *p == 0)
        return 0;
    return error_set(e, ERROR_USAGE, "'%.80s' is no fingerprint: 64 hex digits", text);
}
