/*
 * hello_build: hellos of TLS made by hand, as handshake messages (with their header of 4 bytes), and the records around them.
 */
#ifndef FLEETDUMP_TESTS_HELLO_BUILD_H
#define FLEETDUMP_TESTS_HELLO_BUILD_H

#include <stddef.h>
#include <stdint.h>

#define HELLO_ROOM 8192u

struct hello_build {
    uint8_t at[HELLO_ROOM];
    size_t len;
};

/* Lists of numbers end with 0, lists of names with NULL; a NULL leaves the extension out. */
struct hello_parts {
    uint16_t version;
    const uint16_t *ciphers;
    const char *server_name;
    const char *const *alpn;
    const uint16_t *versions; /* a server's: the one that it chose */
    const uint16_t *signatures;
    const uint16_t *others; /* extensions without content */
    size_t padding;         /* bytes of an extension of padding (RFC 7685); 0: none */
};

struct hello_build hello_client(const struct hello_parts *p);
/* The first cipher is the chosen one. `retry`: a HelloRetryRequest. */
struct hello_build hello_server(const struct hello_parts *p, int retry);

/* These bytes as records of a type with at most `size` bytes of content. */
struct hello_build hello_records(uint8_t type, const void *data, size_t len, size_t size);
void hello_add(struct hello_build *b, const void *data, size_t len);

#endif
