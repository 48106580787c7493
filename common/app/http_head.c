/* http_head: the lines of a head, and what begins as one. */
#include "common/app/http_head.h"
#include "common/base/utf8.h"
#include <string.h>
#include <strings.h>

#define VERSION_SIZE 8u /* HTTP/1.1 */

/* ---------------------------------------------------------------- words */

/* RFC 9110, 5.6.2 */
static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void keep(char *into, size_t most, uint16_t *len, const char *text, size_t text_len)
{
    size_t n = text_len < most ? text_len : most;
    memcpy(into, text, n);
    into[n] = 0;
    utf8_clean(into, n);
    *len = (uint16_t)n;
}

static struct http_line trim(struct http_line l)
{
    while (l.len && http_is_space(l.at[0])) {
        l.at++;
        l.len--;
    }
    while (l.len && http_is_space(l.at[l.len - 1]))
        l.len--;
    return l;
}

static bool is_word(struct http_line l, const char *word)
{
    return l.len == strlen(word) && strncasecmp(l.at, word, l.len) == 0;
}

/* The next of a list of words between commas, taken off its front; false at its end. */
static bool next_word(struct http_line *list, struct http_line *word)
{
    if (!list->len)
        return false;
    const char *comma = memchr(list->at, ',', list->len);
    size_t n = comma ? (size_t)(comma - list->at) : list->len;
    *word = trim((struct http_line){list->at, n});
    n += comma != NULL;
    list->at += n;
    list->len -= n;
    return true;
}

/* ---------------------------------------------------------------- first lines */

static bool take_version(const char *at, struct http_head *h)
{
    if (memcmp(at, "HTTP/1.", VERSION_SIZE - 1) != 0 || !http_is_digit(at[VERSION_SIZE - 1]))
        return false;
    h->minor = (uint8_t)(at[VERSION_SIZE - 1] - '0');
    return true;
}

/* http://host/path -> host, /path (RFC 9112, 3.2.2) */
static struct http_line take_authority(struct http_line target, struct http_head *h)
{
    size_t scheme = 0;
    while (scheme < target.len && (is_token(target.at[scheme])))
        scheme++;
    if (!scheme || target.len - scheme < 3 || memcmp(target.at + scheme, "://", 3) != 0)
        return target;
    struct http_line host = {target.at + scheme + 3, target.len - scheme - 3};
    const char *slash = memchr(host.at, '/', host.len);
    struct http_line path =
        slash ? (struct http_line){slash, (size_t)(host.at + host.len - slash)} : (struct http_line){"/", 1};
    if (slash)
        host.len = (size_t)(slash - host.at);
    keep(h->host, HTTP_HOST_MAX, &h->host_len, host.at, host.len);
    return path;
}

static void take_target(struct http_line target, struct http_head *h)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.at[i] == '?' || target.at[i] == '#')
            target.len = i;
    if (strcmp(h->method, "CONNECT") == 0)
        keep(h->host, HTTP_HOST_MAX, &h->host_len, target.at, target.len);
    else
        target = take_authority(target, h);
    keep(h->path, HTTP_PATH_MAX, &h->path_len, target.at, target.len);
}

/* method SP target SP version. What stands between the first space and the last is the target, though it should have none. */
static bool take_request_line(struct http_line l, struct http_head *h)
{
    size_t method = 0;
    while (method < l.len && method < HTTP_METHOD_MAX && is_token(l.at[method]))
        method++;
    if (!method || l.len < method + 1 + 1 + 1 + VERSION_SIZE || l.at[method] != ' ')
        return false;
    const char *version = l.at + l.len - VERSION_SIZE;
    if (version[-1] != ' ' || !take_version(version, h))
        return false;
    keep(h->method, HTTP_METHOD_MAX, &h->method_len, l.at, method);
    take_target((struct http_line){l.at + method + 1, l.len - method - 2 - VERSION_SIZE}, h);
    return true;
}

/* version SP 3DIGIT [SP reason] */
static bool take_status_line(struct http_line l, struct http_head *h)
{
    if (l.len < VERSION_SIZE + 4 || !take_version(l.at, h) || l.at[VERSION_SIZE] != ' ')
        return false;
    const char *digits = l.at + VERSION_SIZE + 1;
    if (!http_is_digit(digits[0]) || !http_is_digit(digits[1]) || !http_is_digit(digits[2]) ||
        (l.len > VERSION_SIZE + 4 && !http_is_space(digits[3])))
        return false;
    h->status = (uint16_t)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
    return h->status >= 100;
}

static void clear_head(struct http_head *h)
{
    h->minor = 0;
    h->status = 0;
    h->chunked = h->encoded = h->close = h->upgrade = h->confused = false;
    h->length = HTTP_LENGTH_NONE;
    h->method_len = h->path_len = h->host_len = h->type_len = h->software_len = 0;
    h->method[0] = h->path[0] = h->host[0] = h->type[0] = h->software[0] = 0;
}

bool http_head_begin(struct http_head *head, enum http_kind kind, struct http_line l)
{
    clear_head(head);
    return kind == HTTP_REQUEST ? take_request_line(l, head) : take_status_line(l, head);
}

/* ---------------------------------------------------------------- header lines */

static void take_host(struct http_head *h, struct http_line value)
{
    if (!h->host_len)
        keep(h->host, HTTP_HOST_MAX, &h->host_len, value.at, value.len);
}

static void take_type(struct http_head *h, struct http_line value)
{
    if (!h->type_len)
        keep(h->type, HTTP_TYPE_MAX, &h->type_len, value.at, value.len);
}

static void take_software(struct http_head *h, struct http_line value)
{
    if (!h->software_len)
        keep(h->software, HTTP_SOFTWARE_MAX, &h->software_len, value.at, value.len);
}

/* One number, or the same one several times (RFC 9112, 6.3). */
static bool read_length(struct http_head *h, struct http_line value)
{
    struct http_line word;
    if (!value.len)
        return false;
    while (next_word(&value, &word)) {
        uint64_t n = 0;
        while (word.len > 1 && word.at[0] == '0') {
            word.at++;
            word.len--;
        }
        if (!word.len || word.len > 18)
            return false;
        for (size_t i = 0; i < word.len; i++) {
            if (!http_is_digit(word.at[i]))
                return false;
            n = n * 10 + (uint64_t)(word.at[i] - '0');
        }
        if (h->length != HTTP_LENGTH_NONE && h->length != n)
            return false;
        h->length = n;
    }
    return true;
}

static void take_length(struct http_head *h, struct http_line value)
{
    h->confused |= !read_length(h, value);
}

static void take_encoding(struct http_head *h, struct http_line value)
{
    struct http_line word;
    while (next_word(&value, &word)) {
        if (!word.len)
            continue;
        h->encoded = true;
        h->chunked = is_word(word, "chunked");
    }
}

static void take_connection(struct http_head *h, struct http_line value)
{
    struct http_line word;
    while (next_word(&value, &word))
        h->close |= is_word(word, "close");
}

static void take_upgrade(struct http_head *h, struct http_line value)
{
    h->upgrade = value.len > 0;
}

static const struct header {
    const char *name;
    int kind; /* enum http_kind, or -1 for both */
    void (*take)(struct http_head *h, struct http_line value);
} headers[] = {
    {"Host", HTTP_REQUEST, take_host},     {"User-Agent", HTTP_REQUEST, take_software},
    {"Server", HTTP_REPLY, take_software}, {"Content-Type", HTTP_REPLY, take_type},
    {"Content-Length", -1, take_length},   {"Transfer-Encoding", -1, take_encoding},
    {"Connection", -1, take_connection},   {"Upgrade", -1, take_upgrade},
};

void http_head_take(struct http_head *head, enum http_kind kind, struct http_line l)
{
    const char *colon = memchr(l.at, ':', l.len);
    if (http_is_space(l.at[0]) || !colon) /* folded, or nothing that we know */
        return;
    struct http_line name = {l.at, (size_t)(colon - l.at)};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const struct header *h = &headers[i];
        if ((h->kind < 0 || h->kind == (int)kind) && is_word(name, h->name))
            h->take(head, trim((struct http_line){colon + 1, l.len - name.len - 1}));
    }
}

/* ---------------------------------------------------------------- beginnings */

/* Methods are words in capitals (RFC 9110, 9.1), with - and _ in some. */
static size_t method_length(const uint8_t *data, size_t len)
{
    size_t n = 0;
    while (n < len && n <= HTTP_METHOD_MAX && ((data[n] >= 'A' && data[n] <= 'Z') || data[n] == '-' || data[n] == '_'))
        n++;
    return n;
}

static bool starts(const uint8_t *data, size_t len, const char *word)
{
    size_t n = strlen(word);
    return len < n ? memcmp(data, word, len) == 0 : memcmp(data, word, n) == 0;
}

/* Of a target: a path, a URI, or "*"; a host and port only of CONNECT. */
static bool target_may_begin(const uint8_t *data, size_t len)
{
    return starts(data, len, "/") || starts(data, len, "http") || starts(data, len, "* ");
}

static bool request_may_begin(const uint8_t *data, size_t len)
{
    size_t method = method_length(data, len);
    if (method == len)
        return len <= HTTP_METHOD_MAX;
    if (method < 3 || method > HTTP_METHOD_MAX || data[method] != ' ')
        return false;
    return starts(data, method, "CONNECT") || target_may_begin(data + method + 1, len - method - 1);
}

bool http_may_begin(const uint8_t *data, size_t len)
{
    return starts(data, len, "HTTP/1.") || request_may_begin(data, len);
}

bool http_begins(enum http_kind kind, const uint8_t *data, size_t len)
{
    if (kind == HTTP_REPLY)
        return len >= VERSION_SIZE - 1 && starts(data, len, "HTTP/1.");
    return method_length(data, len) + 1 < len && request_may_begin(data, len);
}

bool http_cut_request(const uint8_t *data, size_t len, struct http_head *out)
{
    clear_head(out);
    out->minor = HTTP_MINOR_NONE;
    if (!http_begins(HTTP_REQUEST, data, len))
        return false;
    size_t method = method_length(data, len);
    struct http_line target = {(const char *)data + method + 1, len - method - 1};
    const char *space = memchr(target.at, ' ', target.len);
    if (space)
        target.len = (size_t)(space - target.at);
    keep(out->method, HTTP_METHOD_MAX, &out->method_len, (const char *)data, method);
    take_target(target, out);
    return true;
}
