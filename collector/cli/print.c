/*
 * fleetdump print: packets of all hosts in tcpdump's own words, the agent and interface in front.
 *
 * The pulled file goes to a temporary file, which tcpdump reads with packet numbers (-#); so each packet's first line is known by its number, and its interface by the
 * same number in the file. Lines that do not begin with the next number belong to the packet before.
 */
#include "collector/cli/pulling.h"
#include "common/base/fs.h"
#include "common/chunk/pcapng.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TCPDUMP_OPTIONS_MAX 64

struct print {
    struct pulling p;
    char **tcpdump_options;
    int fd; /* the temporary file */
};

/* Where the packets of the file come from, in order. */
struct sources {
    struct pcapng_reader *reader;
    char **names; /* of interfaces */
    uint32_t count;
    int fd;
};

/* ------------------------------------------------------------------ interfaces by packet */

static long read_file(void *context, void *buf, size_t len, struct error *e)
{
    struct sources *s = context;
    ssize_t n = read(s->fd, buf, len);
    return n < 0 ? error_sys(e, errno, "cannot read the pulled packets") : (long)n;
}

static int add_interface(struct sources *s, const char *name, struct error *e)
{
    char **grown = realloc(s->names, (s->count + 1) * sizeof(char *));
    if (grown)
        s->names = grown;
    if (!grown || !(grown[s->count] = strdup(name ? name : "?")))
        return error_set(e, ERROR_MEMORY, "no memory for interface names");
    s->count++;
    return 0;
}

/* The name of the next packet's interface, or "?" behind the last one. */
static int next_name(struct sources *s, const char **name, struct error *e)
{
    struct pcapng_item item;
    *name = "?";
    for (;;) {
        int r = pcapng_reader_next(s->reader, &item, e);
        if (r || item.kind == PCAPNG_ITEM_END)
            return r;
        if (item.kind == PCAPNG_ITEM_INTERFACE && (r = add_interface(s, item.interface_info.name, e)) != 0)
            return r;
        if (item.kind == PCAPNG_ITEM_PACKET) {
            *name = item.packet.interface < s->count ? s->names[item.packet.interface] : "?";
            return 0;
        }
    }
}

static void sources_free(struct sources *s)
{
    pcapng_reader_free(s->reader);
    for (uint32_t i = 0; i < s->count; i++)
        free(s->names[i]);
    free(s->names);
    if (s->fd >= 0)
        close(s->fd);
}

/* ------------------------------------------------------------------ tcpdump */

static pid_t start_tcpdump(const struct print *p, int *out, struct error *e)
{
    const char *argv[TCPDUMP_OPTIONS_MAX + 8] = {"tcpdump", "-n", "-v", "-#", "-r", "-"};
    int pipe_fds[2];
    for (int i = 0; p->tcpdump_options && p->tcpdump_options[i]; i++) {
        if (i == TCPDUMP_OPTIONS_MAX)
            return error_set(e, ERROR_LIMIT, "more than %d options for tcpdump", TCPDUMP_OPTIONS_MAX);
        argv[6 + i] = p->tcpdump_options[i];
    }
    if (pipe2(pipe_fds, O_CLOEXEC))
        return error_sys(e, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        if (lseek(p->fd, 0, SEEK_SET) == 0 && dup2(p->fd, STDIN_FILENO) >= 0 && dup2(pipe_fds[1], STDOUT_FILENO) >= 0)
            execvp(argv[0], (char *const *)(uintptr_t)argv);
        fprintf(stderr, "fleetdump: cannot run tcpdump: %s (is the package tcpdump installed?)\n", strerror(errno));
        _exit(127);
    }
    close(pipe_fds[1]);
    *out = pipe_fds[0];
    if (pid < 0) {
        close(pipe_fds[0]);
        return error_sys(e, errno, "cannot start tcpdump");
    }
    return pid;
}

/* The rest of a line that begins with this packet number, or NULL. */
static const char *after_number(const char *line, uint64_t number)
{
    char *end;
    const char *digits = line + strspn(line, " ");
    if (*digits < '0' || *digits > '9' || strtoull(digits, &end, 10) != number || strncmp(end, "  ", 2) != 0)
        return NULL;
    return end + 2;
}

static int print_lines(struct sources *s, FILE *from, struct error *e)
{
    char *line = NULL;
    size_t cap = 0;
    uint64_t packets = 0;
    int r = 0;
    while (r == 0 && getline(&line, &cap, from) >= 0) {
        const char *rest = after_number(line, packets + 1), *name;
        if (!rest) {
            fputs(line, stdout);
            continue;
        }
        packets++;
        r = next_name(s, &name, e);
        if (r == 0)
            printf("%s %s", name, rest);
        if (ferror(stdout))
            r = error_set(e, ERROR_CANCELLED, "%s", "");
    }
    free(line);
    fflush(stdout);
    return r;
}

static int run_tcpdump(const struct print *p, struct error *e)
{
    struct sources s = {.fd = dup(p->fd)};
    int out = -1, status = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", p->fd);
    if (s.fd >= 0)
        close(s.fd);
    s.fd = open(path, O_RDONLY | O_CLOEXEC); /* a position of its own */
    int r = s.fd < 0 ? error_sys(e, errno, "cannot read the pulled packets again")
                     : pcapng_reader_new(read_file, &s, &s.reader, e);
    pid_t pid = r ? r : start_tcpdump(p, &out, e);
    if (pid > 0) {
        FILE *from = fdopen(out, "r");
        r = from ? print_lines(&s, from, e) : error_sys(e, errno, "cannot read from tcpdump");
        if (from)
            fclose(from);
        waitpid(pid, &status, 0);
    } else
        r = (int)pid;
    if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status)))
        r = error_set(e, ERROR_SYSTEM, "tcpdump failed (its message stands above)");
    sources_free(&s);
    return r;
}

/* ------------------------------------------------------------------ the command */

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct print *p = state->input;
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = &p->p;
    return 0;
}

static int take(void *context, const struct message_result *r, struct error *e)
{
    struct print *p = context;
    return fs_write(p->fd, r->data, r->length, "cli.write", e);
}

static int ask(struct print *p, struct error *e)
{
    struct client_answer answer;
    FILE *file = tmpfile();
    if (!file)
        return error_sys(e, errno, "cannot make a temporary file for the packets");
    p->fd = fileno(file);
    int r = client_ask(p->p.u.cli, &p->p.u.q, "print", take, p, &answer, e);
    if (r == 0 && (answer.code == 0 || answer.code == ERROR_INCOMPLETE))
        r = run_tcpdump(p, e);
    fclose(file);
    if (r)
        return r;
    r = pulling_account(p->p.u.cli, &answer, e);
    free(answer.manifest);
    return r;
}

int command_print(int argc, char **argv, struct cli *cli, struct error *e)
{
    static const struct argp_child children[] = {{&pulling_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {NULL,
                                     parse,
                                     "[FILTER] [-- TCPDUMP-OPTION...]",
                                     "Packets of all hosts in tcpdump's words, the agent and interface in front.\v"
                                     "What stands behind -- is handed on to tcpdump (-X, -e, -S, ...).\n\n"
                                     "Examples:\n"
                                     "  fleetdump print 'udp port 53' --since 5m\n"
                                     "  fleetdump print 'host 10.0.0.5 and port 80' --capture monday -- -X\n",
                                     children,
                                     NULL,
                                     NULL};
    struct print p = {.p = {.u = {.cli = cli}, .link_type = UINT32_MAX}};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--") == 0) {
            p.tcpdump_options = argv + i + 1;
            argc = i;
        }
    argp_parse(&argp, argc, argv, 0, NULL, &p);
    int r = pulling_prepare(&p.p, e);
    if (r == 0)
        r = ask(&p, e);
    question_free(&p.p.u);
    return r;
}
