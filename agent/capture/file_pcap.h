/* file_pcap: the pcap format's header and records. Private to file.c. */
#ifndef FLEETDUMP_AGENT_CAPTURE_FILE_PCAP_H
#define FLEETDUMP_AGENT_CAPTURE_FILE_PCAP_H

#include "agent/capture/input.h"
#include "agent/capture/source.h"

struct pcap_format {
    bool swapped; /* the other byte order than ours */
    bool nanoseconds;
    bool swapped_lengths; /* may have captured and wire length the other way round: before version 2.4 */
    uint32_t record_size; /* bytes of a record's header */
    uint32_t snaplen;
    uint16_t link_type;
};

/* Whether the 4 bytes begin a pcap file. */
bool pcap_is(const uint8_t magic[4]);

/* Reads the file's header. */
MUST_CHECK int pcap_read_header(struct input *in, const char *name, struct pcap_format *f, struct error *e);

/* The next record into p (all but `interface`); 1, 0 at the end, or a negative code. `number` counts records for
 * messages. */
MUST_CHECK int pcap_read_record(struct input *in, const char *name, const struct pcap_format *f, uint64_t number,
                                struct pcapng_packet *p, bool *stays, struct error *e);

#endif
