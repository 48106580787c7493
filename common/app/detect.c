#include "common/app/detect_inside.h"
#include "common/packet/packet.h"
#include <assert.h>
#include <pthread.h>
#include <string.h>

static const char *const names[APP_COUNT] = {
    [APP_HTTP] = "http",
    [APP_HTTP2] = "http2",
    [APP_TLS] = "tls",
    [APP_DTLS] = "dtls",
    [APP_QUIC] = "quic",
    [APP_SSH] = "ssh",
    [APP_DNS] = "dns",
    [APP_MDNS] = "mdns",
    [APP_LLMNR] = "llmnr",
    [APP_NETBIOS_NS] = "netbios-ns",
    [APP_AMQP] = "amqp",
    [APP_BGP] = "bgp",
    [APP_BITTORRENT] = "bittorrent",
    [APP_CASSANDRA] = "cassandra",
    [APP_DCERPC] = "dcerpc",
    [APP_DHCP] = "dhcp",
    [APP_DHCP6] = "dhcp6",
    [APP_DIAMETER] = "diameter",
    [APP_FIX] = "fix",
    [APP_FTP] = "ftp",
    [APP_GIT] = "git",
    [APP_IMAP] = "imap",
    [APP_IRC] = "irc",
    [APP_ISAKMP] = "isakmp",
    [APP_KAFKA] = "kafka",
    [APP_KERBEROS] = "kerberos",
    [APP_LDAP] = "ldap",
    [APP_MEMCACHED] = "memcached",
    [APP_MODBUS] = "modbus",
    [APP_MONGODB] = "mongodb",
    [APP_MQTT] = "mqtt",
    [APP_MSSQL] = "mssql",
    [APP_MYSQL] = "mysql",
    [APP_NATS] = "nats",
    [APP_NFS] = "nfs",
    [APP_NNTP] = "nntp",
    [APP_NTP] = "ntp",
    [APP_ORACLE] = "oracle",
    [APP_POP3] = "pop3",
    [APP_POSTGRESQL] = "postgresql",
    [APP_RADIUS] = "radius",
    [APP_RDP] = "rdp",
    [APP_REDIS] = "redis",
    [APP_RPC] = "rpc",
    [APP_RSYNC] = "rsync",
    [APP_RTSP] = "rtsp",
    [APP_SIP] = "sip",
    [APP_SMB] = "smb",
    [APP_SMTP] = "smtp",
    [APP_SNMP] = "snmp",
    [APP_SOCKS] = "socks",
    [APP_SSDP] = "ssdp",
    [APP_STUN] = "stun",
    [APP_SYSLOG] = "syslog",
    [APP_TELNET] = "telnet",
    [APP_TFTP] = "tftp",
    [APP_VNC] = "vnc",
    [APP_WIREGUARD] = "wireguard",
    [APP_XMPP] = "xmpp",
    [APP_ZOOKEEPER] = "zookeeper",
};

const char *app_name(enum app app)
{
    return (unsigned)app < APP_COUNT ? names[app] : NULL;
}

static bool on_port(const struct detector *d, const struct detect_input *in)
{
    if (d->port[0] == 0)
        return true;
    for (unsigned i = 0; i < DETECT_PORTS && d->port[i]; i++)
        if (d->port[i] == in->responder_port || (in->proto == PROTO_UDP && d->port[i] == in->originator_port))
            return true;
    return false;
}

static enum detect_verdict match(const struct detector *d, const struct detect_input *in)
{
    size_t end = (size_t)d->at + d->len, have = in->len < end ? in->len : end;
    for (size_t i = d->at; i < have; i++)
        if ((in->data[i] ^ (uint8_t)d->bytes[i - d->at]) & (d->mask ? (uint8_t)d->mask[i - d->at] : 0xff))
            return DETECT_NO;
    if (have < end)
        return DETECT_MORE;
    return d->look ? d->look(in) : DETECT_YES;
}

/* ---------------------------------------------------------------- which rows are worth a look */

#define ROWS_MAX 128u
#define WORDS    (ROWS_MAX / 64u)

struct rows {
    uint64_t word[WORDS]; /* a bit for each row of the table */
};

/* A table by what excludes most of its rows at once: the first byte, and ports that no row names. */
struct index {
    const struct detector *table;
    struct rows by_first[256];
    struct rows without_ports;
    uint64_t named[65536 / 64]; /* ports */
};

static struct index tcp_index = {.table = detect_tcp}, udp_index = {.table = detect_udp};
static pthread_once_t indexed = PTHREAD_ONCE_INIT;

static bool can_begin(const struct detector *d, unsigned first)
{
    return !d->len || d->at || !((first ^ (uint8_t)d->bytes[0]) & (d->mask ? (uint8_t)d->mask[0] : 0xff));
}

static void add(struct rows *r, size_t row)
{
    r->word[row / 64] |= UINT64_C(1) << row % 64;
}

static void make_index(struct index *x)
{
    for (size_t row = 0; x->table[row].app != APP_UNKNOWN; row++) {
        const struct detector *d = &x->table[row];
        assert(row < ROWS_MAX);
        for (unsigned first = 0; first < 256; first++)
            if (can_begin(d, first))
                add(&x->by_first[first], row);
        if (!d->port[0])
            add(&x->without_ports, row);
        for (unsigned i = 0; i < DETECT_PORTS && d->port[i]; i++)
            x->named[d->port[i] / 64] |= UINT64_C(1) << d->port[i] % 64;
    }
}

static void make_indexes(void)
{
    make_index(&tcp_index);
    make_index(&udp_index);
}

static bool is_named(const struct index *x, uint16_t port)
{
    return x->named[port / 64] >> port % 64 & 1;
}

static struct rows candidates(const struct index *x, const struct detect_input *in)
{
    struct rows r = x->by_first[in->data[0]];
    if (!is_named(x, in->originator_port) && !is_named(x, in->responder_port))
        for (unsigned i = 0; i < WORDS; i++)
            r.word[i] &= x->without_ports.word[i];
    return r;
}

/* ---------------------------------------------------------------- looking */

enum app detect(const struct detect_input *in, bool *more)
{
    uint8_t side = in->from_originator ? SAYS_ORIGINATOR : SAYS_RESPONDER;
    bool can_grow = in->proto == PROTO_TCP && in->len < DETECT_BYTES;
    *more = can_grow && in->len == 0;
    if (in->len == 0 || (in->proto != PROTO_TCP && in->proto != PROTO_UDP))
        return APP_UNKNOWN;
    (void)pthread_once(&indexed, make_indexes);
    const struct index *x = in->proto == PROTO_TCP ? &tcp_index : &udp_index;
    struct rows r = candidates(x, in);
    for (size_t i = 0; i < WORDS; i++)
        for (uint64_t bits = r.word[i]; bits; bits &= bits - 1) {
            const struct detector *d = &x->table[i * 64 + (size_t)__builtin_ctzll(bits)];
            if (!(d->side & side) || !on_port(d, in))
                continue;
            enum detect_verdict verdict = match(d, in);
            if (verdict == DETECT_YES) {
                *more = false;
                return d->app;
            }
            *more = *more || (can_grow && verdict == DETECT_MORE);
        }
    return APP_UNKNOWN;
}
