/*
 * suggest: "did you mean": the known word that is nearest to one that is not known.
 */
#ifndef FLEETDUMP_BASE_SUGGEST_H
#define FLEETDUMP_BASE_SUGGEST_H

#include <stddef.h>

/* Longer words are not compared. */
#define SUGGEST_LENGTH_MAX 32u

struct suggest {
    const char *text; /* not known; need not be terminated */
    size_t len;
    unsigned limit;   /* a word with fewer edits than this is nearer than `word` */
    const char *word; /* the nearest one so far, or NULL */
};

/* Begins to look for what `len` bytes of text may mean. Words of three letters and less may have one edit, longer ones
 * two; of a single letter nothing can be said. An edit inserts, removes or replaces a letter, or swaps two neighbours;
 * upper and lower case are alike. */
void suggest_begin(struct suggest *s, const char *text, size_t len);

/* Takes a known word into account; of equally near ones the first counts. The word must live as long as *s. */
void suggest_consider(struct suggest *s, const char *word);

#endif
