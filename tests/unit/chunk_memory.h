/*
 * chunk_memory: a sink in memory, with a gate, and packets that are given to a chunk builder which fills it.
 */
#ifndef FLEETDUMP_TESTS_CHUNK_MEMORY_H
#define FLEETDUMP_TESTS_CHUNK_MEMORY_H

#include "agent/capture/chunk_builder.h"
#include "common/base/clock.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#define T0        (UINT64_C(1700000000) * NS_PER_S)
#define CHUNKS    64
#define PACKETS   4096
#define COMPANION "came along"

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

struct kept {
    uint64_t time_ns;
    uint32_t captured, wire;
    bool companion;
};

extern const struct chunk_builder_options whole;

struct memory *memory_new(void);
void memory_free(struct memory *m);
/* All packets in the bodies, which are verified. */
uint32_t memory_packets(struct memory *m, struct kept *k);
/* Of all chunks. */
struct counters memory_totals(const struct memory *m);
/* What must hold of every stream that has ended. */
void memory_check_sums(struct memory *m);
/* Of a column, over all chunks. */
uint64_t memory_row_sum(const struct memory *m, unsigned column);
/* A builder that fills it. */
struct chunk_builder *memory_start(struct memory *m, struct chunk_builder_options o);
/* At T0 and so many seconds. */
struct pcapng_packet packet_of(struct build *p, double seconds);
int builder_give(struct chunk_builder *b, struct build p, double seconds);
/* It must end well. */
void builder_end(struct chunk_builder *b);
struct build frame_tcp_between(const char *from, unsigned from_port, const char *to, unsigned to_port, size_t payload);
/* From 10.0.0.1 to port 80. */
struct build frame_tcp(unsigned from_port, size_t payload);
struct build frame_udp(unsigned from_port, size_t payload);

#endif
