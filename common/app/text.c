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

void app_text_quote(struct app_text *t, const void *data, size_t len, const char *also)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len && !t->cut; i++) {
        char piece[5] = {(char)p[i]};
        size_t n = 1;
        if (p[i] < ' ' || p[i] > '~')
            n = (size_t)snprintf(piece, sizeof piece, "\\%03u", p[i]);
        else if (p[i] == '\\' || p[i] == '"' || (also && strchr(also, p[i])))
            n = (size_t)snprintf(piece, sizeof piece, "\\%c", p[i]);
        append(t, piece, n);
    }
}
