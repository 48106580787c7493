/*
 * question: the options and the filter that every question about flows or packets takes, made into a message_query.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_QUESTION_H
#define FLEETDUMP_COLLECTOR_CLI_QUESTION_H

#include "collector/cli/cli.h"
#include "common/net/message.h"

struct question {
    struct cli *cli;
    char *filter;              /* all words of the command line, joined; owned */
    const char *since, *until; /* as given, or NULL */
    const char *capture;
    char **on; /* agent globs */
    uint32_t on_count;
    uint64_t deadline_ms;
    uint64_t fresh_ms;
    bool goes_on; /* it is asked again and again: said so where the time is */
    struct message_query q;
    struct net_name *names; /* owned */
    uint32_t name_count;
};

#define QUESTION_FRESH_MS 1500u

/* As it begins. */
#define QUESTION_INIT(of)                                                                                              \
    {                                                                                                                  \
        .cli = (of), .fresh_ms = QUESTION_FRESH_MS                                                                     \
    }

/* Options --since, --until, --capture, --on, --deadline, --fresh, and the filter's words; input is the struct
 * question. */
extern const struct argp question_argp;

/* Makes the query of a kind: checks the filter (the error shows the place with a caret) and the times before anything
 * is sent, resolves the names in the filter once (agents first, then DNS). Notes say which time and addresses it took.
 */
MUST_CHECK int question_prepare(struct question *u, uint8_t kind, struct error *e);
void question_free(struct question *u);

/* Prints the words of filters with their meaning. */
MUST_CHECK int question_help(struct error *e);

/* Appends a word to a growing text, a space between. */
MUST_CHECK int append_word(char **text, const char *word, struct error *e);

/* Appends one item, or a comma-separated list of them, to a growing array of strings, owned by it. */
MUST_CHECK int add_to_list(const char *item, size_t len, char ***items, uint32_t *count, struct error *e);
MUST_CHECK int split_list(const char *list, char ***items, uint32_t *count, struct error *e);
void free_list(char **items, uint32_t count);

#endif
