/* HTTP from a stranger, in pieces that the first byte chooses: the reader tells the same as of all at once, and takes what it says. */
#include "common/app/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void hold(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t told(uint64_t sum, const struct http_reader *r, enum http_event event)
{
    const struct http_head *h = r->head;
    sum = mix(sum, event);
    if (event == HTTP_END)
        return mix(mix(sum, r->body), r->bytes);
    if (event != HTTP_HEAD)
        return sum;
    hold(strlen(h->path) == h->path_len && strlen(h->host) == h->host_len && strlen(h->method) == h->method_len);
    hold(strlen(h->type) == h->type_len && strlen(h->software) == h->software_len);
    return mix(mix(mix(sum, h->status), h->path_len), h->length);
}

static uint64_t read_all(enum http_kind kind, const uint8_t *data, size_t len, size_t cut)
{
    struct http_head head;
    struct http_reader r;
    size_t begin = 0, end = 0;
    uint64_t sum = 0;
    http_begin(&r, kind, &head);
    while (end < len) {
        end = cut && len - end > cut ? end + cut : len;
        enum http_event event = HTTP_HEAD;
        while (event != HTTP_MORE) {
            size_t n = http_read(&r, data + begin, end - begin, &event);
            hold(n <= end - begin);
            begin += n;
            sum = event == HTTP_MORE ? sum : told(sum, &r, event);
            if (event == HTTP_BROKEN || (event == HTTP_HEAD && kind == HTTP_REPLY && !http_reply_to(&r, "GET")))
                return sum;
        }
        hold(end - begin < HTTP_LINE_MAX); /* what the caller is to keep */
    }
    return mix(sum, http_between(&r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    enum http_kind kind = data[0] & 1 ? HTTP_REPLY : HTTP_REQUEST;
    size_t cut = (size_t)(data[0] >> 1) + 1;
    uint8_t *copy = malloc(len);
    if (!copy)
        return 0;
    memcpy(copy, data + 1, len - 1);
    hold(read_all(kind, copy, len - 1, 0) == read_all(kind, copy, len - 1, cut));
    free(copy);
    return 0;
}
