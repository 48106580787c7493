/*
 * input: the bytes of a file or pipe, expanded if they are gzip or zstd (told by their first bytes, not by the name).
 *
 * Reading is by window: input_need makes the next n bytes stand in one piece, input_take goes past them. What stands
 * in the window is not copied again. Concatenated gzip members and zstd frames (skippable ones too, so that bodies of
 * chunks can be read) are one stream.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_INPUT_H
#define FLEETDUMP_AGENT_CAPTURE_INPUT_H

#include "common/base/error.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define INPUT_NEED_MAX       (512u << 10) /* the most that input_need can be asked for */
#define INPUT_WINDOW_LOG_MAX 27           /* zstd windows up to 128 MiB, as the zstd tool expands by default */

struct input;

/* Opens a file for reading, or the standard input for "-". Errors name the path; ERROR_UNSUPPORTED for compressions
 * that we do not expand, with what to do. While a pipe is silent *stop is looked at (`stop` may be NULL):
 * ERROR_CANCELLED. */
MUST_CHECK int input_open(const char *path, const atomic_bool *stop, struct input **out, struct error *e);

/* The same over an open descriptor, which is closed by input_close. `name` is for messages. */
MUST_CHECK int input_open_fd(int fd, const char *name, const atomic_bool *stop, struct input **out, struct error *e);
void input_close(struct input *in); /* NULL is fine */

/* Makes up to n bytes available in one piece at *data and returns how many there are: fewer than n only at the end, 0
 * at a clean end. They are valid until the next call. Negative: the bytes could not be read or expanded; the text says
 * at which byte of the file. */
MUST_CHECK long input_need(struct input *in, uint32_t n, const uint8_t **data, struct error *e);

/* Bytes that stand in one piece at *data already: as many may be asked for without moving those before them. */
size_t input_here(const struct input *in, const uint8_t **data);

/* Goes past n bytes, at most what input_need returned. */
void input_take(struct input *in, uint32_t n);

/* Offset of the next byte in the expanded stream. */
uint64_t input_offset(const struct input *in);

/* Bytes of the file itself that were read so far, and its size (0 for a pipe). */
uint64_t input_progress(const struct input *in, uint64_t *total);

#endif
