/*
 * ring_tool: reads live interfaces by agent/capture/ring, for live_ring.py to compare.
 *
 *   ring_tool [-f FILTER] [-c] [-s SNAPLEN] [-b RING_BYTES] [-x] -w FILE INTERFACE...
 *   ring_tool -l [GLOB...]     the interfaces that would be chosen
 *
 * Wanted packets go into FILE.<n>.pcap (n: the interface's number on the command line), companions (-c) into FILE.<n>.more. -x: only whether the
 * interfaces can be opened. Lines on standard output: "open N LINKTYPE", "down N", "up N", "gone N", "name N NAME", "error TEXT", and at the end
 * "end N WANTED COMPANIONS OUTGOING KERNEL INTERFACE". Lines on standard input: "hold" stops reading, "go" goes on; its end ends the program, after QUIET_MS
 * without a packet.
 */
#include "agent/capture/ring.h"
#include "common/base/clock.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_MS (8 * RING_RETIRE_MS) /* the kernel's timer may be late on a busy machine */
#include <unistd.h>

#define MOST 8

struct tapped {
    struct ring *ring;
    FILE *files[2];
    uint64_t count[2], outgoing;
    bool down, gone;
};

static void put32(FILE *f, uint32_t v)
{
    (void)fwrite(&v, sizeof v, 1, f);
}

static FILE *open_file(const char *base, int n, const char *ending, const struct pcapng_interface *i)
{
    char path[512];
    snprintf(path, sizeof path, "%s.%d.%s", base, n, ending);
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    put32(f, 0xa1b23c4d);
    put32(f, 2 | 4 << 16);
    put32(f, 0);
    put32(f, 0);
    put32(f, i->snaplen);
    put32(f, i->link_type);
    return f;
}

static void write_packet(struct tapped *t, const struct ring_packet *p)
{
    FILE *f = t->files[!p->wanted];
    put32(f, (uint32_t)(p->packet.time_ns / NS_PER_S));
    put32(f, (uint32_t)(p->packet.time_ns % NS_PER_S));
    put32(f, p->packet.captured);
    put32(f, p->packet.wire);
    (void)fwrite(p->packet.data, p->packet.captured, 1, f);
    t->count[!p->wanted]++;
    t->outgoing += p->packet.flags == PCAPNG_DIRECTION_OUT;
}

static int take(void *context, const struct ring_packet *p, size_t n, struct error *e)
{
    (void)e;
    for (size_t i = 0; i < n; i++)
        write_packet(context, &p[i]);
    return 0;
}

static void say_down(struct tapped *t, int n, bool down)
{
    if (t->down != down)
        printf("%s %d\n", down ? "down" : "up", n);
    t->down = down;
}

static int read_ring(struct tapped *t, int n)
{
    struct error e = ERROR_INIT;
    int code = ring_read(t->ring, 1000, take, t, &e);
    if (code == ERROR_NOT_FOUND) {
        if (!t->gone)
            printf("gone %d\n", n);
        t->gone = true; /* what came before may still be in the ring */
    } else if (code < 0 && code != ERROR_UNREACHABLE) {
        printf("error %s\n", e.text);
        exit(1);
    } else if (!t->gone) {
        say_down(t, n, code == ERROR_UNREACHABLE);
    }
    return code > 0 ? code : 0;
}

static void look(struct tapped *t, int n)
{
    if (!t->gone && ring_renamed(t->ring) == 1)
        printf("name %d %s\n", n, ring_interface(t->ring)->name);
    (void)read_ring(t, n);
}

static bool command(bool *hold)
{
    char line[16];
    if (!fgets(line, sizeof line, stdin))
        return false;
    *hold = strcmp(line, "hold\n") == 0;
    printf("%s", line);
    return true;
}

static void run(struct tapped *all, int count)
{
    struct pollfd fds[MOST + 2];
    struct error e = ERROR_INIT;
    bool hold = false, open = true;
    int watch = ring_watch_open(&e);
    for (int taken = 1; open || taken;) {
        for (int i = 0; i < count; i++)
            fds[i] = (struct pollfd){.fd = hold ? -1 : ring_fd(all[i].ring), .events = POLLIN};
        fds[count] = (struct pollfd){.fd = open ? 0 : -1, .events = POLLIN};
        fds[count + 1] = (struct pollfd){.fd = watch, .events = POLLIN};
        (void)poll(fds, (nfds_t)count + 2, open ? -1 : QUIET_MS);
        taken = open; /* when it is closed, there is one more turn */
        if (fds[count].revents)
            open = command(&hold);
        for (int i = 0; i < count; i++)
            if (fds[i].revents)
                taken += read_ring(&all[i], i);
        if (fds[count + 1].revents) {
            ring_watch_take(watch);
            for (int i = 0; i < count; i++)
                look(&all[i], i);
        }
        for (int i = 0; i < count; i++) {
            fflush(all[i].files[0]);
            fflush(all[i].files[1]);
        }
    }
}

static int finish(struct tapped *all, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t kernel, interface;
        ring_drops(all[i].ring, &kernel, &interface);
        printf("end %d %llu %llu %llu %llu %llu\n", i, (unsigned long long)all[i].count[0],
               (unsigned long long)all[i].count[1], (unsigned long long)all[i].outgoing, (unsigned long long)kernel,
               (unsigned long long)interface);
        fclose(all[i].files[0]);
        fclose(all[i].files[1]);
        ring_close(all[i].ring);
    }
    return 0;
}

static int list(const char *const *globs, size_t count)
{
    struct error e = ERROR_INIT;
    struct ring_choice *chosen;
    size_t n;
    int code = ring_choose(globs, count, &chosen, &n, &e);
    if (!code && !n)
        code = ring_none(globs, count, &e);
    if (code)
        printf("error %s: %s\n", error_name(code), e.text);
    for (size_t i = 0; i < n; i++)
        printf("%s\n", chosen[i].name);
    free(chosen);
    return code != 0;
}

int main(int argc, char **argv)
{
    struct ring_options o = {.filter = "", .ring_bytes = 4u << 20};
    struct tapped all[MOST] = {0};
    const char *base = NULL;
    bool check = false;
    int option, count = 0;
    while ((option = getopt(argc, argv, "f:cs:b:w:xl")) != -1) {
        if (option == 'f')
            o.filter = optarg;
        if (option == 'c')
            o.companions = true;
        if (option == 's')
            o.snaplen = (uint32_t)atoi(optarg);
        if (option == 'b')
            o.ring_bytes = (uint32_t)atoi(optarg);
        if (option == 'w')
            base = optarg;
        if (option == 'l')
            return list((const char *const *)argv + optind, (size_t)(argc - optind));
        if (option == 'x')
            check = true;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll is to see every line */
    for (; optind < argc && count < MOST; optind++, count++) {
        struct error e = ERROR_INIT;
        struct tapped *t = &all[count];
        int code = check ? ring_check(argv[optind], &o, &e) : ring_open(argv[optind], &o, &t->ring, &e);
        if (code) {
            printf("error %s: %s\n", error_name(code), e.text);
            return 1;
        }
        if (check)
            continue;
        const struct pcapng_interface *i = ring_interface(t->ring);
        t->files[0] = open_file(base, count, "pcap", i);
        t->files[1] = open_file(base, count, "more", i);
        printf("open %d %u\n", count, i->link_type);
    }
    if (check)
        return 0;
    run(all, count);
    return finish(all, count);
}
