/*
 * selector: which agents a capture request means. The collector uses it to find them, and each agent again, to judge
 * for itself.
 */
#ifndef FLEETDUMP_NET_SELECTOR_H
#define FLEETDUMP_NET_SELECTOR_H

#include "common/net/message.h"

/* Whether the agent of this name with these labels ("role=web") is meant: one of `on` fits its name, and, if there are
 * `labels`, one of those strings fits: all its comma-separated KEY=GLOB do. No `on` means any name. */
bool selector_means(const struct capture_request *r, const char *agent, const char *const *labels, uint32_t count);

/* Whether a label expression ("role=web,dc=fra*") is one. ERROR_USAGE says what is wrong. */
MUST_CHECK int selector_check_labels(const char *expression, struct error *e);

#endif
