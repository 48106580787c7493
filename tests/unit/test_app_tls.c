/*
 * tls: hellos are read, whole or cut; a direction of a connection is read in whatever pieces it comes; JA4 has the hashes
 * that FoxIO's description gives. tests/system compares real traffic with other programs.
 */
#include "common/app/tls.h"
#include "tests/unit/hello_build.h"
#include "tests/unit/support.h"

#include <string.h>

#define GREASE 0x4a4a

/* Chrome's of FoxIO's description, in another order */
static const uint16_t ciphers[] = {GREASE, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9,
                                   0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035, 0};
static const uint16_t signatures[] = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0};
static const uint16_t others[] = {0x0017, 0x0a0a, 0xff01, 0x000a, 0x000b, 0x0023, 0x0005,
                                  0x0012, 0x0033, 0x002d, 0x001b, 0x4469, 0};
static const uint16_t versions[] = {GREASE, 0x0304, 0x0303, 0};
static const char *const alpn[] = {"h2", "http/1.1", NULL};

static struct hello_parts chrome(void)
{
    return (struct hello_parts){.version = 0x0303,
                                .ciphers = ciphers,
                                .server_name = "Web.Example",
                                .alpn = alpn,
                                .versions = versions,
                                .signatures = signatures,
                                .others = others,
                                .padding = 100};
}

static struct tls_client_hello client_of(const struct hello_build *b)
{
    struct tls_client_hello h;
    assert_int_equal(tls_client_hello_read(b->at + 4, b->len - 4, &h), APP_READ_WHOLE);
    return h;
}

/* ------------------------------------------------------------------ hellos */

static void test_client_hello(void **state)
{
    struct hello_parts p = chrome();
    struct hello_build b = hello_client(&p);
    struct tls_client_hello h = client_of(&b);
    char text[64];
    (void)state;
    assert_int_equal(h.legacy_version, 0x0303);
    assert_int_equal(h.version, 0x0304);
    assert_int_equal(h.ciphers.count, 16);
    assert_int_equal(tls_u16(&h.ciphers, 1), 0x1301);
    assert_int_equal(h.signatures.count, 8);
    assert_int_equal(tls_u16(&h.signatures, 7), 0x0601);
    assert_true(h.has_server_name);
    assert_int_equal(tls_name_text(&h.server_name, text, sizeof text), 11);
    assert_string_equal(text, "web.example");
    assert_int_equal(tls_alpn_text(&h.alpn, text, sizeof text), 2);
    assert_string_equal(text, "h2");
}

static void test_plain_hello(void **state)
{
    struct hello_build b = hello_client(&(struct hello_parts){.version = 0x0301, .ciphers = signatures});
    struct tls_client_hello h = client_of(&b);
    char text[8];
    (void)state;
    assert_int_equal(h.version, 0x0301);
    assert_false(h.has_server_name);
    assert_int_equal(tls_name_text(&h.server_name, text, sizeof text), 0);
    assert_int_equal(tls_alpn_text(&h.alpn, text, sizeof text), 0);
    b.at[3] -= 2; /* before there were extensions */
    b.len -= 2;
    h = client_of(&b);
    assert_int_equal(bytes_left(&h.extensions), 0);
}

/* Of each length there is what fits, and only the last is whole. */
static void test_cut_client_hello(void **state)
{
    struct hello_parts p = chrome();
    struct hello_build b = hello_client(&p);
    struct tls_client_hello h;
    (void)state;
    for (size_t len = 0; len < b.len - 4; len++) {
        uint8_t copy[HELLO_ROOM];
        enum app_read expected = len < 2 ? APP_READ_INVALID : len == 71 ? APP_READ_WHOLE : APP_READ_CUT;
        memcpy(copy, b.at + 4, len);
        assert_int_equal(tls_client_hello_read(copy, len, &h), expected); /* 71: where extensions would begin */
        if (len > 200)
            assert_int_equal(bytes_left(&h.server_name), 11);
    }
    assert_int_equal(h.version, 0x0304);
}

static void test_server_hello(void **state)
{
    static const uint16_t chosen[] = {0xc02f, 0}, version[] = {0x0304, 0}, draft[] = {0x7f1c, 0};
    static const char *const protocol[] = {"http/1.1", NULL};
    struct hello_parts p = {.version = 0x0303, .ciphers = chosen, .alpn = protocol};
    struct hello_build b = hello_server(&p, 0);
    struct tls_server_hello h;
    char text[16];
    (void)state;
    assert_int_equal(tls_server_hello_read(b.at + 4, b.len - 4, &h), APP_READ_WHOLE);
    assert_int_equal(h.version, 0x0303);
    assert_int_equal(h.cipher, 0xc02f);
    assert_true(h.has_cipher && !h.retry && !tls_is_13(&h));
    assert_int_equal(tls_alpn_text(&h.alpn, text, sizeof text), 8);
    assert_string_equal(text, "http/1.1");
    p.versions = version;
    b = hello_server(&p, 1);
    assert_int_equal(tls_server_hello_read(b.at + 4, b.len - 4, &h), APP_READ_WHOLE);
    assert_int_equal(h.version, 0x0304);
    assert_true(h.retry && tls_is_13(&h));
    p.versions = draft;
    b = hello_server(&p, 0);
    assert_int_equal(tls_server_hello_read(b.at + 4, b.len - 4, &h), APP_READ_WHOLE);
    assert_int_equal(h.version, 0x7f1c);
    assert_true(tls_is_13(&h));
    assert_int_equal(tls_server_hello_read(b.at + 4, 36, &h), APP_READ_CUT);
    assert_false(h.has_cipher);
    assert_int_equal(tls_server_hello_read(b.at + 4, b.len - 5, &h), APP_READ_CUT);
    assert_true(h.has_cipher);
    assert_int_equal(tls_server_hello_read(b.at + 4, 1, &h), APP_READ_INVALID);
}

/* Draft 18 of TLS 1.3 and those before it: neither session nor compression. */
static void test_early_draft(void **state)
{
    uint8_t body[2 + 32 + 2 + 2] = {0x7f, 0x12};
    struct tls_server_hello h;
    (void)state;
    body[34] = 0x13;
    body[35] = 0x01;
    assert_int_equal(tls_server_hello_read(body, sizeof body, &h), APP_READ_WHOLE);
    assert_int_equal(h.cipher, 0x1301);
    assert_int_equal(h.version, 0x7f12);
    assert_true(tls_is_13(&h));
}

/* Names that are none: of another kind, cut, with control characters. */
static void test_odd_names(void **state)
{
    struct hello_parts p = {.version = 0x0303, .ciphers = signatures, .server_name = "a\x01\\\"b"};
    struct hello_build b = hello_client(&p);
    struct tls_client_hello h = client_of(&b);
    char text[32], small[8];
    size_t name = b.len - 5;
    (void)state;
    (void)tls_name_text(&h.server_name, text, sizeof text);
    assert_string_equal(text, "a\\001\\\\\\\"b");
    assert_int_equal(tls_name_text(&h.server_name, small, sizeof small), 4);
    assert_string_equal(small, "a...");
    b.at[name - 3] = 7; /* no host name */
    h = client_of(&b);
    assert_true(h.has_server_name);
    assert_int_equal(bytes_left(&h.server_name), 0);
    b.at[name - 3] = 0;
    b.at[name - 1] = 6; /* longer than its list */
    h = client_of(&b);
    assert_int_equal(bytes_left(&h.server_name), 0);
}

/* ------------------------------------------------------------------ records */

static void test_records(void **state)
{
    (void)state;
    assert_int_equal(tls_record_length((const uint8_t *)"\x16\3\1\2\0"), 5 + 0x200);
    assert_int_equal(tls_record_length((const uint8_t *)"\x17\3\4\x48\0"), 5 + TLS_RECORD_MAX);
    assert_int_equal(tls_record_length((const uint8_t *)"\x17\3\4\x48\1"), 0); /* too long */
    assert_int_equal(tls_record_length((const uint8_t *)"\x16\3\1\0\0"), 0);
    assert_int_equal(tls_record_length((const uint8_t *)"\x16\3\5\2\0"), 0);
    assert_int_equal(tls_record_length((const uint8_t *)"\x16\2\1\2\0"), 0);
    assert_int_equal(tls_record_length((const uint8_t *)"\x13\3\1\2\0"), 0);
    assert_int_equal(tls_record_length((const uint8_t *)"\x19\3\1\2\0"), 0);
    assert_true(tls_begins("\x16\3\1\2\0\1", 6));
    assert_true(tls_begins("\x16\3\1\2\0\2", 6));
    assert_false(tls_begins("\x16\3\1\2\0\1", 5));
    assert_false(tls_begins("\x16\3\1\2\0\3", 6));
    assert_false(tls_begins("\x17\3\1\2\0\1", 6));
    assert_false(tls_begins("\x16\3\1\0\4\1", 6)); /* no room for a hello */
    assert_true(tls_is_grease(0x0a0a) && tls_is_grease(0xfafa));
    assert_false(tls_is_grease(0x0a1a) || tls_is_grease(0x0b0b) || tls_is_grease(0x1301));
}

/* ------------------------------------------------------------------ a direction */

/* What was told, in letters: c, s hellos; other messages m; a alert, e encrypted alert, h change of cipher, d data, w window,
 * n none. Hellos in capitals were whole. */
struct told {
    char events[64];
    struct tls_alert alert;
    struct hello_build hello;
    uint8_t window[HELLO_ROOM];
    size_t window_size;
};

static char letter(struct told *t, const struct tls_reader *r, enum tls_event event)
{
    static const char letters[] = {
        [TLS_NONE] = 'n',           [TLS_WINDOW] = 'w',     [TLS_ALERTED] = 'a', [TLS_ALERT_ENCRYPTED] = 'e',
        [TLS_CIPHER_CHANGED] = 'h', [TLS_DATA_BEGINS] = 'd'};
    if (event == TLS_ALERTED)
        t->alert = r->alert;
    if (event != TLS_MESSAGE)
        return letters[event];
    if (r->type > TLS_SERVER_HELLO) {
        assert_int_equal(r->len, 0);
        return 'm';
    }
    t->hello.len = 0;
    hello_add(&t->hello, r->body, r->len);
    return (char)((r->type == TLS_CLIENT_HELLO ? 'c' : 's') - (r->len == r->wire ? 32 : 0));
}

static void feed(struct told *t, struct tls_reader *r, const uint8_t *data, size_t len)
{
    enum tls_event event;
    size_t n = strlen(t->events);
    while ((event = tls_reader_next(r, &data, &len)) != TLS_MORE) {
        assert_true(n + 1 < sizeof t->events);
        t->events[n++] = letter(t, r, event);
        if (event == TLS_NONE)
            return;
        if (event == TLS_WINDOW && t->window_size)
            tls_reader_lend(r, t->window, t->window_size);
    }
    assert_int_equal(len, 0);
}

/* In pieces of this size, each in memory of its own. */
static struct told told_of(const struct hello_build *b, size_t piece, size_t window_size)
{
    struct told t = {.window_size = window_size};
    struct tls_reader r = {0};
    for (size_t at = 0; at < b->len; at += piece) {
        uint8_t copy[HELLO_ROOM];
        size_t n = b->len - at < piece ? b->len - at : piece;
        memcpy(copy, b->at + at, n);
        feed(&t, &r, copy, n);
        memset(copy, 0xee, n);
    }
    return t;
}

static void add_records(struct hello_build *b, uint8_t type, const char *data, size_t len)
{
    struct hello_build records = hello_records(type, data, len, len);
    hello_add(b, records.at, records.len);
}

/* A client's side of TLS 1.2: hello, key, change of cipher, what is encrypted. */
static struct hello_build client_side(size_t record_size)
{
    struct hello_parts p = chrome();
    struct hello_build hello = hello_client(&p), b = hello_records(TLS_HANDSHAKE, hello.at, hello.len, record_size);
    add_records(&b, TLS_HANDSHAKE, "\x10\0\0\3abc", 7);
    add_records(&b, TLS_CHANGE_CIPHER, "\1", 1);
    add_records(&b, TLS_HANDSHAKE, "\1\0\0\x24 0123456789 0123456789 012345678901", 37);
    add_records(&b, TLS_DATA, "GET", 3);
    add_records(&b, TLS_ALERT, "0123456789abcdef", 16);
    return b;
}

static void test_pieces(void **state)
{
    static const size_t pieces[] = {1, 2, 3, 5, 7, 100, 300, HELLO_ROOM}, records[] = {1, 4, 5, 50, 4000};
    struct hello_parts p = chrome();
    struct hello_build hello = hello_client(&p);
    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        for (size_t j = 0; j < sizeof records / sizeof *records; j++) {
            struct hello_build b = client_side(records[j]);
            struct told t = told_of(&b, pieces[i], HELLO_ROOM);
            const char *expected = t.events[0] == 'w' ? "wCmhde" : "Cmhde";
            assert_string_equal(t.events, expected);
            assert_int_equal(t.hello.len, hello.len - 4);
            assert_memory_equal(t.hello.at, hello.at + 4, t.hello.len);
        }
    struct hello_build whole = client_side(4000);
    assert_string_equal(told_of(&whole, HELLO_ROOM, HELLO_ROOM).events, "Cmhde"); /* needs no window */
}

static void test_small_window(void **state)
{
    struct hello_build b = client_side(4000);
    struct told t = told_of(&b, 100, 150);
    (void)state;
    assert_string_equal(t.events, "wcmhde");
    assert_int_equal(t.hello.len, 150);
    t = told_of(&b, 100, 0);
    assert_string_equal(t.events, "wcmhde");
    assert_int_equal(t.hello.len, 100 - 9);
}

static void test_take_back(void **state)
{
    struct hello_build b = client_side(4000);
    struct told t = {.window_size = HELLO_ROOM};
    struct tls_reader r = {0};
    (void)state;
    feed(&t, &r, b.at, 100);
    assert_string_equal(t.events, "w");
    assert_ptr_equal(tls_reader_take_back(&r), t.window);
    assert_null(tls_reader_take_back(&r));
    feed(&t, &r, b.at + 100, b.len - 100);
    assert_string_equal(t.events, "wmhde");
}

/* TLS 1.3: what comes behind the hello says little; a second hello may come behind a ChangeCipherSpec. */
static void test_second_hello(void **state)
{
    struct hello_parts p = chrome();
    struct hello_build hello = hello_client(&p), b = hello_records(TLS_HANDSHAKE, hello.at, hello.len, 4000), again = b;
    (void)state;
    add_records(&b, TLS_CHANGE_CIPHER, "\1", 1);
    hello_add(&b, again.at, again.len);
    add_records(&b, TLS_DATA, "xyz", 3);
    add_records(&b, TLS_DATA, "xyz", 3);
    assert_string_equal(told_of(&b, 4000, HELLO_ROOM).events, "ChCdd");
    assert_string_equal(told_of(&b, 3, HELLO_ROOM).events, "wChwCdd");
}

static void test_alerts(void **state)
{
    static const uint16_t chosen[] = {0xc02f, 0};
    struct hello_build hello = hello_server(&(struct hello_parts){.version = 0x0303, .ciphers = chosen}, 0);
    struct hello_build b = hello_records(TLS_HANDSHAKE, hello.at, hello.len, 4000);
    (void)state;
    add_records(&b, TLS_HANDSHAKE, "\x0e\0\0\0", 4); /* without a body */
    add_records(&b, TLS_HANDSHAKE, "\x0e\0\0\0\x0e\0\0\0", 8);
    add_records(&b, TLS_ALERT, "\2\x28", 2);
    for (size_t piece = 1; piece < 200; piece += 13) {
        struct told t = told_of(&b, piece, HELLO_ROOM);
        assert_string_equal(t.events, t.events[0] == 'w' ? "wSmmma" : "Smmma");
        assert_int_equal(t.alert.level, 2);
        assert_int_equal(t.alert.code, 40);
    }
}

static void test_none(void **state)
{
    struct hello_build b = client_side(4000);
    size_t whole = b.len;
    (void)state;
    hello_add(&b, "GET / HTTP/1.1", 14);
    struct told t = told_of(&b, 4000, 0);
    assert_string_equal(t.events, "Cmhden");
    struct tls_reader r = {0};
    t = (struct told){.window_size = 0};
    feed(&t, &r, b.at + whole, 14);
    feed(&t, &r, b.at, b.len);
    assert_string_equal(t.events, "nn"); /* for good */
    tls_reader_begin(&r);
    feed(&t, &r, b.at, whole);
    assert_string_equal(t.events, "nnCmhde");
}

/* Bytes that were not captured matter where somebody would have read them. */
static void test_skip(void **state)
{
    struct hello_build b = {.len = 0};
    struct told t = {.window_size = HELLO_ROOM};
    struct tls_reader r = {0};
    (void)state;
    add_records(&b, TLS_HANDSHAKE,
                "\x0b\0\0\x0a"
                "0123456789\x0e\0\0\0",
                18);
    add_records(&b, TLS_DATA, "0123456789", 10);
    feed(&t, &r, b.at, 11);
    assert_true(tls_reader_skip(&r, 8));
    feed(&t, &r, b.at + 19, 9);
    assert_true(tls_reader_skip(&r, 10));
    assert_string_equal(t.events, "mmd");
    feed(&t, &r, b.at, 11);
    assert_false(tls_reader_skip(&r, 9)); /* reaches into the next message */
    feed(&t, &r, b.at, 11);
    assert_string_equal(t.events, "mmdmn");
    tls_reader_begin(&r);
    feed(&t, &r, b.at, 3);
    assert_false(tls_reader_skip(&r, 1)); /* of a header */
    struct hello_build hello = client_side(4000);
    tls_reader_begin(&r);
    feed(&t, &r, hello.at, 50);
    assert_false(tls_reader_skip(&r, 1)); /* of a hello */
}

/* ------------------------------------------------------------------ JA4 */

static struct ja4 *ja4;

static int make_ja4(void **state)
{
    (void)state;
    ja4 = ja4_new();
    return ja4 ? 0 : -1;
}

static int free_ja4(void **state)
{
    (void)state;
    ja4_free(ja4);
    return 0;
}

static const char *fingerprint(const struct hello_parts *p, enum ja4_transport transport)
{
    static char text[JA4_SIZE];
    struct hello_build b = hello_client(p);
    struct tls_client_hello h = client_of(&b);
    assert_true(tls_ja4(ja4, &h, transport, text));
    return text;
}

static void test_ja4(void **state)
{
    struct hello_parts p = chrome();
    (void)state;
    assert_string_equal(fingerprint(&p, JA4_TCP), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_string_equal(fingerprint(&p, JA4_QUIC), "q13d1516h2_8daaf6152771_e5627efa2ab1");
    p.server_name = NULL;
    assert_string_equal(fingerprint(&p, JA4_TCP),
                        "t13i1515h2_8daaf6152771_e5627efa2ab1"); /* it is counted, not hashed */
    p.versions = NULL;
    p.alpn = NULL;
    assert_memory_equal(fingerprint(&p, JA4_DTLS), "d12i151300_8daaf6152771_", 24);
}

/* Fields without anything are zeros, and signatures alone are no field. */
static void test_ja4_of_little(void **state)
{
    static const uint16_t none[] = {0}, grease[] = {GREASE, 0};
    struct hello_parts p = {.version = 0x0301, .ciphers = grease, .server_name = "x"};
    (void)state;
    assert_string_equal(fingerprint(&p, JA4_TCP), "t10d000100_000000000000_000000000000");
    p.ciphers = none;
    p.version = 0x0005;
    assert_string_equal(fingerprint(&p, JA4_TCP), "t00d000100_000000000000_000000000000");
}

static void test_ja4_alpn(void **state)
{
    static const struct {
        const char *protocol, *letters;
    } cases[] = {{"h2", "h2"},   {"http/1.1", "h1"}, {"x", "xx"},     {"", "00"},
                 {"\xab", "ab"}, {"\xab\xcd", "ad"}, {"a\xcd", "6d"}, {"0\xab", "3b"},
                 {"-1", "21"},   {"0a\x0a", "3a"},   {"http/", "6f"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const list[] = {cases[i].protocol, "h3", NULL};
        struct hello_parts p = chrome();
        p.alpn = list;
        assert_memory_equal(fingerprint(&p, JA4_TCP) + 8, cases[i].letters, 2);
    }
}

/* 99 is the most that is counted; what is more than any program offers has no fingerprint. */
static void test_ja4_of_many(void **state)
{
    uint16_t many[JA4_LIST_MAX + 2];
    struct hello_parts p = chrome();
    char text[JA4_SIZE] = "x";
    (void)state;
    for (unsigned i = 0; i < JA4_LIST_MAX + 1; i++)
        many[i] = (uint16_t)(0x2000 + i);
    many[JA4_LIST_MAX + 1] = 0;
    p.ciphers = many;
    struct hello_build b = hello_client(&p);
    struct tls_client_hello h = client_of(&b);
    assert_false(tls_ja4(ja4, &h, JA4_TCP, text));
    assert_string_equal(text, "");
    many[JA4_LIST_MAX] = 0;
    assert_memory_equal(fingerprint(&p, JA4_TCP), "t13d9916h2_", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_hello),
        cmocka_unit_test(test_plain_hello),
        cmocka_unit_test(test_cut_client_hello),
        cmocka_unit_test(test_server_hello),
        cmocka_unit_test(test_early_draft),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_small_window),
        cmocka_unit_test(test_take_back),
        cmocka_unit_test(test_second_hello),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_skip),
        cmocka_unit_test(test_ja4),
        cmocka_unit_test(test_ja4_of_little),
        cmocka_unit_test(test_ja4_alpn),
        cmocka_unit_test(test_ja4_of_many),
    };
    return cmocka_run_group_tests(tests, make_ja4, free_ja4);
}
