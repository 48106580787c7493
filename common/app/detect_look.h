/* Signatures that are more than bytes at a place; detect_table.c says where they count. Private to detect. */
#ifndef FLEETDUMP_APP_DETECT_LOOK_H
#define FLEETDUMP_APP_DETECT_LOOK_H

#include "common/app/detect_inside.h"

/* detect_text.c: protocols of lines */
detect_look look_http_request, look_sip_request, look_rtsp_request, look_smtp_greeting, look_ftp_greeting,
    look_pop3_greeting, look_redis, look_syslog, look_git, look_xmpp, look_memcached, look_oracle, look_tftp;

/* detect_binary.c: protocols of lengths and numbers */
detect_look look_http2_settings, look_tls, look_ssl2, look_tls_alert, look_dns_stream, look_dns_port, look_dns_any,
    look_quic, look_dtls, look_stun, look_ntp, look_dhcp6, look_snmp, look_radius, look_isakmp, look_isakmp_nat,
    look_wireguard, look_kerberos, look_kerberos_stream, look_ldap, look_ldap_bind, look_mysql, look_mysql_error,
    look_postgresql, look_mongodb, look_rdp, look_kafka, look_kafka_port, look_mqtt, look_bgp, look_telnet,
    look_telnet_port, look_cassandra_options, look_rpc_stream, look_rpc, look_nfs_stream, look_nfs, look_zookeeper,
    look_socks, look_modbus, look_memcached_binary;

#endif
