/*
 * blocks: what is in a pcapng file that passes by in pieces, cut anywhere. The file is not trusted.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_BLOCKS_H
#define FLEETDUMP_COLLECTOR_CLI_BLOCKS_H

#include "common/chunk/pcapng.h"

struct blocks;
/* Gets each item once its block is whole; a negative return ends the feeding. */
typedef int blocks_each_fn(void *context, const struct pcapng_item *item, struct error *e);

MUST_CHECK int blocks_new(blocks_each_fn *each, void *context, struct blocks **out, struct error *e);
void blocks_free(struct blocks *b); /* NULL is fine */

/* Takes the next bytes of the file. Errors as of pcapng_reader_next. */
MUST_CHECK int blocks_feed(struct blocks *b, const void *data, size_t len, struct error *e);

/* What comes next is another file. ERROR_TRUNCATED if the last one ended amid a block. */
MUST_CHECK int blocks_restart(struct blocks *b, struct error *e);

#endif
