/*
 * filter: the one language of captures, flows and pull: tcpdump's syntax (pcap-filter(7)) plus words that only a
 * connection knows.
 *
 *   expr := term { (and | &&) term | (or | "||") term }    and, or have the same precedence, from left to right
 *   term := (not | !) term | "(" expr ")" | primitive
 *
 * A value alone repeats the last qualifiers ("port 80 or 443", "from web-1 or web-2"). An address alone is host or,
 * with /LENGTH, net. Values that are words of the language need a backslash (\tcp) or quotes. Primitives, in four
 * groups:
 *
 *   flow words        host, net, port, portrange with src, dst, "src or dst", "src and dst" and protocol qualifiers
 *                     (ip, ip6, arp, rarp, tcp, udp, sctp), the protocols themselves, proto N, ip proto, ip6 proto,
 *                     ether proto, ip multicast, ip6 multicast, vlan [N], geneve [N], vxlan [N]
 *   places            agent PATTERN, capture PATTERN (* and ?)
 *   connection words  from X, to X, from port N, to net N, ... (the client's and the server's end by `originator`);
 * id HEX
 *                     (a prefix of the flow id); community-id ID; state S0[,REJ...]; unanswered, refused, external;
 *                     FIELD OP VALUE for every numeric field of field.h with units (bytes > 1M, duration >= 1.5s); OP
 *                     is = == != < <= > >=; also for those with names (rcode != NOERROR); for texts (sni = *.x.org,
 *                     with * and ?, upper and lower case alike) = and !=; FIELD VALUE is FIELD = VALUE
 *   packet words      everything else of pcap-filter (tcp[13] & 2 != 0, less 100, ether host, broadcast, llc ...), by
 *                     libpcap's own compiler and interpreter; mpls, outer ( expr )
 *
 * X in host, from, to: an address, @NAME (an agent), NAME (an agent, else a DNS name). Names never resolve themselves:
 * the caller gives a table (struct filter_names) made once by the command line.
 *
 * Meaning for one packet: our decoder's view of it, innermost headers, VLANs and tunnels looked through; outer ( expr )
 * asks for the outermost IP header. On packets with nothing to look through (packet.plain) that is libpcap's meaning.
 * Packet words about IP and above (tcp[13], ip[8], ...) are about the innermost packet too; those about the link
 * layer and the length are about the whole. As in libpcap, a packet that is too short for a byte that is asked for
 * does not match, whatever the rest of the filter says behind that.
 *
 * Meaning for a flow: true if it holds for one of the classes of packets that the row counted: (direction, later
 * fragment or not); the whole expression is judged per class, then ORed, so `not` is never applied to a primitive of
 * the flow as a whole. Missing values compare false. Flows of several rows are judged on their sum.
 * Meaning for an exchange (a row whose `exchange` is set): the same on its flow, fields that exchanges have on itself.
 *
 * So for filters without packet words a flow is selected if and only if one of its packets matches.
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

/* Parses and checks. An empty or blank text is the filter that is always true. `names` (may be NULL) is copied. A name
 * that is not in it is ERROR_NOT_FOUND, what passes a limit ERROR_LIMIT, everything else that is wrong ERROR_USAGE.
 * Then e->text has three lines: what is wrong and what was expected; the filter's text (a part of it around the
 * place); a caret below the place. (error_prefix would make one line of them.) */
MUST_CHECK int filter_compile(const char *text, const struct filter_names *names, struct filter **out, struct error *e);
void filter_free(struct filter *f);

/* The filter that is true where both are, and takes both over (they are freed with it, and on errors). */
MUST_CHECK int filter_join(struct filter *a, struct filter *b, struct filter **out, struct error *e);

/* The names in text that need an entry in struct filter_names: calls `each` for every distinct one. Parses as
 * filter_compile. */
MUST_CHECK int filter_each_name(const char *text, void (*each)(void *context, const char *name), void *context,
                                struct error *e);

/* Whether it is the filter that is always true, of an empty text. */
bool filter_is_empty(const struct filter *f);

/* Whether it has packet words (rows can only say maybe), connection words (pull gives whole connections; agent and
 * capture say where, and are none), measures and states (sums must be made first). `what` (may be NULL) is set to the
 * first such word's text, owned by f. */
bool filter_has_packet_words(const struct filter *f, const char **what);
bool filter_has_connection_words(const struct filter *f, const char **what);
bool filter_has_measures(const struct filter *f, const char **what);

/* Whether it has words about what applications said (sni, http_host, app): a flow's rows know them only from then
 * on. */
bool filter_has_said_words(const struct filter *f, const char **what);

/* Whether it has words that only an exchange knows (method, rcode), measures and states that no exchange has (bytes,
 * state, refused): a row without one, a row with one says nothing of them. */
bool filter_has_exchange_words(const struct filter *f, const char **what);
bool filter_has_flow_measures(const struct filter *f, const char **what);

struct field;

/* The first field that it compares and for which `is` is true; NULL: none. */
const struct field *filter_field(const struct filter *f, bool (*is)(const struct field *field, const void *context),
                                 const void *context, const char **what);

/* Whether it asks for agent or capture, which a packet alone does not tell. */
bool filter_has_places(const struct filter *f);

enum truth { TRUTH_NO = 0, TRUTH_MAYBE = 1, TRUTH_YES = 2 };

/* Could a flow that this row is a part of be selected? Judged on what all rows of the flow share: classes of packets
 * that another row may hold are open; measures, state, who the originator is and packet words are maybe, as are
 * agent and capture if the row does not have them. TRUTH_NO is sure, and so is TRUTH_YES. */
enum truth filter_row_part(const struct filter *f, const struct flow_row *row);

/* Could anything that this agent captured in this capture match? Judged on the words agent and capture alone. */
bool filter_may_match_at(const struct filter *f, const char *agent, const char *capture);

/* Is the flow selected, given the sum of its rows? Maybe only for packet words. The columns agent and capture must
 * be set for words that ask for them. A sum without packets (their rows are gone) is judged as if it had some either
 * way. */
enum truth filter_row_sum(const struct filter *f, const struct flow_row *sum);

/* The same for all packets of the flow instead of one of them: yes if each class of packets that its rows counted
 * matches. So a flow is what may be shown of its packets if only what matches may be. */
enum truth filter_row_whole(const struct filter *f, const struct flow_row *sum);

/* Whether the packet matches, exactly. `flow` is the sum of the flow it belongs to (for connection words, places and
 * the time at which a name had an address; NULL: those words compare false, and names have all their addresses).
 * Compiles packet words for the packet's link type at first use; not thread-safe for one f. ERROR_UNSUPPORTED if
 * libpcap cannot judge a word on that link type. */
MUST_CHECK int filter_packet(struct filter *f, const struct packet *p, const struct flow_row *flow, bool *match,
                             struct error *e);

/* What must be in a row for it to match, for indexes: folds the tree bottom-up. `leaf` gives the caller's value for
 * one requirement (any = no restriction), `both` and `either` combine two values; each returns a value owned by the
 * caller. Everything under `not`, and all that no index helps with, is given as FILTER_TERM_ANY. */
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
