/* An order as it is kept in a file. */
#include "agent/order.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct order_record o;
    struct error e = ERROR_INIT;
    memset(&o, 0, sizeof o);
    memcpy(&o, data, len < sizeof o ? len : sizeof o);
    int r = order_record_check(&o, &e);
    if (r ? !e.text[0]
          : o.signature_length > sizeof o.signature || o.bytes_length > sizeof o.bytes ||
                strnlen(o.over_text, sizeof o.over_text) == sizeof o.over_text)
        abort();
    return 0;
}
