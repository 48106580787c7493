/*
 * enroll_support: a collector that gives certificates, and those who ask it for one.
 */
#ifndef FLEETDUMP_TESTS_ENROLL_SUPPORT_H
#define FLEETDUMP_TESTS_ENROLL_SUPPORT_H

#include "common/net/token.h"
#include "tests/unit/server_support.h"

struct joiner {
    struct world *w;
    struct stream *stream;
    struct message_enroll ask;
    bool answered, closed;
    int code;
    char text[ERROR_TEXT_MAX], labels[256];
    uint64_t again_ms;
    struct identity got;
};

/* Connections are not encrypted here: the certificate of clients is pretended. */
extern struct identity pretended;
extern const struct session *pretends; /* whose; NULL: of all */

/* A collector with an authority. */
int authority_set_up(void **state);
int authority_tear_down(void **state);
void joiner_on_open(void *context, struct stream *s);
void joiner_on_close(void *context, struct stream *s, const struct error *why);
/* Asks with it, and waits for the answer. */
struct joiner joiner_ask(struct world *w, const uint8_t *secret, const char *request);
/* A request with a key of its own, as text; the caller's to free. */
char *joiner_new_request(uint8_t kind, const char *name);
/* A token. */
struct token authority_give(struct world *w, uint8_t kind, const char *name, uint64_t ttl_ns);

#endif
