/* The chunk builder with a sink in memory: which packets are kept, how much of them, when chunks are sealed, and who waits for whom. */
#include "agent/capture/chunk_builder.h"
#include "common/base/clock.h"
#include "common/chunk/body.h"
#include "common/rows/block.h"
#include "common/rows/flow_row.h"

#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ETHERNET  1
#define T0        (UINT64_C(1700000000) * NS_PER_S)
#define CHUNKS    64
#define PACKETS   4096
#define COMPANION "came along"

/* ---------------------------------------------------------------- a sink in memory, with a gate */

struct item {
    struct chunk_head head;
    void *bytes; /* of the head */
    int body_fd;
    uint64_t body_length;
};

struct memory {
    struct sink sink;
    struct counter_page page;
    struct item items[CHUNKS];
    _Atomic uint32_t count;
    _Atomic bool shut; /* there is no room until it is opened, or given up */
    _Atomic bool give_up;
    _Atomic uint32_t told;
};

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

static struct memory *memory_new(void)
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

static void memory_free(struct memory *m)
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

struct kept {
    uint64_t time_ns;
    uint32_t captured, wire;
    bool companion;
};

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

/* All packets in the bodies, which are verified. */
static uint32_t packets(struct memory *m, struct kept *k)
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

static struct counters totals(const struct memory *m)
{
    struct counters sum = {0};
    for (uint32_t i = 0; i < m->count; i++)
        if (m->items[i].head.kind == HEAD_CHUNK)
            counters_add(&sum, &m->items[i].head.totals);
    return sum;
}

/* What must hold of every stream that has ended. */
static void check_sums(struct memory *m)
{
    static const enum counter parts[] = {COUNTER_KEPT,   COUNTER_FILTERED, COUNTER_KERNEL_DROPS, COUNTER_AGENT_DROPS,
                                         COUNTER_POLICY, COUNTER_OWN,      COUNTER_FORBIDDEN};
    struct counters sum = totals(m);
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

static uint64_t row_sum(const struct memory *m, unsigned column)
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

static struct chunk_builder *start(struct memory *m, struct chunk_builder_options o)
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

static const struct chunk_builder_options whole = {.keep_packets = true, .live = true};

static struct pcapng_packet packet_of(struct build *p, double seconds)
{
    return (struct pcapng_packet){.time_ns = T0 + (uint64_t)(int64_t)(seconds * 1e9),
                                  .captured = build_length(p),
                                  .wire = build_length(p),
                                  .data = build_data(p)};
}

static int give(struct chunk_builder *b, struct build p, double seconds)
{
    struct pcapng_packet k = packet_of(&p, seconds);
    return chunk_builder_packets(b, &(struct chunk_packet){.packet = k}, 1, NULL);
}

static int come_along(struct chunk_builder *b, struct build p, double seconds)
{
    struct pcapng_packet k = packet_of(&p, seconds);
    k.comment = COMPANION;
    return chunk_builder_packets(b, &(struct chunk_packet){.packet = k, .companion = true}, 1, NULL);
}

static int tick(struct chunk_builder *b, double seconds)
{
    return chunk_builder_tick(b, T0 + (uint64_t)(int64_t)(seconds * 1e9), NULL);
}

static void end(struct chunk_builder *b)
{
    struct error e = ERROR_INIT;
    if (chunk_builder_finish(b, &e) != 0)
        fail_msg("%s", e.text);
    chunk_builder_free(b);
}

static struct build tcp_between(const char *from, unsigned from_port, const char *to, unsigned to_port, size_t payload)
{
    struct build p = build_new();
    build_payload(&p, payload);
    build_tcp(&p, from_port, to_port, 0x18);
    build_ip4(&p, PROTO_TCP, from, to);
    build_ethernet(&p, ETHERTYPE_IP4);
    return p;
}

static struct build tcp(unsigned from_port, size_t payload)
{
    return tcp_between("10.0.0.1", from_port, "10.0.0.2", 80, payload);
}

static struct build udp(unsigned from_port, size_t payload)
{
    struct build p = build_new();
    build_payload(&p, payload);
    build_udp(&p, from_port, 53);
    build_ip4(&p, PROTO_UDP, "10.0.0.1", "10.0.0.2");
    build_ethernet(&p, ETHERTYPE_IP4);
    return p;
}

/* An ICMP error that quotes a packet whole. */
static struct build quoting(struct build inner)
{
    inner.start += 14; /* its Ethernet header */
    build_icmp(&inner, 3, 4);
    build_ip4(&inner, PROTO_ICMP, "10.0.0.9", "10.0.0.1");
    build_ethernet(&inner, ETHERTYPE_IP4);
    return inner;
}

static struct build fragment4(unsigned offset, bool more, unsigned id)
{
    struct build p = build_new();
    build_payload(&p, 64);
    if (!offset)
        build_udp(&p, 1000, 53);
    uint8_t *ip = build_ip4(&p, PROTO_UDP, "10.0.0.1", "10.0.0.2");
    build_put16(ip + 4, id);
    build_put16(ip + 6, offset / 8 | (more ? 0x2000u : 0));
    build_ethernet(&p, ETHERTYPE_IP4);
    return p;
}

/* ---------------------------------------------------------------- time */

static void what_is_old_enough_is_sealed_without_further_packets(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = start(m, whole);
    assert_true(chunk_builder_idle(b));
    assert_int_equal(tick(b, 0), 0);
    assert_true(chunk_builder_idle(b));
    assert_int_equal(give(b, udp(1000, 10), 1), 0);
    assert_false(chunk_builder_idle(b));
    assert_int_equal(tick(b, 60), 0);
    assert_int_equal(chunk_builder_next_seq(b), 0);
    assert_int_equal(tick(b, 61), 0); /* CHUNK_NS */
    assert_int_equal(chunk_builder_next_seq(b), 1);
    assert_false(chunk_builder_idle(b)); /* the flow lives */
    assert_int_equal(tick(b, 65), 0);    /* no more: its last row waits */
    assert_int_equal(tick(b, 124), 0);
    assert_int_equal(chunk_builder_next_seq(b), 1);
    assert_int_equal(tick(b, 125), 0);
    assert_int_equal(chunk_builder_next_seq(b), 2);
    assert_true(chunk_builder_idle(b));
    assert_int_equal(tick(b, 1000), 0);
    end(b);
    assert_int_equal(m->count, 3);
    assert_int_equal(m->items[0].head.seal, SEAL_TIME);
    assert_int_equal(m->items[1].head.seal, SEAL_TIME);
    assert_int_equal(m->items[1].head.flow_rows, 1);
    assert_int_equal(m->items[1].head.body, BODY_NEVER);
    assert_int_equal(row_sum(m, FLOW_END_REASON), FLOW_END_IDLE);
    check_sums(m);
    memory_free(m);
}

static void counts_alone_are_sealed_too(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = start(m, whole);
    assert_int_equal(chunk_builder_count(b, 0, COUNTER_KERNEL_DROPS, 7, NULL), 0);
    assert_false(chunk_builder_idle(b));
    assert_int_equal(tick(b, 10), 0);
    assert_int_equal(tick(b, 70), 0);
    assert_true(chunk_builder_idle(b));
    end(b);
    assert_int_equal(m->count, 2);
    assert_int_equal(totals(m).value[COUNTER_KERNEL_DROPS], 7);
    check_sums(m);
    memory_free(m);
}

static void many_flows_that_end_at_once_make_as_many_chunks_as_they_need(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.max_rows = 64;
    struct chunk_builder *b = start(m, o);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(give(b, udp(1000 + i, 10), 0), 0);
    assert_int_equal(tick(b, 61), 0);
    while (!chunk_builder_idle(b))
        assert_int_equal(tick(b, 200), 0);
    end(b);
    assert_int_equal(row_sum(m, FLOW_PACKETS_0) + row_sum(m, FLOW_PACKETS_1), 500);
    assert_int_equal(row_sum(m, FLOW_END_REASON), 500 * FLOW_END_IDLE);
    for (uint32_t i = 0; i < m->count; i++)
        assert_true(m->items[i].head.flow_rows <= 64);
    check_sums(m);
    memory_free(m);
}

/* ---------------------------------------------------------------- which packets */

static void companions_are_kept_if_their_connection_is_known(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = start(m, whole);
    struct kept k[PACKETS];
    assert_int_equal(come_along(b, quoting(tcp(4000, 20)), 0), 0); /* too early */
    assert_int_equal(give(b, tcp(4000, 20), 1), 0);
    assert_int_equal(come_along(b, quoting(tcp(4000, 20)), 2), 0);
    assert_int_equal(come_along(b, quoting(tcp(4001, 20)), 2), 0);   /* another */
    assert_int_equal(come_along(b, tcp(4000, 20), 2), 0);            /* is no companion at all */
    assert_int_equal(come_along(b, quoting(tcp(4000, 20)), 302), 0); /* too late */
    end(b);
    assert_int_equal(packets(m, k), 2);
    assert_true(!k[0].companion && k[1].companion);
    assert_int_equal(totals(m).value[COUNTER_FILTERED], 4);
    assert_int_equal(row_sum(m, FLOW_ICMP_ERRORS), 1);
    check_sums(m);
    memory_free(m);
}

static void fragments_are_kept_if_their_first_was(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = start(m, whole);
    struct kept k[PACKETS];
    assert_int_equal(come_along(b, fragment4(64, false, 5), 0), 0);
    assert_int_equal(give(b, fragment4(0, true, 5), 1), 0);
    assert_int_equal(come_along(b, fragment4(64, true, 5), 1), 0);
    assert_int_equal(come_along(b, fragment4(128, false, 5), 1), 0);
    assert_int_equal(come_along(b, fragment4(128, false, 6), 1), 0); /* of another packet */
    end(b);
    assert_int_equal(packets(m, k), 3);
    assert_true(!k[0].companion && k[1].companion && k[2].companion);
    assert_int_equal(row_sum(m, FLOW_LATER_FRAGMENTS_0) + row_sum(m, FLOW_LATER_FRAGMENTS_1), 2);
    assert_int_equal(totals(m).value[COUNTER_FILTERED], 2);
    check_sums(m);
    memory_free(m);
}

static struct build fragment6_of_dns(unsigned port)
{
    struct build p = build_new();
    build_payload(&p, 64);
    build_udp(&p, port, 53);
    build_fragment6(&p, PROTO_UDP, 0, 1, 9);
    build_ip6(&p, 44, "fd00::1", "fd00::2");
    build_ethernet(&p, ETHERTYPE_IP6);
    return p;
}

static void a_first_fragment_that_the_filter_cannot_see_into_comes_along_with_its_flow(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = start(m, whole);
    struct build whole_packet = build_new();
    struct kept k[PACKETS];
    build_payload(&whole_packet, 10);
    build_udp(&whole_packet, 53, 1000);
    build_ip6(&whole_packet, PROTO_UDP, "fd00::2", "fd00::1");
    build_ethernet(&whole_packet, ETHERTYPE_IP6);
    assert_int_equal(come_along(b, fragment6_of_dns(1000), 0), 0);
    assert_int_equal(give(b, whole_packet, 1), 0);
    assert_int_equal(come_along(b, fragment6_of_dns(1000), 2), 0);
    assert_int_equal(come_along(b, fragment6_of_dns(1001), 2), 0);
    end(b);
    assert_int_equal(packets(m, k), 2);
    assert_int_equal(totals(m).value[COUNTER_FILTERED], 2);
    check_sums(m);
    memory_free(m);
}

static void our_own_connections_are_left_out_and_counted(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.own_family = FAMILY_IP4;
    memcpy(o.own_address, "\x0a\0\0\x05", 4);
    o.own_port = 4741;
    struct chunk_builder *b = start(m, o);
    struct kept k[PACKETS];
    assert_int_equal(give(b, tcp_between("10.0.0.1", 5000, "10.0.0.5", 4741, 100), 0), 0);
    assert_int_equal(give(b, tcp_between("10.0.0.5", 4741, "10.0.0.7", 5000, 100), 0), 0);
    assert_int_equal(give(b, tcp_between("10.0.0.5", 4742, "10.0.0.7", 5000, 100), 0), 0);
    assert_int_equal(give(b, tcp_between("10.0.0.5", 5000, "10.0.0.7", 4741, 100), 0), 0);
    struct build tunnelled = tcp_between("10.0.0.1", 5000, "10.0.0.5", 4741, 100);
    tunnelled.start += 14;
    build_ip4(&tunnelled, 4, "192.168.0.1", "192.168.0.2");
    build_ethernet(&tunnelled, ETHERTYPE_IP4);
    assert_int_equal(give(b, tunnelled, 0), 0);
    end(b);
    assert_int_equal(packets(m, k), 2);
    assert_int_equal(totals(m).value[COUNTER_OWN], 3);
    check_sums(m);
    memory_free(m);
}

static void over_the_rate_is_left_out_and_counted(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.rate = 1000000;
    struct chunk_builder *b = start(m, o);
    unsigned given = 0;
    for (unsigned i = 0; i < 3000; i++, given++) /* 2 MB at once, then 2 MB within 10 s */
        assert_int_equal(give(b, tcp(4000, 946), i < 2000 ? 0 : 1 + (i - 2000) * 0.01), 0);
    end(b);
    assert_int_equal(totals(m).value[COUNTER_KEPT], 2000);
    assert_int_equal(totals(m).value[COUNTER_POLICY], given - 2000);
    check_sums(m);
    memory_free(m);
}

static void a_low_rate_lets_a_large_packet_pass_now_and_then(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.rate = 100;
    struct chunk_builder *b = start(m, o);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(give(b, tcp(4000, 3946), i * 0.01), 0);
    end(b);
    assert_in_range(totals(m).value[COUNTER_KEPT], 65, 130);
    check_sums(m);
    memory_free(m);
}

static void a_limit_ends_with_its_packet(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.most_packets = 3;
    struct chunk_builder *b = start(m, o);
    assert_int_equal(give(b, tcp(4000, 20), 0), 0);
    assert_int_equal(give(b, tcp(4000, 20), 1), 0);
    assert_int_equal(give(b, tcp(4000, 20), 2), 1);
    assert_int_equal(give(b, tcp(4000, 20), 3), 1);
    end(b);
    assert_int_equal(totals(m).value[COUNTER_RECEIVED], 3);
    check_sums(m);
    memory_free(m);
    m = memory_new();
    o = whole;
    o.most_bytes = 2 * 74 + 1;
    b = start(m, o);
    assert_int_equal(give(b, tcp(4000, 20), 0), 0);
    assert_int_equal(give(b, tcp(4000, 20), 1), 0);
    assert_int_equal(give(b, tcp(4000, 20), 2), 1);
    end(b);
    assert_int_equal(totals(m).value[COUNTER_KEPT_BYTES], 3 * 74);
    check_sums(m);
    memory_free(m);
}

/* ---------------------------------------------------------------- how much */

static void of_headers_alone_the_payload_is_missing_and_its_length_known(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.headers_only = true;
    struct chunk_builder *b = start(m, o);
    struct kept k[PACKETS];
    struct build lldp = build_new(), gre = build_new(), esp = build_new(), ping = build_new();
    build_payload(&lldp, 200);
    build_ethernet(&lldp, 0x88cc);
    build_payload(&gre, 50);
    build_tcp(&gre, 1, 2, 0x10);
    build_ip4(&gre, PROTO_TCP, "10.1.0.1", "10.1.0.2");
    build_hex(&gre, "0000 0800");
    build_ip4(&gre, 47, "10.0.0.1", "10.0.0.2");
    build_ethernet(&gre, ETHERTYPE_IP4);
    build_payload(&esp, 100);
    build_ip4(&esp, 50, "10.0.0.1", "10.0.0.2");
    build_ethernet(&esp, ETHERTYPE_IP4);
    build_payload(&ping, 100);
    build_icmp(&ping, 8, 0);
    build_ip4(&ping, PROTO_ICMP, "10.0.0.1", "10.0.0.2");
    build_ethernet(&ping, ETHERTYPE_IP4);
    struct build all[] = {tcp(4000, 500),
                          udp(1000, 500),
                          udp(1000, 0),
                          quoting(tcp(4000, 500)),
                          fragment4(64, false, 3),
                          lldp,
                          gre,
                          esp,
                          ping};
    static const uint32_t expected[] = {54, 42, 42, 42 + 28, 34, PACKET_HEADERS_OTHER, 34 + 4 + 40, 34, 42};
    enum { COUNT = sizeof all / sizeof *all };
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(give(b, all[i], i), 0);
    end(b);
    assert_int_equal(packets(m, k), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(k[i].captured, expected[i]);
        assert_int_equal(k[i].wire, build_length(&all[i]));
    }
    assert_int_equal(totals(m).value[COUNTER_TRUNCATED], 0);
    assert_int_equal(row_sum(m, FLOW_PAYLOAD_0) + row_sum(m, FLOW_PAYLOAD_1), 500 + 500 + 540 + 64 + 50 + 100 + 100);
    check_sums(m);
    memory_free(m);
}

/* ---------------------------------------------------------------- who waits */

static void nothing_waits_for_a_disk_that_is_full(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.chunk_bytes = 1 << 20;
    struct chunk_builder *b = start(m, o);
    m->shut = true;
    unsigned given = 0;
    for (; chunk_builder_ready(b); given++)
        assert_int_equal(give(b, tcp(1000 + given % 5000, 1400), given * 1e-5), 0);
    assert_true(given > 1000 && given < 10000);
    assert_false(chunk_builder_wait_ready(b, 5));
    assert_int_equal(chunk_builder_seal(b, SEAL_FLUSH, NULL), 0);
    assert_int_equal(chunk_builder_next_seq(b), 1);
    assert_int_equal(chunk_builder_sealed(b), 0);
    assert_int_equal(chunk_builder_wait(b, 5, NULL), 1);
    m->shut = false;
    assert_true(chunk_builder_wait_ready(b, 60000));
    assert_int_equal(chunk_builder_wait(b, 60000, NULL), 0);
    assert_int_equal(chunk_builder_sealed(b), 1);
    assert_int_equal(m->items[0].head.seal, SEAL_FLUSH);
    m->shut = true; /* the end does not wait either */
    assert_int_equal(give(b, tcp(4000, 20), 10), 0);
    assert_int_equal(chunk_builder_end(b, NULL), 0);
    assert_int_equal(chunk_builder_wait(b, 5, NULL), 1);
    m->shut = false;
    assert_int_equal(chunk_builder_wait(b, 60000, NULL), 0);
    chunk_builder_free(b);
    assert_int_equal(totals(m).value[COUNTER_KEPT], given + 1);
    check_sums(m);
    memory_free(m);
}

/* Gives all that is taken while nothing is written; returns how many frames were compressed less. */
static uint64_t frames_faster(struct memory *m)
{
    struct chunk_builder *b = start(m, whole);
    m->shut = true;
    for (unsigned given = 0; chunk_builder_ready(b); given++)
        assert_int_equal(give(b, tcp(1000 + given % 5000, 1400), given * 1e-5), 0);
    m->shut = false;
    end(b);
    return totals(m).value[COUNTER_FRAMES_FASTER];
}

static void frames_that_come_too_fast_are_compressed_less(void **state)
{
    (void)state;
    static struct kept k[4 * PACKETS];
    uint64_t faster = 0;
    for (unsigned tries = 0; !faster && tries < 200; tries++) { /* whoever gives slowly finds that it is the disk */
        struct memory *m = memory_new();
        faster = frames_faster(m);
        assert_int_equal(packets(m, k), totals(m).value[COUNTER_KEPT]);
        check_sums(m);
        memory_free(m);
    }
    assert_in_range(faster, 1, 64);
}

static void frames_of_a_quiet_capture_are_compressed_as_asked(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = start(m, whole);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(give(b, tcp(1000 + i, 1400), i * 1e-3), 0);
        assert_int_equal(chunk_builder_wait(b, 60000, NULL), 0);
    }
    end(b);
    assert_int_equal(totals(m).value[COUNTER_FRAMES_FASTER], 0);
    check_sums(m);
    memory_free(m);
}

static void flows_that_a_full_table_ends_are_counted(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.max_flows = 100;
    struct chunk_builder *b = start(m, o);
    for (unsigned i = 0; i < 150; i++)
        assert_int_equal(give(b, udp(1000 + i, 20), i * 1e-3), 0);
    end(b);
    assert_int_equal(totals(m).value[COUNTER_FLOWS_EVICTED], 50);
    check_sums(m);
    memory_free(m);
}

static void who_is_told_to_stop_gives_up_a_full_disk(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = start(m, whole);
    struct error e = ERROR_INIT;
    m->shut = true;
    assert_int_equal(give(b, tcp(4000, 20), 0), 0);
    assert_int_equal(chunk_builder_end(b, NULL), 0);
    assert_int_equal(chunk_builder_wait(b, 5, &e), 1);
    m->give_up = true;
    int code;
    while ((code = chunk_builder_wait(b, 100, &e)) > 0)
        ;
    assert_int_equal(code, ERROR_CANCELLED);
    assert_true(chunk_builder_ready(b));
    chunk_builder_free(b);
    assert_int_equal(m->count, 0);
    assert_int_equal(m->page.total[COUNTER_KEPT], 1);
    memory_free(m);
}

static void a_flush_of_nothing_seals_nothing(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder *b = start(m, whole);
    assert_int_equal(chunk_builder_seal(b, SEAL_FLUSH, NULL), 0);
    assert_int_equal(chunk_builder_next_seq(b), 0);
    assert_int_equal(chunk_builder_sealed(b), 0);
    end(b);
    assert_int_equal(m->count, 1);
    memory_free(m);
}

/* A body's size is that of the open chunk, however far behind the writing is. */
static void a_chunk_is_not_sealed_by_the_bytes_of_the_one_before(void **state)
{
    (void)state;
    struct memory *m = memory_new();
    struct chunk_builder_options o = whole;
    o.chunk_bytes = 256 << 10;
    o.live = false;
    struct chunk_builder *b = start(m, o);
    unsigned random = 1;
    for (unsigned i = 0; i < 2500; i++) {
        struct build p = tcp(4000, 1400);
        for (uint32_t n = 60; n < build_length(&p); n++)
            build_data(&p)[n] = (uint8_t)((random = random * 1103515245 + 12345) >> 16);
        assert_int_equal(give(b, p, i * 1e-5), 0);
    }
    end(b);
    for (uint32_t i = 0; i + 2 < m->count; i++)
        assert_true(m->items[i].head.body_length >= 256 << 10);
    assert_in_range(m->count, 3, 15);
    check_sums(m);
    memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_old_enough_is_sealed_without_further_packets),
        cmocka_unit_test(counts_alone_are_sealed_too),
        cmocka_unit_test(many_flows_that_end_at_once_make_as_many_chunks_as_they_need),
        cmocka_unit_test(companions_are_kept_if_their_connection_is_known),
        cmocka_unit_test(fragments_are_kept_if_their_first_was),
        cmocka_unit_test(a_first_fragment_that_the_filter_cannot_see_into_comes_along_with_its_flow),
        cmocka_unit_test(our_own_connections_are_left_out_and_counted),
        cmocka_unit_test(over_the_rate_is_left_out_and_counted),
        cmocka_unit_test(a_low_rate_lets_a_large_packet_pass_now_and_then),
        cmocka_unit_test(a_limit_ends_with_its_packet),
        cmocka_unit_test(of_headers_alone_the_payload_is_missing_and_its_length_known),
        cmocka_unit_test(nothing_waits_for_a_disk_that_is_full),
        cmocka_unit_test(frames_that_come_too_fast_are_compressed_less),
        cmocka_unit_test(frames_of_a_quiet_capture_are_compressed_as_asked),
        cmocka_unit_test(flows_that_a_full_table_ends_are_counted),
        cmocka_unit_test(who_is_told_to_stop_gives_up_a_full_disk),
        cmocka_unit_test(a_flush_of_nothing_seals_nothing),
        cmocka_unit_test(a_chunk_is_not_sealed_by_the_bytes_of_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
