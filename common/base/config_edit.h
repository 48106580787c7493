/*
 * config_edit: changes some keys of a configuration file's text and leaves its other lines, comments too, as they are.
 */
#ifndef FLEETDUMP_BASE_CONFIG_EDIT_H
#define FLEETDUMP_BASE_CONFIG_EDIT_H

#include "common/base/buffer.h"
#include "common/base/error.h"

/* One line that is to stand there. A key that occurs more than once gets as many lines; value NULL: none. */
struct config_setting {
    const char *key, *value;
};

/* Appends the changed text to `out`: lines of these keys are gone, and the new ones stand where the first of them was,
 * else below the comment that shows the key's default ("#key = ..."), else at the end. Values are quoted where they
 * must be. */
MUST_CHECK int config_edit(const char *text, size_t length, const struct config_setting *settings, size_t count,
                           struct buffer *out, struct error *e);

/* The same with a file, which is replaced durably and made (0644, after `head`) if it is missing. */
MUST_CHECK int config_edit_file(const char *path, const char *head, const struct config_setting *settings, size_t count,
                                struct error *e);

#endif
