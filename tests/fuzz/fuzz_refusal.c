/*
 * What a shipper that was taken over may leave for doctor, who prints it on a terminal.
 */
#include "agent/ship/refusal.h"
#include "common/base/utf8.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char path[] = "/dev/shm/fleetdump-fuzz.XXXXXX";
    struct refusal r;
    if (!mkdtemp(path))
        abort();
    int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dirfd < 0 ? -1 : openat(dirfd, "refused-data", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || (len && write(fd, data, len) != (ssize_t)len))
        abort();
    close(fd);
    bool there = refusal_read(dirfd, "data", &r);
    if (there && (!r.text[0] || strlen(r.text) >= sizeof r.text || len > REFUSAL_BYTES))
        abort();
    for (size_t i = 0, n; there && r.text[i]; i += n)
        if ((n = utf8_printable(r.text + i, strlen(r.text + i))) == 0)
            abort();
    if (unlinkat(dirfd, "refused-data", 0))
        abort();
    close(dirfd);
    (void)rmdir(path);
    return 0;
}
