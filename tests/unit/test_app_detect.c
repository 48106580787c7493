/*
 * detect: each signature knows what it is for, with what comes from the side that says it, on its ports; nearly the same bytes are not
 * taken for it; where a direction has said too little yet, more is asked for, and only then; random bytes are nothing.
 */
#include "common/app/detect.h"
#include "common/packet/packet.h"
#include "tests/unit/support.h"

#include <string.h>

#define ORIGINATOR true
#define RESPONDER  false
#define ANY        40000

struct sample {
    uint8_t proto;
    bool from_originator;
    uint16_t port;   /* the responder's */
    const char *app; /* NULL: nothing */
    const char *data;
    size_t len;
};

#define T(side, port, app, text)                                                                                       \
    {                                                                                                                  \
        PROTO_TCP, side, port, app, text, sizeof(text) - 1                                                             \
    }
#define U(side, port, app, text)                                                                                       \
    {                                                                                                                  \
        PROTO_UDP, side, port, app, text, sizeof(text) - 1                                                             \
    }
#define FF8 "\xff\xff\xff\xff\xff\xff\xff\xff"
#define Z8  "\0\0\0\0\0\0\0\0"
#define Z16 Z8 Z8
#define Z40 Z16 Z16 Z8

static const struct sample samples[] = {
    T(ORIGINATOR, ANY, "http", "GET /"),
    T(ORIGINATOR, ANY, "http", "POST /x HTTP/1.0\r\n"),
    T(ORIGINATOR, ANY, "http", "BREW /pot?strong HTTP/1.1\r\n"),
    T(ORIGINATOR, ANY, NULL, "BREW /pot strong\r\n"),
    T(ORIGINATOR, ANY, NULL, "BREW pot HTTP/1.1\r\n"),
    T(ORIGINATOR, ANY, "http", "GET http://web.example/"),
    T(ORIGINATOR, ANY, "http", "OPTIONS * HTTP/1.1\r\n"),
    T(ORIGINATOR, ANY, "http", "CONNECT web.example:443 HTTP/1.1\r\n"),
    T(ORIGINATOR, ANY, NULL, "GETS /x HTTP/2.0\r\n"),
    T(ORIGINATOR, ANY, NULL, "get / HTTP/1.0\r\n"),
    T(ORIGINATOR, ANY, NULL, "GET x HTTP/1.0\r\n"),
    T(ORIGINATOR, ANY, NULL, "CONNECT \r\n"),
    T(ORIGINATOR, ANY, NULL, "OPTIONS * SOAP/1.1\r\n"),
    T(RESPONDER, ANY, NULL, "GET / HTTP/1.0\r\n"),
    T(RESPONDER, ANY, "http", "HTTP/1.1 200 OK\r\n"),
    T(ORIGINATOR, ANY, NULL, "HTTP/1.1 200 OK\r\n"),
    T(RESPONDER, ANY, NULL, "HTTP/2.1 200 OK\r\n"),
    T(ORIGINATOR, ANY, "http2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    T(ORIGINATOR, ANY, NULL, "PRI * HTTP/2.0\r\n\r\nSM\r\nx\n"),
    T(RESPONDER, ANY, "http2", "\0\0\x12\4\0\0\0\0\0"),
    T(RESPONDER, ANY, NULL, "\0\0\x13\4\0\0\0\0\0"),
    T(RESPONDER, ANY, NULL, "\0\0\x12\4\1\0\0\0\0"),

    T(ORIGINATOR, ANY, "tls", "\x16\3\1\2\0\1\0\1\xfc\3\3"),
    T(RESPONDER, ANY, "tls", "\x16\3\3\0\x7a\2\0\0\x76\3\3"),
    T(ORIGINATOR, ANY, NULL, "\x16\3\1\2\0\3\0\1\xfc\3\3"),
    T(ORIGINATOR, ANY, NULL, "\x16\3\1\2\0\1\1\1\xfc\3\3"),
    T(ORIGINATOR, ANY, NULL, "\x16\3\5\2\0\1\0\1\xfc\3\3"),
    T(RESPONDER, ANY, "tls", "\x15\3\3\0\2\2\x28"),
    T(RESPONDER, ANY, NULL, "\x15\3\3\0\3\2\x28"),
    T(RESPONDER, ANY, NULL, "\x15\3\3\0\2\3\x28"),
    T(ORIGINATOR, ANY, "tls", "\x80\x2e\1\3\1\0\x15\0\0\0\x10" Z16),
    T(ORIGINATOR, ANY, NULL, "\x80\x2e\1\3\1\0\x14\0\0\0\x11" Z16),
    T(ORIGINATOR, ANY, NULL, "\x80\x2f\1\3\1\0\x15\0\0\0\x10" Z16),
    T(ORIGINATOR, ANY, "ssh", "SSH-2.0-x\r\n"),
    T(RESPONDER, ANY, "ssh", "SSH-1.99-x\r\n"),
    T(RESPONDER, ANY, NULL, "SSH-3.0-x\r\n"),

    T(ORIGINATOR, 53, "dns", "\0\x1d\x12\x34\1\0\0\1\0\0\0\0\0\0\3www"),
    T(RESPONDER, 53, "dns", "\0\x1d\x12\x34\x81\x80\0\1\0\1\0\0\0\0\3www"),
    T(ORIGINATOR, 53, NULL, "\0\x0b\x12\x34\1\0\0\1\0\0\0\0\0\0\3www"),
    T(ORIGINATOR, 53, NULL, "\0\x1d\x12\x34\x71\0\0\1\0\0\0\0\0\0\3www"),
    T(ORIGINATOR, 54, NULL, "\0\x1d\x12\x34\1\0\0\1\0\0\0\0\0\0\3www"),
    T(ORIGINATOR, 5353, "mdns", "\0\x1d\x12\x34\1\0\0\1\0\0\0\0\0\0\3www"),
    T(ORIGINATOR, 5355, "llmnr", "\0\x1d\x12\x34\1\0\0\1\0\0\0\0\0\0\3www"),
    U(ORIGINATOR, 53, "dns", "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\0\0\1"),
    U(ORIGINATOR, 53, NULL, "\x12\x34\1\0\0\0\0\0\0\0\0\0\3www\0\0\1"),
    U(ORIGINATOR, 5353, "mdns", "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\0\0\1"),
    U(RESPONDER, 5355, "llmnr", "\x12\x34\x81\0\0\1\0\0\0\0\0\0\3www\0\0\1"),
    U(ORIGINATOR, 137, "netbios-ns", "\x12\x34\1\x10\0\1\0\0\0\0\0\0\x20 CKAAAA"),
    U(ORIGINATOR, ANY, "dns", "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\0\0\1\0\1"),
    U(ORIGINATOR, ANY, NULL, "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\0\0\1\0\1x"),
    U(ORIGINATOR, ANY, NULL, "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\0\0\1\0\5"),

    U(ORIGINATOR, ANY, "quic", "\xc3\0\0\0\1\x08" Z8),
    U(ORIGINATOR, ANY, "quic", "\xd3\x6b\x33\x43\xcf\x08" Z8),
    U(ORIGINATOR, ANY, "quic", "\xcf\xff\0\0\x1d\x08" Z8),
    U(ORIGINATOR, ANY, "quic", "\xc3Q046\x50" Z8),
    U(ORIGINATOR, ANY, "quic", "\xc3\xfa\xce\xb0\1\x08" Z8),
    U(ORIGINATOR, ANY, NULL, "\xd3\0\0\0\1\x08" Z8), /* 0-RTT */
    U(ORIGINATOR, ANY, NULL, "\xc3\0\0\0\1\x15" Z8),
    U(ORIGINATOR, ANY, NULL, "\x83\0\0\0\1\x08" Z8),
    U(ORIGINATOR, ANY, NULL, "\xc3\0\0\0\2\x08" Z8),
    U(ORIGINATOR, ANY, "dtls", "\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x50\1"),
    U(ORIGINATOR, ANY, NULL, "\x16\xfe\xfb\0\0\0\0\0\0\0\0\0\x50\1"),
    U(ORIGINATOR, ANY, NULL, "\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x50\4"),

    T(ORIGINATOR, ANY, "amqp", "AMQP\0\0\x09\1"),
    T(ORIGINATOR, ANY, NULL, "AMQPX"),
    T(ORIGINATOR, ANY, "bgp", FF8 FF8 "\0\x1d\1\4"),
    T(ORIGINATOR, ANY, NULL, FF8 FF8 "\0\x1c\1\4"),
    T(ORIGINATOR, ANY, NULL, FF8 FF8 "\0\x1d\2\4"),
    T(ORIGINATOR, ANY, "bittorrent", "\023BitTorrent protocol"),
    T(ORIGINATOR, ANY, NULL, "\023BitTorrent Protocol"),
    U(RESPONDER, ANY, "bittorrent", "d1:rd2:id20:01234567890123456789e"),
    U(ORIGINATOR, ANY, "bittorrent", "d1:ad2:id20:01234567890123456789e"),
    T(ORIGINATOR, ANY, "cassandra", "\4\0\0\1\5\0\0\0\0"),
    T(ORIGINATOR, ANY, "cassandra", "\4\0\0\1\1\0\0\0\x16\0\1\0\013CQL_VERSION\0\0053.0.0"),
    T(ORIGINATOR, ANY, NULL, "\6\0\0\1\5\0\0\0\0"),
    T(ORIGINATOR, ANY, "dcerpc", "\5\0\013\3\x10\0\0\0\x48\0"),
    T(ORIGINATOR, ANY, NULL, "\5\0\014\3\x10\0\0\0\x48\0"),
    T(ORIGINATOR, 3868, "diameter", "\1\0\0\xc8\x80\0\1\1\0\0\0\0"),
    T(ORIGINATOR, 3868, NULL, "\1\0\0\xc8\x80\0\1\2\0\0\0\0"),
    T(ORIGINATOR, ANY, "fix", "8=FIX.4.2"),
    T(RESPONDER, 21, "ftp", "220 welcome\r\n"),
    T(RESPONDER, ANY, "ftp", "220 ProFTPD\r\n"),
    T(RESPONDER, ANY, NULL, "220 welcome\r\nFTP"),
    T(ORIGINATOR, 21, "ftp", "USER anonymous"),
    T(ORIGINATOR, ANY, "git", "0032git-upload-pack /x"),
    T(ORIGINATOR, ANY, NULL, "0032get-upload-pack /x"),
    T(ORIGINATOR, ANY, NULL, "003xgit-upload-pack /x"),
    T(RESPONDER, ANY, "imap", "* OK [CAPABILITY"),
    T(RESPONDER, ANY, "imap", "* PREAUTH hello"),
    T(RESPONDER, ANY, "imap", "* BYE too many"),
    T(RESPONDER, ANY, NULL, "* NO [CAPABILITY"),
    T(ORIGINATOR, ANY, "irc", "NICK ann\r\n"),
    T(ORIGINATOR, ANY, "irc", "CAP LS 302\r\n"),
    T(ORIGINATOR, 6667, "irc", "PASS x\r\n"),
    T(ORIGINATOR, 6667, "irc", "USER ann 0 * :ann\r\n"),
    T(RESPONDER, 6667, "irc", ":irc.example NOTICE"),
    T(RESPONDER, ANY, NULL, ":irc.example NOTICE"),
    T(ORIGINATOR, ANY, "kafka", "\0\0\0\x1d\0\x12\0\3\0\0\0\1\0\7rdkafka\0"),
    T(ORIGINATOR, ANY, NULL, "\0\0\0\x1d\0\x13\0\3\0\0\0\1\0\7rdkafka\0"),
    T(ORIGINATOR, 9092, "kafka", "\0\0\0\x1d\0\3\0\3\0\0\0\1\0\7rdkafka\0"),
    T(ORIGINATOR, 9092, NULL, "\0\0\0\x1d\0\3\0\3\0\0\0\1\0\7rdk\1fka\0"),
    T(ORIGINATOR, 9092, NULL, "\0\0\0\x05\0\3\0\3\0\0\0\1\0\7rdkafka\0"),
    T(ORIGINATOR, 88, "kerberos", "\0\0\0\xe7\x6a\x81\xe4\x30\x81\xe1\xa1"),
    T(ORIGINATOR, 88, NULL, "\0\0\0\xe7\x6a\x81\xe4\x31\x81\xe1\xa1"),
    T(ORIGINATOR, 88, NULL, "\0\0\0\xe7\x60\x81\xe4\x30\x81\xe1\xa1"),
    U(RESPONDER, 88, "kerberos", "\x6b\x81\xe4\x30\x81\xe1\xa1"),
    T(ORIGINATOR, ANY, "ldap", "\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0"),
    T(ORIGINATOR, ANY, "ldap", "\x30\x84\0\0\0\x0c\2\1\1\x60\x84\0\0\0\7\2\1\3\4\0\x80\0"),
    T(ORIGINATOR, ANY, NULL, "\x30\x0c\2\1\1\x61\7\2\1\3\4\0\x80\0"),
    T(ORIGINATOR, ANY, NULL, "\x30\x0c\2\1\1\x60\7\2\1\4\4\0\x80\0"),
    T(ORIGINATOR, 389, "ldap", "\x30\x1d\2\1\1\x77\x18\x80\x16"),
    T(ORIGINATOR, 389, NULL, "\x30\x1d\2\1\1\x02\x18\x80\x16"),
    T(ORIGINATOR, 389, NULL, "\x30\x1d\2\5\1\1\1\1\1\x77\x18\x80\x16"),
    U(ORIGINATOR, 389, "ldap", "\x30\x1d\2\1\1\x63\x18\4\0"),
    T(ORIGINATOR, 11211, "memcached", "get x\r\n"),
    T(RESPONDER, 11211, "memcached", "VALUE x 0 5\r\n"),
    T(ORIGINATOR, ANY, NULL, "get x\r\n"),
    T(ORIGINATOR, 11211, "memcached", "\x80\0\0\3\0\0\0\0\0\0\0\3" Z8 "\0\0\0\0"),
    T(ORIGINATOR, 11211, NULL, "\x80\0\0\3\0\0\0\0\0\0\0\2" Z8 "\0\0\0\0"),
    T(ORIGINATOR, 502, "modbus", "\0\1\0\0\0\6\1\3\0\0\0\1"),
    T(ORIGINATOR, 502, NULL, "\0\1\0\1\0\6\1\3\0\0\0\1"),
    T(ORIGINATOR, ANY, "mongodb", "\x3a\0\0\0\1\0\0\0\0\0\0\0\xd4\7\0\0"),
    T(ORIGINATOR, ANY, "mongodb", "\x3a\0\0\0\1\0\0\0\0\0\0\0\xdd\7\0\0"),
    T(ORIGINATOR, ANY, NULL, "\x3a\0\0\0\1\0\0\0\1\0\0\0\xdd\7\0\0"),
    T(ORIGINATOR, ANY, "mongodb", "\x49\0\0\0\1\0\0\0\xff\xff\xff\xff\xd4\7\0\0"),
    T(ORIGINATOR, ANY, NULL, "\x3a\0\0\0\1\0\0\0\0\0\0\0\xde\7\0\0"),
    T(ORIGINATOR, ANY, "mqtt", "\x10\x10\0\4MQTT\4\2"),
    T(ORIGINATOR, ANY, "mqtt", "\x10\x90\1\0\6MQIsdp\3\2"),
    T(ORIGINATOR, ANY, NULL, "\x10\x10\0\4MQTX\4\2\1\1"),
    T(ORIGINATOR, ANY, "mssql", "\x12\1\0\x2f\0\0\1\0\0\0\x1a\0\6\1"),
    T(ORIGINATOR, ANY, NULL, "\x12\1\0\x2f\0\0\1\0\0\0\x1a\0\7\1"),
    T(RESPONDER, ANY, "mysql",
      "\x4a\0\0\0\x0a"
      "8.0.33\0\1\0\0\0"),
    T(RESPONDER, ANY, NULL,
      "\x4a\0\0\1\x0a"
      "8.0.33\0\1\0\0\0"),
    T(RESPONDER, ANY, NULL,
      "\x4a\0\0\0\x0a"
      "8.0\1.33\0\1\0\0\0"),
    T(RESPONDER, ANY, NULL,
      "\x4a\0\0\0\x0a"
      "x.0.33\0\1\0\0\0"),
    T(RESPONDER, 3306, "mysql", "\x45\0\0\0\xff\x6a\4Host 'x' is"),
    T(RESPONDER, 3306, NULL, "\x45\0\0\0\xff\x6a\0Host 'x' is"),
    T(RESPONDER, ANY, "nats", "INFO {\"server_id\""),
    T(RESPONDER, 119, "nntp", "200 welcome"),
    T(RESPONDER, 119, "nntp", "201 welcome, to read"),
    T(ORIGINATOR, ANY, "nfs", "\x80\0\0\x28\1\2\3\4\0\0\0\0\0\0\0\2\0\1\x86\xa3"),
    T(ORIGINATOR, ANY, "rpc", "\x80\0\0\x28\1\2\3\4\0\0\0\0\0\0\0\2\0\1\x86\xa0"),
    T(ORIGINATOR, ANY, NULL, "\x80\0\0\x28\1\2\3\4\0\0\0\0\0\0\0\3\0\1\x86\xa0"),
    T(ORIGINATOR, ANY, NULL, "\0\0\0\x28\1\2\3\4\0\0\0\0\0\0\0\2\0\1\x86\xa0"),
    U(ORIGINATOR, ANY, "nfs", "\1\2\3\4\0\0\0\0\0\0\0\2\0\1\x86\xa3"),
    U(ORIGINATOR, ANY, "rpc", "\1\2\3\4\0\0\0\0\0\0\0\2\0\1\x86\xa5"),
    U(ORIGINATOR, ANY, NULL, "\1\2\3\4\0\0\0\0\0\0\0\2\0\2\x86\xa5"),
    T(ORIGINATOR, 1521, "oracle", "\0\x50\0\0\1\0\0\0\1\x36\1\x2c (DESCRIPTION=(CONNECT"),
    T(RESPONDER, ANY, "pop3", "+OK POP3 ready\r\n"),
    T(RESPONDER, 110, "pop3", "+OK hello\r\n"),
    T(RESPONDER, ANY, NULL, "+OK\r\n"),
    T(ORIGINATOR, ANY, "postgresql", "\0\0\0\x08\4\xd2\x16\x2f"),
    T(ORIGINATOR, ANY, "postgresql", "\0\0\0\x29\0\3\0\0user\0"),
    T(ORIGINATOR, ANY, "postgresql", "\0\0\0\x10\4\xd2\x16\x2e" Z8),
    T(ORIGINATOR, ANY, NULL, "\0\0\0\x29\0\3\0\0us\1r\0"),
    T(ORIGINATOR, ANY, NULL, "\0\0\0\x29\0\4\0\0user\0"),
    T(ORIGINATOR, ANY, "rdp", "\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0"),
    T(ORIGINATOR, ANY, "rdp", "\3\0\0\x21\x1c\xe0\0\0\0\0\0Cookie: mstshash=ann\r\n"),
    T(ORIGINATOR, 3389, "rdp", "\3\0\0\x0b\6\xe0\0\0\0\0\0"),
    T(ORIGINATOR, 102, NULL, "\3\0\0\x16\x11\xe0\0\0\0\1\0\xc0\1\x0a\xc1\2\1\0\xc2\2\1\2"),
    T(ORIGINATOR, ANY, "redis", "*1\r\n$4\r\nPING\r\n"),
    T(ORIGINATOR, ANY, NULL, "*1\r\n:4\r\nPING\r\n"),
    T(ORIGINATOR, ANY, NULL, "*\r\n$4\r\nPING\r\n"),
    T(RESPONDER, ANY, "rsync", "@RSYNCD: 31.0\n"),
    T(ORIGINATOR, ANY, "rtsp", "DESCRIBE rtsp://x/ RTSP/1.0\r\n"),
    T(ORIGINATOR, ANY, "rtsp", "OPTIONS * RTSP/1.0\r\n"),
    T(RESPONDER, ANY, "rtsp", "RTSP/1.0 200 OK\r\n"),
    T(ORIGINATOR, ANY, "sip", "INVITE sip:ann@x SIP/2.0\r\n"),
    T(RESPONDER, ANY, "sip", "SIP/2.0 200 OK\r\n"),
    U(ORIGINATOR, ANY, "sip", "REGISTER sip:x SIP/2.0\r\n"),
    U(RESPONDER, ANY, "sip", "SIP/2.0 200 OK\r\n"),
    U(ORIGINATOR, ANY, NULL, "REGISTER http:x SIP/2.0\r\n"),
    T(ORIGINATOR, ANY, "smb", "\0\0\0\x45\xffSMB"),
    T(RESPONDER, ANY, "smb", "\0\0\0\x45\xfeSMB"),
    T(RESPONDER, ANY, NULL, "\0\0\0\x45\xeeSMB"),
    T(ORIGINATOR, 139, "smb", "\x81\0\0\x44\x20 CKFDENECFDEFFCFGEFFCCACACACACACA"),
    T(RESPONDER, ANY, "smtp", "220 mail.example ESMTP\r\n"),
    T(RESPONDER, 25, "smtp", "220 mail.example\r\n"),
    T(ORIGINATOR, ANY, "smtp", "EHLO x\r\n"),
    T(ORIGINATOR, ANY, "smtp", "HELO x\r\n"),
    T(ORIGINATOR, 1080, "socks", "\5\2\0\2"),
    T(ORIGINATOR, 1080, NULL, "\5\2\0\2x"),
    T(ORIGINATOR, 1080, "socks", "\4\1\0\x50\1\2\3\4"),
    T(ORIGINATOR, ANY, "stun", "\0\1\0\0\x21\x12\xa4\x42 01234567890"),
    U(ORIGINATOR, ANY, "stun",
      "\0\1\0\0\x21\x12\xa4\x42"
      "012345678901"),
    U(ORIGINATOR, ANY, NULL,
      "\0\1\0\4\x21\x12\xa4\x42"
      "012345678901"),
    U(ORIGINATOR, ANY, NULL,
      "\x40\1\0\0\x21\x12\xa4\x42"
      "012345678901"),
    T(ORIGINATOR, 514, "syslog", "<34>Oct 11"),
    T(ORIGINATOR, 601, "syslog", "83 <34>1 2026"),
    T(ORIGINATOR, 514, NULL, "83<34>1 2026"),
    U(ORIGINATOR, 514, "syslog", "<191>x"),
    U(ORIGINATOR, 514, NULL, "<1914>x"),
    U(ORIGINATOR, 514, NULL, "<>x"),
    T(RESPONDER, ANY, "telnet", "\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23"),
    T(RESPONDER, 23, "telnet", "\xff\xfd\x18"),
    T(RESPONDER, 23, NULL, "\xff\xfa\x18"),
    T(RESPONDER, ANY, NULL, "\xff\xfd\x18\xff\xfd\x20\xff\xfd\x80"),
    T(RESPONDER, ANY, "vnc", "RFB 003.008\n"),
    T(ORIGINATOR, ANY, "xmpp", "<?xml version='1.0'?><stream:stream to='x'"),
    T(ORIGINATOR, ANY, "xmpp", "<stream:stream to='x'"),
    T(ORIGINATOR, 2181, "zookeeper", "\0\0\0\x2d\0\0\0\0" Z16 "\0\0\0\0\0\0\0\x10"),
    T(RESPONDER, 2181, "zookeeper", "\0\0\0\x25\0\0\0\0\0\0\x27\x10" Z8 "\0\0\0\x10"),
    T(ORIGINATOR, 2181, NULL, "\0\0\0\x2d\0\0\0\0" Z16 "\0\0\0\0\0\0\0\x11"),

    U(ORIGINATOR, 547, "dhcp6", "\1\1\2\3"),
    U(ORIGINATOR, 547, NULL, "\0\1\2\3"),
    U(ORIGINATOR, 500, "isakmp", Z16 "\x21\x20\x22\x08\0\0\0\0\0\0\0\x1c"),
    U(ORIGINATOR, 500, NULL, Z16 "\x21\x20\x22\x08\0\0\0\0\0\0\0\x1d"),
    U(ORIGINATOR, 500, NULL, Z16 "\x21\x30\x22\x08\0\0\0\0\0\0\0\x1c"),
    U(ORIGINATOR, 4500, "isakmp", "\0\0\0\0" Z16 "\x21\x20\x22\x08\0\0\0\0\0\0\0\x1c"),
    U(ORIGINATOR, 123, "ntp", "\x23" Z40 "\0\0\0\0\0\0\0"),
    U(ORIGINATOR, 123, NULL, "\x23" Z40 "\0\0\0\0\0\0"),
    U(ORIGINATOR, 123, NULL, "\x2b" Z40 "\0\0\0\0\0\0\0"),
    U(ORIGINATOR, 1812, "radius", "\1\7\0\x14" Z16),
    U(ORIGINATOR, 1812, NULL, "\1\7\0\x15" Z16),
    U(ORIGINATOR, 1812, NULL, "\6\7\0\x14" Z16),
    U(ORIGINATOR, 161, "snmp", "\x30\x26\2\1\1\4\6public"),
    U(ORIGINATOR, 161, NULL, "\x30\x26\2\1\2\4\6public"),
    U(ORIGINATOR, 161, NULL, "\x30\x26\2\2\1\1\4\6public"),
    U(ORIGINATOR, 1900, "ssdp", "M-SEARCH * HTTP/1.1\r\n"),
    U(ORIGINATOR, 1900, "ssdp", "NOTIFY * HTTP/1.1\r\n"),
    U(RESPONDER, 1900, "ssdp", "HTTP/1.1 200 OK\r\n"),
    U(ORIGINATOR, 69, "tftp", "\0\1boot.img\0OCTET\0"),
    U(ORIGINATOR, 69, "tftp", "\0\2boot.img\0netascii\0"),
    U(ORIGINATOR, 69, NULL, "\0\1boot.img\0octal\0"),
    U(ORIGINATOR, 69, NULL, "\0\3boot.img\0octet\0"),
    U(ORIGINATOR, ANY, NULL, "\1\0\0\0" Z40), /* of another length than WireGuard's */
};

static struct detect_input input_of(const struct sample *s, size_t len)
{
    return (struct detect_input){.proto = s->proto,
                                 .originator_port = 50000,
                                 .responder_port = s->port,
                                 .from_originator = s->from_originator,
                                 .data = (const uint8_t *)s->data,
                                 .len = len,
                                 .wire_len = s->proto == PROTO_UDP ? s->len : 0};
}

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        struct detect_input in = input_of(s, s->len);
        bool more;
        const char *name = app_name(detect(&in, &more));
        if (!name != !s->app || (name && strcmp(name, s->app) != 0))
            fail_msg("sample %zu (\"%.20s\") is %s, not %s", i, s->data, name ? name : "nothing",
                     s->app ? s->app : "nothing");
        assert_false(name && more);
    }
}

/* Every application is found in some sample, but for those that tests below build. */
static void test_all_are_shown(void **state)
{
    (void)state;
    for (enum app app = APP_UNKNOWN + 1; app < APP_COUNT; app++) {
        bool shown = app == APP_DHCP || app == APP_WIREGUARD;
        for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
            shown = shown || (samples[i].app && strcmp(samples[i].app, app_name(app)) == 0);
        if (!shown)
            fail_msg("no sample shows %s", app_name(app));
    }
}

/* A direction of TCP is not given up while what it said so far could become what it becomes. */
static void test_beginnings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        for (size_t len = 0; samples[i].app && len < samples[i].len; len++) {
            struct detect_input in = input_of(&samples[i], len);
            bool more;
            enum app app = detect(&in, &more);
            if (samples[i].proto == PROTO_UDP)
                assert_false(more);
            else if (app == APP_UNKNOWN && !more)
                fail_msg("sample %zu (%s) is given up after %zu bytes", i, samples[i].app, len);
        }
}

/* Who is the client may be a guess: what makes sense only of the other end is found as well, with the ports that it has then. */
static void test_guesses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        struct detect_input in = input_of(s, s->len);
        bool more;
        enum app app = detect(&in, &more);
        if (app == APP_UNKNOWN)
            continue;
        in.from_originator = !in.from_originator;
        in.originator_port = s->port;
        in.responder_port = 50000;
        in.is_guess = true;
        const char *name = app_name(detect(&in, &more));
        if (!name || strcmp(name, app_name(app)) != 0)
            fail_msg("sample %zu is %s, not %s, from the other end", i, name ? name : "nothing", app_name(app));
    }
}

static void test_enough(void **state)
{
    uint8_t data[DETECT_BYTES];
    struct detect_input in = {
        .proto = PROTO_TCP, .responder_port = 80, .from_originator = true, .data = data, .len = sizeof data};
    bool more;
    (void)state;
    memset(data, ' ', sizeof data);
    memcpy(data, "<?xml ", 6);
    assert_int_equal(detect(&in, &more), APP_UNKNOWN);
    assert_false(more);
    in.len--;
    assert_int_equal(detect(&in, &more), APP_UNKNOWN);
    assert_true(more);
    in.proto = PROTO_SCTP;
    assert_int_equal(detect(&in, &more), APP_UNKNOWN);
    assert_false(more);
}

static void test_long_datagrams(void **state)
{
    uint8_t data[300] = {0};
    struct detect_input in = {
        .proto = PROTO_UDP, .responder_port = 67, .from_originator = true, .data = data, .len = 300, .wire_len = 300};
    bool more;
    (void)state;
    memcpy(data + 236, "\x63\x82\x53\x63", 4);
    assert_int_equal(detect(&in, &more), APP_DHCP);
    data[236] = 0;
    assert_int_equal(detect(&in, &more), APP_UNKNOWN);
    data[0] = 1;
    in.len = in.wire_len = 148;
    assert_int_equal(detect(&in, &more), APP_WIREGUARD);
    data[0] = 2;
    assert_int_equal(detect(&in, &more), APP_UNKNOWN);
    in.len = in.wire_len = 92;
    assert_int_equal(detect(&in, &more), APP_WIREGUARD);
}

/* A million random beginnings on a port that says nothing. */
static void test_random(void **state)
{
    uint64_t seed = 88172645463325252u;
    (void)state;
    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t data[6];
        for (size_t j = 0; j < sizeof data / sizeof *data; j++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            data[j] = seed;
        }
        struct detect_input in = {.proto = i & 1 ? PROTO_TCP : PROTO_UDP,
                                  .originator_port = 50000,
                                  .responder_port = ANY,
                                  .from_originator = i & 2,
                                  .data = (const uint8_t *)data,
                                  .len = sizeof data,
                                  .wire_len = sizeof data};
        bool more;
        assert_int_equal(detect(&in, &more), APP_UNKNOWN);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_null(app_name(APP_UNKNOWN));
    assert_null(app_name(APP_COUNT));
    assert_string_equal(app_name(APP_TLS), "tls");
    for (enum app app = APP_UNKNOWN + 1; app < APP_COUNT; app++) {
        assert_non_null(app_name(app));
        for (enum app other = APP_UNKNOWN + 1; other < app; other++)
            assert_string_not_equal(app_name(app), app_name(other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples), cmocka_unit_test(test_all_are_shown), cmocka_unit_test(test_beginnings),
        cmocka_unit_test(test_guesses), cmocka_unit_test(test_enough),        cmocka_unit_test(test_long_datagrams),
        cmocka_unit_test(test_random),  cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
