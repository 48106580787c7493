/*
 * fleetdump: finds the subcommand, runs it, says what went wrong.
 */
#include "collector/cli/cli.h"
#include "collector/cli/home.h"
#include "collector/cli/question.h"
#include "common/base/config.h"
#include "common/base/log.h"
#include "common/base/suggest.h"
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDRESS_DEFAULT  "127.0.0.1:4741"
#define ADDRESS_FILE_MAX 1024u
#define CONFIG_SYSTEM    "/etc/fleetdump/client.conf"

const char *argp_program_version = "fleetdump " FLEETDUMP_VERSION;

/* ------------------------------------------------------------------ the collector's address */

struct client_config {
    char *collector;
    bool insecure_plaintext;
};

static const struct config_key config_keys[] = {
    {.name = "collector",
     .type = CONFIG_STRING,
     .offset = offsetof(struct client_config, collector),
     .help = "address of the collector"},
    {.name = "insecure_plaintext",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct client_config, insecure_plaintext),
     .fallback = "no",
     .help = "no encryption, and any collector is believed; the collector must say so, too"},
    {0},
};

/* The first of the user's and the system's file that exists. */
static int load_config(struct client_config *c, struct error *e)
{
    char path[HOME_PATH_MAX];
    if (home_path("client.conf", path, NULL) == 0 && access(path, F_OK) == 0)
        return config_load(config_keys, path, c, e);
    if (access(CONFIG_SYSTEM, F_OK) == 0)
        return config_load(config_keys, CONFIG_SYSTEM, c, e);
    return 0;
}

/* Where `fleetdump login` found the collector: one line. NULL if there is none; freed by the caller. */
static char *logged_in(void)
{
    char path[HOME_PATH_MAX], *text = NULL;
    size_t length;
    if (home_path("collector", path, NULL) || home_read(path, false, ADDRESS_FILE_MAX, &text, &length, NULL))
        return NULL;
    text[strcspn(text, "\r\n")] = 0;
    return text;
}

/* The first of them that says anything. */
static const char *choose_address(const char *login, const struct client_config *c)
{
    const char *said[] = {getenv("FLEETDUMP_COLLECTOR"), login, c->collector, ADDRESS_DEFAULT};
    size_t i = 0;
    while (!said[i] || !said[i][0])
        i++;
    return said[i];
}

/* ------------------------------------------------------------------ commands */

const struct command *const commands[] = {&command_agents, &command_captures, &command_capture, &command_flows,
                                          &command_http,   &command_dns,      &command_tls,     &command_pull,
                                          &command_print,  &command_show,     &command_status,  &command_chunks,
                                          &command_export, &command_login,    &command_key,     &command_admin,
                                          &command_audit,  &command_doctor,   &command_deploy,  NULL};

const char *command_word(const struct command *c)
{
    const char *space = strrchr(c->name, ' ');
    return space ? space + 1 : c->name;
}

const struct command *command_named(char *const *words, int count, int *used)
{
    const struct command *found = NULL, *const *c = commands;
    int n = 0;
    while (n < count && c && *c)
        if (strcmp(command_word(*c), words[n]) == 0) {
            found = *c;
            c = found->subcommands;
            n++;
        } else
            c++;
    if (n == 0 && count > 0 && strcmp(words[0], command_complete.name) == 0) { /* for shells, not for people */
        found = &command_complete;
        n = 1;
    }
    if (used)
        *used = n;
    return found;
}

/* `of`: the command whose subcommand it might be, or NULL. */
static int unknown(const struct command *of, const char *name, struct error *e)
{
    struct suggest meant;
    const char *space = of ? " " : "", *prefix = of ? of->name : "";
    suggest_begin(&meant, name, strlen(name));
    for (const struct command *const *c = of ? of->subcommands : commands; *c; c++)
        suggest_consider(&meant, command_word(*c));
    if (name[0] == '-')
        return error_set(e, ERROR_USAGE,
                         "the command comes first: fleetdump %s%sCOMMAND %s ... (`fleetdump help%s%s` lists them)",
                         prefix, space, name, space, prefix);
    return error_set(e, ERROR_USAGE, "no command '%s%s%s'%s%s%s (`fleetdump help%s%s` lists them)", prefix, space, name,
                     meant.word ? ": did you mean '" : "", meant.word ? meant.word : "", meant.word ? "'?" : "", space,
                     prefix);
}

/* ------------------------------------------------------------------ help */

static void put_commands(const struct command *const *list, FILE *to)
{
    fprintf(to, "Commands:\n");
    for (const struct command *const *c = list; *c; c++)
        fprintf(to, "  %-10s %s\n", command_word(*c), (*c)->summary);
}

static void put_usage(FILE *to)
{
    fprintf(to, "Usage: fleetdump COMMAND [OPTION...] [FILTER]\n\n"
                "Captured traffic of a whole fleet: who talked to whom, how did it go, and here are the packets.\n\n");
    put_commands(commands, to);
    fprintf(to, "  %-10s %s\n", "help", "help COMMAND: its options and examples; help filter: the words of filters");
    fprintf(to, "\nExamples:\n"
                "  fleetdump agents\n"
                "  fleetdump capture start --on 'web-*' --for 60s 'tcp port 80'\n"
                "  fleetdump flows 'from 10.0.0.5 and to port 80' --since 15m\n"
                "  fleetdump flows 'state S0 or state REJ' --by server --top 10\n"
                "  fleetdump http 'status >= 500' --by host,path\n"
                "  fleetdump dns 'unanswered or rcode != NOERROR' --by agent,name\n"
                "  fleetdump pull 'host 10.0.0.5 and port 80' -w out.pcapng\n"
                "  fleetdump pull 'host 10.0.0.5 and port 80' -w - | wireshark -k -i -\n"
                "  fleetdump print 'udp port 53' --since 5m\n"
                "  fleetdump show 7f3a\n\n"
                "Exit status: 0 complete, 1 failed, 2 wrong use, 3 the answer is good but incomplete.\n");
}

static void put_group_usage(const struct command *c, FILE *to)
{
    fprintf(to, "Usage: fleetdump %s COMMAND [OPTION...]\n\n%s.\n\n", c->name, c->summary);
    put_commands(c->subcommands, to);
    fprintf(to, "\n%s\n`fleetdump %s COMMAND --help` has the options of each.\n", c->examples, c->name);
}

static bool is_one_of(const char *word, const char *const *list)
{
    while (*list && strcmp(word, *list) != 0)
        list++;
    return *list != NULL;
}

static const char *const help_words[] = {"help", "--help", "-?", "-h", NULL};
static const char *const version_words[] = {"version", "--version", "-V", NULL};

static int run(const struct command *command, int argc, char **argv, struct error *e);

/* A command with subcommands; argv[0] is its own word. */
static int run_group(const struct command *of, int argc, char **argv, struct error *e)
{
    if (argc > 1 && !is_one_of(argv[1], help_words))
        return unknown(of, argv[1], e);
    put_group_usage(of, argc > 1 ? stdout : stderr);
    return argc > 1 ? 0 : ERROR_USAGE;
}

/* help, help COMMAND, help filter; argv[0] is "help". */
static int run_help(int argc, char **argv, struct error *e)
{
    char option[] = "--help", *of[] = {NULL, option, NULL};
    int used = 0;
    const struct command *command = command_named(argv + 1, argc - 1, &used);
    if (command && command->subcommands)
        return used == argc - 1 ? run_group(command, 2, of, e) : unknown(command, argv[1 + used], e);
    if (command)
        return run(command, 2, of, e);
    if (argc > 1 && strcmp(argv[1], "filter") == 0)
        return question_help(e);
    if (argc > 1 && !is_one_of(argv[1], help_words))
        return unknown(NULL, argv[1], e);
    put_usage(stdout);
    return 0;
}

static int run(const struct command *command, int argc, char **argv, struct error *e)
{
    char name[64];
    struct client_config config = {0};
    struct cli cli = {0};
    int r = load_config(&config, e);
    if (r)
        return r;
    char *login = logged_in();
    cli.collector = choose_address(login, &config);
    cli.insecure_plaintext = config.insecure_plaintext;
    snprintf(name, sizeof name, "fleetdump %s", command->name);
    argv[0] = name;
    r = command->run(argc, argv, &cli, e);
    config_free(config_keys, &config);
    free(login);
    return r;
}

static int dispatch(int argc, char **argv, struct error *e)
{
    int used = 0;
    if (is_one_of(argv[1], help_words))
        return run_help(argc - 1, argv + 1, e);
    if (is_one_of(argv[1], version_words))
        return puts(argp_program_version) < 0 ? ERROR_SYSTEM : 0;
    const struct command *command = command_named(argv + 1, argc - 1, &used);
    if (!command)
        return unknown(NULL, argv[1], e);
    return (command->subcommands ? run_group : run)(command, argc - used, argv + used, e);
}

int main(int argc, char **argv)
{
    struct error e = ERROR_INIT;
    (void)setlocale(LC_ALL, "");
    (void)signal(SIGPIPE, SIG_IGN);
    argp_err_exit_status = EXIT_USAGE;
    log_setup("fleetdump", LOG_LEVEL_WARN);
    if (argc < 2) {
        put_usage(stderr);
        return EXIT_USAGE;
    }
    int r = dispatch(argc, argv, &e);
    if (r && e.text[0])
        fprintf(stderr, "fleetdump: %s\n", e.text);
    return error_exit_status(r);
}
