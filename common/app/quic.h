/*
 * quic: the client's hello in QUIC's Initial packets: version 1 (RFC 9000, 9001), 2 (RFC 9369), and the drafts from 23
 * on.
 *
 * Initials are encrypted with keys that anybody can make of the connection id that the client chose (RFC 9001, 5.2).
 * The hello within may be spread over several packets and datagrams, in any order and twice: struct quic_gather puts
 * its pieces in place, in a window that the caller lends. What is then there is a handshake message of TLS, for tls.h
 * and tls_ja4.
 *
 *     struct quic *q;                                     // once in a process, before it is confined: it
 *                                                         // fetches ciphers
 *     if ((r = quic_new(&q, e))) ...
 *     struct quic_gather g;                               // for a flow whose first datagram detect() calls APP_QUIC
 *     quic_gather_begin(&g, window, sizeof window);
 *     if (quic_read(q, &g, payload, len) == QUIC_HELLO)   // each datagram of the client, until it is over
 *         (void)tls_client_hello_read(g.body, g.body_len, &hello);
 *
 * What cannot be authenticated is not believed, so datagrams that were cut say nothing. Bounded: of a datagram at most
 * QUIC_PACKETS_MAX packets are looked at, a gathering takes at most QUIC_DATAGRAMS_MAX datagrams and makes keys at most
 * QUIC_KEYS_MAX times. No memory is taken but by quic_new.
 */
#ifndef FLEETDUMP_APP_QUIC_H
#define FLEETDUMP_APP_QUIC_H

#include "common/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIC_ID_MAX        20u /* RFC 9000, 17.2 */
#define QUIC_KEY           16u /* AES-128 */
#define QUIC_IV            12u
#define QUIC_TAG           16u
#define QUIC_PACKET_MAX    4096u /* longer Initials are not read */
#define QUIC_PACKETS_MAX   8u
#define QUIC_DATAGRAMS_MAX 16u
#define QUIC_KEYS_MAX      8u  /* once for most; again behind a Retry, another version, by a client that tries again */
#define QUIC_PIECES_MAX    32u /* pieces of the hello with holes between; more are left out */
#define QUIC_WINDOW_MAX    16384u /* a longer window is not used further */

/* Ciphers and room to work in; used by one thread at a time. */
struct quic;

/* ERROR_MEMORY, or ERROR_UNSUPPORTED where libcrypto lacks AES-128-GCM or SHA-256. */
MUST_CHECK int quic_new(struct quic **out, struct error *e);
void quic_free(struct quic *q);

struct quic_keys {
    uint8_t key[QUIC_KEY], iv[QUIC_IV], header[QUIC_KEY];
};

struct quic_gather {
    /* After QUIC_HELLO and QUIC_TOO_LONG: the hello without its header of 4 bytes, in the window */
    const uint8_t *body;
    size_t body_len;

    uint32_t version; /* of the Initials; 0 before one could be read */

    /* Inside */
    uint8_t id_len, id[QUIC_ID_MAX]; /* that the keys are made of */
    uint8_t derived;                 /* how often keys were made */
    struct quic_keys keys;
    uint8_t *window;
    uint16_t size, datagrams, pieces;
    struct {
        uint16_t from, to;
    } piece[QUIC_PIECES_MAX]; /* in order, none touching the next */
};

enum quic_result {
    QUIC_NONE,     /* no Initial of a client's could be read in this datagram; others may still come */
    QUIC_MORE,     /* a part of the hello came */
    QUIC_HELLO,    /* the hello is whole */
    QUIC_TOO_LONG, /* it is longer than the window, which it has filled */
    QUIC_OVER      /* too many datagrams without a hello, or one that is none: this will not become anything */
};

/* The window is used until quic_read returned QUIC_HELLO, QUIC_TOO_LONG or QUIC_OVER (and after the first two the body
 * lies in it). */
void quic_gather_begin(struct quic_gather *g, void *window, size_t size);

/* Reads a datagram that the client sent. */
enum quic_result quic_read(struct quic *q, struct quic_gather *g, const void *datagram, size_t len);

#endif
