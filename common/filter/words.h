/*
 * words: the table of the language's words (words.def) and of the protocols among them. Private to common/filter.
 */
#ifndef FLEETDUMP_FILTER_WORDS_H
#define FLEETDUMP_FILTER_WORDS_H

#include "common/filter/lexer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum protocol_word {
    PROTOCOL_NONE,
    PROTOCOL_LINK,
    PROTOCOL_IP,
    PROTOCOL_IP6,
    PROTOCOL_ARP,
    PROTOCOL_RARP,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    PROTOCOL_SCTP,
    PROTOCOL_ICMP,
    PROTOCOL_ICMP6,
    PROTOCOL_IGMP,
    PROTOCOL_IGRP,
    PROTOCOL_PIM,
    PROTOCOL_VRRP,
    PROTOCOL_CARP,
    PROTOCOL_AH,
    PROTOCOL_ESP,
    PROTOCOL_DECNET,
    PROTOCOL_LAT,
    PROTOCOL_SCA,
    PROTOCOL_MOPRC,
    PROTOCOL_MOPDL,
    PROTOCOL_ISO,
    PROTOCOL_ISIS,
    PROTOCOL_OTHER, /* known to libpcap alone */
};

/* Which headers may carry an address or a protocol. */
#define NETS_IP   1u
#define NETS_ARP  2u
#define NETS_RARP 4u
#define NETS_IP6  8u
#define NETS_ALL  (NETS_IP | NETS_ARP | NETS_RARP | NETS_IP6)

/* What a protocol's word says of a packet: an ethertype, or an IP protocol in some of the nets, or neither (libpcap
 * decides). */
struct protocol {
    uint16_t ethertype;
    uint8_t number; /* IP protocol, if ethertype is 0 and nets is not */
    uint8_t nets;   /* the headers it stands in; of ip, arp, ...: the addresses that it qualifies */
    bool inner;     /* its bytes (tcp[13]) are looked for in the innermost IP packet */
};
const struct protocol *protocol_of(enum protocol_word word);

struct word {
    const char *name;
    int token; /* enum token_kind */
    uint32_t value;
};

/* The word that is exactly this text, or NULL. */
const struct word *word_named(const char *text, size_t len);

/* The field that other programs call so (user_agent); NULL: none. */
const char *word_elsewhere(const char *text, size_t len);

/* The word or field that was probably meant, or NULL; of fields alone where a comparison follows. */
const char *word_meant(const char *text, size_t len, bool field_alone);

#endif
