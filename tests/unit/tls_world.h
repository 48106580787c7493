/*
 * tls_world: two ends of a connection that speak TLS, on one loop, with certificates of an authority of the test's own.
 */
#ifndef FLEETDUMP_TESTS_TLS_WORLD_H
#define FLEETDUMP_TESTS_TLS_WORLD_H

#include "common/net/ca_pem.h"
#include "common/net/stream_impl.h"
#include "common/net/tls_impl.h"
#include "tests/unit/support.h"
#include "tests/unit/tls_support.h"

#define ENDS         8
#define MOST_STREAMS 3

struct end {
    struct stream *stream;
    unsigned opens, messages, closes;
    enum message_type last_type;
    struct identity peer; /* when it was open, or the first message came */
    struct error why;
};

struct world {
    uv_loop_t loop;
    uv_timer_t patience;
    struct listener *listener;
    char address[32];
    struct end client, server[ENDS];
    unsigned accepted;
    bool ran_out;
};

/* What all tests use. */
struct members {
    struct test_ca ca, other;
    struct tls *agent, *collector, *user;
};

#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        while (!(condition) && !(w)->ran_out)                                                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        assert_false((w)->ran_out);                                                                                    \
    } while (0)

extern struct members all;

void end_say_hello(struct stream *s);
/* A listener with these certificates; plain text if there are none. */
void world_begin(struct world *w, struct tls *theirs);
void world_end(struct world *w);
/* The client connects with these. */
void world_dial(struct world *w, struct tls *ours);
/* It has the code and, in its text, this. */
void error_has_text(const struct error *e, int code, const char *text);
/* For cmocka: `all`, for the group. */
int members_make(void **state);
int members_drop(void **state);

#endif
