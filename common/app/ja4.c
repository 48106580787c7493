/* tls: JA4, the fingerprint of a client's hello. */
#include "common/app/tls.h"
#include "common/base/hash.h"
#include <stdio.h>
#include <string.h>

#define COUNT_MAX    99u
#define DIGEST_CHARS 12u
#define ENTRY_CHARS  5u /* four digits and a comma */
#define NOTHING      "000000000000"

struct numbers {
    uint16_t at[JA4_LIST_MAX];
    size_t count;
};

static bool put(struct numbers *n, uint16_t value)
{
    if (n->count == JA4_LIST_MAX)
        return false;
    n->at[n->count++] = value;
    return true;
}

static bool put_list(struct numbers *n, const struct tls_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (!tls_is_grease(tls_u16(list, i)) && !put(n, tls_u16(list, i)))
            return false;
    return true;
}

/* Few, and bounded: no allocation, as qsort may do. */
static void sort(struct numbers *n)
{
    for (size_t i = 1; i < n->count; i++) {
        uint16_t value = n->at[i];
        size_t place = i;
        for (; place && n->at[place - 1] > value; place--)
            n->at[place] = n->at[place - 1];
        n->at[place] = value;
    }
}

/* "1301,1302" at `text`; returns its length. */
static size_t join(const struct numbers *n, char *text)
{
    static const char digits[] = "0123456789abcdef";
    char *p = text;
    for (size_t i = 0; i < n->count; i++) {
        if (i)
            *p++ = ',';
        for (int shift = 12; shift >= 0; shift -= 4)
            *p++ = digits[n->at[i] >> shift & 0xf];
    }
    return (size_t)(p - text);
}

static bool digest(const char *a, size_t a_len, const char *b, size_t b_len, char out[DIGEST_CHARS + 1])
{
    uint8_t sum[HASH_SHA256_SIZE];
    if (!hash_sha256(a, a_len, b, b_len, sum))
        return false;
    for (size_t i = 0; i < DIGEST_CHARS / 2; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", sum[i]);
    return true;
}

static const char *version_of(uint16_t version)
{
    static const struct {
        uint16_t version;
        const char *text;
    } versions[] = {{0x0304, "13"}, {0x0303, "12"}, {0x0302, "11"}, {0x0301, "10"}, {0x0300, "s3"},
                    {0x0002, "s2"}, {0xfeff, "d1"}, {0xfefd, "d2"}, {0xfefc, "d3"}};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (versions[i].version == version)
            return versions[i].text;
    return "00";
}

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* First and last character of the first protocol; of its bytes in hexadecimal, if one of these is no letter or digit. */
static void alpn_of(struct bytes list, char out[2])
{
    static const char digits[] = "0123456789abcdef";
    struct bytes protocol;
    memset(out, '0', 2);
    if (!tls_alpn_next(&list, &protocol) || bytes_left(&protocol) == 0)
        return;
    uint8_t letters[2] = {protocol.p[0], protocol.end[-1]};
    if (is_alphanumeric(letters[0]) && is_alphanumeric(letters[1])) {
        memcpy(out, letters, 2);
        return;
    }
    out[0] = digits[letters[0] >> 4];
    out[1] = digits[letters[1] & 0xf];
}

/* All but GREASE; `hashed` lacks the two that have places of their own. */
static bool put_extensions(const struct tls_client_hello *h, struct numbers *hashed, size_t *count)
{
    struct bytes rest = h->extensions, data;
    uint16_t type;
    for (*count = 0; tls_extension_next(&rest, &type, &data);) {
        if (tls_is_grease(type))
            continue;
        ++*count;
        if (type != TLS_EXTENSION_SERVER_NAME && type != TLS_EXTENSION_ALPN && !put(hashed, type))
            return false;
    }
    return true;
}

static unsigned capped(size_t count)
{
    return count < COUNT_MAX ? (unsigned)count : COUNT_MAX;
}

/* A list that is empty has no hash but zeros. */
static bool second_part(const struct numbers *ciphers, char out[DIGEST_CHARS + 1])
{
    char text[JA4_LIST_MAX * ENTRY_CHARS];
    memcpy(out, NOTHING, sizeof NOTHING);
    return ciphers->count == 0 || digest(text, join(ciphers, text), "", 0, out);
}

static bool third_part(const struct numbers *extensions, const struct numbers *signatures, char out[DIGEST_CHARS + 1])
{
    char text[JA4_LIST_MAX * ENTRY_CHARS], behind[1 + JA4_LIST_MAX * ENTRY_CHARS] = "_";
    size_t len = join(extensions, text), behind_len = join(signatures, behind + 1);
    memcpy(out, NOTHING, sizeof NOTHING);
    return len == 0 || digest(text, len, behind, behind_len ? behind_len + 1 : 0, out);
}

bool tls_ja4(const struct tls_client_hello *h, enum ja4_transport transport, char out[JA4_SIZE])
{
    struct numbers ciphers = {.count = 0}, extensions = {.count = 0}, signatures = {.count = 0};
    char second[DIGEST_CHARS + 1], third[DIGEST_CHARS + 1], alpn[2];
    size_t count;
    out[0] = '\0';
    if (!put_list(&ciphers, &h->ciphers) || !put_extensions(h, &extensions, &count) ||
        !put_list(&signatures, &h->signatures))
        return false;
    sort(&ciphers);
    sort(&extensions);
    if (!second_part(&ciphers, second) || !third_part(&extensions, &signatures, third))
        return false;
    alpn_of(h->alpn, alpn);
    (void)snprintf(out, JA4_SIZE, "%c%s%c%02u%02u%c%c_%s_%s", (char)transport, version_of(h->version),
                   h->has_server_name ? 'd' : 'i', capped(ciphers.count), capped(count), alpn[0], alpn[1], second,
                   third);
    return true;
}
