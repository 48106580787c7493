/*
 * captures_impl: what the files of captures share.
 *
 *   captures.c         the table: requests, starts, ends, time
 *   captures_child.c   capturers and checks as processes: forked, told, heard, reaped
 *   captures_tell.c    reports to the shipper: sums over a capture's capturers; flushes
 */
#ifndef FLEETDUMP_AGENT_CAPTURES_IMPL_H
#define FLEETDUMP_AGENT_CAPTURES_IMPL_H

#include "agent/capture/ring.h"
#include "agent/captures.h"

#define FLUSHES_MAX 8u /* waited for at once, of one capture */

struct capturer {
    pid_t pid; /* 0: unused */
    int fd;
    struct monitor_report last;
    struct ring_choice *interfaces; /* that it was given, by their names then */
    size_t interface_count;
};

struct capture {
    struct order order;
    bool used;
    bool begun;     /* its time to start has come */
    uint32_t phase; /* enum capture_phase */
    char text[ORDER_TEXT_MAX];
    bool stopping;                     /* its capturers were told to end; text says why */
    bool forget;                       /* when they have: by STOP */
    bool untold;                       /* its state: the shipper did not take it */
    char left_out[ORDER_TEXT_MAX / 2]; /* interfaces, and why; "": none */
    struct capturer capturers[CAPTURES_CAPTURERS];
    uint64_t drops[2], own; /* kernel's, others', own: of capturers that are over */
    uint64_t retry_ns, pause_ns;
    struct {
        uint64_t token;   /* 0: unused */
        unsigned waiting; /* for which capturers: bit by index */
        struct monitor_report report;
    } flushes[FLUSHES_MAX];
};

struct check {
    pid_t pid; /* 0: unused */
    int fd;
    uint64_t token;
    uint8_t id[16];
    bool told;
};

struct captures {
    const struct agent_config *config;
    captures_tell_fn *tell;
    void *context;
    struct capture captures[CAPTURES_MAX];
    struct check checks[CAPTURES_CHECKS];
    bool closing;
};

/* captures.c */
void capture_set(struct captures *s, struct capture *c, uint32_t phase, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void capture_launch(struct captures *s, struct capture *c);
void capture_stop(struct captures *s, struct capture *c, const char *why);
/* One of its capturers is gone: `end` is enum capturer_end, or negative for a death by signal -end. */
void capture_capturer_ended(struct captures *s, struct capture *c, struct capturer *p, int end);

/* captures_child.c */
MUST_CHECK int capturer_start(struct captures *s, struct capture *c, struct ring_choice *interfaces, size_t count,
                              struct error *e);
void capturer_tell(struct capturer *p, const struct monitor_request *r);
void check_start(struct captures *s, const struct monitor_request *r);
bool capture_runs(const struct capture *c);
bool capture_has_place(const struct capture *c); /* for one more capturer */

/* captures_tell.c */
void tell_state(struct captures *s, struct capture *c);
void tell_checked(struct captures *s, const struct monitor_request *r, int code, const char *text);
void flush_begin(struct captures *s, struct capture *c, uint64_t token);
void flush_heard(struct captures *s, struct capture *c, const struct capturer *p, const struct monitor_report *r);
/* A capturer that was waited for is gone. */
void flush_gone(struct captures *s, struct capture *c, const struct capturer *p);

#endif
