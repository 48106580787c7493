/*
 * detect: which application protocol a connection speaks, by the first bytes of one of its directions.
 *
 * One table (detect_table.c), one row per signature: protocol, transport, who says it, ports if it counts there alone,
 * and the bytes at a place, or a small function. A row that has ports is one whose bytes would say too little
 * elsewhere. What a row says of random bytes is no more likely than its fixed bits; rows without ports have at least 24
 * of them.
 *
 * Only the names are told here; what is said in HTTP, TLS, DNS, SSH, QUIC is read by their own readers.
 */
#ifndef FLEETDUMP_APP_DETECT_H
#define FLEETDUMP_APP_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In memory only: rows hold names. The order is that of the names in detect.c. */
enum app {
    APP_UNKNOWN,
    APP_HTTP,
    APP_HTTP2, /* in clear text, with its preface (h2c) */
    APP_TLS,
    APP_DTLS,
    APP_QUIC,
    APP_SSH,
    APP_DNS,
    APP_MDNS,
    APP_LLMNR,
    APP_NETBIOS_NS,
    APP_AMQP,
    APP_BGP,
    APP_BITTORRENT,
    APP_CASSANDRA,
    APP_DCERPC,
    APP_DHCP,
    APP_DHCP6,
    APP_DIAMETER,
    APP_FIX,
    APP_FTP,
    APP_GIT,
    APP_IMAP,
    APP_IRC,
    APP_ISAKMP,
    APP_KAFKA,
    APP_KERBEROS,
    APP_LDAP,
    APP_MEMCACHED,
    APP_MODBUS,
    APP_MONGODB,
    APP_MQTT,
    APP_MSSQL,
    APP_MYSQL,
    APP_NATS,
    APP_NFS,
    APP_NNTP,
    APP_NTP,
    APP_ORACLE,
    APP_POP3,
    APP_POSTGRESQL,
    APP_RADIUS,
    APP_RDP,
    APP_REDIS,
    APP_RPC,
    APP_RSYNC,
    APP_RTSP,
    APP_SIP,
    APP_SMB,
    APP_SMTP,
    APP_SNMP,
    APP_SOCKS,
    APP_SSDP,
    APP_STUN,
    APP_SYSLOG,
    APP_TELNET,
    APP_TFTP,
    APP_VNC,
    APP_WIREGUARD,
    APP_XMPP,
    APP_ZOOKEEPER,
    APP_COUNT
};

/* "http", "tls", ...; NULL for APP_UNKNOWN and what is none. */
const char *app_name(enum app app);

/* Never more than so many bytes of a direction are looked at (of a datagram: all, and its length counts). */
#define DETECT_BYTES 256u

struct detect_input {
    uint8_t proto; /* PROTO_TCP or PROTO_UDP (common/packet); others speak nothing that is known */
    uint16_t originator_port;
    uint16_t responder_port;
    bool from_originator; /* who says it */
    bool is_guess;        /* that is not known for sure: if it tells nothing, the other one may have said it */
    const uint8_t *data;  /* TCP: a direction from its first byte on; UDP: the payload of one datagram */
    size_t len;           /* as captured */
    size_t wire_len;      /* UDP: length of the payload on the wire, at least len */
};

/* The protocol; or APP_UNKNOWN, and *more tells whether more bytes of this direction could change that (never for
 * UDP). */
enum app detect(const struct detect_input *in, bool *more);

#endif
