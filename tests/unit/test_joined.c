/* Files of the collector, one after the other, as one file that goes on. */
#include "collector/cli/blocks.h"
#include "collector/cli/joined.h"
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET 1
#define COOKED   276

/* What was written, read again. */
struct written {
    struct buffer bytes;
    struct blocks *blocks;
    unsigned sections, interfaces, packets;
    char names[16][32];
    uint32_t snaplen[16];
    uint64_t times[64];
    uint32_t interface_of[64], flags[64];
};

static int take_item(void *context, const struct pcapng_item *item, struct error *e)
{
    struct written *w = context;
    (void)e;
    if (item->kind == PCAPNG_ITEM_SECTION)
        w->sections++;
    if (item->kind == PCAPNG_ITEM_INTERFACE) {
        snprintf(w->names[w->interfaces], sizeof w->names[0], "%s", item->interface_info.name);
        w->snaplen[w->interfaces++] = item->interface_info.snaplen;
    }
    if (item->kind == PCAPNG_ITEM_PACKET) {
        w->times[w->packets] = item->packet.time_ns;
        w->flags[w->packets] = item->packet.flags;
        w->interface_of[w->packets++] = item->packet.interface;
    }
    return 0;
}

static int write_bytes(void *context, const void *data, size_t len, struct error *e)
{
    struct written *w = context;
    return blocks_feed(w->blocks, data, len, e);
}

static struct joined *open_all(struct written *w)
{
    struct joined *j = NULL;
    *w = (struct written){0};
    assert_int_equal(blocks_new(take_item, w, &w->blocks, NULL), 0);
    assert_int_equal(joined_new("a comment", write_bytes, w, &j, NULL), 0);
    assert_int_equal(w->sections, 1); /* readers of a pipe wait for it */
    return j;
}

static void close_all(struct written *w, struct joined *j)
{
    joined_free(j);
    blocks_free(w->blocks);
}

static void begin_file(struct buffer *b)
{
    buffer_clear(b);
    pcapng_write_section(b, NULL, "Linux", "test", NULL);
}

static void add_interface(struct buffer *b, const char *name, uint16_t link_type, uint32_t snaplen)
{
    const struct pcapng_interface i = {.name = name, .description = "web", .link_type = link_type, .snaplen = snaplen};
    pcapng_write_interface(b, &i);
}

static void add_packet(struct buffer *b, uint32_t interface, uint64_t time_ns, const char *data)
{
    uint32_t len = (uint32_t)strlen(data);
    const struct pcapng_packet p = {.interface = interface,
                                    .time_ns = time_ns,
                                    .captured = len,
                                    .wire = len,
                                    .data = (const uint8_t *)data,
                                    .flags = PCAPNG_DIRECTION_OUT};
    pcapng_write_packet(b, &p);
}

static void feed(struct joined *j, const struct buffer *b, size_t piece)
{
    for (size_t at = 0; at < b->len; at += piece)
        assert_int_equal(joined_feed(j, b->data + at, b->len - at < piece ? b->len - at : piece, NULL), 0);
    assert_int_equal(joined_next(j, NULL), 0);
}

static void each_interface_is_described_once(void **state)
{
    (void)state;
    struct written w;
    struct joined *j = open_all(&w);
    struct buffer file = {0};
    begin_file(&file);
    add_interface(&file, "web-1/eth0", ETHERNET, 96);
    add_interface(&file, "idle/eth0", ETHERNET, 96);
    add_packet(&file, 0, 100, "one");
    feed(j, &file, file.len);
    begin_file(&file);
    add_interface(&file, "web-2/eth0", ETHERNET, 262144);
    add_interface(&file, "web-1/eth0", ETHERNET, 262144);
    add_packet(&file, 1, 200, "two");
    add_packet(&file, 0, 150, "three");
    feed(j, &file, file.len);
    assert_int_equal(w.sections, 1);
    assert_int_equal(w.interfaces, 2); /* the idle one has no packets */
    assert_string_equal(w.names[0], "web-1/eth0");
    assert_string_equal(w.names[1], "web-2/eth0");
    assert_int_equal(w.snaplen[0], w.snaplen[1]); /* tcpdump wants one */
    assert_int_equal(w.packets, 3);
    assert_int_equal(w.interface_of[1], 0);
    assert_int_equal(w.interface_of[2], 1);
    assert_int_equal(w.times[2], 150);
    assert_int_equal(w.flags[2], PCAPNG_DIRECTION_OUT);
    assert_int_equal(joined_packets(j), 3);
    assert_int_equal(joined_bytes(j), 11);
    buffer_free(&file);
    close_all(&w, j);
}

static void pieces_may_be_cut_anywhere(void **state)
{
    (void)state;
    struct buffer file = {0};
    begin_file(&file);
    add_interface(&file, "web-1/eth0", ETHERNET, 96);
    add_packet(&file, 0, 100, "one");
    add_packet(&file, 0, 200, "two");
    for (size_t piece = 1; piece < file.len; piece++) {
        struct written w;
        struct joined *j = open_all(&w);
        feed(j, &file, piece);
        assert_int_equal(w.packets, 2);
        close_all(&w, j);
    }
    buffer_free(&file);
}

/* Captures that overlap on an interface bring their copies in different answers. */
static void copies_of_a_packet_come_once(void **state)
{
    (void)state;
    struct written w;
    struct joined *j = open_all(&w);
    struct buffer file = {0};
    begin_file(&file);
    add_interface(&file, "web-1/eth0", ETHERNET, 96);
    add_packet(&file, 0, 100, "one");
    add_packet(&file, 0, 100, "one"); /* twice on the wire, in one nanosecond */
    add_packet(&file, 0, 200, "two");
    feed(j, &file, file.len);
    feed(j, &file, file.len);
    assert_int_equal(w.packets, 3);
    add_packet(&file, 0, 100, "one"); /* and a third time */
    add_packet(&file, 0, 201, "two");
    feed(j, &file, file.len);
    assert_int_equal(w.packets, 5);
    begin_file(&file);
    add_interface(&file, "web-2/eth0", ETHERNET, 96);
    add_packet(&file, 0, 100, "one"); /* at another place */
    add_packet(&file, 0, 200, "six");
    feed(j, &file, file.len);
    assert_int_equal(w.packets, 7);
    buffer_free(&file);
    close_all(&w, j);
}

static void another_link_type_is_refused(void **state)
{
    (void)state;
    struct written w;
    struct joined *j = open_all(&w);
    struct buffer file = {0};
    struct error e = ERROR_INIT;
    begin_file(&file);
    add_interface(&file, "web-1/eth0", ETHERNET, 96);
    add_packet(&file, 0, 100, "one");
    feed(j, &file, file.len);
    begin_file(&file);
    add_interface(&file, "web-2/any", COOKED, 96);
    add_packet(&file, 0, 200, "two");
    assert_int_equal(joined_feed(j, file.data, file.len, &e), ERROR_USAGE);
    assert_non_null(strstr(e.text, "web-2/any"));
    assert_non_null(strstr(e.text, "--link-type"));
    buffer_free(&file);
    close_all(&w, j);
}

static void what_is_damaged_is_refused(void **state)
{
    (void)state;
    struct written w;
    struct buffer file = {0};
    struct error e = ERROR_INIT;
    struct joined *j = open_all(&w);
    begin_file(&file);
    add_interface(&file, "web-1/eth0", ETHERNET, 96);
    add_packet(&file, 7, 100, "one");
    assert_true(joined_feed(j, file.data, file.len, &e) < 0);
    close_all(&w, j);
    j = open_all(&w);
    assert_int_equal(joined_feed(j, file.data, file.len - 3, NULL), 0);
    assert_int_equal(joined_next(j, &e), ERROR_TRUNCATED);
    close_all(&w, j);
    j = open_all(&w);
    assert_int_equal(joined_feed(j, "\x0a\x0d\x0d\x0a\x00\x00\x00\xff", 8, &e), ERROR_INVALID);
    close_all(&w, j);
    buffer_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_interface_is_described_once), cmocka_unit_test(pieces_may_be_cut_anywhere),
        cmocka_unit_test(copies_of_a_packet_come_once),     cmocka_unit_test(another_link_type_is_refused),
        cmocka_unit_test(what_is_damaged_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
