#include "tests/unit/support.h"

#include "common/base/ready.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What comes to a socket of that name ("@...": an abstract one) when NOTIFY_SOCKET says it. */
static void heard(const char *name, char *text, size_t size)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, name, strlen(name));
    if (name[0] == '@')
        at.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    ready_say();
    ssize_t n = recv(fd, text, size - 1, MSG_DONTWAIT);
    assert_true(n >= 0);
    text[n] = 0;
    close(fd);
}

static void systemd_is_told_at_a_path(void **state)
{
    (void)state;
    char folder[] = "/tmp/fleetdump-test.XXXXXX", path[64], text[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/notify", folder);
    heard(path, text, sizeof text);
    assert_string_equal(text, "READY=1");
    unlink(path);
    rmdir(folder);
}

static void systemd_is_told_at_an_abstract_socket(void **state)
{
    (void)state;
    char name[64], text[64];
    snprintf(name, sizeof name, "@fleetdump-test.%d", (int)getpid());
    heard(name, text, sizeof text);
    assert_string_equal(text, "READY=1");
}

static void without_systemd_nobody_is_told(void **state)
{
    (void)state;
    char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    unsetenv("NOTIFY_SOCKET");
    ready_say();
    setenv("NOTIFY_SOCKET", "", 1);
    ready_say();
    setenv("NOTIFY_SOCKET", "/there/is/none", 1); /* these two are logged, and no more */
    ready_say();
    setenv("NOTIFY_SOCKET", long_name, 1);
    ready_say();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systemd_is_told_at_a_path),
        cmocka_unit_test(systemd_is_told_at_an_abstract_socket),
        cmocka_unit_test(without_systemd_nobody_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
