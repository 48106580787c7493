#include "collector/query/after.h"
#include "collector/store/epoch_map.h"
#include <stdlib.h>
#include <string.h>

struct after_stream {
    uint8_t epoch[EPOCH_SIZE];
    uint64_t before, next; /* seqs below are in earlier answers; in those and this one */
    uint64_t last_id;      /* greatest one below next that the scan met */
    bool waits;            /* something of it is left for later */
    bool ahead; /* it may stand in the next mark: it has chunks in answers behind one that is left for later */
};

struct after {
    uint64_t from;
    uint64_t end;     /* of the first scan */
    uint64_t waiting; /* the first chunk that is left for later; UINT64_MAX if there is none */
    struct epoch_map streams;
    size_t ahead; /* streams that are */
};

static int stream_of(struct after *a, const uint8_t epoch[EPOCH_SIZE], struct after_stream **out, struct error *e)
{
    struct after_stream *s = epoch_map_find(&a->streams, epoch);
    *out = s;
    if (s)
        return 0;
    s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, ERROR_MEMORY, "no memory for %zu streams", a->streams.count + 1);
    memcpy(s->epoch, epoch, EPOCH_SIZE);
    int r = epoch_map_add(&a->streams, epoch, s, e);
    if (r)
        free(s);
    *out = s;
    return r;
}

/* ------------------------------------------------------------------ marks */

static bool take_number(const char **text, uint64_t *value)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    *value = strtoull(*text, &end, 10);
    *text = end;
    return true;
}

static bool take_epoch(const char **text, uint8_t epoch[EPOCH_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 2 * EPOCH_SIZE; i++) {
        const char *digit = **text ? strchr(digits, **text) : NULL;
        if (!digit)
            return false;
        epoch[i / 2] = (uint8_t)(epoch[i / 2] << 4 | (digit - digits));
        ++*text;
    }
    return true;
}

/* EPOCH : SEQ */
static int take_stream(struct after *a, const char **text, bool *good, struct error *e)
{
    uint8_t epoch[EPOCH_SIZE] = {0};
    struct after_stream *s;
    uint64_t seq = 0;
    *good = take_epoch(text, epoch) && *(*text)++ == ':' && take_number(text, &seq);
    int r = *good ? stream_of(a, epoch, &s, e) : 0;
    if (*good && r == 0) {
        s->before = s->next = seq;
        a->ahead += !s->ahead;
        s->ahead = true;
    }
    return r;
}

static int parse(struct after *a, const char *mark, struct error *e)
{
    bool good = take_number(&mark, &a->from);
    int r = 0;
    for (char before = ';'; r == 0 && good && *mark; before = ',') {
        good = *mark++ == before;
        if (good)
            r = take_stream(a, &mark, &good, e);
    }
    return r || good ? r : error_set(e, ERROR_USAGE, "where the answer is to go on cannot be read");
}

int after_new(const char *mark, struct after **out, struct error *e)
{
    struct after *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(e, ERROR_MEMORY, "no memory for a query");
    a->waiting = UINT64_MAX;
    int r = parse(a, mark, e);
    if (r) {
        after_free(a);
        return r;
    }
    *out = a;
    return 0;
}

void after_free(struct after *a)
{
    if (a)
        epoch_map_clear(&a->streams, free);
    free(a);
}

void after_mark(const struct after *a, struct buffer *out)
{
    uint64_t from = a->waiting < a->end ? a->waiting : a->end;
    char before = ';';
    size_t at = 0;
    buffer_printf(out, "%llu", (unsigned long long)from);
    for (const struct after_stream *s; (s = epoch_map_next(&a->streams, &at));) {
        if (s->next == 0 || s->last_id < from)
            continue;
        buffer_u8(out, (uint8_t)before);
        for (size_t i = 0; i < EPOCH_SIZE; i++)
            buffer_printf(out, "%02x", s->epoch[i]);
        buffer_printf(out, ":%llu", (unsigned long long)s->next);
        before = ',';
    }
}

/* ------------------------------------------------------------------ scans */

void after_scan(struct after *a, struct store_scan *scan)
{
    a->end = a->from;
    scan->from = a->from;
    scan->end = &a->end;
}

static bool body_is_waited_for(const struct store_chunk *c)
{
    return c->head.kind == HEAD_CHUNK && c->body_state == BODY_ON_AGENT;
}

static uint64_t behind(const struct store_chunk *c)
{
    return (c->head.kind == HEAD_GAP && c->head.last_seq > c->head.seq ? c->head.last_seq : c->head.seq) + 1;
}

/* The mark has room for so many streams. */
static bool has_room(struct after *a, struct after_stream *s)
{
    if (a->waiting == UINT64_MAX || s->ahead)
        return true;
    if (a->ahead == AFTER_STREAMS_MAX)
        return false;
    a->ahead++;
    s->ahead = true;
    return true;
}

static bool can_be_answered(struct after *a, struct after_stream *s, const struct store_chunk *c)
{
    return !s->waits && !body_is_waited_for(c) && has_room(a, s);
}

int after_wants(struct after *a, const struct store_chunk *c, bool *wanted, struct error *e)
{
    struct after_stream *s;
    int r = stream_of(a, c->head.epoch, &s, e);
    *wanted = false;
    if (r)
        return r;
    bool answered = c->head.seq < s->before;
    if (answered || can_be_answered(a, s, c)) {
        s->last_id = c->id;
        s->next = answered ? s->next : behind(c);
        *wanted = !answered;
    } else {
        s->waits = true;
        a->waiting = c->id < a->waiting ? c->id : a->waiting;
    }
    return 0;
}

bool after_wanted(const struct after *a, const struct store_chunk *c)
{
    const struct after_stream *s = epoch_map_find(&a->streams, c->head.epoch);
    return s && c->id < a->end && c->head.seq >= s->before && c->head.seq < s->next;
}
