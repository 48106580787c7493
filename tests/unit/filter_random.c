#include "tests/unit/filter_random.h"

#include <pcap/pcap.h>
/* after pcap.h, which it needs */
#include <pcap/namedb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct writer {
    struct random *r;
    struct random_filter *f;
    size_t len[3];
    bool all;
    bool outer;
    bool names; /* this machine knows names of ports */
};

__attribute__((format(printf, 3, 0))) static void append(struct writer *w, int which, const char *fmt, va_list args)
{
    size_t room = RANDOM_TEXT_MAX - w->len[which];
    int n = vsnprintf(w->f->text[which] + w->len[which], room, fmt, args);
    w->len[which] += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

__attribute__((format(printf, 2, 3))) static void say(struct writer *w, const char *fmt, ...)
{
    for (int i = 0; i < 3; i++) {
        va_list args;
        va_start(args, fmt);
        append(w, i, fmt, args);
        va_end(args);
    }
}

__attribute__((format(printf, 3, 4))) static void say_to(struct writer *w, int which, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    append(w, which, fmt, args);
    va_end(args);
}

#define ANY_OF(w, ...) PICK((w)->r, ((const char *const[]){__VA_ARGS__}))

static const char *direction(struct writer *w)
{
    return ANY_OF(w, "", "", "src ", "dst ", "src or dst ", "dst or src ", "src and dst ", "dst and src ");
}

enum value { VALUE_IP4, VALUE_IP6, VALUE_PORT, VALUE_PORT_NAME, VALUE_RANGE, VALUE_NET4, VALUE_NET6, VALUE_PROTO };

static void say_value(struct writer *w, enum value kind)
{
    struct random *r = w->r;
    switch (kind) {
    case VALUE_IP4:
        say(w, "%s", random_chance(r, 92) ? PICK(r, random_ip4) : ANY_OF(w, "10.0", "10.0.0", "192.168.1"));
        break;
    case VALUE_IP6:
        say(w, "%s", PICK(r, random_ip6));
        break;
    case VALUE_PORT:
        say(w, random_chance(r, 90) ? "%u" : "0x%x", PICK(r, random_ports));
        break;
    case VALUE_PORT_NAME:
        say(w, "%s", ANY_OF(w, "domain", "ssh", "http", "https", "\\domain"));
        break;
    case VALUE_RANGE:
        say(w, "%u-%u", PICK(r, random_ports), PICK(r, random_ports));
        break;
    case VALUE_NET4:
        say(w, "%s",
            ANY_OF(w, "10", "0", "10.0", "10.0.0", "192.168.1", "10.0.0.1", "10.0.0.0/8", "10.0.0.0/23", "192.168/16",
                   "0.0.0.0/0", "10.0.0.0 mask 255.255.0.0", "10.0 mask 255.255", "10.0.0.1/32", "128.0.0.0/1"));
        break;
    case VALUE_NET6:
        say(w, "%s", ANY_OF(w, "fe80::/10", "2001:db8::/32", "2001:db8::/48", "::/0", "::1", "fe80::1/128"));
        break;
    case VALUE_PROTO:
        say(w, "%s", ANY_OF(w, "6", "17", "\\tcp", "\\udp", "1", "58", "\\icmp", "50", "89", "\\sctp", "0x11", "112"));
        break;
    }
}

/* One value, or several in one of the ways to say so. */
static void say_values(struct writer *w, enum value kind, unsigned depth)
{
    unsigned n = random_below(w->r, 100);
    if (n < 70 || depth == 0) {
        say_value(w, kind);
    } else if (n < 78) {
        say(w, "not ");
        say_values(w, kind, depth - 1);
    } else {
        bool open = n < 90;
        say(w, open ? "(" : "");
        say_value(w, kind);
        for (unsigned i = random_below(w->r, 3) + 1; i; i--) {
            say(w, "%s", ANY_OF(w, " or ", " || ", " and ", " and not ", " or not "));
            say_value(w, kind);
        }
        say(w, open ? ")" : "");
    }
}

static void say_host(struct writer *w)
{
    bool six = random_chance(w->r, 35), net = random_chance(w->r, 35);
    const char *protocol = six ? ANY_OF(w, "", "", "ip6 ") : ANY_OF(w, "", "", "", "ip ", "ip ", "arp ", "rarp ");
    const char *side = direction(w);
    const char *type = net ? "net " : *side && random_chance(w->r, 50) ? "" : "host ";
    say(w, "%s%s%s", protocol, side, type);
    say_values(w, net ? (six ? VALUE_NET6 : VALUE_NET4) : six ? VALUE_IP6 : VALUE_IP4, 2);
}

static void say_port(struct writer *w)
{
    unsigned n = random_below(w->r, 100);
    bool named = w->names && n<10, range = n> 75;
    say(w, "%s%s%s", named ? "" : ANY_OF(w, "", "", "tcp ", "udp ", "sctp "), direction(w),
        range ? "portrange " : "port ");
    say_values(w, named ? VALUE_PORT_NAME : range ? VALUE_RANGE : VALUE_PORT, 2);
}

/* The sender is the originator of the packets of one spelling and the other end in the other. */
static void say_role(struct writer *w)
{
    bool from = random_chance(w->r, 50);
    say_to(w, RANDOM_OURS, from ? "from " : "to ");
    say_to(w, RANDOM_FROM_ORIGINATOR, from ? "src " : "dst ");
    say_to(w, RANDOM_TO_ORIGINATOR, from ? "dst " : "src ");
    unsigned n = random_below(w->r, 4);
    say(w, "%s", n == 0 ? "port " : n == 1 ? "net " : random_chance(w->r, 50) ? "host " : "");
    say_values(w, n == 0 ? VALUE_PORT : n == 1 ? VALUE_NET4 : n == 2 ? VALUE_IP4 : VALUE_IP6, 2);
}

static void say_proto(struct writer *w)
{
    if (random_chance(w->r, 25)) {
        say(w, "ether proto %s", ANY_OF(w, "\\arp", "\\ip", "\\ip6", "0x88cc", "0x0800", "\\lat", "\\rarp", "0x0600"));
        return;
    }
    say(w, "%sproto ", ANY_OF(w, "", "ip ", "ip6 "));
    say_values(w, VALUE_PROTO, 2);
}

static void say_expression(struct writer *w, unsigned depth);

/* Words that are judged by libpcap, by our decoder alone, or by the connection. */
static void say_other(struct writer *w, unsigned depth)
{
    switch (random_below(w->r, w->outer ? 9 : 16)) {
    case 0:
    case 1:
        say(w, "%s", ANY_OF(w, "vlan", "vlan 5", "vlan 100", "vlan 0", "geneve", "vxlan", "vxlan 100", "geneve 101"));
        break;
    case 2:
        say(w, "%s",
            ANY_OF(w, "tcp[tcpflags] & tcp-syn != 0", "tcp[13] & 2 = 0", "(tcp[12] & 0xf0) >> 2 > 20", "ip[8] < 64",
                   "udp[4:2] > 12", "ip6[7] = 64", "icmp[icmptype] = icmp-echo"));
        break;
    case 3:
        say(w, "%s %u", ANY_OF(w, "less", "greater", "len >", "len !="), 20 + random_below(w->r, 100));
        break;
    case 4:
        say(w, "%s",
            ANY_OF(w, "ether host 02:00:00:00:00:01", "ether dst ff:ff:ff:ff:ff:ff", "ether[0] & 1 = 0", "mpls",
                   "mpls 100"));
        break;
    case 5:
    case 6:
        say(w, "%s",
            ANY_OF(w, "ah", "proto 51", "ip6 proto 44", "ip6 proto 0", "protochain 6", "ip6 protochain 17", "stp"));
        break;
    case 7:
    case 8:
        say(w, "%s",
            ANY_OF(w, "ether proto 0x8100", "1 = 1", "2 < 1", "len = len", "ip[200] = 5", "not ether[300] = 1"));
        break;
    case 9:
    case 10:
        w->outer = true;
        say(w, "outer (");
        say_expression(w, depth ? depth - 1 : 0);
        say(w, ")");
        w->outer = false;
        break;
    case 11:
    case 12:
        say(w, "%s %s %u",
            ANY_OF(w, "packets", "bytes", "orig_packets", "resp_packets", "orig_port", "resp_port", "vlan"),
            ANY_OF(w, ">", ">=", "<", "=", "!="), random_below(w->r, 4) * (random_chance(w->r, 50) ? 1 : 40));
        break;
    case 13:
        say(w, "state %s", ANY_OF(w, "S0", "SF,REJ", "S1,OTH"));
        break;
    case 14:
        say(w, "agent %s", ANY_OF(w, "web-1", "web-*", "db?"));
        break;
    default:
        say(w, "id %x", random_below(w->r, 16));
        break;
    }
}

static void say_primitive(struct writer *w, unsigned depth)
{
    unsigned n = random_below(w->r, 100);
    if (w->all && n < 30) {
        say_other(w, depth);
    } else if (n < 50) {
        say_host(w);
    } else if (n < 70) {
        say_port(w);
    } else if (n < 80 && !w->outer) {
        say_role(w);
    } else if (n < 86) {
        say_proto(w);
    } else {
        say(w, "%s",
            ANY_OF(w, "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "pim", "esp", "vrrp",
                   "lat", "decnet", "ip multicast", "ip6 multicast", "tcp", "udp"));
    }
}

static void say_term(struct writer *w, unsigned depth)
{
    unsigned n = random_below(w->r, 100);
    if (n < 12)
        say(w, "%s", ANY_OF(w, "not ", "! ", "not not "));
    if (depth && n % 3 == 0) {
        say(w, "(");
        say_expression(w, depth - 1);
        say(w, ")");
    } else {
        say_primitive(w, depth);
    }
}

static void say_expression(struct writer *w, unsigned depth)
{
    say_term(w, depth);
    for (unsigned i = random_below(w->r, 3); i; i--) {
        say(w, "%s", ANY_OF(w, " and ", " or ", " && ", " || ", "\n  and "));
        say_term(w, depth);
    }
}

void random_filter(struct random *r, bool all, struct random_filter *f)
{
    int port, proto;
    struct writer w = {.r = r, .f = f, .all = all, .names = pcap_nametoport("domain", &port, &proto) != 0};
    memset(f, 0, sizeof *f);
    say_expression(&w, random_below(r, 6));
}
