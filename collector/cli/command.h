/*
 * command: the subcommands of fleetdump, one file each, and what they share.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_COMMAND_H
#define FLEETDUMP_COLLECTOR_CLI_COMMAND_H

#include "common/base/error.h"
#include <argp.h>
#include <stdbool.h>

enum output_format { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_NDJSON, OUTPUT_CSV };

/* Options of every subcommand. */
struct cli {
    const char *collector; /* address */
    enum output_format format;
    const char *columns; /* comma-separated, or NULL for the subcommand's own */
    bool no_header, quiet;
};

struct command {
    const char *name;
    const char *summary;
    /* Gets its own argv (argv[0] is "fleetdump NAME"); returns 0 or an error code, having said nothing but progress and notes. */
    int (*run)(int argc, char **argv, struct cli *cli, struct error *e);
};

/* All of them, terminated by a NULL name; help, dispatch, completion and "did you mean" walk it. */
extern const struct command commands[];

int command_agents(int argc, char **argv, struct cli *cli, struct error *e);
int command_captures(int argc, char **argv, struct cli *cli, struct error *e);
int command_chunks(int argc, char **argv, struct cli *cli, struct error *e);
int command_export(int argc, char **argv, struct cli *cli, struct error *e);
int command_flows(int argc, char **argv, struct cli *cli, struct error *e);
int command_print(int argc, char **argv, struct cli *cli, struct error *e);
int command_pull(int argc, char **argv, struct cli *cli, struct error *e);
int command_status(int argc, char **argv, struct cli *cli, struct error *e);

/* The options of struct cli, as a child of each subcommand's argp; its input is the struct cli. */
extern const struct argp cli_argp;

/* The word of a list (terminated by NULL) that is nearest to `word`, or NULL if none is near. */
const char *nearest_word(const char *word, const char *const *list);

#endif
