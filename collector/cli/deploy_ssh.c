#include "collector/cli/deploy_ssh.h"
#include "collector/cli/deploy_script.h"
#include "common/base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSH_FAILED    255 /* its exit status when it is not the command's */
#define SCRIPT_WORDS  16u
#define FORWARD_READY "ready"

/* Root runs the script at once, others by sudo; which keeps the port of sshd for it. */
static const char as_root[] = "[ \"$(id -u)\" = 0 ] && exec sh -c \"$@\"; "
                              "exec sudo -n -- env SSH_CONNECTION=\"${SSH_CONNECTION:-}\" sh -c \"$@\"";

/* ---------------------------------------------------------------- words */

/* A word for the other side's shell, whatever is in it. */
static void put_quoted(struct buffer *b, const char *word)
{
    buffer_u8(b, '\'');
    for (const char *p = word; *p; p++)
        if (*p == '\'')
            buffer_append(b, "'\\''", 4);
        else
            buffer_u8(b, (uint8_t)*p);
    buffer_append(b, "' ", 2);
}

static int remote_command(const char *const *words, struct buffer *b, struct error *e)
{
    buffer_printf(b, "exec sh -c ");
    put_quoted(b, as_root);
    put_quoted(b, "sh");
    put_quoted(b, deploy_script);
    put_quoted(b, "fleetdump-deploy");
    for (size_t i = 0; words[i]; i++)
        put_quoted(b, words[i]);
    buffer_u8(b, 0);
    return b->failed ? error_set(e, ERROR_MEMORY, "no memory for a command") : 0;
}

/* The command's words, then `more` (NULL at its end). They point into `text`. */
static int make_argv(const struct ssh *s, char *text, const char *const *more, const char *argv[SSH_WORDS_MAX],
                     struct error *e)
{
    size_t n = 0;
    char *rest = NULL;
    for (char *p = strtok_r(text, " ", &rest); p && n < SSH_WORDS_MAX; p = strtok_r(NULL, " ", &rest))
        argv[n++] = p;
    if (n == 0 || n + 16 > SSH_WORDS_MAX)
        return error_set(e, ERROR_USAGE, "--ssh '%.100s': 1 to %u words", s->command, SSH_WORDS_MAX - 16);
    if (s->batch) {
        argv[n++] = "-o";
        argv[n++] = "BatchMode=yes";
    }
    for (size_t i = 0; more[i] && n < SSH_WORDS_MAX - 1; i++)
        argv[n++] = more[i];
    argv[n] = NULL;
    return 0;
}

/* ---------------------------------------------------------------- a child and its pipes */

struct child {
    pid_t pid;
    int in, out, err; /* our ends */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static _Noreturn void become(const char *const *argv, int in, int out, int err)
{
    (void)signal(SIGPIPE, SIG_DFL);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0)
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(err, "%s: %s\n", argv[0], strerror(errno));
    _exit(SSH_FAILED);
}

static int start(const char *const *argv, struct child *c, struct error *e)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    *c = (struct child){.pid = -1, .in = -1, .out = -1, .err = -1};
    if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0)
        c->pid = fork();
    if (c->pid == 0)
        become(argv, in[0], out[1], err[1]);
    int sys = errno;
    close_fd(&in[0]);
    close_fd(&out[1]);
    close_fd(&err[1]);
    c->in = in[1];
    c->out = out[0];
    c->err = err[0];
    if (c->pid > 0)
        return 0;
    close_fd(&c->in);
    close_fd(&c->out);
    close_fd(&c->err);
    return error_sys(e, sys, "cannot start %s", argv[0]);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : SSH_FAILED;
}

/* Reads what is there; closes at the end. What goes beyond the limit is dropped. */
static void take(int *fd, struct buffer *to)
{
    char bytes[4096];
    ssize_t n = read(*fd, bytes, sizeof bytes);
    if (n > 0 && to->len + (size_t)n <= SSH_OUTPUT_MAX)
        buffer_append(to, bytes, (size_t)n);
    else if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        close_fd(fd);
}

static void give(int *fd, const struct buffer *from, size_t *at)
{
    ssize_t n = *at < from->len ? write(*fd, from->data + *at, from->len - *at) : 0;
    if (n > 0)
        *at += (size_t)n;
    if (*at >= from->len || (n < 0 && errno != EINTR && errno != EAGAIN))
        close_fd(fd);
}

static void converse(struct child *c, const struct buffer *input, struct buffer *out, struct buffer *err)
{
    static const struct buffer nothing = {0};
    size_t at = 0;
    input = input ? input : &nothing;
    (void)fcntl(c->in, F_SETFL, O_NONBLOCK);
    if (input->len == 0)
        close_fd(&c->in);
    while (c->in >= 0 || c->out >= 0 || c->err >= 0) {
        struct pollfd fds[] = {
            {.fd = c->in, .events = POLLOUT}, {.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};
        if (poll(fds, 3, -1) < 0)
            continue;
        if (c->in >= 0 && fds[0].revents)
            give(&c->in, input, &at);
        if (c->out >= 0 && fds[1].revents)
            take(&c->out, out);
        if (c->err >= 0 && fds[2].revents)
            take(&c->err, err);
    }
}

/* ---------------------------------------------------------------- what was said */

/* The line that begins with `word` (the last of them), or the last line at all with word NULL. */
static size_t last_line(const struct buffer *b, const char *word, const char **found)
{
    const char *text = (const char *)b->data, *end = text ? text + b->len : NULL;
    size_t length = 0, skip = word ? strlen(word) : 0;
    for (const char *p = text; p && p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        if (n > skip && (!word || memcmp(p, word, skip) == 0)) {
            *found = p + skip;
            length = n - skip;
        }
        p = stop ? stop + 1 : end;
    }
    while (length && ((*found)[length - 1] == '\r' || (*found)[length - 1] == ' '))
        length--;
    return length;
}

void ssh_fact(const struct buffer *output, const char *key, char *value, size_t size)
{
    char word[64];
    const char *found = "";
    snprintf(word, sizeof word, "fact %s=", key);
    size_t n = last_line(output, word, &found);
    snprintf(value, size, "%.*s", (int)(n < size ? n : size - 1), found);
}

/* Some of its own words begin so already. */
static const char *ssh_prefix(const char *words, size_t n)
{
    static const char prefix[] = "ssh: ";
    return n >= strlen(prefix) && memcmp(words, prefix, strlen(prefix)) == 0 ? "" : prefix;
}

static int judge(int status, const struct buffer *out, const struct buffer *err, struct error *e)
{
    const char *found = "";
    size_t n = last_line(out, "fail ", &found);
    if (n)
        return error_set(e, ERROR_REFUSED, "%.*s", (int)n, found);
    if (status == 0)
        return 0;
    n = last_line(err, NULL, &found);
    return error_set(e, status == SSH_FAILED ? ERROR_UNREACHABLE : ERROR_REFUSED, "%s%.*s",
                     status == SSH_FAILED ? ssh_prefix(found, n) : "", (int)(n ? n : 30),
                     n ? found : "the command failed without a word");
}

int ssh_run(const struct ssh *s, const char *const *words, const struct buffer *input, struct buffer *output,
            struct error *e)
{
    struct buffer command = {0}, err = {0};
    struct child c;
    char *text = strdup(s->command);
    int r = text ? remote_command(words, &command, e) : error_set(e, ERROR_MEMORY, "no memory for a command");
    const char *const more[] = {"-T", "--", s->host, (const char *)command.data, NULL};
    const char *argv[SSH_WORDS_MAX];
    if (r == 0)
        r = make_argv(s, text, more, argv, e);
    if (r == 0)
        r = start(argv, &c, e);
    if (r == 0) {
        converse(&c, input, output, &err);
        r = judge(wait_for(c.pid), output, &err, e);
    }
    buffer_free(&command);
    buffer_free(&err);
    free(text);
    return r;
}

/* ---------------------------------------------------------------- a tunnel that stays */

/* Away from our terminal and group. Its standard input never ends, and never says anything: a pipe that is open for reading and writing (ssh
 * closes all other descriptors). So the far command, which reads it, ends with the connection. */
static _Noreturn void become_tunnel(const char *const *argv, int out, int err)
{
    int in[2], both;
    char path[64];
    if (setsid() < 0 || pipe2(in, O_CLOEXEC) != 0)
        _exit(SSH_FAILED);
    snprintf(path, sizeof path, "/proc/self/fd/%d", in[0]);
    if ((both = open(path, O_RDWR | O_CLOEXEC)) < 0)
        _exit(SSH_FAILED);
    become(argv, both, out, err);
}

static bool is_ready(int fd)
{
    char bytes[64];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof bytes && (got = read(fd, bytes + n, sizeof bytes - n)) > 0) {
        n += (size_t)got;
        if (memmem(bytes, n, FORWARD_READY, strlen(FORWARD_READY)))
            return true;
    }
    return false;
}

static int start_tunnel(const char *const *argv, pid_t *pid, struct error *e)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    const char *found = "it ended";
    struct buffer words = {0};
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || (*pid = fork()) < 0) {
        int r = error_sys(e, errno, "cannot start %s", argv[0]);
        for (size_t i = 0; i < 2; i++) {
            close_fd(&out[i]);
            close_fd(&err[i]);
        }
        return r;
    }
    if (*pid == 0)
        become_tunnel(argv, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    int r = 0;
    if (!is_ready(out[0])) {
        while (err[0] >= 0)
            take(&err[0], &words);
        size_t n = last_line(&words, NULL, &found);
        bool taken = n && memmem(found, n, "forwarding failed", strlen("forwarding failed"));
        r = error_set(e, taken ? ERROR_BUSY : ERROR_UNREACHABLE, "%s%.*s", ssh_prefix(found, n), n ? (int)n : 8, found);
        (void)wait_for(*pid);
    }
    close_fd(&out[0]);
    close_fd(&err[0]);
    buffer_free(&words);
    return r;
}

int ssh_forward(const struct ssh *s, uint16_t port, const char *target, pid_t *pid, struct error *e)
{
    char forward[400];
    char *text = strdup(s->command);
    const char *argv[SSH_WORDS_MAX];
    snprintf(forward, sizeof forward, "127.0.0.1:%u:%s", port, target);
    static const char wait[] = "echo " FORWARD_READY "; exec cat";
    const char *const more[] = {"-T",
                                "-o",
                                "ExitOnForwardFailure=yes",
                                "-o",
                                "ServerAliveInterval=15",
                                "-o",
                                "ControlPath=none",
                                "-R",
                                forward,
                                "--",
                                s->host,
                                wait,
                                NULL};
    int r = text ? make_argv(s, text, more, argv, e) : error_set(e, ERROR_MEMORY, "no memory for a command");
    if (r == 0)
        r = start_tunnel(argv, pid, e);
    free(text);
    return r;
}
