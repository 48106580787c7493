/*
 * stream_world: two ends of a stream on one loop, on plain TCP or over TLS, and what each was told.
 */
#ifndef FLEETDUMP_TESTS_STREAM_WORLD_H
#define FLEETDUMP_TESTS_STREAM_WORLD_H

#include "common/net/stream.h"
#include "tests/unit/support.h"

#define MOST_STREAMS 3

/* One end of a connection and what it was told. */
struct end {
    struct stream *stream;
    unsigned opens, messages, drains, closes;
    uint64_t bytes; /* of results */
    enum message_type last_type;
    struct error why;
    bool close_at_open, abort_at_open, pause_at_message, close_at_message, abort_at_message, answer;
    unsigned results_at_message; /* how many results to send for a query */
};

struct world {
    uv_loop_t loop;
    struct tls *ours, *theirs; /* of the client, of the listener; NULL: plain TCP */
    uv_timer_t patience;
    struct listener *listener;
    char address[32];
    struct end client, server[MOST_STREAMS + 4];
    unsigned accepted;
    bool refuse;
    bool ran_out;
};

/* Runs until the condition holds. */
#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        while (!(condition) && !(w)->ran_out)                                                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        assert_false((w)->ran_out);                                                                                    \
    } while (0)

extern const uint8_t end_block[NET_PIECE_MAX];
extern const struct stream_events end_events;

void end_send_result(struct stream *s, uint32_t length);
bool world_on_accept(void *context, struct stream *s, const struct stream_events **e, void **stream_context);
/* For cmocka, for the group. */
int certificates_make(void **state);
int certificates_drop(void **state);
/* For cmocka: *state is a world with a listener. */
int world_set_up(void **state);
int world_set_up_tls(void **state);
int world_tear_down(void **state);
/* As long as something happens, and a little more: so that a callback too many would come. */
void world_settle(struct world *w);
/* The client connects. */
void world_dial(struct world *w);
/* Each was told so once. */
void world_both_closed(struct world *w);

#endif
