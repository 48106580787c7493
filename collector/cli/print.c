/*
 * fleetdump print: packets of all hosts in tcpdump's own words, the agent and interface in front.
 *
 * The answer goes to tcpdump's standard input as it comes, and what tcpdump prints is read meanwhile. It prints packet numbers (-#), so
 * each packet's first line is known by its number; lines that do not begin with the next number belong to the packet before. tcpdump is
 * started with the first packet: it refuses files without any.
 */
#include "collector/cli/labels.h"
#include "collector/cli/pulling.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TCPDUMP_OPTIONS_MAX 64
#define LINE_MAX_BYTES      (16u << 20)
#define READ_BYTES          (64u << 10)

struct print {
    struct pulling p;
    char **options; /* of tcpdump, terminated by NULL; NULL if there are none */
    struct labels *labels;
    struct buffer held; /* what came before the first packet */
    pid_t tcpdump;      /* 0: not started */
    int in, out;        /* its standard input and output, not blocking; -1: closed */
    struct buffer text; /* of its output: a line that has not ended yet */
    uint64_t printed;   /* packets */
    bool enough;        /* tcpdump wants no more */
};

/* ------------------------------------------------------------------ tcpdump's output */

/* The rest of a line that begins with this packet number, or NULL. */
static const char *behind_number(const char *line, uint64_t number)
{
    char *end;
    const char *digits = line + strspn(line, " ");
    if (*digits < '0' || *digits > '9' || strtoull(digits, &end, 10) != number || strncmp(end, "  ", 2) != 0)
        return NULL;
    return end + 2;
}

static void print_line(struct print *p, const char *line)
{
    const char *rest = behind_number(line, p->printed + 1);
    if (!rest) {
        puts(line);
        return;
    }
    p->printed++;
    printf("%s %s\n", labels_next(p->labels), rest);
}

static int print_lines(struct print *p, struct error *e)
{
    char *at = (char *)p->text.data, *end;
    size_t left = p->text.len;
    for (; left && (end = memchr(at, '\n', left)); left -= (size_t)(end + 1 - at), at = end + 1) {
        *end = 0;
        print_line(p, at);
    }
    if (left)
        memmove(p->text.data, at, left);
    p->text.len = left;
    if (!ferror(stdout))
        return 0;
    return errno == EPIPE ? error_set(e, ERROR_CANCELLED, "%s", "")
                          : error_sys(e, errno, "cannot write to standard output");
}

/* Reads what there is. */
static int read_output(struct print *p, struct error *e)
{
    void *room = buffer_reserve(&p->text, READ_BYTES);
    if (!room)
        return error_set(e, ERROR_LIMIT, "tcpdump prints a line of more than %u bytes", LINE_MAX_BYTES);
    ssize_t n = read(p->out, room, READ_BYTES);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : error_sys(e, errno, "cannot read from tcpdump");
    if (n == 0) {
        close(p->out);
        p->out = -1;
        return 0;
    }
    p->text.len += (size_t)n;
    return print_lines(p, e);
}

/* ------------------------------------------------------------------ tcpdump */

_Noreturn static void become_tcpdump(char *const *argv, int in, int out)
{
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        execvp(argv[0], argv);
        if (errno == ENOENT)
            execv("/usr/sbin/tcpdump", argv); /* where it was, out of a user's PATH */
    }
    fprintf(stderr, "fleetdump: cannot run tcpdump: %s (is it installed?)\n", strerror(errno));
    _exit(127);
}

static int start_tcpdump(struct print *p, struct error *e)
{
    const char *argv[TCPDUMP_OPTIONS_MAX + 8] = {"tcpdump", "-n", "-v", "-#", "-r", "-"};
    int in[2], out[2];
    for (int i = 0; p->options && p->options[i]; i++)
        argv[6 + i] = p->options[i];
    if (pipe2(in, O_CLOEXEC))
        return error_sys(e, errno, "cannot make a pipe");
    if (pipe2(out, O_CLOEXEC)) {
        close(in[0]);
        close(in[1]);
        return error_sys(e, errno, "cannot make a pipe");
    }
    p->tcpdump = fork();
    if (p->tcpdump == 0)
        become_tcpdump((char *const *)(uintptr_t)argv, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = out[0];
    if (p->tcpdump < 0) {
        p->tcpdump = 0;
        return error_sys(e, errno, "cannot start tcpdump");
    }
    (void)fcntl(p->in, F_SETFL, O_NONBLOCK);
    (void)fcntl(p->out, F_SETFL, O_NONBLOCK);
    return 0;
}

/* Waits until tcpdump takes or gives something. */
static int wait_for(const struct print *p, bool writing, bool *can_write, bool *can_read, struct error *e)
{
    struct pollfd fds[2] = {{.fd = writing ? p->in : -1, .events = POLLOUT}, {.fd = p->out, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR)
        return error_sys(e, errno, "cannot wait for tcpdump");
    *can_write = fds[0].revents != 0;
    *can_read = fds[1].revents != 0;
    return 0;
}

static int write_input(struct print *p, const uint8_t **data, size_t *len, struct error *e)
{
    ssize_t n = write(p->in, *data, *len);
    if (n < 0 && errno == EPIPE) /* it failed, or has printed as many packets as it was told to */
        return p->enough = true, error_set(e, ERROR_CANCELLED, "%s", "");
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : error_sys(e, errno, "cannot write to tcpdump");
    *data += n;
    *len -= (size_t)n;
    return 0;
}

/* Gives tcpdump the bytes, and prints what it prints meanwhile. */
static int give(struct print *p, const uint8_t *data, size_t len, struct error *e)
{
    int r = 0;
    while (r == 0 && len > 0) {
        bool can_write = false, can_read = false;
        r = wait_for(p, true, &can_write, &can_read, e);
        if (r == 0 && can_read)
            r = read_output(p, e);
        if (r == 0 && can_write)
            r = write_input(p, &data, &len, e);
    }
    return r;
}

/* The end of its input, the rest of its output, and how it ended. */
static int finish_tcpdump(struct print *p, struct error *e)
{
    int r = 0, status = 0;
    close(p->in);
    p->in = -1;
    while (r == 0 && p->out >= 0) {
        bool can_write = false, can_read = false;
        r = wait_for(p, false, &can_write, &can_read, e);
        if (r == 0 && can_read)
            r = read_output(p, e);
    }
    if (p->out >= 0)
        close(p->out);
    p->out = -1;
    while (waitpid(p->tcpdump, &status, 0) < 0 && errno == EINTR)
        ;
    p->tcpdump = 0;
    fflush(stdout);
    if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status)))
        r = error_set(e, ERROR_SYSTEM, "tcpdump failed (its message stands above)");
    return r;
}

/* ------------------------------------------------------------------ the answer */

static int take(void *context, const struct message_result *result, struct error *e)
{
    struct print *p = context;
    int r = labels_feed(p->labels, result->data, result->length, e);
    if (r)
        return r;
    if (p->tcpdump)
        return give(p, result->data, result->length, e);
    buffer_append(&p->held, result->data, result->length);
    if (p->held.failed)
        return error_set(e, ERROR_MEMORY, "no memory for the file's beginning");
    if (labels_packets(p->labels) == 0)
        return 0;
    r = start_tcpdump(p, e);
    if (r == 0)
        r = give(p, p->held.data, p->held.len, e);
    buffer_free(&p->held);
    return r;
}

static int ask(struct print *p, struct error *e)
{
    struct client_answer answer;
    int r = client_ask(p->p.u.cli, &p->p.u.q, "print", take, p, &answer, e);
    if (p->tcpdump) {
        struct error why = ERROR_INIT;
        int ended = finish_tcpdump(p, &why);
        if (ended && (r == 0 || p->enough)) {
            *e = why;
            r = ended;
        } else if (p->enough)
            r = 0;
    }
    if (r == 0 && !p->enough)
        r = pulling_conclude(p->p.u.cli, &answer, "what is printed is", e);
    client_answer_free(&answer);
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

/* Cuts off what stands behind --. */
static int split_options(struct print *p, int *argc, char **argv, struct error *e)
{
    int end = 1;
    while (end < *argc && strcmp(argv[end], "--") != 0)
        end++;
    if (*argc - end - 1 > TCPDUMP_OPTIONS_MAX)
        return error_set(e, ERROR_USAGE, "more than %d options for tcpdump", TCPDUMP_OPTIONS_MAX);
    if (end < *argc)
        p->options = argv + end + 1;
    *argc = end;
    return 0;
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct print p = {.p = PULLING_INIT(cli), .text = {.limit = LINE_MAX_BYTES}, .in = -1, .out = -1};
    int r = split_options(&p, &argc, argv, e);
    if (r)
        return r;
    cli_parse(&command_print, argc, argv, &p);
    r = labels_new(&p.labels, e);
    if (r == 0)
        r = pulling_prepare(&p.p, e);
    if (r == 0)
        r = ask(&p, e);
    buffer_free(&p.text);
    buffer_free(&p.held);
    labels_free(p.labels);
    question_free(&p.p.u);
    return r;
}

static const struct argp_child children[] = {{&pulling_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {NULL,
                                 parse,
                                 "[FILTER] [-- TCPDUMP-OPTION...]",
                                 "Packets of all hosts in tcpdump's words, the agent and interface in front.\v"
                                 "What stands behind -- is handed on to tcpdump (-X, -e, -S, -tttt, ...).\n\n"
                                 "Examples:\n"
                                 "  fleetdump print 'udp port 53' --since 5m\n"
                                 "  fleetdump print 'host 10.0.0.5 and port 80' --capture monday -- -X\n\n"
                                 "`fleetdump help filter` lists the words of filters.\n",
                                 children,
                                 NULL,
                                 NULL};

const struct command command_print = {"print", "packets of all hosts in tcpdump's words", &argp, run, NULL};
