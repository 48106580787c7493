#include "agent/process.h"

#include "common/base/error.h"
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void keep_only(int fd)
{
    unsigned first = STDERR_FILENO + 1;
    if (fd >= (int)first) {
        if (fd > (int)first)
            (void)close_range(first, (unsigned)fd - 1, 0);
        first = (unsigned)fd + 1;
    }
    (void)close_range(first, ~0u, 0);
}

void process_end_with_parent(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
}

pid_t process_fork(int keep_fd, const char *title)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_NAME, title);
    keep_only(keep_fd);
    process_end_with_parent();
    if (getppid() != parent)
        _exit(EXIT_FAILED);
    return 0;
}
