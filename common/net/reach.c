#include "common/net/reach.h"

#include "common/net/stream.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Addresses that are nobody's (RFC 5737, RFC 3849): what is sent there would go by the default route. Nothing is sent. */
static const char *const elsewhere[] = {"192.0.2.1", "2001:db8::1"};

static bool address_towards(const char *there, char *host, size_t size)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *to = NULL;
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    if (getaddrinfo(there, "9", &hints, &to) != 0)
        return false;
    int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
                getsockname(fd, (struct sockaddr *)&own, &length) == 0 &&
                getnameinfo((struct sockaddr *)&own, length, host, (socklen_t)size, NULL, 0, NI_NUMERICHOST) == 0;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(to);
    return good;
}

static void own_host(char *host, size_t size)
{
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (address_towards(elsewhere[i], host, size))
            return;
    if (gethostname(host, size) != 0 || memchr(host, 0, size) == NULL)
        snprintf(host, size, "localhost");
}

int net_reach(const char *said, const char *listen, uint16_t port, char *out, size_t size, struct error *e)
{
    char host[256] = "";
    uint16_t own = 0;
    bool is_said = said && said[0];
    int r = net_split(is_said ? said : listen, host, &own, e);
    if (r)
        return r;
    if (!is_said && own == 0)
        own = port;
    if (!is_said && (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0))
        own_host(host, sizeof host);
    bool v6 = strchr(host, ':');
    int length = snprintf(out, size, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", own);
    return length < (int)size ? 0 : error_set(e, ERROR_LIMIT, "the address '%.80s' is too long", host);
}
