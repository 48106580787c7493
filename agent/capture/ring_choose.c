/* ring_choose: the interfaces of this host, by what getifaddrs and sysfs tell of them, and a socket that tells of changes. */
#include "agent/capture/ring.h"
#include "common/base/buffer.h"
#include "common/base/glob.h"
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAMES_MAX 1000u /* bytes of names in a message */

static bool has_address(const struct ifaddrs *all, const char *name)
{
    for (const struct ifaddrs *a = all; a; a = a->ifa_next)
        if (strcmp(a->ifa_name, name) == 0 && a->ifa_addr &&
            (a->ifa_addr->sa_family == AF_INET || a->ifa_addr->sa_family == AF_INET6))
            return true;
    return false;
}

static bool has_master(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/class/net/%s/master", name);
    return access(path, F_OK) == 0;
}

/* An interface stands once per address in the list, as packet socket first. */
static bool is_entry(const struct ifaddrs *a)
{
    return a->ifa_addr && a->ifa_addr->sa_family == AF_PACKET;
}

static bool is_default(const struct ifaddrs *all, const struct ifaddrs *a)
{
    return (a->ifa_flags & IFF_UP) && !(a->ifa_flags & IFF_LOOPBACK) && has_address(all, a->ifa_name) &&
           !has_master(a->ifa_name);
}

static bool is_meant(const char *const *globs, size_t count, const struct ifaddrs *a)
{
    for (size_t i = 0; (a->ifa_flags & IFF_UP) && i < count; i++)
        if (glob_match(globs[i], a->ifa_name, strlen(a->ifa_name)))
            return true;
    return false;
}

static bool asks_any(const char *const *globs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(globs[i], "any") == 0)
            return true;
    return false;
}

static void list_names(const struct ifaddrs *all, struct buffer *names)
{
    for (const struct ifaddrs *a = all; a; a = a->ifa_next)
        if (is_entry(a))
            buffer_printf(names, "%s%s%s", names->len ? ", " : "", a->ifa_name, a->ifa_flags & IFF_UP ? "" : " (down)");
    buffer_u8(names, 0);
}

int ring_none(const char *const *globs, size_t count, struct error *e)
{
    struct ifaddrs *all;
    struct buffer names = {.limit = NAMES_MAX}, asked = {.limit = NAMES_MAX};
    if (getifaddrs(&all) != 0)
        return error_sys(e, errno, "cannot list the interfaces");
    list_names(all, &names);
    freeifaddrs(all);
    for (size_t i = 0; i < count; i++)
        buffer_printf(&asked, "%s'%s'", i ? ", " : "", globs[i]);
    const char *there = names.failed ? "too many to name" : (const char *)names.data;
    int code;
    if (count)
        code = error_set(e, ERROR_NOT_FOUND, "no interface that is up fits %.*s; there are: %s", (int)asked.len,
                         (const char *)asked.data, there);
    else
        code = error_set(e, ERROR_NOT_FOUND,
                         "no interface is up, has an address, and is neither loopback nor part of another one; "
                         "there are: %s",
                         there);
    buffer_free(&names);
    buffer_free(&asked);
    return code;
}

static int add(struct ring_choice **chosen, size_t *count, const char *name, struct error *e)
{
    struct ring_choice *grown = reallocarray(*chosen, *count + 1, sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for a list of interfaces");
    *chosen = grown;
    struct ring_choice *c = &grown[(*count)++];
    snprintf(c->name, sizeof c->name, "%s", name);
    c->index = if_nametoindex(name);
    return 0;
}

int ring_choose(const char *const *globs, size_t count, struct ring_choice **out, size_t *chosen, struct error *e)
{
    struct ifaddrs *all;
    *out = NULL;
    *chosen = 0;
    if (getifaddrs(&all) != 0)
        return error_sys(e, errno, "cannot list the interfaces");
    int code = asks_any(globs, count) ? add(out, chosen, "any", e) : 0;
    for (const struct ifaddrs *a = all; a && !code; a = a->ifa_next)
        if (is_entry(a) && (count ? is_meant(globs, count, a) : is_default(all, a)))
            code = add(out, chosen, a->ifa_name, e);
    freeifaddrs(all);
    if (code) {
        free(*out);
        *out = NULL;
        *chosen = 0;
    }
    return code;
}

/* ---------------------------------------------------------------- changes */

int ring_watch_open(struct error *e)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int sys = errno;
    if (fd >= 0)
        close(fd);
    return error_sys(e, sys, "cannot listen for changes of interfaces");
}

/* Messages that got lost say as much as others: something changed. */
void ring_watch_take(int fd)
{
    char message[8192];
    ssize_t n;
    do
        n = recv(fd, message, sizeof message, 0);
    while (n > 0 || (n < 0 && (errno == ENOBUFS || errno == EINTR)));
}
