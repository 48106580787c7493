#include "common/base/suggest.h"

#include <string.h>

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Damerau's and Levenshtein's distance in which no letter is changed twice. Both at most SUGGEST_LENGTH_MAX long. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][SUGGEST_LENGTH_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        last[j] = (unsigned)j;
    memcpy(before, last, sizeof(rows[0]));
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned replace = lower(a[i - 1]) != lower(b[j - 1]);
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + replace);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_len];
}

void suggest_begin(struct suggest *s, const char *text, size_t len)
{
    unsigned limit = len < 4 ? 2 : 3;
    *s = (struct suggest){.text = text, .len = len, .limit = len < 2 || len > SUGGEST_LENGTH_MAX ? 0 : limit};
}

void suggest_consider(struct suggest *s, const char *word)
{
    size_t len = strlen(word);
    if (s->limit == 0 || len > SUGGEST_LENGTH_MAX)
        return;
    unsigned edits = distance(s->text, s->len, word, len);
    if (edits < s->limit) {
        s->limit = edits;
        s->word = word;
    }
}
