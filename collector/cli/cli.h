/*
 * cli: what all subcommands share: their options, the table of them, and notes on stderr.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_CLI_H
#define FLEETDUMP_COLLECTOR_CLI_CLI_H

#include "common/base/error.h"
#include <argp.h>
#include <stdbool.h>

enum output_format { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_NDJSON, OUTPUT_CSV };

/* Options of every subcommand. */
struct cli {
    const char *collector;   /* address */
    bool insecure_plaintext; /* plain TCP: no certificates */
    enum output_format format;
    const char *columns; /* comma-separated, or NULL for the subcommand's own */
    bool no_header, quiet;
};

/* Options that only make sense for subcommands with tables are not offered by the others. */
extern const struct argp cli_argp;       /* --collector, --utc, --quiet; input is the struct cli */
extern const struct argp cli_table_argp; /* those and --output, --columns, --no-header */

struct command {
    const char *name; /* of a subcommand with what stands before it: "capture start" */
    const char *summary;
    const struct argp *argp;
    /* Gets its own argv (argv[0] is "fleetdump NAME"); returns 0 or an error code, having said nothing but notes. */
    int (*run)(int argc, char **argv, struct cli *cli, struct error *e);
    /* The name of the i-th column of its tables (NULL behind the last) and its meaning (or NULL); NULL: it has no
     * tables. */
    const char *(*column)(const void *columns_of, size_t i, const char **help);
    const void *columns_of;
    /* Terminated by NULL. A command that has some has nothing above but name and summary, and examples. */
    const struct command *const *subcommands;
    const char *examples;
};

/* All of them, terminated by NULL; help, dispatch, completion and "did you mean" walk it. */
extern const struct command *const commands[];
/* The command that these words begin with, as far as they name one ("capture start"), or NULL; *used (may be NULL) is
 * how many of them. */
const struct command *command_named(char *const *words, int count, int *used);
/* The last word of its name. */
const char *command_word(const struct command *c);

extern const struct command command_agents, command_captures, command_flows, command_http, command_dns, command_tls,
    command_pull, command_print, command_show, command_capture, command_admin, command_audit, command_login,
    command_key, command_status, command_chunks, command_export, command_complete, command_doctor, command_deploy;

/* argp_parse, with a suggestion for an option that does not exist, and the columns in --help. Wrong use ends the
 * process with EXIT_USAGE, --help with EXIT_OK. */
void cli_parse(const struct command *c, int argc, char **argv, void *input);

/* The value of --output, for commands that only have that of cli_table_argp. */
error_t cli_parse_format(struct argp_state *state, const char *arg, struct cli *cli);

/* Calls `each` for every option of the command. */
void cli_each_option(const struct argp *argp, void (*each)(void *context, const struct argp_option *o), void *context);

/* A line on stderr, unless --quiet; control characters are replaced. */
void note(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
