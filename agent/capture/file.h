/*
 * file: capture files as a source of packets: pcap (micro- and nanoseconds, both byte orders, versions 2.0 to 2.4, the
 * "modified" format of Kuznetzov's libpcap) and pcapng (several sections and interfaces), plain, gzip or zstd, of any
 * size, from a path or a pipe. Memory does not depend on the size.
 *
 * What a file says it lacks is given as SOURCE_LOSS: packets lost in front of a packet (epb_dropcount, the old block's
 * drops) as drops of the interface, since they do not say whose they are; interface statistics (isb_ifdrop,
 * isb_osdrop), which are totals, as far as they go beyond what was told before, the packets' own included.
 *
 * A packet whose block has no time (SPB) comes at the time of the packet before it in the file, the first one at 0.
 *
 * A malformed file gives an error that names the file, the packet or block, and the byte of the (expanded) stream where
 * it is; what was readable before has been given already.
 */
#ifndef FLEETDUMP_AGENT_CAPTURE_FILE_H
#define FLEETDUMP_AGENT_CAPTURE_FILE_H

#include "agent/capture/source.h"
#include <stdatomic.h>

/* Opens the file ("-" for the standard input) and reads its header. ERROR_NOT_FOUND, ERROR_SYSTEM, ERROR_UNSUPPORTED
 * (another kind of file), ERROR_INVALID, ERROR_TRUNCATED; here and later ERROR_CANCELLED once *stop (which may be NULL)
 * is set while a pipe is silent. */
MUST_CHECK int capture_file_open(const char *path, const atomic_bool *stop, struct source **out, struct error *e);

/* Blocks that hold no packets and are not carried on (names, secrets, journal entries, unknown ones). */
uint64_t capture_file_skipped(const struct source *s);

/* The path without folders and the known endings (.pcapng.gz, .cap, ...), as a name for an interface or a capture: "-"
 * is "stdin"; bytes that are no clean text (utf8_clean) are '?'. Writes at most len bytes with the final 0, returns
 * buf.
 */
char *capture_file_name(const char *path, char *buf, size_t len);

#endif
