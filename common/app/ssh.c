#include "common/app/ssh.h"
#include <string.h>

#define BEGINS "SSH-"

enum app_read ssh_version(const void *data, size_t len, struct app_text *out)
{
    const uint8_t *line = data;
    for (unsigned i = 0; i < SSH_LINES_MAX; i++) {
        size_t most = len < SSH_LINE_MAX ? len : SSH_LINE_MAX;
        const uint8_t *end = most ? memchr(line, '\n', most) : NULL;
        if (!end)
            return len < SSH_LINE_MAX ? APP_READ_CUT : APP_READ_INVALID;
        size_t size = (size_t)(end - line);
        if (size >= strlen(BEGINS) && memcmp(line, BEGINS, strlen(BEGINS)) == 0) {
            app_text_quote(out, line, size - (line[size - 1] == '\r'), APP_TEXT_PLAIN);
            return APP_READ_WHOLE;
        }
        line = end + 1;
        len -= size + 1;
    }
    return APP_READ_INVALID;
}
