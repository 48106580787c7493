/*
 * fleetdump key: the key with which an operator signs what hosts are to capture. The secret half never leaves its file.
 */
#include "collector/cli/cli.h"
#include "collector/cli/sign.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOR_DEFAULT_NS (90 * 86400 * NS_PER_S)

extern const struct command command_key_new, command_key_show, command_key_certify;

struct key_options {
    struct cli *cli;
    const struct command *command;
    const char *file; /* NULL: the user's own */
    const char *name;
    char *words[2];
    size_t word_count;
    uint64_t for_ns;
};

enum { OPTION_FOR = 0x700, OPTION_NAME };

#define OPTION_FILE                                                                                                    \
    {                                                                                                                  \
        "key", 'k', "FILE", 0, "the file of the key (default: sign.key in $FLEETDUMP_HOME or ~/.config/fleetdump)", 5  \
    }
#define OPTION_AS                                                                                                      \
    {                                                                                                                  \
        "name", OPTION_NAME, "NAME", 0, "the operator's name in the line that is printed (default: the user's)", 5     \
    }

static const struct argp_option name_options[] = {OPTION_FILE, OPTION_AS, {0}};
static const struct argp_option certify_options[] = {
    OPTION_FILE, {"for", OPTION_FOR, "TIME", 0, "how long the certificate is good (default: 90d)", 5}, {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct key_options *o = state->input;
    struct error e = ERROR_INIT;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o->cli;
        return 0;
    case 'k':
        o->file = arg;
        return 0;
    case OPTION_NAME:
        o->name = arg;
        return 0;
    case OPTION_FOR:
        if (units_parse(UNIT_NS, arg, &o->for_ns, &e))
            argp_error(state, "--for: %s", e.text);
        return 0;
    case ARGP_KEY_ARG:
        if (o->command != &command_key_certify || o->word_count == 2)
            argp_error(state, "'%s' is one word too many", arg);
        o->words[o->word_count++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->command == &command_key_certify && o->word_count < 2)
            argp_error(state, "whose key? NAME KEY, as the operator's `fleetdump key show` prints them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What goes into a host's /etc/fleetdump/operators. */
static int print_line(const struct key_options *o, const struct signature_key *k, struct error *e)
{
    char text[SIGNATURE_KEY_TEXT];
    char own[HEAD_NAME_MAX + 1];
    const char *name = o->name ? o->name : own;
    (void)sign_who(!o->name && !o->cli->insecure_plaintext, own);
    if (!signature_name_is_good(name))
        return error_set(e, ERROR_USAGE, "'%.60s' is no name for an operator: up to %u letters, digits and ._@+-", name,
                         SIGNATURE_NAME_MAX);
    if (printf("operator %s %s\n", name, signature_key_text(k->key, text)) < 0)
        return error_set(e, ERROR_SYSTEM, "cannot write to standard output");
    return 0;
}

static int make(const struct key_options *o, struct signature_key *k, struct error *e)
{
    int r = sign_key_make(o->file, k, e);
    if (r == 0)
        r = print_line(o, k, e);
    if (r == 0)
        note(o->cli, "hosts that have this line in /etc/fleetdump/operators take orders signed with it");
    return r;
}

static int show(const struct key_options *o, struct signature_key *k, struct error *e)
{
    int r = sign_key_load(o->file, k, e);
    if (r == ERROR_NOT_FOUND)
        r = error_set(e, ERROR_NOT_FOUND, "there is no key yet: `fleetdump key new` makes one");
    return r ? r : print_line(o, k, e);
}

static int certify(const struct key_options *o, struct signature_key *k, struct error *e)
{
    uint8_t key[SIGNATURE_KEY_SIZE];
    struct signature_certificate c;
    struct buffer text = {.limit = SIGNATURE_FILE_MAX};
    uint64_t now = clock_wall_ns();
    int r = signature_key_from_text(o->words[1], key, e);
    if (r == 0)
        r = sign_key_load(o->file, k, e);
    if (r == 0)
        r = signature_certify(k, key, o->words[0], o->for_ns > UINT64_MAX - now ? UINT64_MAX : now + o->for_ns, &c, e);
    if (r)
        return r;
    signature_certificate_write(&c, &text);
    if (text.failed || fwrite(text.data, 1, text.len, stdout) != text.len)
        r = error_set(e, ERROR_SYSTEM, "cannot write to standard output");
    buffer_free(&text);
    return r;
}

static int run(const struct command *command, int argc, char **argv, struct cli *cli,
               int (*what)(const struct key_options *o, struct signature_key *k, struct error *e), struct error *e)
{
    struct key_options o = {.cli = cli, .command = command, .for_ns = FOR_DEFAULT_NS};
    struct signature_key k = {0};
    cli_parse(command, argc, argv, &o);
    int r = what(&o, &k, e);
    explicit_bzero(&k, sizeof k);
    return r;
}

static int run_new(int argc, char **argv, struct cli *cli, struct error *e)
{
    return run(&command_key_new, argc, argv, cli, make, e);
}

static int run_show(int argc, char **argv, struct cli *cli, struct error *e)
{
    return run(&command_key_show, argc, argv, cli, show, e);
}

static int run_certify(int argc, char **argv, struct cli *cli, struct error *e)
{
    return run(&command_key_certify, argc, argv, cli, certify, e);
}

static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp new_argp = {
    name_options,
    parse,
    NULL,
    "Makes the key with which this user signs captures, and prints the line that hosts need to trust it.\v"
    "The file stays on this machine, and is nobody else's (mode 0600).\n\n"
    "Examples:\n"
    "  fleetdump key new\n"
    "  fleetdump key new --key organisation.key --name example.org\n",
    children,
    NULL,
    NULL};
static const struct argp show_argp = {
    name_options,
    parse,
    NULL,
    "Prints the line that hosts need in /etc/fleetdump/operators to trust this user's key.\v"
    "Examples:\n"
    "  fleetdump key show\n"
    "  fleetdump key show | ssh root@web-1 'cat >> /etc/fleetdump/operators'\n",
    children,
    NULL,
    NULL};
static const struct argp certify_argp = {
    certify_options,
    parse,
    "NAME KEY",
    "Certifies an operator's key with an organisation's: hosts that trust the organisation trust the operator, too.\v"
    "The certificate is printed; the operator keeps it as sign.cert beside sign.key. Hosts have a line `organisation "
    "NAME KEY` with the organisation's key.\n\n"
    "Examples:\n"
    "  fleetdump key certify --key organisation.key --for 90d alice 1XQ...= > alice.cert\n"
    "  cp alice.cert ~/.config/fleetdump/sign.cert\n",
    children,
    NULL,
    NULL};

const struct command command_key_new = {
    .name = "key new",
    .summary = "makes this user's key, and prints the line for hosts",
    .argp = &new_argp,
    .run = run_new,
};
const struct command command_key_show = {
    .name = "key show",
    .summary = "prints the line for hosts",
    .argp = &show_argp,
    .run = run_show,
};
const struct command command_key_certify = {
    .name = "key certify",
    .summary = "certifies an operator's key with an organisation's",
    .argp = &certify_argp,
    .run = run_certify,
};

static const struct command *const subcommands[] = {&command_key_new, &command_key_show, &command_key_certify, NULL};

const struct command command_key = {
    .name = "key",
    .summary = "the key with which captures are signed",
    .subcommands = subcommands,
    .examples = "Examples:\n"
                "  fleetdump key new\n"
                "  fleetdump key show\n"
                "  fleetdump key certify --key organisation.key alice 1XQ...= > alice.cert\n",
};
