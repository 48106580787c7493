/*
 * Frames from anybody, one behind the other as a connection brings them. A message that is accepted must be written again, and what is
 * then read must be written the same way.
 */
#include "common/net/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void write_and_read_again(const struct message *m)
{
    struct buffer first = {0}, second = {0};
    struct message again;
    struct error e;
    int type;
    size_t length;
    if (message_encode(m, &first, &e) || message_header(first.data, NET_FRAME_MAX, &type, &length, &e) ||
        type != (int)m->type || length != first.len - NET_HEADER_SIZE ||
        message_decode(type, first.data + NET_HEADER_SIZE, length, &again, &e) || message_encode(&again, &second, &e))
        abort();
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
        abort();
    message_free(&again);
    buffer_free(&first);
    buffer_free(&second);
}

static void decode(int type, const uint8_t *data, size_t len)
{
    struct message m;
    struct error e;
    if (message_decode(type, data, len, &m, &e))
        return;
    write_and_read_again(&m);
    message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int type;
    size_t length;
    struct error e;
    while (len >= NET_HEADER_SIZE && message_header(data, NET_FRAME_MAX, &type, &length, &e) == 0) {
        length = length < len - NET_HEADER_SIZE ? length : len - NET_HEADER_SIZE;
        decode(type, data + NET_HEADER_SIZE, length);
        data += NET_HEADER_SIZE + length;
        len -= NET_HEADER_SIZE + length;
    }
    return 0;
}
