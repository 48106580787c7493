/* HTTP/1 (RFC 9112): first lines, and the headers that say most. */
#include "collector/ladder/said_inside.h"
#include <string.h>
#include <strings.h>

#define LINE_MAX_BYTES 8192u
#define METHOD_MAX     20u
#define VERSION        "HTTP/"
#define PREFACE        "PRI * HTTP/2.0" /* RFC 9113, 3.4 */

/* Methods of RFC 9110, 5789, WebDAV (RFC 4918, 3253, 5323, 3744, 4791) and UPnP: a line that is longer than the packet
 * is a request if it begins with one. */
static const char *const methods[] = {"GET",     "HEAD",        "POST",     "PUT",      "DELETE",     "CONNECT",
                                      "OPTIONS", "TRACE",       "PATCH",    "PROPFIND", "COPY",       "PROPPATCH",
                                      "MKCOL",   "MOVE",        "LOCK",     "UNLOCK",   "REPORT",     "SEARCH",
                                      "NOTIFY",  "SUBSCRIBE",   "PURGE",    "CHECKOUT", "MKACTIVITY", "MKCALENDAR",
                                      "MERGE",   "UNSUBSCRIBE", "M-SEARCH", NULL};

/* Bytes of the first line, without its end; `whole` tells whether that was seen. */
static size_t first_line(const uint8_t *data, size_t len, bool *whole)
{
    size_t most = len < LINE_MAX_BYTES ? len : LINE_MAX_BYTES;
    const uint8_t *end = memchr(data, '\n', most);
    *whole = end != NULL;
    size_t n = end ? (size_t)(end - data) : most;
    return n && data[n - 1] == '\r' ? n - 1 : n;
}

static bool known_method(const uint8_t *data, size_t len)
{
    for (const char *const *m = methods; *m; m++)
        if (strlen(*m) == len && memcmp(*m, data, len) == 0)
            return true;
    return false;
}

static bool is_version(const uint8_t *text, size_t len)
{
    return len > strlen(VERSION) && memcmp(text, VERSION, strlen(VERSION)) == 0;
}

static bool is_status(const uint8_t *line, size_t len)
{
    return is_version(line, len) && memchr(line, ' ', len) != NULL;
}

static bool is_request(const uint8_t *line, size_t len, bool whole)
{
    const uint8_t *space = memchr(line, ' ', len < METHOD_MAX ? len : METHOD_MAX);
    size_t method = space ? (size_t)(space - line) : 0;
    for (size_t i = 0; i < method; i++)
        if ((line[i] < 'A' || line[i] > 'Z') && line[i] != '-' && line[i] != '_')
            return false;
    if (method == 0)
        return false;
    if (!whole)
        return known_method(line, method);
    const uint8_t *last = memrchr(line, ' ', len);
    return last > space && is_version(last + 1, len - (size_t)(last + 1 - line));
}

/* The value of a header field in what there is of the message; 0 if it is not there. */
static size_t header(const uint8_t *data, size_t len, const char *name, const uint8_t **value)
{
    size_t name_len = strlen(name);
    for (bool whole = true; len && whole;) {
        size_t n = first_line(data, len, &whole);
        if (n == 0 || !whole)
            return 0;
        if (n > name_len && data[name_len] == ':' && strncasecmp((const char *)data, name, name_len) == 0) {
            size_t from = name_len + 1;
            while (from < n && data[from] == ' ')
                from++;
            *value = data + from;
            return n - from;
        }
        size_t line = (size_t)((const uint8_t *)memchr(data + n, '\n', len - n) + 1 - data);
        data += line;
        len -= line;
    }
    return 0;
}

static void add_header(struct words *w, const char *before, const uint8_t *data, size_t len, const char *name,
                       const char *behind)
{
    const uint8_t *value;
    size_t n = header(data, len, name, &value);
    if (n == 0)
        return;
    words_add(w, "%s", before);
    words_quote(w, value, n);
    words_add(w, "%s", behind);
}

bool said_http(const uint8_t *data, size_t len, struct words *w)
{
    bool whole, status;
    size_t n = first_line(data, len, &whole);
    status = is_status(data, n);
    bool preface = n == strlen(PREFACE) && memcmp(data, PREFACE, n) == 0;
    if (!status && !preface && !is_request(data, n, whole))
        return false;
    words_next(w, SAID_HTTP);
    words_quote(w, data, n);
    if (!whole) {
        words_add(w, "...");
        return true;
    }
    if (status) {
        add_header(w, ", ", data, len, "Content-Type", "");
        add_header(w, ", ", data, len, "Content-Length", " bytes");
    } else
        add_header(w, ", host ", data, len, "Host", "");
    return true;
}
