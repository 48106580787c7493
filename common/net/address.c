#include "common/net/stream.h"
#include "common/net/stream_impl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_SIZE 256

static int copy_host(const char *from, size_t len, char host[HOST_SIZE], const char *address, struct error *e)
{
    if (len == 0)
        return error_set(e, ERROR_USAGE, "'%s' has no address: write ADDRESS:PORT, [IPv6]:PORT or NAME:PORT", address);
    if (len >= HOST_SIZE)
        return error_set(e, ERROR_USAGE, "'%.60s...' is too long for an address", address);
    memcpy(host, from, len);
    host[len] = 0;
    return 0;
}

static int parse_port(const char *text, uint16_t *port, const char *address, struct error *e)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || n > UINT16_MAX)
        return error_set(e, ERROR_USAGE, "'%s' is no port in '%s': it must be a number up to 65535", text, address);
    *port = (uint16_t)n;
    return 0;
}

int net_split(const char *address, char host[HOST_SIZE], uint16_t *port, struct error *e)
{
    const char *colon = strchr(address, ':');
    const char *close = strchr(address, ']');
    *port = NET_PORT_DEFAULT;
    if (address[0] == '[') {
        if (!close || (close[1] && close[1] != ':'))
            return error_set(e, ERROR_USAGE, "'%s' is no address: write [IPv6]:PORT", address);
        int r = copy_host(address + 1, (size_t)(close - address - 1), host, address, e);
        return r || !close[1] ? r : parse_port(close + 2, port, address, e);
    }
    if (!colon || strchr(colon + 1, ':')) /* none, or an IPv6 address without brackets */
        return copy_host(address, strlen(address), host, address, e);
    int r = copy_host(address, (size_t)(colon - address), host, address, e);
    return r ? r : parse_port(colon + 1, port, address, e);
}

/* One who comes by IPv4 to a socket of IPv6 (RFC 4291, 2.5.5.2: "::ffff:10.0.0.1") is who he is by IPv4. */
static void unmap(struct sockaddr_storage *a)
{
    struct sockaddr_in6 v6;
    memcpy(&v6, a, sizeof v6);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6.sin6_port};
    if (a->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
    memcpy(a, &v4, sizeof v4);
}

bool net_peer(const uv_tcp_t *tcp, struct sockaddr_storage *out)
{
    int len = sizeof *out;
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)out, &len) != 0)
        return false;
    unmap(out);
    return true;
}

const char *net_format(const struct sockaddr *address, char buf[STREAM_NAME_SIZE])
{
    char text[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    if (address->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
        snprintf(buf, STREAM_NAME_SIZE, "[%s]:%u", text, ntohs(v6->sin6_port));
    } else {
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
        snprintf(buf, STREAM_NAME_SIZE, "%s:%u", text, ntohs(v4->sin_port));
    }
    return buf;
}
