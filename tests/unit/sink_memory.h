/*
 * sink_memory: a sink that keeps in memory what a chunk builder makes, for tests and fuzzing.
 */
#ifndef FLEETDUMP_TESTS_SINK_MEMORY_H
#define FLEETDUMP_TESTS_SINK_MEMORY_H

#include "agent/capture/sink.h"
#include "common/base/buffer.h"

struct sink_memory_item {
    struct buffer head;
    int body; /* -1: it has none, or bodies are not kept */
};

struct sink_memory {
    struct sink sink; /* to be given to the builder */
    struct sink_memory_item *items;
    uint32_t count, most;
    bool bodies;
};

/* For so many items at the most: another one, or one out of order, aborts. With `bodies`, each stays open as a descriptor. */
void sink_memory_init(struct sink_memory *m, uint32_t most, bool bodies);
void sink_memory_free(struct sink_memory *m);

#endif
