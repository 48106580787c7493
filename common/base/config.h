/*
 * config: files of "key = value" lines, read by walking a table of keys.
 *
 * '#' starts a comment at a line's start or after white space; values may be quoted with "..." (backslash escapes the
 * next character). An unknown key, a key given twice that may not repeat, or a value out of range is an error that
 * names file, line and what is allowed.
 */
#ifndef FLEETDUMP_BASE_CONFIG_H
#define FLEETDUMP_BASE_CONFIG_H

#include "common/base/error.h"
#include "common/base/units.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_type {
    CONFIG_STRING,  /* char *, malloc'ed; the default string is copied */
    CONFIG_STRINGS, /* struct config_strings; may repeat, each line adds one */
    CONFIG_NUMBER,  /* uint64_t, by `unit` */
    CONFIG_BOOL,    /* bool: yes/no, true/false, on/off */
};

struct config_strings {
    char **items;
    size_t count;
};

struct config_key {
    const char *name;
    enum config_type type;
    enum unit unit;       /* for CONFIG_NUMBER */
    size_t offset;        /* of the field in the caller's struct */
    const char *fallback; /* text parsed as if it stood in the file; NULL leaves the field zero */
    uint64_t least, most; /* for CONFIG_NUMBER; 0, 0 means any */
    const char *help;
};

#define CONFIG_FILE_MAX (1u << 20)

/* Fills `target` by the table (terminated by a NULL name) from text; `name` is used in messages. With text NULL only
 * the defaults. On error everything it allocated is freed. */
MUST_CHECK int config_parse(const struct config_key *keys, const char *name, const char *text, size_t len, void *target,
                            struct error *e);

/* The same from a file of at most CONFIG_FILE_MAX bytes. */
MUST_CHECK int config_load(const struct config_key *keys, const char *path, void *target, struct error *e);

/* Frees the strings that the table says `target` owns. */
void config_free(const struct config_key *keys, void *target);

#endif
