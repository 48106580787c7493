/*
 * after: answers that go on where an earlier one ended, each chunk in exactly one of them.
 *
 * A chunk is answered once its head and its body are here. Chunks are numbered in order of arrival (store_chunk.id),
 * but a body may come long after its head: so a mark, which an answer's manifest gives and the next question hands
 * back, is the first chunk that is not answered, and for the streams that are further than that, how far.
 *
 *   mark := FROM [ ; EPOCH : SEQ { , EPOCH : SEQ } ]    "0": from the beginning
 *
 * Within a stream bodies come in order: what stands behind one that is waited for waits, too.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_AFTER_H
#define FLEETDUMP_COLLECTOR_QUERY_AFTER_H

#include "collector/store/store.h"
#include "common/base/buffer.h"
#include "common/net/message.h"

#define AFTER_STREAMS_MAX                                                                                              \
    (NET_AFTER_MAX / 56) /* in a mark: chunks of further streams wait until the first chunk is answered */

struct after;

/* ERROR_USAGE if the text is no mark. */
MUST_CHECK int after_new(const char *mark, struct after **out, struct error *e);
void after_free(struct after *a); /* NULL is fine */

/* Has the scan begin at the mark, and remember where it ended: the first one, whose `end` is to be NULL before
 * another. */
void after_scan(struct after *a, struct store_scan *scan);

/* Whether the chunk belongs to this answer: asked for each, in order, by the first scan of a question, */
MUST_CHECK int after_wants(struct after *a, const struct store_chunk *c, bool *wanted, struct error *e);
/* and by later ones, which may see more: the same answer. */
bool after_wanted(const struct after *a, const struct store_chunk *c);

/* Appends the mark for the next question. */
void after_mark(const struct after *a, struct buffer *out);

#endif
