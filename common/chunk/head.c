/*
 * The bytes of a head. All integers little-endian; varint is LEB128; text is a varint length and that many bytes, none
 * of them 0.
 *
 *   head       := "FDHD" | version u16 (1) | 0 u16 | length u32 of the whole head | section ... | hash64 of all before
 * it section    := tag u8 | length u32 | content
 *
 *   1 identity   := kind u8 | seal u8 | gap u8 | body u8 | epoch 16 bytes | seq u64 | last_seq u64
 *   2 names      := agent text | capture text | software text | filter text | snaplen u32
 *   3 clocks     := open_wall u64 | open_mono u64 | seal_wall u64 | seal_mono u64 | first_ns u64 | last_ns u64
 *   4 interfaces := count varint | per interface: name text | description text | link type u16 | snaplen u32 | flags u8
 * (1: MAC follows) | MAC 6 bytes | speed varint | counters 5 totals     := counters 6 body       := length u64 | raw
 * length u64 | hash64 u64 | frame count varint | per frame: interface varint | length varint | raw length varint |
 * packets varint | offset less the end of the frame before (0 for the first), zigzag varint | first_ns less the one
 *                   before (0), zigzag varint | last_ns less first_ns, zigzag varint
 *   7 flows      := rows u32 | block (common/rows/block.h)
 *   8 exchanges  := block
 *   counters     := count varint | per counter that is not 0: id varint, ascending | value varint
 *
 * A head is valid if magic, version and length are as said, the hash matches, sections fill it exactly, each known
 * section stands at most once and is filled exactly by its content, and the rules below hold. 1, 2, 3 and 5 are
 * required, 4 in chunks; 6 stands if and only if there is a body. Unknown sections and unknown counters are skipped:
 * they come from a newer writer, which changes the version only for what an older reader must not skip.
 */
#include "common/chunk/head.h"
#include "common/chunk/frame.h"
#include "common/chunk/head_format.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static const char *name_of(const char *const *names, size_t count, int value)
{
    return value >= 0 && (size_t)value < count && names[value] ? names[value] : "unknown";
}

const char *head_seal_name(int seal)
{
    static const char *const names[] = {
        [SEAL_BYTES] = "bytes",           [SEAL_TIME] = "time",   [SEAL_ROWS] = "rows",           [SEAL_END] = "end",
        [SEAL_INTERFACES] = "interfaces", [SEAL_FLUSH] = "flush", [SEAL_RECOVERED] = "recovered",
    };
    return name_of(names, LENGTH(names), seal);
}

const char *head_gap_name(int gap)
{
    static const char *const names[] = {
        [GAP_QUOTA] = "quota",     [GAP_DISK] = "disk",       [GAP_CRASH] = "crash",
        [GAP_DAMAGED] = "damaged", [GAP_EXPIRED] = "expired",
    };
    return name_of(names, LENGTH(names), gap);
}

const char *head_gap_words(int gap)
{
    static const char *const words[] = {
        [GAP_QUOTA] = "the agent's spool was full",
        [GAP_DISK] = "too little disk was free on the agent",
        [GAP_CRASH] = "a process died",
        [GAP_DAMAGED] = "they were damaged on the agent's disk",
        [GAP_EXPIRED] = "they were too old",
    };
    return name_of(words, LENGTH(words), gap);
}

const char *body_state_name(int state)
{
    static const char *const names[] = {
        [BODY_NEVER] = "never-kept", [BODY_ON_AGENT] = "on-agent", [BODY_STORED] = "stored",
        [BODY_EVICTED] = "evicted",  [BODY_EXPIRED] = "expired",
    };
    return name_of(names, LENGTH(names), state);
}

/* Kinds and body states decide what follows, so unknown ones are refused; an unknown reason for a seal or a gap does no
 * harm. */
int head_check_identity(const struct chunk_head *h, struct error *e)
{
    if (h->kind < HEAD_CHUNK || h->kind > HEAD_END)
        return error_set(e, ERROR_VERSION, "kind of item %u is not known", h->kind);
    if (h->body > BODY_ON_AGENT || (h->body && h->kind != HEAD_CHUNK))
        return error_set(e, ERROR_INVALID, "body state %u makes no sense", h->body);
    if ((h->kind == HEAD_CHUNK) != (h->seal != 0) || (h->kind == HEAD_GAP) != (h->gap != 0))
        return error_set(e, ERROR_INVALID, "seal %u and gap %u do not fit kind %u", h->seal, h->gap, h->kind);
    if (h->kind == HEAD_GAP ? h->last_seq < h->seq : h->last_seq != h->seq)
        return error_set(e, ERROR_INVALID, "sequence %llu to %llu makes no sense", (unsigned long long)h->seq,
                         (unsigned long long)h->last_seq);
    return 0;
}

static int check_text(const char *what, const char *text, size_t most, struct error *e)
{
    size_t len = text ? strlen(text) : 0;
    return len > most ? error_set(e, ERROR_LIMIT, "%s is %zu bytes long, at most %zu are allowed", what, len, most) : 0;
}

int head_check_names(const struct chunk_head *h, struct error *e)
{
    int r = check_text("the agent's name", h->agent, HEAD_NAME_MAX, e);
    r = r ? r : check_text("the capture's name", h->capture, HEAD_NAME_MAX, e);
    r = r ? r : check_text("the software's name", h->software, HEAD_NAME_MAX, e);
    return r ? r : check_text("the filter", h->filter, HEAD_FILTER_MAX, e);
}

int head_check_interfaces(const struct chunk_head *h, struct error *e)
{
    if (h->interface_count > HEAD_INTERFACES_MAX)
        return error_set(e, ERROR_LIMIT, "%u interfaces, at most %u are allowed", h->interface_count,
                         HEAD_INTERFACES_MAX);
    int r = 0;
    for (uint32_t i = 0; i < h->interface_count && !r; i++) {
        r = check_text("an interface's name", h->interfaces[i].name, HEAD_NAME_MAX, e);
        r = r ? r : check_text("an interface's description", h->interfaces[i].description, HEAD_NAME_MAX, e);
    }
    return r;
}

static int check_frame(const struct chunk_head *h, uint32_t number, struct error *e)
{
    const struct head_frame *f = &h->frames[number];
    if (f->interface >= h->interface_count)
        return error_set(e, ERROR_INVALID, "frame %u is of interface %u of %u", number, f->interface,
                         h->interface_count);
    if (f->raw_length > FRAME_RAW_MAX)
        return error_set(e, ERROR_LIMIT, "frame %u expands to %u bytes, at most %u are allowed", number, f->raw_length,
                         FRAME_RAW_MAX);
    if (f->length > h->body_length || f->offset > h->body_length - f->length)
        return error_set(e, ERROR_INVALID, "frame %u (offset %llu, length %u) is not inside a body of %llu bytes",
                         number, (unsigned long long)f->offset, f->length, (unsigned long long)h->body_length);
    if (f->packets && f->first_ns > f->last_ns)
        return error_set(e, ERROR_INVALID, "frame %u ends before it begins", number);
    return 0;
}

int head_check_body(const struct chunk_head *h, struct error *e)
{
    if (h->frame_count > HEAD_FRAMES_MAX)
        return error_set(e, ERROR_LIMIT, "%u frames, at most %u are allowed", h->frame_count, HEAD_FRAMES_MAX);
    int r = 0;
    for (uint32_t i = 0; i < h->frame_count && !r; i++)
        r = check_frame(h, i, e);
    return r;
}

int head_check_rows(const struct chunk_head *h, struct error *e)
{
    return h->flow_rows <= HEAD_FLOW_ROWS_MAX
               ? 0
               : error_set(e, ERROR_LIMIT, "%u rows, at most %u are allowed", h->flow_rows, HEAD_FLOW_ROWS_MAX);
}

/* --- Memory: a chain of pieces, freed together --- */

struct memory {
    struct memory *next;
    max_align_t data[];
};

void *head_alloc(struct chunk_head *h, size_t len)
{
    struct memory *m = calloc(1, sizeof(*m) + len);
    if (!m)
        return NULL;
    m->next = h->memory;
    h->memory = m;
    return m->data;
}

char *head_text(struct chunk_head *h, const void *text, size_t len)
{
    char *copy = head_alloc(h, len + 1);
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

void head_free(struct chunk_head *h)
{
    struct memory *m = h->memory;
    while (m) {
        struct memory *next = m->next;
        free(m);
        m = next;
    }
    memset(h, 0, sizeof(*h));
}
