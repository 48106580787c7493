/* file_pcap: draft-ietf-opsawg-pcap, and what libpcap accepts besides. */
#include "agent/capture/file_pcap.h"
#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/packet/packet.h"

#define MAGIC_MICRO     0xa1b2c3d4u
#define MAGIC_NANO      0xa1b23c4du
#define MAGIC_MODIFIED  0xa1b2cd34u /* Alexey Kuznetzov's: longer record headers */
#define HEADER_SIZE     24u
#define RECORD_SIZE     16u
#define RECORD_MODIFIED 24u
#define LINK_TYPE_MASK  0x0000ffffu
#define LINK_RESERVED   0x03ff0000u /* above: the length of a frame check sequence */
#define VERSION_DG_UX   543u        /* DG/UX's tcpdump: version 543.0 */

static bool known_magic(uint32_t magic)
{
    return magic == MAGIC_MICRO || magic == MAGIC_NANO || magic == MAGIC_MODIFIED;
}

static uint32_t get32(const struct pcap_format *f, struct bytes *b)
{
    return f->swapped ? bytes_be32(b) : bytes_le32(b);
}

static uint32_t get16(const struct pcap_format *f, struct bytes *b)
{
    return f->swapped ? bytes_be16(b) : bytes_le16(b);
}

bool pcap_is(const uint8_t magic[4])
{
    struct bytes le = bytes_of(magic, 4), be = le;
    return known_magic(bytes_le32(&le)) || known_magic(bytes_be32(&be));
}

static int check_version(const char *name, uint32_t major, uint32_t minor, struct error *e)
{
    if ((major == 2 && minor <= 4) || (major == VERSION_DG_UX && minor == 0))
        return 0;
    return error_set(e, ERROR_VERSION, "%s: pcap version %u.%u at byte 4; only 2.0 to 2.4 are known", name, major,
                     minor);
}

static int read_magic(const char *name, struct bytes *b, struct pcap_format *f, struct error *e)
{
    struct bytes be = *b;
    uint32_t magic = bytes_le32(b);
    f->swapped = !known_magic(magic);
    if (f->swapped)
        magic = bytes_be32(&be);
    if (!known_magic(magic))
        return error_set(e, ERROR_UNSUPPORTED, "%s: does not begin as a pcap file", name);
    f->nanoseconds = magic == MAGIC_NANO;
    f->record_size = magic == MAGIC_MODIFIED ? RECORD_MODIFIED : RECORD_SIZE;
    return 0;
}

int pcap_read_header(struct input *in, const char *name, struct pcap_format *f, struct error *e)
{
    const uint8_t *data;
    long n = input_need(in, HEADER_SIZE, &data, e);
    if (n < 0)
        return (int)n;
    if (n < (long)HEADER_SIZE)
        return error_set(e, ERROR_TRUNCATED, "%s: cut off in the file header, at byte %ld of %u", name, n, HEADER_SIZE);
    struct bytes b = bytes_of(data, HEADER_SIZE);
    int code = read_magic(name, &b, f, e);
    if (code)
        return code;
    uint32_t major = get16(f, &b), minor = get16(f, &b);
    code = check_version(name, major, minor, e);
    if (code)
        return code;
    f->swapped_lengths = major == VERSION_DG_UX || minor < 4;
    bytes_skip(&b, 8); /* time zone and accuracy: always 0 in practice */
    f->snaplen = get32(f, &b);
    uint32_t link = get32(f, &b);
    if (link & LINK_RESERVED)
        return error_set(e, ERROR_INVALID, "%s: link type 0x%08x at byte 20 has reserved bits set", name, link);
    f->link_type = (uint16_t)(link & LINK_TYPE_MASK);
    input_take(in, HEADER_SIZE);
    return 0;
}

/* Before 2.3 the lengths stood the other way round; 2.3 was written in both ways, but captured <= wire tells. */
static void order_lengths(const struct pcap_format *f, struct pcapng_packet *p)
{
    if (f->swapped_lengths && p->captured > p->wire) {
        uint32_t captured = p->captured;
        p->captured = p->wire;
        p->wire = captured;
    }
}

/* Whether the next record is all there. */
static bool next_is_here(const struct input *in, const struct pcap_format *f)
{
    const uint8_t *data;
    size_t n = input_here(in, &data);
    if (n < f->record_size)
        return false;
    struct bytes b = bytes_of(data + 8, 8);
    uint32_t captured = get32(f, &b), wire = get32(f, &b);
    return captured <= n - f->record_size && (!f->swapped_lengths || wire <= n - f->record_size);
}

int pcap_read_record(struct input *in, const char *name, const struct pcap_format *f, uint64_t number,
                     struct pcapng_packet *p, bool *stays, struct error *e)
{
    unsigned long long at = input_offset(in), packet = number;
    const uint8_t *data;
    long n = input_need(in, f->record_size, &data, e);
    if (n <= 0)
        return (int)n;
    if (n < (long)f->record_size)
        return error_set(e, ERROR_TRUNCATED, "%s: cut off in the header of packet %llu, at byte %llu", name, packet,
                         at + (unsigned long long)n);
    struct bytes b = bytes_of(data, f->record_size);
    uint64_t seconds = get32(f, &b);
    uint64_t fraction = get32(f, &b);
    *p = (struct pcapng_packet){.time_ns = seconds * NS_PER_S + fraction * (f->nanoseconds ? 1 : NS_PER_US)};
    p->captured = get32(f, &b);
    p->wire = get32(f, &b);
    order_lengths(f, p);
    if (p->captured > PACKET_SNAPLEN_MAX)
        return error_set(e, ERROR_INVALID,
                         "%s: packet %llu at byte %llu claims %u bytes, more than the %u that packets have", name,
                         packet, at, p->captured, PACKET_SNAPLEN_MAX);
    uint32_t size = f->record_size + p->captured;
    n = input_need(in, size, &data, e);
    if (n < 0)
        return (int)n;
    if (n < (long)size)
        return error_set(e, ERROR_TRUNCATED, "%s: cut off in packet %llu, at byte %llu: %ld of its %u bytes are there",
                         name, packet, at + (unsigned long long)n, n - (long)f->record_size, p->captured);
    p->data = data + f->record_size;
    input_take(in, size);
    *stays = next_is_here(in, f);
    return 1;
}
