/*
 * fleetdump deploy: puts the agent on hosts over ssh, or takes it away. A process for each host: ssh is one anyway, and one host that hangs
 * holds up nobody else.
 */
#include "collector/cli/deploy_host.h"
#include "collector/cli/keyboard.h"
#include "common/base/units.h"
#include "common/net/token.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOSTS_MAX 1000u
#define AT_ONCE   16u

struct options {
    struct deploy d;
    char **hosts;
    uint32_t host_count;
    const char *token;
    char collector[TOKEN_ADDRESS_MAX + 1]; /* of the token */
};

enum {
    OPTION_PACKAGE = 0xa00,
    OPTION_AGENT,
    OPTION_SSH,
    OPTION_TRANSIENT,
    OPTION_VIA_SSH,
    OPTION_ALLOW,
    OPTION_REMOVE,
    OPTION_ADDRESS,
    OPTION_TOKEN
};

/* ---------------------------------------------------------------- command line */

static void add_host(struct options *o, struct argp_state *state, char *host)
{
    if (host[0] == '-' || !host[0] || strchr(host, ' '))
        argp_error(state, "'%s' is no host", host);
    if (o->host_count == HOSTS_MAX)
        argp_error(state, "more than %u hosts at once", HOSTS_MAX);
    char **more = realloc(o->hosts, (o->host_count + 1) * sizeof *more);
    if (!more)
        argp_failure(state, EXIT_FAILED, ENOMEM, "deploy");
    else {
        o->hosts = more;
        more[o->host_count++] = host;
    }
}

static void check(const struct options *o, struct argp_state *state)
{
    if (!o->host_count)
        argp_error(state, "which hosts? as ssh takes them: web-1, root@10.0.0.5, a name of its configuration");
    if (o->d.package && o->d.transient)
        argp_error(state, "--transient leaves no package behind: say --agent FILE for a program of another machine");
    if (o->d.via_ssh && o->d.address)
        argp_error(state, "--via-ssh needs no --address: the agent connects to its own host");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o->d.cli;
        return 0;
    case OPTION_PACKAGE:
        o->d.package = arg;
        return 0;
    case OPTION_AGENT:
        o->d.agent = arg;
        return 0;
    case OPTION_SSH:
        o->d.ssh = arg;
        return 0;
    case OPTION_TRANSIENT:
        o->d.transient = true;
        return 0;
    case OPTION_VIA_SSH:
        o->d.via_ssh = true;
        return 0;
    case OPTION_ALLOW:
        o->d.allow = true;
        return 0;
    case OPTION_REMOVE:
        o->d.remove = true;
        return 0;
    case OPTION_ADDRESS:
        o->d.address = arg;
        return 0;
    case OPTION_TOKEN:
        o->token = arg;
        return 0;
    case 'l':
        json_array_append_new(o->d.labels, json_string(arg));
        return 0;
    case ARGP_KEY_ARG:
        add_host(o, state, arg);
        return 0;
    case ARGP_KEY_END:
        check(o, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---------------------------------------------------------------- before */

static int log_in(struct options *o, struct error *e)
{
    struct token t;
    char word[] = "fleetdump login", *argv[] = {word, NULL, NULL};
    int r = token_parse(o->token, &t, e);
    if (r)
        return r;
    snprintf(o->collector, sizeof o->collector, "%s", t.collector);
    explicit_bzero(&t, sizeof t);
    argv[1] = strdup(o->token);
    r = argv[1] ? command_login.run(2, argv, o->d.cli, e) : error_set(e, ERROR_MEMORY, "no memory for a token");
    free(argv[1]);
    o->d.cli->collector = o->collector;
    return r;
}

/* The owner of hosts says whether they may be listened to; who only asks for them to be deployed, on a terminal, is asked. */
static void ask_to_allow(struct options *o)
{
    char line[16];
    if (o->d.allow || o->d.remove || !keyboard_is_there())
        return;
    fprintf(stderr,
            "May you capture on %s%s? This writes allow = yes and baseline = yes into the policy.conf of those that "
            "say nothing yet. [y/N] ",
            o->host_count == 1 ? o->hosts[0] : "these hosts", "");
    o->d.allow = fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
}

/* ---------------------------------------------------------------- each host, in a process of its own */

struct job {
    pid_t pid;
    int fd; /* a line: how it went */
};

static _Noreturn void work(const struct deploy *d, const char *host, int fd)
{
    struct error e = ERROR_INIT;
    char said[DEPLOY_SAID_MAX] = "";
    int r = deploy_host(d, host, said, &e);
    dprintf(fd, "%s", r ? e.text : said);
    _exit(r ? EXIT_FAILED : EXIT_OK);
}

static int start(const struct deploy *d, const char *host, struct job *j, struct error *e)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_sys(e, errno, "cannot begin with %s", host);
    fflush(stdout);
    j->pid = fork();
    if (j->pid == 0)
        work(d, host, fds[1]);
    int sys = errno;
    close(fds[1]);
    j->fd = fds[0];
    if (j->pid > 0)
        return 0;
    close(fds[0]);
    return error_sys(e, sys, "cannot begin with %s", host);
}

/* Its line, once it is over; true if all went well. */
static bool finish(const char *host, struct job *j)
{
    struct error clean = ERROR_INIT;
    char text[ERROR_TEXT_MAX] = "";
    size_t n = 0;
    ssize_t got;
    int status = 0;
    while (n < sizeof text - 1 &&
           ((got = read(j->fd, text + n, sizeof text - 1 - n)) > 0 || (got < 0 && errno == EINTR)))
        n += got > 0 ? (size_t)got : 0;
    close(j->fd);
    while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR)
        ;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK;
    (void)error_set(&clean, ERROR_NONE, "%s", n ? text : "ended without a word"); /* makes it printable */
    fprintf(good ? stdout : stderr, "%s: %s\n", host, clean.text);
    fflush(stdout); /* in a pipe, too, it stands before what is said of all */
    return good;
}

static int all(const struct options *o, struct error *e)
{
    struct job jobs[AT_ONCE] = {0};
    uint32_t failed = 0, begun = 0;
    for (uint32_t i = 0; i < o->host_count; i++) {
        while (begun < o->host_count && begun < i + AT_ONCE) {
            int r = start(&o->d, o->hosts[begun], &jobs[begun % AT_ONCE], e);
            if (r)
                return r;
            begun++;
        }
        failed += !finish(o->hosts[i], &jobs[i % AT_ONCE]);
    }
    if (!failed)
        return 0;
    return error_set(e, ERROR_REFUSED, "%u of %u host%s failed; done again, it goes on where it stopped", failed,
                     o->host_count, units_plural(o->host_count));
}

/* ---------------------------------------------------------------- the command */

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct options o = {.d = {.cli = cli, .ssh = "ssh", .labels = json_array()}};
    cli_parse(&command_deploy, argc, argv, &o);
    o.d.batch = o.host_count > 1 || !keyboard_is_there();
    int r = o.token ? log_in(&o, e) : 0;
    if (r == 0) {
        ask_to_allow(&o);
        r = deploy_prepare(&o.d, e);
    }
    if (r == 0)
        r = all(&o, e);
    if (r == 0 && !o.d.remove && o.d.allow)
        note(cli, "next: fleetdump capture start -A --for 10s -w out.pcapng 'tcp port 80'");
    deploy_free(&o.d);
    free(o.hosts);
    return r;
}

static const struct argp_option options[] = {
    {"transient", OPTION_TRANSIENT, NULL, 0,
     "for now: one folder and, with systemd, a unit that the next start of the host forgets; else a plain process", 1},
    {"remove", OPTION_REMOVE, NULL, 0,
     "take the agent away again, with all that was made for it, and revoke its certificate; with --transient only such "
     "a "
     "one",
     1},
    {"allow-capture", OPTION_ALLOW, NULL, 0,
     "hosts whose policy says nothing yet allow captures that you sign (asked for on a terminal)", 1},
    {"label", 'l', "KEY=VALUE", 0, "of the hosts; may repeat; one that has others joins anew, and has these alone", 1},
    {"package", OPTION_PACKAGE, "FILE", 0, "install this Debian package of fleetdump-agent", 1},
    {"agent", OPTION_AGENT, "FILE", 0, "copy this fleetdump-agent (default: that beside this program)", 1},
    {NULL, 0, NULL, 0, "The way there and back:", 2},
    {"via-ssh", OPTION_VIA_SSH, NULL, 0,
     "the agent reaches the collector through an ssh that stays here, where no port is open; packets of ssh are not "
     "captured then",
     2},
    {"address", OPTION_ADDRESS, "ADDRESS:PORT", 0,
     "of the collector as these hosts reach it (default: what the collector says)", 2},
    {"ssh", OPTION_SSH, "COMMAND", 0, "instead of ssh, as in 'ssh -F FILE'", 2},
    {"token", OPTION_TOKEN, "TOKEN", 0, "log in first, as fleetdump login TOKEN does", 2},
    {0},
};
static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {options,
                                 parse,
                                 "[USER@]HOST...",
                                 "Puts the agent on hosts over ssh, as root (or by sudo without a password): copies "
                                 "it, lets it join under the host's name, trusts your key, starts it, "
                                 "and waits until it is connected. Several hosts at once, a line for each; done again, "
                                 "it changes only what is not so yet.\v"
                                 "Examples:\n"
                                 "  fleetdump deploy web-1 web-2 db-1\n"
                                 "  fleetdump deploy --allow-capture --label role=web web-1 web-2\n"
                                 "  fleetdump deploy --package fleetdump-agent_0.1.0_amd64.deb root@10.0.0.5\n"
                                 "  fleetdump deploy --transient --via-ssh far-1\n"
                                 "  fleetdump deploy --transient --remove far-1\n\n"
                                 "Exit status: 0 all hosts are as wanted, 1 some failed, 2 wrong use.\n",
                                 children,
                                 NULL,
                                 NULL};

const struct command command_deploy = {
    .name = "deploy",
    .summary = "puts agents on hosts over ssh, and takes them away",
    .argp = &argp,
    .run = run,
};
