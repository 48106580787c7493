#include "collector/cli/deploy_tunnel.h"
#include "collector/cli/home.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include "common/net/stream.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define FILE_MAX   64u
#define PORT_LEAST 20000u /* below those that kernels give away by themselves */
#define PORT_COUNT 12000u
#define TRIES      5

/* Names of agents hold no slash. */
static int path_of(const char *name, char path[HOME_PATH_MAX], struct error *e)
{
    char file[300];
    snprintf(file, sizeof file, "tunnel-%s", name);
    return home_path(file, path, e);
}

static bool read_tunnel(const char *name, struct tunnel *t)
{
    char path[HOME_PATH_MAX], *text;
    size_t length;
    int pid = 0;
    unsigned port = 0;
    if (path_of(name, path, NULL) || home_read(path, false, FILE_MAX, &text, &length, NULL))
        return false;
    bool good = sscanf(text, "%d %u", &pid, &port) == 2 && pid > 1 && port > 0 && port <= UINT16_MAX;
    free(text);
    *t = (struct tunnel){.pid = pid, .port = (uint16_t)port};
    return good;
}

/* One that stays is read as that of a tunnel that is gone. */
static void forget_file(const char *path)
{
    if (FAULT("tunnel.forget") == 0)
        (void)unlink(path);
}

static int write_tunnel(const char *name, const struct tunnel *t, struct error *e)
{
    char path[HOME_PATH_MAX], text[FILE_MAX];
    int r = path_of(name, path, e);
    if (r)
        return r;
    int n = snprintf(text, sizeof text, "%d %u\n", (int)t->pid, t->port);
    forget_file(path);
    return home_write_new(path, text, (size_t)n, e);
}

/* The process is an ssh that carries this very port: numbers of processes come again. */
static bool lives(const struct tunnel *t)
{
    char path[64], word[64], *text = NULL;
    size_t length = 0;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)t->pid);
    snprintf(word, sizeof word, "127.0.0.1:%u:", t->port);
    if (fs_read_file(AT_FDCWD, path, 65536, &text, &length, NULL))
        return false;
    bool found = memmem(text, length, word, strlen(word)) != NULL;
    free(text);
    return found;
}

static uint16_t any_port(void)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)getpid();
    return (uint16_t)(PORT_LEAST + random % PORT_COUNT);
}

/* "host:port" for ssh -R, always with the port. */
static int target_of(const char *collector, char *target, size_t size, struct error *e)
{
    char host[256];
    uint16_t port;
    int r = net_split(collector, host, &port, e);
    if (r == 0)
        snprintf(target, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    return r;
}

int tunnel_keep(const struct ssh *s, const char *name, const char *collector, struct tunnel *t, struct error *e)
{
    char target[300];
    bool known = read_tunnel(name, t);
    if (known && lives(t))
        return 0;
    int r = target_of(collector, target, sizeof target, e);
    if (r)
        return r;
    for (int i = 0; i == 0 || (r == ERROR_BUSY && i < TRIES); i++) {
        t->port = known && i == 0 ? t->port : any_port();
        r = ssh_forward(s, t->port, target, &t->pid, e);
    }
    if (r == 0 && (r = write_tunnel(name, t, e)))
        (void)kill(t->pid, SIGTERM);
    return r;
}

bool tunnel_end(const char *name)
{
    char path[HOME_PATH_MAX];
    struct tunnel t;
    bool was = read_tunnel(name, &t) && lives(&t);
    if (was)
        (void)kill(t.pid, SIGTERM);
    if (path_of(name, path, NULL) == 0)
        forget_file(path);
    return was;
}
