/*
 * output_file: a file that has its name only when it is whole, or a pipe.
 *
 * While it is written it is a temporary file beside its name, with the name's first part: out.pcapng.XXXXXX. That is
 * removed if it is not kept, also when SIGINT, SIGTERM or SIGHUP ends the process. What is no regular file (/dev/null,
 * a named pipe) is written as it is. Not thread-safe.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_OUTPUT_FILE_H
#define FLEETDUMP_COLLECTOR_CLI_OUTPUT_FILE_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stddef.h>

struct output_file {
    int fd;
    bool standard;   /* the process's standard output */
    char *path;      /* NULL for standard output */
    char *temporary; /* NULL for what is written as it is */
};

#define OUTPUT_FILE_NONE                                                                                               \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* "-" is standard output; with `binary` that may not be a terminal (ERROR_USAGE). output_file_close is due in any case.
 */
MUST_CHECK int output_file_open(const char *path, bool binary, struct output_file *f, struct error *e);
/* ERROR_CANCELLED with an empty text when the reader of the pipe went away; other errors name the file. */
MUST_CHECK int output_file_write(struct output_file *f, const void *data, size_t len, struct error *e);
/* Gives the file its name. */
MUST_CHECK int output_file_keep(struct output_file *f, struct error *e);
/* Closes; removes the temporary file if it was not kept. A closed one may be closed again. */
void output_file_close(struct output_file *f);

#endif
