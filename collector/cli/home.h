/*
 * home: where the command line keeps what is the user's own: $FLEETDUMP_HOME, else $XDG_CONFIG_HOME/fleetdump, else
 * ~/.config/fleetdump. The folder is 0700, files with secrets are 0600; what others could read or write is not used.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_HOME_H
#define FLEETDUMP_COLLECTOR_CLI_HOME_H

#include "common/base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define HOME_PATH_MAX 4096u

/* The path of a file there (name "": of the folder). ERROR_NOT_FOUND if the user has no home, ERROR_LIMIT. */
MUST_CHECK int home_path(const char *name, char path[HOME_PATH_MAX], struct error *e);

/* Makes the folder if it is missing. ERROR_REFUSED if it is another's or others may write there. */
MUST_CHECK int home_make(struct error *e);

/* Reads a file of at most `limit` bytes (malloc'ed, terminated). With `secret` ERROR_REFUSED if it is no regular file,
 * another user's, or others may read or write it: in words that say how to mend that. ERROR_NOT_FOUND. */
MUST_CHECK int home_read(const char *path, bool secret, size_t limit, char **text, size_t *len, struct error *e);

/* Writes a new file, 0600, durably. ERROR_EXISTS if there is one. */
MUST_CHECK int home_write_new(const char *path, const void *data, size_t len, struct error *e);

#endif
