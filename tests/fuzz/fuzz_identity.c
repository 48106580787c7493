/*
 * Certificates from anybody (DER): whatever they hold, an identity is whole and its name one that may be printed, or there is none.
 */
#include "common/net/identity.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct identity none;
    struct identity id;
    struct error e = ERROR_INIT;
    memset(&id, 0xa5, sizeof id);
    int r = identity_from_der(data, len, &id, &e);
    if (r && (memcmp(&id, &none, sizeof id) != 0 || e.code != r || !e.text[0]))
        abort();
    if (r == 0 &&
        (id.kind < IDENTITY_AGENT || id.kind > IDENTITY_COLLECTOR || identity_check_name(id.name, NULL) != 0 ||
         strspn(id.serial, "0123456789abcdef") != strlen(id.serial) || !id.serial[0]))
        abort();
    return 0;
}
