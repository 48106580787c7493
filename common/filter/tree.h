/*
 * tree: a filter as parsed. Private to common/filter.
 *
 * and, or have the same precedence and bind from the left, so an expression is a chain: terms in the order of the
 * text, each joined to all before it. Only parentheses and `not` nest, and the parser limits that, so walking the
 * tree may recurse.
 */
#ifndef FLEETDUMP_FILTER_TREE_H
#define FLEETDUMP_FILTER_TREE_H

#include "common/filter/filter.h"
#include "common/filter/words.h"
#include "common/packet/community_id.h"
#include "common/rows/field.h"
#include <pcap/pcap.h>

/* Which end of a packet or connection is meant. Bits 1 and 2 of the first four: sender, receiver. */
enum direction {
    DIRECTION_EITHER,
    DIRECTION_SRC,
    DIRECTION_DST,
    DIRECTION_BOTH,
    DIRECTION_FROM, /* the originator of the connection */
    DIRECTION_TO,
    DIRECTION_WLAN, /* addr1, ra, ...: libpcap's */
};

/* What a value is. */
enum subject {
    SUBJECT_ANY, /* nothing said: an address */
    SUBJECT_HOST,
    SUBJECT_NET,
    SUBJECT_PORT,
    SUBJECT_PORTRANGE,
    SUBJECT_PROTO,
    SUBJECT_PROTOCHAIN,
    SUBJECT_AGENT,
    SUBJECT_CAPTURE,
    SUBJECT_ID,
    SUBJECT_COMMUNITY_ID,
    SUBJECT_STATE,
};

/* What is so or not, of a connection or an exchange. */
enum fact { FACT_UNANSWERED, FACT_REFUSED, FACT_EXTERNAL };

enum node_kind {
    NODE_CHAIN, /* children; without any: always true */
    NODE_NOT,   /* one child */
    NODE_OUTER, /* one child */
    NODE_ETHERTYPE,
    NODE_PROTO,
    NODE_ADDRESS, /* host and net */
    NODE_NAME,    /* a host by name */
    NODE_PORT,
    NODE_MULTICAST,
    NODE_VLAN,
    NODE_TUNNEL,
    NODE_AGENT,
    NODE_CAPTURE,
    NODE_ID,
    NODE_COMMUNITY_ID,
    NODE_STATE,
    NODE_FIELD, /* a number, or the name of one */
    NODE_TEXT,  /* a field's text */
    NODE_FACT,
    NODE_MPLS,
    NODE_PCAP,
};

/* Where a packet word is judged. */
enum reach {
    REACH_WHOLE,  /* the packet as captured */
    REACH_INNER,  /* about IP and above: the innermost IP packet */
    REACH_EITHER, /* about headers that we look through */
};

enum comparison { COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_LE, COMPARE_GT, COMPARE_GE };

/* A packet word compiled for one link type. libpcap rejects a packet that is too short for a load, whatever stands
 * around it: so a word and its opposite are compiled, and a packet that matches neither was rejected. */
struct pcap_word {
    int link_type;
    struct bpf_program yes, no;
    struct pcap_word *next;
};

struct node {
    enum node_kind kind;
    bool or_before;     /* joined to the nodes before it in the chain by or, else by and */
    struct node *next;  /* in the chain */
    struct node *child; /* first */
    struct node *older; /* all nodes of the filter, for freeing */
    char *text; /* owned; of packet words, connection words and measures: as in the text (NODE_PCAP: for libpcap) */
    uint8_t direction; /* enum direction: ADDRESS, NAME, PORT */
    uint8_t nets;      /* NETS_ bits: PROTO, ADDRESS, NAME, MULTICAST */
    union {
        uint16_t ethertype;
        uint8_t proto;
        struct {
            uint8_t family;
            uint8_t prefix; /* leading one bits of mask */
            uint8_t addr[16];
            uint8_t mask[16];
        } net;
        struct {
            struct filter_address *items; /* owned, sorted by family and address */
            uint32_t count;
        } name;
        struct {
            uint16_t first, last;
            uint8_t proto; /* PROTO_TCP, _UDP, _SCTP, or 0 for any of them */
        } port;
        struct {
            bool any;
            uint32_t id;
            uint8_t tunnel; /* enum packet_tunnel */
        } tag;              /* VLAN, TUNNEL */
        char *pattern;      /* owned: AGENT, CAPTURE */
        struct {
            uint64_t value; /* left-aligned */
            uint8_t digits;
        } id;
        char community_id[COMMUNITY_ID_SIZE];
        uint32_t states; /* bit per enum flow_state */
        struct {
            const struct field *field;
            enum comparison comparison;
            uint64_t value;
        } field;
        struct {
            const struct field *field;
            char *pattern; /* owned */
            bool other;    /* must not match it */
        } match;
        enum fact fact;
        struct {
            enum reach reach;
            struct pcap_word *compiled;
        } pcap;
    };
};

struct filter {
    struct node *root;
    struct node *nodes; /* newest */
    uint32_t node_count;
};

/* A new node of the filter, or NULL (no memory; or more than FILTER_NODES_MAX, see node_count). */
struct node *tree_node(struct filter *f, enum node_kind kind);

/* Whether one node by itself is a packet word, a connection word, a measure. */
bool node_is_packet_word(const struct node *n);
bool node_is_connection_word(const struct node *n);
bool node_is_measure(const struct node *n);

/* pcap_word.c: libpcap's judgement. */

/* Compiles text once for some link type that knows it; ERROR_USAGE with libpcap's words if none does. */
MUST_CHECK int pcap_word_check(const char *text, struct error *e);

enum pcap_verdict { PCAP_NO, PCAP_YES, PCAP_REJECTED };
/* The verdict of a NODE_PCAP on a packet; `outermost`: even if it is about IP and above. */
MUST_CHECK int pcap_word_match(struct node *n, const struct packet *p, bool outermost, enum pcap_verdict *verdict,
                               struct error *e);
void pcap_word_free(struct pcap_word *w);

/* Compiles for LINKTYPE_ value, as for a file: libpcap itself knows the DLT_, and uses nothing that only the kernel
 * has. ERROR_USAGE with libpcap's words. */
MUST_CHECK int pcap_word_compile(int link_type, uint32_t snaplen, const char *text, struct bpf_program *program,
                                 struct error *e);

/* parser.c: parses text as a filter for libpcap alone, so that what libpcap would resolve or guess is refused before
 * it sees it. */
MUST_CHECK int filter_parse_capture(const char *text, struct error *e);

#endif
