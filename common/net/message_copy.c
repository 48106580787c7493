#include "common/net/message.h"

int message_copy(const struct message *m, struct message *copy, struct error *e)
{
    struct buffer bytes = {.limit = NET_FRAME_MAX + NET_HEADER_SIZE};
    *copy = (struct message){0};
    int r = message_encode(m, &bytes, e);
    if (r == 0)
        r = message_decode((int)m->type, bytes.data + NET_HEADER_SIZE, bytes.len - NET_HEADER_SIZE, copy, e);
    buffer_free(&bytes);
    return r;
}
