/* options: the command line of fleetdump-agent. */
#ifndef FLEETDUMP_AGENT_OPTIONS_H
#define FLEETDUMP_AGENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum agent_mode { AGENT_DAEMON, AGENT_READ, AGENT_CHECK };

struct agent_options {
    enum agent_mode mode;
    const char *config; /* AGENT_CONFIG_PATH unless given */
    bool config_given;

    /* --read */
    char *const *files;
    size_t file_count;
    const char *capture; /* NULL: after the first file */
    const char *filter;  /* "" if none */
    const char *out;     /* folder, or NULL for the spool */
    uint32_t snaplen;    /* 0: whole packets */
    uint32_t cutoff;     /* payload of each direction of a flow; 0: all */
    bool keep_packets;
    bool wait;
};

/* Reads the command line. Wrong ones, --help and --version end the program (EXIT_USAGE, EXIT_OK). Texts belong to
 * argv. */
void agent_options_parse(int argc, char **argv, struct agent_options *o);

#endif
