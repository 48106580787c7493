/* What the shipper sends to the monitor: a request, or what is none. */
#include "agent/order.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct monitor_request r = {0};
    struct error e = ERROR_INIT;
    memcpy(&r, data, len < sizeof r ? len : sizeof r);
    if (!monitor_request_is_sound(&r, len))
        return 0;
    if (r.signature_length > sizeof r.by.signature || r.bytes_length > sizeof r.by.bytes ||
        strnlen(r.text, sizeof r.text) == sizeof r.text)
        abort();
    if (!r.signature_length && order_check(&r.order, &e) == 0 &&
        (strnlen(r.order.filter, sizeof r.order.filter) == sizeof r.order.filter || r.order.keep > KEEP_FLOWS))
        abort();
    return 0;
}
