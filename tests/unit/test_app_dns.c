/*
 * dns: messages are read as RFC 1035 has them, each answer as text, names without their case and with what is odd escaped; what is cut
 * or breaks the rules gives what stands before it. tests/system compares real traffic with other programs.
 */
#include "common/app/dns.h"
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

struct message {
    uint8_t at[4096];
    size_t len;
};

static void add(struct message *m, const void *data, size_t len)
{
    assert_true(len <= sizeof m->at - m->len);
    memcpy(m->at + m->len, data, len);
    m->len += len;
}

static void add16(struct message *m, unsigned value)
{
    uint8_t be[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    add(m, be, 2);
}

/* "a.b" as labels; "@20" in place of one is a pointer to that offset, and the name's end. */
static void add_name(struct message *m, const char *name)
{
    for (; *name && *name != '@'; name += *name == '.') {
        uint8_t len = (uint8_t)strcspn(name, ".");
        add(m, &len, 1);
        add(m, name, len);
        name += len;
    }
    if (*name == '@')
        add16(m, 0xc000 | (unsigned)strtoul(name + 1, NULL, 10));
    else
        add(m, "", 1);
}

static struct message message(unsigned flags, unsigned questions, unsigned answers, unsigned authority,
                              unsigned additional)
{
    struct message m = {.len = 0};
    add16(&m, 0x1234);
    add16(&m, flags);
    add16(&m, questions);
    add16(&m, answers);
    add16(&m, authority);
    add16(&m, additional);
    return m;
}

static void question(struct message *m, const char *name, unsigned type)
{
    add_name(m, name);
    add16(m, type);
    add16(m, 1);
}

static void record(struct message *m, const char *name, unsigned type, const void *data, size_t len)
{
    add_name(m, name);
    add16(m, type);
    add16(m, 1);
    add16(m, 0);
    add16(m, 300);
    add16(m, (unsigned)len);
    add(m, data, len);
}

/* Whose data is `head`, then a name. */
static void named(struct message *m, unsigned type, const void *head, size_t head_len, const char *name)
{
    struct message data = {.len = 0};
    add(&data, head, head_len);
    add_name(&data, name);
    record(m, "@12", type, data.at, data.len);
}

static struct dns_message read_of(const struct message *m, enum app_read expected)
{
    struct dns_message out;
    assert_int_equal(dns_read(m->at, m->len, &out), expected);
    assert_int_equal(strlen(out.name), out.name_len);
    assert_int_equal(strlen(out.answers_text), out.answers_len);
    return out;
}

/* ------------------------------------------------------------------ whole messages */

static void test_query(void **state)
{
    struct message m = message(0x0100, 1, 0, 0, 0);
    (void)state;
    question(&m, "Web.Example", DNS_AAAA);
    struct dns_message d = read_of(&m, APP_READ_WHOLE);
    assert_int_equal(d.id, 0x1234);
    assert_false(d.response || d.truncated);
    assert_int_equal(d.opcode, DNS_QUERY);
    assert_int_equal(d.type, DNS_AAAA);
    assert_int_equal(d.class, 1);
    assert_string_equal(d.name, "web.example");
    assert_string_equal(d.answers_text, "");
}

static void test_root(void **state)
{
    struct message m = message(0x0100, 1, 0, 0, 0);
    (void)state;
    question(&m, "", DNS_NS);
    assert_string_equal(read_of(&m, APP_READ_WHOLE).name, ".");
}

static void test_answers(void **state)
{
    struct message m = message(0x8180, 1, 12, 0, 0);
    (void)state;
    question(&m, "example.com", DNS_A);
    named(&m, DNS_CNAME, "", 0, "Edge.Example.net");
    record(&m, "@12", DNS_A, "\x5d\xb8\xd8\x22", 4);
    record(&m, "@12", DNS_AAAA, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    named(&m, DNS_NS, "", 0, "@12");
    named(&m, DNS_PTR, "", 0, "p");
    named(&m, DNS_MX, "\0\x0a", 2, "mail.@20");
    named(&m, DNS_SRV, "\0\0\0\5\x13\xc4", 6, "sip");
    named(&m, DNS_HTTPS, "\0\1", 2, "");
    record(&m, "@12", DNS_TXT, "\3v=1\4a\"b\n", 9);
    named(&m, DNS_SOA, "", 0, "ns1");
    record(&m, "@12", 46, "xyz", 3);
    record(&m, "@12", 65280, "xyz", 3);
    struct dns_message d = read_of(&m, APP_READ_WHOLE);
    assert_true(d.response);
    assert_int_equal(d.answers, 12);
    assert_string_equal(d.answers_text,
                        "edge.example.net, 93.184.216.34, 2001:db8::1, example.com, p, 10 mail.com, 0 5 5060 sip, "
                        "1 ., \"v=1\" \"a\\\"b\\010\", ns1, RRSIG, TYPE65280");
}

/* Its record stands among the additional ones, with the upper 8 bits of the rcode. */
static void test_edns(void **state)
{
    struct message m = message(0x8180, 1, 0, 1, 2);
    (void)state;
    question(&m, "x", DNS_A);
    record(&m, "@12", DNS_OPT, "", 0); /* not where it belongs */
    record(&m, "@12", DNS_A, "\1\2\3\4", 4);
    add(&m, "\0\0\x29\x04\xd0\1\0\0\0\0\0", 11);
    assert_int_equal(read_of(&m, APP_READ_WHOLE).rcode, 16);
    m.at[3] = 0x83;
    assert_int_equal(read_of(&m, APP_READ_WHOLE).rcode, 19);
    m.len -= 11;
    assert_int_equal(read_of(&m, APP_READ_CUT).rcode, 3);
}

static void test_flags(void **state)
{
    struct message m = message(0xaa05, 0, 0, 0, 0);
    (void)state;
    struct dns_message d = read_of(&m, APP_READ_WHOLE);
    assert_true(d.response && d.truncated);
    assert_int_equal(d.opcode, DNS_UPDATE);
    assert_int_equal(d.rcode, 5);
    assert_int_equal(d.type, 0);
    assert_string_equal(d.name, "");
}

/* ------------------------------------------------------------------ names */

static void test_odd_names(void **state)
{
    struct message m = message(0, 1, 0, 0, 0);
    (void)state;
    add(&m, "\7a.B\\\"\1\xff\3c d", 12);
    add(&m, "\0\0\1\0\1", 5);
    assert_string_equal(read_of(&m, APP_READ_WHOLE).name, "a\\.b\\\\\\\"\\001\\255.c d");
}

static void add_longest(struct message *m, uint8_t c, unsigned rest)
{
    for (unsigned i = 0; i < 4; i++) {
        uint8_t label[64] = {(uint8_t)(i < 3 ? 63 : rest)};
        memset(label + 1, c, 63);
        add(m, label, 1u + label[0]);
    }
    add(m, "\0\0\1\0\1", 5);
}

static void test_longest_name(void **state)
{
    struct message m = message(0, 1, 0, 0, 0);
    (void)state;
    add_longest(&m, 0xff, 61); /* 255 bytes, each of which needs 4 */
    struct dns_message d = read_of(&m, APP_READ_WHOLE);
    assert_int_equal(d.name_len, 4 * 250 + 3);
    m = message(0, 1, 0, 0, 0);
    add_longest(&m, 'a', 62);
    d = read_of(&m, APP_READ_CUT);
    assert_string_equal(d.name, "");
}

/* Pointers that go round, too many of them, out of the message, of an unknown kind. */
static void test_pointers(void **state)
{
    (void)state;
    for (unsigned chain = 63; chain <= 64; chain++) {
        struct message m = message(0, 1, 0, 0, 0);
        add16(&m, 0xc000 | 18); /* question: pointer, type, class */
        add16(&m, 1);
        add16(&m, 1);
        for (unsigned i = 0; i < chain; i++)
            add16(&m, 0xc000 | (20 + 2 * i));
        add(&m, "\1z", 3);
        assert_string_equal(read_of(&m, chain == 63 ? APP_READ_WHOLE : APP_READ_CUT).name, chain == 63 ? "z" : "");
    }
    static const char *const bad[] = {"\xc0\x0c", "\xc0\xff", "\xff\xff",
                                      "\x40"
                                      "abc",
                                      "\x80"
                                      "abc"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct message m = message(0, 1, 0, 0, 0);
        add(&m, bad[i], strlen(bad[i]));
        add16(&m, 1);
        add16(&m, 1);
        struct dns_message d = read_of(&m, APP_READ_CUT);
        assert_string_equal(d.name, "");
        assert_int_equal(d.type, 0);
    }
}

/* ------------------------------------------------------------------ what is not whole */

static void test_cut(void **state)
{
    struct message m = message(0x8180, 1, 2, 0, 0);
    struct dns_message d;
    (void)state;
    question(&m, "web.example", DNS_A);
    record(&m, "@12", DNS_A, "\1\2\3\4", 4);
    record(&m, "@12", DNS_A, "\1\2\3\5", 4);
    for (size_t len = 0; len < m.len; len++) {
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, m.at, len);
        assert_int_equal(dns_read(copy, len, &d), len < DNS_HEADER ? APP_READ_INVALID : APP_READ_CUT);
        free(copy);
        if (len >= DNS_HEADER)
            assert_string_equal(d.name, len >= 29 ? "web.example" : "");
        if (len >= DNS_HEADER)
            assert_string_equal(d.answers_text, len >= 45 ? "1.2.3.4" : "");
    }
    assert_int_equal(dns_read(m.at, m.len, &d), APP_READ_WHOLE);
}

/* An answer that breaks the rules ends what is told, without a separator before it. */
static void test_broken_answers(void **state)
{
    static const struct {
        unsigned type;
        const char *data;
        size_t len;
    } bad[] = {{DNS_A, "\1\2\3", 3}, {DNS_AAAA, "\1\2\3\4", 4}, {DNS_CNAME, "\5ab", 3},
               {DNS_MX, "\0", 1},    {DNS_TXT, "\5abc", 4},     {DNS_SRV, "\0\1\0\1\0\1", 6}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct message m = message(0x8180, 0, 3, 0, 0);
        record(&m, "", DNS_A, "\1\2\3\4", 4);
        record(&m, "", bad[i].type, bad[i].data, bad[i].len);
        record(&m, "", DNS_A, "\1\2\3\4", 4);
        assert_string_equal(read_of(&m, APP_READ_CUT).answers_text, "1.2.3.4");
    }
}

/* Text beyond its room ends in dots, at an answer or an escape, and the rest of the message is still read. */
static void test_many_answers(void **state)
{
    struct message m = message(0x8180, 0, 150, 0, 1);
    (void)state;
    for (unsigned i = 0; i < 150; i++)
        record(&m, "", DNS_A, "\x0a\0\0\1", 4);
    add(&m, "\0\0\x29\x04\xd0\1\0\0\0\0\0", 11);
    struct dns_message d = read_of(&m, APP_READ_WHOLE);
    assert_int_equal(d.rcode, 16);
    assert_true(d.answers_len < DNS_ANSWERS_SIZE && d.answers_len > DNS_ANSWERS_SIZE - 12);
    assert_string_equal(d.answers_text + d.answers_len - 3, "...");
}

/* An answer that is broken behind where the text is full takes nothing away. */
static void test_broken_beyond_room(void **state)
{
    (void)state;
    for (unsigned spare = 0; spare < 24; spare++) {
        struct message m = message(0x8180, 0, 102, 0, 0);
        char first[33] = "\037bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
        first[0] = (char)(1 + spare);
        first[2 + spare] = '\0';
        record(&m, "", DNS_CNAME, first, 3u + spare);
        for (unsigned i = 0; i < 100; i++)
            record(&m, "", DNS_A, "\x0a\0\0\1", 4);
        record(&m, "", DNS_CNAME, "\1a\5b", 4);
        struct dns_message d = read_of(&m, APP_READ_CUT);
        assert_int_equal(d.answers_text[0], 'b');
        assert_true(strcmp(d.answers_text + d.answers_len - 8, "10.0.0.1") == 0 ||
                    strcmp(d.answers_text + d.answers_len - 3, "...") == 0);
    }
}

static void test_text_is_cut_whole(void **state)
{
    (void)state;
    for (size_t before = 0; before < 12; before++) {
        char room[12];
        struct app_text t = app_text_in(room, sizeof room);
        for (size_t i = 0; i < before; i++)
            app_text_add(&t, "a");
        app_text_quote(&t, "\xff\xff\xff", 3, APP_TEXT_PLAIN);
        assert_true(t.cut);
        assert_string_equal(room + t.len - 3, "...");
        assert_int_equal(strlen(room), t.len);
        assert_true(strspn(room, "a") == t.len - 3 || memcmp(room + t.len - 7, "\\255", 4) == 0);
        app_text_add(&t, "a");
        assert_string_equal(room + t.len - 3, "...");
    }
    char exact[5];
    struct app_text t = app_text_in(exact, sizeof exact);
    app_text_quote(&t, "abcd", 4, APP_TEXT_PLAIN);
    assert_string_equal(exact, "abcd");
    assert_false(t.cut);
    app_text_quote(&t, "e", 1, APP_TEXT_PLAIN);
    assert_string_equal(exact, "a...");
}

/* Whatever stands next to it, in room for all or a part of it. */
static void test_text_is_escaped(void **state)
{
    static const char theirs[] = "A.\"\\\n\0z~ B\x7f", plain[] = "A.\\\"\\\\\\010\\000z~ B\\127",
                      label[] = "a\\.\\\"\\\\\\010\\000z~ b\\127";
    (void)state;
    for (size_t size = 4; size < 40; size++) {
        char room[40];
        struct app_text t = app_text_in(room, size);
        app_text_quote(&t, theirs, sizeof theirs - 1, APP_TEXT_PLAIN);
        assert_true(t.cut ? memcmp(room, plain, t.len - 3) == 0 : strcmp(room, plain) == 0);
        assert_int_equal(t.cut, size < sizeof plain);
        t = app_text_in(room, size);
        app_text_quote(&t, theirs, sizeof theirs - 1, APP_TEXT_LABEL);
        assert_true(t.cut ? memcmp(room, label, t.len - 3) == 0 : strcmp(room, label) == 0);
        assert_int_equal(t.cut, size < sizeof label);
    }
}

/* ------------------------------------------------------------------ is it one? */

static void test_plausible(void **state)
{
    struct message m = message(0x0100, 1, 0, 0, 0), mdns = message(0x8400, 0, 1, 0, 0);
    (void)state;
    question(&m, "web.example", DNS_A);
    assert_true(dns_plausible(m.at, m.len));
    for (size_t len = 0; len < m.len; len++)
        assert_false(dns_plausible(m.at, len));
    struct message longer = m;
    add(&longer, "x", 1);
    assert_false(dns_plausible(longer.at, longer.len)); /* something behind it */
    record(&mdns, "host.local", DNS_A, "\1\2\3\4", 4);
    assert_true(dns_plausible(mdns.at, mdns.len));

    const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{2, 0x31},                           /* opcode 6 */
               {3, 0x0c},                           /* rcode 12, and of a query */
               {5, 2},                              /* questions */
               {6, 1},                              /* 256 answers */
               {8, 1},    {10, 1}, {m.len - 1, 9}}; /* class */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct message other = m;
        other.at[bad[i].at] = bad[i].value;
        assert_false(dns_plausible(other.at, other.len));
    }
    struct message nothing = message(0x0100, 0, 0, 0, 0);
    assert_false(dns_plausible(nothing.at, nothing.len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_edns),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_longest_name),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_many_answers),
        cmocka_unit_test(test_broken_beyond_room),
        cmocka_unit_test(test_text_is_cut_whole),
        cmocka_unit_test(test_text_is_escaped),
        cmocka_unit_test(test_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
