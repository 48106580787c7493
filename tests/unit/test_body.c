
#include "tests/unit/body_frame.h"
#include "tests/unit/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 5u

/* A body of two interfaces and five frames, the head that belongs to it, and what stands in each frame. */
struct sample {
    struct chunk_head head;
    struct head_interface interfaces[2];
    struct counters cumulative[2];
    struct buffer body;
    struct body_writer *writer;
    struct head_frame frames[FRAMES];
    struct buffer raw[FRAMES];
};

static struct frame_codec *codec;

static int setup(void **state)
{
    (void)state;
    codec = frame_codec_new();
    return codec ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    frame_codec_free(codec);
    return 0;
}

static void sample_head(struct sample *s)
{
    memset(s, 0, sizeof(*s));
    s->interfaces[0] = (struct head_interface){.name = TEXT("eth0"),
                                               .description = TEXT("uplink"),
                                               .link_type = 1,
                                               .snaplen = 96,
                                               .mac = {2, 0, 0, 0, 0, 1},
                                               .has_mac = 1};
    s->interfaces[1] =
        (struct head_interface){.name = TEXT("wg0"), .description = TEXT(""), .link_type = 101, .speed_bps = 1000};
    s->cumulative[0].value[COUNTER_RECEIVED] = 1000;
    s->head = (struct chunk_head){
        .kind = HEAD_CHUNK,
        .seal = SEAL_TIME,
        .epoch = {9, 8, 7},
        .seq = 3,
        .last_seq = 3,
        .agent = TEXT("web-1"),
        .capture = TEXT("monday"),
        .software = TEXT("fleetdump 0.1"),
        .filter = TEXT("tcp port 80"),
        .open_wall_ns = 1700000000000000000,
        .open_mono_ns = 55,
        .interfaces = s->interfaces,
        .interface_count = 2,
    };
}

/* Frame n has n + 1 packets of interface n % 2, its least time in the middle, and an event if n is 2. */
static void fill_frame(struct head_frame *f, struct buffer *raw, uint32_t n)
{
    uint8_t data[60];
    for (uint32_t i = 0; i <= n; i++) {
        memset(data, (int)(n * 16 + i), sizeof(data));
        uint64_t time_ns = UINT64_C(1700000000000000000) + n * 1000 + (i ^ 1);
        pcapng_write_packet(
            raw, &(struct pcapng_packet){
                     .interface = n % 2, .time_ns = time_ns, .captured = 40 + i, .wire = 1500, .data = data});
        f->first_ns = i == 0 || time_ns < f->first_ns ? time_ns : f->first_ns;
        f->last_ns = time_ns > f->last_ns ? time_ns : f->last_ns;
    }
    if (n == 2)
        pcapng_write_journal(raw, "__REALTIME_TIMESTAMP=1\nMESSAGE=event\n", 37);
    f->interface = n % 2;
    f->packets = n + 1;
    f->raw_length = (uint32_t)raw->len;
}

static void add_frame(struct sample *s, uint32_t n)
{
    struct error e = ERROR_INIT;
    struct buffer stored = {0};
    fill_frame(&s->frames[n], &s->raw[n], n);
    assert_int_equal(frame_compress(codec, 1, s->raw[n].data, s->raw[n].len, &stored, &e), 0);
    assert_int_equal(body_frame(s->writer, n, &s->frames[n], stored.data, stored.len, &s->body, &e), 0);
    buffer_free(&stored);
}

static void finish(struct sample *s)
{
    struct error e = ERROR_INIT;
    if (body_writer_finish(s->writer, s->cumulative, 1700000060000000000, &s->head, &s->body, &e))
        fail_msg("%s", e.text);
}

static void sample_new(struct sample *s, const uint32_t order[FRAMES])
{
    struct error e = ERROR_INIT;
    sample_head(s);
    assert_int_equal(body_writer_new(&s->head, &s->body, &s->writer, &e), 0);
    for (uint32_t i = 0; i < FRAMES; i++)
        add_frame(s, order[i]);
    finish(s);
}

static void sample_free(struct sample *s)
{
    body_writer_free(s->writer);
    buffer_free(&s->body);
    for (uint32_t i = 0; i < FRAMES; i++)
        buffer_free(&s->raw[i]);
}

static const uint32_t in_order[FRAMES] = {0, 1, 2, 3, 4};

static int read_memory(void *context, uint64_t offset, void *buf, size_t len, struct error *e)
{
    const struct buffer *b = context;
    if (offset > b->len || len > b->len - offset)
        return error_set(e, ERROR_TRUNCATED, "past the end");
    memcpy(buf, b->data + offset, len);
    return 0;
}

static struct body_source source_of(struct buffer *b)
{
    return (struct body_source){.read = read_memory, .context = b, .length = b->len};
}

static int verify(struct sample *s, struct error *e)
{
    struct body_source source = source_of(&s->body);
    *e = (struct error)ERROR_INIT;
    int r = body_verify(&source, &s->head, e);
    assert_int_equal(r, e->code);
    return r;
}

/* --- */

static void a_body_is_what_its_head_says(void **state)
{
    (void)state;
    struct sample s;
    struct error e;
    struct buffer raw = {0};
    sample_new(&s, in_order);
    if (verify(&s, &e))
        fail_msg("%s", e.text);
    assert_int_equal(s.head.body, BODY_ON_AGENT);
    assert_int_equal(s.head.frame_count, FRAMES);
    assert_int_equal(s.head.body_length, s.body.len);
    struct body_source source = source_of(&s.body);
    for (uint32_t i = 0; i < FRAMES; i++) {
        assert_int_equal(body_read_frame(&source, codec, &s.head.frames[i], &raw, &e), 0);
        assert_int_equal(raw.len, s.raw[i].len);
        assert_memory_equal(raw.data, s.raw[i].data, raw.len);
    }
    buffer_free(&raw);
    sample_free(&s);
}

static void the_head_survives_its_encoding(void **state)
{
    (void)state;
    struct sample s;
    struct chunk_head back;
    struct buffer out = {0};
    struct error e;
    sample_new(&s, in_order);
    assert_int_equal(head_encode(&s.head, &out, &e), 0);
    assert_int_equal(head_decode(out.data, out.len, &back, &e), 0);
    struct body_source source = source_of(&s.body);
    assert_int_equal(body_verify(&source, &back, &e), 0);
    head_free(&back);
    buffer_free(&out);
    sample_free(&s);
}

static void frames_come_in_any_order(void **state)
{
    (void)state;
    static const uint32_t order[FRAMES] = {3, 0, 4, 1, 2};
    struct sample s;
    struct error e;
    sample_new(&s, order);
    assert_int_equal(verify(&s, &e), 0);
    assert_true(s.head.frames[3].offset < s.head.frames[0].offset);
    assert_int_equal(s.head.frames[4].packets, 5);
    sample_free(&s);
}

static void numbers_come_once_and_without_holes(void **state)
{
    (void)state;
    struct sample s;
    struct error e;
    sample_head(&s);
    assert_int_equal(body_writer_new(&s.head, &s.body, &s.writer, &e), 0);
    add_frame(&s, 1);
    size_t len = s.body.len;
    assert_int_equal(body_frame(s.writer, 1, &s.frames[1], "some data", 9, &s.body, &e), ERROR_EXISTS);
    assert_int_equal(body_frame(s.writer, HEAD_FRAMES_MAX, &s.frames[1], "some data", 9, &s.body, &e), ERROR_LIMIT);
    struct head_frame foreign = {.interface = 2};
    assert_int_equal(body_frame(s.writer, 2, &foreign, "some data", 9, &s.body, &e), ERROR_INVALID);
    assert_int_equal(s.body.len, len);
    assert_int_equal(body_writer_finish(s.writer, s.cumulative, 0, &s.head, &s.body, &e), ERROR_INVALID);
    add_frame(&s, 0);
    finish(&s);
    assert_int_equal(verify(&s, &e), 0);
    sample_free(&s);
}

static void bodies_without_frames_or_interfaces(void **state)
{
    (void)state;
    for (uint32_t interfaces = 0; interfaces < 2; interfaces++) {
        struct sample s;
        struct error e, reason;
        struct chunk_head found;
        uint64_t end;
        sample_head(&s);
        s.head.interface_count = interfaces;
        assert_int_equal(body_writer_new(&s.head, &s.body, &s.writer, &e), 0);
        finish(&s);
        assert_int_equal(verify(&s, &e), 0);
        struct body_source source = source_of(&s.body);
        assert_int_equal(body_scan(&source, &found, &end, &reason, &e), 0);
        assert_int_equal(reason.code, 0);
        assert_int_equal(found.interface_count, interfaces);
        head_free(&found);
        sample_free(&s);
    }
}

/* Each interface block has the filter, unless there are too many of them. */
static void many_interfaces_with_long_names_and_filters_fit(void **state)
{
    (void)state;
    struct sample s;
    struct error e;
    static char name[HEAD_NAME_MAX + 1], filter[HEAD_FILTER_MAX + 1];
    memset(name, 'n', HEAD_NAME_MAX);
    memset(filter, 'f', HEAD_FILTER_MAX);
    struct head_interface *many = calloc(HEAD_INTERFACES_MAX, sizeof(*many));
    struct counters *cumulative = calloc(HEAD_INTERFACES_MAX, sizeof(*cumulative));
    assert_true(many && cumulative);
    for (uint32_t i = 0; i < HEAD_INTERFACES_MAX; i++) {
        many[i] =
            (struct head_interface){.name = name, .description = name, .has_mac = 1, .speed_bps = 1, .link_type = 1};
        memset(&cumulative[i], 0xff, sizeof(cumulative[i]));
    }
    sample_head(&s);
    s.head.agent = s.head.capture = s.head.software = name;
    s.head.filter = filter;
    s.head.interfaces = many;
    s.head.interface_count = HEAD_INTERFACES_MAX;
    assert_int_equal(body_writer_new(&s.head, &s.body, &s.writer, &e), 0);
    assert_int_equal(body_writer_finish(s.writer, cumulative, UINT64_MAX, &s.head, &s.body, &e), 0);
    assert_int_equal(verify(&s, &e), 0);
    sample_free(&s);
    free(many);
    free(cumulative);
}

static void a_body_may_stand_inside_a_file(void **state)
{
    (void)state;
    struct sample s;
    struct error e;
    sample_new(&s, in_order);
    char *folder = support_folder();
    uint8_t *pack = calloc(1, s.body.len + 2000);
    assert_non_null(pack);
    memcpy(pack + 777, s.body.data, s.body.len);
    support_write(folder, "pack", pack, s.body.len + 2000);
    struct body_file file = {.fd = open(support_path(folder, "pack"), O_RDONLY), .base = 777};
    struct body_source source = body_source_file(&file, s.body.len);
    assert_int_equal(body_verify(&source, &s.head, &e), 0);
    file.base++;
    assert_true(body_verify(&source, &s.head, &e) < 0);
    close(file.fd);
    free(pack);
    support_folder_remove(folder);
    sample_free(&s);
}

/* --- Damage --- */

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    struct sample s;
    struct error e;
    sample_new(&s, in_order);
    for (size_t bit = 0; bit < s.body.len * 8; bit++) {
        s.body.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (verify(&s, &e) >= 0)
            fail_msg("bit %zu of %zu is not checked", bit, s.body.len * 8);
        assert_true(strstr(e.text, "body") && strstr(e.text, "byte"));
        s.body.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(verify(&s, &e), 0);
    sample_free(&s);
}

static void the_damaged_frame_is_named(void **state)
{
    (void)state;
    struct sample s;
    struct error e;
    char says[64];
    sample_new(&s, in_order);
    for (uint32_t i = 0; i < FRAMES; i++) {
        const struct head_frame *f = &s.head.frames[i];
        s.body.data[f->offset + f->length / 2] ^= 0x55;
        assert_true(verify(&s, &e) < 0);
        snprintf(says, sizeof(says), "frame %u at byte %llu", i, (unsigned long long)f->offset);
        if (!strstr(e.text, says))
            fail_msg("\"%s\" does not say \"%s\"", e.text, says);
        s.body.data[f->offset + f->length / 2] ^= 0x55;
    }
    sample_free(&s);
}

static void another_chunks_head_is_found(void **state)
{
    (void)state;
    struct sample s;
    struct error e;
    sample_new(&s, in_order);
    s.head.seq++;
    assert_int_equal(verify(&s, &e), ERROR_CONFLICT);
    s.head.seq--;
    s.head.epoch[15] = 1;
    assert_int_equal(verify(&s, &e), ERROR_CONFLICT);
    s.head.epoch[15] = 0;
    s.interfaces[1].link_type = 1;
    assert_int_equal(verify(&s, &e), ERROR_CONFLICT);
    s.interfaces[1].link_type = 101;
    s.head.body_raw_length++;
    assert_int_equal(verify(&s, &e), ERROR_INVALID);
    s.head.body_raw_length--;
    s.head.body_hash++;
    assert_int_equal(verify(&s, &e), ERROR_CORRUPT);
    sample_free(&s);
}

static void a_frame_that_is_not_as_described_is_refused(void **state)
{
    (void)state;
    struct sample s;
    struct error e;
    struct buffer raw = {0};
    sample_new(&s, in_order);
    struct body_source source = source_of(&s.body);
    const struct head_frame good = s.head.frames[3];
    struct head_frame f[] = {good, good, good, good, good, good, good, good};
    f[0].interface = 0;
    f[1].packets++;
    f[2].first_ns++;
    f[3].last_ns++;
    f[4].raw_length--;
    f[5].length--;
    f[6].offset++;
    f[7].offset = UINT64_MAX - 1;
    for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++)
        assert_true(body_read_frame(&source, codec, &f[i], &raw, &e) < 0);
    assert_int_equal(body_read_frame(&source, codec, &good, &raw, &e), 0);
    buffer_free(&raw);
    sample_free(&s);
}

/* --- Scanning --- */

/* Frames in `order` that end at or before byte `len`. */
static uint32_t frames_before(const struct sample *s, uint64_t len)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < FRAMES; i++)
        n += s->head.frames[i].offset + s->head.frames[i].length <= len;
    return n;
}

static void check_scan(struct sample *s, const uint32_t *order, size_t len)
{
    struct body_source source = source_of(&s->body);
    struct chunk_head h;
    struct error e = ERROR_INIT, reason = ERROR_INIT;
    uint64_t end = 0;
    source.length = len;
    uint64_t lead = 8 + (uint64_t)s->body.data[4];
    int r = body_scan(&source, &h, &end, &reason, &e);
    if (len < lead) {
        assert_int_equal(r, ERROR_TRUNCATED);
        return;
    }
    if (r)
        fail_msg("cut at %zu: %s", len, e.text);
    assert_int_equal(reason.code, len == s->body.len ? 0 : ERROR_TRUNCATED);
    assert_string_equal(h.agent, "web-1");
    assert_string_equal(h.capture, "monday");
    assert_string_equal(h.filter, "tcp port 80");
    assert_memory_equal(h.epoch, s->head.epoch, EPOCH_SIZE);
    assert_int_equal(h.seq, 3);
    assert_int_equal(h.open_mono_ns, 55);
    uint32_t n = frames_before(s, len);
    assert_int_equal(h.frame_count, n);
    for (uint32_t i = 0; i < n; i++)
        assert_memory_equal(&h.frames[i], &s->head.frames[order[i]], sizeof(h.frames[i]));
    if (n) {
        assert_int_equal(end, h.frames[n - 1].offset + h.frames[n - 1].length);
        assert_string_equal(h.interfaces[0].name, "eth0");
        assert_string_equal(h.interfaces[0].description, "uplink");
        assert_string_equal(h.interfaces[1].description, "");
        assert_int_equal(h.interfaces[1].speed_bps, 1000);
        assert_memory_equal(h.interfaces[0].mac, s->interfaces[0].mac, 6);
    }
    head_free(&h);
}

static void every_cut_leaves_the_frames_before_it(void **state)
{
    (void)state;
    static const uint32_t order[FRAMES] = {3, 0, 4, 1, 2};
    struct sample s;
    struct error e;
    sample_new(&s, order);
    for (size_t len = 0; len <= s.body.len; len++)
        check_scan(&s, order, len);
    struct body_source source = source_of(&s.body);
    for (source.length = 0; source.length < s.body.len; source.length++)
        assert_int_equal(body_verify(&source, &s.head, &e), ERROR_TRUNCATED);
    sample_free(&s);
}

/* After a power cut a file may end in zeros. */
static void zeros_at_the_end_are_no_frames(void **state)
{
    (void)state;
    struct sample s;
    struct error e, reason;
    struct chunk_head h;
    uint64_t end;
    sample_new(&s, in_order);
    uint64_t at = s.head.frames[2].offset;
    memset(s.body.data + at, 0, s.body.len - at);
    struct body_source source = source_of(&s.body);
    assert_int_equal(body_scan(&source, &h, &end, &reason, &e), 0);
    assert_int_equal(h.frame_count, 2);
    assert_int_equal(end, at);
    assert_int_equal(reason.code, ERROR_INVALID);
    head_free(&h);
    sample_free(&s);
}

/* What recovery does: the frames found, in a new body. */
static void found_frames_make_a_new_body(void **state)
{
    (void)state;
    struct sample s;
    struct error e, reason;
    struct chunk_head h, *found = &h;
    struct body_writer *w;
    struct buffer again = {0};
    uint64_t end;
    sample_new(&s, in_order);
    struct body_source cut = source_of(&s.body);
    cut.length = s.head.frames[3].offset + 5;
    assert_int_equal(body_scan(&cut, found, &end, &reason, &e), 0);
    assert_int_equal(found->frame_count, 3);
    assert_int_equal(body_writer_new(found, &again, &w, &e), 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct head_frame f = found->frames[i];
        assert_int_equal(body_frame(w, i, &f, s.body.data + f.offset, f.length, &again, &e), 0);
    }
    assert_int_equal(body_writer_finish(w, s.cumulative, 1, found, &again, &e), 0);
    struct body_source source = source_of(&again);
    if (body_verify(&source, found, &e))
        fail_msg("%s", e.text);
    body_writer_free(w);
    head_free(found);
    buffer_free(&again);
    sample_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_what_its_head_says),
        cmocka_unit_test(the_head_survives_its_encoding),
        cmocka_unit_test(frames_come_in_any_order),
        cmocka_unit_test(numbers_come_once_and_without_holes),
        cmocka_unit_test(bodies_without_frames_or_interfaces),
        cmocka_unit_test(many_interfaces_with_long_names_and_filters_fit),
        cmocka_unit_test(a_body_may_stand_inside_a_file),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(the_damaged_frame_is_named),
        cmocka_unit_test(another_chunks_head_is_found),
        cmocka_unit_test(a_frame_that_is_not_as_described_is_refused),
        cmocka_unit_test(every_cut_leaves_the_frames_before_it),
        cmocka_unit_test(zeros_at_the_end_are_no_frames),
        cmocka_unit_test(found_frames_make_a_new_body),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
