/*
 * given_labels: which labels an agent has. Those that an administrator gave with its token or approval (they stand with
 * its newest certificate in the catalog, with whichever it comes) count; what the host says of itself counts only where
 * none were given: bounds of users follow labels, and a host must not choose who may see its packets.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_GIVEN_LABELS_H
#define FLEETDUMP_COLLECTOR_SERVER_GIVEN_LABELS_H

#include "collector/store/store.h"

/* Those that were given to whose certificate that is; "": none were, or it was made elsewhere. On the ingest thread. */
MUST_CHECK int given_labels_find(struct store *s, const char *serial, char out[STORE_LABELS_MAX + 1], struct error *e);

/* Puts what counts into *labels ("role=web,dc=fra", malloc'ed, in: what the agent says); `serial` is its certificate's,
 * "" if it has none. A label that it says and does not have is named in "problem" of *status_json (malloc'ed, NULL: no
 * status). If the catalog cannot be read, it has no labels, and the error is that of the store. On the ingest
 * thread. */
MUST_CHECK int given_labels_apply(struct store *s, const char *serial, char **labels, char **status_json,
                                  struct error *e);

#endif
