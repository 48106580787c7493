/*
 * capture: the subcommands of `fleetdump capture`, and the lists that they print.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_CAPTURE_H
#define FLEETDUMP_COLLECTOR_CLI_CAPTURE_H

#include "collector/cli/listing.h"

extern const struct command command_capture_start, command_capture_list, command_capture_show, command_capture_stop,
    command_capture_rm;

/* What a check came to, an agent a row: `order` is an answer's manifest. `for_ns`, `bytes`: the limits, 0 for none. */
MUST_CHECK int capture_print_check(const struct cli *cli, json_t *order, uint64_t for_ns, uint64_t bytes, bool packets,
                                   struct error *e);

#endif
