/* options: one table for argp. */
#include "agent/options.h"
#include "agent/config.h"
#include "agent/policy.h"
#include "common/base/error.h"
#include "common/base/manual.h"
#include "common/base/units.h"
#include "common/chunk/head.h"
#include "common/packet/packet.h"
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_CAPTURE = 256, KEY_FILTER, KEY_CUTOFF, KEY_KEEP, KEY_OUT, KEY_NO_WAIT, KEY_CHECK };

static const struct argp_option table[] = {
    {"config", 'c', "FILE", 0, "Configuration (" AGENT_CONFIG_PATH ")", 0},
    {"check", KEY_CHECK, NULL, 0, "Only check the configuration", 0},
    {NULL, 0, NULL, 0, "Capture files:", 1},
    {"read", 'r', NULL, 0, "Take in the capture FILEs: pcap or pcapng, also gzip or zstd; \"-\" is the standard input",
     1},
    {"capture", KEY_CAPTURE, "NAME", 0, "Call it NAME (after the first file)", 1},
    {"filter", KEY_FILTER, "EXPRESSION", 0, "Only packets that match, as tcpdump -r FILE EXPRESSION does", 1},
    {"snaplen", 's', "BYTES", 0, "Keep at most so much of each packet", 1},
    {"cutoff", KEY_CUTOFF, "BYTES", 0,
     "Of the payload of each direction of a flow keep only the first; headers are kept, and all is counted", 1},
    {"keep", KEY_KEEP, "packets|flows", 0, "Keep the packets and their flows, or the flows alone (packets)", 1},
    {"out", KEY_OUT, "DIR", 0, "Only write chunk files into DIR, for no collector", 1},
    {"no-wait", KEY_NO_WAIT, NULL, 0, "Do not wait until the collector has everything", 1},
    MANUAL_OPTION,
    {0},
};

static const char doc[] =
    "Captures packets on this host and ships them, with what it knows of their flows, to the fleetdump collector.\v"
    "Examples:\n"
    "  fleetdump-agent                          run, as the configuration says\n"
    "  fleetdump-agent --read monday.pcapng     take in a file, named \"monday\"\n"
    "  fleetdump-agent --read a.pcap.gz b.pcap.zst --capture site-b --filter tcp\n"
    "  tcpdump -w - | fleetdump-agent --read - --capture now\n"
    "  fleetdump-agent --read big.pcap --out chunks     for no collector; then\n"
    "  zstd -dc chunks/*.pcapng.zst | tcpdump -nr -\n"
    "\n"
    "Exit status: 0 done, 1 something failed (what was readable is kept), 2 wrong use.\n";

const char *argp_program_version = "fleetdump-agent " FLEETDUMP_VERSION;

static void parse_snaplen(struct argp_state *state, const char *text, uint32_t *snaplen)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || end == text || text[0] == '-' || value > PACKET_SNAPLEN_MAX)
        argp_error(state, "--snaplen %s: not a number of bytes from 0 (all) to %u", text, PACKET_SNAPLEN_MAX);
    *snaplen = (uint32_t)value;
}

static void parse_cutoff(struct argp_state *state, const char *text, uint32_t *cutoff)
{
    struct error e = ERROR_INIT;
    uint64_t value = 0;
    if (units_parse(UNIT_BYTES, text, &value, &e))
        argp_error(state, "--cutoff: %s", e.text);
    if (value == 0 || value > UINT32_MAX)
        argp_error(state, "--cutoff %s: 1 to 4G - 1 bytes (for none, --snaplen or --keep flows)", text);
    *cutoff = (uint32_t)value;
}

static void parse_keep(struct argp_state *state, const char *text, bool *keep_packets)
{
    *keep_packets = strcmp(text, "packets") == 0;
    if (!*keep_packets && strcmp(text, "flows") != 0)
        argp_error(state, "--keep %s: neither 'packets' nor 'flows'", text);
}

static void parse_name(struct argp_state *state, const char *text, const char **capture)
{
    if (!text[0] || strlen(text) > HEAD_NAME_MAX)
        argp_error(state, "--capture: a name has 1 to %u characters", HEAD_NAME_MAX);
    *capture = text;
}

static void check_together(struct argp_state *state, const struct agent_options *o, bool read_option)
{
    if (o->mode == AGENT_READ && o->file_count == 0)
        argp_error(state, "--read needs at least one FILE");
    if (o->mode != AGENT_READ && o->file_count)
        argp_error(state, "'%s': to take in a capture file say --read", o->files[0]);
    if (o->mode != AGENT_READ && read_option)
        argp_error(state, "--capture, --filter, --snaplen, --cutoff, --keep, --out and --no-wait go with --read");
}

struct parsing {
    struct agent_options *options;
    bool read_option;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct parsing *p = state->input;
    struct agent_options *o = p->options;
    p->read_option = p->read_option || (key >= KEY_CAPTURE && key <= KEY_NO_WAIT) || key == 's';
    switch (key) {
    case 'c':
        o->config = arg;
        o->config_given = true;
        return 0;
    case 'r':
        o->mode = AGENT_READ;
        return 0;
    case 's':
        parse_snaplen(state, arg, &o->snaplen);
        return 0;
    case KEY_CUTOFF:
        parse_cutoff(state, arg, &o->cutoff);
        return 0;
    case KEY_CAPTURE:
        parse_name(state, arg, &o->capture);
        return 0;
    case KEY_FILTER:
        if (strlen(arg) > HEAD_FILTER_MAX)
            argp_error(state, "--filter: longer than %u characters", HEAD_FILTER_MAX);
        o->filter = arg;
        return 0;
    case KEY_KEEP:
        parse_keep(state, arg, &o->keep_packets);
        return 0;
    case KEY_OUT:
        o->out = arg;
        return 0;
    case KEY_NO_WAIT:
        o->wait = false;
        return 0;
    case KEY_CHECK:
        o->mode = AGENT_CHECK;
        return 0;
    case MANUAL_OPTION_KEY:
        if (strcmp(arg, "policy") == 0)
            manual_print("keys", "fleetdump-agent", state, policy_keys);
        manual_print(arg, "fleetdump-agent", state, agent_config_keys);
    case ARGP_KEY_ARGS:
        o->files = state->argv + state->next;
        o->file_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_SUCCESS:
        check_together(state, o, p->read_option);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void agent_options_parse(int argc, char **argv, struct agent_options *o)
{
    static const struct argp argp = {table, parse, "[FILE...]", doc, NULL, NULL, NULL};
    *o = (struct agent_options){
        .mode = AGENT_DAEMON, .config = AGENT_CONFIG_PATH, .filter = "", .keep_packets = true, .wait = true};
    struct parsing p = {.options = o};
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &p) != 0)
        exit(EXIT_USAGE);
}
