/*
 * manual: the table of commands, as mdoc for fleetdump(1) and fleetdump-filter(7); printed by `fleetdump complete
 * manual-...`.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_MANUAL_H
#define FLEETDUMP_COLLECTOR_CLI_MANUAL_H

#include "collector/cli/cli.h"

void manual_put_commands(const struct cli *cli, const struct command *of); /* each with the options that it alone has */
void manual_put_shared(const struct cli *cli, const struct command *of);   /* options that several commands share */
void manual_put_words(const struct cli *cli, const struct command *of);    /* of filters */
void manual_put_fields(const struct cli *cli, const struct command *of);   /* of flows */

#endif
