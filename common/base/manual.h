/*
 * manual: what programs know of themselves, in mdoc, for their man pages: options out of argp's tables, keys out of
 * configurations' tables. deploy/man holds the pages; what these functions print is put into them when they are built.
 */
#ifndef FLEETDUMP_BASE_MANUAL_H
#define FLEETDUMP_BASE_MANUAL_H

#include "common/base/config.h"
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>

/* One line of running text, escaped; no macro in it counts. */
void manual_line(const char *text, FILE *to);

/* Paragraphs; lines that begin with a space stand as they are. */
void manual_text(const char *text, FILE *to);

/* The options of one table, those of its children left out. */
void manual_options(const struct argp_option *options, FILE *to);

/* Name, default, range and meaning of each key. */
void manual_keys(const struct config_key *keys, FILE *to);

/* How a command is called ("fleetdump flows"), what it does, its options, and its examples; of its children those that
 * `put_child` does not claim (false: not claimed, they are printed here; NULL: all are). */
void manual_command(const char *name, const struct argp *argp, bool (*put_child)(const struct argp *child, FILE *to),
                    FILE *to);

/* A hidden option of a program that has one argp and one table of keys: --manual=command or --manual=keys prints that
 * and ends the program. */
enum { MANUAL_OPTION_KEY = 0x7000 };
#define MANUAL_OPTION                                                                                                  \
    {                                                                                                                  \
        "manual", MANUAL_OPTION_KEY, "PART", OPTION_HIDDEN, NULL, 0                                                    \
    }
_Noreturn void manual_print(const char *part, const char *program, const struct argp_state *state,
                            const struct config_key *keys);

#endif
