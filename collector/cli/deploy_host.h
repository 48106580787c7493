/*
 * deploy_host: one host gets the agent, or loses it. Each step looks first at what is there already, so that it can be
 * done again.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_DEPLOY_HOST_H
#define FLEETDUMP_COLLECTOR_CLI_DEPLOY_HOST_H

#include "collector/cli/cli.h"
#include "common/base/buffer.h"
#include <jansson.h>
#include <stdint.h>

/* What all hosts have in common. */
struct deploy {
    struct cli *cli;
    const char *ssh;     /* the command */
    const char *package; /* file, or NULL */
    const char *agent;   /* file of the program to be copied; NULL: looked for */
    const char *address; /* of the collector, as hosts reach it; NULL: as the collector says */
    json_t *labels;      /* array of "key=value" */
    bool transient, via_ssh, allow, remove;
    bool batch; /* several hosts: ssh asks nothing */

    /* made by deploy_prepare */
    struct buffer payload;
    char payload_sha256[65], ca_sha256[65], operator_line[512];
};

#define DEPLOY_PAYLOAD_MAX (256u << 20)

/* Reads files and keys that all hosts get. */
MUST_CHECK int deploy_prepare(struct deploy *d, struct error *e);
void deploy_free(struct deploy *d);

/* All of it for one host ([USER@]HOST); `said` gets what is to be told: how it is now. The error says at which step it
 * failed. */
#define DEPLOY_SAID_MAX 512u
MUST_CHECK int deploy_host(const struct deploy *d, const char *host, char said[DEPLOY_SAID_MAX], struct error *e);

#endif
