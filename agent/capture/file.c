/* file: tells the formats apart and gives both the face of a source. */
#include "agent/capture/file.h"
#include "agent/capture/file_pcap.h"
#include "agent/capture/input.h"
#include "common/base/bytes.h"
#include "common/base/utf8.h"
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
    uint64_t last_ns;  /* for packets without a time */
    struct told *told; /* per interface */
    uint32_t told_length;
    struct pcapng_item held; /* a packet whose loss was given first */
    bool has_held;
};

/* Losses given so far. */
struct told {
    uint64_t all;
    uint64_t kernel; /* of them: the system's */
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
    int code = pcap_read_record(f->input, f->name, &f->pcap, f->packets + 1, &item->packet, &item->stays, e);
    if (code < 0)
        return code;
    item->kind = code ? SOURCE_PACKET : SOURCE_END;
    item->time_limited = false;
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

static int told_of(struct capture_file *f, uint32_t interface, struct told **out, struct error *e)
{
    if (interface >= f->told_length) {
        uint32_t length = interface + 16;
        struct told *grown = realloc(f->told, length * sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "%s: no memory for %u interfaces", f->name, length);
        memset(grown + f->told_length, 0, (length - f->told_length) * sizeof *grown);
        f->told = grown;
        f->told_length = length;
    }
    *out = &f->told[interface];
    return 0;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t beyond(uint64_t total, uint64_t known)
{
    return total == UINT64_MAX || total < known ? 0 : total - known; /* UINT64_MAX: absent */
}

static int give_loss(struct capture_file *f, uint32_t interface, uint64_t kernel, uint64_t all,
                     struct source_item *item, struct error *e)
{
    struct told *told;
    int code = told_of(f, interface, &told, e);
    if (code)
        return code;
    told->all = add(told->all, all);
    told->kernel = add(told->kernel, kernel);
    item->kind = SOURCE_LOSS;
    item->interface = interface;
    item->kernel_drops = kernel;
    item->interface_drops = all - kernel;
    return 0;
}

/* The drops that an interface's statistics tell are totals: gives what is new. */
static int give_statistics(struct capture_file *f, const struct pcapng_item *p, struct source_item *item, bool *given,
                           struct error *e)
{
    struct told *told;
    int code = told_of(f, p->interface, &told, e);
    if (code)
        return code;
    uint64_t kernel = beyond(p->statistics_os_dropped, 0), interface = beyond(p->statistics_dropped, 0);
    uint64_t more = beyond(add(kernel, interface), told->all);
    *given = more > 0;
    kernel = beyond(kernel, told->kernel);
    return *given ? give_loss(f, p->interface, kernel < more ? kernel : more, more, item, e) : 0;
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
    item->time_limited = p->time_limited;
    item->stays = !p->packet.comment && pcapng_reader_packet_follows(f->pcapng);
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

/* Losses in front of a packet come before it. */
static int give_packet_or_loss(struct capture_file *f, const struct pcapng_item *p, struct source_item *item,
                               struct error *e)
{
    uint64_t drops = p->packet.dropcount;
    if (!drops)
        return give_packet(f, p, item, e);
    f->held = *p;
    f->has_held = true;
    return give_loss(f, p->packet.interface, 0, drops, item, e);
}

static int pcapng_file_next(struct source *s, struct source_item *item, struct error *e)
{
    struct capture_file *f = file_of(s);
    if (f->has_held) { /* the reader was not called since, so that its pointers are good */
        f->has_held = false;
        return give_packet(f, &f->held, item, e);
    }
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
            return give_packet_or_loss(f, &p, item, e);
        case PCAPNG_ITEM_STATISTICS:
            code = give_statistics(f, &p, item, &given, e);
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
    free(f->told);
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

int capture_file_open(const char *path, const atomic_bool *stop, struct source **out, struct error *e)
{
    *out = NULL;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    struct capture_file *f = calloc(1, sizeof *f);
    struct input *in = NULL;
    int code = input_open(path, stop, &in, e);
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
    utf8_clean(buf, strlen(buf));
    return buf;
}
