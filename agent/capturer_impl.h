/*
 * capturer_impl: what the files of the capturer share.
 *
 *   capturer.c        the process: beginning, the loop, the end
 *   capturer_taps.c   its interfaces: packets, drops, names
 *   capturer_say.c    what the monitor is told, and flushes
 *
 * All run in the process's first thread, but the sink's callbacks, which say so.
 */
#ifndef FLEETDUMP_AGENT_CAPTURER_IMPL_H
#define FLEETDUMP_AGENT_CAPTURER_IMPL_H

#include "agent/capture/chunk_builder.h"
#include "agent/capture/ring.h"
#include "agent/capturer.h"
#include "common/base/clock.h"
#include <poll.h>
#include <pthread.h>

#define RETIRE_NS                                                                                                      \
    ((RING_RETIRE_MS + 10) * NS_PER_MS) /* after this a packet is out of the block that the kernel fills */
#define FLUSHES_MAX    16u              /* the monitor has fewer under way */
#define HEADER_SNAPLEN 512u /* bytes of a packet that are looked at if its payload is neither kept nor understood */

enum tap_state {
    TAP_UP,
    TAP_DOWN,
    TAP_GONE,   /* the interface is; its last packets may still come, until close_ns */
    TAP_CLOSED, /* without a ring */
};

struct tap {
    struct ring *ring;
    enum tap_state state;
    uint32_t index;                         /* in the builder */
    bool named;                             /* it has one */
    uint64_t kernel_drops, interface_drops; /* counted so far */
    uint64_t close_ns;
    bool done; /* came to packets behind the end */
};

/* A name under which an interface is in the builder. */
struct tap_name {
    char name[RING_NAME_MAX];
    uint16_t link_type;
    uint32_t index;
};

struct live_flush {
    uint64_t token;
    uint64_t due_ns;   /* when all that passed before it is out of the rings */
    uint64_t next_seq; /* all below it is to be durable; UINT64_MAX: not sealed yet */
};

struct live {
    const struct agent_config *config;
    const struct order *order;
    const struct forbid *forbid; /* or NULL */
    struct listeners *listeners; /* or NULL */
    int fd;                      /* to the monitor */
    int signal_fd, watch_fd;
    int wake_fd; /* the sink has news */
    struct pollfd *fds;

    struct tap *taps;
    size_t tap_count;
    struct tap_name *names;
    size_t name_count;
    struct tap *reading; /* during ring_read */
    uint64_t cut_ns;     /* packets behind it do not belong to the capture */

    uint8_t epoch[EPOCH_SIZE];
    struct spool *spool;
    struct spool_stream *stream;
    struct sink *sink;
    struct chunk_builder *builder;

    /* Why it ends */
    bool stopped, limit, time_is_over;
    atomic_bool give_up; /* the sink waits no longer for room */

    /* Since the sink waits for room: why. Written by its thread. */
    pthread_mutex_t full_mutex;
    char full[ORDER_TEXT_MAX];

    struct monitor_report told;
    uint64_t told_ns;
    uint64_t told_received;
    bool told_full;

    struct live_flush flushes[FLUSHES_MAX];
    size_t flush_count;
    uint64_t last_flush_ns;

    /* Monotonic times; UINT64_MAX: never */
    uint64_t flush_ns, tick_ns, drops_ns;
};

/* capturer_taps.c */
MUST_CHECK int taps_open(struct live *l, const char *const *names, size_t count, struct error *e);
void taps_close(struct live *l);
/* The lowest number of their packet sockets; all that is opened behind taps_open has a lower one. */
int taps_first_fd(const struct live *l);

/* Tells the builder what interfaces there are: all, or those that have another name now. */
MUST_CHECK int taps_name(struct live *l, struct error *e);

/* One batch of a tap. */
MUST_CHECK int tap_read(struct live *l, struct tap *t, struct error *e);

/* All that is in the rings now: 1; 0 if the builder is not ready for more, a limit is reached, or they do not become
 * empty. */
MUST_CHECK int taps_drain(struct live *l, struct error *e);

/* Counts what was dropped, and closes those that are gone and have nothing more. */
MUST_CHECK int taps_count(struct live *l, struct error *e);

/* Whether there is an interface left; whether all came to what is behind the end. */
bool taps_any(const struct live *l);
bool taps_done(const struct live *l);

/* capturer_say.c */
/* Tells the monitor; with PHASE_RUNNING and "", what people should know of the interfaces and the disk. */
void say(struct live *l, uint32_t phase, const char *text);
/* When the next report is due. */
uint64_t say_due(const struct live *l);
/* Whether the sink waits for room. */
bool say_is_full(struct live *l);

/* The sink's callbacks, in its thread: it waits for room, it has some again, something is durable. */
void say_full(void *context, const struct error *full);
void say_room(void *context);
void say_sealed(void *context);

void flush_ask(struct live *l, uint64_t token);
/* Seals for those whose time has come; the rings were drained before. */
MUST_CHECK int flush_seal(struct live *l, struct error *e);
/* Answers those whose chunks are durable. */
void flush_answer(struct live *l);

#endif
