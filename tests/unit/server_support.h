/*
 * server_support: a collector's loop in the test's process, and agents and clients that connect to it, on the same loop.
 */
#ifndef FLEETDUMP_TESTS_SERVER_SUPPORT_H
#define FLEETDUMP_TESTS_SERVER_SUPPORT_H

#include "collector/server/fresh.h"
#include "collector/server/orders.h"
#include "common/base/clock.h"
#include "tests/unit/support.h"
#include <jansson.h>

#define PEERS_MOST  16
#define ORDERS_SEEN 64u

/* One who is connected. As an agent it answers CHECK and FLUSH, unless told otherwise, and remembers what it was told. */
struct peer {
    struct world *world;
    struct stream *stream;
    char name[64];
    uint8_t role;
    unsigned welcomes, closes, dones;
    /* agents */
    bool silent; /* does not answer CHECK */
    bool holds;  /* does not answer FLUSH */
    int32_t no;  /* code of the answer to CHECK */
    unsigned orders_came, checks, flushes, clocks;
    uint32_t order_count; /* of the last ORDERS */
    uint8_t ids[ORDERS_SEEN][16];
    char names[ORDERS_SEEN][64];
    uint64_t left_ns[ORDERS_SEEN], end_ns[ORDERS_SEEN];
    uint8_t keep[ORDERS_SEEN];
    uint64_t token; /* of the last CHECK or FLUSH */
    char flush_capture[64];
    struct message_clock clock;
    /* clients */
    int32_t code;
    char text[ERROR_TEXT_MAX];
    char *manifest;       /* JSON text */
    struct buffer result; /* bytes of RESULTs */
};

struct world {
    char *path;
    uv_loop_t loop;
    uv_timer_t patience;
    bool ran_out;
    struct server_config config;
    struct server server;
    char address[32];
    struct peer peers[PEERS_MOST];
    unsigned peer_count;
};

/* For cmocka: *state is the world. */
int world_set_up(void **state);
int world_tear_down(void **state);

void world_start(struct world *w);
void world_stop(struct world *w); /* as SIGTERM does; peers are disconnected */

/* Runs the loop until it holds, or fails. */
#define UNTIL(w, condition)                                                                                            \
    do {                                                                                                               \
        world_wait_begins(w);                                                                                          \
        while (!(condition) && !(w)->ran_out)                                                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        if (!(condition))                                                                                              \
            fail_msg("waited in vain for " #condition);                                                                \
    } while (0)
void world_wait_begins(struct world *w);

/* Runs the loop so long. */
void world_pass_ms(struct world *w, uint64_t ms);

/* Connects; returns when it is welcomed, and has its orders if it is an agent's control connection. Labels joined by ','. */
struct peer *peer_connect(struct world *w, const char *agent, const char *labels);
struct peer *peer_data(struct world *w, const char *agent); /* its data connection */
struct peer *peer_client(struct world *w);
void peer_leave(struct peer *p); /* returns when the collector knows it */
void peer_send(struct peer *p, const struct message *m);

/* The number of the order of this capture in the last ORDERS, or -1. */
int peer_order(const struct peer *p, const char *capture);
void peer_tell(struct peer *p, const uint8_t id[16], uint8_t phase, const char *text, uint64_t packets);

/* Returns when the collector has done all that this agent said. */
void peer_heard(struct peer *p);

/* A request of this name for agents of this pattern (NULL: all), for a minute. Texts are static, until the 8th next. */
struct capture_request request_of(const char *name, const char *on);

/* Sends the command and returns when it is answered: its code. */
int peer_command(struct peer *client, const struct message_command *m);
int peer_start(struct peer *client, struct capture_request *r, bool partial);
int peer_name(struct peer *client, enum command_kind kind, const char *which);

/* An administrator's request: its code. */
int peer_admin(struct peer *client, enum admin_kind kind, const char *json);

/* A question's code; its bytes are in `result`. */
int peer_ask(struct peer *client, const struct message_query *q);

/* The listing, or the last manifest: the caller's to decref. */
json_t *peer_orders(struct peer *client, const char *which);
json_t *peer_manifest(const struct peer *client);

/* The text at "a.b" of an object, "" if it is none; the object of an agent in an order. */
const char *json_text(const json_t *j, const char *key);
json_t *json_agent(const json_t *order, const char *agent);

#endif
