/* http: lines to heads, then lengths alone. */
#include "common/app/http.h"
#include "common/base/utf8.h"
#include <string.h>
#include <strings.h>

enum {
    STATE_START, /* a message, or empty lines before it */
    STATE_HEADERS,
    STATE_DECIDE,    /* of a reply: http_reply_to */
    STATE_BODY,      /* `left` bytes */
    STATE_SIZE,      /* the line with a chunk's size */
    STATE_CHUNK,     /* `left` bytes */
    STATE_CHUNK_END, /* the empty line behind them */
    STATE_TRAILERS,
    STATE_END, /* to be told */
    STATE_BROKEN,
};

struct line {
    const char *at;
    size_t len;
};

void http_begin(struct http_reader *r, enum http_kind kind, struct http_head *head)
{
    *r = (struct http_reader){.kind = (uint8_t)kind, .state = STATE_START, .head = head};
}

/* ---------------------------------------------------------------- words */

/* RFC 9110, 5.6.2 */
static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void keep(char *into, size_t most, uint16_t *len, const char *text, size_t text_len)
{
    size_t n = text_len < most ? text_len : most;
    memcpy(into, text, n);
    into[n] = 0;
    utf8_clean(into, n);
    *len = (uint16_t)n;
}

static struct line trim(struct line l)
{
    while (l.len && is_space(l.at[0])) {
        l.at++;
        l.len--;
    }
    while (l.len && is_space(l.at[l.len - 1]))
        l.len--;
    return l;
}

static bool is_word(struct line l, const char *word)
{
    return l.len == strlen(word) && strncasecmp(l.at, word, l.len) == 0;
}

/* The next of a list of words between commas, taken off its front; false at its end. */
static bool next_word(struct line *list, struct line *word)
{
    if (!list->len)
        return false;
    const char *comma = memchr(list->at, ',', list->len);
    size_t n = comma ? (size_t)(comma - list->at) : list->len;
    *word = trim((struct line){list->at, n});
    n += comma != NULL;
    list->at += n;
    list->len -= n;
    return true;
}

/* ---------------------------------------------------------------- first lines */

#define VERSION_SIZE 8u /* HTTP/1.1 */

static bool take_version(const char *at, struct http_head *h)
{
    if (memcmp(at, "HTTP/1.", VERSION_SIZE - 1) != 0 || !is_digit(at[VERSION_SIZE - 1]))
        return false;
    h->minor = (uint8_t)(at[VERSION_SIZE - 1] - '0');
    return true;
}

/* http://host/path -> host, /path (RFC 9112, 3.2.2) */
static struct line take_authority(struct line target, struct http_head *h)
{
    size_t scheme = 0;
    while (scheme < target.len && (is_token(target.at[scheme])))
        scheme++;
    if (!scheme || target.len - scheme < 3 || memcmp(target.at + scheme, "://", 3) != 0)
        return target;
    struct line host = {target.at + scheme + 3, target.len - scheme - 3};
    const char *slash = memchr(host.at, '/', host.len);
    struct line path = slash ? (struct line){slash, (size_t)(host.at + host.len - slash)} : (struct line){"/", 1};
    if (slash)
        host.len = (size_t)(slash - host.at);
    keep(h->host, HTTP_HOST_MAX, &h->host_len, host.at, host.len);
    return path;
}

static void take_target(struct line target, struct http_head *h)
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
static bool take_request_line(struct line l, struct http_head *h)
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
    take_target((struct line){l.at + method + 1, l.len - method - 2 - VERSION_SIZE}, h);
    return true;
}

/* version SP 3DIGIT [SP reason] */
static bool take_status_line(struct line l, struct http_head *h)
{
    if (l.len < VERSION_SIZE + 4 || !take_version(l.at, h) || l.at[VERSION_SIZE] != ' ')
        return false;
    const char *digits = l.at + VERSION_SIZE + 1;
    if (!is_digit(digits[0]) || !is_digit(digits[1]) || !is_digit(digits[2]) ||
        (l.len > VERSION_SIZE + 4 && !is_space(digits[3])))
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

/* A line of the right length that begins as a message does; empty lines before it were passed over. */
static bool take_first_line(struct http_reader *r, struct line l)
{
    struct http_head *h = r->head;
    clear_head(h);
    return r->kind == HTTP_REQUEST ? take_request_line(l, h) : take_status_line(l, h);
}

/* ---------------------------------------------------------------- header lines */

static bool take_host(struct http_head *h, struct line value)
{
    if (!h->host_len)
        keep(h->host, HTTP_HOST_MAX, &h->host_len, value.at, value.len);
    return true;
}

static bool take_type(struct http_head *h, struct line value)
{
    if (!h->type_len)
        keep(h->type, HTTP_TYPE_MAX, &h->type_len, value.at, value.len);
    return true;
}

static bool take_software(struct http_head *h, struct line value)
{
    if (!h->software_len)
        keep(h->software, HTTP_SOFTWARE_MAX, &h->software_len, value.at, value.len);
    return true;
}

/* One number, or the same one several times (RFC 9112, 6.3). */
static bool read_length(struct http_head *h, struct line value)
{
    struct line word;
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
            if (!is_digit(word.at[i]))
                return false;
            n = n * 10 + (uint64_t)(word.at[i] - '0');
        }
        if (h->length != HTTP_LENGTH_NONE && h->length != n)
            return false;
        h->length = n;
    }
    return true;
}

static bool take_length(struct http_head *h, struct line value)
{
    h->confused |= !read_length(h, value);
    return true;
}

static bool take_encoding(struct http_head *h, struct line value)
{
    struct line word;
    while (next_word(&value, &word)) {
        if (!word.len)
            continue;
        h->encoded = true;
        h->chunked = is_word(word, "chunked");
    }
    return true;
}

static bool take_connection(struct http_head *h, struct line value)
{
    struct line word;
    while (next_word(&value, &word))
        h->close |= is_word(word, "close");
    return true;
}

static bool take_upgrade(struct http_head *h, struct line value)
{
    h->upgrade = value.len > 0;
    return true;
}

static const struct header {
    const char *name;
    int kind; /* enum http_kind, or -1 for both */
    bool (*take)(struct http_head *h, struct line value);
} headers[] = {
    {"Host", HTTP_REQUEST, take_host},     {"User-Agent", HTTP_REQUEST, take_software},
    {"Server", HTTP_REPLY, take_software}, {"Content-Type", HTTP_REPLY, take_type},
    {"Content-Length", -1, take_length},   {"Transfer-Encoding", -1, take_encoding},
    {"Connection", -1, take_connection},   {"Upgrade", -1, take_upgrade},
};

static bool take_header(struct http_reader *r, struct line l)
{
    const char *colon = memchr(l.at, ':', l.len);
    if (is_space(l.at[0]) || !colon) /* folded, or nothing that we know */
        return true;
    struct line name = {l.at, (size_t)(colon - l.at)};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const struct header *h = &headers[i];
        if ((h->kind < 0 || h->kind == r->kind) && is_word(name, h->name))
            return h->take(r->head, trim((struct line){colon + 1, l.len - name.len - 1}));
    }
    return true;
}

/* ---------------------------------------------------------------- bodies */

static void expect(struct http_reader *r, uint64_t left)
{
    r->left = left;
    r->state = left ? STATE_BODY : STATE_END;
}

/* RFC 9112, 6.3, from its fourth rule on */
static void expect_body(struct http_reader *r)
{
    const struct http_head *h = r->head;
    if (h->chunked)
        r->state = STATE_SIZE;
    else if (!h->encoded && h->confused)
        r->state = STATE_BROKEN;
    else if (!h->encoded && h->length != HTTP_LENGTH_NONE)
        expect(r, h->length);
    else
        expect(r, r->kind == HTTP_REPLY ? UINT64_MAX : 0);
}

bool http_reply_to(struct http_reader *r, const char *method)
{
    unsigned status = r->head->status;
    if (status == 101 || (status / 100 == 2 && strcmp(method, "CONNECT") == 0)) {
        r->state = STATE_END;
        return false;
    }
    if (strcmp(method, "HEAD") == 0 || status / 100 == 1 || status == 204 || status == 304)
        expect(r, 0);
    else
        expect_body(r);
    return true;
}

/* chunk-size [chunk-ext] */
static bool take_size(struct http_reader *r, struct line l)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < l.len && i < 16; i++) {
        char c = l.at[i];
        if (is_digit(c))
            n = n << 4 | (uint64_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            n = n << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
        else
            break;
    }
    if (!i || n > UINT64_MAX / 4 || (i < l.len && l.at[i] != ';' && !is_space(l.at[i])))
        return false;
    r->left = n;
    r->head_bytes = 0;
    r->state = n ? STATE_CHUNK : STATE_TRAILERS;
    return true;
}

/* ---------------------------------------------------------------- lines */

static bool end_of_head(struct http_reader *r, enum http_event *event)
{
    *event = HTTP_HEAD;
    r->state = STATE_DECIDE;
    if (r->kind == HTTP_REQUEST)
        expect_body(r);
    return true;
}

static bool take_line(struct http_reader *r, struct line l, enum http_event *event)
{
    switch (r->state) {
    case STATE_START:
        r->body = r->bytes = 0;
        r->head_bytes = 0;
        r->state = STATE_HEADERS;
        return take_first_line(r, l);
    case STATE_HEADERS:
        return l.len ? take_header(r, l) : end_of_head(r, event);
    case STATE_SIZE:
        return take_size(r, l);
    case STATE_CHUNK_END:
        r->state = STATE_SIZE;
        return !l.len;
    default: /* STATE_TRAILERS */
        if (!l.len)
            r->state = STATE_END;
        return true;
    }
}

static bool is_line_state(uint8_t state)
{
    return state == STATE_START || state == STATE_HEADERS || state == STATE_SIZE || state == STATE_CHUNK_END ||
           state == STATE_TRAILERS;
}

/* Too long to be kept: headers and trailers do without. */
static bool may_pass(const struct http_reader *r)
{
    return r->state == STATE_HEADERS || r->state == STATE_TRAILERS;
}

static size_t broken(struct http_reader *r, enum http_event *event)
{
    r->state = STATE_BROKEN;
    *event = HTTP_BROKEN;
    return 0;
}

static bool count_head(struct http_reader *r, size_t n)
{
    r->head_bytes = n < HTTP_HEAD_MAX - r->head_bytes ? r->head_bytes + (uint32_t)n : HTTP_HEAD_MAX;
    return r->head_bytes < HTTP_HEAD_MAX;
}

/* One line of at most HTTP_LINE_MAX bytes with its end, or a part of one that is longer; 0: it has not ended yet. */
static size_t read_line(struct http_reader *r, const uint8_t *data, size_t len, enum http_event *event)
{
    size_t most = !r->passing && len > HTTP_LINE_MAX ? HTTP_LINE_MAX : len;
    const uint8_t *end = memchr(data, '\n', most);
    size_t taken = end ? (size_t)(end - data) + 1 : most;
    if (!end && !r->passing) {
        if (most < HTTP_LINE_MAX)
            return 0;
        if (!may_pass(r))
            return broken(r, event);
        r->passing = true;
    }
    bool is_whole = !r->passing;
    if (end)
        r->passing = false;
    struct line l = {(const char *)data, taken - 1};
    if (is_whole && l.len && l.at[l.len - 1] == '\r')
        l.len--;
    if (is_whole && r->state == STATE_START && !l.len)
        return taken;
    if ((is_whole && !take_line(r, l, event)) || (may_pass(r) && !count_head(r, taken)))
        return broken(r, event);
    r->bytes += taken;
    return taken;
}

static void body_counted(struct http_reader *r, uint64_t n)
{
    r->body += n;
    r->bytes += n;
    if (r->left == UINT64_MAX)
        return;
    r->left -= n;
    if (!r->left)
        r->state = r->state == STATE_CHUNK ? STATE_CHUNK_END : STATE_END;
}

size_t http_read(struct http_reader *r, const uint8_t *data, size_t len, enum http_event *event)
{
    size_t taken = 0;
    *event = HTTP_MORE;
    while (*event == HTTP_MORE) {
        if (r->state == STATE_END) {
            r->state = STATE_START;
            *event = HTTP_END;
        } else if (r->state == STATE_BROKEN || r->state == STATE_DECIDE) {
            (void)broken(r, event);
        } else if (taken == len) {
            break;
        } else if (is_line_state(r->state)) {
            size_t n = read_line(r, data + taken, len - taken, event);
            if (!n)
                break;
            taken += n;
        } else {
            uint64_t n = r->left < len - taken ? r->left : len - taken;
            body_counted(r, n);
            taken += (size_t)n;
        }
    }
    return taken;
}

uint64_t http_ahead(const struct http_reader *r)
{
    return r->state == STATE_BODY || r->state == STATE_CHUNK ? r->left : 0;
}

void http_missed(struct http_reader *r, uint64_t n)
{
    body_counted(r, n);
}

bool http_closed(struct http_reader *r)
{
    if (r->state != STATE_BODY || r->left != UINT64_MAX)
        return false;
    r->state = STATE_START;
    return true;
}

bool http_between(const struct http_reader *r)
{
    return r->state == STATE_START;
}

bool http_in_head(const struct http_reader *r)
{
    return r->state == STATE_HEADERS;
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
    struct line target = {(const char *)data + method + 1, len - method - 1};
    const char *space = memchr(target.at, ' ', target.len);
    if (space)
        target.len = (size_t)(space - target.at);
    keep(out->method, HTTP_METHOD_MAX, &out->method_len, (const char *)data, method);
    take_target(target, out);
    return true;
}
