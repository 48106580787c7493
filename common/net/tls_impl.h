/*
 * tls_impl: one connection's TLS, bytes in and bytes out, without any loop or socket. For common/net alone.
 *
 * What came from the peer is given by tls_feed and must then be consumed, by tls_handshake and tls_read until they say
 * that they want more. What is to be sent to the peer gathers in `out`, to be taken after each call, also after one
 * that failed: it may hold the alert that tells the peer why.
 */
#ifndef FLEETDUMP_NET_TLS_IMPL_H
#define FLEETDUMP_NET_TLS_IMPL_H

#include "common/base/buffer.h"
#include "common/net/tls.h"

#include <openssl/ssl.h>

#define TLS_CHAIN_MAX (32u << 10) /* bytes of a peer's certificates */
#define TLS_OUT_MAX   (2u << 20)  /* bytes to send that one call may make */

struct tls {
    unsigned refs;
    char *ca, *cert, *key; /* names of files; NULL for joining */
    char *crl;             /* likewise; NULL: no lists */
    bool crl_may_lack;
    uint64_t crl_until_ns; /* tls_crl_until_ns */
    int kind;              /* that our certificate must be of; IDENTITY_NONE: any */
    bool joining;
    uint8_t ca_sha256[32]; /* joining: what is known of the other end's CA */
    SSL_CTX *context;
    struct identity identity;
};

/* A context for either end, without certificates. */
MUST_CHECK int tls_context_new(struct tls *t, SSL_CTX **out, struct error *e);

struct tls_link {
    struct tls *tls; /* referred to by the stream */
    SSL *ssl;
    struct buffer out;
    const uint8_t *in; /* given by tls_feed */
    size_t in_left;
    bool accepts;             /* we are the server */
    bool begun;               /* something came */
    bool plain;               /* and it was no TLS */
    bool ended;               /* the peer said that it sends no more */
    struct identity identity; /* of the peer, known once the handshake is done */
    struct error refusal;     /* why its certificate was not accepted */
    /* of one that our CA signed and that was not accepted for its dates alone; nobody has shown that he has its key */
    struct identity late;
};

MUST_CHECK int tls_link_new(struct tls *t, bool accepts, struct tls_link **out, struct error *e);
void tls_link_free(struct tls_link *l); /* NULL is taken */

void tls_feed(struct tls_link *l, const void *data, size_t length);

/* The errors of these say what is wrong with the peer, without naming it. ERROR_REFUSED: it, or we, were not accepted;
 * ERROR_INVALID: it does not speak TLS as it should. */

/* 1 once the handshake is done, 0 as long as more must come. */
MUST_CHECK int tls_handshake(struct tls_link *l, struct error *e);

/* Bytes of text that came, or 0 if more must come, or the peer has `ended`. */
MUST_CHECK int tls_read(struct tls_link *l, void *data, size_t size, struct error *e);

MUST_CHECK int tls_write(struct tls_link *l, const void *data, size_t length, struct error *e);

/* Judges the peer's certificate once more, by what is loaded now, whatever its dates. ERROR_REFUSED. */
MUST_CHECK int tls_judge_again(struct tls_link *l, struct error *e);

/* Says that nothing more will be sent. */
void tls_end(struct tls_link *l);

/* Whether the first byte of a connection can be one of TLS. */
bool tls_is_record(uint8_t first);

#endif
