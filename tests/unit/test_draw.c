/*
 * draw: golden ladders, as text stands in a pipe (nothing fitted) and on terminals; and what must hold of any drawing:
 * lines that fit, files that need nothing else, JSON that says it all.
 */
#include "collector/ladder/draw.h"
#include "tests/unit/ladder_script.h"
#include "tests/unit/support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OPEN    "> S 0 @0; < SA 0 1 @10; > A 1 1 @20;"
#define REQUEST "> PA 1 1 =GET_/_HTTP/1.1~Host:_a~~ @20.5; < A 1 28;"

typedef int draw_fn(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e);

/* malloc'ed */
static char *drawn(draw_fn *draw, const char *script, struct draw_options o)
{
    struct buffer out = {0};
    struct ladder *l = ladder_script(script);
    assert_int_equal(draw(l, &o, &out, NULL), 0);
    buffer_u8(&out, 0);
    ladder_free(l);
    return (char *)out.data;
}

static void assert_text(const char *script, struct draw_options o, const char *expected)
{
    char *text = drawn(draw_text, script, o);
    if (strcmp(text, expected) != 0)
        print_error("%s", text);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in: %s", part, text);
}

/* ------------------------------------------------------------------ golden ladders */

/* clang-format off: ladders as they look */

static void test_handshake(void **state)
{
    (void)state;
    assert_text(
        OPEN REQUEST "< PA 1 28 =HTTP/1.1_200_OK~~hello @35; > A 28 25; > FA 28 25; < A 25 29; < FA 25 29; > A 29 26",
        (struct draw_options){.ascii = true, .id = "7f3a"},
        "10.0.0.1:4000 (client) to 10.0.0.2:80 (server), tcp http, id 7f3a\n"
        "11 packets in 40.0ms: three-way handshake in 20.0ms, four-way close by the client after 40.0ms\n"
        "host-a/eth0: 11 packets from 2026-11-22 00:00:00.000 +00:00\n"
        "    TIME  DELTA client                      server SEQ ACK NEXT LEN  WIN\n"
        "0.000000        |-- SYN ------------------------>|   0        1   0 1000  handshake 1 of 3\n"
        "0.010000 10.0ms |<-------------------- SYN ACK --|   0   1    1   0 1000  handshake 2 of 3\n"
        "0.020000 10.0ms |-- ACK ------------------------>|   1   1    1   0 1000  handshake 3 of 3\n"
        "0.020500  500us |-- PSH ACK -------------------->|   1   1   28  27 1000  GET / HTTP/1.1, host a\n"
        "0.021500  1.0ms |<------------------------ ACK --|   1  28    1   0 1000\n"
        "0.035000 13.5ms |<-------------------- PSH ACK --|   1  28   25  24 1000  HTTP/1.1 200 OK\n"
        "0.036000  1.0ms |-- ACK ------------------------>|  28  25   28   0 1000\n"
        "0.037000  1.0ms |-- FIN ACK -------------------->|  28  25   29   0 1000  close 1 of 4: the client ends\n"
        "0.038000  1.0ms |<------------------------ ACK --|  25  29   25   0 1000  close 2 of 4\n"
        "0.039000  1.0ms |<-------------------- FIN ACK --|  25  29   26   0 1000  close 3 of 4: the server ends\n"
        "0.040000  1.0ms |-- ACK ------------------------>|  29  26   29   0 1000  close 4 of 4\n");
}

static void test_reset(void **state)
{
    (void)state;
    assert_text("> S 0 @0; < RA 0 1 @0.25", (struct draw_options){.ascii = true},
                "10.0.0.1:4000 (client) to 10.0.0.2:80 (server), tcp\n"
                "2 packets in 250us: three-way handshake not completed, refused by the server after 250us\n"
                "host-a/eth0: 2 packets from 2026-11-22 00:00:00.000 +00:00\n"
                "    TIME DELTA client                      server SEQ ACK NEXT LEN  WIN\n"
                "0.000000       |-- SYN ------------------------>|   0        1   0 1000  handshake 1 of 3\n"
                "0.000250 250us |<-------------------- RST ACK --|   1   1    1   0 1000  refused by the server\n");
    assert_text(OPEN "> R 1", (struct draw_options){.ascii = true},
                "10.0.0.1:4000 (client) to 10.0.0.2:80 (server), tcp\n"
                "4 packets in 21.0ms: three-way handshake in 20.0ms, reset by the client after 21.0ms\n"
                "host-a/eth0: 4 packets from 2026-11-22 00:00:00.000 +00:00\n"
                "    TIME  DELTA client                      server SEQ ACK NEXT LEN  WIN\n"
                "0.000000        |-- SYN ------------------------>|   0        1   0 1000  handshake 1 of 3\n"
                "0.010000 10.0ms |<-------------------- SYN ACK --|   0   1    1   0 1000  handshake 2 of 3\n"
                "0.020000 10.0ms |-- ACK ------------------------>|   1   1    1   0 1000  handshake 3 of 3\n"
                "0.021000  1.0ms |-- RST ------------------------>|   1        1   0 1000  reset by the client\n");
}

static void test_half_close(void **state)
{
    (void)state;
    assert_text(OPEN "> FA 1 1; < A 1 2; < PA 1 2 +500; < PA 501 2 +500; > A 2 1001; < FA 1001 2; > A 2 1002",
                (struct draw_options){.ascii = true},
                "10.0.0.1:4000 (client) to 10.0.0.2:80 (server), tcp\n"
                "10 packets in 27.0ms: three-way handshake in 20.0ms, half-close by the client after 27.0ms\n"
                "host-a/eth0: 10 packets from 2026-11-22 00:00:00.000 +00:00\n"
                "    TIME  DELTA client                      server  SEQ  ACK NEXT LEN  WIN\n"
                "0.000000        |-- SYN ------------------------>|    0         1   0 1000  handshake 1 of 3\n"
                "0.010000 10.0ms |<-------------------- SYN ACK --|    0    1    1   0 1000  handshake 2 of 3\n"
                "0.020000 10.0ms |-- ACK ------------------------>|    1    1    1   0 1000  handshake 3 of 3\n"
                "0.021000  1.0ms |-- FIN ACK -------------------->|    1    1    2   0 1000  half-close 1 of 4: the "
                "client ends, the server goes on\n"
                "0.022000  1.0ms |<------------------------ ACK --|    1    2    1   0 1000  half-close 2 of 4\n"
                "0.023000  1.0ms |<-------------------- PSH ACK --|    1    2  501 500 1000\n"
                "0.024000  1.0ms |<-------------------- PSH ACK --|  501    2 1001 500 1000  window full\n"
                "0.025000  1.0ms |-- ACK ------------------------>|    2 1001    2   0 1000\n"
                "0.026000  1.0ms |<-------------------- FIN ACK --| 1001    2 1002   0 1000  half-close 3 of 4: the "
                "server ends\n"
                "0.027000  1.0ms |-- ACK ------------------------>|    2 1002    2   0 1000  half-close 4 of 4\n");
}

static void test_simultaneous(void **state)
{
    (void)state;
    assert_text(
        "> S 0 @0; < S 0 @1; < SA 0 1 @10; > SA 0 1 @11; > FA 1 1 @20; < FA 1 1 @21; > A 2 2 @30; < A 2 2 @31",
        (struct draw_options){.ascii = true},
        "10.0.0.1:4000 (client) to 10.0.0.2:80 (server), tcp\n"
        "8 packets in 31.0ms: simultaneous open in 11.0ms, simultaneous close begun by the client after 31.0ms\n"
        "host-a/eth0: 8 packets from 2026-11-22 00:00:00.000 +00:00\n"
        "    TIME DELTA client                      server SEQ ACK NEXT LEN  WIN\n"
        "0.000000       |-- SYN ------------------------>|   0        1   0 1000  simultaneous open 1 of 4\n"
        "0.001000 1.0ms |<------------------------ SYN --|   0        1   0 1000  simultaneous open 2 of 4\n"
        "0.010000 9.0ms |<-------------------- SYN ACK --|   0   1    1   0 1000  simultaneous open 3 of 4; "
        "retransmission\n"
        "0.011000 1.0ms |-- SYN ACK -------------------->|   0   1    1   0 1000  simultaneous open 4 of 4; "
        "retransmission\n"
        "0.020000 9.0ms |-- FIN ACK -------------------->|   1   1    2   0 1000  simultaneous close 1 of 4: the "
        "client ends\n"
        "0.021000 1.0ms |<-------------------- FIN ACK --|   1   1    2   0 1000  simultaneous close 2 of 4: the "
        "server ends\n"
        "0.030000 9.0ms |-- ACK ------------------------>|   2   2    2   0 1000  simultaneous close 3 of 4\n"
        "0.031000 1.0ms |<------------------------ ACK --|   2   2    2   0 1000  simultaneous close 4 of 4\n");
}

/* The server's clock is 1 s ahead, the way takes 3 ms, one segment is lost on it and one came in two. */
#define BOTH                                                                                                           \
    "A > S 0 i1 @0; B > S 0 i1 @1003; B < SA 0 1 i2 @1004; A < SA 0 1 i2 @7; A > A 1 1 i3 @8; B > A 1 1 i3 @1011;"     \
    "A > PA 1 1 +9 i4 @9; A > PA 10 1 +9 i5 @10; B > PA 10 1 +9 i5 @1013; B < A 1 1 i6 @1013.5; A < A 1 1 i6 @16.5;"   \
    "A > PA 19 1 +8 i7 @20; B > A 19 1 +4 i8 @1023; B > A 23 1 +4 i9 @1023.1"

static void test_two_vantages(void **state)
{
    (void)state;
    assert_text(
        BOTH, (struct draw_options){.ascii = true},
        "10.0.0.1:4000 (client) to 10.0.0.2:80 (server), tcp\n"
        "7 packets in 20.0ms: three-way handshake in 8.0ms, not closed when last seen\n"
        "A = host-a/eth0: 7 packets from 2026-11-22 00:00:00.000 +00:00\n"
        "B = host-b/eth0: 7 packets from 2026-11-22 00:00:01.003 +00:00, 3.0ms from A, clock 1.0s ahead (if both ways "
        "take as long)\n"
        "  TIME A DELTA client                      server   TIME B BETWEEN SEQ ACK NEXT LEN  WIN\n"
        "0.000000       |-- SYN ------------------------>| 1.003000    1.0s   0        1   0 1000  handshake 1 of 3\n"
        "0.007000 7.0ms |<-------------------- SYN ACK --| 1.004000  -997ms   0   1    1   0 1000  handshake 2 of 3\n"
        "0.008000 1.0ms |-- ACK ------------------------>| 1.011000    1.0s   1   1    1   0 1000  handshake 3 of 3\n"
        "0.009000 1.0ms |-- PSH ACK --------------------X|                    1   1   10   9 1000  not seen at B\n"
        "0.010000 1.0ms |-- PSH ACK -------------------->| 1.013000    1.0s  10   1   19   9 1000  segment before it "
        "not seen at B\n"
        "0.016500 6.5ms |<------------------------ ACK --| 1.013500  -997ms   1   1    1   0 1000  duplicate ack 1\n"
        "0.020000 3.5ms |-- PSH ACK -------------------->| 1.023000    1.0s  19   1   27   8 1000  2 segments at B\n");
}

static void test_datagrams(void **state)
{
    (void)state;
    assert_text(
        "> udp #000101000001000000000000016100001c0001 @0;"
        "< udp #000181800001000100000000016100001c0001c00c001c00010000003c001020010db8000000000000000000000001 @1.5",
        (struct draw_options){.ascii = true},
        "10.0.0.1:4000 (client) to 10.0.0.2:53 (server), udp dns\n"
        "2 packets in 1.5ms\n"
        "host-a/eth0: 2 packets from 2026-11-22 00:00:00.000 +00:00\n"
        "    TIME DELTA client                      server LEN\n"
        "0.000000       |-- udp ------------------------>|  19  DNS query AAAA a\n"
        "0.001500 1.5ms |<------------------------ udp --|  47  DNS answer AAAA a: 2001:db8::1\n");
    assert_text("> icmp 8 7 +8 @0; < icmp 0 7 +8 @1.5", (struct draw_options){.ascii = true},
                "10.0.0.1 (client) to 10.0.0.2 (server), icmp\n"
                "2 packets in 1.5ms\n"
                "host-a/eth0: 2 packets from 2026-11-22 00:00:00.000 +00:00\n"
                "    TIME DELTA client                      server LEN\n"
                "0.000000       |-- icmp ----------------------->|   8  echo request, id 0, seq 7\n"
                "0.001500 1.5ms |<----------------------- icmp --|   8  echo reply, id 0, seq 7\n");
}

/* clang-format on */

/* ------------------------------------------------------------------ what is left out */

#define TRANSFER OPEN "< A 1 1 +100; < A 101 1 +100; < A 201 1 +100; > A 1 301; < A 301 1 +100; > A 1 401;"

static void test_dull_lines(void **state)
{
    (void)state;
    char *text = drawn(draw_text, TRANSFER "> FA 1 401", (struct draw_options){.ascii = true});
    assert_has(
        text,
        "0.020000 10.0ms |-- ACK ------------------------>|   1   1    1   0 1000  handshake 3 of 3\n"
        "0.021000  1.0ms |<------------------------ ACK --|   1   1  101 100 1000\n"
        "                |                :               |                        4 packets, 300 to the client in "
        "3.0ms\n"
        "0.026000  1.0ms |-- ACK ------------------------>|   1 401    1   0 1000\n"
        "0.027000  1.0ms |-- FIN ACK -------------------->|   1 401    2   0 1000  close 1 of 4: the client ends\n");
    free(text);
    text = drawn(draw_text, TRANSFER "> FA 1 401", (struct draw_options){.ascii = true, .full = true});
    assert_null(strstr(text, " : "));
    assert_has(text, "0.024000  1.0ms |-- ACK ------------------------>|   1 301    1   0 1000  packet 7, IP id "
                     "0x0007, hop limit 64, 54 bytes, "
                     "acks packet 6 after 1.0ms\n");
    free(text);
    text = drawn(draw_text, OPEN "< A 1 1 +100; < A 101 1 +100; > A 1 201; > FA 1 201",
                 (struct draw_options){.ascii = true});
    assert_null(strstr(text, " : ")); /* three are few */
    free(text);
    text = drawn(draw_text, OPEN "< A 1 1 +100; < A 101 1 +100; < A 101 1 +100 @900; < A 201 1 +100; > A 1 301",
                 (struct draw_options){.ascii = true});
    assert_null(strstr(text, " : ")); /* one comes again */
    free(text);
    text = drawn(draw_text,
                 "A > S 0 i1 @0; B > S 0 i1 @1; A > A 1 1 +1 i2 @2; B > A 1 1 +1 i2 @3; A > A 2 1 +1 i3 @4;"
                 "A > A 3 1 +1 i4 @6; B < A 1 1 i8 @8; A < A 1 1 i8 @9; A > A 4 1 +1 i5 @10; B > A 4 1 +1 i5 @11",
                 (struct draw_options){.ascii = true});
    assert_null(strstr(text, " : ")); /* two were not seen at B */
    free(text);
}

static void test_limit(void **state)
{
    char *text = drawn(draw_text, TRANSFER "> FA 1 401", (struct draw_options){.ascii = true, .limit = 5});
    (void)state;
    assert_has(text, "4 packets, 300 to the client in 3.0ms\n2 packets more (--limit)\n");
    free(text);
    text = drawn(draw_text, OPEN, (struct draw_options){.ascii = true, .limit = 2});
    assert_has(text, "handshake 2 of 3\n1 packet more (--limit)\n");
    free(text);
    text = drawn(draw_text, OPEN, (struct draw_options){.ascii = true, .limit = 3});
    assert_null(strstr(text, "--limit"));
    free(text);
}

/* ------------------------------------------------------------------ terminals */

/* Characters of a line of UTF-8, escapes aside. */
static unsigned columns_of(const char *line, size_t len)
{
    unsigned n = 0;
    for (size_t i = 0; i < len; i++)
        if (line[i] == '\033')
            while (i < len && line[i] != 'm')
                i++;
        else
            n += ((unsigned char)line[i] & 0xc0) != 0x80;
    return n;
}

static void test_lines_fit(void **state)
{
    static const char *const scripts[] = {
        OPEN REQUEST "< PA 1 28 =HTTP/1.1_200_OK~Content-Type:_text/html~~ @35; > FUPA 28 1; < RA 1 28",
        OPEN "> PA 1 1 =GET_/a_very_long_word_that_does_not_fit_into_any_line_of_such_a_narrow_terminal_as_this_is_"
             "HTTP/1.1~; > A 9000000 1 +1400; < A 9000000 4000000 +1400",
        BOTH, "> udp +5; < udp +50"};
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        for (unsigned width = 50; width <= 200; width++) {
            char *text = drawn(draw_text, scripts[i], (struct draw_options){.width = width, .full = width % 2});
            for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
                if (columns_of(line, (size_t)(end - line)) > width)
                    fail_msg("%u columns in %u: %.*s", columns_of(line, (size_t)(end - line)), width, (int)(end - line),
                             line);
                if (end > line && end[-1] == ' ')
                    fail_msg("blank at the end in %u: %s", width, text);
            }
            free(text);
        }
}

/* Columns go in order of need; notes that do not fit go below. */
static void test_narrow(void **state)
{
    (void)state;
    assert_text(OPEN REQUEST, (struct draw_options){.ascii = true, .width = 80},
                "10.0.0.1:4000 (client) to 10.0.0.2:80 (server), tcp http\n"
                "5 packets in 21.5ms: three-way handshake in 20.0ms, not closed when last\n"
                "    seen\n"
                "host-a/eth0: 5 packets from 2026-11-22 00:00:00.000 +00:00\n"
                "    TIME  DELTA client        server SEQ ACK NEXT LEN  WIN\n"
                "0.000000        |-- SYN ---------->|   0        1   0 1000  handshake 1 of 3\n"
                "0.010000 10.0ms |<------ SYN ACK --|   0   1    1   0 1000  handshake 2 of 3\n"
                "0.020000 10.0ms |-- ACK ---------->|   1   1    1   0 1000  handshake 3 of 3\n"
                "0.020500  500us |-- PSH ACK ------>|   1   1   28  27 1000\n"
                "    GET / HTTP/1.1, host a\n"
                "0.021500  1.0ms |<---------- ACK --|   1  28    1   0 1000\n");
    char *text = drawn(draw_text, OPEN REQUEST, (struct draw_options){.ascii = true, .width = 50});
    assert_has(text, "    TIME  DELTA client        server SEQ ACK LEN\n");
    free(text);
}

static void test_colour(void **state)
{
    char *text = drawn(draw_text, OPEN, (struct draw_options){.colour = true});
    (void)state;
    assert_has(
        text,
        "\033[2m0.000000\033[0m        \033[2m│\033[0m\033[32m── SYN ────────────────────────▶\033[0m\033[2m│\033[0m");
    assert_has(text, "\033[32mhandshake\033[0m");
    free(text);
    text = drawn(draw_text, OPEN, (struct draw_options){.colour = false});
    assert_null(strchr(text, '\033'));
    free(text);
}

/* ------------------------------------------------------------------ files */

/* Nothing is fetched from anywhere: no address but the name of SVG itself. */
static void assert_needs_nothing(const char *text)
{
    for (const char *at = text; (at = strstr(at, "://")); at += 3)
        assert_true(at - text >= 11 && strncmp(at - 11, "xmlns=\"http://www.w3.org/2000/svg\"", 34) == 0);
    assert_null(strstr(text, "url("));
    assert_null(strstr(text, "@import"));
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "src="));
    assert_has(text, "@media (prefers-color-scheme:dark)");
}

static void test_html_and_svg(void **state)
{
    static draw_fn *const draws[] = {draw_html, draw_svg};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        char *text = drawn(draws[i], OPEN "> PA 1 1 =GET_/<b>&\"'_HTTP/1.1~Host:_a~~; < RA 1 1",
                           (struct draw_options){.limit = 4});
        assert_needs_nothing(text);
        assert_has(text, "10.0.0.1:4000 (client) to 10.0.0.2:80 (server), tcp http");
        assert_has(text, "handshake 3 of 3");
        assert_has(text, "GET /&lt;b&gt;&amp;&quot;&#39; HTTP/1.1, host a");
        assert_null(strstr(text, "<b>"));
        assert_has(text, "1 packet more (--limit)");
        free(text);
        text = drawn(draws[i], "", (struct draw_options){.limit = 0}); /* no packets at all */
        assert_needs_nothing(text);
        free(text);
    }
}

static json_t *parsed(const char *script, struct draw_options o)
{
    json_error_t why;
    char *text = drawn(draw_json, script, o);
    json_t *value = json_loads(text, 0, &why);
    if (!value)
        fail_msg("%s at %d: %s", why.text, why.position, text);
    free(text);
    return value;
}

#define AT(object, key) json_object_get(object, key)

static void test_json(void **state)
{
    json_t *all = parsed(OPEN REQUEST "> FA 28 1", (struct draw_options){.id = "7f3a"});
    json_t *connection = AT(all, "connection"), *packets = AT(all, "packets"), *p;
    (void)state;
    assert_string_equal(json_string_value(AT(connection, "id")), "7f3a");
    assert_string_equal(json_string_value(AT(connection, "application")), "http");
    assert_string_equal(json_string_value(AT(AT(connection, "client"), "addr")), "10.0.0.1");
    assert_int_equal(json_integer_value(AT(AT(connection, "server"), "port")), 80);
    assert_string_equal(json_string_value(AT(AT(connection, "tcp"), "open")), "three-way");
    assert_int_equal(json_integer_value(AT(AT(connection, "tcp"), "open_ns")), 20000000);
    assert_string_equal(json_string_value(AT(AT(connection, "tcp"), "close")), "one-sided");
    assert_int_equal(json_array_size(packets), 6);
    p = json_array_get(packets, 3);
    assert_int_equal(json_integer_value(AT(p, "packet")), 4);
    assert_string_equal(json_string_value(AT(p, "time")), "2026-11-22T00:00:00.020500000Z");
    assert_int_equal(json_integer_value(AT(p, "delta_ns")), 500000);
    assert_string_equal(json_string_value(AT(p, "from")), "client");
    assert_int_equal(json_integer_value(AT(p, "seq")), 1);
    assert_int_equal(json_integer_value(AT(p, "next")), 28);
    assert_int_equal(json_integer_value(AT(p, "length")), 27);
    assert_string_equal(json_string_value(AT(p, "said")), "GET / HTTP/1.1, host a");
    assert_int_equal(json_array_size(AT(p, "findings")), 0);
    p = json_array_get(packets, 5);
    assert_int_equal(json_integer_value(AT(AT(p, "close"), "step")), 1);
    assert_null(AT(json_array_get(AT(p, "seen"), 0), "ip_id")); /* only in full */
    json_decref(all);
}

static void test_json_of_two_vantages(void **state)
{
    json_t *all = parsed(BOTH, (struct draw_options){.full = true, .limit = 7});
    json_t *packets = AT(all, "packets"), *vantage = json_array_get(AT(all, "vantages"), 1), *p;
    (void)state;
    assert_string_equal(json_string_value(AT(vantage, "vantage")), "host-b/eth0");
    assert_int_equal(json_integer_value(AT(vantage, "clock_ahead_ns")), 1000000000);
    assert_false(json_is_true(AT(vantage, "reference")));
    assert_true(json_is_true(AT(json_array_get(AT(all, "vantages"), 0), "reference")));
    assert_int_equal(json_array_size(packets), 7);
    p = json_array_get(packets, 3);
    assert_string_equal(json_string_value(json_array_get(AT(p, "not_seen_at"), 0)), "host-b/eth0");
    p = json_array_get(packets, 4);
    assert_int_equal(json_integer_value(AT(p, "between_ns")), 1003000000);
    assert_string_equal(json_string_value(json_array_get(AT(json_array_get(AT(p, "seen"), 1), "findings"), 0)),
                        "lost_segment");
    assert_int_equal(json_integer_value(AT(json_array_get(AT(p, "seen"), 1), "ip_id")), 5);
    p = json_array_get(packets, 6);
    assert_int_equal(json_array_size(AT(p, "seen")), 3); /* in two pieces at B */
    json_decref(all);
}

/* Flows are known of which no packet is here. */
static void test_without_packets(void **state)
{
    json_t *all = parsed("", (struct draw_options){.id = "7f3a"});
    char *text = drawn(draw_text, "", (struct draw_options){.id = "7f3a", .width = 80});
    (void)state;
    assert_has(text, "0 packets\n");
    assert_int_equal(json_array_size(AT(all, "packets")), 0);
    free(text);
    json_decref(all);
}

/* What is too large is refused, not cut. */
static void test_too_large(void **state)
{
    static draw_fn *const draws[] = {draw_text, draw_html, draw_svg, draw_json};
    struct ladder *l = ladder_script(OPEN);
    struct draw_options o = {.limit = 0};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct buffer out = {.limit = 300};
        struct error e = ERROR_INIT;
        assert_int_equal(draws[i](l, &o, &out, &e), ERROR_LIMIT);
        buffer_free(&out);
    }
    ladder_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_simultaneous),
        cmocka_unit_test(test_two_vantages),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_dull_lines),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_lines_fit),
        cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_colour),
        cmocka_unit_test(test_html_and_svg),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_of_two_vantages),
        cmocka_unit_test(test_without_packets),
        cmocka_unit_test(test_too_large),
    };
    setenv("TZ", "UTC0", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
