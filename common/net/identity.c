/*
 * What is in a certificate comes from anybody: its strings may hold any bytes, also a 0 in the middle, so that one that
 * ends there would be another name than the one that the authority signed. They are judged by their length.
 */
#include "common/net/identity_x509.h"

#include "common/base/clock.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SCHEME      "fleetdump:"
#define UNIT_PREFIX "fleetdump-"

static const struct {
    const char *name, *uri, *unit;
} kinds[] = {
    [IDENTITY_NONE] = {"nobody", NULL, NULL},
    [IDENTITY_AGENT] = {"agent", "fleetdump://agent/", "fleetdump-agent"},
    [IDENTITY_USER] = {"user", "fleetdump://user/", "fleetdump-user"},
    [IDENTITY_COLLECTOR] = {"collector", "fleetdump://collector/", "fleetdump-collector"},
};
#define KINDS ((uint8_t)(sizeof kinds / sizeof *kinds))

const char *identity_kind_name(int kind)
{
    return kind > 0 && kind < KINDS ? kinds[kind].name : kinds[IDENTITY_NONE].name;
}

/* ------------------------------------------------------------------ names */
static bool is_name(const unsigned char *text, size_t length)
{
    bool good = length > 0 && length <= HEAD_NAME_MAX && text[0] != '@';
    for (size_t i = 0; good && i < length; i++)
        good = text[i] > ' ' && text[i] <= '~' && !strchr("/*?'\"%", text[i]);
    return good;
}

#define NAME_RULE                                                                                                      \
    "1 to 255 letters, digits and signs of ASCII; no spaces, quotes, slashes, '*', '?', '%' or leading '@'"
static_assert(HEAD_NAME_MAX == 255, "as the rule says");

int identity_check_name(const char *name, struct error *e)
{
    if (is_name((const unsigned char *)name, strlen(name)))
        return 0;
    return error_set(e, ERROR_USAGE, "name '%.80s': %s", name, NAME_RULE);
}

static int take_name(const unsigned char *text, size_t length, char name[HEAD_NAME_MAX + 1], struct error *e)
{
    if (!is_name(text, length))
        return error_set(e, ERROR_INVALID, "the certificate's name '%.*s' is none: %s", length < 80 ? (int)length : 80,
                         (const char *)text, NAME_RULE);
    memcpy(name, text, length);
    name[length] = 0;
    return 0;
}

static int take_uri(const unsigned char *uri, size_t length, uint8_t *kind, char name[HEAD_NAME_MAX + 1],
                    struct error *e)
{
    for (uint8_t k = IDENTITY_AGENT; k < KINDS; k++) {
        size_t prefix = strlen(kinds[k].uri);
        if (length >= prefix && memcmp(uri, kinds[k].uri, prefix) == 0) {
            *kind = k;
            return take_name(uri + prefix, length - prefix, name, e);
        }
    }
    return error_set(e, ERROR_INVALID,
                     "the certificate's '%.*s' is none of fleetdump://agent/NAME, fleetdump://user/NAME and "
                     "fleetdump://collector/NAME",
                     length < 80 ? (int)length : 80, (const char *)uri);
}

int identity_from_names(const GENERAL_NAMES *names, uint8_t *kind, char name[HEAD_NAME_MAX + 1], struct error *e)
{
    *kind = IDENTITY_NONE;
    name[0] = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type = 0;
        const ASN1_IA5STRING *uri = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type != GEN_URI)
            continue;
        const unsigned char *text = ASN1_STRING_get0_data(uri);
        size_t length = (size_t)ASN1_STRING_length(uri);
        if (length < strlen(SCHEME) || strncasecmp((const char *)text, SCHEME, strlen(SCHEME)) != 0)
            continue;
        if (*kind != IDENTITY_NONE)
            return error_set(e, ERROR_INVALID, "the certificate names more than one identity");
        int r = take_uri(text, length, kind, name, e);
        if (r)
            return r;
    }
    return 0;
}

/* ------------------------------------------------------------------ the subject */

/* The one string of this kind in the subject, with that beginning, as UTF-8; *found says how many there are. Freed by
 * OPENSSL_free; NULL if there is not exactly one. */
static unsigned char *subject_string(const X509_NAME *subject, int nid, const char *prefix, size_t *length, int *found)
{
    unsigned char *text = NULL;
    *found = 0;
    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, nid, i)) >= 0;) {
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
        if (n >= (int)strlen(prefix) && memcmp(utf8, prefix, strlen(prefix)) == 0 && ++*found == 1) {
            text = utf8;
            *length = (size_t)n;
        } else if (n >= 0) {
            OPENSSL_free(utf8);
        }
    }
    if (*found != 1) {
        OPENSSL_free(text);
        text = NULL;
    }
    return text;
}

static uint8_t kind_of_unit(const unsigned char *unit, size_t length)
{
    for (uint8_t k = IDENTITY_AGENT; k < KINDS; k++)
        if (length == strlen(kinds[k].unit) && memcmp(unit, kinds[k].unit, length) == 0)
            return k;
    return IDENTITY_NONE;
}

static int from_subject(const X509_NAME *subject, struct identity *out, struct error *e)
{
    size_t length = 0;
    int units, names = 0, r;
    unsigned char *unit = subject_string(subject, NID_organizationalUnitName, UNIT_PREFIX, &length, &units);
    out->kind = unit ? kind_of_unit(unit, length) : IDENTITY_NONE;
    OPENSSL_free(unit);
    unsigned char *name = out->kind ? subject_string(subject, NID_commonName, "", &length, &names) : NULL;
    if (name)
        r = take_name(name, length, out->name, e);
    else if (units > 1 || names > 1)
        r = error_set(e, ERROR_INVALID, "the certificate names more than one identity");
    else
        r = error_set(e, ERROR_INVALID,
                      "the certificate does not say who it is of: neither fleetdump://agent/NAME (or user, collector) "
                      "among its alternative names, nor OU = fleetdump-agent (-user, -collector) and CN = NAME in its "
                      "subject");
    OPENSSL_free(name);
    return r;
}

/* ------------------------------------------------------------------ the rest */
static int take_serial(const ASN1_INTEGER *serial, char text[IDENTITY_SERIAL_MAX + 1], struct error *e)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = ASN1_STRING_get0_data(serial);
    size_t length = (size_t)ASN1_STRING_length(serial), at = 0;
    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || length > IDENTITY_SERIAL_MAX / 2)
        return error_set(e, ERROR_INVALID, "the certificate's serial number is negative or longer than %u bytes",
                         IDENTITY_SERIAL_MAX / 2);
    for (size_t i = 0; i < 2 * length; i++) {
        unsigned digit = i % 2 ? p[i / 2] & 15u : p[i / 2] >> 4;
        if (digit || at)
            text[at++] = digits[digit];
    }
    if (at == 0)
        text[at++] = '0';
    text[at] = 0;
    return 0;
}

uint64_t identity_time_ns(const ASN1_TIME *when)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(when, &tm) != 1)
        return 0;
    time_t seconds = timegm(&tm);
    if (seconds < 0)
        return 0;
    return (uint64_t)seconds < UINT64_MAX / NS_PER_S ? (uint64_t)seconds * NS_PER_S : UINT64_MAX;
}

int identity_hash_key(const X509_PUBKEY *key, uint8_t sha256[32], struct error *e)
{
    unsigned char *der = NULL;
    int length = i2d_X509_PUBKEY(key, &der);
    bool good = length > 0 && EVP_Digest(der, (size_t)length, sha256, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return good ? 0 : error_set(e, ERROR_INVALID, "the certificate's key cannot be read");
}

static int from_x509(X509 *certificate, struct identity *out, struct error *e)
{
    int critical;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    if (!names && critical != -1)
        return error_set(e, ERROR_INVALID, "the certificate's alternative names cannot be read");
    int r = identity_from_names(names, &out->kind, out->name, e);
    GENERAL_NAMES_free(names);
    if (r == 0 && out->kind == IDENTITY_NONE)
        r = from_subject(X509_get_subject_name(certificate), out, e);
    if (r == 0)
        r = take_serial(X509_get0_serialNumber(certificate), out->serial, e);
    if (r == 0)
        r = identity_hash_key(X509_get_X509_PUBKEY(certificate), out->key_sha256, e);
    out->not_before_ns = identity_time_ns(X509_get0_notBefore(certificate));
    out->not_after_ns = identity_time_ns(X509_get0_notAfter(certificate));
    return r;
}

int identity_from_x509(X509 *certificate, struct identity *out, struct error *e)
{
    *out = (struct identity){.kind = IDENTITY_NONE};
    int r = from_x509(certificate, out, e);
    if (r)
        *out = (struct identity){.kind = IDENTITY_NONE};
    ERR_clear_error();
    return r;
}

int identity_from_der(const void *der, size_t length, struct identity *out, struct error *e)
{
    const unsigned char *p = der, *end = p + length;
    *out = (struct identity){.kind = IDENTITY_NONE};
    X509 *certificate = length <= IDENTITY_DER_MAX ? d2i_X509(NULL, &p, (long)length) : NULL;
    int r = certificate && p == end ? identity_from_x509(certificate, out, e)
                                    : error_set(e, ERROR_INVALID, "that is no certificate, or more than one");
    X509_free(certificate);
    ERR_clear_error();
    return r;
}
