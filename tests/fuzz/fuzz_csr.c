/*
 * A request for a certificate from anybody: what is taken is signed, and the certificate says what we said, not what was
 * asked for. The same bytes as certificate and as key, too.
 */
#include "common/net/ca.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW_NS (UINT64_C(1800000000) * NS_PER_S)

static struct ca *authority(void)
{
    struct buffer key = {0}, certificate = {0};
    struct ca *ca = NULL;
    struct error e = ERROR_INIT;
    if (ca_new_key(&key, &e) || ca_new_root(ca_text_of(&key), "fuzz", NOW_NS, CA_ROOT_LIFE_NS, &certificate, &e) ||
        ca_open(ca_text_of(&certificate), ca_text_of(&key), &ca, &e))
        abort();
    buffer_free(&key);
    buffer_free(&certificate);
    return ca;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct ca *ca;
    const struct ca_text text = {.data = (const char *)data, .length = len};
    const struct ca_grant g = {.kind = IDENTITY_AGENT, .name = "us", .now_ns = NOW_NS, .life_ns = 60 * NS_PER_S};
    struct buffer certificate = {0};
    struct ca_request wish;
    struct identity made;
    struct error e = ERROR_INIT;
    if (!ca)
        ca = authority();
    int r = ca_read_request(text, &wish, &e);
    if (r && !e.text[0])
        abort();
    if ((r == 0) != (ca_sign(ca, text, &g, &certificate, &made, &e) == 0))
        abort();
    if (r == 0 && (made.kind != IDENTITY_AGENT || strcmp(made.name, "us") != 0 ||
                   memcmp(made.key_sha256, wish.key_sha256, 32) != 0))
        abort();
    (void)!ca_read_certificate(text, &made, &e);
    (void)!ca_check_pair(text, text, &e);
    buffer_free(&certificate);
    return 0;
}
