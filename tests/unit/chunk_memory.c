#include "tests/unit/chunk_memory.h"

#include "common/chunk/body.h"
#include "common/rows/block.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ETHERNET 1

/* ---------------------------------------------------------------- a sink in memory, with a gate */
static int memory_open(struct sink *s, uint64_t seq, struct error *e)
{
    (void)s;
    (void)seq;
    (void)e;
    return memfd_create("body", 0);
}

static int memory_room(struct sink *s, uint64_t need, struct error *e)
{
    struct memory *m = (struct memory *)s;
    (void)need;
    while (m->shut) {
        if (m->give_up)
            return error_set(e, ERROR_CANCELLED, "given up");
        usleep(1000);
    }
    return 0;
}

static int memory_seal(struct sink *s, uint64_t seq, const void *head, size_t len, bool with_body, int body_fd,
                       struct error *e)
{
    struct memory *m = (struct memory *)s;
    struct item *i = &m->items[m->count];
    assert_int_equal(seq, m->count);
    assert_true(m->count < CHUNKS);
    i->bytes = malloc(len);
    memcpy(i->bytes, head, len);
    i->body_fd = with_body ? dup(body_fd) : -1;
    i->body_length = with_body ? (uint64_t)lseek(body_fd, 0, SEEK_END) : 0;
    int code = head_decode(i->bytes, len, &i->head, e);
    m->count++;
    return code;
}

static int memory_full(struct sink *s, const struct error *why, struct error *e)
{
    (void)s;
    return error_set(e, why->code, "%s", why->text);
}

static void memory_sealed(void *context)
{
    ((struct memory *)context)->told++;
}

struct memory *memory_new(void)
{
    struct memory *m = calloc(1, sizeof *m);
    m->sink = (struct sink){.open_body = memory_open,
                            .seal = memory_seal,
                            .room = memory_room,
                            .full = memory_full,
                            .page = &m->page,
                            .sealed = memory_sealed,
                            .sealed_context = m};
    return m;
}

void memory_free(struct memory *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        head_free(&m->items[i].head);
        free(m->items[i].bytes);
        if (m->items[i].body_fd >= 0)
            close(m->items[i].body_fd);
    }
    free(m);
}

/* ---------------------------------------------------------------- what is in it */
static uint32_t frame_packets(const struct buffer *raw, struct kept *k)
{
    struct bytes b = bytes_of(raw->data, raw->len);
    struct pcapng_item p;
    uint32_t n = 0;
    while (pcapng_next(&b, &p, NULL) > 0) {
        assert_int_equal(p.kind, PCAPNG_ITEM_PACKET);
        const char *comment = p.packet.comment;
        assert_true(!comment || strcmp(comment, COMPANION) == 0);
        k[n++] = (struct kept){p.packet.time_ns, p.packet.captured, p.packet.wire, comment != NULL};
    }
    return n;
}

uint32_t memory_packets(struct memory *m, struct kept *k)
{
    uint32_t n = 0;
    struct frame_codec *codec = frame_codec_new();
    struct buffer raw = {0};
    for (uint32_t i = 0; i < m->count; i++) {
        struct item *item = &m->items[i];
        if (item->body_fd < 0)
            continue;
        struct body_file file = {.fd = item->body_fd};
        struct body_source s = body_source_file(&file, item->body_length);
        struct error e = ERROR_INIT;
        if (body_verify(&s, &item->head, &e) != 0)
            fail_msg("%s", e.text);
        for (uint32_t f = 0; f < item->head.frame_count; f++) {
            assert_int_equal(body_read_frame(&s, codec, &item->head.frames[f], &raw, NULL), 0);
            n += frame_packets(&raw, k + n);
        }
    }
    buffer_free(&raw);
    frame_codec_free(codec);
    return n;
}

struct counters memory_totals(const struct memory *m)
{
    struct counters sum = {0};
    for (uint32_t i = 0; i < m->count; i++)
        if (m->items[i].head.kind == HEAD_CHUNK)
            counters_add(&sum, &m->items[i].head.totals);
    return sum;
}

void memory_check_sums(struct memory *m)
{
    static const enum counter parts[] = {COUNTER_KEPT,   COUNTER_FILTERED, COUNTER_KERNEL_DROPS, COUNTER_AGENT_DROPS,
                                         COUNTER_POLICY, COUNTER_OWN,      COUNTER_FORBIDDEN};
    struct counters sum = memory_totals(m);
    const struct chunk_head *end = &m->items[m->count - 1].head;
    uint64_t rest = sum.value[COUNTER_RECEIVED];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        rest -= sum.value[parts[i]];
    assert_int_equal(rest, 0);
    assert_int_equal(end->kind, HEAD_END);
    for (int i = 0; i < COUNTER_COUNT; i++) {
        assert_int_equal(end->totals.value[i], sum.value[i]);
        assert_int_equal(m->page.total[i], sum.value[i]);
        assert_int_equal(m->page.sealed[i], sum.value[i]);
    }
    assert_int_equal(m->told, m->count);
}

uint64_t memory_row_sum(const struct memory *m, unsigned column)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct chunk_head *h = &m->items[i].head;
        struct block *b;
        if (!h->flow_rows)
            continue;
        uint64_t *numbers = calloc(h->flow_rows, sizeof *numbers);
        assert_int_equal(block_open(&table_flow, h->flows, h->flows_length, &b, NULL), 0);
        assert_int_equal(block_read_numbers(b, column, numbers, NULL, NULL), 0);
        for (uint32_t r = 0; r < h->flow_rows; r++)
            sum += numbers[r];
        block_close(b);
        free(numbers);
    }
    return sum;
}

/* ---------------------------------------------------------------- giving packets */
struct chunk_builder *memory_start(struct memory *m, struct chunk_builder_options o)
{
    struct chunk_builder *b;
    uint32_t index;
    memcpy(o.epoch, "epoch of a test!", EPOCH_SIZE);
    o.agent = "web-1";
    o.capture = "test";
    o.software = "test";
    o.level = 1;
    assert_int_equal(chunk_builder_new(&o, &m->sink, &b, NULL), 0);
    struct pcapng_interface i = {.name = "eth0", .link_type = ETHERNET, .snaplen = PACKET_SNAPLEN_MAX};
    assert_int_equal(chunk_builder_interface(b, &i, &index, NULL), 0);
    assert_int_equal(index, 0);
    return b;
}

const struct chunk_builder_options whole = {.keep_packets = true, .live = true};

struct pcapng_packet packet_of(struct build *p, double seconds)
{
    return (struct pcapng_packet){.time_ns = T0 + (uint64_t)(int64_t)(seconds * 1e9),
                                  .captured = build_length(p),
                                  .wire = build_length(p),
                                  .data = build_data(p)};
}

int builder_give(struct chunk_builder *b, struct build p, double seconds)
{
    struct pcapng_packet k = packet_of(&p, seconds);
    return chunk_builder_packets(b, &(struct chunk_packet){.packet = k}, 1, NULL);
}

void builder_end(struct chunk_builder *b)
{
    struct error e = ERROR_INIT;
    if (chunk_builder_finish(b, &e) != 0)
        fail_msg("%s", e.text);
    chunk_builder_free(b);
}

struct build frame_tcp_between(const char *from, unsigned from_port, const char *to, unsigned to_port, size_t payload)
{
    struct build p = build_new();
    build_payload(&p, payload);
    build_tcp(&p, from_port, to_port, 0x18);
    build_ip4(&p, PROTO_TCP, from, to);
    build_ethernet(&p, ETHERTYPE_IP4);
    return p;
}

struct build frame_tcp(unsigned from_port, size_t payload)
{
    return frame_tcp_between("10.0.0.1", from_port, "10.0.0.2", 80, payload);
}

struct build frame_udp(unsigned from_port, size_t payload)
{
    struct build p = build_new();
    build_payload(&p, payload);
    build_udp(&p, from_port, 53);
    build_ip4(&p, PROTO_UDP, "10.0.0.1", "10.0.0.2");
    build_ethernet(&p, ETHERTYPE_IP4);
    return p;
}
