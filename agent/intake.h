/*
 * intake: capture files, one after the other, into a chunk_builder: one stream, in which interfaces keep their names.
 *
 * An interface is named as in its file, or after the file; bytes of names and descriptions that are no clean text
 * (utf8_clean: control characters, no UTF-8) become '?', so that every view shows the same name. Interfaces that are
 * alike in everything and stand in different files (or sections of one) are one; others of the same name get "#2",
 * "#3", ...
 */
#ifndef FLEETDUMP_AGENT_INTAKE_H
#define FLEETDUMP_AGENT_INTAKE_H

#include "agent/capture/chunk_builder.h"
#include <stdatomic.h>

struct intake;

/* `more` (may be NULL) is called now and then with the bytes read of the open file and its size (0: unknown). */
MUST_CHECK int intake_new(struct chunk_builder *b, const atomic_bool *stop,
                          void (*more)(void *context, uint64_t done, uint64_t total), void *context,
                          struct intake **out, struct error *e);
void intake_free(struct intake *in);

/* Reads the file to its end, or until *stop. An error ends this file only, if *stream_failed stays false: what was read
 * before is kept, and other files may follow. Else the builder is of no more use. */
MUST_CHECK int intake_file(struct intake *in, const char *path, bool *stream_failed, struct error *e);

/* Blocks of the files that hold no packets and are not kept. */
uint64_t intake_skipped(const struct intake *in);

#endif
