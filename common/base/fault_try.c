/*
 * fault_try: what a sandboxed process must not be able to do, tried by the process itself. One line on stderr says how it went:
 * "FLEETDUMP_FAULT: sandbox.capturer: open=/etc/shadow: EACCES", or "... allowed"; after a death by SIGSYS its parent says so instead.
 */
#include "common/base/fault.h"

#ifdef FLEETDUMP_FAULTS

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS 1024

static const char *where = ""; /* behind the attempt's = */

static long try_open(void)
{
    return open(where, O_RDONLY | O_CLOEXEC);
}

static long try_list(void)
{
    return open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long try_write(void)
{
    return open(where, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long try_socket(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long try_connect(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(where)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? fd : connect(fd, (struct sockaddr *)&to, sizeof to);
}

static long try_exec(void)
{
    char name[] = "true", *const arguments[] = {name, NULL};
    return execv("/bin/true", arguments);
}

static long try_fork(void)
{
    long pid = fork();
    if (pid == 0)
        _exit(0);
    return pid;
}

static long try_ptrace(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static long try_mount(void)
{
    return mount("none", "/mnt", "tmpfs", 0, NULL);
}

static long try_user(void)
{
    return setuid(0);
}

static long try_signal(void)
{
    return kill(getppid(), SIGCONT);
}

static long try_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : munmap(page, 4096);
}

/* A packet of its own, through the socket that packets are taken from. */
static long try_inject(void)
{
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        int domain = 0;
        socklen_t len = sizeof domain;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_PACKET)
            return write(fd, frame, sizeof frame);
    }
    errno = EBADF;
    return -1;
}

static const struct {
    const char *name;
    long (*attempt)(void);
} attempts[] = {
    {"open", try_open},       {"list", try_list}, {"write", try_write},   {"socket", try_socket},
    {"connect", try_connect}, {"exec", try_exec}, {"fork", try_fork},     {"ptrace", try_ptrace},
    {"mount", try_mount},     {"user", try_user}, {"signal", try_signal}, {"code", try_code},
    {"inject", try_inject},
};

static long (*find(const char *text))(void)
{
    size_t length = strcspn(text, "=");
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        if (strlen(attempts[i].name) == length && strncmp(attempts[i].name, text, length) == 0)
            return attempts[i].attempt;
    return NULL;
}

bool fault_try_known(const char *attempt)
{
    return find(attempt) != NULL;
}

void fault_try(const char *point, const char *attempt)
{
    long (*try)(void) = find(attempt);
    const char *equals = strchr(attempt, '=');
    if (!try)
        return;
    where = equals ? equals + 1 : "";
    errno = 0;
    long result = try();
    fprintf(stderr, "FLEETDUMP_FAULT: %s: %s: %s\n", point, attempt, result < 0 ? strerrorname_np(errno) : "allowed");
}

#endif
