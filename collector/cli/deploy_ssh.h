/*
 * deploy_ssh: the system's ssh, with the user's own configuration and keys.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_DEPLOY_SSH_H
#define FLEETDUMP_COLLECTOR_CLI_DEPLOY_SSH_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SSH_WORDS_MAX  64u
#define SSH_OUTPUT_MAX (64u << 10) /* more of what the other side says is not read */

struct ssh {
    const char *command; /* "ssh", or "ssh -F FILE": words, separated by spaces */
    const char *host;    /* as ssh takes it: [USER@]HOST or a name of its configuration */
    bool batch;          /* nobody is asked for passwords */
};

/* Runs deploy_host.sh there as root, with these words behind its name; `input` (may be NULL) is its standard input.
 * Appends what it says on standard output. ERROR_UNREACHABLE with ssh's words if ssh itself fails, ERROR_REFUSED with
 * the script's. */
MUST_CHECK int ssh_run(const struct ssh *s, const char *const *words, const struct buffer *input, struct buffer *output,
                       struct error *e);

/* The value of "fact KEY=" in what the script said: copied, "" if there is none. */
void ssh_fact(const struct buffer *output, const char *key, char *value, size_t size);

/* Starts an ssh that stays and brings connections to 127.0.0.1:`port` of the host to `target` ("address:port") as seen
 * from here; its process id. It ends with the connection or when it is killed. ERROR_UNREACHABLE; ERROR_BUSY: the port
 * is taken there. */
MUST_CHECK int ssh_forward(const struct ssh *s, uint16_t port, const char *target, pid_t *pid, struct error *e);

#endif
