/*
 * capture_stream: the packets of a capture as they come, into a pipe, while it goes on.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_CAPTURE_STREAM_H
#define FLEETDUMP_COLLECTOR_CLI_CAPTURE_STREAM_H

#include "collector/cli/client.h"
#include "collector/cli/output_file.h"

struct capture_stream;

/* Begins: the file's header is written. The capture and the file must live as long. */
MUST_CHECK int capture_stream_new(const struct cli *cli, const char *capture, uint32_t link_type,
                                  struct output_file *file, struct capture_stream **out, struct error *e);
void capture_stream_free(struct capture_stream *s); /* NULL is fine */

/* For struct watch: writes what came, once a second. ERROR_CANCELLED with an empty text if nobody reads it any more. */
MUST_CHECK int capture_stream_step(void *stream, const json_t *order, struct error *e);

/* The capture is over: writes what is still to come, until all has arrived or it takes too long (*arrived). */
MUST_CHECK int capture_stream_end(struct capture_stream *s, struct client *c, json_t *order, bool *arrived,
                                  struct error *e);

#endif
