/*
 * said: what is told beside a packet, in words, and beside which one where a message comes in pieces, twice, late or cut.
 * That the words are right for real traffic is shown by tests/system/said_corpus.py.
 */
#include "collector/ladder/said.h"
#include "common/base/buffer.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#include <stdio.h>
#include <string.h>

#define START 1000u

struct talk {
    struct said *said;
    struct words words;
    uint32_t seq[2];
};

static struct talk talk_new(void)
{
    struct talk t = {.seq = {START, START}};
    assert_int_equal(said_new(&t.said, NULL), 0);
    return t;
}

/* A segment with these bytes at an offset from START; `cut` of them are not captured. */
static const char *segment(struct talk *t, unsigned from, uint32_t offset, const void *data, size_t len, size_t cut)
{
    struct build b = build_new();
    struct packet p;
    memcpy(build_zero(&b, len), data, len);
    uint8_t *tcp = build_tcp(&b, from ? 443 : 40000, from ? 40000 : 443, TCP_ACK);
    build_put32(tcp + 4, START + offset);
    build_ip4(&b, PROTO_TCP, from ? "10.0.0.2" : "10.0.0.1", from ? "10.0.0.1" : "10.0.0.2");
    build_ethernet(&b, ETHERTYPE_IP4);
    packet_decode(1, build_data(&b), build_length(&b) - (uint32_t)cut, build_length(&b), &p);
    assert_int_equal(said_packet(t->said, from, &p, &t->words, NULL), 0);
    return t->words.text;
}

static const char *say(struct talk *t, unsigned from, const void *data, size_t len)
{
    uint32_t offset = t->seq[from] - START;
    t->seq[from] += (uint32_t)len;
    return segment(t, from, offset, data, len, 0);
}

static const char *say_text(struct talk *t, unsigned from, const char *text)
{
    return say(t, from, text, strlen(text));
}

/* ------------------------------------------------------------------ HTTP */

static void test_http(void **state)
{
    static const struct {
        const char *data, *words;
    } cases[] = {
        {"GET /a?b HTTP/1.1\r\nAccept: */*\r\nhost:  web.example\r\n\r\n", "GET /a?b HTTP/1.1, host web.example"},
        {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0"},
        {"BREW /pot HTTP/1.1\r\n", "BREW /pot HTTP/1.1"},
        {"GET /it/goes/on", "GET /it/goes/on..."},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
         "HTTP/1.1 200 OK, text/html, 5 bytes"},
        {"HTTP/1.1 404 Not \033[31mFound\r\n", "HTTP/1.1 404 Not \\x1b[31mFound"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0"},
        {"BREW /it/goes/on", ""},
        {"HTTP", ""},
        {"hello there HTTP/1.1\r\n", ""},
        {"\r\n", ""},
        {" ", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk t = talk_new();
        assert_string_equal(say_text(&t, 0, cases[i].data), cases[i].words);
        assert_int_equal(t.words.protocol, cases[i].words[0] ? SAID_HTTP : SAID_NOTHING);
        said_free(t.said);
    }
}

static void test_http_keeps_on(void **state)
{
    struct talk t = talk_new();
    (void)state;
    assert_string_equal(say_text(&t, 0, "GET /1 HTTP/1.1\r\n\r\n"), "GET /1 HTTP/1.1");
    assert_string_equal(say_text(&t, 1, "HTTP/1.1 200 OK\r\n\r\nbody"), "HTTP/1.1 200 OK");
    assert_string_equal(say_text(&t, 1, "more of the body"), "");
    assert_string_equal(say_text(&t, 0, "GET /2 HTTP/1.1\r\n\r\n"), "GET /2 HTTP/1.1");
    assert_string_equal(segment(&t, 0, 19, "GET /2 HTTP/1.1\r\n\r\n", 19, 0), ""); /* again */
    said_free(t.said);
}

static void test_long_line_is_cut(void **state)
{
    char line[1000];
    struct talk t = talk_new();
    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, "GET /", 5);
    memcpy(line + sizeof line - 12, " HTTP/1.1\r\n", 11);
    say(&t, 0, line, sizeof line);
    assert_int_equal(t.words.len, SAID_MAX - 1);
    assert_int_equal(strlen(t.words.text), SAID_MAX - 1);
    assert_string_equal(t.words.text + SAID_MAX - 6, "xx...");
    said_free(t.said);
}

/* ------------------------------------------------------------------ TLS */

static void put(struct buffer *b, const char *hex)
{
    for (unsigned v; *hex && sscanf(hex, "%2x", &v) == 1; hex += 2)
        buffer_u8(b, (uint8_t)v);
}

static void put_be16(struct buffer *b, size_t v)
{
    buffer_u8(b, (uint8_t)(v >> 8));
    buffer_u8(b, (uint8_t)v);
}

static void put_record(struct buffer *b, unsigned type, const struct buffer *content)
{
    buffer_u8(b, (uint8_t)type);
    put(b, "0301");
    put_be16(b, content->len);
    buffer_append(b, content->data, content->len);
}

static void put_handshake(struct buffer *b, unsigned type, const struct buffer *body)
{
    buffer_u8(b, (uint8_t)type);
    buffer_u8(b, 0);
    put_be16(b, body->len);
    buffer_append(b, body->data, body->len);
}

/* A record with a ClientHello: one name, h2 and http/1.1, versions 1.3, 1.2 and a GREASE one, or only what it says itself. */
static void client_hello(struct buffer *out, const char *name, bool modern)
{
    struct buffer body = {0}, extensions = {0}, handshake = {0};
    put(&body, "0303");
    buffer_zero(&body, 32);
    put(&body, "00"
               "0002"
               "1301"
               "0100"); /* no session, one suite, one compression */
    put_be16(&extensions, 0);
    put_be16(&extensions, strlen(name) + 5);
    put_be16(&extensions, strlen(name) + 3);
    buffer_u8(&extensions, 0);
    put_be16(&extensions, strlen(name));
    buffer_append(&extensions, name, strlen(name));
    if (modern)
        put(&extensions, "0010"
                         "000e"
                         "000c"
                         "02"
                         "6832"
                         "08"
                         "687474702f312e31"
                         "002b"
                         "0007"
                         "06"
                         "8a8a"
                         "0304"
                         "0303");
    put_be16(&body, extensions.len);
    buffer_append(&body, extensions.data, extensions.len);
    put_handshake(&handshake, 1, &body);
    put_record(out, 22, &handshake);
    buffer_free(&body);
    buffer_free(&extensions);
    buffer_free(&handshake);
}

#define MODERN "ClientHello for web.example, TLS 1.3, ALPN h2,http/1.1"

/* A record with a ServerHello of TLS 1.2 (or 1.3, in the extension) and messages of other types behind it. */
static void server_hello(struct buffer *out, bool is_13, const char *others)
{
    struct buffer body = {0}, handshake = {0};
    put(&body, "0303");
    buffer_zero(&body, 32);
    put(&body, is_13 ? "00"
                       "1302"
                       "00"
                       "0006"
                       "002b00020304"
                     : "00"
                       "c02f"
                       "00"
                       "0000");
    put_handshake(&handshake, 2, &body);
    put(&handshake, others);
    put_record(out, 22, &handshake);
    buffer_free(&body);
    buffer_free(&handshake);
}

static void test_client_hello(void **state)
{
    struct buffer hello = {0};
    struct talk t = talk_new();
    (void)state;
    client_hello(&hello, "web.example", true);
    assert_string_equal(say(&t, 0, hello.data, hello.len), MODERN);
    assert_int_equal(t.words.protocol, SAID_TLS);
    said_free(t.said);
    buffer_clear(&hello);
    client_hello(&hello, "old\n.example", false);
    t = talk_new();
    assert_string_equal(say(&t, 0, hello.data, hello.len), "ClientHello for old\\x0a.example, TLS 1.2");
    said_free(t.said);
    buffer_free(&hello);
}

/* Told beside the packet that brought its last byte, wherever it is cut in two. */
static void test_hello_in_two_packets(void **state)
{
    struct buffer hello = {0};
    (void)state;
    client_hello(&hello, "web.example", true);
    for (size_t cut = 6; cut < hello.len; cut++) { /* six bytes tell what it is */
        struct talk t = talk_new();
        assert_string_equal(say(&t, 0, hello.data, cut), "");
        assert_string_equal(say(&t, 0, hello.data + cut, hello.len - cut), MODERN);
        said_free(t.said);
    }
    buffer_free(&hello);
}

static void test_hello_that_was_not_captured_whole(void **state)
{
    struct buffer hello = {0};
    (void)state;
    client_hello(&hello, "web.example", true);
    for (size_t cut = 0; cut < hello.len; cut++) {
        struct talk t = talk_new();
        const char *words = segment(&t, 0, 0, hello.data, hello.len, cut);
        if (cut == 11) /* the extension of versions */
            assert_string_equal(words, "ClientHello for web.example (cut), ALPN h2,http/1.1");
        assert_true((cut == 0) == (strcmp(words, MODERN) == 0));
        said_free(t.said);
    }
    buffer_free(&hello);
}

static void test_server_hello(void **state)
{
    static const uint8_t change[] = {20, 3, 3, 0, 1, 1}, finished[] = {22, 3, 3, 0, 6, 1, 2, 3, 4, 5, 6};
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 40}, hidden[] = {21, 3, 3, 0, 26, 0, 0, 0, 0, 0, 0, 0, 0};
    struct buffer hello = {0};
    struct talk t = talk_new();
    (void)state;
    server_hello(&hello, false,
                 "0b000003aabbcc"
                 "0e000000");
    assert_string_equal(say(&t, 1, hello.data, hello.len),
                        "ServerHello, TLS 1.2, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; Certificate; ServerHelloDone");
    assert_string_equal(say(&t, 1, alert, sizeof alert), "fatal alert: handshake_failure");
    assert_string_equal(say(&t, 1, change, sizeof change), "ChangeCipherSpec");
    assert_string_equal(say(&t, 1, finished, sizeof finished), "");
    assert_string_equal(say(&t, 1, hidden, sizeof hidden), "");
    said_free(t.said);

    buffer_clear(&hello);
    server_hello(&hello, true, "");
    t = talk_new();
    assert_string_equal(say(&t, 1, hello.data, hello.len), "ServerHello, TLS 1.3, TLS_AES_256_GCM_SHA384");
    assert_string_equal(say(&t, 1, finished, sizeof finished), "");
    said_free(t.said);
    buffer_free(&hello);
}

/* What goes on in the next record is not taken for another message. */
static void test_message_over_records(void **state)
{
    struct buffer content = {0}, records = {0};
    struct talk t = talk_new();
    (void)state;
    server_hello(&records, false, "");
    put(&content, "0b000010"
                  "0000000000000000");
    put_record(&records, 22, &content);
    buffer_clear(&content);
    put(&content, "0c00000000000000"
                  "0e000000");
    put_record(&records, 22, &content);
    assert_string_equal(say(&t, 1, records.data, records.len),
                        "ServerHello, TLS 1.2, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; Certificate; ServerHelloDone");
    said_free(t.said);
    buffer_free(&content);
    buffer_free(&records);
}

/* Data records are skipped by their length, over packets and over bytes that were not captured. */
static void test_data_is_skipped(void **state)
{
    static const uint8_t data[105] = {23, 3, 3, 0, 200}, alert[] = {21, 3, 3, 0, 2, 1, 0};
    uint8_t more[107] = {0};
    struct buffer hello = {0};
    struct talk t = talk_new();
    (void)state;
    client_hello(&hello, "web.example", true);
    say(&t, 0, hello.data, hello.len);
    uint32_t at = (uint32_t)hello.len;
    assert_string_equal(segment(&t, 0, at, data, sizeof data, 40), "");
    memcpy(more + 100, alert, sizeof alert);
    assert_string_equal(segment(&t, 0, at + 105, more, sizeof more, 0), "warning alert: close_notify");
    said_free(t.said);
    buffer_free(&hello);
}

/* ------------------------------------------------------------------ gaps */

static void test_late_segment_is_told(void **state)
{
    struct talk t = talk_new();
    (void)state;
    say_text(&t, 0, "POST / HTTP/1.1\r\n\r\n");
    assert_string_equal(segment(&t, 0, 38, "PUT /3 HTTP/1.1\r\n\r\n", 19, 0), "PUT /3 HTTP/1.1");
    assert_string_equal(segment(&t, 0, 19, "PUT /2 HTTP/1.1\r\n\r\n", 19, 0), "PUT /2 HTTP/1.1");
    assert_string_equal(segment(&t, 0, 19, "PUT /2 HTTP/1.1\r\n\r\n", 19, 0), "");
    assert_string_equal(segment(&t, 0, 57, "PUT /4 HTTP/1.1\r\n\r\n", 19, 0), "PUT /4 HTTP/1.1");
    said_free(t.said);
}

static void test_reading_goes_on_behind_a_gap(void **state)
{
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 10};
    struct buffer hello = {0};
    struct talk t = talk_new();
    (void)state;
    client_hello(&hello, "web.example", true);
    assert_string_equal(segment(&t, 0, 0, hello.data, hello.len, 0), MODERN);
    assert_string_equal(segment(&t, 0, 5000, alert, sizeof alert, 0), "fatal alert: unexpected_message");
    said_free(t.said);
    buffer_free(&hello);
}

/* ------------------------------------------------------------------ DNS */

static const char *datagram(struct talk *t, unsigned port, const char *hex)
{
    struct build b = build_new();
    struct packet p;
    build_hex(&b, hex);
    build_udp(&b, 5000, port);
    build_ip4(&b, PROTO_UDP, "10.0.0.1", "10.0.0.2");
    build_ethernet(&b, ETHERTYPE_IP4);
    packet_decode(1, build_data(&b), build_length(&b), build_length(&b), &p);
    assert_int_equal(said_packet(t->said, 0, &p, &t->words, NULL), 0);
    return t->words.text;
}

#define QUESTION "03777777 076578616d706c65 00"
#define ADDRESS  "c00c 0001 0001 0000003c 0004"

static void test_dns(void **state)
{
    static const struct {
        const char *hex, *words;
    } cases[] = {
        {"0001 0100 0001 0000 0000 0000" QUESTION "0001 0001", "DNS query A www.example"},
        {"0001 0100 0002 0000 0000 0000" QUESTION "001c 0001 c00c 0001 0001", "DNS query AAAA www.example and 1 more"},
        {"0001 0100 0001 0000 0000 0000 00 0002 0001", "DNS query NS ."},
        {"0001 0100 0001 0000 0000 0000" QUESTION "fff0 0001", "DNS query TYPE65520 www.example"},
        {"0001 8180 0001 0001 0000 0000" QUESTION "0001 0001" ADDRESS "0a000007", "DNS answer A www.example: 10.0.0.7"},
        {"0001 8180 0001 0005 0000 0000" QUESTION "0001 0001" ADDRESS "0a000001" ADDRESS "0a000002" ADDRESS "0a000003",
         "DNS answer A www.example: 10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more"},
        {"0001 8180 0001 0001 0000 0000" QUESTION "0005 0001 c00c 0005 0001 0000003c 0005 02 6162 c010",
         "DNS answer CNAME www.example: CNAME ab.example"},
        {"0001 8180 0001 0001 0000 0000" QUESTION "000f 0001 c00c 000f 0001 0000003c 0004 000a c010",
         "DNS answer MX www.example: MX 10 example"},
        {"0001 8180 0001 0001 0000 0000" QUESTION "0010 0001 c00c 0010 0001 0000003c 0004 03 61220a",
         "DNS answer TXT www.example: a\"\\x0a"},
        {"0001 8183 0001 0000 0000 0000" QUESTION "0001 0001", "DNS answer A www.example: NXDOMAIN"},
        {"0001 818f 0001 0000 0000 0000" QUESTION "0001 0001", "DNS answer A www.example: error 15"},
        {"0001 8180 0001 0000 0000 0000" QUESTION "0001 0001", "DNS answer A www.example: no records"},
        {"0001 8380 0001 0000 0000 0000" QUESTION "0001 0001",
         "DNS answer A www.example: no records (truncated: to be asked again over TCP)"},
        {"0001 2800 0001 0000 0000 0000" QUESTION "0006 0001", "DNS update SOA www.example"},
        {"0001 a800 0000 0000 0000 0000", "DNS update answer: no records"},
        {"0001 8180 0001 0001 0000 0000" QUESTION "0001 0001" ADDRESS "0a00", "DNS answer A www.example: (cut)"},
        {"0001 0100 0001 0000 0000 0000 03 7777", "DNS query (cut)"},
        {"0001 0100 0001 0000 0000 0000 c00c 0001 0001", "DNS query (cut)"}, /* a name that points at itself */
        {"0001 0100 0001 0000 0000", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk t = talk_new();
        assert_string_equal(datagram(&t, 53, cases[i].hex), cases[i].words);
        assert_string_equal(datagram(&t, 54, cases[i].hex), "");
        said_free(t.said);
    }
}

static void test_dns_over_tcp(void **state)
{
    struct buffer message = {0};
    struct packet p;
    struct talk t = talk_new();
    (void)state;
    put(&message, "001d00010100000100000000000003777777076578616d706c650000010001");
    for (unsigned i = 0; i < 2; i++) { /* the length alone, then the rest */
        struct build b = build_new();
        size_t from = i ? 2 : 0, len = i ? message.len - 2 : 2;
        memcpy(build_zero(&b, len), message.data + from, len);
        build_put32(build_tcp(&b, 5000, 53, TCP_ACK) + 4, START + (uint32_t)from);
        build_ip4(&b, PROTO_TCP, "10.0.0.1", "10.0.0.2");
        build_ethernet(&b, ETHERTYPE_IP4);
        packet_decode(1, build_data(&b), build_length(&b), build_length(&b), &p);
        assert_int_equal(said_packet(t.said, 0, &p, &t.words, NULL), 0);
        assert_string_equal(t.words.text, i ? "DNS query A www.example" : "");
    }
    said_free(t.said);
    buffer_free(&message);
}

/* ------------------------------------------------------------------ ICMP and ARP */

static const char *other(struct talk *t, struct build *b, unsigned ethertype)
{
    struct packet p;
    build_ethernet(b, ethertype);
    packet_decode(1, build_data(b), build_length(b), build_length(b), &p);
    assert_int_equal(said_packet(t->said, 0, &p, &t->words, NULL), 0);
    return t->words.text;
}

static void test_icmp(void **state)
{
    struct talk t = talk_new();
    struct build b = build_new();
    (void)state;
    build_payload(&b, 8);
    uint8_t *icmp = build_icmp(&b, 8, 0);
    build_put16(icmp + 4, 7);
    build_put16(icmp + 6, 2);
    build_ip4(&b, PROTO_ICMP, "10.0.0.1", "10.0.0.2");
    assert_string_equal(other(&t, &b, ETHERTYPE_IP4), "echo request, id 7, seq 2");

    b = build_new();
    build_udp(&b, 5000, 53);
    build_ip4(&b, PROTO_UDP, "10.0.0.1", "10.0.0.2");
    build_icmp(&b, 3, 3);
    build_ip4(&b, PROTO_ICMP, "10.0.0.2", "10.0.0.1");
    assert_string_equal(other(&t, &b, ETHERTYPE_IP4), "destination unreachable: port unreachable, quotes 10.0.0.1 port "
                                                      "5000 to 10.0.0.2 port 53");
    b = build_new();
    build_icmp(&b, 135, 0);
    build_ip6(&b, PROTO_ICMP6, "fe80::1", "fe80::2");
    assert_string_equal(other(&t, &b, ETHERTYPE_IP6), "neighbor solicitation");
    said_free(t.said);
}

static void test_arp(void **state)
{
    struct talk t = talk_new();
    struct build b = build_new();
    (void)state;
    build_hex(&b, "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002");
    assert_string_equal(other(&t, &b, ETHERTYPE_ARP), "who has 10.0.0.2? tell 10.0.0.1");
    b = build_new();
    build_hex(&b, "0001 0800 06 04 0002 020000000002 0a000002 020000000001 0a000001");
    assert_string_equal(other(&t, &b, ETHERTYPE_ARP), "10.0.0.2 is at 02:00:00:00:00:02");
    said_free(t.said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_http_keeps_on),
        cmocka_unit_test(test_long_line_is_cut),
        cmocka_unit_test(test_client_hello),
        cmocka_unit_test(test_hello_in_two_packets),
        cmocka_unit_test(test_hello_that_was_not_captured_whole),
        cmocka_unit_test(test_server_hello),
        cmocka_unit_test(test_message_over_records),
        cmocka_unit_test(test_data_is_skipped),
        cmocka_unit_test(test_late_segment_is_told),
        cmocka_unit_test(test_reading_goes_on_behind_a_gap),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_dns_over_tcp),
        cmocka_unit_test(test_icmp),
        cmocka_unit_test(test_arp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
