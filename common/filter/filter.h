/*
 * filter: the one language of captures, flows and pull: tcpdump's syntax (pcap-filter(7)) plus words that only a connection knows.
 *
 *   expr    := term { (and | &&) term | (or | "||") term }        as in tcpdump: and, or have the same precedence, left to right
 *   term    := (not | !) term | "(" expr ")" | primitive
 *
 * Primitives, in three groups:
 *   flow words    host, net, port, portrange with src, dst, "src or dst", "src and dst" and protocol qualifiers (ip, ip6, arp, rarp, tcp, udp, sctp,
 *                 icmp, icmp6, ...), proto N, ip proto, ether proto, ip multicast and the like, vlan [N], mpls; a value alone repeats the last qualifiers
 *                 ("port 80 or 443"). An address alone is "host ADDRESS".
 *   connection    from X, to X, from port N, to port N, from/to net N (client's and server's end by `originator`); agent NAME-GLOB; capture NAME-GLOB;
 *   words         id HEX (a prefix of the flow id); community-id ID; state S0[,REJ...]; FIELD OP VALUE for every numeric field of field.h with units
 *                 (bytes > 1M, duration >= 1.5s, resp_packets = 0); OP is = == != < <= > >=
 *   packet words  everything else of pcap-filter (tcp[13] & 2 != 0, less 100, greater, ether host, outer ( expr ), broadcast ...): judged packet by packet,
 *                 by libpcap's own compiler and interpreter (outer: by our decoder)
 *
 * X in host, from, to: an address, @NAME (an agent), NAME (an agent, else a DNS name). Names never resolve themselves: the caller gives a table
 * (struct filter_names) made once by the command line.
 *
 * Meaning (for one packet): our decoder's view of it, innermost headers, VLANs and tunnels looked through.
 * Meaning (for a flow): true if it holds for one of the classes of packets that the row counted: (direction, later fragment or not); the whole expression is
 * judged per class, then ORed, so `not` is never applied to a primitive of the flow as a whole. Missing values compare false. Flows of several rows are judged on
 * their sum.
 */
#ifndef FLEETDUMP_FILTER_FILTER_H
#define FLEETDUMP_FILTER_FILTER_H

#include "common/base/error.h"
#include "common/packet/packet.h"
#include "common/rows/flow_row.h"

#define FILTER_TEXT_MAX           8192u
#define FILTER_DEPTH_MAX          64u
#define FILTER_NODES_MAX          4096u
#define FILTER_NAMES_MAX          256u
#define FILTER_NAME_ADDRESSES_MAX 4096u

/* An address that a name stood for, in a time: [from_ns, to_ns]; 0 and UINT64_MAX for always. */
struct filter_address {
    uint8_t family;
    uint8_t addr[16];
    uint64_t from_ns, to_ns;
};

struct filter_name {
    const char *name; /* as written, with its '@' if it has one */
    const struct filter_address *addresses;
    uint32_t count;
};

struct filter_names {
    const struct filter_name *items;
    uint32_t count;
};

struct filter;

/* Parses and checks. An empty or blank text is the filter that is always true. Names not found in `names` (may be NULL) are an ERROR_NOT_FOUND that tells the name.
 * ERROR_USAGE: e->text has three lines: what is wrong and what was expected; the filter's text (a part of it around the place); a caret below the place. */
MUST_CHECK int filter_compile(const char *text, const struct filter_names *names, struct filter **out, struct error *e);
void filter_free(struct filter *f);

/* The names in text that need an entry in struct filter_names: calls `each` for every distinct one. Parses as filter_compile. */
MUST_CHECK int filter_each_name(const char *text, void (*each)(void *context, const char *name), void *context,
                                struct error *e);

/* Whether it has packet words (rows can only say maybe), connection words (pull gives whole connections), measures (sums must be made first). `what` (may be NULL) is set
 * to the first such word's text, owned by f. */
bool filter_has_packet_words(const struct filter *f, const char **what);
bool filter_has_connection_words(const struct filter *f, const char **what);
bool filter_has_measures(const struct filter *f, const char **what);

enum truth { TRUTH_NO = 0, TRUTH_MAYBE = 1, TRUTH_YES = 2 };

/* Could a flow that this row is a part of be selected? Judged on what all rows of the flow share: classes of packets that another row may hold are open, measures, state
 * and packet words are maybe. TRUTH_NO is sure. */
enum truth filter_row_part(const struct filter *f, const struct flow_row *row);

/* Is the flow selected, given the sum of its rows? Maybe only for packet words. row->agent and row->capture are used by agent and capture words. */
enum truth filter_row_sum(const struct filter *f, const struct flow_row *sum);

/* Whether the packet matches, exactly. `flow` is the sum of the flow it belongs to (for connection words; NULL: those compare false). Compiles packet words for the
 * packet's link type at first use; not thread-safe for one f. ERROR_UNSUPPORTED if libpcap cannot judge a word on that link type. */
MUST_CHECK int filter_packet(struct filter *f, const struct packet *p, const struct flow_row *flow, bool *match,
                             struct error *e);

/* What must be in a row for it to match, for indexes: folds the tree bottom-up. `leaf` gives the caller's value for one requirement (any = no restriction), `both` and
 * `either` combine two values; each returns a value owned by the caller. Everything under `not`, and all that no index helps with, is given as FILTER_TERM_ANY. */
enum filter_term_kind {
    FILTER_TERM_ANY,
    FILTER_TERM_ADDRESS,
    FILTER_TERM_NET,
    FILTER_TERM_PORT,
    FILTER_TERM_PORT_RANGE,
    FILTER_TERM_AGENT,
    FILTER_TERM_FLOW_ID
};
struct filter_term {
    enum filter_term_kind kind;
    uint8_t family; /* ADDRESS, NET */
    uint8_t addr[16];
    uint8_t prefix; /* NET: bits; FLOW_ID: hex digits */
    uint16_t port, last_port;
    uint64_t flow_id; /* FLOW_ID: digits left-aligned */
    const char *glob; /* AGENT */
};
struct filter_fold {
    void *(*leaf)(void *context, const struct filter_term *t);
    void *(*both)(void *context, void *a, void *b);
    void *(*either)(void *context, void *a, void *b);
    void *context;
};
void *filter_fold(const struct filter *f, const struct filter_fold *ops);

/* Names and one-line meanings of all words, for help and completion; terminated by a NULL name. */
struct filter_word {
    const char *name;
    const char *form; /* "from X" */
    const char *help;
};
extern const struct filter_word filter_words[];

#endif
