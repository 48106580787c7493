/* listeners_read: what the kernel says of sockets (sock_diag(7), inet_diag) and of the host's addresses. */
#include "agent/capture/listeners.h"
#include <errno.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES 32768u

/* Growing lists. */
struct found {
    struct listener *sockets;
    size_t count, room;
    uint8_t (*addresses)[16];
    uint8_t *families;
    size_t address_count;
};

/* ---------------------------------------------------------------- sockets */

static int add_socket(struct found *f, const struct listener *s, struct error *e)
{
    if (f->count == LISTENERS_MAX)
        return 0;
    if (f->count == f->room) {
        size_t room = f->room ? 2 * f->room : 64;
        struct listener *grown = reallocarray(f->sockets, room, sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "no memory for %zu listening sockets", room);
        f->sockets = grown;
        f->room = room;
    }
    f->sockets[f->count++] = *s;
    return 0;
}

static bool is_only_ip6(const struct nlmsghdr *h, const struct inet_diag_msg *m)
{
    size_t left = h->nlmsg_len - (uint32_t)NLMSG_LENGTH((int)sizeof *m);
    const uint8_t *at = (const uint8_t *)(m + 1);
    struct nlattr a;
    while (left >= sizeof a) {
        memcpy(&a, at, sizeof a);
        if (a.nla_len < sizeof a || a.nla_len > left)
            return false;
        if (a.nla_type == INET_DIAG_SKV6ONLY && a.nla_len > sizeof a)
            return at[sizeof a] != 0; /* struct nlattr is as long as NLA_HDRLEN */
        size_t whole = (a.nla_len + NLA_ALIGNTO - 1u) & ~(size_t)(NLA_ALIGNTO - 1u);
        if (whole >= left)
            return false;
        at += whole;
        left -= whole;
    }
    return false;
}

static int take_socket(struct found *f, const struct nlmsghdr *h, struct error *e)
{
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    if (h->nlmsg_len < (uint32_t)NLMSG_LENGTH((int)sizeof *m))
        return 0;
    struct listener s = {.family = m->idiag_family == AF_INET ? FAMILY_IP4 : FAMILY_IP6,
                         .port = ntohs(m->id.idiag_sport),
                         .only_ip6 = is_only_ip6(h, m)};
    memcpy(s.addr, m->id.idiag_src, m->idiag_family == AF_INET ? 4 : sizeof s.addr);
    return add_socket(f, &s, e);
}

/* The messages of one answer; *done with the last. */
static int take_answer(struct found *f, const void *data, size_t len, bool *done, struct error *e)
{
    int code = 0;
    for (const struct nlmsghdr *h = data; !code && !*done && NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
        const struct nlmsgerr *failure = NLMSG_DATA(h);
        if (h->nlmsg_type == NLMSG_ERROR)
            return error_sys(e, -failure->error, "the kernel does not say which sockets listen (sock_diag)");
        *done = h->nlmsg_type == NLMSG_DONE;
        if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
            code = take_socket(f, h, e);
    }
    return code;
}

static int ask(int fd, struct found *f, uint8_t family, struct error *e)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question = {.header = {.nlmsg_len = sizeof question,
                             .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                             .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                  .request = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1u << TCP_LISTEN}};
    union {
        struct nlmsghdr aligned;
        char bytes[ANSWER_BYTES];
    } answer;
    if (send(fd, &question, sizeof question, 0) != (ssize_t)sizeof question)
        return error_sys(e, errno, "the kernel cannot be asked which sockets listen");
    bool done = false;
    int code = 0;
    while (!code && !done) {
        ssize_t n = recv(fd, answer.bytes, sizeof answer.bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_sys(e, n < 0 ? errno : EIO, "the kernel does not say which sockets listen");
        code = take_answer(f, answer.bytes, (size_t)n, &done, e);
    }
    return code;
}

static int read_sockets(struct found *f, struct error *e)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return error_sys(e, errno, "the kernel cannot be asked which sockets listen (sock_diag)");
    int code = 0;
    for (size_t i = 0; !code && i < 2; i++)
        code = ask(fd, f, families[i], e);
    close(fd);
    return code;
}

/* ---------------------------------------------------------------- addresses */

static void add_address(struct found *f, const struct sockaddr *a)
{
    uint8_t *to = f->addresses[f->address_count];
    if (a->sa_family == AF_INET)
        memcpy(to, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
    else
        memcpy(to, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, 16);
    f->families[f->address_count++] = a->sa_family == AF_INET ? FAMILY_IP4 : FAMILY_IP6;
}

static bool is_internet(const struct ifaddrs *i)
{
    return i->ifa_addr && (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6);
}

static int read_addresses(struct found *f, struct error *e)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return error_sys(e, errno, "the addresses of this host cannot be read");
    size_t count = 0;
    for (const struct ifaddrs *i = all; i && count < LISTENERS_MAX; i = i->ifa_next)
        count += is_internet(i);
    f->addresses = calloc(count + 1, sizeof *f->addresses);
    f->families = calloc(count + 1, sizeof *f->families);
    bool room = f->addresses && f->families;
    for (const struct ifaddrs *i = all; room && i && f->address_count < count; i = i->ifa_next)
        if (is_internet(i))
            add_address(f, i->ifa_addr);
    freeifaddrs(all);
    return room ? 0 : error_set(e, ERROR_MEMORY, "no memory for %zu addresses", count);
}

int listeners_read(struct listeners **out, struct error *e)
{
    struct found f = {.count = 0};
    *out = NULL;
    int code = read_sockets(&f, e);
    if (!code)
        code = read_addresses(&f, e);
    if (!code)
        code =
            listeners_new(f.sockets, f.count, (const uint8_t(*)[16])f.addresses, f.families, f.address_count, out, e);
    free(f.sockets);
    free(f.addresses);
    free(f.families);
    return code;
}
