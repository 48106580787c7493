/*
 * The columns of the table flow: the reference of what a row says. Names with .0 and .1 are of the two endpoints.
 */
#include "common/rows/column_names.h"
#include "common/rows/flow_row.h"

#include <strings.h>

static const char *const state_names[] = {
    [FLOW_STATE_S0] = "S0",       [FLOW_STATE_S1] = "S1",     [FLOW_STATE_SF] = "SF",
    [FLOW_STATE_REJ] = "REJ",     [FLOW_STATE_S2] = "S2",     [FLOW_STATE_S3] = "S3",
    [FLOW_STATE_RSTO] = "RSTO",   [FLOW_STATE_RSTR] = "RSTR", [FLOW_STATE_RSTOS0] = "RSTOS0",
    [FLOW_STATE_RSTRH] = "RSTRH", [FLOW_STATE_SH] = "SH",     [FLOW_STATE_SHR] = "SHR",
    [FLOW_STATE_OTH] = "OTH",
};
static const char *const originator_by_names[] = {
    [ORIGINATOR_UNKNOWN] = "unknown",       [ORIGINATOR_SYN] = "syn",
    [ORIGINATOR_LISTENING] = "listening",   [ORIGINATOR_KNOWN_PORT] = "known-port",
    [ORIGINATOR_LOWER_PORT] = "lower-port", [ORIGINATOR_FIRST_SEEN] = "first-seen",
};
/* As in RFC 5102, 5.11.3 flowEndReason. */
static const char *const end_names[] = {
    [FLOW_GOES_ON] = "ongoing",          [FLOW_END_IDLE] = "idle-timeout", [FLOW_END_ACTIVE] = "active-timeout",
    [FLOW_END_DETECTED] = "end-of-flow", [FLOW_END_FORCED] = "forced-end", [FLOW_END_RESOURCES] = "lack-of-resources",
};
static const char *const family_names[] = {
    [FAMILY_NONE] = "none",
    [FAMILY_LINK] = "link",
    [FAMILY_IP4] = "ip4",
    [FAMILY_IP6] = "ip6",
};

#define NAME_OF(names, value) ((value) < sizeof(names) / sizeof(*(names)) ? (names)[value] : NULL)

const char *flow_state_name(uint64_t value)
{
    return NAME_OF(state_names, value);
}

bool flow_state_parse(const char *text, size_t len, uint64_t *value)
{
    for (uint64_t i = 0; i < sizeof(state_names) / sizeof(*state_names); i++) {
        const char *name = state_names[i];
        if (name && strncasecmp(name, text, len) == 0 && name[len] == 0) {
            *value = i;
            return true;
        }
    }
    return false;
}

const char *originator_by_name(uint64_t value)
{
    return NAME_OF(originator_by_names, value);
}

const char *flow_end_name(uint64_t value)
{
    return NAME_OF(end_names, value);
}

static const char *family_name(uint64_t value)
{
    return NAME_OF(family_names, value);
}

static const char *tunnel_name(uint64_t value)
{
    return value <= TUNNEL_GENEVE ? packet_tunnel_name((enum packet_tunnel)value) : NULL;
}

#define AT(member) .size = sizeof(((struct flow_row *)0)->member), .offset = offsetof(struct flow_row, member)

static const struct column columns[] = {
    /* The key: the same in all rows of a flow, and always known */
    {FLOW_ADDR_0, "addr.0", COLUMN_ADDRESS, AT(key.addr[0]), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "address: IP, or the link address where there is no IP"},
    {FLOW_ADDR_1, "addr.1", COLUMN_ADDRESS, AT(key.addr[1]), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "address: IP, or the link address where there is no IP"},
    {FLOW_PORT_0, "port.0", COLUMN_UINT, AT(key.port[0]), UNIT_NONE, MERGE_KEY, CODEC_AUTO,
     .help = "port of TCP, UDP or SCTP"},
    {FLOW_PORT_1, "port.1", COLUMN_UINT, AT(key.port[1]), UNIT_NONE, MERGE_KEY, CODEC_AUTO,
     .help = "port of TCP, UDP or SCTP"},
    {FLOW_INTERFACE, "interface_index", COLUMN_UINT, AT(key.interface), UNIT_NONE, MERGE_KEY, CODEC_AUTO,
     .help = "interface, as an index of the chunk's interfaces"},
    {FLOW_TUNNEL_ID, "tunnel_id", COLUMN_UINT, AT(key.tunnel_id), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "VNI of VXLAN or GENEVE, key of GRE"},
    {FLOW_VLAN_0, "vlan", COLUMN_UINT, AT(key.vlan[0]), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "VLAN id, of the outer tag"},
    {FLOW_VLAN_1, "inner_vlan", COLUMN_UINT, AT(key.vlan[1]), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "VLAN id of the inner tag"},
    {FLOW_ETHERTYPE, "ethertype", COLUMN_UINT, AT(key.ethertype), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "ethertype of the innermost payload"},
    {FLOW_FAMILY, "family", COLUMN_UINT, AT(key.family), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .value_name = family_name, .help = "kind of the addresses: ip4, ip6, link, none"},
    {FLOW_PROTO, "proto", COLUMN_UINT, AT(key.proto), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "protocol above IP: tcp, udp, icmp, ...; else what the ethertype says: arp, lldp, ..."},
    {FLOW_TUNNEL, "tunnel", COLUMN_UINT, AT(key.tunnel), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .value_name = tunnel_name, .help = "innermost tunnel that the packets came in"},
    {FLOW_HAS_PORTS, "has_ports", COLUMN_UINT, AT(key.has_ports), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY, .most = 1,
     .help = "1 if the ports were read from a transport header"},
    {FLOW_ID, "id", COLUMN_UINT, AT(flow_id), UNIT_NONE, MERGE_KEY, CODEC_MIXED, .order = FLOW_START,
     .help = "names this flow of this stream; 16 hex digits"},

    {FLOW_START, "time", COLUMN_UINT, AT(start_ns), UNIT_TIME_NS, MERGE_STICKY, CODEC_DELTA, .below = FLOW_FIRST,
     .help = "when the flow started: its first packet"},
    {FLOW_FIRST, "first", COLUMN_UINT, AT(first_ns), UNIT_TIME_NS, MERGE_MIN, CODEC_DELTA,
     .help = "first packet in the time asked for"},
    {FLOW_LAST, "last", COLUMN_UINT, AT(last_ns), UNIT_TIME_NS, MERGE_MAX, CODEC_DELTA, .above = FLOW_FIRST,
     .help = "last packet in the time asked for"},

    /* Per endpoint: what it sent */
    {FLOW_PACKETS_0, "packets.0", COLUMN_UINT, AT(packets[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "packets, as seen (GRO and TSO show several as one)"},
    {FLOW_PACKETS_1, "packets.1", COLUMN_UINT, AT(packets[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "packets, as seen (GRO and TSO show several as one)"},
    {FLOW_BYTES_0, "bytes.0", COLUMN_UINT, AT(bytes[0]), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "bytes on the wire, link header included"},
    {FLOW_BYTES_1, "bytes.1", COLUMN_UINT, AT(bytes[1]), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "bytes on the wire, link header included"},
    {FLOW_PAYLOAD_0, "payload.0", COLUMN_UINT, AT(payload[0]), UNIT_BYTES, MERGE_SUM, CODEC_AUTO, .below = FLOW_BYTES_0,
     .help = "bytes of transport payload, as headers claim; of IP payload where there is no transport"},
    {FLOW_PAYLOAD_1, "payload.1", COLUMN_UINT, AT(payload[1]), UNIT_BYTES, MERGE_SUM, CODEC_AUTO, .below = FLOW_BYTES_1,
     .help = "bytes of transport payload, as headers claim; of IP payload where there is no transport"},
    {FLOW_LATER_FRAGMENTS_0, "later_fragments.0", COLUMN_UINT, AT(later_fragments[0]), UNIT_COUNT, MERGE_SUM,
     CODEC_AUTO, .help = "IP fragments but the first: packets without ports"},
    {FLOW_LATER_FRAGMENTS_1, "later_fragments.1", COLUMN_UINT, AT(later_fragments[1]), UNIT_COUNT, MERGE_SUM,
     CODEC_AUTO, .help = "IP fragments but the first: packets without ports"},
    {FLOW_SYN_0, "syn.0", COLUMN_UINT, AT(syn[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO, .help = "TCP segments with SYN"},
    {FLOW_SYN_1, "syn.1", COLUMN_UINT, AT(syn[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO, .help = "TCP segments with SYN"},
    {FLOW_FIN_0, "fin.0", COLUMN_UINT, AT(fin[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO, .help = "TCP segments with FIN"},
    {FLOW_FIN_1, "fin.1", COLUMN_UINT, AT(fin[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO, .help = "TCP segments with FIN"},
    {FLOW_RST_0, "rst.0", COLUMN_UINT, AT(rst[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO, .help = "TCP segments with RST"},
    {FLOW_RST_1, "rst.1", COLUMN_UINT, AT(rst[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO, .help = "TCP segments with RST"},
    {FLOW_TCP_FLAGS_0, "tcp_flags.0", COLUMN_UINT, AT(tcp_flags[0]), UNIT_NONE, MERGE_OR, CODEC_DICTIONARY,
     .help = "TCP flags seen, of CEUAPRSF"},
    {FLOW_TCP_FLAGS_1, "tcp_flags.1", COLUMN_UINT, AT(tcp_flags[1]), UNIT_NONE, MERGE_OR, CODEC_DICTIONARY,
     .help = "TCP flags seen, of CEUAPRSF"},

    {FLOW_ORIGINATOR, "originator", COLUMN_UINT, AT(originator), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY, .most = 1,
     .help = "endpoint that is the originator (client)"},
    {FLOW_ORIGINATOR_BY, "originator_by", COLUMN_UINT, AT(originator_by), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .value_name = originator_by_name,
     .help = "how the originator is known: syn, listening, known-port, lower-port, first-seen"},
    {FLOW_STATE, "state", COLUMN_UINT, AT(state), UNIT_NONE, MERGE_LAST, CODEC_DICTIONARY,
     .value_name = flow_state_name,
     .help = "Zeek's conn_state: S0, S1, SF, REJ, S2, S3, RSTO, RSTR, RSTOS0, RSTRH, SH, SHR, OTH"},
    {FLOW_END_REASON, "end_reason", COLUMN_UINT, AT(end_reason), UNIT_NONE, MERGE_LAST, CODEC_DICTIONARY,
     .value_name = flow_end_name,
     .help = "why it ended, as in IPFIX: idle-timeout, active-timeout, end-of-flow, forced-end, lack-of-resources"},
    {FLOW_HISTORY, "history", COLUMN_TEXT, AT(history), UNIT_NONE, MERGE_LAST, CODEC_DICTIONARY,
     .help = "Zeek's history letters: upper case from the originator"},

    {FLOW_PRIOR_PACKETS, "prior_packets", COLUMN_UINT, AT(prior_packets), UNIT_COUNT, MERGE_MIN, CODEC_AUTO,
     .help = "packets of the flow before the time asked for"},
    {FLOW_PRIOR_BYTES, "prior_bytes", COLUMN_UINT, AT(prior_bytes), UNIT_BYTES, MERGE_MIN, CODEC_AUTO,
     .help = "bytes of the flow before the time asked for"},
    {FLOW_CAPTURE_LOSS, "loss", COLUMN_UINT, AT(capture_loss), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "packets of any flow that the capture dropped on this interface while the flow was open"},
    {FLOW_ICMP_ERRORS, "icmp_errors", COLUMN_UINT, AT(icmp_errors), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "ICMP errors that quote the flow"},
    {FLOW_ICMP_ERROR_TYPE, "icmp_error_type", COLUMN_UINT, AT(icmp_error_type), UNIT_NONE, MERGE_LAST, CODEC_DICTIONARY,
     .help = "ICMP type of the last such error"},
    {FLOW_ICMP_ERROR_CODE, "icmp_error_code", COLUMN_UINT, AT(icmp_error_code), UNIT_NONE, MERGE_LAST, CODEC_DICTIONARY,
     .help = "ICMP code of the last such error"},
    {FLOW_FRAMES, "frames", COLUMN_LIST, AT(frames), UNIT_NONE, MERGE_NONE, CODEC_AUTO,
     .help = "frames of the chunk's body that hold its packets"},

    /* TCP, by endpoint: what it sent (tcp_findings.h has the exact rules) */
    {FLOW_RETRANS_0, "retrans.0", COLUMN_UINT, AT(retrans[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments with data, SYN or FIN that were sent again, as Wireshark finds them"},
    {FLOW_RETRANS_1, "retrans.1", COLUMN_UINT, AT(retrans[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments with data, SYN or FIN that were sent again, as Wireshark finds them"},
    {FLOW_RETRANS_BYTES_0, "retrans_bytes.0", COLUMN_UINT, AT(retrans_bytes[0]), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "payload bytes in segments that were sent again"},
    {FLOW_RETRANS_BYTES_1, "retrans_bytes.1", COLUMN_UINT, AT(retrans_bytes[1]), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "payload bytes in segments that were sent again"},
    {FLOW_SPURIOUS_0, "spurious.0", COLUMN_UINT, AT(spurious[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "of the retransmissions: all of it had been acknowledged already"},
    {FLOW_SPURIOUS_1, "spurious.1", COLUMN_UINT, AT(spurious[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "of the retransmissions: all of it had been acknowledged already"},
    {FLOW_FAST_0, "fast.0", COLUMN_UINT, AT(fast[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "of the retransmissions: asked for by duplicate acks, within 20 ms"},
    {FLOW_FAST_1, "fast.1", COLUMN_UINT, AT(fast[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "of the retransmissions: asked for by duplicate acks, within 20 ms"},
    {FLOW_OUT_OF_ORDER_0, "out_of_order.0", COLUMN_UINT, AT(out_of_order[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments that came behind later ones, within the handshake's time (3 ms if unknown)"},
    {FLOW_OUT_OF_ORDER_1, "out_of_order.1", COLUMN_UINT, AT(out_of_order[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments that came behind later ones, within the handshake's time (3 ms if unknown)"},
    {FLOW_DUPLICATE_ACKS_0, "dup_acks.0", COLUMN_UINT, AT(duplicate_acks[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments without data that say the ack and window of the one before again"},
    {FLOW_DUPLICATE_ACKS_1, "dup_acks.1", COLUMN_UINT, AT(duplicate_acks[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments without data that say the ack and window of the one before again"},
    {FLOW_ZERO_WINDOWS_0, "zero_windows.0", COLUMN_UINT, AT(zero_windows[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments that say that there is no room (window 0), without SYN, FIN, RST"},
    {FLOW_ZERO_WINDOWS_1, "zero_windows.1", COLUMN_UINT, AT(zero_windows[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments that say that there is no room (window 0), without SYN, FIN, RST"},
    {FLOW_FULL_WINDOWS_0, "full_windows.0", COLUMN_UINT, AT(full_windows[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments that fill the other end's window to its last byte"},
    {FLOW_FULL_WINDOWS_1, "full_windows.1", COLUMN_UINT, AT(full_windows[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments that fill the other end's window to its last byte"},
    {FLOW_KEEP_ALIVES_0, "keep_alives.0", COLUMN_UINT, AT(keep_alives[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments of at most one byte, that before the next one, to see whether the other end is there"},
    {FLOW_KEEP_ALIVES_1, "keep_alives.1", COLUMN_UINT, AT(keep_alives[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "segments of at most one byte, that before the next one, to see whether the other end is there"},
    {FLOW_GAP_BYTES_0, "gap_bytes.0", COLUMN_UINT, AT(gap_bytes[0]), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "bytes that the other end acknowledged and that were not seen"},
    {FLOW_GAP_BYTES_1, "gap_bytes.1", COLUMN_UINT, AT(gap_bytes[1]), UNIT_BYTES, MERGE_SUM, CODEC_AUTO,
     .help = "bytes that the other end acknowledged and that were not seen"},
    {FLOW_ACKED_MAX_0, "acked_max.0", COLUMN_UINT, AT(acked_max[0]), UNIT_BYTES, MERGE_MAX, CODEC_AUTO,
     .help = "payload of the largest segment known to be acknowledged (a timed one, or one before all was)"},
    {FLOW_ACKED_MAX_1, "acked_max.1", COLUMN_UINT, AT(acked_max[1]), UNIT_BYTES, MERGE_MAX, CODEC_AUTO,
     .help = "payload of the largest segment known to be acknowledged (a timed one, or one before all was)"},
    {FLOW_LOST_MAX_0, "lost_max.0", COLUMN_UINT, AT(lost_max[0]), UNIT_BYTES, MERGE_MAX, CODEC_AUTO,
     .help = "payload of the largest segment that was sent again before it was acknowledged"},
    {FLOW_LOST_MAX_1, "lost_max.1", COLUMN_UINT, AT(lost_max[1]), UNIT_BYTES, MERGE_MAX, CODEC_AUTO,
     .help = "payload of the largest segment that was sent again before it was acknowledged"},
    {FLOW_RTT_COUNT_0, "rtt_count.0", COLUMN_UINT, AT(rtt_count[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "round trips measured: segments sent once, one at a time, to their ack (Karn)"},
    {FLOW_RTT_COUNT_1, "rtt_count.1", COLUMN_UINT, AT(rtt_count[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "round trips measured: segments sent once, one at a time, to their ack (Karn)"},
    {FLOW_RTT_SUM_0, "rtt_sum.0", COLUMN_UINT, AT(rtt_sum[0]), UNIT_NS, MERGE_SUM, CODEC_AUTO,
     .help = "sum of the round trips, from where it was captured to the other end and back"},
    {FLOW_RTT_SUM_1, "rtt_sum.1", COLUMN_UINT, AT(rtt_sum[1]), UNIT_NS, MERGE_SUM, CODEC_AUTO,
     .help = "sum of the round trips, from where it was captured to the other end and back"},
    {FLOW_RTT_MIN_0, "rtt_min.0", COLUMN_UINT, AT(rtt_min[0]), UNIT_NS, MERGE_MIN, CODEC_AUTO, .below = FLOW_RTT_SUM_0,
     .help = "shortest round trip, from where it was captured to the other end and back"},
    {FLOW_RTT_MIN_1, "rtt_min.1", COLUMN_UINT, AT(rtt_min[1]), UNIT_NS, MERGE_MIN, CODEC_AUTO, .below = FLOW_RTT_SUM_1,
     .help = "shortest round trip, from where it was captured to the other end and back"},
    {FLOW_RTT_MAX_0, "rtt_max.0", COLUMN_UINT, AT(rtt_max[0]), UNIT_NS, MERGE_MAX, CODEC_AUTO, .below = FLOW_RTT_SUM_0,
     .help = "longest round trip, from where it was captured to the other end and back"},
    {FLOW_RTT_MAX_1, "rtt_max.1", COLUMN_UINT, AT(rtt_max[1]), UNIT_NS, MERGE_MAX, CODEC_AUTO, .below = FLOW_RTT_SUM_1,
     .help = "longest round trip, from where it was captured to the other end and back"},
    {FLOW_MSS_0, "mss.0", COLUMN_UINT, AT(mss[0]), UNIT_BYTES, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "maximum segment size that its SYN announced"},
    {FLOW_MSS_1, "mss.1", COLUMN_UINT, AT(mss[1]), UNIT_BYTES, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "maximum segment size that its SYN announced"},
    {FLOW_WINDOW_SCALE_0, "window_scale.0", COLUMN_UINT, AT(window_scale[0]), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "window scale that its SYN announced"},
    {FLOW_WINDOW_SCALE_1, "window_scale.1", COLUMN_UINT, AT(window_scale[1]), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "window scale that its SYN announced"},
    {FLOW_SACK_0, "sack.0", COLUMN_UINT, AT(sack[0]), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY, .most = 1,
     .help = "1 if its SYN permitted selective acks"},
    {FLOW_SACK_1, "sack.1", COLUMN_UINT, AT(sack[1]), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY, .most = 1,
     .help = "1 if its SYN permitted selective acks"},
    {FLOW_INITIAL_SEQ_0, "initial_seq.0", COLUMN_UINT, AT(initial_seq[0]), UNIT_NONE, MERGE_STICKY, CODEC_PLAIN,
     .help = "sequence number of its SYN"},
    {FLOW_INITIAL_SEQ_1, "initial_seq.1", COLUMN_UINT, AT(initial_seq[1]), UNIT_NONE, MERGE_STICKY, CODEC_PLAIN,
     .help = "sequence number of its SYN"},
    {FLOW_HANDSHAKE, "handshake", COLUMN_UINT, AT(handshake), UNIT_NS, MERGE_STICKY, CODEC_AUTO,
     .above = FLOW_SYN_ANSWER, .help = "from the latest SYN to the ACK that ends the handshake"},
    {FLOW_SYN_ANSWER, "syn_answer", COLUMN_UINT, AT(syn_answer), UNIT_NS, MERGE_STICKY, CODEC_AUTO,
     .help = "from the latest SYN to the SYN+ACK that answers it"},
    {FLOW_REPLIES, "replies", COLUMN_UINT, AT(replies), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "replies to requests: turns from the originator's data to the responder's"},
    {FLOW_WAIT_SUM, "wait_sum", COLUMN_UINT, AT(wait_sum), UNIT_NS, MERGE_SUM, CODEC_AUTO,
     .help = "sum of the waits from a request's last byte to its reply's first"},
    {FLOW_WAIT_MAX, "wait_max", COLUMN_UINT, AT(wait_max), UNIT_NS, MERGE_MAX, CODEC_AUTO, .below = FLOW_WAIT_SUM,
     .help = "longest wait from a request's last byte to its reply's first"},

    /* What the application said */
    {FLOW_APP, "app", COLUMN_TEXT, AT(app), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "application protocol, by what was said"},
    {FLOW_SNI, "sni", COLUMN_TEXT, AT(sni), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "server name in the TLS or QUIC client hello"},
    {FLOW_ALPN, "alpn", COLUMN_TEXT, AT(alpn), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "protocol chosen within TLS; where the answer is encrypted (TLS 1.3, QUIC) or was not seen, the first one "
             "that the "
             "client offered, which need not be the one chosen"},
    {FLOW_JA4, "ja4", COLUMN_TEXT, AT(ja4), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "JA4 fingerprint of the TLS or QUIC client hello"},
    {FLOW_TLS_VERSION, "tls_version", COLUMN_UINT, AT(tls_version), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .value_name = tls_version_name, .help = "TLS version that the server chose"},
    {FLOW_TLS_CIPHER, "tls_cipher", COLUMN_UINT, AT(tls_cipher), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .value_name = tls_cipher_name, .help = "TLS cipher suite that the server chose"},
    {FLOW_TLS_ALERT, "tls_alert", COLUMN_UINT, AT(tls_alert), UNIT_NONE, MERGE_LAST, CODEC_DICTIONARY,
     .value_name = tls_alert_name, .help = "last TLS alert that could be read"},
    {FLOW_HTTP_HOST, "http_host", COLUMN_TEXT, AT(http_host), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "host that the latest HTTP request named"},
    {FLOW_DNS_NAME, "dns_name", COLUMN_TEXT, AT(dns_name), UNIT_NONE, MERGE_STICKY, CODEC_AUTO,
     .help = "name that the latest DNS query asked for"},
    {FLOW_SOFTWARE_0, "software.0", COLUMN_TEXT, AT(software[0]), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "what it says it runs: SSH version line, HTTP User-Agent or Server"},
    {FLOW_SOFTWARE_1, "software.1", COLUMN_TEXT, AT(software[1]), UNIT_NONE, MERGE_STICKY, CODEC_DICTIONARY,
     .help = "what it says it runs: SSH version line, HTTP User-Agent or Server"},
    {FLOW_EXCHANGES, "exchanges", COLUMN_UINT, AT(exchanges), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "exchanges that ended: HTTP requests, DNS queries, TLS handshakes"},
    {FLOW_STATUS, "status", COLUMN_UINT, AT(status), UNIT_NONE, MERGE_MAX, CODEC_DICTIONARY,
     .help = "worst (greatest) HTTP status"},
    {FLOW_STATUS_1XX, "status_1xx", COLUMN_UINT, AT(status_class[0]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "HTTP replies with a status of 100 to 199"},
    {FLOW_STATUS_2XX, "status_2xx", COLUMN_UINT, AT(status_class[1]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "HTTP replies with a status of 200 to 299"},
    {FLOW_STATUS_3XX, "status_3xx", COLUMN_UINT, AT(status_class[2]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "HTTP replies with a status of 300 to 399"},
    {FLOW_STATUS_4XX, "status_4xx", COLUMN_UINT, AT(status_class[3]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "HTTP replies with a status of 400 to 499"},
    {FLOW_STATUS_5XX, "status_5xx", COLUMN_UINT, AT(status_class[4]), UNIT_COUNT, MERGE_SUM, CODEC_AUTO,
     .help = "HTTP replies with a status of 500 to 599"},

    /* Only in answers, never in a chunk */
    {FLOW_AGENT, "agent", COLUMN_TEXT, AT(agent), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "agent that captured it"},
    {FLOW_INTERFACE_NAME, "interface", COLUMN_TEXT, AT(interface_name), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "interface that it was captured on"},
    {FLOW_CAPTURE, "capture", COLUMN_TEXT, AT(capture), UNIT_NONE, MERGE_KEY, CODEC_DICTIONARY,
     .help = "capture that it belongs to"},
    {FLOW_FLOWS, "flows", COLUMN_UINT, AT(flows), UNIT_COUNT, MERGE_SUM, CODEC_AUTO, .help = "how many flows"},
};

const struct table table_flow = {
    .name = "flow",
    .id = 1,
    .columns = columns,
    .count = sizeof(columns) / sizeof(*columns),
    .row_size = sizeof(struct flow_row),
};
