/*
 * output_file: a file that has its name only when it is whole, or a pipe.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_OUTPUT_FILE_H
#define FLEETDUMP_COLLECTOR_CLI_OUTPUT_FILE_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stddef.h>

struct output_file {
    int fd;
    char *path, *temporary; /* NULL for standard output */
};

/* "-" is standard output (ERROR_USAGE if that is a terminal); else a temporary file beside the path. */
MUST_CHECK int output_file_open(const char *path, struct output_file *f, struct error *e);
/* ERROR_CANCELLED with an empty text when the reader of the pipe went away. */
MUST_CHECK int output_file_write(struct output_file *f, const void *data, size_t len, struct error *e);
/* Gives the file its name. */
MUST_CHECK int output_file_keep(struct output_file *f, struct error *e);
/* Closes; removes the temporary file if it was not kept. */
void output_file_close(struct output_file *f);

#endif
