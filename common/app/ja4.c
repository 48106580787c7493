/* tls: JA4, the fingerprint of a client's hello. */
#include "common/app/tls.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX    99u
#define DIGEST_CHARS 12u
#define ENTRY_CHARS  5u /* four digits and a comma */

struct numbers {
    uint16_t at[JA4_LIST_MAX];
    size_t count;
};

struct ja4 {
    struct hash_sha *sha;
    struct numbers ciphers, extensions, signatures;
    char text[JA4_LIST_MAX * ENTRY_CHARS], behind[1 + JA4_LIST_MAX * ENTRY_CHARS];
};

static const char digits[] = "0123456789abcdef";

struct ja4 *ja4_new(void)
{
    struct ja4 *j = calloc(1, sizeof *j);
    if (j)
        j->sha = hash_sha_new();
    if (j && j->sha)
        return j;
    ja4_free(j);
    return NULL;
}

void ja4_free(struct ja4 *j)
{
    if (!j)
        return;
    hash_sha_free(j->sha);
    free(j);
}

static bool put(struct numbers *n, uint16_t value)
{
    if (n->count == JA4_LIST_MAX)
        return false;
    n->at[n->count++] = value;
    return true;
}

static bool put_list(struct numbers *n, const struct tls_list *list)
{
    n->count = 0;
    for (size_t i = 0; i < list->count; i++) {
        uint16_t value = tls_u16(list, i);
        if (!tls_is_grease(value) && !put(n, value))
            return false;
    }
    return true;
}

/* Shell's, with Ciura's gaps: most lists are short, none is slow, and nothing is allocated, as qsort may do. */
static void sort(struct numbers *n)
{
    static const size_t gaps[] = {132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        size_t gap = gaps[g];
        for (size_t i = gap; i < n->count; i++) {
            uint16_t value = n->at[i];
            size_t place = i;
            for (; place >= gap && n->at[place - gap] > value; place -= gap)
                n->at[place] = n->at[place - gap];
            n->at[place] = value;
        }
    }
}

/* "1301,1302" at `text`; returns its length. */
static size_t join(const struct numbers *n, char *text)
{
    char *p = text;
    for (size_t i = 0; i < n->count; i++, p += ENTRY_CHARS) {
        uint16_t value = n->at[i];
        p[0] = digits[value >> 12];
        p[1] = digits[value >> 8 & 0xf];
        p[2] = digits[value >> 4 & 0xf];
        p[3] = digits[value & 0xf];
        p[4] = ',';
    }
    return n->count ? (size_t)(p - text) - 1 : 0;
}

/* "_" and the beginning of the sum, in hexadecimal; of an empty list zeros. */
static bool add_digest(struct ja4 *j, size_t len, size_t behind_len, char out[1 + DIGEST_CHARS])
{
    uint8_t sum[HASH_SHA256_SIZE] = {0};
    if (len && !hash_sha(j->sha, j->text, len, j->behind, behind_len, sum))
        return false;
    *out++ = '_';
    for (size_t i = 0; i < DIGEST_CHARS / 2; i++) {
        *out++ = digits[sum[i] >> 4];
        *out++ = digits[sum[i] & 0xf];
    }
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
    hashed->count = 0;
    for (*count = 0; tls_extension_next(&rest, &type, &data);) {
        if (tls_is_grease(type))
            continue;
        ++*count;
        if (type != TLS_EXTENSION_SERVER_NAME && type != TLS_EXTENSION_ALPN && !put(hashed, type))
            return false;
    }
    return true;
}

static void put_count(size_t count, char out[2])
{
    unsigned capped = count < COUNT_MAX ? (unsigned)count : COUNT_MAX;
    out[0] = digits[capped / 10];
    out[1] = digits[capped % 10];
}

bool tls_ja4(struct ja4 *j, const struct tls_client_hello *h, enum ja4_transport transport, char out[JA4_SIZE])
{
    size_t count;
    out[0] = '\0';
    if (!put_list(&j->ciphers, &h->ciphers) || !put_extensions(h, &j->extensions, &count) ||
        !put_list(&j->signatures, &h->signatures))
        return false;
    sort(&j->ciphers);
    sort(&j->extensions);
    if (!add_digest(j, join(&j->ciphers, j->text), 0, out + 10))
        return false;
    j->behind[0] = '_';
    size_t behind_len = join(&j->signatures, j->behind + 1);
    if (!add_digest(j, join(&j->extensions, j->text), behind_len ? behind_len + 1 : 0, out + 10 + 1 + DIGEST_CHARS)) {
        out[0] = '\0';
        return false;
    }
    out[0] = (char)transport;
    memcpy(out + 1, version_of(h->version), 2);
    out[3] = h->has_server_name ? 'd' : 'i';
    put_count(j->ciphers.count, out + 4);
    put_count(count, out + 6);
    alpn_of(h->alpn, out + 8);
    out[JA4_SIZE - 1] = '\0';
    return true;
}
