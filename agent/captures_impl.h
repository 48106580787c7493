/*
 * captures_impl: what the files of captures share.
 *
 *   captures.c         the table: requests, starts, ends, time
 *   captures_policy.c  the policy: what it says of a new order, and of those that run when it has changed
 *   captures_child.c   capturers and checks as processes: forked, told, heard, reaped
 *   captures_tell.c    reports to the shipper: sums over a capture's capturers; flushes
 */
#ifndef FLEETDUMP_AGENT_CAPTURES_IMPL_H
#define FLEETDUMP_AGENT_CAPTURES_IMPL_H

#include "agent/capture/ring.h"
#include "agent/captures.h"
#include "agent/judge.h"
#include "common/base/pace.h"

#define FLUSHES_MAX 8u /* waited for at once, of one capture */

struct capturer {
    pid_t pid; /* 0: unused */
    int fd;
    struct monitor_report last;
    struct ring_choice *interfaces; /* that it was given, by the names that they have now (captures_renamed) */
    size_t interface_count;
};

struct capture {
    struct order order;         /* as it runs: what was asked for, narrowed by the policy */
    struct order_record record; /* as it was asked for, and is kept */
    char said[POLICY_SAID_MAX]; /* what was narrowed; "": nothing */
    bool used;
    bool blocked; /* the policy does not let it run now; text says why */
    /* its capturers were told to end, because the policy has changed; others begin when they have, unless it is
     * blocked */
    bool restarts;
    uint64_t kill_ns;     /* when capturers that were told to end and have not are killed (monotonic); 0: never */
    bool begun;           /* its time to start has come */
    uint64_t end_mono_ns; /* begun: its end by the clock that nobody sets; 0: none */
    uint32_t phase;       /* enum capture_phase */
    char text[ORDER_TEXT_MAX];
    bool stopping;                     /* its capturers were told to end; text says why */
    bool forget;                       /* when they have: by STOP */
    bool untold;                       /* its state: the shipper did not take it */
    char left_out[ORDER_TEXT_MAX / 2]; /* interfaces, and why; "": none */
    char renamed[200];                 /* the interface that got a name which the policy does not allow; "": none */
    struct capturer capturers[CAPTURES_CAPTURERS];
    uint64_t drops[2], own, forbidden; /* kernel's, others', own, of the policy: of capturers that are over */
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
    uint64_t kill_ns; /* when it is, if it has not ended (monotonic) */
};

struct captures {
    const struct agent_config *config;
    captures_tell_fn *tell;
    void *context;
    struct capture captures[CAPTURES_MAX];
    struct check checks[CAPTURES_CHECKS];
    struct judge *judge;
    struct forbid forbid; /* when it was last looked at what runs */
    struct pace unsigned_orders;
    bool closing;
};

/* captures.c */
void capture_set(struct captures *s, struct capture *c, uint32_t phase, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void capture_launch(struct captures *s, struct capture *c);
void capture_stop(struct captures *s, struct capture *c, const char *why);
/* Tells its capturers to end; those that have not after grace_ns (or what is left of an earlier one) are killed. */
void capture_end_capturers(const struct captures *s, struct capture *c, uint64_t grace_ns);
/* Another end than it had, by the wall clock (0: none). */
void capture_set_end(struct capture *c, uint64_t end_ns);
/* One of its capturers is gone: `end` is enum capturer_end, or negative for a death by signal -end. */
void capture_capturer_ended(struct captures *s, struct capture *c, struct capturer *p, int end);

/* Whether it does no more. */
bool capture_is_over(const struct capture *c);
/* Ends it for good, also behind a restart of the agent; capturers that have not ended after grace_ns are killed. */
void capture_end(struct captures *s, struct capture *c, const char *why, uint64_t grace_ns);
void capture_keep(struct captures *s, struct capture *c);
/* What the order was narrowed to becomes what runs; interfaces that may not be captured on are taken out of the
 * list. */
size_t captures_allowed(const struct captures *s, struct ring_choice *list, size_t count);

/* captures_policy.c */
/* Before it begins: false if it may not, now or ever; its state says so. */
bool capture_may_begin(struct captures *s, struct capture *c);

/* captures_child.c */
struct capturer *capture_place(struct capture *c); /* of one more capturer; NULL: there are as many as may be */
MUST_CHECK int capturer_start(struct captures *s, struct capture *c, struct capturer *p, struct ring_choice *interfaces,
                              size_t count, struct error *e);
void capturer_signal(const struct captures *s, const struct capturer *p, int signo);
/* To all of its capturers that have not ended. */
void capture_signal(const struct captures *s, const struct capture *c, int signo);
void capturer_tell(const struct captures *s, struct capturer *p, const struct monitor_request *r);
void check_start(struct captures *s, const struct monitor_request *r, const struct judged *j);
/* Kills checks that take too long; returns when the next one would. */
uint64_t checks_late(const struct captures *s);
bool capture_runs(const struct capture *c);

/* captures_tell.c */
void tell_state(struct captures *s, struct capture *c);
void tell_checked(struct captures *s, const struct monitor_request *r, int code, const char *text);
void flush_begin(struct captures *s, struct capture *c, uint64_t token);
void flush_heard(struct captures *s, struct capture *c, const struct capturer *p, const struct monitor_report *r);
/* A capturer that was waited for is gone. */
void flush_gone(struct captures *s, struct capture *c, const struct capturer *p);

#endif
