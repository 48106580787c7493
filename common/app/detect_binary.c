/* detect: protocols of lengths and numbers. */
#include "common/app/detect_look.h"
#include "common/app/dns.h"
#include "common/app/tls.h"
#include <string.h>

/* The first n bytes are needed. */
#define NEED(in, n)                                                                                                    \
    if ((in)->len < (n))                                                                                               \
    return DETECT_MORE

static enum detect_verdict yes_if(bool yes)
{
    return yes ? DETECT_YES : DETECT_NO;
}

static struct bytes from(const struct detect_input *in, size_t at)
{
    struct bytes b = bytes_of(in->data, in->len);
    bytes_skip(&b, at);
    return b;
}

static uint16_t be16(const struct detect_input *in, size_t at)
{
    struct bytes b = from(in, at);
    return bytes_be16(&b);
}

static uint32_t be32(const struct detect_input *in, size_t at)
{
    struct bytes b = from(in, at);
    return bytes_be32(&b);
}

static uint32_t le32(const struct detect_input *in, size_t at)
{
    struct bytes b = from(in, at);
    return bytes_le32(&b);
}

static bool printable(const struct detect_input *in, size_t at, size_t n)
{
    for (size_t i = at; i < at + n && i < in->len; i++)
        if (in->data[i] < ' ' || in->data[i] > '~')
            return false;
    return true;
}

/* ------------------------------------------------------------------ TLS, HTTP/2, QUIC */

/* RFC 9113, 3.4 and 6.5: the server's preface, a SETTINGS frame that is no answer. */
enum detect_verdict look_http2_settings(const struct detect_input *in)
{
    return yes_if(in->data[2] % 6 == 0);
}

enum detect_verdict look_tls(const struct detect_input *in)
{
    NEED(in, 9);
    return yes_if(tls_begins(in->data, in->len) && in->data[6] == 0);
}

/* Of a server that refuses at once. */
enum detect_verdict look_tls_alert(const struct detect_input *in)
{
    NEED(in, 7);
    return yes_if(in->data[2] <= 4 && (in->data[5] == 1 || in->data[5] == 2));
}

/* A hello in the shape of SSL 2 (RFC 5246, E.2) that offers SSL 3 or later. */
enum detect_verdict look_ssl2(const struct detect_input *in)
{
    NEED(in, 11);
    unsigned length = be16(in, 0) & 0x7fff, ciphers = be16(in, 5), session = be16(in, 7), challenge = be16(in, 9);
    return yes_if(in->data[4] <= 4 && ciphers && ciphers % 3 == 0 && challenge >= 16 && challenge <= 32 &&
                  length == 9 + ciphers + session + challenge);
}

/* RFC 9000, 17.2; RFC 9369; drafts, Facebook's, and Google's before. A connection's id has at most 20 bytes. */
enum detect_verdict look_quic(const struct detect_input *in)
{
    NEED(in, 7);
    uint32_t version = be32(in, 1);
    unsigned type = in->data[0] >> 4 & 3;
    bool draft = (version >= 0xff000016 && version <= 0xff000022) || version >> 8 == 0xfaceb0;
    bool google = (version >> 8 == 0x513034 || version >> 8 == 0x513035 || version >> 8 == 0x543035) &&
                  (version & 0xff) >= '0' && (version & 0xff) <= '9'; /* "Q04x", "Q05x", "T05x" */
    if (google)
        return DETECT_YES;
    if (in->data[5] > 20)
        return DETECT_NO;
    return yes_if(((version == 1 || draft) && type == 0) || (version == 0x6b3343cf && type == 1));
}

/* RFC 6347: a hello, or the request to say it again, in the first epoch */
enum detect_verdict look_dtls(const struct detect_input *in)
{
    NEED(in, 14);
    unsigned minor = in->data[2], type = in->data[13];
    return yes_if((minor == 0xff || minor == 0xfd || minor == 0xfc) && (type == 1 || type == 2 || type == 3));
}

/* ------------------------------------------------------------------ DNS */

static bool dns_header(const struct bytes *from)
{
    struct bytes b = *from;
    bytes_skip(&b, 2);
    uint16_t flags = bytes_be16(&b), questions = bytes_be16(&b), answers = bytes_be16(&b);
    uint16_t authority = bytes_be16(&b), additional = bytes_be16(&b);
    return !b.bad && (flags >> 11 & 0xf) <= DNS_UPDATE && questions + answers + authority > 0 && questions <= 64 &&
           answers <= 1024 && authority <= 1024 && additional <= 1024;
}

/* Behind the length that TCP puts in front */
enum detect_verdict look_dns_stream(const struct detect_input *in)
{
    NEED(in, 2 + DNS_HEADER);
    struct bytes b = from(in, 2);
    return yes_if(be16(in, 0) >= DNS_HEADER && dns_header(&b));
}

enum detect_verdict look_dns_port(const struct detect_input *in)
{
    struct bytes b = from(in, 0);
    return yes_if(dns_header(&b));
}

enum detect_verdict look_dns_any(const struct detect_input *in)
{
    return yes_if(in->len == in->wire_len && dns_plausible(in->data, in->len));
}

/* ------------------------------------------------------------------ time, addresses, names of users */

/* RFC 8489, 5: two zero bits, the length of what follows; the cookie was compared. */
enum detect_verdict look_stun(const struct detect_input *in)
{
    NEED(in, 20);
    unsigned length = be16(in, 2);
    return yes_if(in->data[0] < 0x40 && length % 4 == 0 && (in->wire_len == 0 || length + 20u == in->wire_len));
}

enum detect_verdict look_ntp(const struct detect_input *in)
{
    unsigned version = in->data[0] >> 3 & 7, mode = in->data[0] & 7;
    return yes_if(version >= 1 && version <= 4 && mode && in->wire_len >= (mode >= 6 ? 8u : 48u));
}

enum detect_verdict look_dhcp6(const struct detect_input *in)
{
    return yes_if(in->data[0] >= 1 && in->data[0] <= 36 && in->wire_len >= 4);
}

/* The content of a BER value of this tag, of which b is put behind the length. */
static bool ber(struct bytes *b, uint8_t tag, uint32_t *length)
{
    if (bytes_u8(b) != tag)
        return false;
    *length = bytes_u8(b);
    if (*length > 0x80) {
        unsigned more = *length & 0x7f;
        for (*length = 0; more && more <= 4; more--)
            *length = *length << 8 | bytes_u8(b);
        if (more)
            return false;
    }
    return !b->bad;
}

/* SEQUENCE { INTEGER of 1 to `most` bytes, ... }, b behind it; the integer's last byte */
static bool ber_number(struct bytes *b, uint32_t most, uint8_t *last)
{
    uint32_t outer, length;
    if (!ber(b, 0x30, &outer) || !ber(b, 0x02, &length) || length == 0 || length > most || outer <= length + 2)
        return false;
    const uint8_t *number = bytes_take(b, length);
    if (!number)
        return false;
    *last = number[length - 1];
    return true;
}

enum detect_verdict look_snmp(const struct detect_input *in)
{
    struct bytes b = from(in, 0);
    uint8_t version;
    return yes_if(ber_number(&b, 1, &version) && (version <= 1 || version == 3));
}

/* RFC 4511: a message's number, then an operation, at best BindRequest { version INTEGER, name OCTET STRING, ... } */
static enum detect_verdict ldap(const struct detect_input *in, bool bind_only)
{
    struct bytes b = from(in, 0);
    uint8_t id, tag;
    uint32_t length;
    if (!ber_number(&b, 4, &id))
        return b.bad ? DETECT_MORE : DETECT_NO;
    if (!bind_only) {
        tag = bytes_u8(&b);
        return b.bad ? DETECT_MORE : yes_if(tag >= 0x42 && tag <= 0x78);
    }
    bool good =
        ber(&b, 0x60, &length) && ber(&b, 0x02, &length) && length == 1 && bytes_u8(&b) <= 3 && bytes_u8(&b) == 0x04;
    return b.bad ? DETECT_MORE : yes_if(good);
}

enum detect_verdict look_ldap(const struct detect_input *in)
{
    return ldap(in, false);
}

enum detect_verdict look_ldap_bind(const struct detect_input *in)
{
    return ldap(in, true);
}

/* RFC 4120, 5.10: [APPLICATION 10] to 15, 30: SEQUENCE */
static enum detect_verdict kerberos(struct bytes b)
{
    uint8_t tag = bytes_u8(&b);
    uint32_t length;
    struct bytes outer = b;
    if ((tag < 0x6a || tag > 0x6f) && tag != 0x7e)
        return DETECT_NO;
    outer.p--;
    return yes_if(ber(&outer, tag, &length) && bytes_u8(&outer) == 0x30);
}

enum detect_verdict look_kerberos(const struct detect_input *in)
{
    return kerberos(from(in, 0));
}

enum detect_verdict look_kerberos_stream(const struct detect_input *in)
{
    NEED(in, 11);
    return be32(in, 0) < 1u << 16 ? kerberos(from(in, 4)) : DETECT_NO;
}

/* RFC 2865, 3 */
enum detect_verdict look_radius(const struct detect_input *in)
{
    NEED(in, 20);
    unsigned code = in->data[0], length = be16(in, 2);
    bool known = (code >= 1 && code <= 5) || (code >= 11 && code <= 13) || (code >= 40 && code <= 45);
    return yes_if(known && length >= 20 && length <= in->wire_len);
}

/* ------------------------------------------------------------------ tunnels */

static enum detect_verdict isakmp(const struct detect_input *in, size_t at)
{
    if (in->len < at + 28)
        return DETECT_NO;
    unsigned version = in->data[at + 17];
    return yes_if((version == 0x10 || version == 0x20) && be32(in, at + 24) == in->wire_len - at);
}

enum detect_verdict look_isakmp(const struct detect_input *in)
{
    return isakmp(in, 0);
}

/* RFC 3948: behind four zeros, which no ESP begins with */
enum detect_verdict look_isakmp_nat(const struct detect_input *in)
{
    return isakmp(in, 4);
}

enum detect_verdict look_wireguard(const struct detect_input *in)
{
    return yes_if((in->data[0] == 1 && in->wire_len == 148) || (in->data[0] == 2 && in->wire_len == 92));
}

/* RFC 1928, 3: version, methods, and nothing behind them */
enum detect_verdict look_socks(const struct detect_input *in)
{
    NEED(in, 2);
    if (in->data[0] == 4)
        return yes_if(in->data[1] == 1 || in->data[1] == 2);
    return yes_if(in->data[0] == 5 && in->data[1] && in->len == 2u + in->data[1]);
}

/* ------------------------------------------------------------------ databases and queues */

/* A packet 0 of protocol 10: version as text with a 0 byte, then number of the connection */
enum detect_verdict look_mysql(const struct detect_input *in)
{
    NEED(in, 6);
    size_t end = in->len < 64 ? in->len : 64;
    if (in->data[2] || in->data[5] < '1' || in->data[5] > '9')
        return DETECT_NO;
    const uint8_t *zero = memchr(in->data + 5, 0, end - 5);
    if (!zero)
        return printable(in, 5, end - 5) && end < 64 ? DETECT_MORE : DETECT_NO;
    return yes_if(zero - in->data >= 8 && printable(in, 5, (size_t)(zero - in->data) - 5));
}

/* What is said instead: a packet 0 with an error number below 5000 and its words */
enum detect_verdict look_mysql_error(const struct detect_input *in)
{
    NEED(in, 12);
    return yes_if(in->data[2] == 0 && (in->data[5] | in->data[6] << 8) >= 1000 &&
                  (in->data[5] | in->data[6] << 8) < 5000 && printable(in, 7, 5));
}

/* A startup message of version 3, or a request for TLS, GSSAPI, or to cancel */
enum detect_verdict look_postgresql(const struct detect_input *in)
{
    NEED(in, 8);
    uint32_t length = be32(in, 0), code = be32(in, 4);
    if (length == 8)
        return yes_if(code == 80877103 || code == 80877104);
    if (length == 16)
        return yes_if(code == 80877102);
    if (length < 9 || length > 10000 || code != 3u << 16)
        return DETECT_NO;
    NEED(in, 13);
    return yes_if(printable(in, 8, 4));
}

/* OP_MSG, OP_QUERY, OP_COMPRESSED; a client's answers nothing, which some say with -1. */
enum detect_verdict look_mongodb(const struct detect_input *in)
{
    NEED(in, 16);
    uint32_t length = le32(in, 0), answers = le32(in, 8), operation = le32(in, 12);
    return yes_if(length >= 16 && length <= 48u << 20 && (answers == 0 || answers == UINT32_MAX) &&
                  (operation == 2013 || operation == 2004 || operation == 2012));
}

/* Length, request's number and version, correlation, client's name */
static enum detect_verdict kafka(const struct detect_input *in, unsigned first, unsigned last)
{
    NEED(in, 14);
    uint32_t length = be32(in, 0);
    unsigned request = be16(in, 4), version = be16(in, 6), name = be16(in, 12);
    if (length < 10 || length > 16u << 20 || request < first || request > last || version > 20)
        return DETECT_NO;
    return yes_if(name == 0xffff || (name && name <= 255 && name + 10u <= length && printable(in, 14, name)));
}

/* ApiVersions, which clients begin with */
enum detect_verdict look_kafka(const struct detect_input *in)
{
    return in->len >= 8 && be16(in, 6) > 5 ? DETECT_NO : kafka(in, 18, 18);
}

enum detect_verdict look_kafka_port(const struct detect_input *in)
{
    return kafka(in, 0, 100);
}

/* Remaining length, then the protocol's name */
enum detect_verdict look_mqtt(const struct detect_input *in)
{
    size_t at = 1;
    while (at < 4 && at < in->len && in->data[at] & 0x80)
        at++;
    at++;
    NEED(in, at + 8);
    return yes_if(memcmp(in->data + at, "\0\4MQTT", 6) == 0 || memcmp(in->data + at, "\0\6MQIsdp", 8) == 0);
}

/* An OPTIONS request: version, flags, stream, nothing behind it */
enum detect_verdict look_cassandra_options(const struct detect_input *in)
{
    NEED(in, 9);
    return yes_if(in->data[0] >= 3 && in->data[0] <= 5 && (in->data[1] & 0xe0) == 0);
}

/* The length of the password; the rest was compared. */
enum detect_verdict look_zookeeper(const struct detect_input *in)
{
    size_t at = in->from_originator ? 28 : 20;
    NEED(in, at + 4);
    return yes_if(be32(in, at) == 16);
}

/* Magic of a request, operation, key's length, extras, a type of 0; body not shorter than both */
enum detect_verdict look_memcached_binary(const struct detect_input *in)
{
    NEED(in, 24);
    return yes_if(in->data[1] < 0x60 && in->data[5] == 0 && be32(in, 8) >= (uint32_t)be16(in, 2) + in->data[4] &&
                  be16(in, 2) <= 250);
}

/* ------------------------------------------------------------------ desktops, files, routers */

/* TPKT, then a connection request of X.224 that names a user, or asks for kinds of security, or comes to RDP's port */
enum detect_verdict look_rdp(const struct detect_input *in)
{
    static const char cookie[] = "Cookie: mstshash=";
    NEED(in, 11);
    unsigned length = be16(in, 2);
    if (in->data[5] != 0xe0 || in->data[4] + 5u != length || be16(in, 6) != 0)
        return DETECT_NO;
    if (in->responder_port == 3389)
        return DETECT_YES;
    NEED(in, length < DETECT_BYTES ? length : DETECT_BYTES);
    if (length >= 11 + sizeof cookie && memcmp(in->data + 11, cookie, sizeof cookie - 1) == 0)
        return DETECT_YES;
    return yes_if(length >= 19 && length < DETECT_BYTES && in->data[length - 8] == 1 && in->data[length - 6] == 8 &&
                  in->data[length - 5] == 0);
}

/* RFC 4271, 4.1 and 4.2: an OPEN, whose length is that of a message */
enum detect_verdict look_bgp(const struct detect_input *in)
{
    NEED(in, 19);
    return yes_if(in->data[18] == 1 && be16(in, 16) >= 29 && be16(in, 16) <= 4096);
}

/* RFC 854: `count` orders about options in a row */
static enum detect_verdict telnet(const struct detect_input *in, unsigned count)
{
    for (size_t i = 0; i < count * 3u && i < in->len; i++) {
        uint8_t c = in->data[i];
        if ((i % 3 == 0 && c != 0xff) || (i % 3 == 1 && (c < 0xfb || c > 0xfe)) || (i % 3 == 2 && c > 49 && c != 0xff))
            return DETECT_NO;
    }
    NEED(in, count * 3u);
    return DETECT_YES;
}

enum detect_verdict look_telnet(const struct detect_input *in)
{
    return telnet(in, 3);
}

enum detect_verdict look_telnet_port(const struct detect_input *in)
{
    return telnet(in, 1);
}

/* RFC 5531, 9: a call, version 2, of a program that Sun numbered */
static enum detect_verdict rpc(const struct detect_input *in, size_t at, uint32_t first, uint32_t last)
{
    NEED(in, at + 16);
    uint32_t program = be32(in, at + 12);
    return yes_if(be32(in, at + 4) == 0 && be32(in, at + 8) == 2 && program >= first && program <= last);
}

#define PROGRAM_FIRST 100000u
#define PROGRAM_NFS   100003u
#define PROGRAM_LAST  100500u

/* Behind the mark of a record, which is the last fragment and no longer than a request is */
static bool marked(const struct detect_input *in)
{
    return in->len < 4 || (in->data[0] == 0x80 && be32(in, 0) - 0x80000000u < 4u << 20);
}

enum detect_verdict look_rpc_stream(const struct detect_input *in)
{
    return marked(in) ? rpc(in, 4, PROGRAM_FIRST, PROGRAM_LAST) : DETECT_NO;
}

enum detect_verdict look_rpc(const struct detect_input *in)
{
    return rpc(in, 0, PROGRAM_FIRST, PROGRAM_LAST);
}

enum detect_verdict look_nfs_stream(const struct detect_input *in)
{
    return marked(in) ? rpc(in, 4, PROGRAM_NFS, PROGRAM_NFS) : DETECT_NO;
}

enum detect_verdict look_nfs(const struct detect_input *in)
{
    return rpc(in, 0, PROGRAM_NFS, PROGRAM_NFS);
}

/* Protocol 0, a short length, a unit, a function */
enum detect_verdict look_modbus(const struct detect_input *in)
{
    NEED(in, 8);
    return yes_if(be16(in, 2) == 0 && be16(in, 4) >= 2 && be16(in, 4) <= 254);
}
