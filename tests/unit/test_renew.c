/* A renewed certificate is taken if it is ours, and nothing is changed if it is not. */
#include "tests/unit/support.h"

#include "common/net/ca_files.h"
#include "common/net/renew.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NOW_NS (UINT64_C(1800000000) * NS_PER_S)
#define LIFE   (UINT64_C(30) * 86400 * NS_PER_S)

struct place {
    char *folder;
    struct buffer ca_key, root, key, certificate;
    struct ca *ca;
    struct identity ours;
};

static void new_authority(struct buffer *key, struct buffer *root, struct ca **ca)
{
    assert_int_equal(ca_new_key(key, NULL), 0);
    assert_int_equal(ca_new_root(ca_text_of(key), "test", NOW_NS, CA_ROOT_LIFE_NS, root, NULL), 0);
    assert_int_equal(ca_open(ca_text_of(root), ca_text_of(key), ca, NULL), 0);
}

static void sign(const struct ca *ca, const struct buffer *key, const char *name, uint64_t now_ns, struct buffer *out,
                 struct identity *made)
{
    struct buffer request = {0};
    const struct ca_grant g = {.kind = IDENTITY_AGENT, .name = name, .now_ns = now_ns, .life_ns = LIFE};
    assert_int_equal(ca_new_request(ca_text_of(key), IDENTITY_AGENT, name, &request, NULL), 0);
    assert_int_equal(ca_sign(ca, ca_text_of(&request), &g, out, made, NULL), 0);
    buffer_free(&request);
}

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    p->folder = support_folder();
    new_authority(&p->ca_key, &p->root, &p->ca);
    assert_int_equal(ca_new_key(&p->key, NULL), 0);
    sign(p->ca, &p->key, "web-1", NOW_NS, &p->certificate, &p->ours);
    const struct ca_files files = {.key = &p->key, .ca = &p->root, .certificate = &p->certificate};
    assert_int_equal(ca_make_folder(p->folder, (uid_t)-1, (gid_t)-1, NULL), 0);
    assert_int_equal(ca_save_all(p->folder, &files, NULL), 0);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    ca_close(p->ca);
    ca_wipe(&p->ca_key);
    ca_wipe(&p->key);
    buffer_free(&p->root);
    buffer_free(&p->certificate);
    support_folder_remove(p->folder);
    free(p);
    return 0;
}

static int offer_with(struct place *p, struct buffer *certificate, const char *ca)
{
    buffer_u8(certificate, 0);
    const struct message_enrolled m = {.certificate = (char *)certificate->data, .ca = (char *)(uintptr_t)ca};
    int r = renew_take(p->folder, &p->ours, &m, NULL);
    buffer_free(certificate);
    return r;
}

static int offer(struct place *p, struct buffer *certificate)
{
    return offer_with(p, certificate, NULL);
}

static bool is_unchanged(struct place *p)
{
    struct buffer now = {0};
    assert_int_equal(ca_load(p->folder, CA_CERT_NAME, &now, NULL), 0);
    bool same = now.len == p->certificate.len && memcmp(now.data, p->certificate.data, now.len) == 0;
    buffer_free(&now);
    return same;
}

static void is_due_after_two_thirds(void **state)
{
    struct place *p = *state;
    static const struct identity nobody;
    assert_false(renew_is_due(&p->ours, NOW_NS + LIFE / 2));
    assert_true(renew_is_due(&p->ours, NOW_NS + LIFE * 2 / 3));
    assert_false(renew_is_due(&nobody, UINT64_MAX));
}

static void ours_is_taken(void **state)
{
    struct place *p = *state;
    struct message m;
    struct ca_request wish;
    struct identity made;
    struct buffer new = {0};
    struct stat st;
    assert_int_equal(renew_request(p->folder, &p->ours, &m, NULL), 0);
    assert_int_equal(ca_read_request(ca_text_string(m.enroll.request), &wish, NULL), 0);
    assert_memory_equal(wish.key_sha256, p->ours.key_sha256, 32);
    assert_int_equal(m.enroll.secret_length, 0);
    renew_request_free(&m);
    sign(p->ca, &p->key, "web-1", NOW_NS + LIFE / 2, &new, &made);
    assert_int_equal(offer(p, &new), 0);
    assert_false(is_unchanged(p));
    assert_int_equal(stat(support_path(p->folder, CA_CERT_NAME), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void another_name_key_or_authority_is_not(void **state)
{
    struct place *p = *state;
    struct buffer other_key = {0}, other_ca_key = {0}, other_root = {0}, new = {0};
    struct ca *other = NULL;
    struct identity made;
    new_authority(&other_ca_key, &other_root, &other);
    assert_int_equal(ca_new_key(&other_key, NULL), 0);
    sign(p->ca, &p->key, "web-2", NOW_NS, &new, &made);
    assert_int_equal(offer(p, &new), ERROR_CONFLICT);
    sign(p->ca, &other_key, "web-1", NOW_NS, &new, &made);
    assert_int_equal(offer(p, &new), ERROR_CONFLICT);
    sign(other, &p->key, "web-1", NOW_NS, &new, &made);
    assert_int_equal(offer(p, &new), ERROR_CONFLICT);
    buffer_append(&new, "nonsense", 8);
    assert_int_equal(offer(p, &new), ERROR_INVALID);
    const struct message_enrolled no = {.code = ERROR_REFUSED, .text = (char *)(uintptr_t) "not now"};
    struct error e = ERROR_INIT;
    assert_int_equal(renew_take(p->folder, &p->ours, &no, &e), ERROR_REFUSED);
    assert_non_null(strstr(e.text, "not now"));
    assert_true(is_unchanged(p));
    ca_close(other);
    ca_wipe(&other_ca_key);
    ca_wipe(&other_key);
    buffer_free(&other_root);
}

static bool has_root(struct place *p, const struct buffer *root)
{
    struct buffer now = {0};
    assert_int_equal(ca_load(p->folder, CA_ROOT_NAME, &now, NULL), 0);
    bool same = now.len == root->len && memcmp(now.data, root->data, now.len) == 0;
    buffer_free(&now);
    return same;
}

/* It comes along with a certificate; another authority, offered so, is left, and the certificate is taken all the same. */
static void the_authority_renewed_is_taken_and_no_other(void **state)
{
    struct place *p = *state;
    struct buffer other_key = {0}, other_root = {0}, new = {0}, root = {0};
    struct ca *other = NULL;
    struct identity made;
    new_authority(&other_key, &other_root, &other);
    buffer_u8(&other_root, 0);
    sign(p->ca, &p->key, "web-1", NOW_NS + LIFE / 2, &new, &made);
    assert_int_equal(offer_with(p, &new, (char *)other_root.data), 0);
    assert_true(has_root(p, &p->root));
    assert_false(is_unchanged(p));
    assert_int_equal(ca_renew_root(p->ca, NOW_NS + LIFE, CA_ROOT_LIFE_NS, &root, NULL), 0);
    buffer_u8(&root, 0);
    sign(p->ca, &p->key, "web-1", NOW_NS + LIFE / 2, &new, &made);
    assert_int_equal(offer_with(p, &new, (char *)root.data), 0);
    root.len--;
    assert_true(has_root(p, &root));
    ca_close(other);
    ca_wipe(&other_key);
    buffer_free(&other_root);
    buffer_free(&root);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(is_due_after_two_thirds),
        TEST(ours_is_taken),
        TEST(another_name_key_or_authority_is_not),
        TEST(the_authority_renewed_is_taken_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
