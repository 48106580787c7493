/*
 * quic: the samples of RFC 9001 and RFC 9369 are made and read; a hello comes together from pieces in any order; what is not authentic, not a
 * client's, or too much changes nothing. tests/system compares real traffic with other programs.
 */
#include "common/app/quic.h"
#include "common/app/tls.h"
#include "tests/unit/hello_build.h"
#include "tests/unit/quic_build.h"
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#define V1 1u
#define V2 0x6b3343cfu

static struct quic *quic;
static struct quic_build datagram;
static uint8_t window[QUIC_WINDOW_MAX];

static size_t from_hex(const char *digits, uint8_t *out)
{
    size_t n = 0;
    for (; *digits; digits += 2) {
        char pair[3] = {digits[0], digits[1], 0};
        out[n++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static void assert_hex(const uint8_t *at, const char *digits)
{
    uint8_t expected[64];
    size_t n = from_hex(digits, expected);
    assert_memory_equal(at, expected, n);
}

static int set_up(void **state)
{
    (void)state;
    return quic_new(&quic, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    quic_free(quic);
    quic_free(NULL);
    return 0;
}

static enum quic_result read_datagram(struct quic_gather *g)
{
    uint8_t *copy = malloc(datagram.len + 1);
    assert_non_null(copy);
    memcpy(copy, datagram.at, datagram.len);
    enum quic_result r = quic_read(quic, g, copy, datagram.len);
    free(copy);
    return r;
}

/* Puts one packet with these frames into a datagram of its own. */
static void send_frames(const struct quic_packet *p, const uint8_t *frames, size_t len)
{
    datagram.len = 0;
    assert_true(quic_build(quic, &datagram, p, frames, len));
}

static const char ID[] = "\x83\x94\xc8\xf0\x3e\x51\x57\x08"; /* of both appendices */

/* ------------------------------------------------------------------ samples */

static const char SAMPLE[] = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868"
                             "04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578"
                             "616d706c652e636f6dff01000100000a00080006001d00170018001000070005"
                             "04616c706e000500050100000000003300260024001d00209370b2c9caa47fba"
                             "baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"
                             "0d0010000e0403050306030203080408050806002d00020101001c0002400100"
                             "3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"
                             "75300901100f088394c8f03e51570806048000ffff";

static const struct {
    uint32_t version;
    const char *key, *iv, *header, *begins, *ends;
} samples[] = {
    {V1, "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2",
     "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11", "e221af44860018ab0856972e194cd934"},
    {V2, "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9",
     "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485", "a18b2faa745b6fe189cf772a9f84cbfc"},
};

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct quic_keys k;
        assert_true(quic_derive(quic, quic_version_of(samples[i].version), (const uint8_t *)ID, 8, &k));
        assert_hex(k.key, samples[i].key);
        assert_hex(k.iv, samples[i].iv);
        assert_hex(k.header, samples[i].header);
    }
    assert_null(quic_version_of(0));
    assert_null(quic_version_of(0xff000016));
    assert_ptr_not_equal(quic_version_of(0xff00001d), quic_version_of(0xff00001c));
}

/* The tag at the end authenticates all before it: a packet that begins and ends as printed is the one printed. */
static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        uint8_t frames[512];
        size_t len = from_hex(SAMPLE, frames);
        struct quic_gather g;
        struct tls_client_hello h;
        char text[64];
        send_frames(&(struct quic_packet){.version = samples[i].version, .id = ID, .number = 2, .padded = 1162}, frames,
                    len);
        assert_int_equal(datagram.len, 1200);
        assert_hex(datagram.at, samples[i].begins);
        assert_hex(datagram.at + 1184, samples[i].ends);

        quic_gather_begin(&g, window, sizeof window);
        assert_int_equal(read_datagram(&g), QUIC_HELLO);
        assert_int_equal(g.version, samples[i].version);
        assert_int_equal(tls_client_hello_read(g.body, g.body_len, &h), APP_READ_WHOLE);
        (void)tls_name_text(&h.server_name, text, sizeof text);
        assert_string_equal(text, "example.com");
        struct ja4 *ja4 = ja4_new();
        assert_true(ja4 && tls_ja4(ja4, &h, JA4_QUIC, text));
        ja4_free(ja4);
        assert_memory_equal(text, "q13d0211an_", 11);
    }
}

/* ------------------------------------------------------------------ pieces */

static struct hello_build long_hello(void)
{
    static const uint16_t ciphers[] = {0x1301, 0}, versions[] = {0x0304, 0};
    return hello_client(&(struct hello_parts){
        .version = 0x0303, .ciphers = ciphers, .versions = versions, .server_name = "web.example", .padding = 2500});
}

/* Sends bytes from .. to of the hello. */
static enum quic_result piece(struct quic_gather *g, const struct hello_build *hello, size_t from, size_t to)
{
    uint8_t frames[4096];
    size_t len = quic_build_crypto(frames, 0, (uint32_t)from, hello->at + from, to - from);
    send_frames(&(struct quic_packet){.version = V1, .id = ID, .number = from}, frames, len);
    return read_datagram(g);
}

static void assert_hello(const struct quic_gather *g, const struct hello_build *hello)
{
    assert_int_equal(g->body_len, hello->len - 4);
    assert_memory_equal(g->body, hello->at + 4, g->body_len);
}

static void test_pieces(void **state)
{
    struct hello_build hello = long_hello();
    struct quic_gather g;
    (void)state;
    for (size_t first = 0; first < 6; first++) { /* six pieces, going round from each of them */
        quic_gather_begin(&g, window, sizeof window);
        for (size_t i = 0; i < 6; i++) {
            size_t from = (first + i * 5) % 6 * 500, to = from + 500 < hello.len ? from + 500 : hello.len;
            assert_int_equal(piece(&g, &hello, from, to), i < 5 ? QUIC_MORE : QUIC_HELLO);
            if (i == 2)
                assert_int_equal(piece(&g, &hello, from, to), QUIC_MORE); /* again */
        }
        assert_hello(&g, &hello);
    }
}

static void test_overlap(void **state)
{
    struct hello_build hello = long_hello();
    struct quic_gather g;
    (void)state;
    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(piece(&g, &hello, 100, 300), QUIC_MORE);
    assert_int_equal(piece(&g, &hello, 500, 700), QUIC_MORE);
    assert_int_equal(piece(&g, &hello, 900, hello.len), QUIC_MORE);
    assert_int_equal(piece(&g, &hello, 200, 1000), QUIC_MORE);
    assert_int_equal(piece(&g, &hello, 0, 101), QUIC_HELLO);
    assert_hello(&g, &hello);
}

/* More holes than are kept: the pieces beyond are missing, until they come again. */
static void test_too_many_pieces(void **state)
{
    struct hello_build hello = long_hello();
    struct quic_gather g;
    uint8_t frames[4096];
    size_t len = 0;
    (void)state;
    for (unsigned i = 0; i < QUIC_PIECES_MAX + 1; i++)
        len = quic_build_crypto(frames, len, 10 + 20 * i, hello.at + 10 + 20 * i, 10);
    send_frames(&(struct quic_packet){.version = V1, .id = ID}, frames, len);
    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(read_datagram(&g), QUIC_MORE);
    assert_int_equal(g.pieces, QUIC_PIECES_MAX);
    assert_int_equal(piece(&g, &hello, 0, hello.len), QUIC_HELLO);
    assert_hello(&g, &hello);
}

static void test_small_window(void **state)
{
    struct hello_build hello = long_hello();
    struct quic_gather g;
    (void)state;
    quic_gather_begin(&g, window, 1000);
    memset(window, 0xee, sizeof window);
    assert_int_equal(piece(&g, &hello, 800, 2000), QUIC_MORE);
    assert_int_equal(piece(&g, &hello, 1500, hello.len), QUIC_MORE);
    assert_int_equal(window[1000], 0xee);
    assert_int_equal(piece(&g, &hello, 0, 900), QUIC_TOO_LONG);
    assert_int_equal(g.body_len, 996);
    assert_memory_equal(g.body, hello.at + 4, g.body_len);
}

/* ------------------------------------------------------------------ packets */

/* Other frames, tokens, short numbers, several packets in a datagram. */
static void test_company(void **state)
{
    struct hello_build hello = long_hello();
    struct quic_gather g;
    uint8_t frames[4096] = {1, 0, 0, 2, 5, 3, 2, 1, 0, 0, 0, 0, 3, 5, 3, 0, 1, 7, 7, 7};
    size_t len = quic_build_crypto(frames, 20, 0, hello.at, 1000);
    (void)state;
    datagram.len = 0;
    assert_true(quic_build(quic, &datagram,
                           &(struct quic_packet){.version = V2, .id = ID, .number = 1, .number_len = 1, .token = "abc"},
                           frames, len));
    len = quic_build_crypto(frames, 0, 1000, hello.at + 1000, hello.len - 1000);
    frames[len++] = 0x1c; /* a close: what is behind it is no frame for us */
    frames[len++] = 6;
    assert_true(quic_build(
        quic, &datagram, &(struct quic_packet){.version = V2, .id = ID, .number = 300, .number_len = 2}, frames, len));
    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(read_datagram(&g), QUIC_HELLO);
    assert_hello(&g, &hello);
}

/* Later packets go to the id that the server chose, under the first one's keys; behind a Retry there are others. */
static void test_other_id(void **state)
{
    struct hello_build hello = long_hello();
    struct quic_gather g;
    uint8_t frames[4096];
    (void)state;
    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(piece(&g, &hello, 0, 1000), QUIC_MORE);
    size_t len = quic_build_crypto(frames, 0, 1000, hello.at + 1000, hello.len - 1000);
    send_frames(&(struct quic_packet){.version = V1, .id = "server01", .keys_of = ID, .number = 1}, frames, len);
    assert_int_equal(read_datagram(&g), QUIC_HELLO);
    assert_hello(&g, &hello);

    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(piece(&g, &hello, 0, 1000), QUIC_MORE);
    send_frames(&(struct quic_packet){.version = V1, .id = "retried1", .token = "token", .number = 1}, frames, len);
    assert_int_equal(read_datagram(&g), QUIC_MORE); /* what came before the Retry is void */
    len = quic_build_crypto(frames, 0, 0, hello.at, 1000);
    send_frames(&(struct quic_packet){.version = V1, .id = "retried1", .token = "token", .number = 2}, frames, len);
    assert_int_equal(read_datagram(&g), QUIC_HELLO);
}

/* Each byte that is changed, and each cut, makes a datagram that says nothing (where it does not only lose the padding behind). */
static void test_not_authentic(void **state)
{
    uint8_t frames[512];
    size_t len = from_hex(SAMPLE, frames);
    struct quic_gather g;
    (void)state;
    send_frames(&(struct quic_packet){.version = V1, .id = ID, .number = 2}, frames, len);
    for (size_t i = 0; i < datagram.len; i++) {
        datagram.at[i] ^= 0x20;
        quic_gather_begin(&g, window, sizeof window);
        assert_int_equal(read_datagram(&g), QUIC_NONE);
        assert_int_equal(g.version, 0);
        datagram.at[i] ^= 0x20;
    }
    size_t whole = datagram.len;
    for (datagram.len = 0; datagram.len < whole; datagram.len++) {
        quic_gather_begin(&g, window, sizeof window);
        assert_int_equal(read_datagram(&g), QUIC_NONE);
    }
    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(read_datagram(&g), QUIC_HELLO);
}

/* Packets of other kinds are gone past, but for Retrys, which have no length. */
static void test_other_packets(void **state)
{
    uint8_t frames[512], handshake[40] = {0xe0, 0, 0, 0, 1, 0, 0, 30}, retry[40] = {0xf0, 0, 0, 0, 1, 0, 0, 30};
    size_t len = from_hex(SAMPLE, frames);
    struct quic_gather g;
    (void)state;
    struct quic_packet p = {.version = V1, .id = ID};
    datagram.len = 38;
    memcpy(datagram.at, handshake, 38);
    assert_true(quic_build(quic, &datagram, &p, frames, len));
    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(read_datagram(&g), QUIC_HELLO);
    memcpy(datagram.at, retry, 38);
    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(read_datagram(&g), QUIC_NONE);
    datagram.at[0] = 0x60; /* a short header: nothing is behind it */
    assert_int_equal(read_datagram(&g), QUIC_NONE);
    datagram.len = 0;
    assert_true(quic_build(quic, &datagram, &(struct quic_packet){.version = V1, .id = ID, .padded = QUIC_PACKET_MAX},
                           frames, len));
    assert_int_equal(read_datagram(&g), QUIC_NONE); /* longer than there is room for */
}

static void test_broken_frames(void **state)
{
    static const char *const broken[] = {"\x06\x40", "\x06\x00\x44\x00", "\x06\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                         "\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", "\x1e"};
    struct quic_gather g;
    (void)state;
    quic_gather_begin(&g, window, sizeof window);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        send_frames(&(struct quic_packet){.version = V1, .id = ID, .padded = 30}, (const uint8_t *)broken[i],
                    strlen(broken[i]));
        assert_int_equal(read_datagram(&g), QUIC_MORE);
        assert_int_equal(g.pieces, 0);
    }
}

static void test_over(void **state)
{
    struct hello_build hello = long_hello();
    struct quic_gather g;
    (void)state;
    quic_gather_begin(&g, window, sizeof window);
    for (unsigned i = 0; i < QUIC_DATAGRAMS_MAX; i++)
        assert_int_equal(piece(&g, &hello, 10, 20), QUIC_MORE);
    assert_int_equal(piece(&g, &hello, 0, hello.len), QUIC_OVER);
    assert_int_equal(piece(&g, &hello, 0, hello.len), QUIC_OVER);

    hello.at[0] = 2; /* no client's hello */
    quic_gather_begin(&g, window, sizeof window);
    assert_int_equal(piece(&g, &hello, 0, 10), QUIC_OVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_too_many_pieces),
        cmocka_unit_test(test_small_window),
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_other_id),
        cmocka_unit_test(test_not_authentic),
        cmocka_unit_test(test_other_packets),
        cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_over),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
