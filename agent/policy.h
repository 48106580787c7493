/*
 * policy: what this host lets be captured by those who order from elsewhere (deploy/samples/policy.conf explains every
 * key). The file is root's, and nobody else's to write; without it, or with one that cannot be read, nothing is
 * captured by order.
 *
 * What runs is the intersection of what was ordered and what the policy allows; `said` tells what was narrowed.
 */
#ifndef FLEETDUMP_AGENT_POLICY_H
#define FLEETDUMP_AGENT_POLICY_H

#include "agent/forbid.h"
#include "agent/order.h"
#include "common/base/config.h"

#define POLICY_PATH           "/etc/fleetdump/policy.conf"
#define POLICY_OPERATORS_PATH "/etc/fleetdump/operators"
#define POLICY_SAID_MAX       320u

struct policy {
    bool allow, unsigned_too, baseline;
    struct config_strings who, interfaces, forbid_nets, forbid_ports, blank;
    uint64_t snaplen, duration_ns, packets, bytes, rate; /* 0: no limit of the host */
    char *payload, *keep, *hours, *kill_file;

    /* Made of the texts above */
    struct forbid forbid;
    uint32_t payload_most; /* bytes kept of each packet's payload; UINT32_MAX: all */
    uint8_t keep_most;     /* enum capture_keep: no more than this */
    uint8_t http_blank;    /* enum http_blank */
    bool has_hours;
    unsigned from_minute, to_minute; /* of the local day; from > to: over midnight */
};

/* Reads a text; `name` for messages. Freed by policy_free in any case; after an error it is zeroed, which allows
 * nothing. */
MUST_CHECK int policy_parse(const char *name, const char *text, size_t len, struct policy *p, struct error *e);

/* Reads a file, and checks first that it and its folder belong to root (or to this process's user) and that nobody else
 * may write them. ERROR_NOT_FOUND, ERROR_REFUSED. */
MUST_CHECK int policy_load(const char *path, struct policy *p, struct error *e);
void policy_free(struct policy *p);

/* The same check for any file of the host's owner; its content, malloc'ed. */
MUST_CHECK int policy_read_file(const char *path, size_t limit, char **text, size_t *len, struct error *e);

extern const struct config_key policy_keys[]; /* of struct policy */

/* The killing file is there: nothing may be captured. */
bool policy_is_killed(const struct policy *p);

/* Who asks: `signed_by` is the operator whose signature was verified; NULL: nobody signed. */
struct policy_question {
    const char *signed_by;
    uint64_t now_ns;      /* this host's wall clock */
    uint64_t accepted_ns; /* when the order came: its duration counts from then, or from its start */
};

enum policy_verdict {
    POLICY_YES,
    POLICY_NO, /* and not later either */
    /* only of the baseline, which stands always: when the policy changes or the hours come, it may be yes */
    POLICY_LATER,
};

/* Whether that order is the collector's baseline, which is nobody's: unsigned, flows of the default interfaces. */
bool policy_is_baseline(const struct order *o, bool is_signed);

/* Narrows the order; `said` (POLICY_SAID_MAX bytes) tells what was, "" if nothing; e says why not. `o` is not changed
 * but with POLICY_YES. */
enum policy_verdict policy_judge(const struct policy *p, const struct policy_question *q, struct order *o,
                                 char said[POLICY_SAID_MAX], struct error *e);

/* When the answer may change by time alone (wall clock); UINT64_MAX: never. */
uint64_t policy_next_change(const struct policy *p, uint64_t now_ns);

/* What rows are not to tell of HTTP, by the file; by one that cannot be read, anything (HTTP_BLANK_ALL). */
uint8_t policy_http_blank(const char *path);

/* Whether an interface may be captured on; by a policy that allows nothing, or could not be read, none. */
bool policy_interface(const struct policy *p, const char *name);

#endif
