#include "collector/server/orders_impl.h"

#include "common/base/clock.h"
#include "common/base/units.h"
#include "common/filter/capture_filter.h"
#include "common/net/selector.h"
#include <stdlib.h>
#include <string.h>

#define SNAPLEN_DEFAULT 262144u

static int check_name(const struct order *o, struct error *e)
{
    const char *name = o->request->name;
    if (strcmp(name, ORDERS_BASELINE) == 0)
        return error_set(e, ERROR_REFUSED,
                         "the capture %s is the configuration's (`baseline` in collector.conf): take another name",
                         name);
    if (name[strcspn(name, "*?")])
        return error_set(e, ERROR_USAGE, "'%s' cannot be a capture's name: * and ? stand for other characters", name);
    const struct order *other = orders_named(o->orders, name, o);
    if (other && (other->stage == ORDER_ASKED || other->stage == ORDER_KEEPING))
        return error_set(e, ERROR_EXISTS,
                         "there is a capture %s already, which is being started just now: take another name", name);
    if (other)
        return error_set(e, ERROR_EXISTS, "there is a capture %s already (%s): take another name, or remove that one",
                         name, order_state(other, clock_wall_ns()));
    if (orders_find(o->orders, o->request->id) != o)
        return error_set(e, ERROR_EXISTS, "the capture %s has an id that another one has", name);
    return 0;
}

static int check_times(const struct capture_request *r, uint64_t now_ns, struct error *e)
{
    char end[64], now[64];
    if (r->expires_ns && r->expires_ns < now_ns)
        return error_set(e, ERROR_REFUSED,
                         "the request was good until %s, here it is %s: ask again, and compare the clocks",
                         units_format_time(r->expires_ns, end, sizeof end), units_format_time(now_ns, now, sizeof now));
    if (r->end_ns && r->end_ns <= now_ns)
        return error_set(e, ERROR_USAGE, "the capture would end at %s, here it is %s already",
                         units_format_time(r->end_ns, end, sizeof end), units_format_time(now_ns, now, sizeof now));
    return 0;
}

static int check_size(const struct order *o, struct error *e)
{
    struct buffer bytes = {.limit = ORDERS_BYTES_MAX};
    int r = message_encode(&o->held, &bytes, e);
    buffer_free(&bytes);
    if (r)
        r = error_set(e, ERROR_LIMIT,
                      "the request has more than %u bytes: name agents by patterns (--on 'web-*') or labels (-l "
                      "role=web) instead of one by one",
                      ORDERS_BYTES_MAX);
    return r;
}

static int check_labels(const struct capture_request *r, struct error *e)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < r->label_count; i++)
        code = selector_check_labels(r->labels[i], e);
    return code;
}

int request_check(const struct order *o, uint64_t now_ns, struct error *e)
{
    if (o->orders->count > ORDERS_MAX)
        return error_set(e, ERROR_LIMIT,
                         "the collector keeps %u captures, which is the most: remove some that are over", ORDERS_MAX);
    int r = check_name(o, e);
    if (r == 0)
        r = check_size(o, e);
    if (r == 0)
        r = check_labels(o->request, e);
    return r ? r : check_times(o->request, now_ns, e);
}

/* ------------------------------------------------------------------ on another thread */

/* Some words exist on some link types only: one that knows them all is enough, the agents judge for their own. */
static int check_filter(const struct capture_request *r, struct error *e)
{
    static const int link_types[] = {1 /* Ethernet */, 276 /* cooked */, 113, 101 /* raw IP */, 127 /* radiotap */};
    int code = 0;
    for (size_t i = 0; r->filter && i < sizeof link_types / sizeof link_types[0]; i++) {
        struct capture_filter *f = NULL;
        struct error why = ERROR_INIT;
        int one = capture_filter_new(r->filter, link_types[i], r->snaplen ? r->snaplen : SNAPLEN_DEFAULT, &f, &why);
        capture_filter_free(f);
        if (one == 0)
            return 0;
        if (i == 0) {
            code = one;
            *e = why;
        }
    }
    return code;
}

int request_inspect(const struct capture_request *r, struct store *s, struct error *e)
{
    struct store_reader *reader = NULL;
    bool has = false;
    int code = check_filter(r, e);
    if (code == 0)
        code = store_reader_open(s, &reader, e);
    if (code == 0)
        code = store_has_capture(reader, r->name, &has, e);
    store_reader_close(reader);
    if (code == 0 && has)
        code = error_set(e, ERROR_EXISTS, "packets of a capture %s are stored already: take another name", r->name);
    return code;
}

/* ------------------------------------------------------------------ who is meant, in words */

static void put_quoted(struct buffer *b, const char *option, const char *text)
{
    buffer_printf(b, "%s%s '", b->len ? " " : "", option);
    for (const char *p = text; *p; p++)
        if (*p == '\'')
            buffer_printf(b, "'\\''");
        else
            buffer_u8(b, (uint8_t)*p);
    buffer_u8(b, '\'');
}

char *request_selector(const struct capture_request *r)
{
    struct buffer b = {.limit = NET_FRAME_MAX};
    for (uint32_t i = 0; i < r->on_count; i++)
        put_quoted(&b, "--on", r->on[i]);
    for (uint32_t i = 0; i < r->label_count; i++)
        put_quoted(&b, "-l", r->labels[i]);
    if (b.len == 0)
        buffer_printf(&b, "-A");
    buffer_u8(&b, 0);
    if (b.failed)
        buffer_free(&b);
    return (char *)b.data;
}
