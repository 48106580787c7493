/*
 * body_frame: a frame in memory, appended to a body in memory.
 */
#ifndef FLEETDUMP_TESTS_BODY_FRAME_H
#define FLEETDUMP_TESTS_BODY_FRAME_H

#include "common/chunk/body.h"

/* Nothing is appended if it fails. */
MUST_CHECK static inline int body_frame(struct body_writer *w, uint32_t number, struct head_frame *f, const void *data,
                                        size_t len, struct buffer *out, struct error *e)
{
    if (!buffer_reserve(out, len ? len : 1))
        return error_set(e, ERROR_MEMORY, "no memory for a frame");
    const struct iovec whole = {.iov_base = out->data + out->len, .iov_len = len};
    buffer_append(out, data, len);
    int r = body_writer_take(w, number, f, &whole, 1, e);
    if (r)
        out->len -= len;
    return r;
}

#endif
