#include "common/net/token.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/net/ca.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PREFIX    "fd1-"
#define CHECK     4u
#define BYTES_MAX (1u + 32u + TOKEN_SECRET_SIZE + 2u + TOKEN_ADDRESS_MAX + HEAD_NAME_MAX + CHECK)

_Static_assert(sizeof PREFIX + (BYTES_MAX * 4 + 2) / 3 <= TOKEN_TEXT_MAX, "the longest token fits");

int token_draw(struct token *t, struct error *e)
{
    if (getrandom(t->secret, sizeof t->secret, 0) == (ssize_t)sizeof t->secret)
        return 0;
    return error_set(e, ERROR_SYSTEM, "no random numbers for a token");
}

static void sha256_of(const void *data, size_t length, uint8_t sha256[32])
{
    if (EVP_Digest(data, length, sha256, NULL, EVP_sha256(), NULL) != 1)
        memset(sha256, 0, 32); /* without memory: no token is known by that */
}

void token_hash(const uint8_t secret[TOKEN_SECRET_SIZE], uint8_t sha256[32])
{
    sha256_of(secret, TOKEN_SECRET_SIZE, sha256);
}

/* ------------------------------------------------------------------ base64url */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(const uint8_t *data, size_t length, char *text)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | data[i];
        for (have += 8; have >= 6; have -= 6)
            *text++ = alphabet[bits >> (have - 6) & 63];
    }
    if (have)
        *text++ = alphabet[bits << (6 - have) & 63];
    *text = 0;
}

/* The one way in which these bytes are written, or false. */
static bool decode(const char *text, size_t length, uint8_t *data, size_t *bytes)
{
    uint32_t bits = 0;
    unsigned have = 0;
    *bytes = 0;
    for (size_t i = 0; i < length; i++) {
        const char *digit = strchr(alphabet, text[i]);
        if (!digit || !*digit)
            return false;
        bits = (bits << 6 | (uint32_t)(digit - alphabet)) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            data[(*bytes)++] = (uint8_t)(bits >> have);
        }
    }
    return have < 6 && (bits & ((1u << have) - 1)) == 0;
}

/* ------------------------------------------------------------------ fields */

static void put_text(struct buffer *b, const char *text)
{
    buffer_u8(b, (uint8_t)strlen(text));
    buffer_append(b, text, strlen(text));
}

static bool take_text(struct bytes *b, char *text)
{
    uint8_t length = bytes_u8(b);
    const uint8_t *p = bytes_take(b, length);
    if (!p)
        return false;
    for (size_t i = 0; i < length; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    memcpy(text, p, length);
    text[length] = 0;
    return length > 0;
}

int token_format(const struct token *t, char text[TOKEN_TEXT_MAX], struct error *e)
{
    struct buffer b = {.limit = BYTES_MAX};
    uint8_t check[32];
    int r = identity_check_name(t->name, e);
    if (r)
        return r;
    buffer_u8(&b, t->kind);
    buffer_append(&b, t->ca_sha256, sizeof t->ca_sha256);
    buffer_append(&b, t->secret, sizeof t->secret);
    put_text(&b, t->collector);
    put_text(&b, t->name);
    sha256_of(b.data, b.len, check);
    buffer_append(&b, check, CHECK);
    if (b.failed)
        r = error_set(e, ERROR_MEMORY, "no memory for a token");
    if (r == 0) {
        memcpy(text, PREFIX, sizeof PREFIX);
        encode(b.data, b.len, text + strlen(PREFIX));
    }
    buffer_free(&b);
    return r;
}

static int read_bytes(const uint8_t *data, size_t length, struct token *t, struct error *e)
{
    uint8_t check[32];
    struct bytes b = bytes_of(data, length > CHECK ? length - CHECK : 0);
    if (length > CHECK)
        sha256_of(data, length - CHECK, check);
    if (length <= CHECK || memcmp(check, data + length - CHECK, CHECK) != 0)
        return error_set(e, ERROR_INVALID, "this token is not whole or has a slip in it: copy all of it");
    t->kind = bytes_u8(&b);
    const uint8_t *ca = bytes_take(&b, sizeof t->ca_sha256), *secret = bytes_take(&b, sizeof t->secret);
    bool good = ca && secret && take_text(&b, t->collector) && take_text(&b, t->name) && bytes_left(&b) == 0 && !b.bad;
    if (!good || (t->kind != IDENTITY_AGENT && t->kind != IDENTITY_USER) || identity_check_name(t->name, NULL) != 0)
        return error_set(e, ERROR_INVALID, "this token says nothing that makes sense: have a new one made");
    memcpy(t->ca_sha256, ca, sizeof t->ca_sha256);
    memcpy(t->secret, secret, sizeof t->secret);
    return 0;
}

int token_parse(const char *text, struct token *t, struct error *e)
{
    uint8_t data[TOKEN_TEXT_MAX];
    size_t bytes = 0;
    *t = (struct token){.kind = IDENTITY_NONE};
    text += strspn(text, " \t\r\n");
    size_t length = strcspn(text, " \t\r\n");
    if (text[length + strspn(text + length, " \t\r\n")])
        return error_set(e, ERROR_INVALID, "a token is one word, without spaces in it");
    if (length > 4 && memcmp(text, "fd", 2) == 0 && text[2] != '1' && text[3] == '-')
        return error_set(e, ERROR_VERSION,
                         "this token is of another version of fleetdump: use the same release as the "
                         "collector's");
    if (length < strlen(PREFIX) || memcmp(text, PREFIX, strlen(PREFIX)) != 0)
        return error_set(e, ERROR_INVALID, "this is no token: it begins with \"" PREFIX "\"");
    if (length >= TOKEN_TEXT_MAX)
        return error_set(e, ERROR_LIMIT, "this is no token: it is longer than %u characters", TOKEN_TEXT_MAX - 1);
    if (!decode(text + strlen(PREFIX), length - strlen(PREFIX), data, &bytes))
        return error_set(e, ERROR_INVALID, "this token is not whole or has a slip in it: copy all of it");
    int r = read_bytes(data, bytes, t, e);
    if (r)
        *t = (struct token){.kind = IDENTITY_NONE};
    return r;
}
