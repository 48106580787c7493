/* A host's file of operators; the same bytes as the files of a key and of a certificate. */
#include "common/net/signature.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct error e = ERROR_INIT;
    struct signature_operators o;
    struct signature_key k;
    struct signature_certificate c;
    const char *text = (const char *)data;
    if (signature_operators_read("fuzz", text, len, &o, &e) == 0)
        for (size_t i = 0; i < o.count; i++)
            if (!signature_name_is_good(o.items[i].name))
                abort();
    signature_operators_free(&o);
    (void)!signature_key_read(text, len, &k, &e);
    if (signature_certificate_read(text, len, &c, &e) == 0) {
        struct buffer b = {.limit = 4096};
        struct signature_certificate again;
        signature_certificate_write(&c, &b);
        if (b.failed || signature_certificate_read((char *)b.data, b.len, &again, &e))
            abort();
        buffer_free(&b);
    }
    return 0;
}
