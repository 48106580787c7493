/*
 * The whole path of an agent: a capture file of any kind and any content becomes a stream of chunks, and all of it is read back. Nothing is
 * lost on the way: rows count what counters count, bodies hold the packets that were given, in their order, byte for byte, and every part is
 * valid by the rules of its reader.
 *
 * The first byte says how (what is kept, where chunks end), the rest is the file.
 */
#include "agent/capture/chunk_builder.h"
#include "agent/capture/file.h"
#include "common/base/hash.h"
#include "common/chunk/body.h"
#include "common/chunk/frame.h"
#include "common/rows/block.h"
#include "tests/unit/sink_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PACKETS_MAX    400u
#define INTERFACES_MAX 16u
#define ITEMS_MAX      (2 * PACKETS_MAX + 64)
#define RAW_MAX        (4u << 20) /* of a file that expands */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HOW_KEEP = 3, HOW_SHORT = 4, HOW_FEW_ROWS = 8, HOW_SNAPLEN = 16, HOW_PAYLOAD = 32 };

struct shelf {
    struct sink_memory made;
    /* By interface: what was given, what came back */
    uint64_t given[INTERFACES_MAX], found[INTERFACES_MAX];
};

static void hold(bool holds)
{
    if (!holds)
        abort();
}

/* ---------------------------------------------------------------- giving */

/* An order-dependent sum over the packets of an interface. */
static uint64_t after(uint64_t sum, const struct pcapng_packet *p, uint32_t captured)
{
    uint64_t parts[] = {sum, p->time_ns, p->wire < p->captured ? p->captured : p->wire, captured,
                        hash64(p->data, captured)};
    return hash64(parts, sizeof parts);
}

static int give_packet(struct chunk_builder *b, struct shelf *s, const struct pcapng_packet *p, bool whole)
{
    if (whole)
        s->given[p->interface] = after(s->given[p->interface], p, p->captured);
    return chunk_builder_packets(b, &(struct chunk_packet){.packet = *p}, 1, NULL);
}

static int give(struct chunk_builder *b, struct shelf *s, struct source *from, bool whole, uint64_t *packets)
{
    struct source_item item;
    uint32_t interfaces = 0, index;
    int code = 0;
    while (!code && *packets < PACKETS_MAX && source_next(from, &item, NULL) == 0 && item.kind != SOURCE_END) {
        if (item.kind == SOURCE_INTERFACE) {
            if (interfaces == INTERFACES_MAX)
                break;
            code = chunk_builder_interface(b, &item.info, &index, NULL);
            hold(index == interfaces++);
        } else if (item.kind == SOURCE_LOSS) {
            code = chunk_builder_count(b, item.interface, COUNTER_INTERFACE_DROPS, item.interface_drops % 1000, NULL);
        } else {
            code = give_packet(b, s, &item.packet, whole);
            *packets += 1;
        }
    }
    return code;
}

/* ---------------------------------------------------------------- reading back */

static uint64_t rows_packets(const struct chunk_head *h)
{
    struct block *b;
    void *rows = NULL;
    uint64_t packets = 0;
    if (!h->flows)
        return 0;
    hold(block_open(&table_flow, h->flows, h->flows_length, &b, NULL) == 0 && block_read(b, &rows, NULL) == 0);
    for (uint32_t i = 0; i < block_rows(b); i++)
        packets += ((struct flow_row *)rows)[i].packets[0] + ((struct flow_row *)rows)[i].packets[1];
    free(rows);
    block_close(b);
    return packets;
}

/* An exchange is in the chunk in which it ended, with a row of its flow. */
static void check_exchanges(const struct chunk_head *h)
{
    struct block *flows = NULL, *exchanges = NULL;
    void *flow_rows = NULL, *rows = NULL;
    if (!h->exchanges)
        return;
    hold(h->flows && block_open(&table_flow, h->flows, h->flows_length, &flows, NULL) == 0);
    hold(block_open(&table_exchange, h->exchanges, h->exchanges_length, &exchanges, NULL) == 0);
    hold(block_read(flows, &flow_rows, NULL) == 0 && block_read(exchanges, &rows, NULL) == 0);
    for (uint32_t i = 0; i < block_rows(exchanges); i++) {
        const struct exchange_row *x = (struct exchange_row *)rows + i;
        uint32_t k = 0;
        while (k < block_rows(flows) && ((struct flow_row *)flow_rows)[k].flow_id != x->flow_id)
            k++;
        hold(k < block_rows(flows) && x->ordinal > 0 && exchange_outcome_name(x->outcome));
    }
    free(flow_rows);
    free(rows);
    block_close(flows);
    block_close(exchanges);
}

static void read_frame(struct shelf *s, const struct body_source *from, struct frame_codec *codec,
                       const struct head_frame *f, struct buffer *raw, bool whole)
{
    struct pcapng_item item;
    hold(body_read_frame(from, codec, f, raw, NULL) == 0);
    struct bytes b = bytes_of(raw->data, raw->len);
    while (pcapng_next(&b, &item, NULL) == 1)
        if (whole && item.kind == PCAPNG_ITEM_PACKET)
            s->found[item.packet.interface] =
                after(s->found[item.packet.interface], &item.packet, item.packet.captured);
}

static void read_body(struct shelf *s, const struct sink_memory_item *i, const struct chunk_head *h, bool whole)
{
    struct body_file file = {.fd = i->body};
    struct body_source from = body_source_file(&file, h->body_length);
    struct frame_codec *codec = frame_codec_new();
    struct buffer raw = {.data = NULL};
    hold(codec && body_verify(&from, h, NULL) == 0);
    for (uint32_t k = 0; k < h->frame_count; k++)
        read_frame(s, &from, codec, &h->frames[k], &raw, whole);
    buffer_free(&raw);
    frame_codec_free(codec);
}

static void read_item(struct shelf *s, const struct sink_memory_item *i, bool whole)
{
    struct chunk_head h;
    struct error e = ERROR_INIT;
    if (head_decode(i->head.data, i->head.len, &h, &e)) {
        fprintf(stderr, "head: %s\n", e.text);
        abort();
    }
    hold(rows_packets(&h) == (h.kind == HEAD_CHUNK ? h.totals.value[COUNTER_KEPT] : 0));
    check_exchanges(&h);
    if (i->body >= 0)
        read_body(s, i, &h, whole);
    head_free(&h);
}

/* ---------------------------------------------------------------- one input */

static struct chunk_builder_options options_of(uint8_t how)
{
    return (struct chunk_builder_options){
        .epoch = {7},
        .agent = "a",
        .capture = "c",
        .software = "s",
        .keep_packets = (how & HOW_KEEP) != 3,
        .headers_only = (how & HOW_KEEP) == 2,
        .level = 1,
        .max_flows = how & HOW_FEW_ROWS ? 16 : 0,
        .max_rows = how & HOW_FEW_ROWS ? 2 * FLOW_TABLE_ROWS_SPARE : 0,
        .chunk_ns = how & HOW_SHORT ? UINT64_C(50000000) : 0,
        .snaplen = how & HOW_SNAPLEN ? 70 : 0,
        .payload = how & HOW_PAYLOAD ? 20 : 0,
    };
}

static void run(struct source *from, uint8_t how)
{
    struct chunk_builder_options o = options_of(how);
    struct shelf *s = calloc(1, sizeof *s);
    struct chunk_builder *b;
    uint64_t packets = 0;
    bool whole = o.keep_packets && !o.headers_only && !o.payload && !o.snaplen;
    hold(s);
    sink_memory_init(&s->made, ITEMS_MAX, true);
    hold(chunk_builder_new(&o, &s->made.sink, &b, NULL) == 0);
    if (give(b, s, from, whole, &packets) == 0) {
        struct chunk_builder_stats stats;
        hold(chunk_builder_finish(b, NULL) == 0);
        chunk_builder_stats(b, &stats);
        hold(stats.counters.value[COUNTER_KEPT] == packets);
        for (size_t i = 0; i < s->made.count; i++)
            read_item(s, &s->made.items[i], whole);
        hold(memcmp(s->given, s->found, sizeof s->given) == 0);
    }
    chunk_builder_free(b);
    sink_memory_free(&s->made);
    free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char path[64];
    struct source *from;
    if (len < 2 || len > RAW_MAX)
        return 0;
    int fd = memfd_create("capture", MFD_CLOEXEC);
    hold(fd >= 0 && write(fd, data + 1, len - 1) == (ssize_t)(len - 1) && lseek(fd, 0, SEEK_SET) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (capture_file_open(path, NULL, &from, NULL) == 0) {
        run(from, data[0]);
        source_close(from);
    }
    close(fd);
    return 0;
}
