#include "collector/collector_options.h"
#include "common/base/manual.h"
#include "common/net/ca_files.h"
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY(field, type_, unit_, fallback_, least_, most_, help_)                                                      \
    {                                                                                                                  \
        .name = #field, .type = type_, .unit = unit_, .offset = offsetof(struct collector_config, field),              \
        .fallback = fallback_, .least = least_, .most = most_, .help = help_                                           \
    }
#define NUMBER(name_, field, unit_, fallback_, least_, most_, help_)                                                   \
    {                                                                                                                  \
        .name = name_, .type = CONFIG_NUMBER, .unit = unit_, .offset = offsetof(struct collector_config, field),       \
        .fallback = fallback_, .least = least_, .most = most_, .help = help_                                           \
    }

const struct config_key collector_keys[] = {
    KEY(name, CONFIG_STRING, UNIT_NONE, NULL, 0, 0, "what agents and clients are told; the host's name if empty"),
    KEY(listen, CONFIG_STRING, UNIT_NONE, COLLECTOR_LISTEN_DEFAULT, 0, 0, "address and port for agents and clients"),
    KEY(address, CONFIG_STRING, UNIT_NONE, NULL, 0, 0,
        "address and port at which agents and users reach it, as tokens say it (where it listens, if that is one "
        "address)"),
    KEY(enroll, CONFIG_STRING, UNIT_NONE, "token", 0, 0,
        "token: hosts join with a token alone; approve: they may also ask without, and wait for `fleetdump admin "
        "approve`"),
    NUMBER("certificate_life", certificate_life_ns, UNIT_NS, "30d", NS_PER_S, UINT64_C(3660) * 86400 * NS_PER_S,
           "of the certificates that are made for agents and users; they renew themselves after two thirds of it"),
    NUMBER("collector_certificate_life", collector_certificate_life_ns, UNIT_NS, "365d", NS_PER_S,
           UINT64_C(3660) * 86400 * NS_PER_S, "likewise of the collector's own"),
    NUMBER("authority_life", authority_life_ns, UNIT_NS, "3650d", NS_PER_S, UINT64_C(36600) * 86400 * NS_PER_S,
           "likewise of the collector's authority: the same key, which agents and users learn when theirs are renewed"),
    KEY(data, CONFIG_STRING, UNIT_NONE, "/var/lib/fleetdump-collector", 0, 0, "folder of the store"),
    KEY(tls_ca, CONFIG_STRING, UNIT_NONE, NULL, 0, 0,
        "certificates of the authorities that agents and users must have theirs from (ca.pem in `data`/tls)"),
    KEY(tls_cert, CONFIG_STRING, UNIT_NONE, NULL, 0, 0, "the collector's own certificate (cert.pem there)"),
    KEY(tls_key, CONFIG_STRING, UNIT_NONE, NULL, 0, 0, "and its key (key.pem there)"),
    KEY(tls_crl, CONFIG_STRING, UNIT_NONE, NULL, 0, 0,
        "revocation lists of these authorities, in PEM, read again at SIGHUP; if said, who has none there, or one "
        "whose "
        "time is over, lets nobody in (agents and users look for crl.pem beside their ca.pem)"),
    KEY(insecure_plaintext, CONFIG_BOOL, UNIT_NONE, "no", 0, 0,
        "no encryption, and everybody is an administrator; agents and users must say so, too"),
    KEY(baseline, CONFIG_BOOL, UNIT_NONE, "no", 0, 0,
        "capture the flows (no packets) of all agents, always, also of those that come later"),
    NUMBER("retain_age", retain_age_ns, UNIT_NS, "30d", 0, 0,
           "rows and packets older than this (by arrival) are dropped; 0: never"),
    NUMBER("retain_bytes", retain_bytes, UNIT_BYTES, "0", 0, 0,
           "all data together: the oldest hours are dropped above this; 0: no limit"),
    NUMBER("retain_packet_bytes", retain_packet_bytes, UNIT_BYTES, "0", 0, 0,
           "packets alone: the oldest are dropped above this, their rows stay; 0: no limit"),
    NUMBER("floor", floor_bytes, UNIT_BYTES, "1G", 0, 0,
           "free disk space below which nothing more is taken in (agents keep it)"),
    NUMBER("partition", partition_ns, UNIT_NS, "1h", NS_PER_S, UINT64_MAX,
           "time of arrival that one folder of the store covers"),
    NUMBER("max_sessions", max_sessions, UNIT_COUNT, "2000", 1, 100000, "connections at once"),
    NUMBER("max_queries", max_queries, UNIT_COUNT, "16", 1, 1000, "questions at once"),
    NUMBER("query_deadline", query_deadline_ns, UNIT_NS, "10m", NS_PER_S, UINT64_MAX, "longest time for one question"),
    KEY(audit, CONFIG_STRING, UNIT_NONE, NULL, 0, 0,
        "syslog or journal: where each line of the audit goes as well, so that nobody can rewrite it unnoticed"),
    KEY(log_level, CONFIG_STRING, UNIT_NONE, "info", 0, 0, "error, warn, info or debug"),
    {0},
};

/* ------------------------------------------------------------------ command line */

const char *argp_program_version = "fleetdump-collector " FLEETDUMP_VERSION;

enum {
    OPTION_INSECURE = 0x100,
    OPTION_PORT_FILE,
    OPTION_NAME,
    OPTION_ADDRESS,
    OPTION_ADMIN,
    OPTION_ADMIN_TOKEN,
    OPTION_NO_START
};

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "configuration (default " COLLECTOR_CONFIG_DEFAULT ", if there is one)", 0},
    {"data", 'd', "FOLDER", 0, "folder of the store, instead of the configuration's", 0},
    {"listen", 'l', "ADDRESS:PORT", 0, "instead of the configuration's; port 0: any free one", 0},
    {"insecure-plaintext", OPTION_INSECURE, NULL, 0,
     "no encryption, and everybody is an administrator; agents and users must say so, too", 0},
    {"port-file", OPTION_PORT_FILE, "FILE", 0, "write the port listened on there", 0},
    {"output", 'o', "FORMAT", 0, "of doctor: table, or json: check, verdict (ok, warning, failure), found, mend", 0},
    {"verbose", 'v', NULL, 0, "log what is only of use for finding faults, too", 0},
    {NULL, 0, NULL, 0, "For init:", 1},
    {"name", OPTION_NAME, "NAME", 0, "of the collector, instead of the configuration's", 1},
    {"address", OPTION_ADDRESS, "ADDRESS:PORT", 0, "at which agents and users will reach it", 1},
    {"admin", OPTION_ADMIN, "NAME", 0, "of the administrator (default: whoever runs it)", 1},
    {"admin-token", OPTION_ADMIN_TOKEN, NULL, 0, "only make a token for an administrator, also while it runs", 1},
    {"no-start", OPTION_NO_START, NULL, 0, "do not start the service", 1},
    MANUAL_OPTION,
    {0},
};

static const char doc[] =
    "Keeps what agents captured, and answers questions about it.\v"
    "Commands:\n"
    "  init      make an authority, certificates, the configuration, and a token for the first administrator, which is "
    "printed; start the service\n"
    "  serve     take chunks from agents and answer questions (the default)\n"
    "  check     read everything in the data folder and say what is damaged; exit status 1 if anything is\n"
    "  reindex   make the indexes anew from the packs, and say what cannot be restored; exit status 3 if anything "
    "cannot\n"
    "  doctor    say what keeps it from working, or soon will, and what mends that; among it whether a line of the "
    "audit was changed or taken out; exit status 1 if anything does\n\n"
    "check and reindex want the collector stopped.\n\n"
    "Examples:\n"
    "  fleetdump-collector init\n"
    "  fleetdump-collector init --admin-token\n"
    "  fleetdump-collector --config /etc/fleetdump/collector.conf\n"
    "  fleetdump-collector --data /srv/fleetdump --listen 127.0.0.1:4741\n"
    "  fleetdump-collector check --data /srv/fleetdump\n";

static const struct {
    const char *name;
    enum collector_command command;
} commands[] = {{"serve", COLLECTOR_SERVE},
                {"init", COLLECTOR_INIT},
                {"check", COLLECTOR_CHECK},
                {"reindex", COLLECTOR_REINDEX},
                {"doctor", COLLECTOR_DOCTOR}};

static void take_command(const char *arg, struct argp_state *state, struct collector_options *o)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (state->arg_num == 0 && strcmp(arg, commands[i].name) == 0) {
            o->command = commands[i].command;
            return;
        }
    argp_error(state, "unknown command '%s': it is serve, init, check, reindex or doctor", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct collector_options *o = state->input;
    switch (key) {
    case 'c':
        o->config_path = arg;
        return 0;
    case 'd':
        o->data = arg;
        return 0;
    case 'l':
        o->listen = arg;
        return 0;
    case OPTION_INSECURE:
        o->insecure_plaintext = true;
        return 0;
    case OPTION_NAME:
        o->name = arg;
        return 0;
    case OPTION_ADDRESS:
        o->address = arg;
        return 0;
    case OPTION_ADMIN:
        o->admin = arg;
        return 0;
    case OPTION_ADMIN_TOKEN:
        o->admin_token = true;
        return 0;
    case OPTION_NO_START:
        o->no_start = true;
        return 0;
    case OPTION_PORT_FILE:
        o->port_file = arg;
        return 0;
    case 'o':
        o->json = strcmp(arg, "json") == 0;
        if (!o->json && strcmp(arg, "table") != 0)
            argp_error(state, "-o %s: it is table or json", arg);
        return 0;
    case 'v':
        o->verbose = true;
        return 0;
    case MANUAL_OPTION_KEY:
        manual_print(arg, "fleetdump-collector", state, collector_keys);
    case ARGP_KEY_ARG:
        take_command(arg, state, o);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void collector_options_parse(int argc, char **argv, struct collector_options *o)
{
    static const struct argp argp = {options, parse, "[serve|init|check|reindex|doctor]", doc, NULL, NULL, NULL};
    argp_err_exit_status = EXIT_USAGE;
    *o = (struct collector_options){0};
    argp_parse(&argp, argc, argv, 0, NULL, o);
}

/* ------------------------------------------------------------------ both together */

static int set_text(char **field, const char *value, struct error *e)
{
    char *copy = strdup(value);
    if (!copy)
        return error_set(e, ERROR_MEMORY, "no memory for the configuration");
    free(*field);
    *field = copy;
    return 0;
}

static int default_name(struct collector_config *c, struct error *e)
{
    char host[256] = "collector";
    if (c->name && c->name[0])
        return 0;
    (void)gethostname(host, sizeof host - 1);
    return set_text(&c->name, host, e);
}

static int default_tls(struct collector_config *c, struct error *e)
{
    const struct {
        char **path;
        const char *name;
    } files[] = {{&c->tls_ca, TLS_CA_NAME}, {&c->tls_cert, TLS_CERT_NAME}, {&c->tls_key, TLS_KEY_NAME}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096];
        if (*files[i].path && **files[i].path)
            continue;
        if (snprintf(path, sizeof path, "%s/tls/%s", c->data, files[i].name) >= (int)sizeof path)
            return error_set(e, ERROR_USAGE, "data = %.80s...: too long", c->data);
        int r = set_text(files[i].path, path, e);
        if (r)
            return r;
    }
    return 0;
}

static int check_enroll(const struct collector_config *c, struct error *e)
{
    if (strcmp(c->enroll, "token") != 0 && strcmp(c->enroll, "approve") != 0)
        return error_set(e, ERROR_USAGE, "enroll = %.60s: it is token or approve", c->enroll);
    return identity_check_name(c->name, e);
}

int collector_config_load(const struct collector_options *o, struct collector_config *c, struct error *e)
{
    int r;
    *c = (struct collector_config){0};
    const char *path = o->config_path ? o->config_path : COLLECTOR_CONFIG_DEFAULT;
    bool may_miss = !o->config_path || o->command == COLLECTOR_INIT; /* which makes it */
    if (!may_miss || access(path, F_OK) == 0)
        r = config_load(collector_keys, path, c, e);
    else
        r = config_parse(collector_keys, "defaults", NULL, 0, c, e);
    if (r)
        return r;
    if (o->data)
        r = set_text(&c->data, o->data, e);
    if (r == 0 && o->listen)
        r = set_text(&c->listen, o->listen, e);
    if (r == 0 && o->name)
        r = set_text(&c->name, o->name, e);
    if (r == 0 && o->address)
        r = set_text(&c->address, o->address, e);
    if (r == 0)
        r = default_name(c, e);
    if (r == 0)
        r = default_tls(c, e);
    if (r == 0)
        r = check_enroll(c, e);
    c->insecure_plaintext = c->insecure_plaintext || o->insecure_plaintext;
    if (r)
        config_free(collector_keys, c);
    return r;
}

char *collector_ca_key(const struct collector_config *c)
{
    size_t length = strlen(c->data);
    char *path = NULL;
    bool own = strncmp(c->tls_ca, c->data, length) == 0 && strcmp(c->tls_ca + length, "/tls/" CA_ROOT_NAME) == 0;
    return own && asprintf(&path, "%s/tls/" CA_ROOT_KEY, c->data) >= 0 ? path : NULL;
}
