/* signature: the blob, and what OpenSSL's EVP does with it. */
#include "common/net/signature.h"

#include "common/base/bytes.h"
#include "common/base/units.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define VERSION         1u
#define OPERATOR_PREFIX "fleetdump operator 1\n"
#define KEY_WORD        "fleetdump-key"
#define CERTIFICATE     "fleetdump-certificate"
#define LINE_MAX_BYTES  512u
#define WORDS_MAX       8u

static const struct {
    enum signature_purpose purpose;
    const char *prefix;
} purposes[] = {{SIGNATURE_ORDER, "fleetdump order 1\n"}, {SIGNATURE_CHECK, "fleetdump check 1\n"}};
#define PURPOSES (sizeof purposes / sizeof *purposes)

/* What stands in a signature. */
struct parts {
    const uint8_t *key, *value;
    bool certified;
    struct signature_certificate certificate;
};

bool signature_name_is_good(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-");
    return n > 0 && n <= SIGNATURE_NAME_MAX && !name[n];
}

/* ---------------------------------------------------------------- Ed25519 */

static int failed(struct error *e)
{
    return error_set(e, ERROR_SYSTEM, "OpenSSL does not do Ed25519 here");
}

static int sign(const struct signature_key *k, const struct buffer *message, uint8_t value[SIGNATURE_VALUE_SIZE],
                struct error *e)
{
    size_t size = SIGNATURE_VALUE_SIZE;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, k->secret, SIGNATURE_KEY_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = key && context && !message->failed && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestSign(context, value, &size, message->data, message->len) == 1 && size == SIGNATURE_VALUE_SIZE;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good ? 0 : failed(e);
}

static bool verifies(const uint8_t key[SIGNATURE_KEY_SIZE], const struct buffer *message,
                     const uint8_t value[SIGNATURE_VALUE_SIZE])
{
    EVP_PKEY *k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, SIGNATURE_KEY_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = k && context && !message->failed && EVP_DigestVerifyInit(context, NULL, NULL, NULL, k) == 1 &&
                EVP_DigestVerify(context, value, SIGNATURE_VALUE_SIZE, message->data, message->len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(k);
    return good;
}

static int public_half(struct signature_key *k, struct error *e)
{
    size_t size = SIGNATURE_KEY_SIZE;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, k->secret, SIGNATURE_KEY_SIZE);
    bool good = key && EVP_PKEY_get_raw_public_key(key, k->key, &size) == 1 && size == SIGNATURE_KEY_SIZE;
    EVP_PKEY_free(key);
    return good ? 0 : failed(e);
}

int signature_key_new(struct signature_key *k, struct error *e)
{
    size_t size = SIGNATURE_KEY_SIZE;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    bool good = key && EVP_PKEY_get_raw_private_key(key, k->secret, &size) == 1 && size == SIGNATURE_KEY_SIZE;
    EVP_PKEY_free(key);
    return good ? public_half(k, e) : failed(e);
}

/* ---------------------------------------------------------------- text */

/* Base64 of n bytes (n is at most SIGNATURE_VALUE_SIZE), in the one way that it is written. */
static bool from_base64(const char *text, uint8_t *data, size_t n)
{
    uint8_t raw[SIGNATURE_VALUE_SIZE + 3];
    char again[4 * (sizeof raw / 3) + 5];
    size_t len = 4 * ((n + 2) / 3);
    if (strlen(text) != len || EVP_DecodeBlock(raw, (const uint8_t *)text, (int)len) < (int)n)
        return false;
    (void)EVP_EncodeBlock((uint8_t *)again, raw, (int)n);
    if (strcmp(again, text) != 0)
        return false;
    memcpy(data, raw, n);
    return true;
}

static void put_base64(struct buffer *out, const uint8_t *data, size_t n)
{
    char text[4 * ((SIGNATURE_VALUE_SIZE + 2) / 3) + 1];
    (void)EVP_EncodeBlock((uint8_t *)text, data, (int)n);
    buffer_printf(out, "%s", text);
}

char *signature_key_text(const uint8_t key[SIGNATURE_KEY_SIZE], char buf[SIGNATURE_KEY_TEXT])
{
    (void)EVP_EncodeBlock((uint8_t *)buf, key, (int)SIGNATURE_KEY_SIZE);
    return buf;
}

int signature_key_from_text(const char *text, uint8_t key[SIGNATURE_KEY_SIZE], struct error *e)
{
    if (from_base64(text, key, SIGNATURE_KEY_SIZE))
        return 0;
    return error_set(e, ERROR_INVALID, "'%.60s' is no key: that is 44 characters, as `fleetdump key show` prints them",
                     text);
}

/* The words of a line, in `line`, whose white space becomes zeros; -1: too many. */
static int split(char *line, char *words[WORDS_MAX])
{
    int n = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word; word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (n == (int)WORDS_MAX)
            return -1;
        words[n++] = word;
    }
    return n;
}

/* One line of a text, copied; false if it is too long or holds zeros. */
static bool copy_line(const char *text, size_t len, char line[LINE_MAX_BYTES])
{
    if (len >= LINE_MAX_BYTES || memchr(text, 0, len))
        return false;
    memcpy(line, text, len);
    line[len] = 0;
    return true;
}

void signature_key_write(const struct signature_key *k, struct buffer *out)
{
    buffer_printf(out, KEY_WORD " %u ", VERSION);
    put_base64(out, k->secret, SIGNATURE_KEY_SIZE);
    buffer_u8(out, '\n');
}

int signature_key_read(const char *text, size_t len, struct signature_key *k, struct error *e)
{
    char line[LINE_MAX_BYTES], *words[WORDS_MAX];
    bool good = copy_line(text, len, line) && split(line, words) == 3 && strcmp(words[0], KEY_WORD) == 0 &&
                strcmp(words[1], "1") == 0 && from_base64(words[2], k->secret, SIGNATURE_KEY_SIZE);
    OPENSSL_cleanse(line, sizeof line);
    return good ? public_half(k, e) : error_set(e, ERROR_INVALID, "this is no key that `fleetdump key new` made");
}

void signature_certificate_write(const struct signature_certificate *c, struct buffer *out)
{
    buffer_printf(out, CERTIFICATE " %u %s %llu ", VERSION, c->name, (unsigned long long)c->not_after_ns);
    put_base64(out, c->operator_key, SIGNATURE_KEY_SIZE);
    buffer_u8(out, ' ');
    put_base64(out, c->organisation, SIGNATURE_KEY_SIZE);
    buffer_u8(out, ' ');
    put_base64(out, c->value, SIGNATURE_VALUE_SIZE);
    buffer_u8(out, '\n');
}

static bool read_number(const char *text, uint64_t *value)
{
    *value = 0;
    if (!*text)
        return false;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(*value, 10u, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*text - '0'), value))
            return false;
    return true;
}

int signature_certificate_read(const char *text, size_t len, struct signature_certificate *c, struct error *e)
{
    char line[LINE_MAX_BYTES], *words[WORDS_MAX];
    *c = (struct signature_certificate){0};
    bool good = copy_line(text, len, line) && split(line, words) == 7 && strcmp(words[0], CERTIFICATE) == 0 &&
                strcmp(words[1], "1") == 0 && signature_name_is_good(words[2]) &&
                read_number(words[3], &c->not_after_ns) && from_base64(words[4], c->operator_key, SIGNATURE_KEY_SIZE) &&
                from_base64(words[5], c->organisation, SIGNATURE_KEY_SIZE) &&
                from_base64(words[6], c->value, SIGNATURE_VALUE_SIZE);
    if (!good)
        return error_set(e, ERROR_INVALID, "this is no certificate that `fleetdump key certify` made");
    memcpy(c->name, words[2], strlen(words[2]) + 1);
    return 0;
}

/* ---------------------------------------------------------------- certificates */

static void put_claim(struct buffer *out, const uint8_t *key, const struct signature_certificate *c)
{
    size_t len = strlen(c->name);
    buffer_append(out, OPERATOR_PREFIX, sizeof OPERATOR_PREFIX - 1);
    buffer_append(out, key, SIGNATURE_KEY_SIZE);
    buffer_le64(out, c->not_after_ns);
    buffer_u8(out, (uint8_t)len);
    buffer_append(out, c->name, len);
}

int signature_certify(const struct signature_key *organisation, const uint8_t operator_key[SIGNATURE_KEY_SIZE],
                      const char *name, uint64_t not_after_ns, struct signature_certificate *c, struct error *e)
{
    struct buffer claim = {.limit = LINE_MAX_BYTES};
    *c = (struct signature_certificate){.not_after_ns = not_after_ns};
    if (!signature_name_is_good(name))
        return error_set(e, ERROR_USAGE, "'%.60s' is no operator's name: up to %u letters, digits and ._@+-", name,
                         SIGNATURE_NAME_MAX);
    memcpy(c->name, name, strlen(name) + 1);
    memcpy(c->operator_key, operator_key, SIGNATURE_KEY_SIZE);
    memcpy(c->organisation, organisation->key, SIGNATURE_KEY_SIZE);
    put_claim(&claim, operator_key, c);
    int r = sign(organisation, &claim, c->value, e);
    buffer_free(&claim);
    return r;
}

/* ---------------------------------------------------------------- operators */

static int add_operator(struct signature_operators *o, int count, char *words[WORDS_MAX], struct error *e)
{
    bool organisation = count > 0 && strcmp(words[0], "organisation") == 0;
    if (count != 3 || (!organisation && strcmp(words[0], "operator") != 0))
        return error_set(e, ERROR_INVALID, "expected 'operator NAME KEY' or 'organisation NAME KEY'");
    if (!signature_name_is_good(words[1]))
        return error_set(e, ERROR_INVALID, "'%.60s' is no name: up to %u letters, digits and ._@+-", words[1],
                         SIGNATURE_NAME_MAX);
    if (o->count == SIGNATURE_OPERATORS_MAX)
        return error_set(e, ERROR_LIMIT, "more than %u keys", SIGNATURE_OPERATORS_MAX);
    struct signature_trusted *grown = reallocarray(o->items, o->count + 1, sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for operators");
    o->items = grown;
    struct signature_trusted *t = &grown[o->count];
    *t = (struct signature_trusted){.organisation = organisation};
    memcpy(t->name, words[1], strlen(words[1]) + 1);
    int r = signature_key_from_text(words[2], t->key, e);
    o->count += r == 0;
    return r;
}

static int read_line(const char *text, size_t len, struct signature_operators *o, struct error *e)
{
    char line[LINE_MAX_BYTES], *words[WORDS_MAX];
    if (!copy_line(text, len, line))
        return error_set(e, ERROR_INVALID, "longer than %u bytes, or no text", LINE_MAX_BYTES - 1);
    line[strcspn(line, "#")] = 0;
    int n = split(line, words);
    return n == 0 ? 0 : add_operator(o, n, words, e);
}

int signature_operators_read(const char *name, const char *text, size_t len, struct signature_operators *o,
                             struct error *e)
{
    size_t number = 1;
    *o = (struct signature_operators){0};
    if (len > SIGNATURE_OPERATORS_BYTES)
        return error_set(e, ERROR_LIMIT, "%s: more than %u bytes", name, SIGNATURE_OPERATORS_BYTES);
    for (const char *p = text, *end = text + len; p < end; number++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = stop ? (size_t)(stop - p) : (size_t)(end - p);
        if (read_line(p, n, o, e))
            return error_prefix(e, "%s:%zu", name, number);
        p += n + 1;
    }
    return 0;
}

void signature_operators_free(struct signature_operators *o)
{
    free(o->items);
    *o = (struct signature_operators){0};
}

/* ---------------------------------------------------------------- signing, verifying */

static struct buffer message_of(const char *prefix, const void *bytes, size_t len)
{
    struct buffer m = {.limit = NET_FRAME_MAX};
    buffer_append(&m, prefix, strlen(prefix));
    buffer_append(&m, bytes, len);
    return m;
}

static const char *prefix_of(enum signature_purpose purpose)
{
    return purposes[purpose == SIGNATURE_CHECK].prefix;
}

static void put_certificate(struct buffer *out, const struct signature_certificate *c)
{
    size_t len = strlen(c->name);
    buffer_le64(out, c->not_after_ns);
    buffer_u8(out, (uint8_t)len);
    buffer_append(out, c->name, len);
    buffer_append(out, c->organisation, SIGNATURE_KEY_SIZE);
    buffer_append(out, c->value, SIGNATURE_VALUE_SIZE);
}

int signature_sign(const struct signature_key *k, const struct signature_certificate *certificate,
                   enum signature_purpose purpose, const void *bytes, size_t len,
                   uint8_t signature[REQUEST_SIGNATURE_MAX], uint32_t *length, struct error *e)
{
    uint8_t value[SIGNATURE_VALUE_SIZE];
    struct buffer out = {.limit = REQUEST_SIGNATURE_MAX}, message = message_of(prefix_of(purpose), bytes, len);
    if (certificate && memcmp(certificate->operator_key, k->key, SIGNATURE_KEY_SIZE) != 0) {
        buffer_free(&message);
        return error_set(e, ERROR_CONFLICT, "the certificate is for another key");
    }
    int r = sign(k, &message, value, e);
    buffer_free(&message);
    buffer_u8(&out, VERSION);
    buffer_append(&out, k->key, SIGNATURE_KEY_SIZE);
    buffer_append(&out, value, sizeof value);
    if (certificate)
        put_certificate(&out, certificate);
    if (!r && out.failed)
        r = error_set(e, ERROR_MEMORY, "no memory for a signature");
    if (!r) {
        memcpy(signature, out.data, out.len);
        *length = (uint32_t)out.len;
    }
    buffer_free(&out);
    return r;
}

static bool take_certificate(struct bytes *b, const uint8_t *key, struct signature_certificate *c)
{
    c->not_after_ns = bytes_le64(b);
    size_t len = bytes_u8(b);
    const uint8_t *name = len <= SIGNATURE_NAME_MAX ? bytes_take(b, len) : NULL;
    const uint8_t *organisation = bytes_take(b, SIGNATURE_KEY_SIZE), *value = bytes_take(b, SIGNATURE_VALUE_SIZE);
    if (!name || !organisation || !value)
        return false;
    memcpy(c->name, name, len);
    memcpy(c->operator_key, key, SIGNATURE_KEY_SIZE);
    memcpy(c->organisation, organisation, SIGNATURE_KEY_SIZE);
    memcpy(c->value, value, SIGNATURE_VALUE_SIZE);
    return strlen(c->name) == len && signature_name_is_good(c->name);
}

static bool take_apart(const uint8_t *signature, size_t length, struct parts *p)
{
    struct bytes b = bytes_of(signature, length);
    *p = (struct parts){0};
    if (length > REQUEST_SIGNATURE_MAX || bytes_u8(&b) != VERSION)
        return false;
    p->key = bytes_take(&b, SIGNATURE_KEY_SIZE);
    p->value = bytes_take(&b, SIGNATURE_VALUE_SIZE);
    p->certified = bytes_left(&b) > 0;
    if (p->certified && !take_certificate(&b, p->key, &p->certificate))
        return false;
    return !b.bad && p->value && bytes_left(&b) == 0;
}

static const struct signature_trusted *find(const struct signature_operators *o, bool organisation, const uint8_t *key)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->items[i].organisation == organisation && memcmp(o->items[i].key, key, SIGNATURE_KEY_SIZE) == 0)
            return &o->items[i];
    return NULL;
}

static int check_certificate(const struct signature_operators *o, const struct signature_certificate *c,
                             uint64_t now_ns, struct error *e)
{
    char when[64];
    struct buffer claim = {.limit = LINE_MAX_BYTES};
    put_claim(&claim, c->operator_key, c);
    bool good = verifies(c->organisation, &claim, c->value);
    buffer_free(&claim);
    if (!good)
        return error_set(e, ERROR_REFUSED, "the certificate of %s's key is forged or damaged", c->name);
    if (now_ns > c->not_after_ns)
        return error_set(e, ERROR_REFUSED, "the certificate of %s's key was good until %s", c->name,
                         units_format_time(c->not_after_ns, when, sizeof when));
    if (!find(o, true, c->organisation))
        return error_set(e, ERROR_NOT_FOUND,
                         "the key of %s is certified by an organisation that this host does not know", c->name);
    return 0;
}

/* The host's own file is asked first. */
static int who_is(const struct signature_operators *o, const struct parts *p, uint64_t now_ns,
                  char who[SIGNATURE_NAME_MAX + 1], struct error *e)
{
    char text[SIGNATURE_KEY_TEXT];
    const struct signature_trusted *known = find(o, false, p->key);
    int r = known || !p->certified ? 0 : check_certificate(o, &p->certificate, now_ns, e);
    if (!known && !p->certified)
        r = error_set(e, ERROR_NOT_FOUND,
                      "signed with the key %s, which is none of those that this host trusts%s: put the line that "
                      "`fleetdump key show` prints into its file of operators",
                      signature_key_text(p->key, text), o->count ? "" : ", which are none at all");
    if (!r)
        memcpy(who, known ? known->name : p->certificate.name, SIGNATURE_NAME_MAX + 1);
    return r;
}

/* For one of the purposes, whoever has the key. */
static bool is_signed(const struct parts *p, unsigned wanted, const void *bytes, size_t len)
{
    bool good = false;
    for (size_t i = 0; !good && i < PURPOSES; i++) {
        struct buffer message = message_of(purposes[i].prefix, bytes, len);
        good = (wanted & (unsigned)purposes[i].purpose) && verifies(p->key, &message, p->value);
        buffer_free(&message);
    }
    return good;
}

int signature_verify(const struct signature_operators *o, unsigned wanted, const void *bytes, size_t len,
                     const uint8_t *signature, size_t length, uint64_t now_ns, char who[SIGNATURE_NAME_MAX + 1],
                     struct error *e)
{
    struct parts p;
    who[0] = 0;
    if (!take_apart(signature, length, &p))
        return error_set(e, ERROR_INVALID, "its signature of %zu bytes is none of a form that is known here", length);
    int r = who_is(o, &p, now_ns, who, e);
    if ((r == 0 || r == ERROR_NOT_FOUND) && !is_signed(&p, wanted, bytes, len)) {
        r = error_set(e, ERROR_REFUSED,
                      "%s has not signed this: something was changed on the way, or it was signed for "
                      "another purpose",
                      who[0] ? who : "the owner of its key, who is not known here,");
        who[0] = 0;
    }
    return r;
}
