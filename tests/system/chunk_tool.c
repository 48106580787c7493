/*
 * What system tests need of common/chunk on a command line:
 *
 *   chunk_tool packets FILE.pcapng              interface, time, captured and wire length of each packet
 *   chunk_tool pack FILE.pcapng BODY HEAD [N]   a body and its head from a capture; frames closed at N raw bytes
 *   chunk_tool verify BODY HEAD                 says nothing if all is well
 *   chunk_tool scan BODY                        frames of a body without its head, where they end and why
 *   chunk_tool frames BODY HEAD                 frames as the head describes them
 *   chunk_tool forge HEAD BODY TO KEY=VALUE...  TO.head and TO.body, with another agent, capture, seq, epoch (hex), or with the
 *                                               content of a file as the first frame, hashes and lengths as they have to be
 *   chunk_tool speed FILE LEVEL...              compressing the file frame by frame
 */
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/hash.h"
#include "tests/unit/body_frame.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static long read_fd(void *context, void *buf, size_t len, struct error *e)
{
    ssize_t n = read(*(const int *)context, buf, len);
    return n < 0 ? error_set(e, ERROR_SYSTEM, "cannot read") : (long)n;
}

static int open_reader(const char *path, int *fd, struct pcapng_reader **reader, struct error *e)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? error_set(e, ERROR_NOT_FOUND, "cannot open %s", path) : pcapng_reader_new(read_fd, fd, reader, e);
}

static int packets(char **argv, struct error *e)
{
    int fd;
    struct pcapng_reader *reader = NULL;
    struct pcapng_item item;
    int r = open_reader(argv[0], &fd, &reader, e);
    while (!r && (r = pcapng_reader_next(reader, &item, e)) == 0 && item.kind != PCAPNG_ITEM_END) {
        const struct pcapng_packet *p = &item.packet;
        if (item.kind == PCAPNG_ITEM_PACKET)
            printf("%u\t%" PRIu64 "\t%u\t%u\n", p->interface, item.has_time ? p->time_ns : 0, p->captured, p->wire);
    }
    pcapng_reader_free(reader);
    return r;
}

/* --- pack --- */

struct open_frame {
    struct buffer raw;
    struct head_frame about;
};

struct packer {
    struct chunk_head head;
    struct head_interface interfaces[HEAD_INTERFACES_MAX];
    struct counters cumulative[HEAD_INTERFACES_MAX];
    struct open_frame frames[HEAD_INTERFACES_MAX];
    struct body_writer *writer;
    struct frame_codec *codec;
    struct buffer body, packed;
    uint32_t next_frame;
    uint32_t frame_target;
};

static char *copy(const char *text)
{
    char *c = strdup(text ? text : "");
    if (c && strlen(c) > HEAD_NAME_MAX)
        c[HEAD_NAME_MAX] = 0;
    return c;
}

static int pack_interface(struct packer *p, const struct pcapng_item *item, struct error *e)
{
    const struct pcapng_interface *from = &item->interface_info;
    if (p->head.interface_count == HEAD_INTERFACES_MAX)
        return error_set(e, ERROR_LIMIT, "too many interfaces");
    struct head_interface *i = &p->interfaces[p->head.interface_count++];
    i->name = copy(from->name);
    i->description = copy(from->description);
    i->link_type = from->link_type;
    i->snaplen = from->snaplen;
    i->speed_bps = from->speed_bps;
    i->has_mac = from->mac != NULL;
    if (from->mac)
        memcpy(i->mac, from->mac, sizeof(i->mac));
    return 0;
}

static int close_frame(struct packer *p, uint32_t interface, struct error *e)
{
    struct open_frame *f = &p->frames[interface];
    if (!f->raw.len)
        return 0;
    f->about.interface = interface;
    f->about.raw_length = (uint32_t)f->raw.len;
    buffer_clear(&p->packed);
    int r = frame_compress(p->codec, 1, f->raw.data, f->raw.len, &p->packed, e);
    r = r ? r : body_frame(p->writer, p->next_frame++, &f->about, p->packed.data, p->packed.len, &p->body, e);
    buffer_clear(&f->raw);
    f->about = (struct head_frame){0};
    return r;
}

static int pack_packet(struct packer *p, const struct pcapng_packet *packet, struct error *e)
{
    struct open_frame *f = &p->frames[packet->interface];
    struct counters *c = &p->cumulative[packet->interface];
    int r = f->raw.len + packet->captured > p->frame_target ? close_frame(p, packet->interface, e) : 0;
    if (r)
        return r;
    pcapng_write_packet(&f->raw, packet);
    if (!f->about.packets++)
        f->about.first_ns = f->about.last_ns = packet->time_ns;
    f->about.first_ns = packet->time_ns < f->about.first_ns ? packet->time_ns : f->about.first_ns;
    f->about.last_ns = packet->time_ns > f->about.last_ns ? packet->time_ns : f->about.last_ns;
    c->value[COUNTER_RECEIVED]++;
    c->value[COUNTER_RECEIVED_BYTES] += packet->wire;
    c->value[COUNTER_STORED]++;
    c->value[COUNTER_KEPT]++;
    return 0;
}

/* Interface blocks may stand between packets, a body wants them all first: the file is read twice. */
static int each_item(const char *path, struct packer *p, bool interfaces, struct error *e)
{
    int fd;
    struct pcapng_reader *reader = NULL;
    struct pcapng_item item;
    int r = open_reader(path, &fd, &reader, e);
    while (!r && (r = pcapng_reader_next(reader, &item, e)) == 0 && item.kind != PCAPNG_ITEM_END) {
        if (interfaces && item.kind == PCAPNG_ITEM_INTERFACE)
            r = pack_interface(p, &item, e);
        else if (!interfaces && item.kind == PCAPNG_ITEM_PACKET)
            r = pack_packet(p, &item.packet, e);
        else if (!interfaces && item.kind == PCAPNG_ITEM_JOURNAL && p->head.interface_count)
            pcapng_write_journal(&p->frames[0].raw, (const char *)item.body, item.body_length);
    }
    pcapng_reader_free(reader);
    close(fd);
    return r;
}

static int write_file(const char *path, const struct buffer *b, struct error *e)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(b->data, 1, b->len, f) != b->len || fclose(f) != 0)
        return error_set(e, ERROR_SYSTEM, "cannot write %s", path);
    return 0;
}

static int pack_body(struct packer *p, char **argv, struct error *e)
{
    struct chunk_head *h = &p->head;
    int r = each_item(argv[0], p, true, e);
    r = r ? r : body_writer_new(h, &p->body, &p->writer, e);
    r = r ? r : each_item(argv[0], p, false, e);
    for (uint32_t i = 0; i < h->interface_count && !r; i++)
        r = close_frame(p, i, e);
    for (uint32_t i = 0; i < h->interface_count; i++) {
        p->interfaces[i].counters = p->cumulative[i];
        counters_add(&h->totals, &p->cumulative[i]);
    }
    r = r ? r : body_writer_finish(p->writer, p->cumulative, h->seal_wall_ns, h, &p->body, e);
    struct buffer head = {0};
    r = r ? r : head_encode(h, &head, e);
    r = r ? r : write_file(argv[1], &p->body, e);
    return r ? r : write_file(argv[2], &head, e);
}

static int pack(char **argv, struct error *e)
{
    struct packer *p = calloc(1, sizeof(*p));
    if (!p || !(p->codec = frame_codec_new()))
        return error_set(e, ERROR_MEMORY, "no memory");
    p->frame_target = argv[3] ? (uint32_t)strtoul(argv[3], NULL, 10) : FRAME_RAW_TARGET;
    p->head = (struct chunk_head){
        .kind = HEAD_CHUNK,
        .seal = SEAL_END,
        .epoch = {0xfe, 1, 2, 3},
        .agent = (char[]){"web-1"},
        .capture = (char[]){"monday"},
        .software = (char[]){"fleetdump " FLEETDUMP_VERSION},
        .filter = (char[]){"tcp port 80"},
        .open_wall_ns = 1700000000000000000,
        .seal_wall_ns = 1700000060000000000,
        .first_ns = UINT64_MAX,
        .interfaces = p->interfaces,
    };
    return pack_body(p, argv, e);
}

/* --- verify, scan --- */

static int open_body(const char *path, struct body_file *file, struct body_source *s, struct error *e)
{
    struct stat st;
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &st) != 0)
        return error_set(e, ERROR_NOT_FOUND, "cannot open %s", path);
    *s = body_source_file(file, (uint64_t)st.st_size);
    return 0;
}

static int open_both(char **argv, struct body_file *file, struct body_source *s, struct chunk_head *h, struct error *e)
{
    char *data = NULL;
    size_t len = 0;
    int r = open_body(argv[0], file, s, e);
    r = r ? r : fs_read_file(AT_FDCWD, argv[1], HEAD_BYTES_MAX, &data, &len, e);
    return r ? r : head_decode(data, len, h, e);
}

static int verify(char **argv, struct error *e)
{
    struct body_file file = {0};
    struct body_source s;
    struct chunk_head h;
    int r = open_both(argv, &file, &s, &h, e);
    return r ? r : body_verify(&s, &h, e);
}

static void print_frames(const struct chunk_head *h)
{
    for (uint32_t i = 0; i < h->frame_count; i++) {
        const struct head_frame *f = &h->frames[i];
        printf("frame\t%u\t%" PRIu64 "\t%u\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\n", f->interface, f->offset, f->length,
               f->raw_length, f->packets, f->first_ns, f->last_ns);
    }
}

static int frames(char **argv, struct error *e)
{
    struct body_file file = {0};
    struct body_source s;
    struct chunk_head h;
    int r = open_both(argv, &file, &s, &h, e);
    if (!r)
        print_frames(&h);
    return r;
}

static int scan(char **argv, struct error *e)
{
    struct body_file file = {0};
    struct body_source s;
    struct chunk_head h;
    struct error reason;
    uint64_t end = 0;
    int r = open_body(argv[0], &file, &s, e);
    r = r ? r : body_scan(&s, &h, &end, &reason, e);
    if (r)
        return r;
    printf("ids\t%s\t%s\t%s\t%" PRIu64 "\n", h.agent, h.capture, h.filter, h.seq);
    for (uint32_t i = 0; i < h.interface_count; i++)
        printf("interface\t%s\t%s\t%u\n", h.interfaces[i].name, h.interfaces[i].description, h.interfaces[i].link_type);
    print_frames(&h);
    printf("end\t%" PRIu64 "\t%s\t%s\n", end, error_name(reason.code), reason.code ? reason.text : "");
    head_free(&h);
    return 0;
}

/* --- forge --- */

struct forged {
    struct chunk_head head;
    char *bytes, *body;
    size_t head_length, body_length;
};

static int put_file(const char *to, const char *ending, const void *data, size_t len, struct error *e)
{
    char path[4096];
    snprintf(path, sizeof path, "%s%s", to, ending);
    return fs_replace(AT_FDCWD, path, data, len, 0600, NULL, e);
}

/* The frame as it is on disk, and what stands behind it moves. */
static int replace_frame(struct forged *f, const char *path, struct error *e)
{
    char *frame = NULL;
    size_t len = 0;
    struct head_frame *first = f->head.frames;
    int r = fs_read_file(AT_FDCWD, path, 1u << 20, &frame, &len, e);
    char *body = r ? NULL : malloc(f->body_length + len);
    if (!body)
        return r ? r : error_set(e, ERROR_MEMORY, "no memory");
    size_t behind = first->offset + first->length;
    memcpy(body, f->body, first->offset);
    memcpy(body + first->offset, frame, len);
    memcpy(body + first->offset + len, f->body + behind, f->body_length - behind);
    for (uint32_t i = 1; i < f->head.frame_count; i++)
        f->head.frames[i].offset = f->head.frames[i].offset + len - first->length;
    f->body_length = f->body_length + len - first->length;
    first->length = (uint32_t)len;
    free(f->body);
    free(frame);
    f->body = body;
    f->head.body_length = f->body_length;
    f->head.body_hash = hash64(body, f->body_length);
    return 0;
}

static int take_epoch(struct forged *f, const char *hex, struct error *e)
{
    for (size_t i = 0; i < EPOCH_SIZE; i++)
        if (sscanf(hex + 2 * i, "%2hhx", &f->head.epoch[i]) != 1)
            return error_set(e, ERROR_USAGE, "an epoch is 32 hex digits");
    return 0;
}

static int change(struct forged *f, char *word, struct error *e)
{
    char *value = strchr(word, '=');
    if (!value)
        return error_set(e, ERROR_USAGE, "%s: KEY=VALUE", word);
    *value++ = 0;
    if (strcmp(word, "agent") == 0)
        f->head.agent = value;
    else if (strcmp(word, "capture") == 0)
        f->head.capture = value;
    else if (strcmp(word, "seq") == 0)
        f->head.seq = f->head.last_seq = strtoull(value, NULL, 10);
    else if (strcmp(word, "epoch") == 0)
        return take_epoch(f, value, e);
    else if (strcmp(word, "frame") == 0)
        return replace_frame(f, value, e);
    else
        return error_set(e, ERROR_USAGE, "%s: no such key", word);
    return 0;
}

static int forge(char **argv, struct error *e)
{
    struct forged f = {0};
    struct buffer out = {0};
    int r = fs_read_file(AT_FDCWD, argv[0], HEAD_BYTES_MAX, &f.bytes, &f.head_length, e);
    if (!r)
        r = fs_read_file(AT_FDCWD, argv[1], 64u << 20, &f.body, &f.body_length, e);
    if (!r)
        r = head_decode(f.bytes, f.head_length, &f.head, e);
    for (char **word = argv + 3; *word && !r; word++)
        r = change(&f, *word, e);
    if (!r)
        r = head_encode(&f.head, &out, e);
    if (!r)
        r = put_file(argv[2], ".head", out.data, out.len, e);
    return r ? r : put_file(argv[2], ".body", f.body, f.body_length, e);
}

/* --- speed --- */

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int speed_at(struct frame_codec *c, int level, const uint8_t *data, size_t len, struct error *e)
{
    struct buffer out = {0};
    size_t total = 0;
    double start = cpu_s();
    int r = 0;
    for (size_t at = 0; at < len && !r; at += FRAME_RAW_TARGET) {
        buffer_clear(&out);
        r = frame_compress(c, level, data + at, len - at < FRAME_RAW_TARGET ? len - at : FRAME_RAW_TARGET, &out, e);
        total += out.len;
    }
    printf("level %d: ratio %.3f, %.0f MB/s\n", level, (double)len / (double)total,
           (double)len / (cpu_s() - start) / 1e6);
    buffer_free(&out);
    return r;
}

static int speed(char **argv, struct error *e)
{
    char *data = NULL;
    size_t len = 0;
    struct frame_codec *c = frame_codec_new();
    int r = fs_read_file(AT_FDCWD, argv[0], (size_t)1 << 32, &data, &len, e);
    for (char **level = argv + 1; *level && !r; level++)
        r = speed_at(c, atoi(*level), (const uint8_t *)data, len, e);
    return r;
}

static const struct command {
    const char *name;
    int arguments;
    int (*run)(char **argv, struct error *e);
} commands[] = {
    {"packets", 1, packets}, {"pack", 3, pack},   {"verify", 2, verify}, {"scan", 1, scan},
    {"frames", 2, frames},   {"speed", 2, speed}, {"forge", 4, forge},
};

int main(int argc, char **argv)
{
    struct error e = ERROR_INIT;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (argc < 2 + commands[i].arguments || strcmp(argv[1], commands[i].name) != 0)
            continue;
        int r = commands[i].run(argv + 2, &e);
        if (r)
            fprintf(stderr, "%s: %s\n", error_name(r), e.text);
        fflush(stdout);
        _exit(r != 0); /* one command, one process: what it holds goes with it, and is no leak */
    }
    fprintf(stderr, "usage: see chunk_tool.c\n");
    return 2;
}
