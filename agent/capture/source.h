/*
 * source: where packets come from. Capture files are one kind (file.h); live interfaces have the same face.
 *
 * A source numbers its interfaces from 0 in the order in which they appear; each is announced before its first packet.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_SOURCE_H
#define FLEETDUMP_AGENT_CAPTURE_SOURCE_H

#include "common/base/error.h"
#include "common/chunk/pcapng.h"

enum source_item_kind {
    SOURCE_END,       /* no more packets */
    SOURCE_INTERFACE, /* a new interface */
    SOURCE_PACKET,
    SOURCE_LOSS, /* packets that did not reach the source */
};

/* What source_next returned; pointers are valid until the next call, but for the bytes of packets that stay. */
struct source_item {
    enum source_item_kind kind;
    uint32_t interface;  /* all kinds but END */
    uint32_t generation; /* INTERFACE: those of one generation exist side by side; a later one may be the same again */
    struct pcapng_interface info; /* INTERFACE; name "" if it has none */
    struct pcapng_packet packet;  /* PACKET; `interface` as above; times are never missing */
    bool stays;            /* PACKET: its bytes, and of those before it that stay, are valid after the next call, too */
    bool time_limited;     /* PACKET: its time is another, which does not fit (pcapng.h) */
    uint64_t kernel_drops; /* LOSS: more than were told before */
    uint64_t interface_drops;
};

struct source {
    /* The next item. A negative code ends the source: what came before stays good. */
    int (*next)(struct source *s, struct source_item *item, struct error *e);
    /* Bytes read so far and how many there are (0 if unknown). */
    uint64_t (*progress)(struct source *s, uint64_t *total);
    void (*close)(struct source *s);
};

static inline MUST_CHECK int source_next(struct source *s, struct source_item *item, struct error *e)
{
    return s->next(s, item, e);
}

static inline uint64_t source_progress(struct source *s, uint64_t *total)
{
    return s->progress(s, total);
}

static inline void source_close(struct source *s)
{
    if (s)
        s->close(s);
}

#endif
