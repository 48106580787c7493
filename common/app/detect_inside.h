/* What detect.c and its table share. Private to detect. */
#ifndef FLEETDUMP_APP_DETECT_INSIDE_H
#define FLEETDUMP_APP_DETECT_INSIDE_H

#include "common/app/detect.h"

enum detect_side { SAYS_ORIGINATOR = 1, SAYS_RESPONDER = 2, SAYS_EITHER = 3 };
enum detect_verdict { DETECT_NO, DETECT_MORE, DETECT_YES };

/* Judges bytes, of which there is at least one. Of TCP a NO is final: no bytes that begin so are the protocol's. */
typedef enum detect_verdict detect_look(const struct detect_input *in);

#define DETECT_PORTS 6u

struct detector {
    enum app app;
    uint8_t side;                /* enum detect_side */
    uint8_t at;                  /* offset of the bytes */
    uint8_t len;                 /* how many; 0: there is only a function */
    const char *bytes;           /* compared after `mask` */
    const char *mask;            /* NULL: all bits count */
    uint16_t port[DETECT_PORTS]; /* the responder's (UDP: anybody's); all 0: any */
    detect_look *look;           /* asked when the bytes are there; may be NULL */
    bool by_prefix;              /* of UDP: a NO to the first byte alone is final, as it always is of TCP */
};

/* Ended by APP_UNKNOWN; the first that says yes wins. */
extern const struct detector detect_tcp[], detect_udp[];

#endif
