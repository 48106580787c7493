/*
 * ladder: one connection, packet by packet, as one or several vantages saw it. Pure.
 *
 * A *sight* is a packet as one vantage saw it; a *row* is a packet, with a sight at each vantage that saw it. Sights of
 * several vantages are the same packet if direction, IPv4 identification, length and what TCP's header says are equal
 * (of other protocols: the first bytes of the payload); of equal ones the n-th at each, or the nearest in time where
 * not all were seen everywhere. TCP segments that one vantage saw as a larger one (GRO, TSO) are *parts* of that row.
 *
 * Findings are those of each vantage by itself (see tcp_analysis.h): both together would be retransmissions that never
 * were.
 *
 * With several vantages their clocks' differences are estimated as if the way took as long there as back, by the median
 * of both directions. Vantages are put in order from the client's to the server's: by hop limits, else by these times.
 */
#ifndef FLEETDUMP_COLLECTOR_LADDER_LADDER_H
#define FLEETDUMP_COLLECTOR_LADDER_LADDER_H

#include "collector/ladder/said.h"
#include "collector/ladder/tcp_analysis.h"

#define LADDER_VANTAGES_MAX 8u
#define LADDER_SIGHTS_MAX   500000u
#define LADDER_NONE         UINT32_MAX

enum ladder_side { LADDER_CLIENT = 0, LADDER_SERVER = 1 };

struct ladder_end {
    uint8_t family; /* FAMILY_NONE: not known */
    uint8_t addr[16];
    uint16_t port; /* with has_port */
    bool has_port;
};

struct ladder_sight {
    uint64_t time_ns;
    uint32_t number; /* of the packet at its vantage, from 1 on */
    uint32_t row;
    uint32_t more;         /* next part of the row at this vantage, or LADDER_NONE */
    uint8_t vantage, from; /* enum ladder_side */
    uint8_t fragment, hop_limit;
    uint8_t ended; /* enum packet_end: cut or invalid */
    uint8_t proto; /* the packet's own: ICMP of an error that quotes the connection */
    bool has_tcp;
    uint32_t id;     /* IP identification */
    uint32_t length; /* payload */
    uint32_t wire, captured;
    struct tcp_segment segment; /* has_tcp, and so below */
    struct tcp_reading reading;
    uint64_t key; /* equal for the same packet elsewhere */
    enum said_protocol protocol;
    char *said; /* owned; NULL if nothing */
};

/* What a row means for the connection as a whole, see ladder_story. */
enum ladder_mark {
    LADDER_PLAIN,
    LADDER_OPEN,       /* three-way handshake */
    LADDER_OPEN_BOTH,  /* simultaneous open */
    LADDER_CLOSE3,     /* three-way close: the second FIN acks the first */
    LADDER_CLOSE4,     /* four-way close: an ack in between */
    LADDER_HALF_CLOSE, /* the same, and payload came after the first FIN */
    LADDER_CLOSE_BOTH, /* simultaneous close: no FIN acks the other */
    LADDER_CLOSING,    /* only one FIN was seen */
    LADDER_RESET,
    LADDER_REFUSED, /* a reset in answer to a SYN */
};

struct ladder_step {
    uint8_t mark;   /* enum ladder_mark */
    uint8_t at, of; /* "2 of 3" */
};

struct ladder_row {
    uint32_t sight[LADDER_VANTAGES_MAX]; /* LADDER_NONE where it was not seen */
    uint32_t main;    /* the sight whose numbers stand for it: the reference vantage's if it has one */
    uint64_t time_ns; /* by the reference vantage's clock, as far as that can be estimated */
    struct ladder_step open, close;
};

struct ladder_vantage {
    char *name; /* "agent/interface", owned */
    uint32_t sights;
    uint64_t first_ns, last_ns;
    int64_t ahead_ns; /* of its clock before the reference's, estimated; 0 if that is not known */
    int64_t away_ns;  /* time from the reference to it, towards the server, estimated */
    bool estimated;
    struct tcp_analysis *analysis;
    struct said *talk;
};

/* How the connection began and ended. */
struct ladder_story {
    uint8_t open;     /* LADDER_OPEN, LADDER_OPEN_BOTH, or LADDER_PLAIN: no SYN was seen */
    bool opened;      /* to the last step */
    int64_t open_ns;  /* from the first to the last step */
    uint8_t close;    /* LADDER_CLOSE3 and below, or LADDER_PLAIN: not closed when last seen */
    uint8_t closer;   /* who sent the first FIN or the reset: enum ladder_side */
    bool closed;      /* to the last step */
    int64_t close_ns; /* from the first packet to the last step */
};

struct ladder {
    struct ladder_end end[2]; /* by enum ladder_side */
    bool client_known;        /* told by the caller, or by a SYN */
    uint8_t proto;            /* of IP; 0 below */
    uint16_t ethertype;
    struct ladder_vantage vantage[LADDER_VANTAGES_MAX];
    uint32_t vantages;
    uint32_t reference; /* the vantage whose clock and numbers count */
    struct ladder_sight *sights;
    uint32_t sight_count, sight_room;
    struct ladder_row *rows; /* in order of time */
    uint32_t row_count;
    enum said_protocol protocol; /* the first that was said */
    struct ladder_story story;
};

/* `client` (copied) may be NULL: then it is who sent the first SYN without ACK or gets the first with, else who has the
 * greater port, else the first sender. */
MUST_CHECK int ladder_new(const struct ladder_end *client, struct ladder **out, struct error *e);
void ladder_free(struct ladder *l);

/* Another vantage; *index names it until ladder_finish. ERROR_LIMIT past LADDER_VANTAGES_MAX. */
MUST_CHECK int ladder_add_vantage(struct ladder *l, const char *name, uint32_t *index, struct error *e);

/* A packet of the connection, in the order seen at its vantage. ERROR_LIMIT past LADDER_SIGHTS_MAX. */
MUST_CHECK int ladder_take(struct ladder *l, uint32_t vantage, const struct packet *p, uint64_t time_ns,
                           struct error *e);

/* Makes the rows. Nothing is taken afterwards; vantages are in order from then on. */
MUST_CHECK int ladder_finish(struct ladder *l, struct error *e);

const struct ladder_sight *ladder_main(const struct ladder *l, const struct ladder_row *row);
/* The sight at a vantage, or NULL. */
const struct ladder_sight *ladder_sight_at(const struct ladder *l, const struct ladder_row *row, uint32_t vantage);
/* All findings of a row at a vantage, its parts included. */
uint16_t ladder_findings(const struct ladder *l, const struct ladder_row *row, uint32_t vantage);
/* Whether a vantage should have seen the row: it saw packets before and after. */
bool ladder_missed(const struct ladder *l, const struct ladder_row *row, uint32_t vantage);
/* From the vantage nearest to the sender to that nearest to the receiver that saw the row; false if only one did. */
bool ladder_between(const struct ladder *l, const struct ladder_row *row, int64_t *ns);

#endif
