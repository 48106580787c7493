#include "agent/ship/uplink_impl.h"

#include "common/packet/packet.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_MAX 1024u /* a host with more is known by its first ones */

static bool take(const struct ifaddrs *i, struct net_address *out)
{
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
        return false;
    const struct sockaddr_in *v4 = (const void *)i->ifa_addr;
    const struct sockaddr_in6 *v6 = (const void *)i->ifa_addr;
    *out = (struct net_address){0};
    if (i->ifa_addr->sa_family == AF_INET) {
        out->family = FAMILY_IP4;
        memcpy(out->addr, &v4->sin_addr, 4);
    } else if (i->ifa_addr->sa_family == AF_INET6) {
        out->family = FAMILY_IP6;
        memcpy(out->addr, &v6->sin6_addr, 16);
    }
    return out->family != 0;
}

struct net_address *host_addresses(uint32_t *count)
{
    struct ifaddrs *all;
    *count = 0;
    if (getifaddrs(&all) != 0)
        return NULL;
    struct net_address *out = calloc(ADDRESSES_MAX, sizeof(*out));
    for (const struct ifaddrs *i = all; out && i && *count < ADDRESSES_MAX; i = i->ifa_next)
        *count += take(i, &out[*count]);
    freeifaddrs(all);
    return out;
}
