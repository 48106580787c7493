#include "common/base/ready.h"
#include "common/base/log.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int send_to(const struct sockaddr_un *to, socklen_t size)
{
    static const char words[] = "READY=1";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    ssize_t n = sendto(fd, words, strlen(words), MSG_NOSIGNAL, (const struct sockaddr *)to, size);
    int failed = n < 0 ? errno : 0;
    close(fd);
    return failed;
}

void ready_say(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;
    if (length == 0)
        return;
    int failed = length < sizeof to.sun_path ? 0 : ENAMETOOLONG;
    if (!failed) {
        memcpy(to.sun_path, path, length);
        if (path[0] == '@') /* an abstract one */
            to.sun_path[0] = 0;
        failed = send_to(&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    }
    if (failed)
        log_warn("cannot tell systemd, at NOTIFY_SOCKET=%s, that this has started: %s", path, strerror(failed));
}
