/*
 * pcapng: what is written is as the draft says and comes back; what others write is read.
 */
#include "common/chunk/pcapng_parse.h"
#include "tests/unit/pcapng_build.h"

#include <stdlib.h>
#include <string.h>

/* --- Writing --- */
static void a_packet_is_written_as_the_draft_says(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        6,    0,    0,    0,    84,   0,    0,    0,    2, 0, 0, 0,    /* EPB, 84 bytes, interface 2 */
        0x67, 0x45, 0x23, 0x01, 0xef, 0xcd, 0xab, 0x89,                /* time: high half, low half */
        5,    0,    0,    0,    60,   0,    0,    0,                   /* captured, on the wire */
        'h',  'e',  'l',  'l',  'o',  0,    0,    0,                   /* data, padded */
        2,    0,    4,    0,    1,    0,    0,    0,                   /* epb_flags: inbound */
        4,    0,    8,    0,    7,    0,    0,    0,    0, 0, 0, 0,    /* epb_dropcount */
        5,    0,    8,    0,    9,    0,    0,    0,    0, 0, 0, 0x80, /* epb_packetid */
        1,    0,    3,    0,    'w',  'h',  'y',  0,                   /* opt_comment */
        0,    0,    0,    0,    84,   0,    0,    0,                   /* opt_endofopt, length again */
    };
    struct buffer out = {0};
    pcapng_write_packet(&out, &(struct pcapng_packet){.interface = 2,
                                                      .time_ns = 0x0123456789abcdef,
                                                      .captured = 5,
                                                      .wire = 60,
                                                      .data = (const uint8_t *)"hello",
                                                      .flags = PCAPNG_DIRECTION_IN,
                                                      .dropcount = 7,
                                                      .packet_id = 0x8000000000000009,
                                                      .comment = "why"});
    assert_int_equal(out.len, sizeof(expected));
    assert_memory_equal(out.data, expected, sizeof(expected));
    buffer_free(&out);
}

static void a_packet_without_options_has_none(void **state)
{
    (void)state;
    struct buffer out = {0};
    pcapng_write_packet(&out, &(struct pcapng_packet){.captured = 4, .wire = 4, .data = (const uint8_t *)"data"});
    assert_int_equal(out.len, 36);
    buffer_free(&out);
}

static void write_all(struct buffer *out)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct counters c = {
        .value = {
            [COUNTER_RECEIVED] = 100, [COUNTER_INTERFACE_DROPS] = 3, [COUNTER_KERNEL_DROPS] = 4, [COUNTER_POLICY] = 2}};
    pcapng_write_section(out, "an old laptop", "Linux", "fleetdump 0.1", "a comment");
    pcapng_write_interface(out, &(struct pcapng_interface){.name = "web-1/eth0",
                                                           .description = "web-1",
                                                           .filter = "tcp port 80",
                                                           .os = "Linux 6",
                                                           .link_type = 1,
                                                           .snaplen = 96,
                                                           .mac = mac,
                                                           .speed_bps = 1000000000});
    pcapng_write_interface(out, &(struct pcapng_interface){.link_type = 113});
    pcapng_write_packet(out, &(struct pcapng_packet){.interface = 1,
                                                     .time_ns = 1700000000123456789,
                                                     .captured = 3,
                                                     .wire = 1500,
                                                     .data = (const uint8_t *)"abc",
                                                     .flags = PCAPNG_DIRECTION_OUT,
                                                     .comment = "four"});
    pcapng_write_journal(out, "__REALTIME_TIMESTAMP=1\nMESSAGE=hi\n", 34);
    pcapng_write_statistics(out, 0, 1700000001000000000, 1, 2, &c, "all is well");
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct pcapng_item item;
    write_all(&out);
    assert_false(out.failed);
    struct stream s = {.data = out.data, .len = out.len, .piece = 1};
    struct pcapng_reader *r = source_reader(&s);
    source_next(r, &item, PCAPNG_ITEM_SECTION);
    source_next(r, &item, PCAPNG_ITEM_INTERFACE);
    assert_string_equal(item.interface_info.name, "web-1/eth0");
    assert_string_equal(item.interface_info.description, "web-1");
    assert_string_equal(item.interface_info.filter, "tcp port 80");
    assert_string_equal(item.interface_info.os, "Linux 6");
    assert_memory_equal(item.interface_info.mac, "\2\0\0\0\0\1", 6);
    assert_int_equal(item.interface_info.speed_bps, 1000000000);
    assert_int_equal(item.interface_info.snaplen, 96);
    source_next(r, &item, PCAPNG_ITEM_INTERFACE);
    assert_int_equal(item.interface, 1);
    assert_int_equal(item.interface_info.link_type, 113);
    assert_null(item.interface_info.name);
    assert_null(item.interface_info.mac);
    source_next(r, &item, PCAPNG_ITEM_PACKET);
    assert_int_equal(item.packet.interface, 1);
    assert_int_equal(item.packet.time_ns, 1700000000123456789);
    assert_int_equal(item.packet.wire, 1500);
    assert_memory_equal(item.packet.data, "abc", 3);
    assert_int_equal(item.packet.flags, PCAPNG_DIRECTION_OUT);
    assert_string_equal(item.packet.comment, "four");
    source_next(r, &item, PCAPNG_ITEM_JOURNAL);
    assert_int_equal(item.body_length, 36); /* with padding */
    assert_memory_equal(item.body, "__REALTIME_TIMESTAMP=1\nMESSAGE=hi\n\0\0", 36);
    source_next(r, &item, PCAPNG_ITEM_STATISTICS);
    assert_int_equal(item.statistics_received, 100);
    assert_int_equal(item.statistics_dropped, 3);
    assert_int_equal(item.statistics_os_dropped, 4);
    source_next(r, &item, PCAPNG_ITEM_END);
    assert_int_equal(pcapng_reader_offset(r), out.len);
    pcapng_reader_free(r);
    buffer_free(&out);
}

static void our_own_blocks_are_read_in_place(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct error e;
    struct pcapng_item item;
    pcapng_write_packet(&out, &(struct pcapng_packet){.interface = 3,
                                                      .time_ns = 5,
                                                      .captured = 2,
                                                      .wire = 2,
                                                      .data = (const uint8_t *)"ab",
                                                      .flags = 1,
                                                      .dropcount = 2,
                                                      .packet_id = 3,
                                                      .comment = "four"});
    pcapng_write_journal(&out, "MESSAGE=x\n", 10);
    struct bytes b = bytes_of(out.data, out.len);
    assert_int_equal(pcapng_next(&b, &item, &e), 1);
    assert_int_equal(item.kind, PCAPNG_ITEM_PACKET);
    assert_true(item.packet.data > out.data && item.packet.data < out.data + out.len);
    assert_int_equal(item.packet.interface, 3);
    assert_int_equal(item.packet.dropcount, 2);
    assert_int_equal(item.packet.packet_id, 3);
    assert_string_equal(item.packet.comment, "four");
    assert_true((const uint8_t *)item.packet.comment > out.data);
    assert_int_equal(pcapng_next(&b, &item, &e), 1);
    assert_int_equal(item.kind, PCAPNG_ITEM_JOURNAL);
    assert_int_equal(pcapng_next(&b, &item, &e), 0);
    for (size_t len = 1; len < out.len; len++) {
        b = bytes_of(out.data, len);
        int n = pcapng_next(&b, &item, &e);
        n = n == 1 ? pcapng_next(&b, &item, &e) : n;
        assert_true(n == ERROR_INVALID || (n == 0 && len == out.len - 24)); /* a cut between the two blocks */
    }
    buffer_free(&out);
}

static void what_is_too_long_fails_the_buffer(void **state)
{
    (void)state;
    struct buffer out = {0};
    uint8_t *data = calloc(1, PCAPNG_BLOCK_MAX + 4);
    assert_non_null(data);
    pcapng_write_packet(&out, &(struct pcapng_packet){.captured = PCAPNG_BLOCK_MAX - 32, .wire = 1, .data = data});
    assert_false(out.failed);
    buffer_clear(&out);
    pcapng_write_packet(&out, &(struct pcapng_packet){.captured = PCAPNG_BLOCK_MAX - 31, .wire = 1, .data = data});
    assert_true(out.failed);
    buffer_clear(&out);
    memset(data, 'x', 70000);
    pcapng_write_section(&out, NULL, NULL, NULL, (const char *)data);
    assert_true(out.failed);
    buffer_clear(&out);
    pcapng_write_interface(&out, &(struct pcapng_interface){.filter = (const char *)data});
    assert_true(out.failed);
    buffer_clear(&out);
    pcapng_write_journal(&out, (const char *)data, PCAPNG_BLOCK_MAX);
    assert_true(out.failed);
    buffer_free(&out);
    free(data);
}

/* --- Reading what others write --- */
static void both_orders_in_one_file(void **state)
{
    (void)state;
    struct buffer b = {0};
    struct pcapng_item item;
    for (int order = 0; order < 3; order++) {
        build_big_endian = order == 1;
        build_section(&b);
        build_interface(&b, 1, 0, -1, 0);
        build_interface(&b, 113, 0, 9, 0);
        build_packet(&b, 1, UINT64_C(0x1122334455667788), "hello", 77);
    }
    build_big_endian = false;
    struct stream s = {.data = b.data, .len = b.len, .piece = 7};
    struct pcapng_reader *r = source_reader(&s);
    for (uint32_t order = 0; order < 3; order++) {
        source_next(r, &item, PCAPNG_ITEM_SECTION);
        source_next(r, &item, PCAPNG_ITEM_INTERFACE);
        assert_int_equal(item.interface, 2 * order); /* counted over the whole file */
        source_next(r, &item, PCAPNG_ITEM_INTERFACE);
        assert_int_equal(item.interface_info.link_type, 113);
        source_next(r, &item, PCAPNG_ITEM_PACKET);
        assert_int_equal(item.packet.interface, 2 * order + 1);
        assert_int_equal(item.packet.time_ns, UINT64_C(0x1122334455667788));
        assert_int_equal(item.packet.captured, 5);
        assert_int_equal(item.packet.wire, 77);
        assert_memory_equal(item.packet.data, "hello", 5);
    }
    source_next(r, &item, PCAPNG_ITEM_END);
    source_next(r, &item, PCAPNG_ITEM_END);
    pcapng_reader_free(r);
    buffer_free(&b);
}

static void times_of_every_resolution(void **state)
{
    (void)state;
    static const struct {
        uint8_t resolution;
        int64_t offset_s;
        uint64_t ticks, ns;
    } times[] = {
        {6, 0, 1700000000123456, 1700000000123456000},
        {9, 0, 1700000000123456789, 1700000000123456789},
        {0, 0, 1700000000, 1700000000000000000},
        {3, 1700000000, 5, 1700000000005000000},
        {9, -1, 1000000007, 7},
        {12, 0, 1700000000123456789, 1700000000123456},
        {28, 0, UINT64_MAX, 1}, /* 10^-28 s: 1.8e19 of them are 1.8 ns */
        {29, 0, UINT64_MAX, 0},
        {127, 0, UINT64_MAX, 0},
        {0x80, 0, 3, 3000000000}, /* 2^0 */
        {0x80 | 1, 0, 3, 1500000000},
        {0x80 | 32, 0, UINT64_C(1700000000) << 32 | 0x80000000u, 1700000000500000000},
        {0x80 | 63, 0, UINT64_MAX, 1999999999},
        {0x80 | 64, 0, UINT64_MAX, 999999999},
        {0x80 | 127, 0, UINT64_MAX, 0},
        {9, 0, UINT64_MAX, UINT64_MAX}, /* the last that fits */
        {3, -1, 5, 0},                  /* from here on: before 1970, or after 2554 */
        {9, -1, 999999999, 0},
        {0, 0, UINT64_MAX, UINT64_MAX},
        {9, 1, UINT64_MAX, UINT64_MAX},
        {6, INT64_MAX, UINT64_MAX, UINT64_MAX},
        {6, INT64_MIN, UINT64_MAX, 0},
    };
    const size_t count = sizeof(times) / sizeof(times[0]), first_limited = count - 6;
    for (size_t i = 0; i < count; i++) {
        struct pcapng_clock clock = {.resolution = times[i].resolution, .offset_s = times[i].offset_s};
        bool limited;
        assert_true(pcapng_time_ns(&clock, times[i].ticks, &limited) == times[i].ns);
        assert_int_equal(limited, i >= first_limited);
    }
    for (unsigned resolution = 0; resolution < 256; resolution++) {
        struct pcapng_clock clock = {.resolution = (uint8_t)resolution};
        uint64_t before = 0;
        for (unsigned bit = 0; bit < 64; bit++) { /* more ticks are never earlier */
            bool limited;
            uint64_t ns = pcapng_time_ns(&clock, UINT64_C(1) << bit, &limited);
            assert_true(ns >= before && limited == (ns == UINT64_MAX));
            before = ns;
        }
    }
}

static void resolution_and_offset_are_those_of_the_packets_interface(void **state)
{
    (void)state;
    struct buffer b = {0};
    struct pcapng_item item;
    build_section(&b);
    build_interface(&b, 1, 0, -1, 0);
    build_interface(&b, 1, 0, 3, 100);
    build_packet(&b, 0, 1, "a", 1);
    build_packet(&b, 1, 1, "a", 1);
    struct stream s = {.data = b.data, .len = b.len, .piece = 4096};
    struct pcapng_reader *r = source_reader(&s);
    source_next(r, &item, PCAPNG_ITEM_SECTION);
    source_next(r, &item, PCAPNG_ITEM_INTERFACE);
    source_next(r, &item, PCAPNG_ITEM_INTERFACE);
    source_next(r, &item, PCAPNG_ITEM_PACKET);
    assert_int_equal(item.packet.time_ns, 1000);
    source_next(r, &item, PCAPNG_ITEM_PACKET);
    assert_int_equal(item.packet.time_ns, 100001000000);
    pcapng_reader_free(r);
    buffer_free(&b);
}

static void simple_and_obsolete_packets(void **state)
{
    (void)state;
    struct buffer b = {0}, c = {0};
    struct pcapng_item item;
    build_section(&b);
    build_interface(&b, 1, 6, -1, 0);
    build_put32(&c, 1500); /* simple: length on the wire, data up to the snaplen, padding */
    buffer_append(&c, "abcdef\0\0", 8);
    build_block(&b, PCAPNG_SPB, &c);
    buffer_clear(&c);
    build_put32(&c, 3);
    buffer_append(&c, "abc\0", 4);
    build_block(&b, PCAPNG_SPB, &c);
    buffer_clear(&c);
    build_put16(&c, 0); /* obsolete: interface, drops */
    build_put16(&c, 9);
    build_put32(&c, 0);
    build_put32(&c, 7);
    build_put32(&c, 2);
    build_put32(&c, 2);
    buffer_append(&c, "xy\0\0", 4);
    build_block(&b, PCAPNG_PB, &c);
    struct stream s = {.data = b.data, .len = b.len, .piece = 4096};
    struct pcapng_reader *r = source_reader(&s);
    source_next(r, &item, PCAPNG_ITEM_SECTION);
    source_next(r, &item, PCAPNG_ITEM_INTERFACE);
    source_next(r, &item, PCAPNG_ITEM_PACKET);
    assert_false(item.has_time);
    assert_int_equal(item.packet.captured, 6);
    assert_int_equal(item.packet.wire, 1500);
    source_next(r, &item, PCAPNG_ITEM_PACKET);
    assert_int_equal(item.packet.captured, 3);
    assert_memory_equal(item.packet.data, "abc", 3);
    source_next(r, &item, PCAPNG_ITEM_PACKET);
    assert_true(item.has_time);
    assert_int_equal(item.packet.time_ns, 7000);
    assert_int_equal(item.packet.dropcount, 9);
    pcapng_reader_free(r);
    buffer_free(&b);
    buffer_free(&c);
}

static void options_of_wrong_length_are_left_out(void **state)
{
    (void)state;
    struct buffer b = {0}, c = {0};
    struct pcapng_item item;
    build_section(&b);
    build_put16(&c, 1);
    build_put16(&c, 0);
    build_put32(&c, 0);
    build_option(&c, 9, "\3\3", 2);    /* if_tsresol of 2 bytes */
    build_option(&c, 6, "\1\2\3", 3);  /* if_MACaddr of 3 */
    build_option(&c, 8, "\1", 1);      /* if_speed of 1 */
    build_option(&c, 11, "\1code", 5); /* a filter in byte code */
    build_option(&c, 2, "lo", 2);
    build_block(&b, PCAPNG_IDB, &c); /* without opt_endofopt */
    buffer_clear(&c);
    build_packet_begin(&c, 0, 1, "data", 4);
    build_option(&c, 2, "\1", 1);
    build_option(&c, 4, "\1\0\0\0", 4);
    build_block(&b, PCAPNG_EPB, &c);
    struct stream s = {.data = b.data, .len = b.len, .piece = 4096};
    struct pcapng_reader *r = source_reader(&s);
    source_next(r, &item, PCAPNG_ITEM_SECTION);
    source_next(r, &item, PCAPNG_ITEM_INTERFACE);
    assert_null(item.interface_info.mac);
    assert_null(item.interface_info.filter);
    assert_int_equal(item.interface_info.speed_bps, 0);
    assert_string_equal(item.interface_info.name, "lo");
    source_next(r, &item, PCAPNG_ITEM_PACKET);
    assert_int_equal(item.packet.time_ns, 1000);
    assert_int_equal(item.packet.flags, 0);
    assert_int_equal(item.packet.dropcount, 0);
    pcapng_reader_free(r);
    buffer_free(&b);
    buffer_free(&c);
}

static void blocks_that_are_not_known_are_given_as_they_are(void **state)
{
    (void)state;
    struct buffer b = {0}, c = {0};
    struct pcapng_item item;
    build_section(&b);
    buffer_append(&c, "whatever", 8);
    build_block(&b, 0xbad, &c);
    build_block(&b, PCAPNG_NRB, &c);
    struct stream s = {.data = b.data, .len = b.len, .piece = 4096};
    struct pcapng_reader *r = source_reader(&s);
    source_next(r, &item, PCAPNG_ITEM_SECTION);
    source_next(r, &item, PCAPNG_ITEM_OTHER);
    assert_int_equal(item.block_type, 0xbad);
    assert_int_equal(item.offset, 28);
    assert_int_equal(item.body_length, 8);
    assert_memory_equal(item.body, "whatever", 8);
    source_next(r, &item, PCAPNG_ITEM_OTHER);
    assert_int_equal(item.block_type, PCAPNG_NRB);
    pcapng_reader_free(r);
    buffer_free(&b);
    buffer_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_is_written_as_the_draft_says),
        cmocka_unit_test(a_packet_without_options_has_none),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(our_own_blocks_are_read_in_place),
        cmocka_unit_test(what_is_too_long_fails_the_buffer),
        cmocka_unit_test(both_orders_in_one_file),
        cmocka_unit_test(times_of_every_resolution),
        cmocka_unit_test(resolution_and_offset_are_those_of_the_packets_interface),
        cmocka_unit_test(simple_and_obsolete_packets),
        cmocka_unit_test(options_of_wrong_length_are_left_out),
        cmocka_unit_test(blocks_that_are_not_known_are_given_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
