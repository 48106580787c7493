/* confine: the collector's sandbox (common/base/sandbox.h). */
#ifndef FLEETDUMP_COLLECTOR_SERVER_CONFINE_H
#define FLEETDUMP_COLLECTOR_SERVER_CONFINE_H

#include "common/base/error.h"
#include "common/net/tls.h"

/* From here on: the data folder, and the folders of the certificate's files (tls; NULL: none), which may be replaced.
 * No connection to anybody: what listens is open already. Call it before the first thread is started. */
MUST_CHECK int confine_server(const char *data, const struct tls_files *tls, struct error *e);

#endif
