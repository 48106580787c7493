/* What a capturer or a check sends to the monitor, and the monitor to the shipper: a report, or what is none. */
#include "agent/order.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must_end(const char *text, size_t size)
{
    if (!memchr(text, 0, size))
        abort();
}

static void judge(struct monitor_report *r, size_t len)
{
    if (!monitor_report_is_sound(r, len))
        return;
    must_end(r->text, sizeof r->text);
    for (size_t i = 0; i < ORDER_LISTED_MAX; i++)
        must_end(r->interfaces[i], sizeof r->interfaces[i]);
    if (r->stream_count > REPORT_STREAMS_MAX || len != sizeof *r)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct monitor_report r = {0};
    memcpy(&r, data, len < sizeof r ? len : sizeof r);
    judge(&r, len);
    r.magic = ORDER_MAGIC; /* and as if it had the length of one */
    judge(&r, sizeof r);
    return 0;
}
