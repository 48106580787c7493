/*
 * Who a certificate is of: names in URIs and subjects, their lengths, serial numbers.
 */
#include "common/net/identity_x509.h"
#include "tests/unit/tls_world.h"

#include <stdio.h>

struct entry {
    int nid, type;
    const char *text;
    int length;
};

static X509 *certificate_of(const struct entry *subject, size_t subjects, const struct entry *uris, size_t count)
{
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    assert_true(x && key && names);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 0xabc), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    for (size_t i = 0; i < subjects; i++)
        assert_int_equal(X509_NAME_add_entry_by_NID(X509_get_subject_name(x), subject[i].nid, subject[i].type,
                                                    (const unsigned char *)subject[i].text, subject[i].length, -1, 0),
                         1);
    for (size_t i = 0; i < count; i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        ASN1_STRING_set(text, uris[i].text, uris[i].length);
        GENERAL_NAME_set0_value(name, uris[i].nid, text);
        sk_GENERAL_NAME_push(names, name);
    }
    if (count)
        assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_true(X509_sign(x, key, NULL) > 0);
    EVP_PKEY_free(key);
    return x;
}

static int identity_of(X509 *x, struct identity *id, struct error *e)
{
    unsigned char *der = NULL;
    int length = i2d_X509(x, &der);
    assert_true(length > 0);
    int r = identity_from_der(der, (size_t)length, id, e);
    if (r == 0) {
        struct identity none;
        assert_int_equal(identity_from_der(der, (size_t)length - 1, &none, NULL), ERROR_INVALID);
        assert_int_equal(none.kind, IDENTITY_NONE);
    } else {
        static const struct identity zero;
        assert_memory_equal(id, &zero, sizeof zero);
    }
    OPENSSL_free(der);
    X509_free(x);
    return r;
}

#define URI(text)                                                                                                      \
    {                                                                                                                  \
        GEN_URI, 0, text, (int)sizeof(text) - 1                                                                        \
    }

#define DNS(text)                                                                                                      \
    {                                                                                                                  \
        GEN_DNS, 0, text, (int)sizeof(text) - 1                                                                        \
    }

#define UNIT(text)                                                                                                     \
    {                                                                                                                  \
        NID_organizationalUnitName, MBSTRING_ASC, text, (int)sizeof(text) - 1                                          \
    }

#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        NID_commonName, V_ASN1_UTF8STRING, text, (int)sizeof(text) - 1                                                 \
    }

static void names_in_uris(void **state)
{
    static const struct {
        struct entry uri[3];
        size_t count;
        uint8_t kind; /* NONE: refused */
        const char *name;
    } cases[] = {
        {{URI("fleetdump://agent/web-1")}, 1, IDENTITY_AGENT, "web-1"},
        {{URI("fleetdump://user/alice@example.org")}, 1, IDENTITY_USER, "alice@example.org"},
        {{URI("fleetdump://collector/hub")}, 1, IDENTITY_COLLECTOR, "hub"},
        {{DNS("fleetdump://user/eve"), URI("spiffe://x/y"), URI("fleetdump://agent/a")}, 3, IDENTITY_AGENT, "a"},
        {{URI("fleetdump://agent/a"), URI("fleetdump://agent/b")}, 2, IDENTITY_NONE, "more than one"},
        {{URI("fleetdump://agent/a"), URI("fleetdump://agent/a")}, 2, IDENTITY_NONE, "more than one"},
        {{URI("fleetdump://agent/a"), URI("FleetDump://user/b")}, 2, IDENTITY_NONE, "more than one"},
        {{URI("FLEETDUMP://agent/a")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump://agent/")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump://admin/a")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump:agent/a")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump://agent/web-1\0.evil.example")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/web-1\0")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/\0web-1")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent\0/web-1")}, 1, IDENTITY_NONE, "is none of"},
        {{URI("fleetdump://agent/web\n1")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/web\x1b[31m")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/../hub")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/web%2d1")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/web*")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/@all")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/b\xc3\xbcro")}, 1, IDENTITY_NONE, "is none"},
        {{URI("fleetdump://agent/ web-1")}, 1, IDENTITY_NONE, "is none"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct entry subject[] = {UNIT("fleetdump-agent"), NAME("from-subject")}; /* never asked then */
        struct identity id;
        struct error e = ERROR_INIT;
        int r = identity_of(certificate_of(subject, 2, cases[i].uri, cases[i].count), &id, &e);
        if (cases[i].kind == IDENTITY_NONE) {
            error_has_text(&e, ERROR_INVALID, cases[i].name);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(id.kind, cases[i].kind);
        assert_string_equal(id.name, cases[i].name);
        assert_string_equal(id.serial, "abc");
    }
}

static void names_have_a_length(void **state)
{
    char uri[sizeof "fleetdump://agent/" + HEAD_NAME_MAX + 1];
    (void)state;
    for (int more = 0; more < 2; more++) {
        int length = snprintf(uri, sizeof uri, "fleetdump://agent/%0*d", (int)HEAD_NAME_MAX + more, 7);
        const struct entry name = {GEN_URI, 0, uri, length};
        struct identity id;
        assert_int_equal(identity_of(certificate_of(NULL, 0, &name, 1), &id, NULL), more ? ERROR_INVALID : 0);
    }
}

static void names_in_subjects(void **state)
{
    static const struct {
        struct entry subject[4];
        size_t count;
        uint8_t kind;
        const char *name;
    } cases[] = {
        {{UNIT("fleetdump-agent"), NAME("web-1")}, 2, IDENTITY_AGENT, "web-1"},
        {{NAME("alice"), UNIT("Sales"), UNIT("fleetdump-user")}, 3, IDENTITY_USER, "alice"},
        {{UNIT("fleetdump-collector"), NAME("hub")}, 2, IDENTITY_COLLECTOR, "hub"},
        {{UNIT("fleetdump-agent")}, 1, IDENTITY_NONE, "does not say who"},
        {{NAME("web-1")}, 1, IDENTITY_NONE, "does not say who"},
        {{UNIT("Sales"), NAME("web-1")}, 2, IDENTITY_NONE, "does not say who"},
        {{UNIT("fleetdump-root"), NAME("web-1")}, 2, IDENTITY_NONE, "does not say who"},
        {{UNIT("fleetdump-agent"), UNIT("fleetdump-user"), NAME("a")}, 3, IDENTITY_NONE, "more than one"},
        {{UNIT("fleetdump-agent"), NAME("a"), NAME("b")}, 3, IDENTITY_NONE, "more than one"},
        {{UNIT("fleetdump-agent"), NAME("web-1\0evil")}, 2, IDENTITY_NONE, "is none"},
        {{UNIT("fleetdump-agent\0"), NAME("web-1")}, 2, IDENTITY_NONE, "does not say who"},
        {{UNIT("fleetdump-agent"), NAME("web 1")}, 2, IDENTITY_NONE, "is none"},
        {{UNIT("fleetdump-agent"), NAME("b\xc3\xbcro")}, 2, IDENTITY_NONE, "is none"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct identity id;
        struct error e = ERROR_INIT;
        int r = identity_of(certificate_of(cases[i].subject, cases[i].count, NULL, 0), &id, &e);
        if (cases[i].kind == IDENTITY_NONE) {
            error_has_text(&e, ERROR_INVALID, cases[i].name);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(id.kind, cases[i].kind);
        assert_string_equal(id.name, cases[i].name);
    }
}

static void serial_numbers(void **state)
{
    static const struct entry name = URI("fleetdump://agent/a");
    static const struct {
        const char *number, *text; /* NULL: refused */
    } cases[] = {{"1", "1"},
                 {"0", "0"},
                 {"7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "7fffffffffffffffffffffffffffffffffffffff"},
                 {"00F0", "f0"},
                 {"-5", NULL},
                 {"1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        X509 *x = certificate_of(NULL, 0, &name, 1);
        BIGNUM *number = NULL;
        struct identity id;
        assert_true(BN_hex2bn(&number, cases[i].number) > 0);
        assert_non_null(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)));
        BN_free(number);
        assert_int_equal(identity_of(x, &id, NULL), cases[i].text ? 0 : ERROR_INVALID);
        if (cases[i].text)
            assert_string_equal(id.serial, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_uris),
        cmocka_unit_test(names_have_a_length),
        cmocka_unit_test(names_in_subjects),
        cmocka_unit_test(serial_numbers),
    };
    return cmocka_run_group_tests(tests, members_make, members_drop);
}
