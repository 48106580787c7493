/* http: lines to heads, then lengths alone. */
#include "common/app/http_head.h"
#include <string.h>

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

void http_begin(struct http_reader *r, enum http_kind kind, struct http_head *head)
{
    *r = (struct http_reader){.kind = (uint8_t)kind, .state = STATE_START, .head = head};
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
static bool take_size(struct http_reader *r, struct http_line l)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < l.len && i < 16; i++) {
        char c = l.at[i];
        if (http_is_digit(c))
            n = n << 4 | (uint64_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            n = n << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
        else
            break;
    }
    if (!i || n > UINT64_MAX / 4 || (i < l.len && l.at[i] != ';' && !http_is_space(l.at[i])))
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

static bool take_line(struct http_reader *r, struct http_line l, enum http_event *event)
{
    switch (r->state) {
    case STATE_START:
        r->body = r->bytes = 0;
        r->head_bytes = 0;
        r->state = STATE_HEADERS;
        return http_head_begin(r->head, r->kind, l);
    case STATE_HEADERS:
        if (!l.len)
            return end_of_head(r, event);
        http_head_take(r->head, r->kind, l);
        return true;
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
    struct http_line l = {(const char *)data, taken - 1};
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
