/*
 * A token's text from anybody; what is taken comes back as the same text.
 */
#include "common/net/token.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1), again[TOKEN_TEXT_MAX];
    struct token t;
    struct error e = ERROR_INIT;
    if (!text)
        return 0;
    memcpy(text, data, len);
    text[len] = 0;
    int r = token_parse(text, &t, &e);
    if (r && (t.kind || !e.text[0]))
        abort();
    if (r == 0 && (token_format(&t, again, &e) || !strstr(text, again)))
        abort();
    free(text);
    return 0;
}
