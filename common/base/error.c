#include "common/base/error.h"
#undef error_set
#undef error_sys

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int code;
    const char *name;
} names[] = {
    {ERROR_NONE, "none"},
    {ERROR_SYSTEM, "system"},
    {ERROR_MEMORY, "memory"},
    {ERROR_INVALID, "invalid"},
    {ERROR_TRUNCATED, "truncated"},
    {ERROR_CORRUPT, "corrupt"},
    {ERROR_LIMIT, "limit"},
    {ERROR_VERSION, "version"},
    {ERROR_NOT_FOUND, "not-found"},
    {ERROR_EXISTS, "exists"},
    {ERROR_BUSY, "busy"},
    {ERROR_FULL, "full"},
    {ERROR_USAGE, "usage"},
    {ERROR_REFUSED, "refused"},
    {ERROR_UNREACHABLE, "unreachable"},
    {ERROR_CONFLICT, "conflict"},
    {ERROR_CANCELLED, "cancelled"},
    {ERROR_INCOMPLETE, "incomplete"},
    {ERROR_UNSUPPORTED, "unsupported"},
};

/* Nothing that a terminal would act on: C0 but for the end of a line, DEL, and C1 in its UTF-8 form. */
static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if ((*p < 0x20 && *p != '\n') || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
}

/* The text may be quoted from `e` itself: it is formatted elsewhere first. */
static int fill(struct error *e, int code, int sys, const char *text)
{
    if (!e)
        return code;
    e->code = code;
    e->sys = sys;
    snprintf(e->text, sizeof(e->text), "%s", text);
    make_printable(e->text);
    return code;
}

int error_set(struct error *e, int code, const char *fmt, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return fill(e, code, 0, text);
}

static int code_of_errno(int sys)
{
    switch (sys) {
    case ENOSPC:
    case EDQUOT:
        return ERROR_FULL;
    case ENOMEM:
        return ERROR_MEMORY;
    case ENOENT:
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_EXISTS;
    default:
        return ERROR_SYSTEM;
    }
}

int error_sys(struct error *e, int sys, const char *fmt, ...)
{
    char reason[128];
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const char *meaning = strerror_r(sys, reason, sizeof(reason));
    size_t len = strlen(text);
    size_t room = strlen(meaning) + 3;
    if (len + room > sizeof(text)) /* the meaning matters more than the end of a long name */
        len = sizeof(text) - room;
    snprintf(text + len, sizeof(text) - len, ": %s", meaning);
    return fill(e, code_of_errno(sys), sys, text);
}

int error_prefix(struct error *e, const char *fmt, ...)
{
    if (!e)
        return ERROR_INVALID;
    char prefix[ERROR_TEXT_MAX];
    char text[2 * ERROR_TEXT_MAX + 2];
    va_list args;
    va_start(args, fmt);
    vsnprintf(prefix, sizeof(prefix), fmt, args);
    va_end(args);
    snprintf(text, sizeof(text), "%s: %s", prefix, e->text);
    return fill(e, e->code, e->sys, text);
}

const char *error_name(int code)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].code == code)
            return names[i].name;
    return "unknown";
}

int error_exit_status(int code)
{
    switch (code) {
    case ERROR_NONE:
        return EXIT_OK;
    case ERROR_USAGE:
        return EXIT_USAGE;
    case ERROR_INCOMPLETE:
        return EXIT_INCOMPLETE;
    default:
        return EXIT_FAILED;
    }
}
