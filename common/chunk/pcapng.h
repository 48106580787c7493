/*
 * pcapng: blocks of draft-ietf-opsawg-pcapng, written for bodies and exports, and read from anywhere.
 *
 * Written: one section, little-endian, nanoseconds (if_tsresol 9), every option list ended by opt_endofopt.
 * Read: both byte orders, several sections, any if_tsresol and if_tsoffset, EPB, SPB, the obsolete PB, ISB, NRB, DSB,
 * journal (type 9) and unknown blocks (skipped). Nothing is trusted.
 */
#ifndef FLEETDUMP_CHUNK_PCAPNG_H
#define FLEETDUMP_CHUNK_PCAPNG_H

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/chunk/counter.h"

#define PCAPNG_SHB     0x0a0d0d0au
#define PCAPNG_IDB     1u
#define PCAPNG_PB      2u
#define PCAPNG_SPB     3u
#define PCAPNG_NRB     4u
#define PCAPNG_ISB     5u
#define PCAPNG_EPB     6u
#define PCAPNG_JOURNAL 9u

#define PCAPNG_BLOCK_MAX      (16u << 20)
#define PCAPNG_INTERFACES_MAX 65536u

enum pcapng_direction { PCAPNG_DIRECTION_UNKNOWN = 0, PCAPNG_DIRECTION_IN = 1, PCAPNG_DIRECTION_OUT = 2 };

/* A packet as it is kept and exported. */
struct pcapng_packet {
    uint32_t interface;
    uint64_t time_ns;
    uint32_t captured, wire;
    const uint8_t *data;
    uint32_t flags;      /* epb_flags; 0 is not written */
    uint64_t dropcount;  /* packets lost just before this one; 0 is not written */
    uint64_t packet_id;  /* 0 is not written */
    const char *comment; /* NULL is not written */
};

struct pcapng_interface {
    const char *name; /* NULL or "" is not written; likewise below */
    const char *description;
    const char *filter;
    const char *os;
    uint16_t link_type;
    uint32_t snaplen;
    const uint8_t *mac; /* 6 bytes or NULL */
    uint64_t speed_bps;
};

/* Writing: each appends one block. Sizes above PCAPNG_BLOCK_MAX make the buffer failed. */
void pcapng_write_section(struct buffer *out, const char *hardware, const char *os, const char *application,
                          const char *comment);
void pcapng_write_interface(struct buffer *out, const struct pcapng_interface *i);
void pcapng_write_packet(struct buffer *out, const struct pcapng_packet *p);
/* Interface statistics: cumulative counters since the capture's start, by counter_table[].isb_option; others in the
 * comment. Without those that are COUNTER_HIDDEN. */
void pcapng_write_statistics(struct buffer *out, uint32_t interface, uint64_t now_ns, uint64_t start_ns,
                             uint64_t end_ns, const struct counters *c, const char *comment);
/* systemd Journal Export block: `entry` is the text of fields, one per line, __REALTIME_TIMESTAMP first. */
void pcapng_write_journal(struct buffer *out, const char *entry, size_t len);

/*
 * Reading: a reader pulls bytes through `read` (returns bytes read, 0 at the end, or a negative error code with e
 * filled), so that files, pipes and expanded streams look the same. Memory: one block at a time, at most
 * PCAPNG_BLOCK_MAX.
 */
typedef long pcapng_read_fn(void *context, void *buf, size_t len, struct error *e);

struct pcapng_reader;
MUST_CHECK int pcapng_reader_new(pcapng_read_fn *read, void *context, struct pcapng_reader **out, struct error *e);
void pcapng_reader_free(struct pcapng_reader *r);

enum pcapng_item_kind {
    PCAPNG_ITEM_END,
    PCAPNG_ITEM_SECTION,
    PCAPNG_ITEM_INTERFACE,
    PCAPNG_ITEM_PACKET,
    PCAPNG_ITEM_STATISTICS,
    PCAPNG_ITEM_JOURNAL,
    PCAPNG_ITEM_OTHER
};

/* What pcapng_reader_next returned; pointers are valid until the next call. Interfaces are numbered over the whole
 * file: those of a later section go on after those of the earlier ones. */
struct pcapng_item {
    enum pcapng_item_kind kind;
    uint32_t block_type;
    uint64_t offset;    /* of the block in the stream */
    uint32_t interface; /* INTERFACE: its number; STATISTICS: whose */
    bool has_time;      /* PACKET */
    bool time_limited;  /* PACKET: its time is before 1970 or after 2554, and time_ns the nearer end of that range */
    union {
        struct pcapng_packet packet;            /* PACKET; time 0 if the block has none (SPB), then has_time is false */
        struct pcapng_interface interface_info; /* INTERFACE; strings terminated */
        struct {                                /* STATISTICS: ifrecv, ifdrop, osdrop; UINT64_MAX if absent */
            uint64_t statistics_received, statistics_dropped, statistics_os_dropped;
        };
        struct { /* JOURNAL, OTHER: block content */
            const uint8_t *body;
            uint32_t body_length;
        };
    };
};

/* The next block. PCAPNG_ITEM_END at a clean end. Errors (ERROR_INVALID, ERROR_TRUNCATED, ERROR_LIMIT) name the block
 * and byte offset; what came before stays good, and the reader gives only the same error from then on. */
MUST_CHECK int pcapng_reader_next(struct pcapng_reader *r, struct pcapng_item *item, struct error *e);

/* Whether the next block is a packet's and is in memory already: then the bytes of the packets before it, but not their
 * comments, stay valid during the next call. */
bool pcapng_reader_packet_follows(const struct pcapng_reader *r);

/* Bytes consumed so far. */
uint64_t pcapng_reader_offset(const struct pcapng_reader *r);

/* Reading from memory in our own writing (a frame's content): the next EPB or journal block of `b` into *item, without
 * copies. Returns 1 for an item, 0 at the end, or a negative code. Interface numbers are as written. */
MUST_CHECK int pcapng_next(struct bytes *b, struct pcapng_item *item, struct error *e);

#endif
