/*
 * audit_support: an audit in a folder of its own, and its files as somebody may change them.
 */
#ifndef FLEETDUMP_TESTS_AUDIT_SUPPORT_H
#define FLEETDUMP_TESTS_AUDIT_SUPPORT_H

#include "common/base/audit.h"
#include "tests/unit/support.h"

#define T0    UINT64_C(1700000000000000000)
#define SMALL 1000u /* bytes of a file: some five lines */

struct place {
    char *path;
    struct error e;
};

/* For cmocka: *state is a place. */
int place_make(void **state);
int place_remove(void **state);
const char *place_folder(const struct place *p);
struct audit *place_reopen(struct place *p, uint64_t file_bytes);
int append_line(struct audit *a, uint64_t number, struct error *e);
/* A chain of so many lines, closed. */
void place_make_chain(struct place *p, uint64_t lines, uint64_t file_bytes);
int place_verify(struct place *p, struct audit_report *report);
/* The chain is whole, with so many lines. */
void place_assert_good(struct place *p, uint64_t lines);
/* A file of it, the caller's to free. */
char *place_load(const struct place *p, const char *name, size_t *len);
void place_save(const struct place *p, const char *name, const void *bytes, size_t len);

#endif
