/*
 * config: the agent's configuration file (deploy/samples/agent.conf explains every key).
 */
#ifndef FLEETDUMP_AGENT_CONFIG_H
#define FLEETDUMP_AGENT_CONFIG_H

#include "agent/capture/flow_table.h"
#include "common/base/config.h"

#define AGENT_CONFIG_PATH "/etc/fleetdump/agent.conf"

struct agent_config {
    char *name;
    char *collector;
    char *tls; /* folder of ca.pem, cert.pem, key.pem */
    bool insecure_plaintext;
    char *spool;
    uint64_t quota;
    uint64_t floor;
    struct config_strings labels;
    uint64_t compression_level;
    uint64_t max_flows;
    struct flow_timeouts timeouts;
    uint64_t ring, memory;
    char *ship_user, *capture_user; /* names or numbers */
    char *policy, *operators;       /* files of the host's owner: policy.h, common/net/signature.h */
    char *log_level;
};

extern const struct config_key agent_config_keys[]; /* of struct agent_config */

/* Reads the file and checks it: names, addresses and levels, too. Without a name the host's is taken. If the file is
 * not there and `optional`, the defaults hold. Freed by agent_config_free also after an error. */
MUST_CHECK int agent_config_load(const char *path, bool optional, struct agent_config *c, struct error *e);
void agent_config_free(struct agent_config *c);

/* Reads the file once more, for an agent that runs. What is read for each thing anew is taken from it; what processes
 * have become, opened or locked already (AGENT_CONFIG_FIXED) stays as it is, and `left` names those keys of it that say
 * something else now ("": none). After an error *c is as before. */
#define AGENT_CONFIG_FIXED                                                                                             \
    "name", "tls", "insecure_plaintext", "spool", "ship_user", "capture_user", "policy", "operators"
#define AGENT_CONFIG_NAMES_MAX 128u
MUST_CHECK int agent_config_reload(const char *path, bool optional, struct agent_config *c,
                                   char left[AGENT_CONFIG_NAMES_MAX], struct error *e);

/* The log level as enum log_level. */
int agent_config_log_level(const struct agent_config *c);

/* Whether there is a way to the collector: this host has joined, or insecure_plaintext is said. */
MUST_CHECK int agent_config_check_collector(const struct agent_config *c, struct error *e);

#endif
