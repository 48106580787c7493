/*
 * The shipper against a collector in memory: everything arrives once, whatever breaks, and what cannot arrive is accounted for.
 */
#include "tests/unit/support.h"

#include "agent/ship/outbox.h"
#include "agent/ship/uplink.h"
#include "common/base/fs.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "tests/unit/fake_collector.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define SHIP        "--ship"
#define KEPT        100u /* packets of a chunk */
#define NO_BODY     0u
#define MIB         ((size_t)1 << 20)

struct world {
    uv_loop_t loop;
    uv_timer_t patience, tick;
    char *folder;
    struct fake_collector collector;
    struct uplink_config config;
    struct spool *spool; /* the capturers' */
    struct uplink *uplink;
    unsigned abandoned;
    bool ran_out;
};

static const char *const labels[] = {"role=test", "site=here"};

/* ------------------------------------------------------------ the world */
static void on_patience(uv_timer_t *timer)
{
    ((struct world *)timer->data)->ran_out = true;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* RUN_UNTIL looks at its condition */
}

static void on_abandoned(void *context, const uint8_t epoch[EPOCH_SIZE])
{
    (void)epoch;
    ((struct world *)context)->abandoned++;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    const struct spool_limits limits = {.quota_bytes = 1u << 30};
    assert_non_null(w);
    log_setup("test_uplink", getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    w->folder = support_folder();
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_t *timers[] = {&w->patience, &w->tick};
    for (size_t i = 0; i < 2; i++) {
        uv_timer_init(&w->loop, timers[i]);
        timers[i]->data = w;
    }
    uv_timer_start(&w->patience, on_patience, PATIENCE_MS, 0);
    uv_timer_start(&w->tick, on_tick, 20, 20);
    fake_start(&w->collector, &w->loop, "127.0.0.1:0");
    w->config = (struct uplink_config){.spool_path = w->folder, .limits = limits, .collector = w->collector.address};
    w->config.agent = "agent-1";
    w->config.labels = labels;
    w->config.label_count = 2;
    w->config.software = "fleetdump test";
    w->config.retry_least_ms = 10;
    w->config.retry_most_ms = 100;
    w->config.look_ms = 3600000; /* only events */
    w->config.room_ms = 20;
    w->config.status_least_ms = 20;
    w->config.on_abandoned = on_abandoned;
    w->config.context = w;
    assert_int_equal(spool_open(w->folder, &limits, &w->spool, NULL), 0);
    *state = w;
    return 0;
}

#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        while (!(condition) && !(w)->ran_out)                                                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        assert_false((w)->ran_out);                                                                                    \
    } while (0)

static void on_end(void *context)
{
    ((struct world *)context)->uplink = NULL;
}

static void start(struct world *w)
{
    struct error e = ERROR_INIT;
    if (uplink_start(&w->loop, &w->config, on_end, w, &w->uplink, &e) != 0)
        fail_msg("%s", e.text);
}

static void stop(struct world *w)
{
    if (w->uplink)
        uplink_stop(w->uplink);
    RUN_UNTIL(w, !w->uplink);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    stop(w);
    fake_stop(&w->collector);
    uv_close((uv_handle_t *)&w->patience, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    fake_free(&w->collector);
    spool_close(w->spool);
    support_folder_remove(w->folder);
    free(w);
    return 0;
}

static void run_for(struct world *w, uint64_t ms)
{
    uint64_t end = uv_now(&w->loop) + ms;
    RUN_UNTIL(w, uv_now(&w->loop) >= end);
}

/* ------------------------------------------------------------ what captures make */
static void epoch_of(uint8_t number, uint8_t epoch[EPOCH_SIZE])
{
    memset(epoch, number, EPOCH_SIZE);
}

static struct spool_stream *new_stream(struct world *w, uint8_t number, uint32_t evict)
{
    uint8_t epoch[EPOCH_SIZE];
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    char capture[20];
    epoch_of(number, epoch);
    snprintf(capture, sizeof(capture), "capture-%u", number);
    struct spool_stream_start begin = {.agent = "agent-1", .capture = capture, .wall_ns = number, .evict = evict};
    if (spool_stream_new(w->spool, epoch, &begin, &t, &e) != 0)
        fail_msg("%s", e.text);
    return t;
}

static uint8_t *content_of(uint8_t number, uint64_t seq, size_t len)
{
    uint8_t *content = malloc(len);
    uint64_t x = 0x9e3779b97f4a7c15u * (seq + 1) + number;
    assert_non_null(content);
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        content[i] = (uint8_t)x;
    }
    return content;
}

static void fill_head(struct chunk_head *h, int kind, uint8_t number, uint64_t seq)
{
    static char agent[] = "agent-1";
    static char capture[] = "capture";
    *h = (struct chunk_head){.kind = (uint8_t)kind, .seq = seq, .last_seq = seq, .agent = agent, .capture = capture};
    epoch_of(number, h->epoch);
    if (kind == HEAD_CHUNK) {
        h->seal = SEAL_BYTES;
        h->totals.value[COUNTER_KEPT] = KEPT;
    }
}

static void seal(struct spool_stream *t, const struct chunk_head *h, int body_fd, size_t padding)
{
    struct buffer out = {0};
    struct error e = ERROR_INIT;
    struct chunk_head padded = *h;
    char *filter = calloc(1, padding + 1);
    memset(filter, 'x', padding);
    padded.filter = filter;
    assert_int_equal(head_encode(&padded, &out, &e), 0);
    if (spool_stream_seal(t, h->seq, out.data, out.len, body_fd >= 0, body_fd, &e) != 0)
        fail_msg("%s", e.text);
    buffer_free(&out);
    free(filter);
}

/* A chunk, with a body unless body_len is NO_BODY. Large heads (more than a block) have padding. */
static void add_chunk(struct spool_stream *t, uint8_t number, uint64_t seq, size_t body_len, size_t padding)
{
    struct chunk_head h;
    int fd = -1;
    fill_head(&h, HEAD_CHUNK, number, seq);
    if (body_len) {
        uint8_t *content = content_of(number, seq, body_len);
        fd = spool_stream_open_body(t, seq, NULL);
        assert_true(fd >= 0);
        assert_int_equal(fs_write(fd, content, body_len, NULL, NULL), 0);
        h.body = BODY_ON_AGENT;
        h.body_length = body_len;
        h.body_hash = hash64(content, body_len);
        free(content);
    }
    seal(t, &h, fd, padding);
    if (fd >= 0)
        close(fd);
}

static void add_end(struct spool_stream *t, uint8_t number, uint64_t seq)
{
    struct chunk_head h;
    fill_head(&h, HEAD_END, number, seq);
    seal(t, &h, -1, 0);
}

/* A whole stream of `chunks` chunks, every third without a body, and its END. */
static void add_stream(struct world *w, uint8_t number, uint64_t chunks, size_t body_len)
{
    struct spool_stream *t = new_stream(w, number, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < chunks; seq++)
        add_chunk(t, number, seq, seq % 3 == 2 ? NO_BODY : body_len + seq, 0);
    add_end(t, number, chunks);
    spool_stream_close(t);
}

/* ------------------------------------------------------------ what is looked at */
static struct fake_stream *fake(struct world *w, uint8_t number)
{
    uint8_t epoch[EPOCH_SIZE];
    epoch_of(number, epoch);
    return fake_find(&w->collector, epoch);
}

static const char *file_path(struct world *w, uint8_t number, uint64_t seq, const char *suffix)
{
    char name[128];
    char hex[33];
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", number);
    snprintf(name, sizeof(name), "%s/%016llx%s", hex, (unsigned long long)seq, suffix);
    return support_path(w->folder, name);
}

static bool has_file(struct world *w, uint8_t number, uint64_t seq, const char *suffix)
{
    struct stat st;
    return stat(file_path(w, number, seq, suffix), &st) == 0;
}

static unsigned files_in(const char *path)
{
    unsigned n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static size_t stream_count(struct world *w)
{
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    assert_int_equal(spool_list(w->spool, &list, &count, NULL), 0);
    free(list);
    return count;
}

static bool all_here(struct world *w, uint8_t number, uint64_t next)
{
    const struct fake_stream *t = fake(w, number);
    return t && t->head_next == next && t->body_next == next;
}

/* Every chunk of add_stream has arrived whole. */
static void check_stream(struct world *w, uint8_t number, uint64_t chunks)
{
    const struct fake_stream *t = fake(w, number);
    assert_non_null(t);
    assert_true(t->ended);
    assert_int_equal(t->head_next, chunks + 1);
    assert_int_equal(t->body_next, chunks + 1);
    for (uint64_t seq = 0; seq < chunks; seq++) {
        assert_true(t->items[seq].have);
        assert_int_equal(t->items[seq].kind, HEAD_CHUNK);
        assert_int_equal(t->items[seq].body_stored, seq % 3 != 2);
    }
}

static void ship_until_empty(struct world *w)
{
    w->config.until_empty = true;
    start(w);
    RUN_UNTIL(w, !w->uplink);
    assert_int_equal(stream_count(w), 0);
}

/* ------------------------------------------------------------ the good case */
static void everything_arrives_and_the_spool_is_empty(void **state)
{
    struct world *w = *state;
    add_stream(w, 1, 10, 300000);
    add_stream(w, 2, 5, 1000);
    add_stream(w, 3, 0, 0);
    ship_until_empty(w);
    check_stream(w, 1, 10);
    check_stream(w, 2, 5);
    check_stream(w, 3, 0);
    assert_string_equal(w->collector.agent, "agent-1");
    assert_string_equal(fake(w, 2)->capture, "capture-2");
    assert_int_equal(w->collector.labels, 2);
    assert_memory_equal(w->collector.install, spool_install(w->spool), 16);
    assert_int_equal(files_in(w->folder), 2); /* install, shipper.lock */
}

static void heads_go_before_bodies(void **state)
{
    struct world *w = *state;
    add_stream(w, 1, 12, 400000);
    add_stream(w, 2, 12, 400000);
    ship_until_empty(w);
    unsigned last_head = 0;
    unsigned first_body = UINT32_MAX;
    for (uint8_t n = 1; n <= 2; n++)
        for (uint64_t seq = 0; seq < 12; seq++) {
            const struct fake_item *i = &fake(w, n)->items[seq];
            last_head = i->head_order > last_head ? i->head_order : last_head;
            if (i->body_stored && i->body_order < first_body)
                first_body = i->body_order;
        }
    assert_true(last_head < first_body);
}

static void new_items_are_noticed(void **state)
{
    struct world *w = *state;
    start(w);
    RUN_UNTIL(w, w->collector.data);
    struct spool_stream *t = new_stream(w, 7, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 5; seq++) {
        add_chunk(t, 7, seq, 5000, 0);
        RUN_UNTIL(w, all_here(w, 7, seq + 1)); /* by events alone: the next look is an hour away */
        RUN_UNTIL(w, seq == 0 || !has_file(w, 7, seq - 1, ".head"));
        assert_true(seq == 0 || !has_file(w, 7, seq - 1, ".pcapng.zst"));
        assert_true(has_file(w, 7, seq, ".head")); /* the newest stays */
    }
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    assert_int_equal(spool_list(w->spool, &list, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].next_seq, 5);
    assert_true(list[0].writer_alive);
    free(list);
    add_end(t, 7, 5);
    RUN_UNTIL(w, all_here(w, 7, 6));
    run_for(w, 300);
    assert_int_equal(stream_count(w), 1); /* its writer is still there */
    spool_stream_close(t);
    RUN_UNTIL(w, stream_count(w) == 0);
    assert_int_equal(w->collector.announced, 1);
}

/* All is sent and acked; the newest chunk's body is gone, too, once something newer is there. */
static void a_restart_sends_nothing_twice(void **state)
{
    struct world *w = *state;
    struct spool_stream *t = new_stream(w, 1, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 4; seq++)
        add_chunk(t, 1, seq, 70000, 0);
    start(w);
    RUN_UNTIL(w, all_here(w, 1, 4));
    stop(w);
    uint64_t bytes = w->collector.bytes;
    start(w);
    RUN_UNTIL(w, w->collector.announced == 2);
    run_for(w, 200);
    assert_int_equal(w->collector.bytes, bytes);
    stop(w);
    spool_stream_close(t);
}

static void a_sleeping_shipper_sleeps(void **state)
{
    struct world *w = *state;
    struct rusage before, after;
    w->config.status_least_ms = 0; /* as in life */
    w->config.look_ms = 0;
    w->config.room_ms = 0;
    struct spool_stream *t = new_stream(w, 1, EVICT_OLDEST);
    add_chunk(t, 1, 0, 1000, 0);
    start(w);
    RUN_UNTIL(w, all_here(w, 1, 1));
    run_for(w, 1500);
    uv_timer_stop(&w->tick);
    uv_timer_start(&w->tick, on_tick, 3000, 0);
    unsigned turns = 0;
    getrusage(RUSAGE_THREAD, &before);
    for (uint64_t end = uv_now(&w->loop) + 3000; uv_now(&w->loop) < end; turns++)
        uv_run(&w->loop, UV_RUN_ONCE);
    getrusage(RUSAGE_THREAD, &after);
    long us =
        (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
        after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    assert_in_range(turns, 1, 6);
    assert_in_range(us, 0, 20000);
    spool_stream_close(t);
}

/* ------------------------------------------------------------ what breaks */
static void connections_that_are_cut_lose_nothing(void **state)
{
    struct world *w = *state;
    add_stream(w, 1, 9, 600000);
    add_stream(w, 2, 6, 300);
    w->collector.cut_at_piece = 5; /* a body has three pieces: so that each attempt gets on */
    ship_until_empty(w);
    check_stream(w, 1, 9);
    check_stream(w, 2, 6);
    assert_true(w->collector.announced > 4);
}

/* Two would make each try a warning of its own: only what was said last is not said again. */
static void a_connection_that_breaks_has_one_reason(void **state)
{
    struct world *w = *state;
    static char said[1 << 16];
    int log = memfd_create("log", MFD_CLOEXEC), kept = dup(STDERR_FILENO);
    assert_true(log >= 0 && kept >= 0 && dup2(log, STDERR_FILENO) >= 0);
    log_setup("test_uplink", LOG_LEVEL_INFO);
    add_stream(w, 1, 9, 600000);
    w->collector.cut_at_piece = 5;
    ship_until_empty(w);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    ssize_t n = pread(log, said, sizeof(said) - 1, 0);
    close(kept);
    close(log);
    assert_true(n > 0);
    for (char *at = said; (at = strstr(at, "data connection: the connection with "));) {
        at += strcspn(at, "\n"); /* up again, before it may end in another way */
        char *closed = strstr(at, "data connection: closed by"), *up = strstr(at, "data connection to ");
        assert_true(!closed || (up && up < closed));
    }
}

static void acks_that_are_lost_double_nothing(void **state)
{
    struct world *w = *state;
    add_stream(w, 1, 9, 300000);
    w->collector.cut_before_ack = true;
    ship_until_empty(w);
    check_stream(w, 1, 9);
    assert_true(w->collector.announced > 4);
}

static void a_collector_that_is_away_is_waited_for(void **state)
{
    struct world *w = *state;
    char address[32];
    add_stream(w, 1, 4, 5000);
    snprintf(address, sizeof(address), "%s", w->collector.address);
    fake_stop(&w->collector);
    run_for(w, 50);
    start(w);
    run_for(w, 500);
    char *status = uplink_status(w->uplink);
    assert_non_null(strstr(status, "\"data\": \"down\""));
    free(status);
    fake_start(&w->collector, &w->loop, address);
    RUN_UNTIL(w, stream_count(w) == 0);
    check_stream(w, 1, 4);
}

static void a_collector_that_says_nothing_is_left(void **state)
{
    struct world *w = *state;
    w->config.greeting_ms = 50;
    w->collector.silent = true;
    add_stream(w, 1, 2, 100);
    start(w);
    RUN_UNTIL(w, w->collector.hellos >= 6);
    w->collector.silent = false;
    RUN_UNTIL(w, stream_count(w) == 0);
}

static void a_refused_agent_keeps_all(void **state)
{
    struct world *w = *state;
    w->collector.refuse = true;
    add_stream(w, 1, 2, 100);
    start(w);
    RUN_UNTIL(w, w->collector.hellos >= 4);
    assert_int_equal(stream_count(w), 1);
    w->collector.refuse = false;
    RUN_UNTIL(w, stream_count(w) == 0);
}

static void a_refused_stream_stays_and_others_go(void **state)
{
    struct world *w = *state;
    epoch_of(1, w->collector.refuse_epoch);
    add_stream(w, 1, 3, 100000);
    add_stream(w, 2, 3, 100000);
    start(w);
    RUN_UNTIL(w, stream_count(w) == 1);
    check_stream(w, 2, 3);
    run_for(w, 200);
    assert_int_equal(stream_count(w), 1);
    RUN_UNTIL(w, w->collector.status && strstr(w->collector.status, "\"refused\": \"not \\\"mine\\\"\""));
    unsigned pieces = w->collector.pieces;
    run_for(w, 200);
    assert_int_equal(w->collector.pieces, pieces); /* not tried again and again */
    stop(w);
    memset(w->collector.refuse_epoch, 0, EPOCH_SIZE); /* the reason is gone: the next connection ships it */
    ship_until_empty(w);
    check_stream(w, 1, 3);
}

/* On the same connection, after a while. */
static void a_refused_stream_is_tried_again(void **state)
{
    struct world *w = *state;
    epoch_of(1, w->collector.refuse_epoch);
    add_stream(w, 1, 3, 100000);
    w->config.refused_ms = 100;
    w->config.look_ms = 20;
    start(w);
    RUN_UNTIL(w, w->collector.status && strstr(w->collector.status, "\"refused\": \"not"));
    unsigned hellos = w->collector.hellos;
    memset(w->collector.refuse_epoch, 0, EPOCH_SIZE);
    RUN_UNTIL(w, stream_count(w) == 0);
    check_stream(w, 1, 3);
    assert_int_equal(w->collector.hellos, hellos);
}

static void a_collector_that_has_more_than_there_is_gets_nothing(void **state)
{
    struct world *w = *state;
    w->collector.lie_next = 10;
    add_stream(w, 1, 3, 1000);
    start(w);
    RUN_UNTIL(w, w->collector.status && strstr(w->collector.status, "\"refused\""));
    for (uint64_t seq = 0; seq < 4; seq++)
        assert_true(has_file(w, 1, seq, ".head"));
    assert_int_equal(w->collector.pieces, 0);
}

static void only_so_much_is_under_way(void **state)
{
    struct world *w = *state;
    w->config.window_bytes = MIB;
    w->collector.no_acks = true;
    add_stream(w, 1, 12, 400000);
    start(w);
    RUN_UNTIL(w, w->collector.bytes > MIB);
    run_for(w, 300);
    assert_in_range(w->collector.bytes, MIB, MIB + 410000);
    fake_ack_all(&w->collector);
    RUN_UNTIL(w, stream_count(w) == 0);
    check_stream(w, 1, 12);
}

static void there_is_one_shipper(void **state)
{
    struct world *w = *state;
    struct uplink *second = NULL;
    struct error e = ERROR_INIT;
    char pid[16];
    start(w);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_int_equal(uplink_start(&w->loop, &w->config, NULL, NULL, &second, &e), ERROR_BUSY);
    assert_non_null(strstr(e.text, pid));
}

static void a_stream_whose_writer_died_is_told_once(void **state)
{
    struct world *w = *state;
    struct spool_stream *t = new_stream(w, 1, EVICT_OLDEST);
    struct spool_stream *living = new_stream(w, 2, EVICT_OLDEST);
    add_chunk(t, 1, 0, 100, 0);
    spool_stream_close(t);
    add_stream(w, 3, 1, 10);
    w->config.look_ms = 50;
    start(w);
    RUN_UNTIL(w, all_here(w, 1, 1) && w->abandoned); /* what was sealed is shipped */
    run_for(w, 300);
    assert_int_equal(w->abandoned, 1);
    uint8_t epoch[EPOCH_SIZE];
    epoch_of(1, epoch);
    assert_int_equal(spool_stream_adopt(w->spool, epoch, &t, NULL), 0); /* and recovered */
    add_end(t, 1, 1);
    spool_stream_close(t);
    RUN_UNTIL(w, stream_count(w) == 1);
    spool_stream_close(living);
}

/* ------------------------------------------------------------ flushes */
static void flush(struct world *w, const char *capture)
{
    unsigned before = w->collector.flushed;
    fake_flush(&w->collector, capture);
    RUN_UNTIL(w, w->collector.flushed > before);
}

static void a_flush_waits_for_what_a_dead_writer_left(void **state)
{
    struct world *w = *state;
    struct spool_stream *t = new_stream(w, 1, EVICT_OLDEST);
    uint8_t epoch[EPOCH_SIZE];
    epoch_of(1, epoch);
    add_chunk(t, 1, 0, 1000, 0);
    start(w);
    RUN_UNTIL(w, all_here(w, 1, 1) && w->collector.control);
    RUN_UNTIL(w, !has_file(w, 1, 0, ".pcapng.zst")); /* it needs no room any more */
    assert_true(has_file(w, 1, 0, ".head"));
    flush(w, "");
    assert_int_equal(w->collector.flush_code, 0); /* its writer lives, and hands over by itself */
    spool_stream_close(t);
    flush(w, "capture-2");
    assert_int_equal(w->collector.flush_code, 0); /* another capture */
    assert_int_equal(w->abandoned, 0);
    flush(w, "");
    assert_int_equal(w->collector.flush_code, ERROR_BUSY); /* nobody recovers it */
    assert_non_null(strstr(w->collector.flush_text, "a capturer died"));
    assert_int_equal(w->abandoned, 1);
    assert_int_equal(spool_stream_adopt(w->spool, epoch, &t, NULL), 0);
    fake_flush(&w->collector, "capture-1");
    run_for(w, 100);
    assert_int_equal(w->collector.flushed, 3); /* while it is recovered */
    add_chunk(t, 1, 1, NO_BODY, 0);
    add_end(t, 1, 2);
    spool_stream_close(t);
    RUN_UNTIL(w, w->collector.flushed == 4);
    assert_int_equal(w->collector.flush_code, 0);
    assert_true(all_here(w, 1, 3));
}

static void a_flush_names_what_is_refused(void **state)
{
    struct world *w = *state;
    epoch_of(1, w->collector.refuse_epoch);
    add_stream(w, 1, 2, 1000);
    start(w);
    RUN_UNTIL(w, w->collector.status && strstr(w->collector.status, "\"refused\"") && w->collector.control);
    flush(w, "");
    assert_int_equal(w->collector.flush_code, ERROR_CONFLICT);
    assert_non_null(strstr(w->collector.flush_text, "refuses"));
}

/* ------------------------------------------------------------ damage */
static void damage(struct world *w, uint8_t number, uint64_t seq, const char *suffix)
{
    int fd = open(file_path(w, number, seq, suffix), O_RDWR);
    struct stat st;
    uint8_t byte;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
    close(fd);
}

static void damage_costs_what_is_damaged(void **state)
{
    struct world *w = *state;
    add_stream(w, 1, 12, 50000);
    damage(w, 1, 0, ".head");
    damage(w, 1, 3, ".pcapng.zst");
    assert_int_equal(truncate(file_path(w, 1, 4, ".pcapng.zst"), 10), 0);
    assert_int_equal(unlink(file_path(w, 1, 6, ".pcapng.zst")), 0);
    assert_int_equal(unlink(file_path(w, 1, 7, ".head")), 0); /* its body is an orphan */
    assert_int_equal(unlink(file_path(w, 1, 8, ".head")), 0);
    assert_int_equal(rename(file_path(w, 1, 10, ".head"), file_path(w, 1, 9, ".head")), 0); /* another item's */
    assert_int_equal(truncate(file_path(w, 1, 11, ".head"), 0), 0);
    ship_until_empty(w);
    const struct fake_stream *t = fake(w, 1);
    static const uint8_t kinds[] = {HEAD_GAP, HEAD_CHUNK, HEAD_CHUNK, HEAD_CHUNK, HEAD_CHUNK, HEAD_CHUNK, HEAD_CHUNK,
                                    HEAD_GAP, 0,          HEAD_GAP,   HEAD_GAP,   HEAD_GAP,   HEAD_END};
    for (uint64_t seq = 0; seq <= 12; seq++)
        if (t->items[seq].kind != kinds[seq])
            fail_msg("item %llu is of kind %u", (unsigned long long)seq, t->items[seq].kind);
    assert_int_equal(t->items[7].last_seq, 8);
    for (uint64_t seq = 0; seq < 12; seq++)
        if (kinds[seq] == HEAD_GAP)
            assert_int_equal(t->items[seq].gap, GAP_DAMAGED);
    assert_true(t->items[1].body_stored);
    assert_true(!t->items[3].body_stored && t->items[3].fate_gap == GAP_DAMAGED);
    assert_true(!t->items[4].body_stored && t->items[4].fate_gap == GAP_DAMAGED);
    assert_true(!t->items[6].body_stored && t->items[6].fate_gap == GAP_DAMAGED);
    assert_in_range(files_in(support_path(w->folder, "damaged")), 6, 9);
}

static void damaged_files_are_bounded(void **state)
{
    struct world *w = *state;
    add_stream(w, 1, 60, 100);
    for (uint64_t seq = 0; seq < 60; seq++)
        damage(w, 1, seq, ".head");
    ship_until_empty(w);
    assert_int_equal(files_in(support_path(w->folder, "damaged")), 32);
}

static void a_damaged_page_does_not_stop_a_stream(void **state)
{
    struct world *w = *state;
    add_stream(w, 1, 3, 100);
    char name[64] = "";
    for (int i = 0; i < 16; i++)
        strcat(name, "01");
    strcat(name, "/counters");
    support_write(w->folder, name, "x", 1);
    ship_until_empty(w);
    check_stream(w, 1, 3);
    assert_string_equal(fake(w, 1)->capture, "capture"); /* from a head */
}

/* ------------------------------------------------------------ room */
static uint64_t used(struct world *w)
{
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    uint64_t sum = 0;
    assert_int_equal(spool_list(w->spool, &list, &count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        sum += list[i].bytes;
    free(list);
    return sum;
}

/* 40 chunks of 100 KB into a quota of 2 MiB, and nobody takes them: the oldest packets go. */
static void the_oldest_packets_go_first(void **state)
{
    struct world *w = *state;
    w->config.limits.quota_bytes = 2 * MIB;
    w->config.collector = "127.0.0.1:1";
    start(w);
    struct spool_stream *t = new_stream(w, 1, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 40; seq++) {
        add_chunk(t, 1, seq, 100000, 0);
        RUN_UNTIL(w, used(w) <= 2 * MIB);
    }
    add_end(t, 1, 40);
    spool_stream_close(t);
    RUN_UNTIL(w, used(w) <= 2 * MIB - MIB / 4);
    stop(w);
    w->config.collector = w->collector.address;
    ship_until_empty(w);
    const struct fake_stream *f = fake(w, 1);
    unsigned bodies = 0;
    for (uint64_t seq = 0; seq < 40; seq++) {
        assert_int_equal(f->items[seq].kind, HEAD_CHUNK); /* all rows are here */
        bodies += f->items[seq].body_stored;
        assert_int_equal(f->items[seq].fate_gap, f->items[seq].body_stored ? 0 : GAP_QUOTA);
        assert_true(seq == 0 || f->items[seq].body_stored >= f->items[seq - 1].body_stored);
    }
    assert_in_range(bodies, 10, 17);
}

/* Only rows, and still too much: the oldest become gaps that say how much they held. */
static void then_the_oldest_rows(void **state)
{
    struct world *w = *state;
    w->config.limits.quota_bytes = MIB / 4;
    w->config.collector = "127.0.0.1:1";
    struct spool_stream *t = new_stream(w, 1, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 40; seq++)
        add_chunk(t, 1, seq, seq == 20 ? 9000 : NO_BODY, 8000); /* heads of two blocks */
    add_end(t, 1, 40);
    spool_stream_close(t);
    start(w);
    RUN_UNTIL(w, used(w) <= MIB / 4 - MIB / 32);
    stop(w);
    w->config.collector = w->collector.address;
    ship_until_empty(w);
    const struct fake_stream *f = fake(w, 1);
    uint64_t kept = 0;
    unsigned gaps = 0;
    for (uint64_t seq = 0; seq < 40; seq++) {
        const struct fake_item *i = &f->items[seq];
        kept += i->kept;
        gaps += i->kind == HEAD_GAP;
        assert_int_equal(i->evicted, i->kind == HEAD_GAP ? KEPT : 0);
        assert_int_equal(i->gap, i->kind == HEAD_GAP ? GAP_QUOTA : 0);
        assert_true(seq == 0 || i->kind <= f->items[seq - 1].kind); /* the oldest */
    }
    assert_int_equal(kept, 40 * KEPT); /* not one packet is unaccounted for */
    assert_in_range(gaps, 20, 35);
    assert_true(f->ended);
}

static void what_waits_is_not_given_up(void **state)
{
    struct world *w = *state;
    w->config.limits.quota_bytes = MIB;
    w->config.collector = "127.0.0.1:1";
    struct spool_stream *patient = new_stream(w, 1, EVICT_NEVER);
    struct spool_stream *live = new_stream(w, 2, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 12; seq++) {
        add_chunk(patient, 1, seq, 100000, 0);
        add_chunk(live, 2, seq, 10000, 8000);
    }
    start(w);
    char *status = NULL;
    do {
        free(status);
        run_for(w, 20);
        status = uplink_status(w->uplink);
    } while (!strstr(status, "\"full\": \"the spool holds"));
    free(status);
    for (uint64_t seq = 0; seq < 12; seq++) {
        assert_true(has_file(w, 1, seq, ".pcapng.zst"));
        assert_false(has_file(w, 2, seq, ".pcapng.zst"));
    }
    spool_stream_close(patient);
    spool_stream_close(live);
}

/* The collector has the head and waits for the packets when they are given up, and then the rows here, too. */
static void what_the_collector_waits_for_is_told(void **state)
{
    struct world *w = *state;
    struct spool_stream *t = new_stream(w, 1, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < 8; seq++)
        add_chunk(t, 1, seq, 100000, 8000);
    w->config.window_bytes = 30000; /* some heads, and no body */
    w->collector.no_acks = true;
    start(w);
    RUN_UNTIL(w, fake(w, 1) && fake(w, 1)->head_next >= 3);
    stop(w);
    assert_in_range(fake(w, 1)->head_next, 3, 7);
    w->config.collector = "127.0.0.1:1";
    w->config.limits.quota_bytes = 80000;
    start(w);
    RUN_UNTIL(w, used(w) < 80000);
    stop(w);
    add_end(t, 1, 8);
    spool_stream_close(t);
    w->config.collector = w->collector.address;
    w->config.window_bytes = 0;
    w->collector.no_acks = false;
    ship_until_empty(w);
    assert_true(all_here(w, 1, 9));
    assert_int_equal(fake(w, 1)->items[0].kind, HEAD_CHUNK);
    assert_int_not_equal(fake(w, 1)->items[0].fate_gap, 0);
}

/* A spool with more streams than files may be open is shipped in turns. */
static void many_streams_are_shipped_in_turns(void **state)
{
    struct world *w = *state;
    struct rlimit before, few;
    log_setup("test_uplink", LOG_LEVEL_ERROR);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (uint8_t n = 1; n <= 40; n++)
        add_stream(w, n, 1, 100);
    few = before;
    few.rlim_cur = 60;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    ship_until_empty(w);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (uint8_t n = 1; n <= 40; n++)
        check_stream(w, n, 1);
}

/* ------------------------------------------------------------ death */
/* Makes room first, if there is too little, then ships all. */
static int ship_process(const char *folder, const char *address, uint64_t quota)
{
    struct uplink_config c = {.spool_path = folder, .limits = {.quota_bytes = quota}, .collector = address};
    struct error e = ERROR_INIT;
    struct spool *s = NULL;
    struct outbox *o = NULL;
    c.agent = "agent-1";
    c.software = "fleetdump test";
    c.retry_least_ms = 5;
    c.retry_most_ms = 20;
    c.until_empty = true;
    log_setup("ship", getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    int r = spool_open(folder, &c.limits, &s, &e);
    if (!r)
        r = outbox_open(s, &o, &e);
    if (!r)
        outbox_make_room(o);
    outbox_close(o);
    spool_close(s);
    if (!r)
        r = uplink_run(&c, &e);
    if (r)
        fprintf(stderr, "ship: %s\n", e.text);
    return r ? 1 : 0;
}

/* What there is to be shipped, and how it must have arrived. */
struct story {
    uint64_t quota;
    void (*make)(struct world *w, uint8_t number);
    void (*check)(struct world *w, uint8_t number);
};

/* Runs a shipper to its end and returns its wait status. */
static int ship_once(struct world *w, const struct story *story, const char *variable, const char *value)
{
    int status = 0;
    char quota[24];
    snprintf(quota, sizeof(quota), "%llu", (unsigned long long)story->quota);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv(variable, value, 1);
        execl("/proc/self/exe", "test_uplink", SHIP, w->folder, w->collector.address, quota, (char *)NULL);
        _exit(127);
    }
    pid_t done = 0;
    RUN_UNTIL(w, (done = waitpid(pid, &status, WNOHANG)) != 0);
    assert_int_equal(done, pid);
    return status;
}

static void new_collector(struct world *w)
{
    RUN_UNTIL(w, !w->collector.data && !w->collector.control);
    fake_free(&w->collector);
    w->collector.status = NULL;
    w->collector.count = 0;
    memset(w->collector.streams, 0, sizeof(w->collector.streams));
}

#define POINTS_MAX 64u

/* The points that shipping the story passes. */
static unsigned points_of(struct world *w, const struct story *story, char seen[POINTS_MAX][64])
{
    char *text = NULL;
    size_t len = 0;
    char list[64];
    unsigned count = 0;
    snprintf(list, sizeof(list), "%s.list", w->folder);
    story->make(w, 200);
    assert_int_equal(ship_once(w, story, "FLEETDUMP_FAULT_LIST", list), 0);
    story->check(w, 200);
    assert_int_equal(fs_read_file(AT_FDCWD, list, 1 << 20, &text, &len, NULL), 0);
    assert_int_equal(unlink(list), 0);
    char *rest = text;
    for (char *name; (name = strsep(&rest, "\n"));) {
        bool known = !*name;
        for (unsigned i = 0; i < count; i++)
            known = known || strcmp(seen[i], name) == 0;
        if (!known && count < POINTS_MAX)
            snprintf(seen[count++], sizeof(seen[0]), "%s", name);
    }
    free(text);
    return count;
}

/* Killed at each point, then run again: all has arrived as it must. */
static void die_everywhere(struct world *w, const struct story *story)
{
    char seen[POINTS_MAX][64];
    unsigned count = points_of(w, story, seen);
    assert_in_range(count, 10, POINTS_MAX - 1);
    for (unsigned i = 0; i < count; i++) {
        char rule[100];
        uint8_t number = (uint8_t)(1 + i);
        new_collector(w);
        story->make(w, number);
        snprintf(rule, sizeof(rule), "%.63s:kill:%u", seen[i], 1 + i % 2);
        int status = ship_once(w, story, "FLEETDUMP_FAULT", rule);
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        assert_true(killed || i % 2); /* some are passed only once */
        RUN_UNTIL(w, !w->collector.data && !w->collector.control);
        assert_int_equal(ship_once(w, story, "FLEETDUMP_NONE", ""), 0);
        assert_int_equal(stream_count(w), 0);
        if (!fake(w, number))
            fail_msg("%s: nothing came", rule);
        story->check(w, number);
        uv_timer_start(&w->patience, on_patience, PATIENCE_MS, 0);
    }
}

static void make_sound(struct world *w, uint8_t number)
{
    add_stream(w, number, 4, 300000);
}

static void check_sound(struct world *w, uint8_t number)
{
    check_stream(w, number, 4);
}

static void a_death_anywhere_loses_and_doubles_nothing(void **state)
{
    const struct story story = {1u << 30, make_sound, check_sound};
#ifndef FLEETDUMP_FAULTS
    skip();
#endif
    die_everywhere(*state, &story);
}

#define WORN       12u
#define WORN_QUOTA 245760 /* all bodies go, and some rows */
#define BESIDE     50     /* the number of the stream that is made beside */

/* One stream with more than there is room for, and one damaged in three ways. */
static void make_worn(struct world *w, uint8_t number)
{
    assert_int_equal(fs_remove_tree(AT_FDCWD, support_path(w->folder, "damaged"), NULL), 0);
    struct spool_stream *t = new_stream(w, number, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < WORN; seq++)
        add_chunk(t, number, seq, 30000, 8000);
    add_end(t, number, WORN);
    spool_stream_close(t);
    number = (uint8_t)(number + BESIDE);
    t = new_stream(w, number, EVICT_NEVER);
    for (uint64_t seq = 0; seq < 4; seq++)
        add_chunk(t, number, seq, 10000, 0);
    add_end(t, number, 4);
    spool_stream_close(t);
    damage(w, number, 0, ".head");
    assert_int_equal(truncate(file_path(w, number, 1, ".pcapng.zst"), 10), 0);
    assert_int_equal(unlink(file_path(w, number, 2, ".head")), 0);
}

/* Each item is there, or a gap; each that promised packets has them, or it was said why not. */
static void check_covered(struct world *w, uint8_t number, uint64_t count, unsigned least_gaps, unsigned most_gaps,
                          unsigned bodies)
{
    const struct fake_stream *t = fake(w, number);
    unsigned gaps = 0, stored = 0;
    assert_non_null(t);
    assert_int_equal(t->head_next, count + 1);
    assert_int_equal(t->body_next, count + 1);
    assert_true(t->ended);
    for (uint64_t seq = 0; seq < count; seq = t->items[seq].last_seq + 1) {
        const struct fake_item *i = &t->items[seq];
        assert_true(i->have);
        assert_true(i->kind == HEAD_GAP || i->body_stored || i->fate_gap);
        gaps += i->kind == HEAD_GAP;
        stored += i->body_stored;
    }
    assert_in_range(gaps, least_gaps, most_gaps);
    assert_int_equal(stored, bodies);
}

static void check_worn(struct world *w, uint8_t number)
{
    check_covered(w, number, WORN, 2, 8, 0); /* what a death left takes room, too */
    check_covered(w, (uint8_t)(number + BESIDE), 4, 2, 2, 1);
}

static void a_death_amid_damage_and_want_of_room_needs_no_hand(void **state)
{
    const struct story story = {WORN_QUOTA, make_worn, check_worn};
#ifndef FLEETDUMP_FAULTS
    skip();
#endif
    die_everywhere(*state, &story);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], SHIP) == 0)
        return ship_process(argv[2], argv[3], strtoull(argv[4], NULL, 10));
    signal(SIGPIPE, SIG_IGN); /* the collector here writes to shippers that die */
    cmocka_set_test_filter(argc == 2 ? argv[1] : NULL);
    const struct CMUnitTest tests[] = {
        TEST(everything_arrives_and_the_spool_is_empty),
        TEST(heads_go_before_bodies),
        TEST(new_items_are_noticed),
        TEST(a_restart_sends_nothing_twice),
        TEST(a_sleeping_shipper_sleeps),
        TEST(connections_that_are_cut_lose_nothing),
        TEST(a_connection_that_breaks_has_one_reason),
        TEST(acks_that_are_lost_double_nothing),
        TEST(a_collector_that_is_away_is_waited_for),
        TEST(a_collector_that_says_nothing_is_left),
        TEST(a_refused_agent_keeps_all),
        TEST(a_refused_stream_stays_and_others_go),
        TEST(a_refused_stream_is_tried_again),
        TEST(a_collector_that_has_more_than_there_is_gets_nothing),
        TEST(only_so_much_is_under_way),
        TEST(there_is_one_shipper),
        TEST(a_stream_whose_writer_died_is_told_once),
        TEST(a_flush_waits_for_what_a_dead_writer_left),
        TEST(a_flush_names_what_is_refused),
        TEST(damage_costs_what_is_damaged),
        TEST(damaged_files_are_bounded),
        TEST(a_damaged_page_does_not_stop_a_stream),
        TEST(the_oldest_packets_go_first),
        TEST(then_the_oldest_rows),
        TEST(what_waits_is_not_given_up),
        TEST(what_the_collector_waits_for_is_told),
        TEST(many_streams_are_shipped_in_turns),
        TEST(a_death_anywhere_loses_and_doubles_nothing),
        TEST(a_death_amid_damage_and_want_of_room_needs_no_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
