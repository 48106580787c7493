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

#define ROWS_MAX    128u
#define WORDS       (ROWS_MAX / 64u)
#define PORTS_TABLE 256u /* a power of 2, several times the ports that rows name */

struct rows {
    uint64_t word[WORDS]; /* a bit for each row of the table */
};

struct port_rows {
    uint16_t port; /* 0: nothing here */
    struct rows rows;
};

/* A table by what excludes most of its rows at once: the first byte, who says it, and the ports. */
struct index {
    const struct detector *table;
    bool by_prefix; /* what a function says of a first byte alone holds for all that begins so */
    struct rows by_first[256];
    struct rows by_side[SAYS_EITHER]; /* SAYS_ORIGINATOR, SAYS_RESPONDER */
    struct rows without_ports;
    struct port_rows by_port[PORTS_TABLE]; /* hashed, with linear probing */
};

static struct index tcp_index = {.table = detect_tcp, .by_prefix = true}, udp_index = {.table = detect_udp};
static pthread_once_t indexed = PTHREAD_ONCE_INIT;

/* Judged by the row itself where it compares its first byte, or its function takes what comes piece by piece. */
static bool can_begin(const struct index *x, const struct detector *d, uint8_t first)
{
    struct detect_input in = {.proto = PROTO_TCP, .data = &first, .len = 1};
    if (d->len && d->at == 0)
        return !((first ^ (uint8_t)d->bytes[0]) & (d->mask ? (uint8_t)d->mask[0] : 0xff));
    return d->len || !(x->by_prefix || d->by_prefix) || d->look(&in) != DETECT_NO;
}

static void add(struct rows *r, size_t row)
{
    r->word[row / 64] |= UINT64_C(1) << row % 64;
}

/* The port's place, or the empty one where it would stand. */
static struct port_rows *port_place(struct index *x, uint16_t port)
{
    size_t i = port * 0x9e3779b1u >> 24;
    while (x->by_port[i].port && x->by_port[i].port != port)
        i = (i + 1) % PORTS_TABLE;
    return &x->by_port[i];
}

static void make_index(struct index *x)
{
    size_t ports = 0;
    for (size_t row = 0; x->table[row].app != APP_UNKNOWN; row++) {
        const struct detector *d = &x->table[row];
        assert(row < ROWS_MAX);
        for (unsigned first = 0; first < 256; first++)
            if (can_begin(x, d, (uint8_t)first))
                add(&x->by_first[first], row);
        for (unsigned side = SAYS_ORIGINATOR; side <= SAYS_RESPONDER; side++)
            if (d->side & side)
                add(&x->by_side[side], row);
        if (!d->port[0])
            add(&x->without_ports, row);
        for (unsigned i = 0; i < DETECT_PORTS && d->port[i]; i++) {
            struct port_rows *p = port_place(x, d->port[i]);
            ports += !p->port;
            assert(ports < PORTS_TABLE);
            p->port = d->port[i];
            add(&p->rows, row);
        }
    }
}

static void make_indexes(void)
{
    make_index(&tcp_index);
    make_index(&udp_index);
}

static void either(struct rows *r, const struct rows *other)
{
    for (unsigned i = 0; i < WORDS; i++)
        r->word[i] |= other->word[i];
}

static void both(struct rows *r, const struct rows *other)
{
    for (unsigned i = 0; i < WORDS; i++)
        r->word[i] &= other->word[i];
}

/* The responder's port tells; of UDP anybody's. */
static struct rows candidates(struct index *x, const struct detect_input *in)
{
    struct rows r = x->without_ports;
    either(&r, &port_place(x, in->responder_port)->rows);
    if (in->proto == PROTO_UDP)
        either(&r, &port_place(x, in->originator_port)->rows);
    both(&r, &x->by_side[in->from_originator ? SAYS_ORIGINATOR : SAYS_RESPONDER]);
    both(&r, &x->by_first[in->data[0]]);
    return r;
}

/* ---------------------------------------------------------------- looking */

/* The first of these rows that says yes; *more: one could with more bytes. */
static enum app look(const struct index *x, const struct rows *r, const struct detect_input *in, bool *more)
{
    for (size_t i = 0; i < WORDS; i++)
        for (uint64_t bits = r->word[i]; bits; bits &= bits - 1) {
            const struct detector *d = &x->table[i * 64 + (size_t)__builtin_ctzll(bits)];
            enum detect_verdict verdict = match(d, in);
            if (verdict == DETECT_YES)
                return d->app;
            *more = *more || verdict == DETECT_MORE;
        }
    return APP_UNKNOWN;
}

/* As if the other end had said it: the rows that were not asked already. */
static enum app look_again(struct index *x, const struct rows *asked, const struct detect_input *in, bool *more)
{
    struct detect_input other = *in;
    other.from_originator = !in->from_originator;
    other.originator_port = in->responder_port;
    other.responder_port = in->originator_port;
    struct rows r = candidates(x, &other);
    for (unsigned i = 0; i < WORDS; i++)
        r.word[i] &= ~asked->word[i];
    return look(x, &r, &other, more);
}

enum app detect(const struct detect_input *in, bool *more)
{
    bool can_grow = in->proto == PROTO_TCP && in->len < DETECT_BYTES, unsure = false;
    *more = can_grow && in->len == 0;
    if (in->len == 0 || (in->proto != PROTO_TCP && in->proto != PROTO_UDP))
        return APP_UNKNOWN;
    (void)pthread_once(&indexed, make_indexes);
    struct index *x = in->proto == PROTO_TCP ? &tcp_index : &udp_index;
    struct rows r = candidates(x, in);
    enum app app = look(x, &r, in, &unsure);
    if (app == APP_UNKNOWN && in->is_guess)
        app = look_again(x, &r, in, &unsure);
    *more = app == APP_UNKNOWN && can_grow && unsure;
    return app;
}
