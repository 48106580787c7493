/* complain: errors of three lines: what is wrong, the text around it, a caret below the place. */
#include "common/filter/parse.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX 400 /* bytes of the first line */
#define BEFORE_MAX  50  /* bytes of text shown before the place */
#define AFTER_MAX   50
#define QUOTED_MAX  40

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static char printable(char c)
{
    unsigned char u = (unsigned char)c;
    if (u == '\t' || u == '\n' || u == '\r')
        return ' ';
    if (u < 0x20 || u >= 0x7f)
        return '?';
    return c;
}

/* Appends part of the text, one '?' for each character that is not plain ASCII: so columns are bytes of the line. */
static size_t append(char *line, size_t at, size_t size, const char *text, size_t len)
{
    for (size_t i = 0; i < len && at + 1 < size; i++)
        if (!is_continuation(text[i]))
            line[at++] = printable(text[i]);
    line[at] = 0;
    return at;
}

/* The line with the text and the line with the caret. */
static void excerpt(const struct parser *p, uint32_t place, char *out, size_t size)
{
    uint32_t from = place > BEFORE_MAX ? place - BEFORE_MAX : 0;
    uint32_t to = p->len - place > AFTER_MAX ? place + AFTER_MAX : p->len;
    size_t at = append(out, 0, size, "...", from ? 3 : 0);
    at = append(out, at, size, p->text + from, place - from);
    size_t column = at;
    at = append(out, at, size, p->text + place, to - place);
    at = append(out, at, size, "...", to < p->len ? 3 : 0);
    snprintf(out + at, size - at, "\n%*s^", (int)column, "");
}

void *complain(struct parser *p, uint32_t at, int code, const char *fmt, ...)
{
    if (p->code)
        return NULL;
    p->code = code;
    if (!p->e)
        return NULL;
    char message[MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    error_set(p->e, code, "%s", message);
    size_t len = strlen(p->e->text);
    p->e->text[len++] = '\n';
    excerpt(p, at < p->len ? at : p->len, p->e->text + len, sizeof p->e->text - len);
    return NULL;
}

static void name_token(const struct parser *p, const struct token *t, char *out, size_t size)
{
    if (t->kind == TOKEN_END) {
        snprintf(out, size, "the filter ends here");
        return;
    }
    char quoted[QUOTED_MAX + 1];
    uint32_t len = t->end - t->at;
    size_t n = append(quoted, 0, sizeof quoted, p->text + t->at, len);
    snprintf(out, size, "'%s%s' is out of place", quoted, n == QUOTED_MAX ? "..." : "");
}

static const char *meant(const struct parser *p, const struct token *t)
{
    if (t->kind != TOKEN_NAME || p->text[t->at] == '\\')
        return NULL;
    return word_meant(p->text + t->at, t->end - t->at, false);
}

void *complain_expected(struct parser *p, const char *what)
{
    struct token *t = &p->token;
    char found[QUOTED_MAX + 32];
    name_token(p, t, found, sizeof found);
    if (t->kind == TOKEN_UNCLOSED)
        return complain(p, t->at, ERROR_USAGE, "the quote that begins here does not end");
    if (t->kind == TOKEN_BAD_ADDRESS)
        return complain(p, t->at, ERROR_USAGE, "neither an IPv6 nor a link address");
    if (t->kind == TOKEN_BAD_NUMBER)
        return complain(p, t->at, ERROR_USAGE, "not a number of 32 bits (0x begins hexadecimal, 0 octal numbers)");
    const char *instead = meant(p, t);
    /* "prt 80": the word was taken for a name, and now its value is out of place */
    if (!instead && t->kind != TOKEN_END && (instead = meant(p, &p->last)))
        return complain(p, p->last.at, ERROR_USAGE, "'%.*s' was read as a name; did you mean '%s'?",
                        (int)(p->last.end - p->last.at), p->text + p->last.at, instead);
    if (instead)
        return complain(p, t->at, ERROR_USAGE, "%s: expected %s; did you mean '%s'?", found, what, instead);
    return complain(p, t->at, ERROR_USAGE, "%s: expected %s", found, what);
}
