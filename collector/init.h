/*
 * init: `fleetdump-collector init`: out of nothing a collector that can be started: an authority, its own certificate,
 * a configuration with the baseline capture, and the first administrator's token.
 *
 *   tls/ca.key, ca.pem    the authority; from this host alone certificates come
 *   tls/key.pem, cert.pem the collector's own; cert.pem last: with it the folder is complete
 *   collector.conf        `data`, `listen`, `name`, `baseline`; other lines stay as they are
 *
 * As root, all in the data folder is made as the folder's owner (whom the package gave it to).
 *
 * With tls_ca in the configuration the authority is an organisation's own: then only the first administrator is put
 * down.
 */
#ifndef FLEETDUMP_COLLECTOR_INIT_H
#define FLEETDUMP_COLLECTOR_INIT_H

#include "collector/collector_options.h"

MUST_CHECK int collector_init(const struct collector_options *o, const struct collector_config *c, struct error *e);

#endif
