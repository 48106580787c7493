/*
 * uplink_support: a shipper, a spool with streams that capturers left in it, and a collector in memory, all on one loop.
 */
#ifndef FLEETDUMP_TESTS_UPLINK_SUPPORT_H
#define FLEETDUMP_TESTS_UPLINK_SUPPORT_H

#include "agent/ship/outbox.h"
#include "agent/ship/uplink.h"
#include "tests/unit/fake_collector.h"
#include "tests/unit/support.h"

#define PATIENCE_MS 60000
#define KEPT        100u /* packets of a chunk */
#define NO_BODY     0u
#define MIB         ((size_t)1 << 20)

struct world {
    uv_loop_t loop;
    uv_timer_t patience, tick;
    char *folder;
    struct fake_collector collector;
    struct uplink_config config;
    struct spool *spool; /* the capturers' */
    struct uplink *uplink;
    unsigned abandoned;
    bool ran_out;
};

#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        while (!(condition) && !(w)->ran_out)                                                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        assert_false((w)->ran_out);                                                                                    \
    } while (0)

/* What the timers of the world do; who makes one anew wants them. */
void world_on_patience(uv_timer_t *timer);
void world_on_tick(uv_timer_t *timer);
/* For cmocka: *state is a world, whose shipper does not run yet. */
int world_set_up(void **state);
/* The shipper. */
void world_start(struct world *w);
void world_stop(struct world *w);
int world_tear_down(void **state);
/* The loop, for that long. */
void world_run_for(struct world *w, uint64_t ms);
/* Of the stream of that number. */
void made_epoch(uint8_t number, uint8_t epoch[EPOCH_SIZE]);
/* A stream that a capturer has open; `evict`: which packets go first. */
struct spool_stream *made_stream(struct world *w, uint8_t number, uint32_t evict);
/* A chunk, with a body unless body_len is NO_BODY. Large heads (more than a block) have padding. */
void made_chunk(struct spool_stream *t, uint8_t number, uint64_t seq, size_t body_len, size_t padding);
void made_end(struct spool_stream *t, uint8_t number, uint64_t seq);
/* A whole stream of `chunks` chunks, every third without a body, and its END. */
void made_whole_stream(struct world *w, uint8_t number, uint64_t chunks, size_t body_len);
/* What has come of it, or NULL. */
struct fake_stream *arrived_stream(struct world *w, uint8_t number);
/* Of an item in the spool; good until the next call. */
const char *left_path(struct world *w, uint8_t number, uint64_t seq, const char *suffix);
bool left_file(struct world *w, uint8_t number, uint64_t seq, const char *suffix);
/* How many there are. */
unsigned left_files_in(const char *path);
/* How many are in the spool. */
size_t left_streams(struct world *w);
/* Whether all items before `next` have come, heads and bodies. */
bool arrived_all(struct world *w, uint8_t number, uint64_t next);
/* Every chunk of made_whole_stream has arrived whole. */
void arrived_whole(struct world *w, uint8_t number, uint64_t chunks);
void world_ship_until_empty(struct world *w);
/* Changes a byte of it. */
void left_damage(struct world *w, uint8_t number, uint64_t seq, const char *suffix);

#endif
