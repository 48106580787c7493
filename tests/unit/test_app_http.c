/* http: what heads say, where messages end, and that it does not matter how bytes were cut. */
#include "common/app/http.h"
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a reader tells, as text: "GET / h=x|end 0|..." */
struct told {
    char text[4096];
    size_t len;
};

static void tell(struct told *t, const char *word, uint64_t number)
{
    t->len += (size_t)snprintf(t->text + t->len, sizeof t->text - t->len, "%s %llu|", word, (unsigned long long)number);
}

static void tell_head(struct told *t, const struct http_reader *r)
{
    const struct http_head *h = r->head;
    if (r->kind == HTTP_REQUEST)
        t->len +=
            (size_t)snprintf(t->text + t->len, sizeof t->text - t->len, "%s %s 1.%u", h->method, h->path, h->minor);
    else
        t->len += (size_t)snprintf(t->text + t->len, sizeof t->text - t->len, "%u 1.%u", h->status, h->minor);
    if (h->host_len)
        t->len += (size_t)snprintf(t->text + t->len, sizeof t->text - t->len, " host=%s", h->host);
    if (h->type_len)
        t->len += (size_t)snprintf(t->text + t->len, sizeof t->text - t->len, " type=%s", h->type);
    if (h->software_len)
        t->len += (size_t)snprintf(t->text + t->len, sizeof t->text - t->len, " by=%s", h->software);
    t->len += (size_t)snprintf(t->text + t->len, sizeof t->text - t->len, "%s%s|", h->close ? " close" : "",
                               h->upgrade ? " upgrade" : "");
}

/* Gives the bytes in pieces of `cut` (0: all at once), as a caller that keeps what is left. */
static void read_pieces(enum http_kind kind, const char *method, const char *bytes, size_t len, size_t cut,
                        struct told *t)
{
    struct http_head head;
    struct http_reader r;
    size_t begin = 0, end = 0;
    http_begin(&r, kind, &head);
    t->len = 0;
    t->text[0] = 0;
    while (end < len) {
        end = cut && end + cut < len ? end + cut : len;
        for (;;) {
            enum http_event event;
            size_t n = http_read(&r, (const uint8_t *)bytes + begin, end - begin, &event);
            begin += n;
            if (event == HTTP_MORE)
                break;
            if (event == HTTP_BROKEN) {
                tell(t, "broken", 0);
                return;
            }
            if (event == HTTP_END)
                tell(t, "end", r.body);
            if (event == HTTP_HEAD)
                tell_head(t, &r);
            if (event == HTTP_HEAD && kind == HTTP_REPLY && !http_reply_to(&r, method)) {
                tell(t, "switched", 0);
                return;
            }
        }
    }
    if (http_closed(&r))
        tell(t, "closed", r.body);
    else if (!http_between(&r))
        tell(t, "within", r.body);
}

static void check(enum http_kind kind, const char *method, const char *bytes, const char *want)
{
    struct told t;
    size_t len = strlen(bytes);
    for (size_t cut = 0; cut <= len; cut++) {
        read_pieces(kind, method, bytes, len, cut, &t);
        if (strcmp(t.text, want) != 0)
            fail_msg("cut %zu of\n%s\nis\n%s\nnot\n%s", cut, bytes, t.text, want);
    }
}

static void test_requests(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "GET / 1.1 host=a.example|end 0|"},
        {"\r\n\r\nGET /x?secret=1 HTTP/1.0\nhost:   b  \nuser-agent: curl/7 (x)\n\n",
         "GET /x 1.0 host=b by=curl/7 (x)|end 0|"},
        {"GET http://h.example:81/p/q?r HTTP/1.1\r\nHost: other\r\n\r\n", "GET /p/q 1.1 host=h.example:81|end 0|"},
        {"GET http://h.example HTTP/1.1\r\n\r\n", "GET / 1.1 host=h.example|end 0|"},
        {"CONNECT h.example:443 HTTP/1.1\r\n\r\n", "CONNECT h.example:443 1.1 host=h.example:443|end 0|"},
        {"OPTIONS * HTTP/1.1\r\nConnection: Close, x\r\n\r\n", "OPTIONS * 1.1 close|end 0|"},
        {"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloPUT /b HTTP/1.1\r\n\r\n",
         "POST /a 1.1|end 5|PUT /b 1.1|end 0|"},
        {"POST /a HTTP/1.1\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello", "POST /a 1.1|end 5|"},
        {"POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nhello", "POST /a 1.1|within 5|"},
        {"POST /a HTTP/1.1\r\nContent-Length: 00000000000000000000005\r\n\r\nhello", "POST /a 1.1|end 5|"},
        {"POST /c HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: "
         "v\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
         "POST /c 1.1|end 15|GET /d 1.1|end 0|"},
        {"GET /e HTTP/1.1\r\nX: 1\r\n folded: Host\r\nUpgrade: h2c\r\n\r\n", "GET /e 1.1 upgrade|end 0|"},
        {"GET /a b HTTP/1.1\r\n\r\n", "GET /a b 1.1|end 0|"},
        {"GET /\x01\xff HTTP/1.1\r\n\r\n", "GET /?? 1.1|end 0|"},
        /* Broken */
        {"GET /\r\n\r\n", "broken 0|"},
        {"GET / HTTP/2.0\r\n\r\n", "broken 0|"},
        {"G@T / HTTP/1.1\r\n\r\n", "broken 0|"},
        {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST / 1.1|broken 0|"},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "POST / 1.1|broken 0|"},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "POST / 1.1|broken 0|"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "POST / 1.1|broken 0|"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", "POST / 1.1|broken 0|"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "POST / 1.1|broken 0|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(HTTP_REQUEST, "", cases[i].bytes, cases[i].want);
}

static void test_replies(void **state)
{
    (void)state;
    static const struct {
        const char *method, *bytes, *want;
    } cases[] = {
        {"GET",
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/html; q\r\nServer: nginx\r\n\r\nhiHTTP/1.1 "
         "404\r\n\r\nx",
         "200 1.1 type=text/html; q by=nginx|end 2|404 1.1|closed 1|"},
        {"GET", "HTTP/1.0 200 OK\r\n\r\nuntil the end", "200 1.0|closed 13|"},
        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\nContent-Length: 1\r\n\r\nabc", "200 1.1|closed 3|"},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP/1.1 304 X\r\nContent-Length: 7\r\n\r\n",
         "200 1.1|end 0|304 1.1|end 0|"},
        {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\n",
         "100 1.1|end 0|204 1.1|end 0|"},
        {"GET", "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\nbinary", "101 1.1 upgrade|switched 0|"},
        {"CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbinary", "200 1.1|switched 0|"},
        {"CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\ntext", "403 1.1|end 4|"},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "200 1.1|within 5|"},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "200 1.1|end 0|"},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "200 1.1|broken 0|"},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: y\r\n\r\nabc", "200 1.1|closed 3|"},
        {"GET", "HTTP/1.1 2000 OK\r\n\r\n", "broken 0|"},
        {"GET", "HTTP/1.1 099 OK\r\n\r\n", "broken 0|"},
        {"GET", "ICY 200 OK\r\n\r\n", "broken 0|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(HTTP_REPLY, cases[i].method, cases[i].bytes, cases[i].want);
}

/* A line of `len` letters between two texts. */
static char *with_long_line(const char *before, size_t len, const char *after)
{
    char *text = malloc(strlen(before) + len + strlen(after) + 1);
    assert_non_null(text);
    size_t n = strlen(before);
    memcpy(text, before, n);
    memset(text + n, 'a', len);
    strcpy(text + n + len, after);
    return text;
}

static void check_long(const char *before, size_t len, const char *after, const char *want)
{
    static const size_t cuts[] = {0, 1, 7, 1000, HTTP_LINE_MAX - 1, HTTP_LINE_MAX, HTTP_LINE_MAX + 1};
    char *text = with_long_line(before, len, after);
    struct told t;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        read_pieces(HTTP_REQUEST, "", text, strlen(text), cuts[i], &t);
        if (strncmp(t.text, want, strlen(want)) != 0)
            fail_msg("cut %zu of a line of %zu is %s", cuts[i], len, t.text);
    }
    free(text);
}

static void test_limits(void **state)
{
    (void)state;
    /* a header line that is too long is passed over, */
    check_long("GET / HTTP/1.1\r\nHost: ", HTTP_LINE_MAX, "\r\nUser-Agent: u\r\n\r\n", "GET / 1.1 by=u|end 0|");
    check_long("GET / HTTP/1.1\r\nCookie: ", 3 * HTTP_LINE_MAX + 5, "\r\nHost: h\r\n\r\n", "GET / 1.1 host=h|end 0|");
    /* a first line that is ends it all; one that just fits does not, and what is kept of it is cut, */
    check_long("GET /", HTTP_LINE_MAX, " HTTP/1.1\r\n\r\n", "broken 0|");
    check_long("GET /", HTTP_LINE_MAX - 16, " HTTP/1.1\r\n\r\n", "GET /aaa");
    /* and so does a head without end. */
    check_long("GET / HTTP/1.1\r\nX: ", HTTP_HEAD_MAX, "\r\n\r\n", "broken 0|");
}

static void test_bodies_need_not_be_seen(void **state)
{
    (void)state;
    static const char head[] = "POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n";
    struct http_head h;
    struct http_reader r;
    enum http_event event;
    http_begin(&r, HTTP_REQUEST, &h);
    assert_int_equal(http_ahead(&r), 0);
    assert_int_equal(http_read(&r, (const uint8_t *)head, sizeof head - 1, &event), sizeof head - 1);
    assert_int_equal(event, HTTP_HEAD);
    assert_int_equal(http_ahead(&r), 1000);
    http_missed(&r, 999);
    assert_int_equal(http_ahead(&r), 1);
    assert_int_equal(http_read(&r, (const uint8_t *)"x", 1, &event), 1);
    assert_int_equal(event, HTTP_END);
    assert_int_equal(r.body, 1000);
    assert_int_equal(r.bytes, 1000 + sizeof head - 1);
}

static void test_beginnings(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool request, reply, maybe;
    } cases[] = {
        {"GET / HTTP/1.1", true, false, true},
        {"GET /", true, false, true},
        {"GET ", false, false, true},
        {"GE", false, false, true},
        {"M-SEARCH * HTTP/1.1", true, false, true},
        {"CONNECT x:1", true, false, true},
        {"GET http://", true, false, true},
        {"HTTP/1.1 200", false, true, true},
        {"HTTP/1", false, false, true},
        {"HTTP/2", false, false, false},
        {"USER ann\r\n", false, false, false},
        {"EHLO x", false, false, false},
        {"SSH-2.0-x", false, false, false},
        {"get / HTTP/1.1", false, false, false},
        {"\x16\x03\x01", false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
        size_t len = strlen(cases[i].bytes);
        if (http_begins(HTTP_REQUEST, bytes, len) != cases[i].request ||
            http_begins(HTTP_REPLY, bytes, len) != cases[i].reply || http_may_begin(bytes, len) != cases[i].maybe)
            fail_msg("%s", cases[i].bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),   cmocka_unit_test(test_replies),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_bodies_need_not_be_seen),
        cmocka_unit_test(test_beginnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
