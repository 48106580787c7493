/*
 * exchange_support: a store with exchanges made by hand, and what questions to it are answered.
 */
#ifndef FLEETDUMP_TESTS_EXCHANGE_SUPPORT_H
#define FLEETDUMP_TESTS_EXCHANGE_SUPPORT_H

#include "collector/query/query.h"
#include "common/rows/block.h"
#include "tests/unit/store_support.h"

#define MS           UINT64_C(1000000)
#define ANSWER_LINES 64u

/* An exchange of a flow of the chunk; without a wait it is unanswered. */
struct exchange_row exchange_new(const struct wish *w, uint32_t flow, uint32_t ordinal, const char *app,
                                 uint64_t time_ns, uint64_t wait_ns);
void exchange_put(struct exchange_row *x, unsigned id, uint64_t value);
void exchange_say(struct exchange_row *x, unsigned id, const char *text);

struct world {
    char *folder;
    const char *path;
    struct store *store;
};

/* An answer: for each line the fields that are asked for, joined by blanks. */
struct answer {
    struct query_outcome outcome;
    struct buffer bytes;
    void *flows;
    struct block *flow_block;
    struct buffer flow_bytes;
    const char *fields;
    bool of_flows; /* single blocks */
    char lines[ANSWER_LINES][512];
    size_t count;
};

/* For cmocka: *state is a world. */
int world_setup(void **state);
int world_teardown(void **state);

/* About exchanges of an application ("": of any). */
struct message_query question_of(const char *app, const char *filter);

/* Asks; of each line these fields (separated by commas) are kept. The outcome's manifest is the caller's to free. */
void answer_run(struct world *w, const struct message_query *q, const struct query_bounds *bounds, const char *fields,
                struct answer *a);

/* The lines of an answer: LIST("...", ...) or NOTHING. */
#define LIST(...)                                                                                                      \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }
#define NOTHING                                                                                                        \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        NULL                                                                                                           \
    }

/* The answer is good and has these lines. */
void answer_assert(const struct answer *a, const char *const *expected);
/* Both. */
void answer_expect(struct world *w, const struct message_query *q, const struct query_bounds *bounds,
                   const char *fields, const char *const *lines);

#endif
