/*
 * show_impl: what `fleetdump show` knows of its connection: show.c chooses and draws it, show_ask.c asks the collector
 * for it.
 */
#ifndef FLEETDUMP_CLI_SHOW_IMPL_H
#define FLEETDUMP_CLI_SHOW_IMPL_H

#include "collector/cli/blocks.h"
#include "collector/cli/pulling.h"
#include "collector/cli/which.h"
#include "collector/ladder/draw.h"
#include "common/base/error.h"

#define INTERFACES_MAX 4096u

typedef int draw_fn(const struct ladder *l, const struct draw_options *o, struct buffer *out, struct error *e);

struct drawing {
    const char *name;
    draw_fn *draw;
};

struct show {
    struct question u;
    bool all_vantages;
    const struct drawing *drawing;
    struct draw_options options;
    struct client *client;
    struct which meant;          /* flows of the connection, and others */
    uint32_t connection;         /* its number among them */
    uint64_t since_ns, until_ns; /* packets of other times are not to be shown */
    struct ladder *ladder;
    struct blocks *blocks;
    struct {
        int link_type;
        char *name; /* owned */
    } interfaces[INTERFACES_MAX];
    uint32_t interface_count;
    const struct flow_key *quoted; /* packets that quote another flow are left out; NULL: all are taken */
    struct error lacks;            /* what is missing in an answer that is good */
};

/* Another answer begins. */
void show_forget_interfaces(struct show *s);
/* For s->blocks: packets go into the ladder. */
MUST_CHECK int show_take_item(void *context, const struct pcapng_item *item, struct error *e);
/* Flows that the question means; what is missing is noted in s->lacks. */
MUST_CHECK int show_ask_which(struct show *s, const struct message_query *q, struct which *out, struct error *e);
/* The flows of the same connection that the filter, an id perhaps, does not mean. */
MUST_CHECK int show_ask_elsewhere(struct show *s, struct error *e);
/* The packets of the connection into the ladder, from each vantage, with the ICMP errors that quote it. */
MUST_CHECK int show_pull_all(struct show *s, struct error *e);

#endif
