/*
 * Capture files becoming a stream: names of interfaces, times, and what a file says it lacks.
 */
#include "tests/unit/support.h"

#include "agent/capture/file.h"
#include "agent/capture/input.h"
#include "agent/intake.h"
#include "common/base/fs.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- files made by hand */

static void option(struct buffer *b, uint16_t code, const void *value, uint16_t len)
{
    buffer_le16(b, code);
    buffer_le16(b, len);
    buffer_append(b, value, len);
    buffer_zero(b, -(size_t)len & 3);
}

static void block(struct buffer *out, uint32_t type, struct buffer *content)
{
    uint32_t total = (uint32_t)content->len + 12;
    buffer_le32(out, type);
    buffer_le32(out, total);
    buffer_append(out, content->data, content->len);
    buffer_le32(out, total);
    buffer_free(content);
}

static void section(struct buffer *out)
{
    pcapng_write_section(out, NULL, NULL, NULL, NULL);
}

/* `resolution` as in if_tsresol; name may hold anything. */
static void interface(struct buffer *out, const char *name, uint16_t name_len, uint8_t resolution)
{
    struct buffer c = {0};
    buffer_le16(&c, 1);
    buffer_le16(&c, 0);
    buffer_le32(&c, 0);
    option(&c, 2, name, name_len);
    option(&c, 9, &resolution, 1);
    block(out, PCAPNG_IDB, &c);
}

static void packet(struct buffer *out, uint32_t interface, uint64_t time, uint64_t dropcount)
{
    static const uint8_t data[60];
    pcapng_write_packet(out, &(struct pcapng_packet){.interface = interface,
                                                     .time_ns = time,
                                                     .captured = sizeof data,
                                                     .wire = sizeof data,
                                                     .data = data,
                                                     .dropcount = dropcount});
}

static void simple_packet(struct buffer *out)
{
    struct buffer c = {0};
    buffer_le32(&c, 60);
    buffer_zero(&c, 60);
    block(out, PCAPNG_SPB, &c);
}

static void statistics(struct buffer *out, uint32_t interface, uint64_t dropped, uint64_t os_dropped)
{
    struct counters c = {.value = {[COUNTER_INTERFACE_DROPS] = dropped, [COUNTER_KERNEL_DROPS] = os_dropped}};
    pcapng_write_statistics(out, interface, 1, 0, 0, &c, NULL);
}

/* ---------------------------------------------------------------- a pipe */

static atomic_bool stop;

static void *stop_soon(void *gate)
{
    char c;
    atomic_store(&stop, read(*(int *)gate, &c, 1) == 1);
    return NULL;
}

/* Who reads from one that is silent need not wait for it. */
static void a_silent_pipe_can_be_left(void **state)
{
    (void)state;
    static const char magics[] = "\xd4\xc3\xb2\xa1";
    struct error e = ERROR_INIT;
    struct input *in = NULL;
    pthread_t thread;
    int ends[2], gate[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(write(ends[1], magics, 4), 4);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &gate[0]), 0);
    assert_int_equal(write(gate[1], "", 1), 1);
    assert_int_equal(input_open_fd(ends[0], "pipe", &stop, &in, &e), ERROR_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(ends[1]);
    close(gate[0]);
    close(gate[1]);
}

/* ---------------------------------------------------------------- what a file gives */

static struct source *open_file(const char *folder, struct buffer *content)
{
    struct source *s;
    struct error e = ERROR_INIT;
    support_write(folder, "a.pcapng", content->data, content->len);
    buffer_free(content);
    if (capture_file_open(support_path(folder, "a.pcapng"), NULL, &s, &e))
        fail_msg("%s", e.text);
    return s;
}

static void next(struct source *s, enum source_item_kind kind, struct source_item *item)
{
    struct error e = ERROR_INIT;
    if (source_next(s, item, &e))
        fail_msg("%s", e.text);
    assert_int_equal(item->kind, kind);
}

static void next_packet(struct source *s, uint64_t time_ns, bool limited)
{
    struct source_item item;
    next(s, SOURCE_PACKET, &item);
    assert_true(item.packet.time_ns == time_ns);
    assert_int_equal(item.time_limited, limited);
    assert_int_equal(item.packet.captured, 60);
}

static void next_loss(struct source *s, uint32_t interface, uint64_t kernel_drops, uint64_t interface_drops)
{
    struct source_item item;
    next(s, SOURCE_LOSS, &item);
    assert_int_equal(item.interface, interface);
    assert_int_equal(item.kernel_drops, kernel_drops);
    assert_int_equal(item.interface_drops, interface_drops);
}

static void ends(struct source *s, char *folder)
{
    struct source_item item;
    next(s, SOURCE_END, &item);
    source_close(s);
    support_folder_remove(folder);
}

static void packets_without_a_time_come_at_that_of_the_one_before(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct buffer b = {0};
    struct source_item item;
    section(&b);
    interface(&b, "eth0", 4, 9);
    simple_packet(&b);
    packet(&b, 0, 77, 0);
    simple_packet(&b);
    struct source *s = open_file(folder, &b);
    next(s, SOURCE_INTERFACE, &item);
    next_packet(s, 0, false);
    next_packet(s, 77, false);
    next_packet(s, 77, false);
    ends(s, folder);
}

static void times_that_do_not_fit_are_told(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct buffer b = {0};
    struct source_item item;
    section(&b);
    interface(&b, "eth0", 4, 6);
    packet(&b, 0, UINT64_MAX, 0);
    packet(&b, 0, 5, 0);
    struct source *s = open_file(folder, &b);
    next(s, SOURCE_INTERFACE, &item);
    next_packet(s, UINT64_MAX, true);
    next_packet(s, 5000, false);
    ends(s, folder);
}

/* Packets say what was lost before them; statistics say totals, of which those are part. */
static void every_loss_is_told_once(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct buffer b = {0};
    struct source_item item;
    section(&b);
    interface(&b, "eth0", 4, 9);
    interface(&b, "eth1", 4, 9);
    packet(&b, 1, 1, 0);
    packet(&b, 1, 2, 5);
    statistics(&b, 1, 2, 3);  /* known */
    statistics(&b, 1, 4, 10); /* 9 more, of which 7 or more are the system's */
    statistics(&b, 1, 4, 10);
    statistics(&b, 0, 3, 0);
    struct source *s = open_file(folder, &b);
    next(s, SOURCE_INTERFACE, &item);
    next(s, SOURCE_INTERFACE, &item);
    next_packet(s, 1, false);
    next_loss(s, 1, 0, 5);
    next_packet(s, 2, false);
    next_loss(s, 1, 9, 0);
    next_loss(s, 0, 0, 3);
    ends(s, folder);
}

/* Content of packet n of the file below. */
static uint8_t byte_of(unsigned n, uint32_t at)
{
    return (uint8_t)(n * 31 + at);
}

static void numbered_packet(struct buffer *out, unsigned n)
{
    uint8_t data[1600];
    uint32_t len = 60 + n % 1500;
    for (uint32_t i = 0; i < len; i++)
        data[i] = byte_of(n, i);
    pcapng_write_packet(out, &(struct pcapng_packet){.time_ns = n,
                                                     .captured = len,
                                                     .wire = len,
                                                     .data = data,
                                                     .dropcount = n % 211 == 0,
                                                     .comment = n % 97 ? NULL : "one that is remarkable"});
}

static void assert_is_still(unsigned n, const uint8_t *data)
{
    bool same = true;
    for (uint32_t i = 0; i < 60 + n % 1500; i++)
        same = same && data[i] == byte_of(n, i);
    assert_true(same);
}

/* Of packets that stay the bytes are good after the next call, whatever that gives: many times what a reader holds in memory, with
 * blocks between that are passed over or tell something else. */
static void packets_that_stay_can_be_worked_on_together(void **state)
{
    (void)state;
    enum { PACKETS = 3000 };
    const uint8_t *kept[PACKETS];
    char *folder = support_folder();
    struct buffer b = {0};
    struct source_item item;
    section(&b);
    interface(&b, "eth0", 4, 9);
    for (unsigned n = 0; n < PACKETS; n++) {
        numbered_packet(&b, n);
        if (n % 50 == 0)
            pcapng_write_journal(&b, "MESSAGE=hello\n", 14);
        if (n % 301 == 0)
            statistics(&b, 0, n, n);
    }
    struct source *s = open_file(folder, &b);
    next(s, SOURCE_INTERFACE, &item);
    unsigned given = 0, first = 0,
             most = 0; /* those from `first` on stay, and are looked at when something else came */
    do {
        struct error e = ERROR_INIT;
        assert_int_equal(source_next(s, &item, &e), 0);
        if (item.kind == SOURCE_PACKET)
            kept[given++] = item.packet.data;
        most = given - first > most ? given - first : most;
        for (; (item.kind != SOURCE_PACKET || !item.stays) && first < given; first++)
            assert_is_still(first, kept[first]);
    } while (item.kind != SOURCE_END);
    assert_int_equal(given, PACKETS);
    assert_true(most > CHUNK_PACKETS);
    source_close(s);
    support_folder_remove(folder);
}

static void a_file_names_what_has_no_name(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
    } names[] = {
        {"/tmp/monday.pcapng.gz", "monday"},
        {"a.PCAP", "a"},
        {"-", "stdin"},
        {"x/y.b.cap.zst", "y.b"},
        {".pcap", ".pcap"},
        {"new\nline.pcap", "new?line"},
        {"caf\xc3\xa9.pcap", "caf\xc3\xa9"},
        {"caf\xe9", "caf?"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char buf[64];
        assert_string_equal(capture_file_name(names[i].path, buf, sizeof buf), names[i].name);
    }
}

/* ---------------------------------------------------------------- what becomes of it */

static const atomic_bool never;

/* Reads the file into folder/out and returns the head of the last chunk. */
static char *take_in(const char *folder, struct buffer *content, struct chunk_head *h)
{
    struct error e = ERROR_INIT;
    struct sink *sink;
    struct chunk_builder *builder = NULL;
    struct intake *in = NULL;
    bool stream_failed;
    struct chunk_builder_options o = {
        .agent = "web-1", .capture = "monday", .software = "fleetdump", .keep_packets = true, .level = 1};
    support_write(folder, "a.pcapng", content->data, content->len);
    buffer_free(content);
    if (sink_folder(support_path(folder, "out"), &sink, &e) || chunk_builder_new(&o, sink, &builder, &e) ||
        intake_new(builder, &never, NULL, NULL, &in, &e) ||
        intake_file(in, support_path(folder, "a.pcapng"), &stream_failed, &e) || chunk_builder_finish(builder, &e))
        fail_msg("%s", e.text);
    intake_free(in);
    chunk_builder_free(builder);
    sink_close(sink);
    char *data;
    size_t len;
    if (fs_read_file(AT_FDCWD, support_path(folder, "out/0000000000000000.head"), HEAD_BYTES_MAX, &data, &len, &e) ||
        head_decode(data, len, h, &e))
        fail_msg("%s", e.text);
    return data;
}

static void names_are_clean_and_unique(void **state)
{
    (void)state;
    static const char *const expected[] = {"eth0", "eth0#2", "silly!??name", "a", "eth0#3"};
    char *folder = support_folder();
    struct buffer b = {0};
    struct chunk_head h;
    section(&b);
    interface(&b, "eth0", 4, 9);
    interface(&b, "eth0\0", 5, 9); /* some writers count the zero */
    interface(&b, "silly!\r\nname", 12, 9);
    interface(&b, "", 0, 9);
    interface(&b, "eth0\0behind", 11, 6);
    packet(&b, 4, 1, 0);
    char *data = take_in(folder, &b, &h);
    assert_int_equal(h.interface_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(h.interfaces[i].name, expected[i]);
    head_free(&h);
    free(data);
    support_folder_remove(folder);
}

/* In a later section an interface may be one that was there before, each once. */
static void interfaces_of_later_sections_are_the_same_again(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct buffer b = {0};
    struct chunk_head h;
    section(&b);
    interface(&b, "eth0", 4, 9);
    interface(&b, "eth1", 4, 9);
    section(&b);
    interface(&b, "eth1", 4, 9);
    interface(&b, "eth1", 4, 9);
    packet(&b, 0, 1, 0);
    packet(&b, 1, 2, 0);
    packet(&b, 1, 3, 0);
    char *data = take_in(folder, &b, &h);
    assert_int_equal(h.interface_count, 3);
    assert_string_equal(h.interfaces[2].name, "eth1#2");
    assert_int_equal(h.interfaces[1].counters.value[COUNTER_STORED], 1);
    assert_int_equal(h.interfaces[2].counters.value[COUNTER_STORED], 2);
    head_free(&h);
    free(data);
    support_folder_remove(folder);
}

static void losses_and_times_are_counted(void **state)
{
    (void)state;
    char *folder = support_folder();
    struct buffer b = {0};
    struct chunk_head h;
    section(&b);
    interface(&b, "eth0", 4, 6);
    packet(&b, 0, 1, 4);
    packet(&b, 0, UINT64_MAX, 0);
    statistics(&b, 0, 1, 20);
    char *data = take_in(folder, &b, &h);
    head_free(&h);
    free(data);
    size_t len;
    struct error e = ERROR_INIT;
    uint64_t limited = 0;
    struct counters all = {0};
    for (unsigned seq = 0;; seq++) {
        char name[64];
        snprintf(name, sizeof name, "out/%016x.head", seq);
        assert_int_equal(fs_read_file(AT_FDCWD, support_path(folder, name), HEAD_BYTES_MAX, &data, &len, &e), 0);
        assert_int_equal(head_decode(data, len, &h, &e), 0);
        bool end = h.kind == HEAD_END;
        if (end)
            assert_memory_equal(&h.totals, &all, sizeof all);
        counters_add(&all, &h.totals);
        limited += !end && h.last_ns == UINT64_MAX ? h.totals.value[COUNTER_TIME_LIMITED] : 0;
        head_free(&h);
        free(data);
        if (end)
            break;
    }
    assert_int_equal(limited, 1); /* in the chunk that holds the packet */
    assert_int_equal(all.value[COUNTER_TIME_LIMITED], 2);
    assert_int_equal(all.value[COUNTER_INTERFACE_DROPS], 2 * 4);
    assert_int_equal(all.value[COUNTER_KERNEL_DROPS], 2 * 17);
    assert_int_equal(all.value[COUNTER_KEPT], 2 * 2);
    assert_int_equal(all.value[COUNTER_RECEIVED], 2 * (2 + 17));
    support_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_pipe_can_be_left),
        cmocka_unit_test(packets_without_a_time_come_at_that_of_the_one_before),
        cmocka_unit_test(times_that_do_not_fit_are_told),
        cmocka_unit_test(every_loss_is_told_once),
        cmocka_unit_test(packets_that_stay_can_be_worked_on_together),
        cmocka_unit_test(a_file_names_what_has_no_name),
        cmocka_unit_test(names_are_clean_and_unique),
        cmocka_unit_test(interfaces_of_later_sections_are_the_same_again),
        cmocka_unit_test(losses_and_times_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
