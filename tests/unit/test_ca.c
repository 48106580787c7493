/* Keys, requests, certificates: what we make OpenSSL verifies, and what does not belong together is refused. */
#include "tests/unit/support.h"

#include "common/net/ca_pem.h"

#include <openssl/pem.h>
#include <string.h>

#define DAY_NS (86400 * NS_PER_S)
#define NOW_NS (UINT64_C(1800000000) * NS_PER_S)

struct authority {
    struct buffer key, certificate;
    struct ca *ca;
};

static struct authority authority(void)
{
    struct authority a = {.ca = NULL};
    struct error e = ERROR_INIT;
    assert_int_equal(ca_new_key(&a.key, &e), 0);
    assert_int_equal(ca_new_root(ca_text_of(&a.key), "test", NOW_NS, CA_ROOT_LIFE_NS, &a.certificate, &e), 0);
    assert_int_equal(ca_open(ca_text_of(&a.certificate), ca_text_of(&a.key), &a.ca, &e), 0);
    return a;
}

static void authority_free(struct authority *a)
{
    ca_close(a->ca);
    buffer_free(&a->key);
    buffer_free(&a->certificate);
}

static void request_of(uint8_t kind, const char *name, struct buffer *key, struct buffer *request)
{
    assert_int_equal(ca_new_key(key, NULL), 0);
    assert_int_equal(ca_new_request(ca_text_of(key), kind, name, request, NULL), 0);
}

/* Whether OpenSSL itself takes the certificate as one of that authority, for that purpose, at that time. */
static bool verifies(const struct buffer *root, const struct buffer *leaf, int purpose, uint64_t at_ns)
{
    X509 *r = ca_load_certificate(ca_text_of(root), NULL), *l = ca_load_certificate(ca_text_of(leaf), NULL);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    assert_true(r && l && store && c);
    X509_STORE_add_cert(store, r);
    X509_STORE_CTX_init(c, store, l, NULL);
    X509_STORE_CTX_set_purpose(c, purpose);
    X509_STORE_CTX_set_time(c, X509_V_FLAG_X509_STRICT, (time_t)(at_ns / NS_PER_S));
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(c), X509_V_FLAG_X509_STRICT);
    int good = X509_verify_cert(c);
    X509_STORE_CTX_free(c);
    X509_STORE_free(store);
    X509_free(r);
    X509_free(l);
    return good == 1;
}

static void signs_what_it_is_told(void **state)
{
    struct authority a = authority();
    struct buffer key = {0}, request = {0}, certificate = {0};
    struct identity made, read;
    struct ca_request wish;
    (void)state;
    request_of(IDENTITY_AGENT, "web-1", &key, &request);
    assert_int_equal(ca_read_request(ca_text_of(&request), &wish, NULL), 0);
    assert_int_equal(wish.kind, IDENTITY_AGENT);
    assert_string_equal(wish.name, "web-1");
    const struct ca_grant g = {.kind = IDENTITY_USER, .name = "ann", .now_ns = NOW_NS, .life_ns = 30 * DAY_NS};
    assert_int_equal(ca_sign(a.ca, ca_text_of(&request), &g, &certificate, &made, NULL), 0);
    assert_int_equal(ca_read_certificate(ca_text_of(&certificate), &read, NULL), 0);
    assert_memory_equal(&made, &read, sizeof made);
    assert_int_equal(read.kind, IDENTITY_USER);
    assert_string_equal(read.name, "ann");
    assert_int_equal(read.not_before_ns, NOW_NS - CA_BACKDATE_NS);
    assert_int_equal(read.not_after_ns, NOW_NS + 30 * DAY_NS);
    assert_memory_equal(read.key_sha256, wish.key_sha256, 32);
    assert_int_equal(ca_check_pair(ca_text_of(&certificate), ca_text_of(&key), NULL), 0);
    assert_true(verifies(&a.certificate, &certificate, X509_PURPOSE_SSL_CLIENT, NOW_NS));
    assert_false(verifies(&a.certificate, &certificate, X509_PURPOSE_SSL_SERVER, NOW_NS));
    assert_false(verifies(&a.certificate, &certificate, X509_PURPOSE_SSL_CLIENT, NOW_NS + 31 * DAY_NS));
    buffer_free(&key);
    buffer_free(&request);
    buffer_free(&certificate);
    authority_free(&a);
}

static void a_collectors_certificate_serves(void **state)
{
    struct authority a = authority(), other = authority();
    struct buffer key = {0}, request = {0}, certificate = {0};
    struct identity made;
    (void)state;
    request_of(IDENTITY_COLLECTOR, "main", &key, &request);
    const struct ca_grant g = {.kind = IDENTITY_COLLECTOR, .name = "main", .now_ns = NOW_NS, .life_ns = DAY_NS};
    assert_int_equal(ca_sign(a.ca, ca_text_of(&request), &g, &certificate, &made, NULL), 0);
    assert_true(verifies(&a.certificate, &certificate, X509_PURPOSE_SSL_SERVER, NOW_NS));
    assert_false(verifies(&other.certificate, &certificate, X509_PURPOSE_SSL_SERVER, NOW_NS));
    buffer_free(&key);
    buffer_free(&request);
    buffer_free(&certificate);
    authority_free(&other);
    authority_free(&a);
}

static void short_lives_begin_hardly_before_now(void **state)
{
    struct authority a = authority();
    struct buffer key = {0}, request = {0}, certificate = {0};
    struct identity made;
    (void)state;
    request_of(IDENTITY_AGENT, "web-1", &key, &request);
    struct ca_grant g = {.kind = IDENTITY_AGENT, .name = "web-1", .now_ns = NOW_NS, .life_ns = 30 * NS_PER_S};
    assert_int_equal(ca_sign(a.ca, ca_text_of(&request), &g, &certificate, &made, NULL), 0);
    assert_int_equal(made.not_before_ns, NOW_NS - 3 * NS_PER_S);
    assert_int_equal(ca_renewal_ns(&made), NOW_NS + 19 * NS_PER_S);
    g.earliest_ns = NOW_NS - NS_PER_S;
    assert_int_equal(ca_sign(a.ca, ca_text_of(&request), &g, &certificate, &made, NULL), 0);
    assert_int_equal(made.not_before_ns, NOW_NS - NS_PER_S);
    g.life_ns = 2 * CA_ROOT_LIFE_NS;
    assert_int_equal(ca_sign(a.ca, ca_text_of(&request), &g, &certificate, &made, NULL), 0);
    assert_int_equal(made.not_after_ns, NOW_NS + CA_ROOT_LIFE_NS);
    g.now_ns = NOW_NS + CA_ROOT_LIFE_NS;
    assert_int_equal(ca_sign(a.ca, ca_text_of(&request), &g, &certificate, &made, NULL), ERROR_REFUSED);
    buffer_free(&key);
    buffer_free(&request);
    buffer_free(&certificate);
    authority_free(&a);
}

static void long_names_stand_in_the_alternative_name(void **state)
{
    struct authority a = authority();
    struct buffer key = {0}, request = {0}, certificate = {0};
    struct identity made;
    char name[HEAD_NAME_MAX + 1] = "";
    (void)state;
    memset(name, 'x', HEAD_NAME_MAX);
    request_of(IDENTITY_AGENT, name, &key, &request);
    const struct ca_grant g = {.kind = IDENTITY_AGENT, .name = name, .now_ns = NOW_NS, .life_ns = DAY_NS};
    assert_int_equal(ca_sign(a.ca, ca_text_of(&request), &g, &certificate, &made, NULL), 0);
    assert_string_equal(made.name, name);
    buffer_free(&key);
    buffer_free(&request);
    buffer_free(&certificate);
    authority_free(&a);
}

static int put_request(BIO *bio, void *request)
{
    return PEM_write_bio_X509_REQ(bio, request);
}

/* A request for `key` that is signed by `signer`. */
static void odd_request(EVP_PKEY *key, EVP_PKEY *signer, struct buffer *out)
{
    X509_REQ *q = X509_REQ_new();
    assert_true(X509_REQ_set_pubkey(q, key) == 1 && X509_REQ_sign(q, signer, ca_digest(signer)) > 0);
    assert_int_equal(ca_put(out, put_request, q, NULL), 0);
    X509_REQ_free(q);
}

static void requests_from_anybody(void **state)
{
    EVP_PKEY *mine = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *theirs = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
             *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    struct buffer b = {0};
    struct ca_request wish;
    (void)state;
    odd_request(theirs, mine, &b);
    assert_int_equal(ca_read_request(ca_text_of(&b), &wish, NULL), ERROR_INVALID);
    buffer_clear(&b);
    odd_request(small, small, &b);
    assert_int_equal(ca_read_request(ca_text_of(&b), &wish, NULL), ERROR_UNSUPPORTED);
    buffer_clear(&b);
    odd_request(rsa, rsa, &b);
    assert_int_equal(ca_read_request(ca_text_of(&b), &wish, NULL), 0);
    assert_int_equal(wish.kind, IDENTITY_NONE);
    buffer_clear(&b);
    odd_request(ec, ec, &b);
    assert_int_equal(ca_read_request(ca_text_of(&b), &wish, NULL), 0);
    buffer_free(&b);
    assert_int_equal(ca_read_request(ca_text_string("-----BEGIN CERTIFICATE REQUEST-----\n"), &wish, NULL),
                     ERROR_INVALID);
    assert_true(ca_read_request(ca_text_string(""), &wish, NULL) < 0);
    EVP_PKEY *const all[] = {mine, theirs, small, rsa, ec};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        EVP_PKEY_free(all[i]);
}

static void what_does_not_belong_together(void **state)
{
    struct authority a = authority(), b = authority();
    struct buffer key = {0}, request = {0}, certificate = {0};
    struct identity made;
    struct ca *ca = NULL;
    struct error e = ERROR_INIT;
    (void)state;
    assert_int_equal(ca_open(ca_text_of(&a.certificate), ca_text_of(&b.key), &ca, &e), ERROR_CONFLICT);
    request_of(IDENTITY_AGENT, "web-1", &key, &request);
    const struct ca_grant g = {.kind = IDENTITY_AGENT, .name = "web-1", .now_ns = NOW_NS, .life_ns = DAY_NS};
    assert_int_equal(ca_sign(a.ca, ca_text_of(&request), &g, &certificate, &made, NULL), 0);
    assert_int_equal(ca_open(ca_text_of(&certificate), ca_text_of(&key), &ca, &e), ERROR_INVALID);
    assert_int_equal(ca_check_pair(ca_text_of(&certificate), ca_text_of(&a.key), &e), ERROR_CONFLICT);
    assert_int_equal(ca_read_certificate(ca_text_of(&a.certificate), &made, &e), ERROR_INVALID);
    buffer_free(&key);
    buffer_free(&request);
    buffer_free(&certificate);
    authority_free(&a);
    authority_free(&b);
}

static void fingerprints(void **state)
{
    struct authority a = authority();
    uint8_t sha256[32], back[32];
    char text[CA_HASH_TEXT], colons[128] = "SHA256:";
    (void)state;
    assert_int_equal(ca_fingerprint(ca_text_of(&a.certificate), sha256, NULL), 0);
    assert_int_equal(ca_parse_hash(ca_format_hash(sha256, text), back, NULL), 0);
    assert_memory_equal(sha256, back, 32);
    for (size_t i = 0; i < 32; i++)
        snprintf(colons + 7 + 3 * i, 4, "%02X%s", sha256[i], i < 31 ? ":" : "");
    assert_int_equal(ca_parse_hash(colons, back, NULL), 0);
    assert_memory_equal(sha256, back, 32);
    text[10] = 'g';
    assert_int_equal(ca_parse_hash(text, back, NULL), ERROR_USAGE);
    assert_int_equal(ca_parse_hash("", back, NULL), ERROR_USAGE);
    authority_free(&a);
}

/* With the same key, in front of what it was: each is known by either. */
static void a_renewed_authority_is_the_same(void **state)
{
    struct authority a = authority(), other = authority();
    struct ca_dates before, now;
    struct buffer new = {0}, both = {0}, late = {0};
    struct ca *again = NULL;
    uint8_t old_hash[32], new_hash[32];
    (void)state;
    assert_int_equal(ca_read_dates(ca_text_of(&a.certificate), &before, NULL), 0);
    uint64_t due_ns = ca_renewal_between_ns(&before);
    assert_true(due_ns > before.from_ns && before.to_ns - due_ns > CA_ROOT_LIFE_NS / 4);
    assert_int_equal(ca_renew_root(a.ca, due_ns, CA_ROOT_LIFE_NS, &new, NULL), 0);
    assert_int_equal(ca_read_dates(ca_text_of(&new), &now, NULL), 0);
    assert_true(now.from_ns <= due_ns && now.to_ns > before.to_ns);
    assert_int_equal(ca_open(ca_text_of(&new), ca_text_of(&a.key), &again, NULL), 0);
    ca_close(again);
    assert_int_equal(ca_fingerprint(ca_text_of(&a.certificate), old_hash, NULL), 0);
    assert_int_equal(ca_fingerprint(ca_text_of(&new), new_hash, NULL), 0);
    assert_memory_not_equal(old_hash, new_hash, 32);

    buffer_append(&both, new.data, new.len);
    assert_int_equal(ca_append_current(ca_text_of(&a.certificate), due_ns, &both, NULL), 0);
    assert_int_equal(both.len, new.len + a.certificate.len);
    assert_int_equal(ca_append_current(ca_text_of(&both), before.to_ns, &late, NULL), 0);
    assert_int_equal(late.len, new.len); /* the old one has ended */
    assert_memory_equal(late.data, new.data, new.len);
    assert_int_equal(ca_check_known(ca_text_of(&both), old_hash, NULL), 0);
    assert_int_equal(ca_check_known(ca_text_of(&both), new_hash, NULL), 0);
    assert_int_equal(ca_check_known(ca_text_of(&new), old_hash, NULL), ERROR_CONFLICT);
    assert_int_equal(ca_check_renewed(ca_text_of(&both), ca_text_of(&a.certificate), NULL), 0);

    /* Another authority slips in neither alone, nor behind it, nor in front of it. */
    buffer_append(&both, other.certificate.data, other.certificate.len);
    assert_int_equal(ca_check_renewed(ca_text_of(&both), ca_text_of(&a.certificate), NULL), ERROR_CONFLICT);
    assert_int_equal(ca_check_renewed(ca_text_of(&other.certificate), ca_text_of(&a.certificate), NULL),
                     ERROR_CONFLICT);
    buffer_clear(&late);
    buffer_append(&late, other.certificate.data, other.certificate.len);
    buffer_append(&late, new.data, new.len);
    assert_int_equal(ca_check_known(ca_text_of(&late), new_hash, NULL), ERROR_CONFLICT);
    assert_int_equal(ca_check_renewed(ca_text_string("nonsense"), ca_text_of(&a.certificate), NULL), ERROR_INVALID);
    assert_int_equal(ca_check_known(ca_text_string(""), new_hash, NULL), ERROR_INVALID);
    buffer_append(&new, "-----BEGIN CERTIFICATE-----\n", 28);
    assert_int_equal(ca_check_renewed(ca_text_of(&new), ca_text_of(&a.certificate), NULL), ERROR_INVALID);
    buffer_free(&new);
    buffer_free(&both);
    buffer_free(&late);
    authority_free(&a);
    authority_free(&other);
}

static void names(void **state)
{
    static const char *const bad[] = {"", "a b", "a/b", "@a", "a*", "a?", "a'b", "a\"b", "a\n", "\xc3\xa9", "a%b"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(identity_check_name(bad[i], NULL), ERROR_USAGE);
    assert_int_equal(identity_check_name("web-1.example.org:2@x", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_what_it_is_told),
        cmocka_unit_test(a_collectors_certificate_serves),
        cmocka_unit_test(short_lives_begin_hardly_before_now),
        cmocka_unit_test(long_names_stand_in_the_alternative_name),
        cmocka_unit_test(requests_from_anybody),
        cmocka_unit_test(what_does_not_belong_together),
        cmocka_unit_test(fingerprints),
        cmocka_unit_test(a_renewed_authority_is_the_same),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
