#include "common/base/hash.h"
#include "common/chunk/head.h"
#include "common/rows/block.h"
#include "common/rows/flow_row.h"

#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Heads have char *, since decoded ones own their texts. */

/* A head that uses everything; its rows are in `rows`. */
struct sample {
    struct chunk_head head;
    struct head_interface interfaces[2];
    struct head_frame frames[3];
    struct buffer rows;
};

static void sample_fill(struct sample *s)
{
    memset(s, 0, sizeof(*s));
    struct flow_row rows[2] = {0};
    struct error e;
    assert_int_equal(block_encode(&table_flow, rows, 2, &s->rows, &e), 0);
    s->interfaces[0] = (struct head_interface){.name = TEXT("eth0"),
                                               .description = TEXT("uplink"),
                                               .link_type = 1,
                                               .snaplen = 262144,
                                               .mac = {2, 0, 0, 0, 0, 1},
                                               .has_mac = 1,
                                               .speed_bps = 10000000000,
                                               .counters.value = {[COUNTER_RECEIVED] = 10, [COUNTER_KERNEL_DROPS] = 3}};
    s->interfaces[1] =
        (struct head_interface){.name = TEXT("wg0"), .description = TEXT(""), .link_type = 101, .snaplen = 96};
    s->frames[0] = (struct head_frame){.interface = 0,
                                       .offset = 500,
                                       .length = 1000,
                                       .raw_length = 4000,
                                       .packets = 7,
                                       .first_ns = 1700000000000000001,
                                       .last_ns = 1700000000000000009};
    s->frames[1] = (struct head_frame){.interface = 1,
                                       .offset = 2000,
                                       .length = 77,
                                       .raw_length = 80,
                                       .packets = 1,
                                       .first_ns = 1600000000000000000,
                                       .last_ns = 1600000000000000000};
    s->frames[2] = (struct head_frame){.interface = 0,
                                       .offset = 1500,
                                       .length = 500,
                                       .raw_length = 900,
                                       .packets = 0,
                                       .first_ns = UINT64_MAX,
                                       .last_ns = 0};
    struct chunk_head *h = &s->head;
    *h = (struct chunk_head){
        .kind = HEAD_CHUNK,
        .seal = SEAL_TIME,
        .body = BODY_ON_AGENT,
        .epoch = {1, 2, 3, 255},
        .seq = 41,
        .last_seq = 41,
        .agent = TEXT("web-1"),
        .capture = TEXT("monday"),
        .software = TEXT("fleetdump 0.1"),
        .filter = TEXT("tcp port 80"),
        .snaplen = 262144,
        .open_wall_ns = 1700000000000000000,
        .open_mono_ns = 5,
        .seal_wall_ns = 1700000060000000000,
        .seal_mono_ns = 60000000005,
        .first_ns = 1600000000000000000,
        .last_ns = 1700000000000000009,
        .interfaces = s->interfaces,
        .interface_count = 2,
        .body_length = 3000,
        .body_raw_length = 6000,
        .body_hash = 0x0123456789abcdef,
        .frames = s->frames,
        .frame_count = 3,
        .flows = s->rows.data,
        .flows_length = s->rows.len,
        .flow_rows = 2,
        .totals.value = {[COUNTER_RECEIVED] = 10, [COUNTER_KEPT_BYTES] = UINT64_MAX, [COUNTER_OVERFLOWED] = 1},
    };
}

static void encode(const struct chunk_head *h, struct buffer *out)
{
    struct error e = ERROR_INIT;
    if (head_encode(h, out, &e))
        fail_msg("%s", e.text);
}

static void check_same(const struct chunk_head *a, const struct chunk_head *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->seal, b->seal);
    assert_int_equal(a->gap, b->gap);
    assert_int_equal(a->body, b->body);
    assert_memory_equal(a->epoch, b->epoch, EPOCH_SIZE);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->last_seq, b->last_seq);
    assert_string_equal(a->agent, b->agent);
    assert_string_equal(a->capture, b->capture);
    assert_string_equal(a->software, b->software);
    assert_string_equal(a->filter, b->filter);
    assert_int_equal(a->snaplen, b->snaplen);
    assert_int_equal(a->open_wall_ns, b->open_wall_ns);
    assert_int_equal(a->open_mono_ns, b->open_mono_ns);
    assert_int_equal(a->seal_wall_ns, b->seal_wall_ns);
    assert_int_equal(a->seal_mono_ns, b->seal_mono_ns);
    assert_int_equal(a->first_ns, b->first_ns);
    assert_int_equal(a->last_ns, b->last_ns);
    assert_int_equal(a->body_length, b->body_length);
    assert_int_equal(a->body_raw_length, b->body_raw_length);
    assert_int_equal(a->body_hash, b->body_hash);
    assert_int_equal(a->flow_rows, b->flow_rows);
    assert_memory_equal(&a->totals, &b->totals, sizeof(a->totals));
    assert_int_equal(a->flows_length, b->flows_length);
    if (a->flows)
        assert_memory_equal(a->flows, b->flows, a->flows_length);
    assert_int_equal(a->interface_count, b->interface_count);
    assert_int_equal(a->frame_count, b->frame_count);
}

static void check_same_interface(const struct head_interface *a, const struct head_interface *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->description, b->description);
    assert_int_equal(a->link_type, b->link_type);
    assert_int_equal(a->snaplen, b->snaplen);
    assert_int_equal(a->has_mac, b->has_mac);
    assert_memory_equal(a->mac, b->mac, sizeof(a->mac));
    assert_int_equal(a->speed_bps, b->speed_bps);
    assert_memory_equal(&a->counters, &b->counters, sizeof(a->counters));
}

static void a_chunk_comes_back_whole(void **state)
{
    (void)state;
    struct sample s;
    struct buffer out = {0};
    struct chunk_head back;
    struct error e;
    sample_fill(&s);
    encode(&s.head, &out);
    assert_int_equal(head_decode(out.data, out.len, &back, &e), 0);
    check_same(&s.head, &back);
    for (uint32_t i = 0; i < 2; i++)
        check_same_interface(&s.interfaces[i], &back.interfaces[i]);
    for (uint32_t i = 0; i < 3; i++)
        assert_memory_equal(&s.frames[i], &back.frames[i], sizeof(s.frames[i]));
    assert_true(back.flows > out.data && back.flows < out.data + out.len); /* not copied */
    head_free(&back);
    buffer_free(&out);
    buffer_free(&s.rows);
}

static void a_gap_and_an_end_come_back_whole(void **state)
{
    (void)state;
    struct chunk_head gap = {.kind = HEAD_GAP,
                             .gap = GAP_QUOTA,
                             .seq = 7,
                             .last_seq = 19,
                             .agent = TEXT("a"),
                             .capture = TEXT("c"),
                             .software = TEXT("s"),
                             .filter = TEXT(""),
                             .first_ns = UINT64_MAX,
                             .totals.value = {[COUNTER_EVICTED] = 5}};
    struct chunk_head end = gap;
    end.kind = HEAD_END;
    end.gap = 0;
    end.last_seq = 7;
    const struct chunk_head *all[] = {&gap, &end};
    for (size_t i = 0; i < 2; i++) {
        struct buffer out = {0};
        struct chunk_head back;
        struct error e;
        encode(all[i], &out);
        assert_int_equal(head_decode(out.data, out.len, &back, &e), 0);
        check_same(all[i], &back);
        head_free(&back);
        buffer_free(&out);
    }
}

static void texts_that_are_absent_are_empty(void **state)
{
    (void)state;
    struct chunk_head h = {.kind = HEAD_END}, back;
    struct buffer out = {0};
    struct error e;
    encode(&h, &out);
    assert_int_equal(head_decode(out.data, out.len, &back, &e), 0);
    assert_string_equal(back.agent, "");
    assert_string_equal(back.filter, "");
    head_free(&back);
    buffer_free(&out);
}

static void a_head_is_appended(void **state)
{
    (void)state;
    struct chunk_head h = {.kind = HEAD_END}, back;
    struct buffer out = {0};
    struct error e;
    buffer_append(&out, "xyz", 3);
    encode(&h, &out);
    assert_int_equal(head_decode(out.data + 3, out.len - 3, &back, &e), 0);
    head_free(&back);
    buffer_free(&out);
}

/* --- Damage --- */

static int decode_code(const uint8_t *data, size_t len)
{
    struct chunk_head h;
    struct error e = ERROR_INIT;
    int r = head_decode(data, len, &h, &e);
    assert_int_equal(r, e.code);
    if (r == 0)
        head_free(&h);
    else
        assert_true(e.text[0] && !h.memory);
    return r;
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    struct sample s;
    struct buffer out = {0};
    sample_fill(&s);
    encode(&s.head, &out);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(decode_code(out.data, out.len) < 0);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(decode_code(out.data, out.len), 0);
    buffer_free(&out);
    buffer_free(&s.rows);
}

static void every_cut_is_found(void **state)
{
    (void)state;
    struct sample s;
    struct buffer out = {0};
    sample_fill(&s);
    encode(&s.head, &out);
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(decode_code(out.data, len), ERROR_TRUNCATED);
    buffer_u8(&out, 0);
    assert_int_equal(decode_code(out.data, out.len), ERROR_INVALID);
    buffer_free(&out);
    buffer_free(&s.rows);
}

/* --- What only a writer of another kind makes: sections by hand --- */

static void put_le32(uint8_t *p, size_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* Takes the hash away, to append to the sections; seal puts length and hash right again. */
static void unseal(struct buffer *b)
{
    b->len -= 8;
}

static void seal(struct buffer *b)
{
    put_le32(b->data + 8, b->len + 8);
    buffer_le64(b, hash64(b->data, b->len));
}

static void section(struct buffer *b, uint8_t tag, const void *content, size_t len)
{
    buffer_u8(b, tag);
    buffer_le32(b, (uint32_t)len);
    buffer_append(b, content, len);
}

/* Where the section's content begins, and its length. */
static uint8_t *section_find(struct buffer *b, uint8_t tag, size_t *len)
{
    for (size_t at = 12; at + 8 < b->len; at += 5 + *len) {
        *len = (size_t)b->data[at + 1] | (size_t)b->data[at + 2] << 8 | (size_t)b->data[at + 3] << 16;
        if (b->data[at] == tag)
            return b->data + at + 5;
    }
    fail_msg("section %u is not there", tag);
    return NULL;
}

static void begin_small(struct buffer *b)
{
    struct chunk_head h = {.kind = HEAD_END, .totals.value = {[COUNTER_KEPT] = 1}};
    encode(&h, b);
    unseal(b);
}

static void sections_of_newer_writers_are_skipped(void **state)
{
    (void)state;
    struct buffer b = {0};
    begin_small(&b);
    section(&b, 200, "whatever", 8);
    section(&b, 201, "", 0);
    section(&b, 200, "and again", 9);
    seal(&b);
    assert_int_equal(decode_code(b.data, b.len), 0);
    buffer_free(&b);
}

static void counters_of_newer_writers_are_skipped(void **state)
{
    (void)state;
    struct chunk_head h = {.kind = HEAD_END}, back;
    struct buffer b = {0};
    struct error e;
    encode(&h, &b);
    unseal(&b);
    b.len -= 6; /* the totals: no counters */
    static const uint8_t counters[] = {2, COUNTER_POLICY, 9, 100, 77};
    section(&b, 5, counters, sizeof(counters));
    seal(&b);
    assert_int_equal(head_decode(b.data, b.len, &back, &e), 0);
    assert_int_equal(back.totals.value[COUNTER_POLICY], 9);
    head_free(&back);
    buffer_free(&b);
}

static void known_sections_stand_once_and_are_filled_exactly(void **state)
{
    (void)state;
    static const struct {
        uint8_t tag;
        const char *content;
        size_t len;
        int code;
    } wrong[] = {
        {5, "\0", 1, ERROR_INVALID},                          /* totals again */
        {4, "\1", 1, ERROR_INVALID},                          /* an interface that is cut */
        {4, "\0\0", 2, ERROR_INVALID},                        /* more than the interfaces */
        {4, "\377\377\3", 3, ERROR_LIMIT},                    /* too many interfaces */
        {4, "\1\1\0\0\0\0\0\0\0\0\0\0\0", 13, ERROR_INVALID}, /* a name with a 0 byte */
        {6, "", 0, ERROR_INVALID},
        {7, "\0\0\0\0", 4, ERROR_TRUNCATED}, /* no block of rows */
        {8, "", 0, ERROR_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buffer b = {0};
        begin_small(&b);
        section(&b, wrong[i].tag, wrong[i].content, wrong[i].len);
        seal(&b);
        int code = decode_code(b.data, b.len);
        assert_true(code < 0);
        if (wrong[i].tag < 7) /* what the rows say is theirs */
            assert_int_equal(code, wrong[i].code);
        buffer_free(&b);
    }
}

static void a_section_that_passes_the_end_is_refused(void **state)
{
    (void)state;
    struct buffer b = {0};
    begin_small(&b);
    buffer_u8(&b, 99);
    buffer_le32(&b, 1000);
    seal(&b);
    assert_int_equal(decode_code(b.data, b.len), ERROR_INVALID);
    buffer_free(&b);
}

static void required_sections_are_missed(void **state)
{
    (void)state;
    static const uint8_t tags[] = {1, 2, 3, 4, 5, 6};
    for (size_t i = 0; i < sizeof(tags); i++) {
        struct sample s;
        struct buffer b = {0};
        size_t len;
        sample_fill(&s);
        encode(&s.head, &b);
        unseal(&b);
        section_find(&b, tags[i], &len)[-5] = 222; /* now a section that nobody knows */
        seal(&b);
        assert_true(decode_code(b.data, b.len) < 0);
        buffer_free(&b);
        buffer_free(&s.rows);
    }
}

static void a_body_that_was_never_kept_is_not_described(void **state)
{
    (void)state;
    struct sample s;
    struct buffer b = {0};
    size_t len;
    sample_fill(&s);
    encode(&s.head, &b);
    unseal(&b);
    section_find(&b, 1, &len)[3] = BODY_NEVER;
    seal(&b);
    assert_int_equal(decode_code(b.data, b.len), ERROR_INVALID);
    buffer_free(&b);
    buffer_free(&s.rows);
}

static void other_versions_and_kinds_are_said_to_be_that(void **state)
{
    (void)state;
    struct buffer b = {0};
    size_t len;
    begin_small(&b);
    b.data[4] = 2;
    seal(&b);
    assert_int_equal(decode_code(b.data, b.len), ERROR_VERSION);
    unseal(&b);
    b.data[4] = 1;
    section_find(&b, 1, &len)[0] = 4;
    seal(&b);
    assert_int_equal(decode_code(b.data, b.len), ERROR_VERSION);
    buffer_free(&b);
}

static void the_row_count_must_be_that_of_the_block(void **state)
{
    (void)state;
    struct sample s;
    struct buffer b = {0};
    size_t len;
    sample_fill(&s);
    encode(&s.head, &b);
    unseal(&b);
    section_find(&b, 7, &len)[0] = 3;
    seal(&b);
    assert_int_equal(decode_code(b.data, b.len), ERROR_INVALID);
    buffer_free(&b);
    buffer_free(&s.rows);
}

/* --- Limits and rules, for writers as for readers --- */

static void expect_not_written(const struct chunk_head *h, int code)
{
    struct buffer out = {0};
    struct error e = ERROR_INIT;
    buffer_u8(&out, 1);
    assert_int_equal(head_encode(h, &out, &e), code);
    assert_int_equal(out.len, 1);
    assert_true(e.text[0]);
    buffer_free(&out);
}

static void limits_are_named(void **state)
{
    (void)state;
    struct sample s;
    char *text = calloc(1, HEAD_FILTER_MAX + 2);
    assert_non_null(text);
    memset(text, 'x', HEAD_FILTER_MAX + 1);
    sample_fill(&s);
    s.head.filter = text;
    expect_not_written(&s.head, ERROR_LIMIT);
    s.head.filter = NULL;
    s.head.agent = text + HEAD_FILTER_MAX - HEAD_NAME_MAX; /* one too long */
    expect_not_written(&s.head, ERROR_LIMIT);
    s.head.agent++;
    s.interfaces[1].description = text;
    expect_not_written(&s.head, ERROR_LIMIT);
    s.interfaces[1].description = NULL;
    s.head.interface_count = HEAD_INTERFACES_MAX + 1;
    expect_not_written(&s.head, ERROR_LIMIT);
    s.head.interface_count = 2;
    s.head.frame_count = HEAD_FRAMES_MAX + 1;
    expect_not_written(&s.head, ERROR_LIMIT);
    s.head.frame_count = 3;
    s.head.flow_rows = HEAD_FLOW_ROWS_MAX + 1;
    expect_not_written(&s.head, ERROR_LIMIT);
    s.head.flow_rows = 2;
    s.head.flows_length = HEAD_BYTES_MAX;
    s.head.flows = calloc(1, HEAD_BYTES_MAX);
    expect_not_written(&s.head, ERROR_LIMIT);
    free((void *)(uintptr_t)s.head.flows);
    buffer_free(&s.rows);
    free(text);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct sample s;
    sample_fill(&s);
    s.head.seal = 0;
    expect_not_written(&s.head, ERROR_INVALID);
    s.head.seal = SEAL_TIME;
    s.head.gap = GAP_DISK;
    expect_not_written(&s.head, ERROR_INVALID);
    s.head.gap = 0;
    s.head.last_seq++;
    expect_not_written(&s.head, ERROR_INVALID);
    s.head.last_seq--;
    s.head.body = BODY_STORED;
    expect_not_written(&s.head, ERROR_INVALID);
    s.head.body = BODY_ON_AGENT;
    s.frames[1].interface = 2;
    expect_not_written(&s.head, ERROR_INVALID);
    s.frames[1].interface = 1;
    s.frames[1].offset = UINT64_MAX - 10; /* its end would wrap */
    expect_not_written(&s.head, ERROR_INVALID);
    s.frames[1].offset = 2924; /* one byte too far */
    expect_not_written(&s.head, ERROR_INVALID);
    s.frames[1].offset = 2923;
    s.frames[1].last_ns--;
    expect_not_written(&s.head, ERROR_INVALID);
    s.frames[1].last_ns++;
    struct buffer out = {0};
    encode(&s.head, &out);
    buffer_free(&out);
    buffer_free(&s.rows);
}

static void names_are_those_that_are_printed(void **state)
{
    (void)state;
    assert_string_equal(head_seal_name(SEAL_RECOVERED), "recovered");
    assert_string_equal(head_gap_name(GAP_QUOTA), "quota");
    assert_string_equal(body_state_name(BODY_NEVER), "never-kept");
    assert_string_equal(head_seal_name(0), "unknown");
    assert_string_equal(head_gap_name(-1), "unknown");
    assert_string_equal(body_state_name(99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_comes_back_whole),
        cmocka_unit_test(a_gap_and_an_end_come_back_whole),
        cmocka_unit_test(texts_that_are_absent_are_empty),
        cmocka_unit_test(a_head_is_appended),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(every_cut_is_found),
        cmocka_unit_test(sections_of_newer_writers_are_skipped),
        cmocka_unit_test(counters_of_newer_writers_are_skipped),
        cmocka_unit_test(known_sections_stand_once_and_are_filled_exactly),
        cmocka_unit_test(a_section_that_passes_the_end_is_refused),
        cmocka_unit_test(required_sections_are_missed),
        cmocka_unit_test(a_body_that_was_never_kept_is_not_described),
        cmocka_unit_test(other_versions_and_kinds_are_said_to_be_that),
        cmocka_unit_test(the_row_count_must_be_that_of_the_block),
        cmocka_unit_test(limits_are_named),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(names_are_those_that_are_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
