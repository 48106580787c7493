/*
 * http: reads one direction of an HTTP/1 connection (RFC 9112): heads as they come, a line at a time, and bodies
 * without a look at them.
 *
 * Bytes are given in order. Only whole lines are taken, so the caller keeps a line that has not ended yet, of at most
 * HTTP_LINE_MAX bytes, and gives it again with what follows; everything else is taken at once. What is told does not
 * depend on how the bytes were cut.
 *
 *     for (;;) {
 *         size_t n = http_read(&r, data, len, &event);
 *         ... HTTP_HEAD: r.head is filled in; of a reply, http_reply_to comes next
 *         ... HTTP_END: the message is over, r.body bytes of body; the next one may follow
 *         ... HTTP_MORE: nothing more to tell of these bytes; HTTP_BROKEN: and of no others
 *     }
 *
 * Leniently read: empty lines before a message, lines that end in LF alone, folded lines (which are passed over).
 * Broken: what is no request or status line, what follows a head whose lengths contradict each other, chunk sizes that
 * are none, a first line beyond HTTP_LINE_MAX, a head beyond HTTP_HEAD_MAX. A header line beyond HTTP_LINE_MAX is
 * passed over.
 *
 * Pure: no memory but the caller's.
 */
#ifndef FLEETDUMP_APP_HTTP_H
#define FLEETDUMP_APP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_LINE_MAX     8192u /* servers take no longer ones by default */
#define HTTP_HEAD_MAX     262144u
#define HTTP_METHOD_MAX   31u
#define HTTP_PATH_MAX     1023u /* kept of a path; likewise below */
#define HTTP_HOST_MAX     255u
#define HTTP_TYPE_MAX     127u
#define HTTP_SOFTWARE_MAX 255u
#define HTTP_LENGTH_NONE  UINT64_MAX

/* What a head said; texts are clean UTF-8 and end in a 0 byte. */
struct http_head {
    uint8_t minor; /* of HTTP/1.minor */
    uint16_t status;
    bool chunked;                                                    /* Transfer-Encoding ends in chunked */
    bool encoded;                                                    /* there was a Transfer-Encoding */
    bool close;                                                      /* Connection: close */
    bool upgrade;                                                    /* Upgrade was there */
    bool confused;                                                   /* Content-Length is no number, or several */
    uint64_t length;                                                 /* Content-Length, or HTTP_LENGTH_NONE */
    uint16_t method_len, path_len, host_len, type_len, software_len; /* 0: not said */
    char method[HTTP_METHOD_MAX + 1];
    char path[HTTP_PATH_MAX + 1]; /* without the query; of CONNECT host and port, which is also the form of `host` */
    char host[HTTP_HOST_MAX + 1];
    char type[HTTP_TYPE_MAX + 1];         /* Content-Type */
    char software[HTTP_SOFTWARE_MAX + 1]; /* User-Agent, Server */
};

enum http_kind { HTTP_REQUEST, HTTP_REPLY };
enum http_event { HTTP_MORE, HTTP_HEAD, HTTP_END, HTTP_BROKEN };

struct http_reader {
    uint8_t kind;  /* enum http_kind */
    uint8_t state; /* see http.c */
    bool passing;  /* the rest of a line that is too long */
    uint32_t head_bytes;
    uint64_t left;  /* of the body, or of its chunk; UINT64_MAX: until the connection is closed */
    uint64_t body;  /* bytes of this message's body so far, without what chunks add */
    uint64_t bytes; /* of this message so far: all */
    /* where heads are put; the caller's, who may put another in its place that has the same content */
    struct http_head *head;
};

void http_begin(struct http_reader *r, enum http_kind kind, struct http_head *head);

/* Takes bytes until there is something to tell; returns how many. */
size_t http_read(struct http_reader *r, const uint8_t *data, size_t len, enum http_event *event);

/* After HTTP_HEAD of a reply: which method it answers ("" if that is not known), as it decides about the body. False:
 * there is none, the connection is no HTTP any more in either direction (101, or 2xx for CONNECT). */
bool http_reply_to(struct http_reader *r, const char *method);

/* How many of the bytes that come next would only be counted; UINT64_MAX: all. */
uint64_t http_ahead(const struct http_reader *r);

/* n bytes that nobody saw, at most http_ahead. */
void http_missed(struct http_reader *r, uint64_t n);

/* The sender has closed: whether a message that only this ends is over by it. */
bool http_closed(struct http_reader *r);

/* Nothing of a message was read yet; a head has begun, and not ended. */
bool http_between(const struct http_reader *r);
bool http_in_head(const struct http_reader *r);

/* Of a request of whose first line there is only the beginning: its method, and its target as far as that goes; `minor`
 * is HTTP_MINOR_NONE. False: it is none. */
#define HTTP_MINOR_NONE UINT8_MAX
bool http_cut_request(const uint8_t *data, size_t len, struct http_head *out);

/* Whether a message begins with these bytes, a request line's or a status line's; false also if there are too few to
 * say. */
bool http_begins(enum http_kind kind, const uint8_t *data, size_t len);
/* Whether it would with more of them. */
bool http_may_begin(const uint8_t *data, size_t len);

#endif
