/*
 * pcapng that is damaged, cut or comes in pieces: the byte is named, and nothing is made up.
 */
#include "tests/unit/pcapng_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads to the error; what came before is counted. The error stays. */
static unsigned read_to_error(const struct buffer *b, int code, const char *says)
{
    struct stream s = {.data = b->data, .len = b->len, .piece = 5};
    struct pcapng_reader *r = source_reader(&s);
    struct pcapng_item item;
    struct error e = ERROR_INIT, again;
    unsigned items = 0;
    while (pcapng_reader_next(r, &item, &e) == 0) {
        assert_int_not_equal(item.kind, PCAPNG_ITEM_END);
        items++;
    }
    assert_int_equal(e.code, code);
    if (!strstr(e.text, says))
        fail_msg("\"%s\" does not say \"%s\"", e.text, says);
    assert_int_equal(pcapng_reader_next(r, &item, &again), code);
    assert_string_equal(e.text, again.text);
    pcapng_reader_free(r);
    return items;
}

/* Section (28 bytes), interface (20) and a packet (36) at byte 48. */
static void begin(struct buffer *b)
{
    buffer_clear(b);
    build_section(b);
    build_interface(b, 1, 0, -1, 0);
    build_packet(b, 0, 1, "data", 4);
    assert_int_equal(b->len, 84);
}

static void damage_names_the_byte(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        int code;
        const char *says;
    } damage[] = {
        {0, 0x0b, ERROR_INVALID, "byte 0"}, /* no section header */
        {8, 0x4e, ERROR_INVALID, "byte-order magic at byte 8"},
        {12, 2, ERROR_VERSION, "version 2.0 at byte 12"},
        {52, 35, ERROR_INVALID, "length 35 at byte 52"},
        {52, 8, ERROR_INVALID, "length 8 at byte 52"},
        {55, 4, ERROR_LIMIT, "byte 52"},
        {80, 40, ERROR_INVALID, "byte 80"}, /* the length at the end */
        {56, 1, ERROR_INVALID, "interface 1"},
        {68, 5, ERROR_INVALID, "goes past the end of the block at byte 76"},
        {52, 48, ERROR_TRUNCATED, "ends at byte 84"},
    };
    struct buffer b = {0};
    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        begin(&b);
        b.data[damage[i].at] = damage[i].value;
        unsigned items = read_to_error(&b, damage[i].code, damage[i].says);
        assert_int_equal(items, damage[i].at < 28 ? 0 : 2);
    }
    buffer_free(&b);
}

static void every_cut_is_found(void **state)
{
    (void)state;
    struct buffer b = {0};
    begin(&b);
    for (b.len = 83; b.len > 0; b.len--) {
        char says[32];
        snprintf(says, sizeof(says), "at byte %zu", b.len);
        if (b.len != 48 && b.len != 28)
            assert_int_equal(read_to_error(&b, ERROR_TRUNCATED, says), (b.len > 28) + (b.len > 48));
    }
    assert_int_equal(read_to_error(&b, ERROR_TRUNCATED, "byte 0"), 0);
    buffer_free(&b);
}

static void an_option_past_its_block_is_refused(void **state)
{
    (void)state;
    struct buffer b = {0}, c = {0};
    build_section(&b);
    build_interface(&b, 1, 0, -1, 0);
    build_packet_begin(&c, 0, 1, "data", 4);
    build_put16(&c, 1);
    build_put16(&c, 5); /* 4 are there */
    build_put32(&c, 0x61616161);
    build_block(&b, PCAPNG_EPB, &c);
    assert_int_equal(read_to_error(&b, ERROR_INVALID, "option"), 2);
    buffer_free(&b);
    buffer_free(&c);
}

static void interfaces_of_another_section_are_not_known(void **state)
{
    (void)state;
    struct buffer b = {0};
    build_section(&b);
    build_interface(&b, 1, 0, -1, 0);
    build_section(&b);
    build_packet(&b, 0, 1, "data", 4);
    assert_int_equal(read_to_error(&b, ERROR_INVALID, "interface 0"), 3);
    buffer_free(&b);
}

static void an_error_of_the_source_is_passed_on(void **state)
{
    (void)state;
    struct buffer b = {0};
    struct pcapng_item item;
    struct error e;
    begin(&b);
    struct stream s = {.data = b.data, .len = 60, .piece = 1000, .error = ERROR_SYSTEM};
    struct pcapng_reader *r = source_reader(&s);
    source_next(r, &item, PCAPNG_ITEM_SECTION);
    source_next(r, &item, PCAPNG_ITEM_INTERFACE);
    assert_int_equal(pcapng_reader_next(r, &item, &e), ERROR_SYSTEM);
    assert_string_equal(e.text, "the disk is on fire");
    pcapng_reader_free(r);
    buffer_free(&b);
}

static void large_blocks_pass_the_window(void **state)
{
    (void)state;
    struct buffer b = {0};
    struct pcapng_item item;
    uint8_t *data = malloc(3000000);
    assert_non_null(data);
    memset(data, 0x5a, 3000000);
    build_section(&b);
    build_interface(&b, 1, 0, 9, 0);
    for (uint32_t len = 1; len < 3000000; len = len * 3 + 1)
        pcapng_write_packet(&b, &(struct pcapng_packet){.captured = len, .wire = len, .time_ns = len, .data = data});
    struct stream s = {.data = b.data, .len = b.len, .piece = 65536};
    struct pcapng_reader *r = source_reader(&s);
    source_next(r, &item, PCAPNG_ITEM_SECTION);
    source_next(r, &item, PCAPNG_ITEM_INTERFACE);
    for (uint32_t len = 1; len < 3000000; len = len * 3 + 1) {
        source_next(r, &item, PCAPNG_ITEM_PACKET);
        assert_int_equal(item.packet.captured, len);
        assert_int_equal(item.packet.time_ns, len);
        assert_memory_equal(item.packet.data, data, len);
    }
    source_next(r, &item, PCAPNG_ITEM_END);
    pcapng_reader_free(r);
    buffer_free(&b);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_names_the_byte),
        cmocka_unit_test(every_cut_is_found),
        cmocka_unit_test(an_option_past_its_block_is_refused),
        cmocka_unit_test(interfaces_of_another_section_are_not_known),
        cmocka_unit_test(an_error_of_the_source_is_passed_on),
        cmocka_unit_test(large_blocks_pass_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
