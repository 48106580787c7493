/*
 * fleetdump: finds the subcommand, runs it, says what went wrong.
 */
#include "collector/cli/command.h"
#include "common/base/config.h"
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDRESS_DEFAULT "127.0.0.1:4741"
#define CONFIG_SYSTEM   "/etc/fleetdump/client.conf"

const struct command commands[] = {
    {"agents", "the agents that the collector knows", command_agents},
    {"captures", "what was captured: when, where, with which filter", command_captures},
    {"flows", "connections, one line each", command_flows},
    {"pull", "packets of all hosts, merged by time into one pcapng file", command_pull},
    {"print", "packets of all hosts in tcpdump's words", command_print},
    {"status", "the collector's store", command_status},
    {"chunks", "the chunks that are stored", command_chunks},
    {"export", "one chunk as it is stored (.pcapng.zst)", command_export},
    {0},
};

const char *argp_program_version = "fleetdump " FLEETDUMP_VERSION;

/* ------------------------------------------------------------------ options of every subcommand */

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Output and collector:", 90},
    {"collector", 'C', "ADDRESS", 0,
     "the collector (default: $FLEETDUMP_COLLECTOR, then the configuration, then " ADDRESS_DEFAULT ")", 90},
    {"output", 'o', "FORMAT", 0, "table, wide, json, ndjson or csv (default: table)", 90},
    {"columns", 'c', "NAMES", 0, "columns to show, separated by commas", 90},
    {"no-header", 'H', NULL, 0, "no line of titles", 90},
    {"utc", 'u', NULL, 0, "times in UTC, read and written", 90},
    {"quiet", 'q', NULL, 0, "no notes on stderr, errors only", 90},
    {0},
};

static error_t parse_format(struct argp_state *state, const char *arg, struct cli *cli)
{
    static const char *const names[] = {[OUTPUT_TABLE] = "table",
                                        [OUTPUT_WIDE] = "wide",
                                        [OUTPUT_JSON] = "json",
                                        [OUTPUT_NDJSON] = "ndjson",
                                        [OUTPUT_CSV] = "csv"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(arg, names[i]) == 0) {
            cli->format = (enum output_format)i;
            return 0;
        }
    argp_error(state, "-o %s: it is table, wide, json, ndjson or csv", arg);
    return EINVAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct cli *cli = state->input;
    switch (key) {
    case 'C':
        cli->collector = arg;
        return 0;
    case 'o':
        return parse_format(state, arg, cli);
    case 'c':
        cli->columns = arg;
        return 0;
    case 'H':
        cli->no_header = true;
        return 0;
    case 'u':
        setenv("TZ", "UTC", 1);
        tzset();
        return 0;
    case 'q':
        cli->quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

/* ------------------------------------------------------------------ the collector's address */

struct client_config {
    char *collector;
};

static const struct config_key config_keys[] = {
    {.name = "collector",
     .type = CONFIG_STRING,
     .offset = offsetof(struct client_config, collector),
     .help = "address of the collector"},
    {0},
};

/* The first of the user's and the system's file that exists. */
static int load_config(struct client_config *c, struct error *e)
{
    char path[4096];
    const char *home = getenv("HOME");
    const char *base = getenv("XDG_CONFIG_HOME");
    snprintf(path, sizeof path, "%s%s/fleetdump/client.conf", base ? base : home ? home : "", base ? "" : "/.config");
    if (access(path, F_OK) == 0)
        return config_load(config_keys, path, c, e);
    if (access(CONFIG_SYSTEM, F_OK) == 0)
        return config_load(config_keys, CONFIG_SYSTEM, c, e);
    return 0;
}

/* ------------------------------------------------------------------ subcommands */

static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (strlen(a) > 60 || n > 60)
        return 100;
    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned corner = row[0]++;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            unsigned other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < other ? change : other;
        }
    }
    return row[n];
}

const char *nearest_word(const char *word, const char *const *list)
{
    const char *best = NULL;
    unsigned least = 3;
    for (; *list; list++)
        if (distance(word, *list) < least) {
            least = distance(word, *list);
            best = *list;
        }
    return best;
}

static void usage(FILE *to)
{
    fprintf(to, "Usage: fleetdump COMMAND [OPTION...] [FILTER]\n\nCaptured traffic of a whole fleet: who talked to "
                "whom, how did it go, and here are the packets.\n\n"
                "Commands:\n");
    for (const struct command *c = commands; c->name; c++)
        fprintf(to, "  %-10s %s\n", c->name, c->summary);
    fprintf(to, "\nExamples:\n"
                "  fleetdump agents\n"
                "  fleetdump flows 'from 10.0.0.5 and to port 80' --since 15m\n"
                "  fleetdump flows 'state S0 or state REJ' --by resp_addr,resp_port --top 10\n"
                "  fleetdump pull 'host 10.0.0.5 and port 80' -w out.pcapng\n"
                "  fleetdump pull 'host 10.0.0.5 and port 80' -w - | wireshark -k -i -\n"
                "  fleetdump print 'udp port 53' --since 5m\n\n"
                "`fleetdump COMMAND --help` tells more. Exit status: 0 complete, 1 failed, 2 wrong use, 3 the answer "
                "is good but incomplete.\n");
}

static const struct command *find(const char *name)
{
    const char *names[32];
    size_t n = 0;
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
        names[n++] = c->name;
    }
    names[n] = NULL;
    const char *near = nearest_word(name, names);
    fprintf(stderr, "fleetdump: unknown command '%s'%s%s%s; `fleetdump --help` lists them\n", name,
            near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

static int run(const struct command *command, int argc, char **argv, struct error *e)
{
    char name[64];
    struct client_config config = {0};
    struct cli cli = {0};
    int r = load_config(&config, e);
    if (r)
        return r;
    const char *env = getenv("FLEETDUMP_COLLECTOR");
    cli.collector = env && env[0] ? env : config.collector && config.collector[0] ? config.collector : ADDRESS_DEFAULT;
    snprintf(name, sizeof name, "fleetdump %s", command->name);
    argv[0] = name;
    r = command->run(argc, argv, &cli, e);
    config_free(config_keys, &config);
    return r;
}

int main(int argc, char **argv)
{
    struct error e = ERROR_INIT;
    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    argp_err_exit_status = EXIT_USAGE;
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("%s\n", argp_program_version);
        return EXIT_OK;
    }
    const struct command *command = find(argv[1]);
    if (!command)
        return EXIT_USAGE;
    int r = run(command, argc - 1, argv + 1, &e);
    if (r == ERROR_CANCELLED && e.sys == SIGINT)
        return 128 + SIGINT;
    if (r && e.text[0])
        fprintf(stderr, "fleetdump: %s\n", e.text);
    return error_exit_status(r);
}
