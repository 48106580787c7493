/*
 * What the store lacks and knows of: times when nobody captured, between streams of a capture on an agent, and what was dropped.
 */
#include "collector/store/lists_impl.h"
#include "common/base/clock.h"

#include <stdlib.h>

#define PAUSE_LEAST_NS NS_PER_MS /* clocks are set by a little */

/* ------------------------------------------------------------------ when nobody captured */

/* When a stream captured, as far as it is known. */
struct span {
    uint64_t from_ns, to_ns;
    bool live,
        silent; /* silent: no packet of it tells which: killed before its first chunk was sealed, or that is gone */
};

/* 1, or 0 if it is not stored (any more). */
static int find_row(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct head_row *row,
                    struct error *e)
{
    struct error why = ERROR_INIT;
    struct reader_slot *slot = NULL;
    int result = reader_find(r, epoch, seq, &slot, row, &why);
    if (result == 0) {
        reader_release(slot, false);
        return 1;
    }
    if (result == ERROR_NOT_FOUND || result == ERROR_CORRUPT)
        return 0;
    if (e)
        *e = why;
    return result;
}

/* What is not known of it counts as time in which it captured. */
static int find_span(struct store_reader *r, const struct portion *p, struct span *span, struct error *e)
{
    struct head_row first, last;
    int result = find_row(r, p->epoch, 0, &first, e);
    if (result < 0)
        return result;
    span->live = result && head_was_live(&first);
    span->silent = !result || first.kind != HEAD_CHUNK || first.first_ns > first.last_ns;
    span->from_ns = result ? time_least(first.open_ns, first.first_ns) : 0;
    result = p->ended ? find_row(r, p->epoch, p->head_next - 1, &last, e) : 0;
    span->to_ns = result > 0 && last.kind == HEAD_END ? time_greatest(last.seal_ns, p->last_ns) : UINT64_MAX;
    return result < 0 ? result : 0;
}

static int by_begin(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->from_ns < y->from_ns ? -1 : x->from_ns > y->from_ns;
}

static int give_pauses(struct store_pause_info *pause, struct span *spans, size_t count,
                       int (*each)(void *context, const struct store_pause_info *p), void *context)
{
    int result = 0;
    uint64_t reaches_ns = UINT64_MAX;
    qsort(spans, count, sizeof *spans, by_begin);
    for (size_t i = 0; result == 0 && i < count; i++) {
        pause->from_ns = reaches_ns;
        pause->to_ns = spans[i].from_ns;
        if (reaches_ns < spans[i].from_ns && spans[i].from_ns - reaches_ns > PAUSE_LEAST_NS)
            result = each(context, pause);
        reaches_ns = i ? time_greatest(reaches_ns, spans[i].to_ns) : spans[i].to_ns;
    }
    return result;
}

/* The streams of one capture on one agent. */
static int find_pauses(struct store_reader *r, const struct listed *items, size_t count,
                       int (*each)(void *context, const struct store_pause_info *p), void *context, struct error *e)
{
    struct store_pause_info pause = {.agent = items[0].sum.agent, .capture = items[0].sum.capture};
    struct span *spans = calloc(count, sizeof *spans);
    int result = spans ? 0 : error_set(e, ERROR_MEMORY, "no memory for %zu streams", count);
    bool live = false, read = false;
    for (size_t i = 0; result == 0 && !read && i < count; i++) {
        result = find_span(r, &items[i].sum, &spans[i], e);
        live = live || spans[i].live;
        read = !spans[i].live && !spans[i].silent;
    }
    if (result == 0 && live && !read)
        result = give_pauses(&pause, spans, count, each, context);
    free(spans);
    return result;
}

int store_each_pause(struct store_reader *r, const struct store_scan *scan,
                     int (*each)(void *context, const struct store_pause_info *p), void *context, struct error *e)
{
    struct listing l = {0};
    int result = listing_streams(r, &l, e);
    size_t count = result ? 0 : listing_keep_wanted(&l, scan);
    if (count)
        qsort(l.items, count, sizeof(*l.items), listing_by_capture);
    for (size_t i = 0, n; !result && i < count; i += n) {
        for (n = 1; i + n < count && listing_by_capture(&l.items[i], &l.items[i + n]) == 0; n++)
            ;
        result = n > 1 ? find_pauses(r, &l.items[i], n, each, context, e) : 0;
    }
    listing_free(&l);
    return result;
}

/* ------------------------------------------------------------------ what was dropped */

static int give_dropped(const struct sql *q, const struct store_scan *scan, store_dropped_fn *each, void *context,
                        struct error *e)
{
    const struct store_dropped_info d = {.agent = sql_get_text(q, 0),
                                         .capture = sql_get_text(q, 1),
                                         .first_ns = sql_get_u64(q, 2),
                                         .last_ns = sql_get_u64(q, 3)};
    return reader_wants(scan, d.agent, d.capture) ? each(context, &d, e) : 0;
}

int store_each_dropped(struct store_reader *r, const struct store_scan *scan, store_dropped_fn *each, void *context,
                       struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_STREAM_DROPPED);
    sql_u64(&q, scan->until_ns);
    sql_u64(&q, scan->since_ns);
    int result;
    while ((result = sql_step(&q, e)) > 0) {
        result = give_dropped(&q, scan, each, context, e);
        if (result)
            break;
    }
    sql_end(&q);
    return result;
}
