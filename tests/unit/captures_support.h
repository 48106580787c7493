/*
 * captures_support: the monitor's table of captures, with interfaces and capturers made up here.
 */
#ifndef FLEETDUMP_TESTS_CAPTURES_SUPPORT_H
#define FLEETDUMP_TESTS_CAPTURES_SUPPORT_H

#include "agent/capturer.h"
#include "agent/captures.h"
#include "common/base/clock.h"
#include "tests/unit/support.h"

#define MIB (UINT64_C(1) << 20)

struct place {
    char *folder;
    struct agent_config config;
    struct captures *captures;
    struct monitor_report last; /* that was taken */
    unsigned taken;
    bool deaf;
};

extern size_t fake_interfaces;         /* eth1, eth2, ... */
extern const char *fake_second_name;   /* the fake_second_name's other name; or NULL */
extern bool fake_check_hangs;          /* checks do not end */
extern bool fake_capturer_is_stubborn; /* capturers do not end when they are told to */
extern bool fake_capturer_is_mute;     /* they say no more */
extern bool fake_capturer_floods;      /* they say it again and again */

bool place_tell(void *context, const struct monitor_report *r);
void place_put_file(const char *path, const char *text);
/* The host's policy: everything, but for these lines. */
void place_allow(struct place *t, const char *lines);
/* For cmocka: *state is a place. */
int place_set_up(void **state);
/* What a monitor's loop does. */
size_t place_step(struct place *t);
void place_until_phase(struct place *t, uint32_t phase);
void place_until_gone(struct place *t);
/* None is left by a test, however fake_capturer_is_stubborn. */
int place_tear_down(void **state);
struct monitor_request request_of(enum monitor_request_kind kind);
void place_start(struct place *t, uint64_t end_ns);
void place_write_policy(struct place *t, const char *text);

#endif
