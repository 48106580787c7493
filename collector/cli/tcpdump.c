#include "collector/cli/tcpdump.h"
#include "collector/cli/labels.h"
#include "common/base/buffer.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES (16u << 20)
#define READ_BYTES     (64u << 10)

struct tcpdump {
    char *const *options; /* terminated by NULL; NULL if there are none */
    bool at_once;
    struct labels *labels;
    struct buffer held; /* what came before the first packet */
    pid_t process;      /* 0: not started */
    int in, out;        /* its standard input and output, not blocking; -1: closed */
    struct buffer text; /* of its output: a line that has not ended yet */
    uint64_t printed;   /* packets */
    bool enough;        /* it wants no more */
};

/* ------------------------------------------------------------------ its output */

/* The rest of a line that begins with this packet number, or NULL. */
static const char *behind_number(const char *line, uint64_t number)
{
    char *end;
    const char *digits = line + strspn(line, " ");
    if (*digits < '0' || *digits > '9' || strtoull(digits, &end, 10) != number || strncmp(end, "  ", 2) != 0)
        return NULL;
    return end + 2;
}

static void print_line(struct tcpdump *t, const char *line)
{
    const char *rest = behind_number(line, t->printed + 1);
    if (!rest) {
        puts(line);
        return;
    }
    t->printed++;
    printf("%s %s\n", labels_next(t->labels), rest);
}

static int print_lines(struct tcpdump *t, struct error *e)
{
    char *at = (char *)t->text.data, *end;
    size_t left = t->text.len;
    for (; left && (end = memchr(at, '\n', left)); left -= (size_t)(end + 1 - at), at = end + 1) {
        *end = 0;
        print_line(t, at);
    }
    if (left)
        memmove(t->text.data, at, left);
    t->text.len = left;
    if (t->at_once)
        fflush(stdout);
    if (!ferror(stdout))
        return 0;
    return errno == EPIPE ? error_set(e, ERROR_CANCELLED, "%s", "")
                          : error_sys(e, errno, "cannot write to standard output");
}

/* Reads what there is. */
int tcpdump_print(struct tcpdump *t, struct error *e)
{
    void *room = buffer_reserve(&t->text, READ_BYTES);
    if (!room)
        return error_set(e, ERROR_LIMIT, "tcpdump prints a line of more than %u bytes", LINE_MAX_BYTES);
    ssize_t n = read(t->out, room, READ_BYTES);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : error_sys(e, errno, "cannot read from tcpdump");
    if (n == 0) {
        close(t->out);
        t->out = -1;
        t->enough = t->in >= 0; /* it did not wait for the end */
        return 0;
    }
    t->text.len += (size_t)n;
    return print_lines(t, e);
}

/* ------------------------------------------------------------------ its life */

_Noreturn static void become_tcpdump(const struct tcpdump *t, char *const *argv, int in, int out)
{
    if (t->at_once)
        (void)setpgid(0, 0);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        execvp(argv[0], argv);
        if (errno == ENOENT)
            execv("/usr/sbin/tcpdump", argv); /* where it was, out of a user's PATH */
    }
    fprintf(stderr, "fleetdump: cannot run tcpdump: %s (is it installed?)\n", strerror(errno));
    _exit(127);
}

static int start(struct tcpdump *t, struct error *e)
{
    const char *argv[TCPDUMP_OPTIONS_MAX + 8] = {"tcpdump", "-n", "-#", "-r", "-", "-l"};
    int in[2], out[2], n = t->at_once ? 6 : 5;
    argv[n] = NULL;
    for (int i = 0; t->options && t->options[i] && i < TCPDUMP_OPTIONS_MAX; i++)
        argv[n + i] = t->options[i];
    if (pipe2(in, O_CLOEXEC))
        return error_sys(e, errno, "cannot make a pipe");
    if (pipe2(out, O_CLOEXEC)) {
        close(in[0]);
        close(in[1]);
        return error_sys(e, errno, "cannot make a pipe");
    }
    t->process = fork();
    if (t->process == 0)
        become_tcpdump(t, (char *const *)(uintptr_t)argv, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    t->in = in[1];
    t->out = out[0];
    if (t->process < 0) {
        t->process = 0;
        return error_sys(e, errno, "cannot start tcpdump");
    }
    (void)fcntl(t->in, F_SETFL, O_NONBLOCK);
    (void)fcntl(t->out, F_SETFL, O_NONBLOCK);
    return 0;
}

/* Waits until tcpdump takes or gives something. */
static int wait_for(const struct tcpdump *t, bool writing, bool *can_write, bool *can_read, struct error *e)
{
    struct pollfd fds[2] = {{.fd = writing ? t->in : -1, .events = POLLOUT}, {.fd = t->out, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR)
        return error_sys(e, errno, "cannot wait for tcpdump");
    *can_write = fds[0].revents != 0;
    *can_read = fds[1].revents != 0;
    return 0;
}

static int write_input(struct tcpdump *t, const uint8_t **data, size_t *len, struct error *e)
{
    ssize_t n = write(t->in, *data, *len);
    if (n < 0 && errno == EPIPE) /* it failed, or has printed as many packets as it was told to */
        return t->enough = true, error_set(e, ERROR_CANCELLED, "%s", "");
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : error_sys(e, errno, "cannot write to tcpdump");
    *data += n;
    *len -= (size_t)n;
    return 0;
}

/* Gives tcpdump the bytes, and prints what it prints meanwhile. */
static int give(struct tcpdump *t, const uint8_t *data, size_t len, struct error *e)
{
    int r = 0;
    while (r == 0 && len > 0) {
        bool can_write = false, can_read = false;
        r = wait_for(t, true, &can_write, &can_read, e);
        if (r == 0 && can_read)
            r = tcpdump_print(t, e);
        if (r == 0 && can_write)
            r = write_input(t, &data, &len, e);
    }
    return r;
}

/* The end of its input, the rest of its output, and how it ended. */
static int end(struct tcpdump *t, struct error *e)
{
    int r = 0, status = 0;
    close(t->in);
    t->in = -1;
    while (r == 0 && t->out >= 0) {
        bool can_write = false, can_read = false;
        r = wait_for(t, false, &can_write, &can_read, e);
        if (r == 0 && can_read)
            r = tcpdump_print(t, e);
    }
    if (t->out >= 0)
        close(t->out);
    t->out = -1;
    while (waitpid(t->process, &status, 0) < 0 && errno == EINTR)
        ;
    t->process = 0;
    fflush(stdout);
    if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status)))
        r = error_set(e, ERROR_SYSTEM, "tcpdump failed (its message stands above)");
    return r;
}

/* ------------------------------------------------------------------ the file */

int tcpdump_new(char *const *options, bool at_once, struct tcpdump **out, struct error *e)
{
    struct tcpdump *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for tcpdump");
    *t = (struct tcpdump){
        .options = options, .at_once = at_once, .in = -1, .out = -1, .text = {.limit = LINE_MAX_BYTES}};
    int r = labels_new(&t->labels, e);
    if (r) {
        free(t);
        return r;
    }
    *out = t;
    return 0;
}

void tcpdump_free(struct tcpdump *t)
{
    if (!t)
        return;
    if (t->process)
        (void)!end(t, NULL);
    buffer_free(&t->text);
    buffer_free(&t->held);
    labels_free(t->labels);
    free(t);
}

int tcpdump_feed(struct tcpdump *t, const void *data, size_t len, struct error *e)
{
    int r = labels_feed(t->labels, data, len, e);
    if (r)
        return r;
    if (t->process)
        return give(t, data, len, e);
    buffer_append(&t->held, data, len);
    if (t->held.failed)
        return error_set(e, ERROR_MEMORY, "no memory for the file's beginning");
    if (labels_packets(t->labels) == 0)
        return 0;
    r = start(t, e);
    if (r == 0)
        r = give(t, t->held.data, t->held.len, e);
    buffer_free(&t->held);
    return r;
}

int tcpdump_finish(struct tcpdump *t, struct error *e)
{
    return t->process ? end(t, e) : 0;
}

int tcpdump_fd(const struct tcpdump *t)
{
    return t->out;
}

bool tcpdump_had_enough(const struct tcpdump *t)
{
    return t->enough;
}
