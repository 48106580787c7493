#include "common/base/utf8.h"

#include "common/base/bytes.h"

/* Bytes of the character at p, 0 if it is not one. */
static size_t character(const uint8_t *p, size_t left, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > left)
        return 0;
    *code = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[n] || surrogate || *code > 0x10ffff ? 0 : n;
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

static bool is_line(uint32_t code)
{
    return code == '\t' || code == '\n' || code == '\r';
}

size_t utf8_printable(const char *text, size_t left)
{
    uint32_t code = 0;
    size_t n = left ? character((const uint8_t *)text, left, &code) : 0;
    return n && !is_control(code) ? n : 0;
}

bool utf8_is_clean(const char *text, size_t len, bool lines)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        size_t n = character(p + at, len - at, &code);
        if (n == 0 || (is_control(code) && !(lines && is_line(code))))
            return false;
        at += n;
    }
    return true;
}

void utf8_clean(char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        size_t n = character(p + at, len - at, &code);
        bool bad = n == 0 || is_control(code);
        for (size_t i = 0; bad && i < (n ? n : 1); i++)
            text[at + i] = '?';
        at += n ? n : 1;
    }
}
