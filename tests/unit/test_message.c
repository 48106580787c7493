/*
 * Messages: what is put in comes out, and nothing that a peer may send does more than be refused.
 */
#include "tests/unit/message_random.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS 300

/* ------------------------------------------------------------ frames */
/* The payload of a frame in memory of exactly its size, so that a read behind it shows. */
static uint8_t *payload_of(const struct buffer *frame, size_t len)
{
    uint8_t *p = malloc(len ? len : 1);
    assert_non_null(p);
    memcpy(p, frame->data + NET_HEADER_SIZE, len);
    return p;
}

static int decode_copy(int type, const struct buffer *frame, size_t len, struct message *m, struct error *e)
{
    uint8_t *p = payload_of(frame, len);
    int r = message_decode(type, p, len, m, e);
    free(p); /* a decoded message points nowhere into it */
    return r;
}

static void encode(const struct message *m, struct buffer *out)
{
    struct error e = ERROR_INIT;
    buffer_clear(out);
    if (message_encode(m, out, &e) != 0)
        fail_msg("%s", e.text);
}

static int refused(const struct message *m, const char *says)
{
    struct buffer out = {0};
    struct error e = ERROR_INIT;
    int r = message_encode(m, &out, &e);
    assert_int_not_equal(r, 0);
    if (!strstr(e.text, says))
        fail_msg("expected '%s' in: %s", says, e.text);
    buffer_free(&out);
    return r;
}

/* ------------------------------------------------------------ tests */
static void what_goes_in_comes_out(void **state)
{
    (void)state;
    struct buffer frame = {0};
    for (int type = MESSAGE_HELLO; type <= MESSAGE_ENROLLED; type++)
        for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
            struct message in, out;
            struct error e = ERROR_INIT;
            int got;
            size_t len;
            random_state = seed * 0x9e3779b97f4a7c15u + (uint64_t)type;
            message_draw((enum message_type)type, &in);
            encode(&in, &frame);
            assert_int_equal(message_header(frame.data, NET_FRAME_MAX, &got, &len, &e), 0);
            assert_int_equal(got, type);
            assert_int_equal(len, frame.len - NET_HEADER_SIZE);
            if (decode_copy(type, &frame, len, &out, &e) != 0)
                fail_msg("%s", e.text);
            message_assert_same(&in, &out);
            message_free(&out);
            assert_null(out.memory);
        }
    buffer_free(&frame);
}

static void every_truncation_is_refused_or_shorter(void **state)
{
    (void)state;
    struct buffer frame = {0};
    for (int type = MESSAGE_HELLO; type <= MESSAGE_ENROLLED; type++) {
        struct message in, out;
        random_state = 77 + (uint64_t)type;
        message_draw((enum message_type)type, &in);
        if (type == MESSAGE_PIECE)
            in.piece.length = 100;
        if (type == MESSAGE_RESULT)
            in.result.length = 100;
        encode(&in, &frame);
        for (size_t len = 0; len < frame.len - NET_HEADER_SIZE; len++) {
            struct error e = ERROR_INIT;
            int r = decode_copy(type, &frame, len, &out, &e);
            if (r == 0)
                message_free(&out);
            else
                assert_int_not_equal(e.text[0], 0);
            assert_true(r == 0 || r == ERROR_INVALID);
        }
    }
    buffer_free(&frame);
}

static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    struct buffer frame = {0};
    for (int type = MESSAGE_HELLO; type <= MESSAGE_ENROLLED; type++)
        for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
            struct message in, out;
            random_state = seed * 0x2545f4914f6cdd1du + (uint64_t)type;
            message_draw((enum message_type)type, &in);
            if (type == MESSAGE_PIECE)
                in.piece.length = 20;
            encode(&in, &frame);
            size_t len = frame.len - NET_HEADER_SIZE;
            for (int i = 0; i < 3 && len; i++)
                frame.data[NET_HEADER_SIZE + random_draw() % len] = (uint8_t)random_draw();
            if (decode_copy(type, &frame, len, &out, NULL) == 0)
                message_free(&out);
        }
    buffer_free(&frame);
}

static void the_header_says_who_does_not_belong_here(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    int type;
    size_t len;
    const uint8_t http[] = "GET / HT";
    assert_int_equal(message_header(http, NET_FRAME_MAX, &type, &len, &e), ERROR_INVALID);
    assert_non_null(strstr(e.text, "not a fleetdump peer"));
    const uint8_t other[] = {'F', 'D', 9, MESSAGE_HELLO, 0, 0, 0, 0};
    assert_int_equal(message_header(other, NET_FRAME_MAX, &type, &len, &e), ERROR_VERSION);
    assert_non_null(strstr(e.text, "version 9"));
    const uint8_t large[] = {'F', 'D', NET_PROTOCOL, MESSAGE_HELLO, 1, 0, 1, 0};
    assert_int_equal(message_header(large, NET_HELLO_MAX, &type, &len, &e), ERROR_LIMIT);
    assert_int_equal(message_header(large, NET_FRAME_MAX, &type, &len, &e), 0);
    assert_int_equal(len, 65537);
}

static void rules_hold_when_sending(void **state)
{
    (void)state;
    uint8_t byte = 0;
    char control[] = "web\n1";
    char latin[] = "\xe4";
    char overlong[] = "\xc0\xaf";
    char surrogate[] = "\xed\xa0\x80";
    char *bad[] = {control, latin, overlong, surrogate};
    for (size_t i = 0; i < 4; i++) {
        struct message m = {.type = MESSAGE_HELLO, .hello = {.role = ROLE_CLIENT, .agent = bad[i]}};
        assert_int_equal(refused(&m, "message hello, field agent"), ERROR_INVALID);
    }
    struct message role = {.type = MESSAGE_HELLO, .hello = {.role = 4}};
    refused(&role, "field role");
    struct message over = {.type = MESSAGE_PIECE,
                           .piece = {.part = PART_HEAD, .total = 10, .offset = 10, .data = &byte, .length = 1}};
    refused(&over, "reaches over");
    struct message wrap = {.type = MESSAGE_PIECE,
                           .piece = {.part = PART_HEAD, .total = 10, .offset = UINT64_MAX, .data = &byte, .length = 1}};
    refused(&wrap, "reaches over");
    struct message empty = {.type = MESSAGE_PIECE, .piece = {.part = PART_HEAD, .total = 10, .data = &byte}};
    refused(&empty, "field data");
    struct message cursors = {.type = MESSAGE_ACK, .ack = {.head_next = 1, .body_next = 2}};
    refused(&cursors, "body_next");
    struct message none = {.type = 99};
    refused(&none, "type 99");
}

static void a_frame_has_a_limit(void **state)
{
    (void)state;
    char *json = malloc(NET_FRAME_MAX + 1);
    assert_non_null(json);
    memset(json, 'x', NET_FRAME_MAX);
    json[NET_FRAME_MAX] = 0;
    struct message m = {.type = MESSAGE_STATUS, .status = {.json = json}};
    assert_int_equal(refused(&m, "more than the 1048576"), ERROR_LIMIT);
    free(json);
}

/* An error may quote anything; it must still arrive. */
static void error_texts_are_cleaned_on_the_way(void **state)
{
    (void)state;
    char text[] = "cannot open <\xff\x01\xe4\xb8> and ä";
    struct message m = {.type = MESSAGE_DONE, .done = {.code = ERROR_SYSTEM, .text = text}};
    struct message out;
    struct buffer frame = {0};
    encode(&m, &frame);
    assert_int_equal(decode_copy(MESSAGE_DONE, &frame, frame.len - NET_HEADER_SIZE, &out, NULL), 0);
    assert_string_equal(out.done.text, "cannot open <\?\?\?\?> and ä");
    assert_int_equal(out.done.code, ERROR_SYSTEM);
    message_free(&out);
    buffer_free(&frame);
}

static int decode_bytes(int type, const char *bytes, size_t len, struct error *e)
{
    struct message m;
    int r = message_decode(type, bytes, len, &m, e);
    if (r == 0)
        message_free(&m);
    return r;
}

static void what_a_peer_may_not_send(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    /* A name with a zero byte inside: hello.agent (field 5) */
    assert_int_equal(decode_bytes(MESSAGE_HELLO,
                                  "\x10\x03\x2a\x03"
                                  "a\0b",
                                  7, &e),
                     ERROR_INVALID);
    assert_non_null(strstr(e.text, "zero byte"));
    assert_int_equal(decode_bytes(MESSAGE_HELLO, "\x10\x03\x2a\x00", 4, &e), 0);
    assert_int_equal(decode_bytes(MESSAGE_HELLO, "\x10\x03", 2, &e), 0);
    /* A role of 259, which is 3 in its low byte */
    assert_int_equal(decode_bytes(MESSAGE_HELLO, "\x10\x83\x02", 3, &e), ERROR_INVALID);
    /* A stream without its id, and one of 3 bytes */
    assert_int_equal(decode_bytes(MESSAGE_STREAM, "", 0, &e), ERROR_INVALID);
    assert_int_equal(decode_bytes(MESSAGE_STREAM,
                                  "\x0a\x03"
                                  "abc",
                                  5, &e),
                     ERROR_INVALID);
    /* An IPv4 address of 16 bytes */
    assert_int_equal(decode_bytes(MESSAGE_HELLO,
                                  "\x10\x03\x42\x14\x08\x04\x12\x10"
                                  "0123456789abcdef",
                                  24, &e),
                     ERROR_INVALID);
    assert_int_equal(decode_bytes(99, "", 0, &e), ERROR_INVALID);
    assert_int_equal(decode_bytes(-1, "", 0, &e), ERROR_INVALID);
    assert_int_equal(decode_bytes(0, "", 0, &e), ERROR_INVALID);
}

/* Each label takes 2 bytes on the wire: many more than the list may have. */
static void a_long_list_ends_at_its_limit(void **state)
{
    (void)state;
    struct error e = ERROR_INIT;
    size_t count = NET_FRAME_MAX / 2 - 1;
    char *bytes = malloc(2 * count + 2);
    assert_non_null(bytes);
    memcpy(bytes, "\x10\x03", 2);
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + 2 + 2 * i, "\x3a\x00", 2);
    int r = decode_bytes(MESSAGE_HELLO, bytes, 2 * count + 2, &e);
    assert_true(r == ERROR_INVALID || r == ERROR_LIMIT);
    assert_int_equal(decode_bytes(MESSAGE_HELLO, bytes, 2 * (size_t)NET_STRINGS_MAX + 2, &e), 0);
    assert_int_equal(decode_bytes(MESSAGE_HELLO, bytes, 2 * (size_t)NET_STRINGS_MAX + 4, &e), ERROR_INVALID);
    free(bytes);
}

/* A newer peer's field is skipped. */
static void unknown_fields_are_skipped(void **state)
{
    (void)state;
    struct message m;
    assert_int_equal(message_decode(MESSAGE_HELLO, "\x10\x03\xf8\x07\x01\x2a\x01z", 8, &m, NULL), 0);
    assert_string_equal(m.hello.agent, "z");
    message_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(every_truncation_is_refused_or_shorter),
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(the_header_says_who_does_not_belong_here),
        cmocka_unit_test(rules_hold_when_sending),
        cmocka_unit_test(a_frame_has_a_limit),
        cmocka_unit_test(error_texts_are_cleaned_on_the_way),
        cmocka_unit_test(what_a_peer_may_not_send),
        cmocka_unit_test(a_long_list_ends_at_its_limit),
        cmocka_unit_test(unknown_fields_are_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
