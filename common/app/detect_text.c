/* detect: protocols of lines of text. */
#include "common/app/detect_look.h"
#include "common/app/http.h"
#include <string.h>

/* How the beginning of what is here compares with a word: MORE if it is shorter and goes on alike. */
static enum detect_verdict begins(const uint8_t *at, size_t left, const char *word)
{
    if (left && *word && *at != (uint8_t)*word) /* most words, most times */
        return DETECT_NO;
    size_t len = strlen(word), n = left < len ? left : len;
    if (memcmp(at, word, n) != 0)
        return DETECT_NO;
    return n == len ? DETECT_YES : DETECT_MORE;
}

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - ('a' - 'A')) : c;
}

/* Whether a word, in capitals, stands in the first line, in any case; MORE while the line has not ended. */
static enum detect_verdict in_line(const struct detect_input *in, const char *word)
{
    size_t len = strlen(word), end = in->len < DETECT_BYTES ? in->len : DETECT_BYTES;
    for (size_t i = 0; i < end && in->data[i] != '\n'; i++) {
        size_t n = 0;
        while (n < len && i + n < end && upper(in->data[i + n]) == (uint8_t)word[n])
            n++;
        if (n == len)
            return DETECT_YES;
    }
    return memchr(in->data, '\n', end) ? DETECT_NO : DETECT_MORE;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* ------------------------------------------------------------------ a method and what it is for */

/* The worst of several words is NO, then MORE, then YES. */
static enum detect_verdict better(enum detect_verdict a, enum detect_verdict b)
{
    return a > b ? a : b;
}

/* One of the methods, a space, one of the targets. Both lists end with NULL. */
static enum detect_verdict request(const struct detect_input *in, const char *const *methods,
                                   const char *const *targets)
{
    enum detect_verdict best = DETECT_NO;
    if (in->data[0] < 'A' || in->data[0] > 'Z')
        return DETECT_NO;
    for (; *methods; methods++) {
        if ((uint8_t) * *methods != in->data[0])
            continue;
        enum detect_verdict v = begins(in->data, in->len, *methods);
        size_t at = v == DETECT_YES ? strlen(*methods) : 0;
        if (v == DETECT_YES && in->len == at)
            v = DETECT_MORE;
        else if (v == DETECT_YES && in->data[at] != ' ')
            v = DETECT_NO;
        else if (v == DETECT_YES) {
            v = in->len == ++at ? DETECT_MORE : DETECT_NO;
            for (const char *const *t = targets; *t && in->len > at; t++)
                v = better(v, begins(in->data + at, in->len - at, *t));
        }
        best = better(best, v);
    }
    return best;
}

/* Any word in capitals, a path, and the version behind it: a method that nobody has registered. */
static enum detect_verdict other_request(const struct detect_input *in)
{
    size_t n = 0;
    while (n < in->len && n < HTTP_METHOD_MAX && in->data[n] >= 'A' && in->data[n] <= 'Z')
        n++;
    if (n == 0 || (n < in->len && in->data[n] != ' ') || (n + 1 < in->len && in->data[n + 1] != '/'))
        return DETECT_NO;
    return n + 1 < in->len ? in_line(in, " HTTP/1.") : DETECT_MORE;
}

/* IANA's registry of HTTP methods, those that are met, and some of proxies' and of WebDAV's */
enum detect_verdict look_http_request(const struct detect_input *in)
{
    static const char *const methods[] = {"GET",       "HEAD",        "POST",     "PUT",        "DELETE",   "OPTIONS",
                                          "TRACE",     "PATCH",       "PROPFIND", "PROPPATCH",  "MKCOL",    "COPY",
                                          "MOVE",      "LOCK",        "UNLOCK",   "REPORT",     "SEARCH",   "PURGE",
                                          "LINK",      "UNLINK",      "MERGE",    "MKACTIVITY", "CHECKOUT", "NOTIFY",
                                          "SUBSCRIBE", "UNSUBSCRIBE", "M-SEARCH", "QUERY",      NULL};
    static const char *const targets[] = {"/", "http://", "https://", "HTTP://", "* HTTP/1.", NULL};
    static const char *const connect[] = {"CONNECT", NULL};
    enum detect_verdict v = request(in, connect, (const char *const[]){"", NULL});
    if (v == DETECT_YES) /* an authority: letters, digits, a bracket */
        v = in->data[8] > ' ' && in->data[8] < 0x7f ? DETECT_YES : DETECT_NO;
    v = better(v, request(in, methods, targets));
    return v == DETECT_YES ? v : better(v, other_request(in));
}

enum detect_verdict look_sip_request(const struct detect_input *in)
{
    static const char *const methods[] = {"INVITE",   "ACK",   "BYE",       "CANCEL", "OPTIONS",
                                          "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH",
                                          "INFO",     "REFER", "MESSAGE",   "UPDATE", NULL};
    static const char *const targets[] = {"sip:", "sips:", "tel:", NULL};
    return request(in, methods, targets);
}

enum detect_verdict look_rtsp_request(const struct detect_input *in)
{
    static const char *const methods[] = {"OPTIONS", "DESCRIBE", "SETUP", "PLAY", "ANNOUNCE", "GET_PARAMETER", NULL};
    static const char *const targets[] = {"rtsp://", "rtsps://", "* RTSP/", NULL};
    return request(in, methods, targets);
}

/* ------------------------------------------------------------------ greetings */

enum detect_verdict look_smtp_greeting(const struct detect_input *in)
{
    return in_line(in, "SMTP");
}

enum detect_verdict look_ftp_greeting(const struct detect_input *in)
{
    return in_line(in, "FTP");
}

enum detect_verdict look_pop3_greeting(const struct detect_input *in)
{
    return in_line(in, "POP");
}

/* ------------------------------------------------------------------ others */

/* A mark, digits, the end of a line; the offset behind them, or 0 and *v. */
static size_t counted(const struct detect_input *in, size_t at, char mark, enum detect_verdict *v)
{
    size_t first = at + 1;
    *v = DETECT_NO;
    if (at < in->len && in->data[at] != (uint8_t)mark)
        return 0;
    for (at = first; at < in->len && at < first + 4 && is_digit(in->data[at]); at++)
        ;
    if (at + 1 >= in->len) {
        *v = at >= in->len || in->data[at] == '\r' ? DETECT_MORE : DETECT_NO;
        return 0;
    }
    return at > first && in->data[at] == '\r' && in->data[at + 1] == '\n' ? at + 2 : 0;
}

/* RESP: "*2\r\n$4\r\n" */
enum detect_verdict look_redis(const struct detect_input *in)
{
    enum detect_verdict v;
    size_t at = counted(in, 0, '*', &v);
    if (at)
        at = counted(in, at, '$', &v);
    return at ? DETECT_YES : v;
}

/* "<34>", maybe behind the length that RFC 6587 puts before it. */
enum detect_verdict look_syslog(const struct detect_input *in)
{
    size_t at = 0, digits = 0;
    while (at < in->len && at < 5 && is_digit(in->data[at]))
        at++;
    if (at && at < in->len && in->data[at++] != ' ')
        return DETECT_NO;
    if (at < in->len && in->data[at++] != '<')
        return DETECT_NO;
    for (; at < in->len && digits < 3 && is_digit(in->data[at]); digits++)
        at++;
    if (at >= in->len)
        return DETECT_MORE;
    return digits && in->data[at] == '>' ? DETECT_YES : DETECT_NO;
}

/* "0032git-upload-pack /x" */
enum detect_verdict look_git(const struct detect_input *in)
{
    for (size_t i = 0; i < 4 && i < in->len; i++)
        if (!is_digit(in->data[i]) && !(in->data[i] >= 'a' && in->data[i] <= 'f'))
            return DETECT_NO;
    if (in->len <= 4)
        return DETECT_MORE;
    return better(begins(in->data + 4, in->len - 4, "git-upload-"), begins(in->data + 4, in->len - 4, "git-receive-"));
}

static enum detect_verdict somewhere(const struct detect_input *in, const char *word)
{
    size_t end = in->len < DETECT_BYTES ? in->len : DETECT_BYTES;
    return memmem(in->data, end, word, strlen(word)) ? DETECT_YES : DETECT_MORE;
}

enum detect_verdict look_xmpp(const struct detect_input *in)
{
    return somewhere(in, "<stream:stream");
}

enum detect_verdict look_oracle(const struct detect_input *in)
{
    return better(somewhere(in, "(DESCRIPTION="), somewhere(in, "(CONNECT_DATA="));
}

enum detect_verdict look_memcached(const struct detect_input *in)
{
    static const char *const words[] = {"get ",    "gets ", "set ",     "add ",   "replace ", "delete ",
                                        "incr ",   "stats", "version",  "VALUE ", "STAT ",    "STORED",
                                        "END\r\n", "ERROR", "VERSION ", NULL};
    enum detect_verdict best = DETECT_NO;
    for (const char *const *word = words; *word; word++)
        best = better(best, begins(in->data, in->len, *word));
    return best;
}

/* RFC 1350: a request for a file, and how. */
enum detect_verdict look_tftp(const struct detect_input *in)
{
    if (in->len < 4 || in->data[0] != 0 || (in->data[1] != 1 && in->data[1] != 2) || in->data[2] < ' ')
        return DETECT_NO;
    const uint8_t *mode = memchr(in->data + 2, 0, in->len - 2);
    size_t left = mode ? in->len - (size_t)(mode + 1 - in->data) : 0;
    return left >= 5 && (strncasecmp((const char *)mode + 1, "octet", 5) == 0 ||
                         (left >= 8 && strncasecmp((const char *)mode + 1, "netascii", 8) == 0))
               ? DETECT_YES
               : DETECT_NO;
}
