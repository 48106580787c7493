/*
 * rows: questions whose answer is rows, of flows or of exchanges: which columns, in which order, how many, or sums over
 * groups. One implementation; each command (flows, http, dns, tls) is a struct rows_kind.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_ROWS_H
#define FLEETDUMP_COLLECTOR_CLI_ROWS_H

#include "collector/cli/client.h"
#include "collector/cli/question.h"
#include "collector/cli/sheet.h"
#include "collector/cli/when.h"
#include "common/rows/field.h"

/* Another name for a field, of this command alone. */
struct rows_name {
    const char *name, *field;
};

struct rows_kind {
    const struct command *command;
    uint8_t query;                 /* enum query_kind */
    const char *app;               /* EXCHANGES: of this application */
    const char *what;              /* "flows" */
    const char *selected;          /* in the manifest: how many there were without a limit */
    struct sheet_choice single;    /* columns of lines */
    const char *groups;            /* and of groups, behind what they are grouped by */
    const struct rows_name *names; /* ended by NULL; or NULL */
    bool (*has)(const struct rows_kind *kind, const struct field *f); /* whether lines have it */
    bool (*adds_up)(const struct field *f); /* whether values of several lines make one of their group */
};

/* One question, as the options have it; parsed with rows_argp, whose input it is. */
struct rows {
    const struct rows_kind *kind;
    struct question u;
    char **by;
    uint32_t by_count;
    char *sort; /* owned */
    char *columns;
    uint64_t limit;
    int vantage; /* enum query_vantage; -1: not said */
    struct sheet_column column[SHEET_COLUMNS_MAX];
    const struct field *fields[SHEET_COLUMNS_MAX];
    size_t count;
    enum when when;
    struct buffer block;
    void *flows; /* of a pair of blocks the first one's rows */
    struct block *flow_block;
    struct buffer flow_bytes; /* that it was opened from */
    uint64_t given;
};

/* --sort, --limit, --by, --vantage, and those of questions and tables. */
extern const struct argp rows_argp;

/* For the argp of a command: rows_argp as its child, and its parser, if it has no options of its own. */
extern const struct argp_child rows_children[];
error_t rows_parse(int key, char *arg, struct argp_state *state);

void rows_init(struct rows *r, const struct rows_kind *kind, struct cli *cli);
void rows_free(struct rows *r);

/* Checks all fields, and makes the question. */
MUST_CHECK int rows_prepare(struct rows *r, struct error *e);

/* Asks, and calls `each` for every row of the answer; of exchanges with row->exchange. */
typedef int rows_each_fn(void *context, const struct flow_row *row, struct error *e);
MUST_CHECK int rows_ask(struct rows *r, rows_each_fn *each, void *context, struct client_answer *answer,
                        struct error *e);

/* Notes behind an answer: what the limit left out, and what was seen at several places. */
void rows_say_notes(const struct rows *r, const struct client_answer *answer);

/* A question about exchanges of another application at the same places, from `earlier_ns` before until the same end,
 * without a filter; it refers to the first one, and is for rows_ask alone. */
void rows_of_other(struct rows *r, const struct rows *of, const char *app, uint64_t earlier_ns);

/* A whole command: options, question, table. Or, with --columns and nothing behind it (or `help`): the list of
 * columns. */
MUST_CHECK int rows_run(const struct rows_kind *kind, int argc, char **argv, struct cli *cli, struct error *e);

/* The same behind cli_parse. */
MUST_CHECK int rows_show(struct rows *r, struct error *e);

/* Gives "--columns" at the end its "help". The array (to be freed) replaces argv; NULL without memory. */
char **rows_arguments(int *argc, char **argv);

/* For struct command, with a struct rows_kind. */
const char *rows_column(const void *kind, size_t i, const char **help);

#endif
