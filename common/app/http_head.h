/*
 * http_head: what the lines of a head say (http.h).
 */
#ifndef FLEETDUMP_APP_HTTP_HEAD_H
#define FLEETDUMP_APP_HTTP_HEAD_H

#include "common/app/http.h"

/* Without its end. */
struct http_line {
    const char *at;
    size_t len;
};

static inline bool http_is_space(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool http_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The first line, which is not empty: forgets what the head said before. False: it is no request line, or status
 * line. */
bool http_head_begin(struct http_head *head, enum http_kind kind, struct http_line l);

/* A line that follows, and is not empty: what is not understood in it is passed over. */
void http_head_take(struct http_head *head, enum http_kind kind, struct http_line l);

#endif
