/*
 * question: the options and the filter that every question about flows or packets takes, made into a message_query.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_QUESTION_H
#define FLEETDUMP_COLLECTOR_CLI_QUESTION_H

#include "collector/cli/command.h"
#include "common/net/message.h"

struct question {
    struct cli *cli;
    char *filter;              /* all words of the command line, joined; owned */
    const char *since, *until; /* as given, or NULL */
    const char *capture;
    char **on; /* agent globs */
    uint32_t on_count;
    uint64_t deadline_ms;
    struct message_query q;
    struct net_name *names; /* owned */
    uint32_t name_count;
};

/* Options --since, --until, --capture, --on, --deadline, and the filter's words; input is the struct question, whose `cli` must be set. Has cli_argp as a child. */
extern const struct argp question_argp;

/* Makes the query: checks the filter (with the caret's error before anything is sent), resolves the names in it once (agents first, then DNS) and says on stderr what it
 * took, sets the times. */
MUST_CHECK int question_prepare(struct question *u, uint8_t kind, struct error *e);
void question_free(struct question *u);

/* Appends a comma-separated list to a growing array of strings, owned by it. */
MUST_CHECK int split_list(const char *list, char ***items, uint32_t *count, struct error *e);

#endif
