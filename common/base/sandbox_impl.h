/*
 * sandbox_impl: the tables (sandbox_profiles.c), and the two locks that are made from them (sandbox_calls.c: seccomp,
 * sandbox_places.c: Landlock).
 */
#ifndef FLEETDUMP_BASE_SANDBOX_IMPL_H
#define FLEETDUMP_BASE_SANDBOX_IMPL_H

#include "common/base/sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

enum sandbox_group {
    GROUP_CORE = 1 << 0,      /* memory, time, waiting, descriptors that are open */
    GROUP_READ = 1 << 1,      /* opens files */
    GROUP_CHANGE = 1 << 2,    /* changes them and their names */
    GROUP_THREADS = 1 << 3,   /* starts threads */
    GROUP_TALK = 1 << 4,      /* on sockets that are open */
    GROUP_LOCAL = 1 << 5,     /* new sockets to processes of this host */
    GROUP_DIAL = 1 << 6,      /* new sockets to others */
    GROUP_SERVE = 1 << 7,     /* takes connections */
    GROUP_PACKETS = 1 << 8,   /* opens interfaces */
    GROUP_RINGS = 1 << 9,     /* what open rings still need */
    GROUP_CODE = 1 << 10,     /* loads libraries */
    GROUP_WAIT = 1 << 11,     /* for children */
    GROUP_CHILDREN = 1 << 12, /* starts them, and what they give up */
    GROUP_DUP = 1 << 13,      /* gives descriptors further numbers */
    GROUP_POLITE = 1 << 14,   /* a new socket is refused by an error: a resolver tries, and takes no for an answer */
    GROUP_SANITIZER = 1 << 15,
};

enum sandbox_result { RESULT_ALLOW, RESULT_NOSYS, RESULT_ACCES, RESULT_PERM };

/* Values of a condition that are known at run time only. */
enum sandbox_value { VALUE_GIVEN, VALUE_SELF, VALUE_CHILD, VALUE_TALK, VALUE_SEALED };

struct sandbox_condition {
    uint8_t argument; /* counted from 1; 0: unused */
    uint8_t value_of; /* enum sandbox_value */
    uint8_t compare;  /* enum sandbox_compare */
    uint64_t mask, value;
};

enum sandbox_compare { IS, IS_MASKED, IS_LESS };

struct sandbox_call {
    uint16_t group;
    uint8_t result;
    const char *name;
    struct sandbox_condition conditions[2];
};

struct sandbox_profile {
    const char *name, *point;
    uint32_t groups;
    bool ports_limited; /* TCP by Landlock */
    bool signals_inside;
    const struct sandbox_place *places; /* ends with a NULL path */
};

extern const struct sandbox_profile sandbox_profiles[SANDBOX_KINDS];
extern const struct sandbox_call sandbox_calls[];
extern const size_t sandbox_call_count;
extern const struct sandbox_place sandbox_resolver[]; /* ends with a NULL path */

MUST_CHECK int sandbox_lock_calls(const struct sandbox_profile *p, const struct sandbox_needs *n, struct error *e);
MUST_CHECK int sandbox_lock_places(const struct sandbox_profile *p, const struct sandbox_needs *n, struct error *e);

#endif
