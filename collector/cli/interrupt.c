#include "collector/cli/interrupt.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#define TERM_COUNTS 1000 /* nobody sits there to be asked */

static int ends[2] = {-1, -1}; /* of a pipe: signals write, loops wait */
static volatile sig_atomic_t count;

static void on_signal(int number)
{
    int saved = errno;
    count = count + (number == SIGTERM ? TERM_COUNTS : 1);
    if (write(ends[1], "", 1) < 0) /* full: it is readable anyway */
        errno = saved;
    errno = saved;
}

int interrupt_watch(struct error *e)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    struct sigaction ours = {.sa_handler = on_signal}, old;
    sigemptyset(&ours.sa_mask);
    if (ends[0] < 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return error_sys(e, errno, "cannot make a pipe");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(numbers[i], &ours, NULL);
    return 0;
}

unsigned interrupt_count(void)
{
    char bytes[64];
    while (ends[0] >= 0 && read(ends[0], bytes, sizeof bytes) > 0)
        ;
    return (unsigned)count;
}

int interrupt_fd(void)
{
    return ends[0];
}

bool interrupt_wait(unsigned timeout_ms, int fd)
{
    struct pollfd fds[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    return poll(fds, 2, (int)timeout_ms) != 0; /* interrupted: a signal came */
}
