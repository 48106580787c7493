/*
 * fleetdump capture: captures on all hosts, ordered at the collector.
 */
#include "collector/cli/capture.h"

static const struct command *const subcommands[] = {&command_capture_start, &command_capture_list,
                                                    &command_capture_show,  &command_capture_stop,
                                                    &command_capture_rm,    NULL};

const struct command command_capture = {
    .name = "capture",
    .summary = "starts, shows and stops captures on all hosts",
    .subcommands = subcommands,
    .examples = "Examples:\n"
                "  fleetdump capture start -A --for 10s 'tcp port 80 or udp port 53'\n"
                "  fleetdump capture start --on 'web-*' --for 60s -w out.pcapng 'tcp port 80'\n"
                "  fleetdump capture start -l role=web -w - 'host 10.0.0.5' | wireshark -k -i -\n"
                "  fleetdump capture list\n"
                "  fleetdump capture stop 7f3a\n",
};
