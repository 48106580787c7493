#include "common/base/glob.h"

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* At a mismatch the last '*' takes one byte more; earlier ones never need to. */
static bool match(const char *pattern, const char *text, size_t len, bool any_case)
{
    const char *star = NULL;
    size_t at = 0, star_at = 0;
    while (at < len) {
        if (*pattern == '*') {
            star = pattern++;
            star_at = at;
        } else if (*pattern &&
                   (*pattern == '?' || *pattern == text[at] || (any_case && lower(*pattern) == lower(text[at])))) {
            pattern++;
            at++;
        } else if (star) {
            pattern = star + 1;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

bool glob_match(const char *pattern, const char *text, size_t len)
{
    return match(pattern, text, len, false);
}

bool glob_match_any_case(const char *pattern, const char *text, size_t len)
{
    return match(pattern, text, len, true);
}
