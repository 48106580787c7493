#include "agent/join.h"
#include "agent/config.h"
#include "common/base/config_edit.h"
#include "common/base/manual.h"
#include "common/net/ca_files.h"
#include "common/net/join.h"
#include "common/net/stream.h"
#include <argp.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LABELS_MOST 64u
#define CONF_HEAD   "# How this host takes part in the fleet: agent.conf(5). Made by fleetdump-agent join.\n"

struct joining {
    const char *config, *ca, *collector, *name, *token;
    struct token t; /* read from the token, or made of the other options */
    const uint8_t *secret;
    struct agent_config c;
};

/* ------------------------------------------------------------------ command line */

enum { OPTION_CA = 0x100, OPTION_NAME };

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "Configuration, which is changed or made (" AGENT_CONFIG_PATH ")", 0},
    {"collector", 'C', "ADDRESS", 0, "The collector is reached there, instead of where the token says", 0},
    {NULL, 0, NULL, 0, "Without a token (where the collector's configuration says enroll = approve):", 1},
    {"ca", OPTION_CA, "FINGERPRINT", 0, "Of the certificate of the collector's authority, as `init` said it", 1},
    {"name", OPTION_NAME, "NAME", 0, "What this host is to be called (its own name)", 1},
    MANUAL_OPTION,
    {0},
};

static const char doc[] =
    "Makes this host a member of a fleet: it gets a key, which never leaves it, and a certificate.\v"
    "The TOKEN comes from `fleetdump admin enroll --name NAME`, and is good for once; \"-\" reads it from the standard "
    "input. "
    "The collector is known by the fingerprint in it: another one at the same address is told nothing. Joining again "
    "replaces "
    "key and certificate.\n\n"
    "Examples:\n"
    "  fleetdump-agent join fd1-Ab3...\n"
    "  ssh web-1 fleetdump-agent join - < token\n"
    "  fleetdump-agent join --ca 3f1c... --collector 10.0.0.1:4741\n";

static void check(const struct joining *j, struct argp_state *state)
{
    if (j->token && (j->ca || j->name))
        argp_error(state, "a token says all of that: --ca and --name are for joining without one");
    if (!j->token && (!j->ca || !j->collector))
        argp_error(state, "give a TOKEN, or --ca and --collector to wait for an administrator's approval");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct joining *j = state->input;
    switch (key) {
    case 'c':
        j->config = arg;
        return 0;
    case 'C':
        j->collector = arg;
        return 0;
    case OPTION_CA:
        j->ca = arg;
        return 0;
    case OPTION_NAME:
        j->name = arg;
        return 0;
    case MANUAL_OPTION_KEY:
        manual_print(arg, "fleetdump-agent join", state, NULL);
    case ARGP_KEY_ARG:
        if (j->token)
            argp_error(state, "one token at a time");
        j->token = arg;
        return 0;
    case ARGP_KEY_END:
        check(j, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------ what is asked for */

static int read_token(struct joining *j, struct error *e)
{
    char line[2 * TOKEN_TEXT_MAX];
    const char *text = j->token;
    if (strcmp(text, "-") == 0) {
        if (!fgets(line, sizeof line, stdin))
            return error_set(e, ERROR_USAGE, "there is no token on the standard input");
        text = line;
    }
    int r = token_parse(text, &j->t, e);
    if (r == 0 && j->t.kind != IDENTITY_AGENT)
        r = error_set(e, ERROR_USAGE, "this token is for user %s, who logs in with it: fleetdump login TOKEN",
                      j->t.name);
    j->secret = j->t.secret;
    return r;
}

static int read_options(struct joining *j, struct error *e)
{
    const char *name = j->name ? j->name : j->c.name;
    int r = ca_parse_hash(j->ca, j->t.ca_sha256, e);
    if (r == 0)
        r = identity_check_name(name, e);
    if (r == 0)
        snprintf(j->t.name, sizeof j->t.name, "%s", name);
    return r;
}

static int read_wish(struct joining *j, struct error *e)
{
    char host[256];
    uint16_t port;
    int r = j->token ? read_token(j, e) : read_options(j, e);
    if (r == 0 && j->collector) {
        if (strlen(j->collector) > TOKEN_ADDRESS_MAX)
            return error_set(e, ERROR_USAGE, "--collector: an address has at most %u characters", TOKEN_ADDRESS_MAX);
        snprintf(j->t.collector, sizeof j->t.collector, "%s", j->collector);
    }
    return r ? r : net_split(j->t.collector, host, &port, e);
}

/* ------------------------------------------------------------------ what came is kept */

/* Who will read the key: ship_user, if root starts the agent, and there is one. */
static void find_owner(const struct agent_config *c, uid_t *uid, gid_t *gid)
{
    char *end;
    *uid = (uid_t)-1;
    *gid = (gid_t)-1;
    if (geteuid() != 0 || !c->ship_user[0])
        return;
    const struct passwd *p = getpwnam(c->ship_user);
    unsigned long number = strtoul(c->ship_user, &end, 10);
    if (!p && *end == 0)
        p = getpwuid((uid_t)number);
    if (p) {
        *uid = p->pw_uid;
        *gid = p->pw_gid;
    } else if (*end == 0) {
        *uid = (uid_t)number;
        *gid = (gid_t)number;
    }
}

static int save_files(const struct joining *j, const struct buffer *key, const struct join_answer *a, struct error *e)
{
    const struct ca_files files = {.key = key, .ca = &a->ca, .certificate = &a->certificate};
    return ca_save_all(j->c.tls, &files, e);
}

static int save_config(const struct joining *j, const struct join_answer *a, struct error *e)
{
    struct config_setting set[2 + LABELS_MOST] = {{"name", j->t.name}, {"collector", j->t.collector}};
    size_t count = 2;
    for (uint32_t i = 0; i < a->label_count && i < LABELS_MOST; i++)
        set[count++] = (struct config_setting){"label", a->labels[i]};
    return config_edit_file(j->config, CONF_HEAD, set, count, e);
}

/* Before anything is asked for, since a token is good for once. */
static int prepare(const struct joining *j, struct error *e)
{
    uid_t uid;
    gid_t gid;
    find_owner(&j->c, &uid, &gid);
    int r = ca_make_folder(j->c.tls, uid, gid, e);
    if (r == 0 && access(j->config, F_OK) == 0 && access(j->config, W_OK) != 0)
        r = error_sys(e, errno, "cannot change %s", j->config);
    return r;
}

/* ------------------------------------------------------------------ all of it */

static bool tell_waiting(void *context, const char *fingerprint)
{
    const struct joining *j = context;
    fprintf(stderr, "fleetdump-agent: waiting for an administrator: fleetdump admin approve %s --key %.16s\n",
            j->t.name, fingerprint);
    return true;
}

static int ask_and_keep(struct joining *j, const struct buffer *key, struct error *e)
{
    const struct join_wish w = {.collector = j->t.collector,
                                .ca_sha256 = j->t.ca_sha256,
                                .secret = j->secret,
                                .kind = IDENTITY_AGENT,
                                .name = j->t.name,
                                .key = key,
                                .waits = tell_waiting,
                                .context = j};
    struct join_answer answer;
    int r = join_ask(&w, &answer, e);
    if (r == 0)
        r = save_files(j, key, &answer, e);
    if (r == 0)
        r = save_config(j, &answer, e);
    if (r == 0)
        printf("%s joined the fleet of %s at %s\n", j->t.name, answer.collector, j->t.collector);
    join_answer_free(&answer);
    return r;
}

static int join(struct joining *j, struct error *e)
{
    struct buffer key = {0};
    int r = agent_config_load(j->config, true, &j->c, e);
    if (r == 0)
        r = read_wish(j, e);
    if (r == 0)
        r = prepare(j, e);
    if (r == 0)
        r = ca_new_key(&key, e);
    if (r == 0)
        r = ask_and_keep(j, &key, e);
    ca_wipe(&key);
    explicit_bzero(&j->t, sizeof j->t);
    agent_config_free(&j->c);
    return r;
}

int agent_join(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "TOKEN\n--ca FINGERPRINT --collector ADDRESS", doc, NULL,
                                     NULL,    NULL};
    static char name[] = "fleetdump-agent join";
    struct joining j = {.config = AGENT_CONFIG_PATH};
    struct error e = ERROR_INIT;
    argv[0] = name;
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &j);
    (void)umask(0022);
    int r = join(&j, &e);
    if (r)
        fprintf(stderr, "fleetdump-agent: %s\n", e.text);
    return error_exit_status(r);
}
