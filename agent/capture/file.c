/* file: tells the formats apart and gives both the face of a source. */
#include "agent/capture/file.h"
#include "agent/capture/file_pcap.h"
#include "agent/capture/input.h"
#include "common/base/bytes.h"
#include "common/packet/packet.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct capture_file {
    struct source source; /* first: the two are cast into each other */
    char *name;
    struct input *input;
    uint64_t packets;
    uint64_t skipped;

    /* pcap */
    struct pcap_format pcap;
    bool announced;

    /* pcapng */
    struct pcapng_reader *pcapng;
    uint32_t sections;
    uint64_t last_ns; /* for packets without a time */
    uint64_t *drops;  /* told so far, per interface */
    uint32_t drops_length;
};

static struct capture_file *file_of(struct source *s)
{
    return (struct capture_file *)s;
}

static int pcap_next(struct source *s, struct source_item *item, struct error *e)
{
    struct capture_file *f = file_of(s);
    item->interface = 0;
    if (!f->announced) {
        f->announced = true;
        item->kind = SOURCE_INTERFACE;
        item->generation = 0;
        item->info = (struct pcapng_interface){
            .name = "", .description = "", .link_type = f->pcap.link_type, .snaplen = f->pcap.snaplen};
        return 0;
    }
    int code = pcap_read_record(f->input, f->name, &f->pcap, f->packets + 1, &item->packet, e);
    if (code < 0)
        return code;
    item->kind = code ? SOURCE_PACKET : SOURCE_END;
    f->packets += (uint64_t)code;
    return 0;
}

/* Bytes for the pcapng reader. */
static long read_input(void *context, void *buf, size_t len, struct error *e)
{
    struct capture_file *f = context;
    uint32_t want = len < INPUT_NEED_MAX ? (uint32_t)len : INPUT_NEED_MAX;
    const uint8_t *data;
    long n = input_need(f->input, want, &data, e);
    if (n > 0) {
        memcpy(buf, data, (size_t)n);
        input_take(f->input, (uint32_t)n);
    }
    return n;
}

/* The drops that an interface's statistics tell are totals: gives what is new. */
static int new_drops(struct capture_file *f, uint32_t interface, uint64_t total, uint64_t *more, struct error *e)
{
    if (interface >= f->drops_length) {
        uint32_t length = interface + 16;
        uint64_t *grown = realloc(f->drops, length * sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "%s: no memory for %u interfaces", f->name, length);
        memset(grown + f->drops_length, 0, (length - f->drops_length) * sizeof *grown);
        f->drops = grown;
        f->drops_length = length;
    }
    uint64_t known = f->drops[interface];
    *more = total > known ? total - known : 0;
    if (*more)
        f->drops[interface] = total;
    return 0;
}

static int give_loss(struct capture_file *f, const struct pcapng_item *p, struct source_item *item, bool *given,
                     struct error *e)
{
    if (p->statistics_dropped == UINT64_MAX)
        return 0;
    item->kernel_drops = 0;
    int code = new_drops(f, p->interface, p->statistics_dropped, &item->interface_drops, e);
    *given = !code && item->interface_drops > 0;
    item->kind = SOURCE_LOSS;
    item->interface = p->interface;
    return code;
}

static void give_interface(struct capture_file *f, const struct pcapng_item *p, struct source_item *item)
{
    item->kind = SOURCE_INTERFACE;
    item->interface = p->interface;
    item->generation = f->sections;
    item->info = p->interface_info;
}

static int give_packet(struct capture_file *f, const struct pcapng_item *p, struct source_item *item, struct error *e)
{
    item->kind = SOURCE_PACKET;
    item->packet = p->packet;
    item->interface = p->packet.interface;
    f->packets++;
    if (!p->has_time)
        item->packet.time_ns = f->last_ns;
    f->last_ns = item->packet.time_ns;
    if (item->packet.captured > PACKET_SNAPLEN_MAX)
        return error_set(
            e, ERROR_INVALID, "%s: packet %llu at byte %llu has %u bytes, more than the %u that packets have", f->name,
            (unsigned long long)f->packets, (unsigned long long)p->offset, item->packet.captured, PACKET_SNAPLEN_MAX);
    return 0;
}

static int pcapng_file_next(struct source *s, struct source_item *item, struct error *e)
{
    struct capture_file *f = file_of(s);
    for (;;) {
        struct pcapng_item p;
        int code = pcapng_reader_next(f->pcapng, &p, e);
        if (code)
            return error_prefix(e, "%s", f->name);
        bool given = false;
        switch (p.kind) {
        case PCAPNG_ITEM_END:
            item->kind = SOURCE_END;
            return 0;
        case PCAPNG_ITEM_SECTION:
            f->sections++;
            break;
        case PCAPNG_ITEM_INTERFACE:
            give_interface(f, &p, item);
            return 0;
        case PCAPNG_ITEM_PACKET:
            return give_packet(f, &p, item, e);
        case PCAPNG_ITEM_STATISTICS:
            code = give_loss(f, &p, item, &given, e);
            if (code || given)
                return code;
            break;
        default:
            f->skipped++;
            break;
        }
    }
}

static uint64_t file_progress(struct source *s, uint64_t *total)
{
    return input_progress(file_of(s)->input, total);
}

static void file_close(struct source *s)
{
    struct capture_file *f = file_of(s);
    pcapng_reader_free(f->pcapng);
    input_close(f->input);
    free(f->drops);
    free(f->name);
    free(f);
}

/* The formats that people may try, by how they begin. */
static const struct {
    const char *magic;
    size_t length;
    const char *name;
} foreign[] = {
    {"snoop\0\0\0", 8, "a snoop file"},    {"\x7fver", 4, "an EtherPeek file"},   {"XCP\0", 4, "a NetXRay file"},
    {"GMBU", 4, "a Network Monitor file"}, {"RTSS", 4, "a Network Monitor file"}, {"\x52\xcc", 2, "a LANalyzer file"},
};

static int not_a_capture(const char *name, const uint8_t *data, size_t len, struct error *e)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (len >= foreign[i].length && memcmp(data, foreign[i].magic, foreign[i].length) == 0)
            return error_set(e, ERROR_UNSUPPORTED,
                             "%s: is %s, which is not read here; convert it by 'editcap -F pcapng'", name,
                             foreign[i].name);
    if (len == 0)
        return error_set(e, ERROR_TRUNCATED, "%s: is empty", name);
    return error_set(e, len < 4 ? ERROR_TRUNCATED : ERROR_UNSUPPORTED,
                     "%s: is no capture file: byte 0 begins neither pcap nor pcapng", name);
}

static int read_start(struct capture_file *f, struct error *e)
{
    const uint8_t *data;
    long n = input_need(f->input, 8, &data, e);
    if (n < 0)
        return (int)n;
    if (n >= 4 && pcap_is(data)) {
        f->source.next = pcap_next;
        return pcap_read_header(f->input, f->name, &f->pcap, e);
    }
    struct bytes b = bytes_of(data, (size_t)n);
    if (bytes_be32(&b) != PCAPNG_SHB) /* the same in both byte orders */
        return not_a_capture(f->name, data, (size_t)n, e);
    f->source.next = pcapng_file_next;
    return pcapng_reader_new(read_input, f, &f->pcapng, e);
}

int capture_file_open(const char *path, struct source **out, struct error *e)
{
    *out = NULL;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    struct capture_file *f = calloc(1, sizeof *f);
    struct input *in = NULL;
    int code = input_open(path, &in, e);
    if (code) {
        free(f);
        return code;
    }
    if (f)
        f->name = strdup(name);
    if (!f || !f->name) {
        input_close(in);
        free(f);
        return error_set(e, ERROR_MEMORY, "%s: no memory to read it", name);
    }
    f->input = in;
    f->source.progress = file_progress;
    f->source.close = file_close;
    code = read_start(f, e);
    if (code) {
        file_close(&f->source);
        return code;
    }
    *out = &f->source;
    return 0;
}

uint64_t capture_file_skipped(const struct source *s)
{
    return ((const struct capture_file *)s)->skipped;
}

static bool cut_ending(char *name, const char *const *endings)
{
    size_t length = strlen(name);
    for (; *endings; endings++) {
        size_t n = strlen(*endings);
        if (length > n && strcasecmp(name + length - n, *endings) == 0) {
            name[length - n] = 0;
            return true;
        }
    }
    return false;
}

char *capture_file_name(const char *path, char *buf, size_t len)
{
    static const char *const compressions[] = {".gz", ".zst", NULL};
    static const char *const formats[] = {".pcapng", ".pcap", ".cap", ".ntar", ".dmp", ".dump", ".trc", NULL};
    const char *slash = strrchr(path, '/');
    snprintf(buf, len, "%s", strcmp(path, "-") == 0 ? "stdin" : slash ? slash + 1 : path);
    (void)cut_ending(buf, compressions);
    (void)cut_ending(buf, formats);
    return buf;
}
