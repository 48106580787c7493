#include "collector/query/merge.h"
#include "collector/query/same.h"
#include <stdlib.h>
#include <string.h>

/* An open frame: its packets in order of time, the next one at `at`. A spare one keeps its memory for the next. */
struct open_frame {
    struct open_frame *next_spare;
    const struct merge_frame *frame;
    struct buffer raw;
    struct packet_at {
        uint64_t time_ns;
        uint32_t offset;
    } * packets;
    uint32_t count, at, room;
};

struct merger {
    const struct merge_ops *ops;
    struct open_frame **heap; /* by time of the next packet, then rank, then order of frames */
    size_t heap_count, heap_cap;
    struct open_frame *spare;
    struct same *same;
};

static int by_first_time(const void *a, const void *b)
{
    const struct merge_frame *x = a, *y = b;
    if (x->info.first_ns != y->info.first_ns)
        return x->info.first_ns < y->info.first_ns ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->chunk != y->chunk)
        return x->chunk < y->chunk ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool before(const struct open_frame *a, const struct open_frame *b)
{
    uint64_t ta = a->packets[a->at].time_ns, tb = b->packets[b->at].time_ns;
    if (ta != tb)
        return ta < tb;
    if (a->frame->rank != b->frame->rank)
        return a->frame->rank < b->frame->rank;
    if (a->frame->chunk != b->frame->chunk)
        return a->frame->chunk < b->frame->chunk;
    return a->frame->number < b->frame->number;
}

/* ------------------------------------------------------------------ heap */

static void sift_down(struct merger *m)
{
    size_t i = 0;
    struct open_frame *f = m->heap[0];
    for (size_t child; (child = 2 * i + 1) < m->heap_count; i = child) {
        if (child + 1 < m->heap_count && before(m->heap[child + 1], m->heap[child]))
            child++;
        if (!before(m->heap[child], f))
            break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = f;
}

static void push(struct merger *m, struct open_frame *f)
{
    size_t i = m->heap_count++;
    for (; i > 0 && before(f, m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = f;
}

/* ------------------------------------------------------------------ frames */

static struct open_frame *take_spare(struct merger *m)
{
    struct open_frame *f = m->spare;
    if (!f)
        return calloc(1, sizeof *f);
    m->spare = f->next_spare;
    buffer_clear(&f->raw);
    f->count = f->at = 0;
    return f;
}

static void close_frame(struct merger *m, struct open_frame *f)
{
    f->next_spare = m->spare;
    m->spare = f;
}

static void free_spare(struct merger *m)
{
    for (struct open_frame *f = m->spare, *next; f; f = next) {
        next = f->next_spare;
        buffer_free(&f->raw);
        free(f->packets);
        free(f);
    }
}

static int by_time_then_place(const void *a, const void *b)
{
    const struct packet_at *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int make_room(struct open_frame *f, uint32_t packets, struct error *e)
{
    if (packets <= f->room)
        return 0;
    free(f->packets);
    f->packets = malloc(packets * sizeof *f->packets);
    f->room = f->packets ? packets : 0;
    return f->packets ? 0 : error_set(e, ERROR_MEMORY, "no memory for a frame of %u packets", packets);
}

/* Finds the packets of the expanded frame. Most frames are in order already. */
static int index_packets(struct open_frame *f, struct error *e)
{
    struct bytes b = bytes_of(f->raw.data, f->raw.len);
    struct pcapng_item item;
    bool sorted = true;
    int r = make_room(f, f->frame->info.packets, e);
    if (r)
        return r;
    for (size_t offset = 0; (r = pcapng_next(&b, &item, e)) == 1; offset = bytes_at(&b)) {
        if (item.kind != PCAPNG_ITEM_PACKET)
            continue;
        if (f->count == f->frame->info.packets)
            return error_set(e, ERROR_CORRUPT, "a frame holds more than its %u packets", f->frame->info.packets);
        sorted = sorted && (f->count == 0 || f->packets[f->count - 1].time_ns <= item.packet.time_ns);
        f->packets[f->count++] = (struct packet_at){item.packet.time_ns, (uint32_t)offset};
    }
    if (r == 0 && !sorted)
        qsort(f->packets, f->count, sizeof *f->packets, by_time_then_place);
    return r;
}

static int open_frame(struct merger *m, const struct merge_frame *frame, size_t most_open, struct error *e)
{
    if (m->heap_count >= most_open)
        return error_set(
            e, ERROR_LIMIT,
            "more than %zu frames of packets overlap in time: pull less at once (by agent, capture or time)",
            most_open);
    if (m->heap_count == m->heap_cap) {
        size_t cap = m->heap_cap ? m->heap_cap * 2 : 64;
        struct open_frame **heap = realloc(m->heap, cap * sizeof(struct open_frame *));
        if (!heap)
            return error_set(e, ERROR_MEMORY, "no memory for %zu open frames", cap);
        m->heap = heap;
        m->heap_cap = cap;
    }
    struct open_frame *f = take_spare(m);
    if (!f)
        return error_set(e, ERROR_MEMORY, "no memory for %zu open frames", m->heap_count + 1);
    f->frame = frame;
    int r = m->ops->load(m->ops->context, frame, &f->raw, e);
    if (r == 0)
        r = index_packets(f, e);
    if (r == 0 && f->count > 0)
        push(m, f);
    else
        close_frame(m, f);
    return r == ERROR_NOT_FOUND || r == ERROR_CORRUPT || r == ERROR_INVALID || r == ERROR_TRUNCATED ? 0 : r;
}

/* ------------------------------------------------------------------ the merge */

static int next_packet(struct merger *m, struct error *e)
{
    struct open_frame *f = m->heap[0];
    struct bytes b = bytes_of(f->raw.data, f->raw.len);
    struct pcapng_item item;
    bool wanted = false;
    bytes_skip(&b, f->packets[f->at].offset);
    int r = pcapng_next(&b, &item, e);
    if (r == 1)
        r = m->ops->want(m->ops->context, f->frame, &item.packet, &wanted, e);
    if (r == 0 && wanted)
        r = same_take(m->same, f->frame, &item.packet, e);
    if (r < 0)
        return r;
    if (++f->at == f->count) {
        m->heap[0] = m->heap[--m->heap_count];
        close_frame(m, f);
    }
    if (m->heap_count > 0)
        sift_down(m);
    return 0;
}

int merge_run(struct merge_frame *frames, size_t count, size_t most_open, const struct merge_ops *ops,
              uint64_t *duplicates, struct error *e)
{
    struct merger m = {.ops = ops, .same = same_new(ops)};
    int r = m.same ? 0 : error_set(e, ERROR_MEMORY, "no memory for a merge");
    size_t next = 0;
    if (count)
        qsort(frames, count, sizeof *frames, by_first_time);
    while (r == 0 && (next < count || m.heap_count > 0)) {
        /* A frame that may hold a packet not later than the next one must be open first. */
        if (next < count &&
            (m.heap_count == 0 || frames[next].info.first_ns <= m.heap[0]->packets[m.heap[0]->at].time_ns))
            r = open_frame(&m, &frames[next++], most_open, e);
        else
            r = next_packet(&m, e);
    }
    if (r == 0)
        r = same_end(m.same, e);
    for (size_t i = 0; i < m.heap_count; i++)
        close_frame(&m, m.heap[i]);
    free_spare(&m);
    free(m.heap);
    *duplicates = m.same ? same_duplicates(m.same) : 0;
    same_free(m.same);
    return r;
}
