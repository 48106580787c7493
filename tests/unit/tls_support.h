/* tls_support: an authority and certificates under it, in a folder, for tests that speak TLS. */
#ifndef FLEETDUMP_TESTS_TLS_SUPPORT_H
#define FLEETDUMP_TESTS_TLS_SUPPORT_H

#include "common/net/ca.h"
#include "common/net/tls.h"

struct test_ca {
    struct buffer key, certificate;
    struct ca *ca;
    uint64_t now_ns;
};

/* Makes one, good for some years. */
void test_ca_make(struct test_ca *ca, const char *name);
void test_ca_free(struct test_ca *ca);

/* A certificate of that identity, good from that time on for that long, and its key. */
void test_certificate(const struct test_ca *ca, uint8_t kind, const char *name, uint64_t from_ns, uint64_t life_ns,
                      struct buffer *certificate, struct buffer *key);

/* Writes ca.pem (of `trusted`), cert.pem and key.pem for tls_load_folder. */
void test_tls_write(const char *folder, const struct test_ca *trusted, const struct buffer *certificate,
                    const struct buffer *key);

/* All of it at once, good now: of `ca`, trusting `trusted`. tls_unref it. */
struct tls *test_tls(const struct test_ca *ca, const struct test_ca *trusted, uint8_t kind, const char *name);

#endif
