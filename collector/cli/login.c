/*
 * fleetdump login: this user gets a key and a certificate, by a token.
 */
#include "collector/cli/cli.h"
#include "collector/cli/home.h"
#include "collector/cli/sign.h"
#include "common/net/ca_files.h"
#include "common/net/join.h"
#include <stdio.h>
#include <string.h>

#define COLLECTOR_FILE "collector"

struct login {
    struct cli *cli;
    const char *word; /* of the token */
    struct token t;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct login *l = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = l->cli;
        return 0;
    case ARGP_KEY_ARG:
        if (l->word)
            argp_error(state, "one token at a time");
        l->word = arg;
        return 0;
    case ARGP_KEY_END:
        if (!l->word)
            argp_error(state,
                       "give the TOKEN that `fleetdump-collector init` or an administrator gave you, or - to read it");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int read_token(struct login *l, struct error *e)
{
    char line[2 * TOKEN_TEXT_MAX];
    if (strcmp(l->word, "-") == 0 && !fgets(line, sizeof line, stdin))
        return error_set(e, ERROR_USAGE, "there is no token on the standard input");
    int r = token_parse(strcmp(l->word, "-") == 0 ? line : l->word, &l->t, e);
    if (r == 0 && l->t.kind != IDENTITY_USER)
        r = error_set(e, ERROR_USAGE, "this token is for host %s: there, `fleetdump-agent join TOKEN` takes it",
                      l->t.name);
    return r;
}

/* Where it is to be asked from now on. */
static int save_collector(const char *folder, const char *address, struct error *e)
{
    struct buffer line = {0};
    char path[HOME_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/" COLLECTOR_FILE, folder);
    buffer_printf(&line, "%s\n", address);
    int r = line.failed ? error_set(e, ERROR_MEMORY, "no memory for an address") : ca_save(path, &line, e);
    buffer_free(&line);
    return r;
}

static int save(const char *folder, const char *address, const struct buffer *key, const struct join_answer *a,
                struct error *e)
{
    const struct ca_files files = {.key = key, .ca = &a->ca, .certificate = &a->certificate};
    struct signature_key sign = {0};
    int r = ca_save_all(folder, &files, e);
    if (r == 0)
        r = save_collector(folder, address, e);
    if (r == 0)
        r = sign_key_make(NULL, &sign, e);
    explicit_bzero(&sign, sizeof sign);
    return r == ERROR_EXISTS ? 0 : r;
}

static int log_in(struct login *l, const char *address, struct error *e)
{
    struct buffer key = {0};
    struct join_answer answer = {.label_count = 0};
    char folder[HOME_PATH_MAX];
    const struct join_wish w = {.collector = address,
                                .ca_sha256 = l->t.ca_sha256,
                                .secret = l->t.secret,
                                .kind = IDENTITY_USER,
                                .name = l->t.name,
                                .key = &key};
    int r = home_make(e);
    if (r == 0)
        r = home_path("", folder, e);
    if (r == 0)
        r = ca_new_key(&key, e);
    if (r == 0)
        r = join_ask(&w, &answer, e);
    if (r == 0)
        r = save(folder, address, &key, &answer, e);
    if (r == 0)
        note(l->cli, "logged in to %s at %s as %s", answer.collector, address, l->t.name);
    join_answer_free(&answer);
    ca_wipe(&key);
    return r;
}

static int run(int argc, char **argv, struct cli *cli, struct error *e);

static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    NULL,
    parse,
    "TOKEN",
    "Makes a key for this user, and gets a certificate for it: the collector knows who asks from then on.\v"
    "The token is good for once; - reads it from the standard input. The collector is known by the fingerprint in it: "
    "another "
    "one at the same address is told nothing. Key, certificate and address are kept in $FLEETDUMP_HOME or "
    "~/.config/fleetdump, with the key that signs captures (`fleetdump key`), which is made if there is none. The "
    "certificate renews itself as long as it is used. Logging in again replaces it.\n\n"
    "Examples:\n"
    "  fleetdump login fd1-Ab3...\n"
    "  fleetdump login - < token\n",
    children,
    NULL,
    NULL};

const struct command command_login = {
    .name = "login",
    .summary = "gets this user's certificate, by a token",
    .argp = &argp,
    .run = run,
};

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct login l = {.cli = cli};
    const char *before = cli->collector;
    cli_parse(&command_login, argc, argv, &l);
    int r = read_token(&l, e);
    if (r == 0)
        r = log_in(&l, cli->collector != before ? cli->collector : l.t.collector, e);
    explicit_bzero(&l.t, sizeof l.t);
    return r;
}
