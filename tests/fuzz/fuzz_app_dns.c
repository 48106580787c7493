/* A DNS message from a stranger: text stays within its room, printable and ended, and what is whole stays whole when read again. */
#include "common/app/dns.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const char *text, size_t len, size_t room)
{
    if (len >= room || text[len] != '\0')
        abort();
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct dns_message *m = malloc(sizeof *m);
    uint8_t *copy = calloc(len ? len : 1, 1);
    if (m && copy) {
        if (len)
            memcpy(copy, data, len);
        memset(m, 0xee, sizeof *m);
        enum app_read read = dns_read(copy, len, m);
        if (read != APP_READ_INVALID) {
            check(m->name, m->name_len, sizeof m->name);
            check(m->answers_text, m->answers_len, sizeof m->answers_text);
        }
        if ((read == APP_READ_INVALID) != (len < DNS_HEADER) || (dns_plausible(copy, len) && read != APP_READ_WHOLE))
            abort();
    }
    free(copy);
    free(m);
    return 0;
}
