#include "tests/unit/tls_support.h"

#include "tests/unit/support.h"

#include <sys/stat.h>

#define YEAR_NS (UINT64_C(365) * 86400 * NS_PER_S)

void test_ca_make(struct test_ca *ca, const char *name)
{
    *ca = (struct test_ca){.now_ns = clock_wall_ns()};
    assert_int_equal(ca_new_key(&ca->key, NULL), 0);
    assert_int_equal(
        ca_new_root(ca_text_of(&ca->key), name, ca->now_ns - 3 * YEAR_NS, 9 * YEAR_NS, &ca->certificate, NULL), 0);
    assert_int_equal(ca_open(ca_text_of(&ca->certificate), ca_text_of(&ca->key), &ca->ca, NULL), 0);
}

void test_ca_free(struct test_ca *ca)
{
    ca_close(ca->ca);
    buffer_free(&ca->key);
    buffer_free(&ca->certificate);
}

void test_certificate(const struct test_ca *ca, uint8_t kind, const char *name, uint64_t from_ns, uint64_t life_ns,
                      struct buffer *certificate, struct buffer *key)
{
    struct buffer request = {0};
    struct identity made;
    struct error e = ERROR_INIT;
    const struct ca_grant grant = {
        .kind = kind, .name = name, .now_ns = from_ns, .life_ns = life_ns, .earliest_ns = from_ns};
    assert_int_equal(ca_new_key(key, &e), 0);
    assert_int_equal(ca_new_request(ca_text_of(key), kind, name, &request, &e), 0);
    if (ca_sign(ca->ca, ca_text_of(&request), &grant, certificate, &made, &e) != 0)
        fail_msg("%s", e.text);
    buffer_free(&request);
}

void test_tls_write(const char *folder, const struct test_ca *trusted, const struct buffer *certificate,
                    const struct buffer *key)
{
    support_write(folder, TLS_CA_NAME, trusted->certificate.data, trusted->certificate.len);
    support_write(folder, TLS_CERT_NAME, certificate->data, certificate->len);
    support_write(folder, TLS_KEY_NAME, key->data, key->len);
    assert_int_equal(chmod(support_path(folder, TLS_KEY_NAME), 0600), 0);
}

struct tls *test_tls(const struct test_ca *ca, const struct test_ca *trusted, uint8_t kind, const char *name)
{
    struct buffer certificate = {0}, key = {0};
    char *folder = support_folder();
    struct tls *t = NULL;
    struct error e = ERROR_INIT;
    test_certificate(ca, kind, name, ca->now_ns, YEAR_NS, &certificate, &key);
    test_tls_write(folder, trusted, &certificate, &key);
    if (tls_load_folder(folder, kind, &t, &e) != 0)
        fail_msg("%s", e.text);
    support_folder_remove(folder);
    buffer_free(&certificate);
    buffer_free(&key);
    return t;
}
