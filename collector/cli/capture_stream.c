#include "collector/cli/capture_stream.h"
#include "collector/cli/follow.h"
#include "collector/cli/interrupt.h"
#include "collector/cli/order_end.h"
#include "collector/cli/question.h"
#include "common/base/clock.h"
#include <poll.h>
#include <stdlib.h>

struct capture_stream {
    struct follow *follow;
    struct output_file *file;
};

static int take(void *context, const void *data, size_t len, struct error *e)
{
    struct capture_stream *s = context;
    return output_file_write(s->file, data, len, e);
}

int capture_stream_new(const struct cli *cli, const char *capture, uint32_t link_type, struct output_file *file,
                       struct capture_stream **out, struct error *e)
{
    const struct message_query q = {.kind = QUERY_PULL,
                                    .capture = (char *)(uintptr_t)capture,
                                    .until_ns = UINT64_MAX,
                                    .vantage = VANTAGE_ALL,
                                    .link_type = link_type,
                                    .fresh_ms = QUESTION_FRESH_MS};
    struct capture_stream *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, ERROR_MEMORY, "no memory for packets");
    s->file = file;
    int r = follow_new(cli, &q, take, s, &s->follow, e);
    if (r) {
        free(s);
        return r;
    }
    *out = s;
    return 0;
}

void capture_stream_free(struct capture_stream *s)
{
    if (s)
        follow_free(s->follow);
    free(s);
}

/* Also while nothing is written. */
static bool reader_is_gone(const struct capture_stream *s)
{
    struct pollfd fd = {.fd = s->file->fd};
    return poll(&fd, 1, 0) > 0 && fd.revents & (POLLERR | POLLNVAL);
}

int capture_stream_step(void *stream, const json_t *order, struct error *e)
{
    struct capture_stream *s = stream;
    (void)order;
    if (reader_is_gone(s))
        return error_set(e, ERROR_CANCELLED, "%s", "");
    return follow_wait_ms(s->follow) == 0 ? follow_ask(s->follow, e) : 0;
}

int capture_stream_end(struct capture_stream *s, struct client *c, json_t *order, bool *arrived, struct error *e)
{
    uint64_t end_ns = clock_mono_ns() + ORDER_SETTLE_MS * NS_PER_MS;
    unsigned interrupts = interrupt_count();
    int r = order_arrived(c, order, arrived, e);
    while (r == 0 && !*arrived && clock_mono_ns() < end_ns && interrupt_count() == interrupts) {
        (void)interrupt_wait(follow_wait_ms(s->follow), -1);
        r = follow_ask(s->follow, e);
        if (r == 0)
            r = order_arrived(c, order, arrived, e);
    }
    return r ? r : follow_ask(s->follow, e);
}
