/*
 * read: files -> a stream in the spool (or a folder) -> the collector.
 *
 * If no daemon ships the spool, a shipper of our own does, in a process of its own, as long as this command runs. A signal stops
 * the reading: what was read by then is sealed and kept. Another one stops the waiting: what is in the spool stays there for the
 * next shipper.
 */
#include "agent/read.h"
#include "agent/capture/file.h"
#include "agent/confine.h"
#include "agent/intake.h"
#include "agent/progress.h"
#include "agent/recovery.h"
#include "agent/shipper.h"
#include "common/base/clock.h"
#include "common/filter/capture_filter.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW      101
#define WAIT_LEAST_US     2000 /* between looks whether all is shipped: soon, then less often */
#define WAIT_MOST_US      100000

static atomic_bool stop_asked;

struct reading {
    const struct agent_options *options;
    const struct agent_config *config;
    char capture[HEAD_NAME_MAX + 1];
    uint8_t epoch[EPOCH_SIZE];
    struct spool *spool;
    struct spool_stream *stream;
    struct sink *sink;
    struct chunk_builder *builder;
    struct intake *intake;
    struct shipper shipper;
    struct progress progress;
    const char *file;    /* that is being read */
    uint64_t done_bytes; /* of the files before it */
    bool waiting_said;
    bool failed; /* a file, or part of it, could not be read */
};

static void on_signal(int number)
{
    (void)number;
    atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

/* ---------------------------------------------------------------- beginning */

/* A filter that no link type understands is wrong; one that some do not is told with the file. */
static int check_filter(const char *filter, struct error *e)
{
    static const int links[] = {LINKTYPE_ETHERNET, LINKTYPE_RAW};
    struct error first = ERROR_INIT;
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        struct capture_filter *f;
        struct error why = ERROR_INIT;
        if (capture_filter_new(filter, links[i], PACKET_SNAPLEN_MAX, &f, &why) == 0) {
            capture_filter_free(f);
            return 0;
        }
        if (i == 0)
            first = why;
    }
    return error_set(e, ERROR_USAGE, "--filter: %s", first.text);
}

/* Whether a file can be opened and is a capture file; of a pipe only reading it tells. */
static int check_file(const char *path, struct error *e)
{
    struct source *s;
    struct stat st;
    if (strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return 0;
    int code = capture_file_open(path, &stop_asked, &s, e);
    if (!code)
        source_close(s);
    return code;
}

/* Files of which none can be read make no capture: what is wrong with them is all that there is. */
static int check_files(const struct agent_options *o, struct error *e)
{
    struct error first = ERROR_INIT;
    for (size_t i = 0; i < o->file_count; i++) {
        struct error why = ERROR_INIT;
        if (check_file(o->files[i], &why) == 0)
            return 0;
        if (i == 0)
            first = why;
        else
            fprintf(stderr, "fleetdump-agent: %s\n", why.text);
    }
    return error_set(e, first.code, "%s", first.text);
}

static bool somebody_ships(void *context)
{
    struct reading *r = context;
    return shipper_runs(&r->shipper);
}

static void say_waiting(void *context, const struct error *full)
{
    struct reading *r = context;
    if (r->waiting_said)
        return;
    r->waiting_said = true;
    fprintf(stderr, "fleetdump-agent: waiting for room: %s\n", full->text);
}

static int open_spool(struct reading *r, struct error *e)
{
    const struct agent_config *c = r->config;
    struct spool_limits limits = {.quota_bytes = c->quota, .floor_bytes = c->floor};
    int code = agent_config_check_collector(c, e);
    if (!code)
        code = spool_open(c->spool, &limits, &r->spool, e);
    return code ? code : shipper_start(&r->shipper, c, r->options->wait, e);
}

static int open_stream(struct reading *r, struct error *e)
{
    const struct agent_config *c = r->config;
    struct spool_stream_start stream = {
        .agent = c->name, .capture = r->capture, .wall_ns = clock_wall_ns(), .evict = EVICT_NEVER};
    spool_set_patient(r->spool);
    int code = spool_stream_new(r->spool, r->epoch, &stream, &r->stream, e);
    if (code)
        return code;
    struct sink_wait wait = {
        .stop = &stop_asked, .somebody_ships = somebody_ships, .waiting = say_waiting, .context = r};
    return sink_spool(r->spool, r->stream, &wait, &r->sink, e);
}

static void show_reading(void *context, uint64_t done, uint64_t total)
{
    struct reading *r = context;
    if (r->sink->page) {
        atomic_store_explicit(&r->sink->page->progress_bytes, done, memory_order_relaxed);
        atomic_store_explicit(&r->sink->page->progress_total, total, memory_order_relaxed);
    }
    progress_bytes(&r->progress, r->file, done, total);
}

static int start(struct reading *r, struct error *e)
{
    const struct agent_options *o = r->options;
    if (o->capture)
        snprintf(r->capture, sizeof r->capture, "%s", o->capture);
    else
        capture_file_name(o->files[0], r->capture, sizeof r->capture);
    int code = o->filter[0] ? check_filter(o->filter, e) : 0;
    if (getrandom(r->epoch, sizeof r->epoch, 0) != sizeof r->epoch)
        return error_sys(e, errno, "no random numbers");
    if (!code)
        code = o->out ? sink_folder(o->out, &r->sink, e) : open_spool(r, e);
    if (!code) /* before a byte of a file is read */
        code = confine_read(r->config, o->files, o->file_count, o->out, r->shipper.pid, e);
    if (!code)
        code = check_files(o, e);
    if (!code && !o->out)
        code = open_stream(r, e);
    if (code)
        return code;
    struct chunk_builder_options b = {
        .agent = r->config->name,
        .capture = r->capture,
        .software = "fleetdump " FLEETDUMP_VERSION,
        .filter = o->filter,
        .filter_here = true,
        .snaplen = o->snaplen,
        .cutoff = o->cutoff,
        .keep_packets = o->keep_packets,
        .level = (int)r->config->compression_level,
        .max_flows = (uint32_t)r->config->max_flows,
        .timeouts = r->config->timeouts,
    };
    memcpy(b.epoch, r->epoch, EPOCH_SIZE);
    code = chunk_builder_new(&b, r->sink, &r->builder, e);
    return code ? code : intake_new(r->builder, &stop_asked, show_reading, r, &r->intake, e);
}

/* ---------------------------------------------------------------- reading */

static int read_files(struct reading *r, struct error *e)
{
    for (size_t i = 0; i < r->options->file_count && !stop_asked; i++) {
        struct error why = ERROR_INIT;
        bool stream_failed;
        r->file = r->options->files[i];
        int code = intake_file(r->intake, r->file, &stream_failed, &why);
        if (!code)
            continue;
        if (stream_failed)
            return error_set(e, code, "%s", why.text);
        progress_clear(&r->progress);
        fprintf(stderr, "fleetdump-agent: %s\n", why.text);
        r->failed = true;
    }
    return 0;
}

static void print_summary(struct reading *r)
{
    struct chunk_builder_stats s;
    chunk_builder_stats(r->builder, &s);
    const uint64_t *c = s.counters.value;
    char wire[48], raw[48], stored[48], speed[48];
    double seconds = progress_seconds(&r->progress);
    uint64_t rate = seconds > 0 ? (uint64_t)((double)c[COUNTER_RECEIVED_BYTES] / seconds) : 0;
    units_format(UNIT_BYTES, c[COUNTER_KEPT_BYTES], wire, sizeof wire);
    units_format(UNIT_BYTES, s.raw_bytes, raw, sizeof raw);
    units_format(UNIT_BYTES, s.stored_bytes, stored, sizeof stored);
    units_format(UNIT_BYTES, rate, speed, sizeof speed);
    progress_clear(&r->progress);
    fprintf(stderr, "%s: %llu packet%s, %s, %llu flow%s in %llu chunk%s", r->capture,
            (unsigned long long)c[COUNTER_KEPT], units_plural(c[COUNTER_KEPT]), wire, (unsigned long long)s.flows,
            units_plural(s.flows), (unsigned long long)s.chunks, units_plural(s.chunks));
    if (s.raw_bytes && s.stored_bytes)
        fprintf(stderr, "; %s of packets became %s (ratio %.2f)", raw, stored,
                (double)s.raw_bytes / (double)s.stored_bytes);
    fprintf(stderr, "; %.1f s, %s/s\n", seconds, speed);
    if (c[COUNTER_FILTERED])
        fprintf(stderr, "%s: %llu packets did not match the filter\n", r->capture,
                (unsigned long long)c[COUNTER_FILTERED]);
    if (c[COUNTER_INTERFACE_DROPS] || c[COUNTER_KERNEL_DROPS])
        fprintf(stderr, "%s: the files say that %llu packets are missing in them\n", r->capture,
                (unsigned long long)c[COUNTER_INTERFACE_DROPS] + c[COUNTER_KERNEL_DROPS]);
    if (c[COUNTER_TIME_LIMITED])
        fprintf(stderr, "%s: %llu packets have times before 1970 or after 2554, and are kept at that end\n", r->capture,
                (unsigned long long)c[COUNTER_TIME_LIMITED]);
    if (intake_skipped(r->intake))
        fprintf(stderr, "%s: %llu blocks that hold no packets were not kept\n", r->capture,
                (unsigned long long)intake_skipped(r->intake));
}

/* ---------------------------------------------------------------- waiting */

/* What of our stream is still in the spool; false if nothing is. */
static bool still_here(struct reading *r, uint64_t *items, uint64_t *bytes)
{
    struct spool_stream_info *all;
    size_t count;
    struct error e = ERROR_INIT;
    bool here = false;
    if (spool_list(r->spool, &all, &count, &e))
        return true; /* it is being removed just now */
    for (size_t i = 0; i < count; i++)
        if (memcmp(all[i].epoch, r->epoch, EPOCH_SIZE) == 0) {
            *items = all[i].next_seq - all[i].first_seq;
            *bytes = all[i].bytes;
            here = true;
        }
    free(all);
    return here;
}

static int wait_shipped(struct reading *r, struct error *e)
{
    uint64_t items = 0, bytes = 0;
    useconds_t pause = WAIT_LEAST_US;
    while (still_here(r, &items, &bytes)) {
        char size[48];
        units_format(UNIT_BYTES, bytes, size, sizeof size);
        progress_text(&r->progress, "shipping to %s: %llu items to go, %s", r->config->collector,
                      (unsigned long long)items, size);
        if (stop_asked)
            return error_set(e, ERROR_CANCELLED, "stopped: %llu items wait in %s; the next fleetdump-agent ships them",
                             (unsigned long long)items, r->config->spool);
        if (!shipper_runs(&r->shipper))
            return error_set(e, ERROR_UNREACHABLE,
                             "nobody ships any more: %llu items wait in %s; start fleetdump-agent to have them shipped",
                             (unsigned long long)items, r->config->spool);
        usleep(pause);
        pause = 2 * pause < WAIT_MOST_US ? 2 * pause : WAIT_MOST_US;
    }
    return 0;
}

static void release(struct reading *r)
{
    intake_free(r->intake);
    chunk_builder_free(r->builder);
    sink_close(r->sink);
    r->intake = NULL;
    r->builder = NULL;
    r->sink = NULL;
    spool_stream_close(r->stream); /* the shipper may finish it from here on */
    r->stream = NULL;
}

static int run(struct reading *r, struct error *e)
{
    int code = start(r, e);
    if (!code)
        code = read_files(r, e);
    if (!code)
        code = chunk_builder_finish(r->builder, e);
    if (code)
        return code;
    if (stop_asked)
        fprintf(stderr, "fleetdump-agent: stopped; what was read until then is kept\n");
    print_summary(r);
    r->failed = r->failed || stop_asked;
    stop_asked = false;
    release(r);
    return r->spool && r->options->wait ? wait_shipped(r, e) : 0;
}

/* What was written of the last chunk is shipped, too, and gives the room back to those who wait. */
static void seal_rest(const struct reading *r)
{
    struct error e = ERROR_INIT;
    if (recovery_own(r->config, r->epoch, &e))
        fprintf(stderr, "fleetdump-agent: %s\n", e.text);
}

int agent_read(const struct agent_options *o, const struct agent_config *c)
{
    struct error e = ERROR_INIT;
    struct reading r = {.options = o, .config = c};
    catch_signals();
    progress_start(&r.progress);
    int code = run(&r, &e);
    progress_clear(&r.progress);
    if (code)
        fprintf(stderr, "fleetdump-agent: %s\n", e.text);
    release(&r);
    if (code == ERROR_FULL && r.spool)
        seal_rest(&r);
    shipper_stop(&r.shipper);
    spool_close(r.spool);
    if (code)
        return error_exit_status(code);
    return r.failed ? EXIT_FAILED : EXIT_OK;
}
