/*
 * collector_options: configuration file and command line of fleetdump-collector.
 */
#ifndef FLEETDUMP_COLLECTOR_OPTIONS_H
#define FLEETDUMP_COLLECTOR_OPTIONS_H

#include "collector/server/server.h"
#include "common/base/clock.h"
#include "common/base/config.h"

#define COLLECTOR_LISTEN_DEFAULT "127.0.0.1:4741"
#define COLLECTOR_CONFIG_DEFAULT "/etc/fleetdump/collector.conf"

/* Keys of collector.conf, in the order of the sample; struct collector_config by collector_keys. */
struct collector_config {
    char *name, *listen, *data, *log_level, *audit;
    char *tls_ca, *tls_cert, *tls_key; /* within `data` unless said otherwise */
    char *tls_crl;
    char *address, *enroll;
    bool insecure_plaintext, baseline;
    uint64_t certificate_life_ns, collector_certificate_life_ns, authority_life_ns;
    uint64_t retain_age_ns, retain_bytes, retain_packet_bytes, floor_bytes, partition_ns;
    uint64_t max_sessions, max_queries, query_deadline_ns;
};
extern const struct config_key collector_keys[];

enum collector_command { COLLECTOR_SERVE, COLLECTOR_CHECK, COLLECTOR_REINDEX, COLLECTOR_INIT, COLLECTOR_DOCTOR };

struct collector_options {
    enum collector_command command;
    const char *config_path, *data, *listen, *port_file; /* NULL: not given */
    bool insecure_plaintext, verbose;
    const char *name, *address, *admin; /* init */
    bool admin_token, no_start;         /* likewise */
    bool json;                          /* what doctor prints */
};

/* argp: prints help and usage errors itself and ends the program with EXIT_USAGE. */
void collector_options_parse(int argc, char **argv, struct collector_options *o);

/* Loads the file (a missing default file is fine) and lets the command line override it. Free with
 * config_free(collector_keys, c). */
MUST_CHECK int collector_config_load(const struct collector_options *o, struct collector_config *c, struct error *e);

/* Where the key of the authority that init made is: beside its certificate. NULL if that is an organisation's own (or
 * memory ran out). To be freed. */
char *collector_ca_key(const struct collector_config *c);

#endif
