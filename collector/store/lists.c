/*
 * What the store holds of agents, captures and streams: portions of streams, added up.
 */
#include "collector/store/lists_impl.h"
#include "common/base/clock.h"
#include "common/base/fs.h"

#include <stdlib.h>
#include <string.h>

#define AGENT_ADDRESSES_MAX FILTER_NAME_ADDRESSES_MAX
#define LIVE_SLACK_NS       NS_PER_S /* packets wait in the ring that long at most, but for a flush, which empties it */

/* ------------------------------------------------------------------ adding up */

void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].sum.memory);
    free(l->items);
    free(l->by_epoch.slots);
}

static struct listed *find(const struct listing *l, const uint8_t epoch[EPOCH_SIZE])
{
    uintptr_t number = (uintptr_t)epoch_map_find(&l->by_epoch, epoch);
    return number ? &l->items[number - 1] : NULL;
}

static struct listed *add(struct listing *l, const uint8_t epoch[EPOCH_SIZE], struct error *e)
{
    if (l->count == l->size) {
        size_t size = l->size ? 2 * l->size : 64;
        struct listed *more = realloc(l->items, size * sizeof(*more));
        if (!more) {
            error_set(e, ERROR_MEMORY, "no memory for %zu streams", size);
            return NULL;
        }
        l->items = more;
        l->size = size;
    }
    if (epoch_map_add(&l->by_epoch, epoch, (void *)(uintptr_t)(l->count + 1), e))
        return NULL;
    struct listed *item = &l->items[l->count++];
    *item = (struct listed){.sum = {.first_ns = UINT64_MAX, .first_arrived_ns = UINT64_MAX}, .body_next = UINT64_MAX};
    memcpy(item->sum.epoch, epoch, EPOCH_SIZE);
    return item;
}

uint64_t time_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t time_greatest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The texts and the end are those of the portion that reaches furthest. */
static int take_latest(struct portion *sum, const struct portion *p, struct error *e)
{
    if (sum->memory && p->head_next <= sum->head_next)
        return 0;
    struct portion copy = *p;
    int r = portion_keep(&copy, e);
    if (r)
        return r;
    free(sum->memory);
    sum->memory = copy.memory;
    sum->agent = copy.agent;
    sum->capture = copy.capture;
    sum->software = copy.software;
    sum->filter = copy.filter;
    sum->head_next = p->head_next;
    sum->ended = p->ended;
    return 0;
}

static int add_portion(void *context, const struct partition_view *view, const struct portion *p, struct error *e)
{
    struct listing *l = context;
    struct listed *item = find(l, p->epoch);
    if (!item)
        item = add(l, p->epoch, e);
    if (!item)
        return ERROR_MEMORY;
    struct portion *sum = &item->sum;
    sum->first_ns = time_least(sum->first_ns, p->first_ns);
    sum->last_ns = time_greatest(sum->last_ns, p->last_ns);
    sum->first_arrived_ns = time_least(sum->first_arrived_ns, p->first_arrived_ns);
    sum->last_arrived_ns = time_greatest(sum->last_arrived_ns, p->last_arrived_ns);
    sum->chunks += p->chunks;
    sum->rows += p->rows;
    sum->packets += p->packets;
    sum->bytes += p->bytes;
    sum->gap_packets += p->gap_packets;
    counters_add(&sum->totals, &p->totals);
    item->stored_bytes += p->head_bytes + (view->bodies_expired ? 0 : p->body_bytes);
    return take_latest(sum, p, e);
}

int listing_streams(struct store_reader *r, struct listing *l, struct error *e)
{
    return reader_each_portion(r, add_portion, l, e);
}

int listing_by_capture(const void *a, const void *b)
{
    const struct portion *x = &((const struct listed *)a)->sum, *y = &((const struct listed *)b)->sum;
    int order = strcmp(x->capture, y->capture);
    return order ? order : strcmp(x->agent, y->agent);
}

static int by_agent(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->sum.agent, ((const struct listed *)b)->sum.agent);
}

/* ------------------------------------------------------------------ captures */

static void add_to_capture(struct store_capture_info *c, const struct listed *item)
{
    const struct portion *p = &item->sum;
    c->first_ns = time_least(c->first_ns, p->first_ns);
    c->last_ns = time_greatest(c->last_ns, p->last_ns);
    c->first_arrived_ns = time_least(c->first_arrived_ns, p->first_arrived_ns);
    if (p->last_arrived_ns >= c->last_arrived_ns)
        c->filter = p->filter;
    c->last_arrived_ns = time_greatest(c->last_arrived_ns, p->last_arrived_ns);
    c->streams++;
    c->open_streams += !p->ended;
    c->chunks += p->chunks;
    c->rows += p->rows;
    c->packets += p->packets;
    c->bytes += p->bytes;
    c->stored_bytes += item->stored_bytes;
    c->gap_packets += p->gap_packets;
    counters_add(&c->totals, &p->totals);
}

/* The streams of one capture, sorted by agent. */
static int give_capture(const struct listed *items, size_t count, struct buffer *agents,
                        int (*each)(void *context, const struct store_capture_info *c), void *context, struct error *e)
{
    struct store_capture_info c = {
        .name = items[0].sum.capture, .first_ns = UINT64_MAX, .first_arrived_ns = UINT64_MAX};
    buffer_clear(agents);
    for (size_t i = 0; i < count; i++) {
        add_to_capture(&c, &items[i]);
        if (i == 0 || strcmp(items[i].sum.agent, items[i - 1].sum.agent) != 0)
            buffer_printf(agents, "%s%s", i ? "," : "", items[i].sum.agent);
    }
    buffer_u8(agents, 0);
    if (agents->failed)
        return error_set(e, ERROR_MEMORY, "no memory for names");
    c.agents = (const char *)agents->data;
    return each(context, &c);
}

size_t listing_keep_wanted(struct listing *l, const struct store_scan *scan)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++)
        if (!scan || reader_wants(scan, l->items[i].sum.agent, l->items[i].sum.capture)) {
            struct listed swap = l->items[kept];
            l->items[kept++] = l->items[i];
            l->items[i] = swap;
        }
    return kept;
}

int store_each_capture(struct store_reader *r, const struct store_scan *scan,
                       int (*each)(void *context, const struct store_capture_info *c), void *context, struct error *e)
{
    struct listing l = {0};
    struct buffer agents = {0};
    int result = listing_streams(r, &l, e);
    size_t count = result ? 0 : listing_keep_wanted(&l, scan);
    if (count)
        qsort(l.items, count, sizeof(*l.items), listing_by_capture);
    for (size_t i = 0, n; !result && i < count; i += n) {
        for (n = 1; i + n < count && strcmp(l.items[i].sum.capture, l.items[i + n].sum.capture) == 0; n++)
            ;
        result = give_capture(&l.items[i], n, &agents, each, context, e);
    }
    buffer_free(&agents);
    listing_free(&l);
    return result;
}

/* ------------------------------------------------------------------ streams */

static int read_waiting(struct store_reader *r, const struct partition_view *view, struct listing *l, struct error *e)
{
    struct reader_slot *slot = NULL;
    struct error why = ERROR_INIT;
    int result = view->settled ? ERROR_NOT_FOUND : reader_acquire(r, view->p, false, &slot, &why);
    if (result == ERROR_NOT_FOUND || (result == ERROR_CORRUPT && view->state == PARTITION_CLOSED))
        return 0;
    if (result) {
        if (e)
            *e = why;
        return result;
    }
    struct sql q = sql_start_own(slot->db, PARTITION_HEAD_FIRST_WAITING);
    while ((result = sql_step(&q, e)) > 0) {
        uint8_t epoch[EPOCH_SIZE];
        struct listed *item = sql_get_bytes(&q, 0, epoch, EPOCH_SIZE) ? find(l, epoch) : NULL;
        if (item)
            item->body_next = time_least(item->body_next, sql_get_u64(&q, 1));
    }
    sql_end(&q);
    reader_release(slot, false);
    return result;
}

static int find_waiting(struct store_reader *r, struct listing *l, struct error *e)
{
    struct partition_view *views = NULL;
    size_t count = 0;
    int result = store_hold_partitions(r->s, &views, &count, e);
    for (size_t i = 0; !result && i < count; i++)
        result = read_waiting(r, &views[i], l, e);
    store_release_partitions(views, count);
    return result;
}

bool head_was_live(const struct head_row *h)
{
    return h->kind == HEAD_CHUNK && h->first_ns <= h->last_ns && h->first_ns + LIVE_SLACK_NS >= h->open_ns &&
           h->last_ns <= h->seal_ns + LIVE_SLACK_NS;
}

static int find_sealed(struct store_reader *r, const struct portion *p, uint64_t *sealed_ns, struct error *e)
{
    struct error why = ERROR_INIT;
    struct reader_slot *slot = NULL;
    struct head_row row;
    *sealed_ns = 0;
    if (p->ended || p->head_next == 0)
        return 0;
    int result = reader_find(r, p->epoch, p->head_next - 1, &slot, &row, &why);
    if (result == ERROR_NOT_FOUND || result == ERROR_CORRUPT)
        return 0;
    if (result) {
        if (e)
            *e = why;
        return result;
    }
    reader_release(slot, false);
    if (head_was_live(&row))
        *sealed_ns = row.seal == SEAL_FLUSH ? row.seal_ns : time_greatest(row.last_ns, row.seal_ns - LIVE_SLACK_NS);
    return 0;
}

static int give_stream(struct store_reader *r, const struct listed *item,
                       int (*each)(void *context, const struct store_stream_info *s), void *context, struct error *e)
{
    const struct portion *p = &item->sum;
    struct store_stream_info s = {
        .agent = p->agent,
        .capture = p->capture,
        .head_next = p->head_next,
        .body_next = time_least(item->body_next, p->head_next),
        .ended = p->ended,
        .last_ns = p->last_ns,
        .last_arrived_ns = p->last_arrived_ns,
    };
    memcpy(s.epoch, p->epoch, EPOCH_SIZE);
    int result = find_sealed(r, p, &s.sealed_ns, e);
    return result ? result : each(context, &s);
}

int store_each_stream(struct store_reader *r, const struct store_scan *scan,
                      int (*each)(void *context, const struct store_stream_info *s), void *context, struct error *e)
{
    struct listing l = {0};
    int result = listing_streams(r, &l, e);
    if (!result)
        result = find_waiting(r, &l, e);
    for (size_t i = 0; !result && i < l.count; i++)
        if (reader_wants(scan, l.items[i].sum.agent, l.items[i].sum.capture))
            result = give_stream(r, &l.items[i], each, context, e);
    listing_free(&l);
    return result;
}

/* ------------------------------------------------------------------ agents */

struct addresses {
    struct filter_address *items;
    size_t count;
};

static int read_addresses(struct store_reader *r, const char *agent, struct addresses *a, struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_ADDRESS_LIST);
    sql_text(&q, agent);
    sql_u64(&q, AGENT_ADDRESSES_MAX);
    int result;
    a->count = 0;
    while ((result = sql_step(&q, e)) > 0 && a->count < AGENT_ADDRESSES_MAX) {
        struct filter_address *one = &a->items[a->count++];
        *one = (struct filter_address){.family = (uint8_t)sql_get_u64(&q, 0),
                                       .from_ns = sql_get_u64(&q, 2),
                                       .to_ns = sql_get_null(&q, 3) ? UINT64_MAX : sql_get_u64(&q, 3)};
        sql_get_bytes(&q, 1, one->addr, sizeof(one->addr));
    }
    sql_end(&q);
    return result < 0 ? result : 0;
}

/* Adds what is stored of the agent: its streams stand at items[*at] if it has any. */
static void add_stored(struct store_agent_info *a, const struct listing *l, size_t *at)
{
    for (; *at < l->count && strcmp(l->items[*at].sum.agent, a->name) == 0; ++*at) {
        a->chunks += l->items[*at].sum.chunks;
        a->packets += l->items[*at].sum.packets;
        a->bytes += l->items[*at].sum.bytes;
    }
}

/* An agent that sent chunks, but whose hello is not recorded (a catalog that was made anew). */
static int give_unknown(const struct listing *l, size_t *at,
                        int (*each)(void *context, const struct store_agent_info *a), void *context)
{
    struct store_agent_info a = {
        .name = l->items[*at].sum.agent, .software = "", .labels = "", .peer = "", .status_json = "", .serial = ""};
    a.software = l->items[*at].sum.software;
    add_stored(&a, l, at);
    return each(context, &a);
}

static int give_agent(struct store_reader *r, const struct sql *q, const struct listing *l, size_t *at,
                      struct addresses *addresses, int (*each)(void *context, const struct store_agent_info *a),
                      void *context, struct error *e)
{
    struct store_agent_info a = {
        .name = sql_get_text(q, 0),
        .software = sql_get_text(q, 1),
        .labels = sql_get_text(q, 2),
        .peer = sql_get_text(q, 3),
        .status_json = sql_get_text(q, 4),
        .first_seen_ns = sql_get_u64(q, 5),
        .last_seen_ns = sql_get_u64(q, 6),
        .serial = sql_get_text(q, 7),
        .certified_ns = sql_get_u64(q, 8),
    };
    int result = 0;
    while (!result && *at < l->count && strcmp(l->items[*at].sum.agent, a.name) < 0)
        result = give_unknown(l, at, each, context);
    if (!result)
        result = read_addresses(r, a.name, addresses, e);
    if (result)
        return result;
    add_stored(&a, l, at);
    a.addresses = addresses->items;
    a.address_count = (uint32_t)addresses->count;
    return each(context, &a);
}

int store_each_agent(struct store_reader *r, int (*each)(void *context, const struct store_agent_info *a),
                     void *context, struct error *e)
{
    struct listing l = {0};
    struct addresses addresses = {.items = malloc(AGENT_ADDRESSES_MAX * sizeof(*addresses.items))};
    size_t at = 0;
    int result = addresses.items ? listing_streams(r, &l, e) : error_set(e, ERROR_MEMORY, "no memory for addresses");
    if (!result && l.count)
        qsort(l.items, l.count, sizeof(*l.items), by_agent);
    struct sql q = sql_start_own(r->catalog, CATALOG_AGENT_LIST);
    while (!result && (result = sql_step(&q, e)) > 0)
        result = give_agent(r, &q, &l, &at, &addresses, each, context, e);
    while (!result && at < l.count)
        result = give_unknown(&l, &at, each, context);
    sql_end(&q);
    free(addresses.items);
    listing_free(&l);
    return result;
}

int store_each_known(struct store_reader *r, int (*each)(void *context, const struct store_agent_info *a),
                     void *context, struct error *e)
{
    struct sql q = sql_start_own(r->catalog, CATALOG_AGENT_LIST);
    int result;
    while ((result = sql_step(&q, e)) > 0) {
        const struct store_agent_info a = {.name = sql_get_text(&q, 0),
                                           .software = sql_get_text(&q, 1),
                                           .labels = sql_get_text(&q, 2),
                                           .peer = sql_get_text(&q, 3),
                                           .status_json = sql_get_text(&q, 4),
                                           .first_seen_ns = sql_get_u64(&q, 5),
                                           .last_seen_ns = sql_get_u64(&q, 6),
                                           .serial = sql_get_text(&q, 7),
                                           .certified_ns = sql_get_u64(&q, 8)};
        result = each(context, &a);
        if (result)
            break;
    }
    sql_end(&q);
    return result;
}

/* ------------------------------------------------------------------ the whole */

static int add_times(void *context, const struct partition_view *view, const struct portion *p, struct error *e)
{
    struct store_stats *out = context;
    (void)view;
    (void)e;
    out->oldest_ns = time_least(out->oldest_ns, p->first_ns);
    out->newest_ns = time_greatest(out->newest_ns, p->last_ns);
    return 0;
}

static void add_view(struct store_stats *out, const struct partition_view *v)
{
    out->partitions++;
    out->open_partitions += v->state == PARTITION_OPEN;
    out->chunks += v->sums.chunks;
    out->rows += v->sums.rows;
    out->packets += v->sums.packets;
    out->head_bytes += v->sums.head_bytes;
    out->body_bytes += v->bodies_expired ? 0 : v->sums.body_bytes;
    out->database_bytes += v->settled ? v->sums.database_bytes : partition_database_bytes(v->p);
}

int store_stats(struct store_reader *r, struct store_stats *out, struct error *e)
{
    struct partition_view *views = NULL;
    size_t count = 0;
    *out = (struct store_stats){.oldest_ns = UINT64_MAX};
    int result = store_hold_partitions(r->s, &views, &count, e);
    for (size_t i = 0; !result && i < count; i++)
        add_view(out, &views[i]);
    store_release_partitions(views, count);
    if (!result)
        result = reader_each_portion(r, add_times, out, e);
    if (!result)
        result = fs_free_bytes(r->s->dirfd, &out->free_bytes, &out->total_bytes, e);
    pthread_mutex_lock(&r->s->lock);
    out->expired_chunks = r->s->expired_chunks;
    out->expired_bytes = r->s->expired_bytes;
    pthread_mutex_unlock(&r->s->lock);
    if (out->oldest_ns > out->newest_ns)
        out->oldest_ns = out->newest_ns = 0;
    return result;
}
