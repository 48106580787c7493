/*
 * dns: reads a DNS message (RFC 1035; EDNS: RFC 6891), also of mDNS (RFC 6762) and LLMNR (RFC 4795), which are shaped
 * alike.
 *
 * The message begins with its id: over TCP (RFC 1035, 4.2.2) the caller takes off the two bytes of length in front.
 * Names and answers come as text: names in lower case (case has no meaning, RFC 4343) without the dot at their end, the
 * root as ".", a dot or backslash within a label, and what is not printable, escaped as in master files (RFC 1035,
 * 5.1).
 *
 *     struct dns_message m;
 *     if (dns_read(data, len, &m) != APP_READ_INVALID) ...
 *
 * Pure and bounded: each record costs one step, names are followed through at most DNS_POINTERS_MAX pointers, and no
 * more of them than fit the text.
 */
#ifndef FLEETDUMP_APP_DNS_H
#define FLEETDUMP_APP_DNS_H

#include "common/app/read.h"
#include "common/app/text.h"
#include "common/base/bytes.h"

#define DNS_PORT         53
#define DNS_PORT_MDNS    5353
#define DNS_PORT_LLMNR   5355
#define DNS_HEADER       12u
#define DNS_NAME_MAX     255u  /* bytes of a name as sent (RFC 1035, 3.1) */
#define DNS_POINTERS_MAX 64u   /* more in one name are not believed */
#define DNS_NAME_SIZE    1025u /* room for any name as text */
#define DNS_ANSWERS_SIZE 1025u /* COLUMN_TEXT_MAX and a 0 byte */

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_DNAME = 39,
    DNS_OPT = 41,
    DNS_SVCB = 64,
    DNS_HTTPS = 65
};
enum dns_opcode { DNS_QUERY = 0, DNS_IQUERY = 1, DNS_STATUS = 2, DNS_NOTIFY = 4, DNS_UPDATE = 5 };
enum { DNS_NOERROR = 0, DNS_NXDOMAIN = 3 }; /* more: app_dns_rcodes in names.h */

struct dns_message {
    uint16_t id;
    bool response;  /* QR */
    bool truncated; /* TC */
    uint8_t opcode;
    uint16_t rcode;                                     /* with EDNS's upper 8 bits, if its record could be reached */
    uint16_t questions, answers, authority, additional; /* as the header counts them */

    /* The first question; type 0 and an empty name if there is none (answers of mDNS) or it is cut. */
    uint16_t type, class; /* names of types: app_dns_types. mDNS uses the upper bit of class for something else. */
    char name[DNS_NAME_SIZE];

    /* Addresses, names and texts of the answer section in order, separated by ", ": "web.example, 93.184.216.34"; MX
     * and SRV with their numbers as in master files, TXT in quotes, and of types without a reader the type's name
     * alone. Ends in "..." where it is longer. */
    uint16_t name_len, answers_len;
    char answers_text[DNS_ANSWERS_SIZE];
};

/* WHOLE: all records are there. CUT: not all (as with a snaplen), or one of them breaks the rules; `out` has what
 * stands before. INVALID: shorter than a header. Whether something that came to no DNS port is DNS, tells
 * dns_plausible. */
enum app_read dns_read(const void *data, size_t len, struct dns_message *out);

/* Whether this looks like DNS without a port that says so: a known opcode and rcode, few records, a question with a
 * class of RFC 1035 (or mDNS's), and nothing cut or behind it. */
bool dns_plausible(const void *data, size_t len);

/* ------------------------------------------------------------------ piece by piece, for those who tell more of a
 * message */

/* The labels of a name, one by one. */
struct dns_labels {
    struct bytes at;
    unsigned pointers, total;
};
/* The name that begins where b stands, in the message that b is a cursor over. */
struct dns_labels dns_labels_at(const struct bytes *b);
/* The next label: 1, or 0 behind the last, or -1 where the name is cut or breaks the rules. */
int dns_labels_next(struct dns_labels *l, const uint8_t **label, size_t *len);

/* Goes past a name without a look at what it points to; b becomes bad if it is cut or breaks the rules. */
void dns_skip_name(struct bytes *b);
/* Adds the name at b as text; false if it is cut or breaks the rules. b does not move. */
bool dns_name_text(const struct bytes *b, struct app_text *t);

struct dns_question {
    struct bytes name; /* over the message, at the name */
    uint16_t type, class;
};
struct dns_record {
    struct bytes name; /* over the message, at the owner's name */
    uint16_t type, class;
    uint32_t ttl;
    struct bytes data; /* over the message up to the data's end, so that names in it can be followed */
};
/* Go past one; false (and b is bad) if it is cut or breaks the rules. b began at the message's first byte. */
bool dns_question_next(struct bytes *b, struct dns_question *out);
bool dns_record_next(struct bytes *b, struct dns_record *out);

#endif
