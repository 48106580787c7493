/* Signed requests: canonical bytes, keys and certificates as text, and that nothing but what was signed verifies. */
#include "common/net/signature.h"
#include "tests/unit/support.h"

#include <stdio.h>

#include <stdlib.h>
#include <string.h>

#define NOW UINT64_C(1790000000000000000)

static struct signature_key alice, organisation, mallory;
static char *on[] = {(char *)(uintptr_t) "web-1"};

static struct capture_request sample(void)
{
    struct capture_request r = {.name = (char *)(uintptr_t) "slow",
                                .filter = (char *)(uintptr_t) "tcp port 80",
                                .who = (char *)(uintptr_t) "alice@laptop",
                                .on = on,
                                .on_count = 1,
                                .snaplen = 96,
                                .bytes = 1 << 20,
                                .issued_ns = NOW,
                                .end_ns = NOW + 60,
                                .expires_ns = NOW + 60};
    memset(r.id, 7, sizeof r.id);
    memset(r.nonce, 9, sizeof r.nonce);
    return r;
}

static struct buffer bytes_of_request(const struct capture_request *r)
{
    struct buffer b = {.limit = NET_FRAME_MAX};
    assert_int_equal(message_encode_request(r, &b, NULL), 0);
    return b;
}

/* A host's file with these lines. */
static struct signature_operators trust(const char *kind, const char *name, const struct signature_key *k)
{
    char line[200], key[SIGNATURE_KEY_TEXT];
    struct signature_operators o;
    snprintf(line, sizeof line, "# who may order\n%s %s %s\n", kind, name, signature_key_text(k->key, key));
    assert_int_equal(signature_operators_read("operators", line, strlen(line), &o, NULL), 0);
    return o;
}

struct signed_request {
    struct buffer bytes;
    uint8_t signature[REQUEST_SIGNATURE_MAX];
    uint32_t length;
};

static struct signed_request sign(const struct signature_key *k, const struct signature_certificate *c,
                                  enum signature_purpose purpose)
{
    struct capture_request r = sample();
    struct signed_request s = {.bytes = bytes_of_request(&r)};
    assert_int_equal(signature_sign(k, c, purpose, s.bytes.data, s.bytes.len, s.signature, &s.length, NULL), 0);
    return s;
}

static int verify(const struct signature_operators *o, unsigned purposes, const struct signed_request *s, uint64_t now,
                  struct error *e)
{
    char who[SIGNATURE_NAME_MAX + 1];
    return signature_verify(o, purposes, s->bytes.data, s->bytes.len, s->signature, s->length, now, who, e);
}

static void a_signed_request_names_who_signed_it(void **state)
{
    (void)state;
    char who[SIGNATURE_NAME_MAX + 1];
    struct signature_operators o = trust("operator", "alice", &alice);
    struct signed_request s = sign(&alice, NULL, SIGNATURE_ORDER);
    assert_int_equal(
        signature_verify(&o, SIGNATURE_ORDER, s.bytes.data, s.bytes.len, s.signature, s.length, NOW, who, NULL), 0);
    assert_string_equal(who, "alice");
    assert_int_equal(s.length, 97);
    signature_operators_free(&o);
    buffer_free(&s.bytes);
}

static void the_same_request_always_makes_the_same_bytes(void **state)
{
    (void)state;
    struct message m;
    uint8_t signature[3] = {1, 2, 3};
    struct capture_request r = sample();
    struct buffer once = bytes_of_request(&r);
    r.signature = signature;
    r.signature_length = sizeof signature;
    struct buffer again = bytes_of_request(&r);
    assert_int_equal(once.len, again.len);
    assert_memory_equal(once.data, again.data, once.len);
    assert_int_equal(message_decode_request(once.data, once.len, &m, NULL), 0);
    assert_string_equal(m.check.request->filter, "tcp port 80");
    assert_int_equal(m.check.request->signature_length, 0);
    struct buffer back = bytes_of_request(m.check.request);
    assert_int_equal(back.len, once.len);
    assert_memory_equal(back.data, once.data, once.len);
    message_free(&m);
    buffer_free(&once);
    buffer_free(&again);
    buffer_free(&back);
}

/* The collector relays a request as it decoded it. */
static void a_relayed_request_still_verifies(void **state)
{
    (void)state;
    char who[SIGNATURE_NAME_MAX + 1];
    struct signature_operators o = trust("operator", "alice", &alice);
    struct signed_request s = sign(&alice, NULL, SIGNATURE_ORDER);
    struct capture_request r = sample();
    r.signature = s.signature;
    r.signature_length = s.length;
    struct net_order order = {.request = &r, .request_count = 1, .left_ns = UINT64_MAX};
    const struct message m = {.type = MESSAGE_ORDERS, .orders = {.orders = &order, .order_count = 1}};
    struct message copy;
    assert_int_equal(message_copy(&m, &copy, NULL), 0);
    struct capture_request *relayed = copy.orders.orders->request;
    struct buffer b = bytes_of_request(relayed);
    assert_int_equal(signature_verify(&o, SIGNATURE_ORDER, b.data, b.len, relayed->signature, relayed->signature_length,
                                      NOW, who, NULL),
                     0);
    buffer_free(&b);
    message_free(&copy);
    signature_operators_free(&o);
    buffer_free(&s.bytes);
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct signature_operators o = trust("operator", "alice", &alice);
    struct signed_request s = sign(&alice, NULL, SIGNATURE_ORDER);
    for (size_t bit = 0; bit < s.bytes.len * 8; bit++) {
        s.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), ERROR_REFUSED);
        s.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < s.length * 8; bit++) {
        s.signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), 0);
        s.signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), 0);
    signature_operators_free(&o);
    buffer_free(&s.bytes);
}

static void what_is_cut_or_longer_is_refused(void **state)
{
    (void)state;
    struct signature_operators o = trust("operator", "alice", &alice);
    struct signed_request s = sign(&alice, NULL, SIGNATURE_ORDER);
    size_t len = s.bytes.len;
    uint32_t length = s.length;
    for (s.bytes.len = 0; s.bytes.len < len; s.bytes.len++)
        assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), ERROR_REFUSED);
    for (s.length = 0; s.length < length; s.length++)
        assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), ERROR_INVALID);
    for (s.length = length + 1; s.length <= REQUEST_SIGNATURE_MAX; s.length++)
        assert_int_not_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), 0);
    s.length = length;
    buffer_append(&s.bytes, "\xa2\x06\x01x", 4); /* field 100, bytes */
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), ERROR_REFUSED);
    signature_operators_free(&o);
    buffer_free(&s.bytes);
}

static void fields_that_are_not_known_are_not_passed_over(void **state)
{
    (void)state;
    struct message m;
    struct error e = ERROR_INIT;
    struct capture_request r = sample();
    struct buffer b = bytes_of_request(&r);
    size_t len = b.len;
    buffer_append(&b, "\xa2\x06\x01x", 4);
    assert_int_equal(message_decode_request(b.data, b.len, &m, &e), ERROR_VERSION);
    b.len = len;
    buffer_append(&b, "\x38\x60", 2); /* snaplen again: the same value, not the same bytes */
    assert_int_equal(message_decode_request(b.data, b.len, &m, &e), ERROR_VERSION);
    for (size_t n = 0; n < len; n++) /* what is cut between fields is another request */
        if (message_decode_request(b.data, n, &m, &e) == 0)
            message_free(&m);
    buffer_free(&b);
}

static void what_was_signed_for_a_check_starts_nothing(void **state)
{
    (void)state;
    struct signature_operators o = trust("operator", "alice", &alice);
    struct signed_request check = sign(&alice, NULL, SIGNATURE_CHECK), order = sign(&alice, NULL, SIGNATURE_ORDER);
    assert_int_equal(verify(&o, SIGNATURE_CHECK, &check, NOW, NULL), 0);
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &check, NOW, NULL), ERROR_REFUSED);
    assert_int_equal(verify(&o, SIGNATURE_CHECK, &order, NOW, NULL), ERROR_REFUSED);
    assert_int_equal(verify(&o, SIGNATURE_ORDER | SIGNATURE_CHECK, &order, NOW, NULL), 0);
    signature_operators_free(&o);
    buffer_free(&check.bytes);
    buffer_free(&order.bytes);
}

static void keys_of_others_are_refused(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    struct signature_operators o = trust("operator", "alice", &alice), none = {0};
    struct signed_request s = sign(&mallory, NULL, SIGNATURE_ORDER);
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, &e), ERROR_NOT_FOUND);
    assert_non_null(strstr(e.text, "none of those that this host trusts"));
    assert_int_equal(verify(&none, SIGNATURE_ORDER, &s, NOW, &e), ERROR_NOT_FOUND);
    assert_int_equal(verify(&o, SIGNATURE_CHECK, &s, NOW, &e), ERROR_REFUSED);
    for (size_t bit = 8; bit < s.length * 8; bit++) { /* not known, and not as it should be */
        s.signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), ERROR_REFUSED);
        s.signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memcpy(s.signature + 1, alice.key, SIGNATURE_KEY_SIZE);
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, &e), ERROR_REFUSED);
    signature_operators_free(&o);
    buffer_free(&s.bytes);
}

static void an_organisation_vouches_for_its_operators(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    char who[SIGNATURE_NAME_MAX + 1];
    struct signature_certificate c;
    struct signature_operators o = trust("organisation", "example.org", &organisation),
                               other = trust("organisation", "example.org", &mallory),
                               as_operator = trust("operator", "org", &organisation);
    assert_int_equal(signature_certify(&organisation, alice.key, "alice", NOW + 10, &c, NULL), 0);
    struct signed_request s = sign(&alice, &c, SIGNATURE_ORDER);
    assert_int_equal(
        signature_verify(&o, SIGNATURE_ORDER, s.bytes.data, s.bytes.len, s.signature, s.length, NOW, who, &e), 0);
    assert_string_equal(who, "alice");
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW + 11, &e), ERROR_REFUSED);
    assert_non_null(strstr(e.text, "was good until"));
    assert_int_equal(verify(&other, SIGNATURE_ORDER, &s, NOW, &e), ERROR_NOT_FOUND);
    assert_int_equal(verify(&other, SIGNATURE_ORDER, &s, NOW + 11, &e), ERROR_REFUSED);
    assert_int_equal(verify(&as_operator, SIGNATURE_ORDER, &s, NOW, &e), ERROR_NOT_FOUND);
    for (size_t bit = 0; bit < s.length * 8; bit++) {
        s.signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), 0);
        s.signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* a certificate of one's own making */
    assert_int_equal(signature_certify(&mallory, mallory.key, "alice", NOW + 10, &c, NULL), 0);
    struct signed_request forged = sign(&mallory, &c, SIGNATURE_ORDER);
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &forged, NOW, &e), ERROR_NOT_FOUND);
    memcpy(c.organisation, organisation.key, SIGNATURE_KEY_SIZE);
    struct signed_request claimed = sign(&mallory, &c, SIGNATURE_ORDER);
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &claimed, NOW, &e), ERROR_REFUSED);
    assert_int_equal(signature_certify(&organisation, alice.key, "a b", NOW, &c, &e), ERROR_USAGE);
    signature_operators_free(&o);
    signature_operators_free(&other);
    signature_operators_free(&as_operator);
    buffer_free(&s.bytes);
    buffer_free(&forged.bytes);
    buffer_free(&claimed.bytes);
}

static void the_longest_certificate_fits(void **state)
{
    (void)state;
    char name[SIGNATURE_NAME_MAX + 2];
    struct signature_certificate c;
    memset(name, 'n', sizeof name);
    name[SIGNATURE_NAME_MAX + 1] = 0;
    assert_int_equal(signature_certify(&organisation, alice.key, name, NOW, &c, NULL), ERROR_USAGE);
    name[SIGNATURE_NAME_MAX] = 0;
    assert_int_equal(signature_certify(&organisation, alice.key, name, UINT64_MAX, &c, NULL), 0);
    struct signed_request s = sign(&alice, &c, SIGNATURE_ORDER);
    struct signature_operators o = trust("organisation", "x", &organisation);
    assert_int_equal(verify(&o, SIGNATURE_ORDER, &s, NOW, NULL), 0);
    assert_int_equal(signature_certify(&organisation, mallory.key, "m", NOW, &c, NULL), 0);
    assert_int_equal(signature_sign(&alice, &c, SIGNATURE_ORDER, "x", 1, s.signature, &s.length, NULL), ERROR_CONFLICT);
    signature_operators_free(&o);
    buffer_free(&s.bytes);
}

static void keys_and_certificates_are_lines_of_text(void **state)
{
    (void)state;
    struct buffer b = {.limit = 4096};
    struct signature_key k;
    struct signature_certificate c, d;
    signature_key_write(&alice, &b);
    assert_int_equal(signature_key_read((char *)b.data, b.len, &k, NULL), 0);
    assert_memory_equal(&k, &alice, sizeof k);
    for (size_t n = 0; n + 1 < b.len; n++)
        assert_int_equal(signature_key_read((char *)b.data, n, &k, NULL), ERROR_INVALID);
    buffer_clear(&b);
    assert_int_equal(signature_certify(&organisation, alice.key, "alice", NOW, &c, NULL), 0);
    signature_certificate_write(&c, &b);
    assert_int_equal(signature_certificate_read((char *)b.data, b.len, &d, NULL), 0);
    assert_memory_equal(&c, &d, sizeof c);
    for (size_t n = 0; n + 1 < b.len; n++)
        assert_int_equal(signature_certificate_read((char *)b.data, n, &d, NULL), ERROR_INVALID);
    buffer_free(&b);
}

static void a_host_s_file_is_read_strictly(void **state)
{
    (void)state;
    char key[SIGNATURE_KEY_TEXT], text[400];
    struct signature_operators o;
    struct error e = ERROR_INIT;
    const char *const wrong[] = {"operator alice", "someone alice %s", "operator a/b %s", "operator alice %s more",
                                 "operator alice x%s"};
    signature_key_text(alice.key, key);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char line[200], *p = line;
        const char *mark = strstr(wrong[i], "%s");
        p += snprintf(p, sizeof line, "%.*s", mark ? (int)(mark - wrong[i]) : (int)strlen(wrong[i]), wrong[i]);
        if (mark)
            snprintf(p, sizeof line - (size_t)(p - line), "%s%s", key, mark + 2);
        snprintf(text, sizeof text, "\n%s\n", line);
        assert_int_equal(signature_operators_read("operators", text, strlen(text), &o, &e), ERROR_INVALID);
        assert_non_null(strstr(e.text, "operators:2: "));
        signature_operators_free(&o);
    }
    snprintf(text, sizeof text, "operator alice %s # hers\n\n  organisation org %s", key, key);
    assert_int_equal(signature_operators_read("operators", text, strlen(text), &o, &e), 0);
    assert_int_equal(o.count, 2);
    assert_true(o.items[1].organisation);
    signature_operators_free(&o);
    assert_int_equal(signature_operators_read("operators", "operator\0x", 10, &o, &e), ERROR_INVALID);
    signature_operators_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_request_names_who_signed_it),
        cmocka_unit_test(the_same_request_always_makes_the_same_bytes),
        cmocka_unit_test(a_relayed_request_still_verifies),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(what_is_cut_or_longer_is_refused),
        cmocka_unit_test(fields_that_are_not_known_are_not_passed_over),
        cmocka_unit_test(what_was_signed_for_a_check_starts_nothing),
        cmocka_unit_test(keys_of_others_are_refused),
        cmocka_unit_test(an_organisation_vouches_for_its_operators),
        cmocka_unit_test(the_longest_certificate_fits),
        cmocka_unit_test(keys_and_certificates_are_lines_of_text),
        cmocka_unit_test(a_host_s_file_is_read_strictly),
    };
    struct error e = ERROR_INIT;
    if (signature_key_new(&alice, &e) || signature_key_new(&organisation, &e) || signature_key_new(&mallory, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
