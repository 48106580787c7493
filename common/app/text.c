#include "common/app/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CUT "..."

struct app_text app_text_in(char *at, size_t room)
{
    at[0] = '\0';
    return (struct app_text){.at = at, .room = room};
}

/* A piece goes in as a whole or not at all, so that no escape is torn. */
static void append(struct app_text *t, const char *piece, size_t len)
{
    if (t->cut)
        return;
    t->cut = len > t->room - 1 - t->len;
    if (t->cut) {
        t->len = t->safe;
        piece = CUT;
        len = sizeof CUT - 1;
    }
    memcpy(t->at + t->len, piece, len);
    t->len += len;
    t->at[t->len] = '\0';
    if (t->len <= t->room - sizeof CUT)
        t->safe = t->len;
}

void app_text_add(struct app_text *t, const char *text)
{
    append(t, text, strlen(text));
}

void app_text_addf(struct app_text *t, const char *fmt, ...)
{
    char piece[128];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(piece, sizeof piece, fmt, args);
    va_end(args);
    app_text_add(t, piece);
}

/* ------------------------------------------------------------------ theirs */

static bool is_plain(uint8_t c)
{
    return c >= ' ' && c <= '~' && c != '\\' && c != '"';
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Most texts: as much of it as needs no escape and leaves room for "..." behind it; returns how much. */
static size_t append_plain(struct app_text *t, const uint8_t *p, size_t len, enum app_text_kind kind)
{
    size_t room = t->room - sizeof CUT, n = 0;
    if (t->cut || t->len > room)
        return 0;
    char *at = t->at + t->len;
    room -= t->len;
    if (len > room)
        len = room;
    if (kind == APP_TEXT_LABEL)
        for (; n < len && is_plain(p[n]) && p[n] != '.'; n++)
            at[n] = (char)lower(p[n]);
    else
        for (; n < len && is_plain(p[n]); n++)
            at[n] = (char)p[n];
    at[n] = '\0';
    t->len += n;
    t->safe = t->len;
    return n;
}

static void append_escaped(struct app_text *t, uint8_t c, enum app_text_kind kind)
{
    char piece[4] = {'\\', (char)(c / 100 + '0'), (char)(c / 10 % 10 + '0'), (char)(c % 10 + '0')};
    size_t n = sizeof piece;
    if (c >= ' ' && c <= '~') {
        bool is_marked = !is_plain(c) || (kind == APP_TEXT_LABEL && c == '.');
        piece[is_marked] = (char)(kind == APP_TEXT_LABEL ? lower(c) : c);
        n = is_marked + 1u;
    }
    append(t, piece, n);
}

void app_text_quote(struct app_text *t, const void *data, size_t len, enum app_text_kind kind)
{
    const uint8_t *p = data;
    for (size_t i = append_plain(t, p, len, kind); i < len && !t->cut; i += append_plain(t, p + i, len - i, kind))
        append_escaped(t, p[i++], kind);
}
