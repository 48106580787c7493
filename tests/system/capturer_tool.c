/*
 * capturer_tool: runs a capturer (agent/capturer.h) as the monitor does, for live_capturer.py.
 *
 *   capturer_tool [OPTION]... CONFIG INTERFACE...
 *     -f FILTER  -c (companions)  -k packets|headers|flows  -s SNAPLEN  -n PACKETS  -b BYTES  -r RATE  -e SECONDS (until its end)
 *     -o ADDRESS:PORT (IPv4: of the collector)  -N NET, -P PORTS (forbidden)  -p BYTES (of payload)
 *   capturer_tool -R CONFIG      recovers all streams in the spool whose writer is gone
 *
 * Lines on standard output: "pid N"; each report as JSON; "exit STATUS" or "signal N". Lines on standard input: "flush N" (its token), "stop", "part": closes
 * the socket; its end is the end of the monitor, too.
 */
#include "agent/capture/recover.h"
#include "agent/capturer.h"
#include "agent/process.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct forbid forbid;

static void put_text(const char *name, const char *text)
{
    printf("\"%s\": \"", name);
    for (; *text; text++)
        printf(*text == '"' || *text == '\\' || *text == '\n' ? "?" : "%c", *text);
    printf("\", ");
}

static void put_number(const char *name, uint64_t value)
{
    printf("\"%s\": %llu, ", name, (unsigned long long)value);
}

static void put_report(const struct monitor_report *r)
{
    printf("{");
    put_text("kind", r->kind == REPORT_FLUSHED ? "flushed" : r->kind == REPORT_STATE ? "state" : "other");
    put_text("phase", capture_phase_name((int)r->phase));
    put_text("text", r->text);
    put_number("token", r->token);
    put_number("packets", r->packets);
    put_number("bytes", r->bytes);
    put_number("packets_per_s", r->packets_per_s);
    put_number("kernel_drops", r->kernel_drops);
    put_number("other_drops", r->other_drops);
    put_number("own", r->own);
    put_number("forbidden", r->forbidden);
    put_number("streams", r->stream_count);
    put_number("next_seq", r->streams[0].next_seq);
    printf("\"interfaces\": [");
    for (uint32_t i = 0; i < r->interface_count && i < ORDER_LISTED_MAX; i++)
        printf("%s\"%s\"", i ? ", " : "", r->interfaces[i]);
    printf("]}\n");
}

static void read_reports(int fd)
{
    struct monitor_report r;
    ssize_t n;
    while ((n = recv(fd, &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC)) > 0) {
        if (monitor_report_is_sound(&r, (size_t)n))
            put_report(&r);
        else
            printf("{\"kind\": \"unsound\"}\n");
    }
}

/* False: nothing more comes. */
static bool read_command(int *fd, const struct order *o)
{
    struct monitor_request r = {.magic = ORDER_MAGIC};
    char line[64];
    if (!fgets(line, sizeof line, stdin))
        return false;
    memcpy(r.id, o->id, sizeof r.id);
    r.kind = strncmp(line, "flush", 5) == 0 ? REQUEST_FLUSH : REQUEST_STOP;
    r.token = strtoull(line + strcspn(line, " \n"), NULL, 10);
    if (strncmp(line, "part", 4) == 0)
        return false;
    if (send(*fd, &r, sizeof r, MSG_NOSIGNAL) != sizeof r)
        perror("send");
    return true;
}

static int watch(pid_t pid, int fd, const struct order *o)
{
    int status;
    bool open = true;
    printf("pid %d\n", (int)pid);
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = open ? 0 : -1, .events = POLLIN}};
        (void)poll(fds, 2, -1);
        if (fd >= 0)
            read_reports(fd);
        if (fds[1].revents && !(open = read_command(&fd, o))) {
            (void)shutdown(fd, SHUT_WR);
        }
        if (fds[0].revents & (POLLHUP | POLLERR))
            break;
    }
    read_reports(fd);
    if (waitpid(pid, &status, 0) != pid)
        return 1;
    if (WIFSIGNALED(status))
        printf("signal %d\n", WTERMSIG(status));
    else
        printf("exit %d\n", WEXITSTATUS(status));
    return 0;
}

static int capture(const struct agent_config *c, const struct order *o, const char *const *interfaces, size_t count)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return 1;
    pid_t pid = process_fork(fds[1], "capturer");
    if (pid == 0)
        capturer_run(c, o, forbid_any(&forbid) ? &forbid : NULL, interfaces, count, fds[1]);
    close(fds[1]);
    return watch(pid, fds[0], o);
}

static int recover(const struct agent_config *c)
{
    struct error e = ERROR_INIT;
    struct spool *spool;
    struct spool_limits limits = {.quota_bytes = c->quota, .floor_bytes = c->floor};
    struct recover_options o = {.agent = c->name};
    struct spool_stream_info *all = NULL;
    size_t count = 0;
    int code = spool_open(c->spool, &limits, &spool, &e);
    if (!code)
        code = spool_list(spool, &all, &count, &e);
    for (size_t i = 0; !code && i < count; i++) {
        struct recovered r = {0};
        if (all[i].writer_alive || all[i].ended)
            continue;
        code = recover_stream(spool, all[i].epoch, &o, &r, &e);
        printf("recovered %llu lost %llu\n", (unsigned long long)r.packets, (unsigned long long)r.lost);
    }
    if (code)
        printf("error %s\n", e.text);
    free(all);
    spool_close(spool);
    return code != 0;
}

static void set_collector(struct order *o, char *text)
{
    char *colon = strrchr(text, ':');
    *colon = 0;
    o->collector_family = FAMILY_IP4;
    o->collector_port = (uint16_t)atoi(colon + 1);
    (void)inet_pton(AF_INET, text, o->collector_address);
}

static bool set_option(struct order *o, int option, char *value)
{
    switch (option) {
    case 'f':
        snprintf(o->filter, sizeof o->filter, "%s", value);
        return true;
    case 'c':
        o->companions = 1;
        return true;
    case 'k':
        o->keep = value[0] == 'f' ? KEEP_FLOWS : value[0] == 'h' ? KEEP_HEADERS : KEEP_PACKETS;
        return true;
    case 's':
        o->snaplen = (uint32_t)atoi(value);
        return true;
    case 'n':
        o->packets = strtoull(value, NULL, 10);
        return true;
    case 'b':
        o->bytes = strtoull(value, NULL, 10);
        return true;
    case 'r':
        o->rate = strtoull(value, NULL, 10);
        return true;
    case 'e':
        o->end_ns = clock_wall_ns() + (uint64_t)(strtod(value, NULL) * 1e9);
        return true;
    case 'o':
        set_collector(o, value);
        return true;
    case 'p':
        o->payload = (uint32_t)atoi(value);
        return true;
    case 'N':
        return forbid_add_net(&forbid, value, NULL) == 0;
    case 'P':
        return forbid_add_ports(&forbid, value, NULL) == 0;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    struct error e = ERROR_INIT;
    struct agent_config c;
    struct order o = {.magic = ORDER_MAGIC, .id = "id of an order!", .name = "test"};
    bool recovery = false;
    int option;
    while ((option = getopt(argc, argv, "f:ck:s:n:b:r:e:o:p:N:P:R")) != -1)
        if (!set_option(&o, option, optarg))
            recovery = option == 'R';
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll is to see every line */
    log_setup("capturer_tool", LOG_LEVEL_WARN);
    if (optind >= argc || agent_config_load(argv[optind], false, &c, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 2;
    }
    int status =
        recovery ? recover(&c) : capture(&c, &o, (const char *const *)argv + optind + 1, (size_t)(argc - optind - 1));
    agent_config_free(&c);
    return status;
}
