/* First bytes of a stranger: an answer for any transport, side and port. A byte of flags, two of port, then what was said. */
#include "common/app/detect.h"
#include "common/packet/packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 3)
        return 0;
    uint8_t *copy = calloc(len - 3 ? len - 3 : 1, 1);
    bool more;
    if (!copy)
        return 0;
    memcpy(copy, data + 3, len - 3);
    struct detect_input in = {.proto = data[0] & 1 ? PROTO_UDP : PROTO_TCP,
                              .from_originator = data[0] & 2,
                              .originator_port = 50000,
                              .responder_port = (uint16_t)(data[1] << 8 | data[2]),
                              .data = copy,
                              .len = len - 3,
                              .wire_len = len - 3 + (data[0] & 4 ? 100 : 0)};
    enum app app = detect(&in, &more);
    if (app >= APP_COUNT || (app != APP_UNKNOWN && more) || (more && (data[0] & 1 || in.len >= DETECT_BYTES)))
        abort();
    free(copy);
    return 0;
}
