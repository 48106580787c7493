/*
 * conversation_play: a scene is a list of messages; each is sent in pieces, all of the message's at the same time, 10 ms after the message before. What flows and
 * exchanges then say is compared.
 */
#ifndef FLEETDUMP_TESTS_CONVERSATION_PLAY_H
#define FLEETDUMP_TESTS_CONVERSATION_PLAY_H

#include "agent/capture/flow_table.h"
#include "common/base/clock.h"
#include "common/rows/column.h"
#include "tests/unit/support.h"

#define T0          (UINT64_C(1700000000) * NS_PER_S)
#define STEP_NS     UINT64_C(10000000)
#define TEXT_MAX    262144u
#define NUMBERS_MAX 1024u

enum { C, S }; /* who says it: client, server */

struct message {
    int from;
    const char *bytes;
    size_t len; /* 0: that of the text */
};

/* How a scene is played. */
struct play {
    bool udp;
    unsigned port;    /* the server's; 0: 80 */
    size_t piece;     /* bytes of each; 0: whole messages */
    bool twice;       /* each piece comes again */
    bool swapped;     /* each two pieces of a message change places */
    bool sealed;      /* a chunk ends behind each packet */
    bool no_syn;      /* the capture began later */
    bool mute[2];     /* what this end sends is not seen */
    int lost;         /* this message is not seen (-1: none) */
    size_t cut;       /* bytes of each packet's payload that are captured; 0: all */
    bool no_fin;      /* the capture ends before the connection */
    uint32_t far;     /* behind all that, the client sends a segment that begins so far ahead */
    uint32_t payload; /* what may be looked at; 0: all */
    uint64_t memory;
    uint8_t blank; /* enum http_blank */
};

#define PLAY ((struct play){.lost = -1})

struct told {
    char exchanges[TEXT_MAX];
    size_t len;
    char flow[4096];  /* the last row's columns of applications, counts summed */
    uint64_t sums[8]; /* exchanges, statuses by class */
    unsigned packets;
    uint64_t unheard;
    char running[4096]; /* exchanges that went on in the latest chunk with such: number, bytes of each side */
    bool more_running;
    unsigned outcomes[EXCHANGE_RUNNING]; /* how many ended so */
    bool is_brief;                       /* these alone */
    uint32_t goes_on[NUMBERS_MAX]; /* by number: how often it was told that it goes on, and not yet that it ended */
};

struct stage {
    struct flow_table *table;
    const struct play *play;
    struct told *told;
    uint32_t seq[2];
    uint64_t now;
    bool udp;
    unsigned ports[2];
};

#define PLAY_SCENE(scene, p, t) scene_play(scene, sizeof(scene) / sizeof *(scene), p, t)
#define OUTCOMES(scene, p)      scene_outcomes(scene, sizeof(scene) / sizeof *(scene), p)

/* A chunk ends: what its rows and exchanges say is added. */
void told_seal(struct told *t, struct flow_table *table);
/* One packet. */
void stage_give(struct stage *g, int from, unsigned flags, uint32_t seq, const uint8_t *bytes, size_t len);
/* One of a message's pieces, as the play wants it. */
void stage_piece(struct stage *g, int from, const uint8_t *bytes, size_t at, size_t len);
/* A whole message, in pieces. */
void stage_say(struct stage *g, const struct message *m, bool is_lost);
/* All of it. */
void scene_play(const struct message *m, size_t n, const struct play *p, struct told *t);
/* These exchanges, a line each. */
void told_expect(const struct told *t, const char *want);
/* However it is played, what is told stays. */
void scene_check_all_ways(const struct message *m, size_t n, const struct play *as, const struct told *want);
/* How each exchange ended, in order. */
const char *scene_outcomes(const struct message *m, size_t n, const struct play *p);

#endif
