/*
 * support: what unit tests share. Includes cmocka with what it needs before it.
 */
#ifndef FLEETDUMP_TESTS_SUPPORT_H
#define FLEETDUMP_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A literal for structs of the program, which never write to their texts. */
#define TEXT(literal) ((char *)(uintptr_t)(literal))

/* An own empty folder for this test: its path, to be given to support_folder_remove, which frees it. */
char *support_folder(void);
void support_folder_remove(char *path);

/* "path/name" in static memory, good until the 4th next call. */
const char *support_path(const char *path, const char *name);

/* Writes the file path/name. */
void support_write(const char *path, const char *name, const void *data, size_t len);

/* The folder of real captures (FLEETDUMP_CORPUS); skips the calling test if there is none. */
const char *support_corpus(void);

#endif
