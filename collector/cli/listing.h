/*
 * listing: JSON documents of the collector as tables: an array of objects, a row each, or one object; each with its
 * table of columns.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_LISTING_H
#define FLEETDUMP_COLLECTOR_CLI_LISTING_H

#include "collector/cli/client.h"
#include "collector/cli/sheet.h"

/* What a value is, for people. Names are never cut: people type them again. */
enum look {
    LOOK_NAME,
    LOOK_ID, /* hex digits, of which the first few do; all of them in wide tables */
    LOOK_TEXT,
    LOOK_COUNT,
    LOOK_BYTES,
    LOOK_RATE, /* bytes per second */
    LOOK_LEFT, /* ns from now on; INT64_MAX and more: for ever */
    LOOK_TIME,
    LOOK_AGO,
    LOOK_SPAN,   /* ns, of either sign */
    LOOK_OFFSET, /* likewise: of a clock, with what it may be wrong by */
    LOOK_WORDS,  /* an array of texts */
    LOOK_ADDRESSES,
    LOOK_JSON
};

struct list_column {
    const char *name;
    const char *title;
    enum look look;
    const char *path; /* where it is in the document's objects: a.b.c; NULL: the name */
};

struct listing {
    uint8_t kind; /* enum query_kind */
    bool single;  /* the document is one object */
    const struct list_column *columns;
    struct sheet_choice choice;
    const char *nothing; /* said when the list is empty */
};

/* Asks and prints. */
MUST_CHECK int listing_show(const struct cli *cli, const struct listing *l, const struct message_query *q,
                            struct error *e);

MUST_CHECK int listing_print(const struct cli *cli, const struct listing *l, const json_t *document, struct error *e);

/* The same in two steps, for what is wrong with the options to be known before anything is asked. */
MUST_CHECK int listing_check(const struct cli *cli, const struct listing *l, struct error *e);

/* For struct command, with a struct listing: the name of the i-th column, NULL behind the last. */
const char *listing_column(const void *listing, size_t i, const char **help);

#endif
