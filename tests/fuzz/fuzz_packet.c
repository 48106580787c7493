/*
 * Any bytes as a packet of any link type. Input: link type (2 bytes, little-endian; taken from the list below if it is small),
 * wire length beyond what is captured (1 byte, times 16), where to cut for the comparison (1 byte, of 256), then the packet.
 * Besides memory errors it looks for views that contradict themselves, or that a longer piece of the packet contradicts.
 */
#include "common/packet/community_id.h"
#include "common/packet/packet.h"
#include "tests/unit/packet_truth.h"
#include <stdio.h>
#include <stdlib.h>

#define HEADER 4

static const int link_types[] = {1, 0, 9, 12, 14, 50, 101, 104, 108, 113, 219, 228, 229, 276};

static void check(const char *wrong)
{
    if (!wrong)
        return;
    fprintf(stderr, "does not hold: %s\n", wrong);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < HEADER || len - HEADER > PACKET_SNAPLEN_MAX)
        return 0;
    unsigned number = data[0] | (unsigned)data[1] << 8;
    int link_type = number < sizeof link_types / sizeof *link_types ? link_types[number] : (int)number;
    uint32_t captured = (uint32_t)(len - HEADER), wire = captured + data[2] * 16u, cut = captured * data[3] / 256;
    struct packet whole, piece;

    uint8_t *bytes = malloc(captured ? captured : 1), *start = malloc(cut ? cut : 1); /* exactly as long as said */
    if (!bytes || !start)
        abort();
    memcpy(bytes, data + HEADER, captured);
    memcpy(start, data + HEADER, cut);
    packet_decode(link_type, bytes, captured, wire, &whole);
    packet_decode(link_type, start, cut, wire, &piece);
    check(truth_of_packet(&whole));
    check(truth_of_packet(&piece));
    check(truth_of_key(&whole));
    check(truth_of_cut(&piece, &whole));
    free(bytes);
    free(start);
    return 0;
}
