#include "tests/unit/uplink_support.h"

#include "common/base/fs.h"
#include "common/base/hash.h"
#include "common/base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const labels[] = {"role=test", "site=here"};

/* ------------------------------------------------------------ the world */
void world_on_patience(uv_timer_t *timer)
{
    ((struct world *)timer->data)->ran_out = true;
}

void world_on_tick(uv_timer_t *timer)
{
    (void)timer; /* RUN_UNTIL looks at its condition */
}

static void on_abandoned(void *context, const uint8_t epoch[EPOCH_SIZE])
{
    (void)epoch;
    ((struct world *)context)->abandoned++;
}

int world_set_up(void **state)
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
    uv_timer_start(&w->patience, world_on_patience, PATIENCE_MS, 0);
    uv_timer_start(&w->tick, world_on_tick, 20, 20);
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

static void on_end(void *context)
{
    ((struct world *)context)->uplink = NULL;
}

void world_start(struct world *w)
{
    struct error e = ERROR_INIT;
    if (uplink_start(&w->loop, &w->config, on_end, w, &w->uplink, &e) != 0)
        fail_msg("%s", e.text);
}

void world_stop(struct world *w)
{
    if (w->uplink)
        uplink_stop(w->uplink);
    RUN_UNTIL(w, !w->uplink);
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    world_stop(w);
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

void world_run_for(struct world *w, uint64_t ms)
{
    uint64_t end = uv_now(&w->loop) + ms;
    RUN_UNTIL(w, uv_now(&w->loop) >= end);
}

/* ------------------------------------------------------------ what captures make */
void made_epoch(uint8_t number, uint8_t epoch[EPOCH_SIZE])
{
    memset(epoch, number, EPOCH_SIZE);
}

struct spool_stream *made_stream(struct world *w, uint8_t number, uint32_t evict)
{
    uint8_t epoch[EPOCH_SIZE];
    struct spool_stream *t = NULL;
    struct error e = ERROR_INIT;
    char capture[20];
    made_epoch(number, epoch);
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
    made_epoch(number, h->epoch);
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

void made_chunk(struct spool_stream *t, uint8_t number, uint64_t seq, size_t body_len, size_t padding)
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

void made_end(struct spool_stream *t, uint8_t number, uint64_t seq)
{
    struct chunk_head h;
    fill_head(&h, HEAD_END, number, seq);
    seal(t, &h, -1, 0);
}

void made_whole_stream(struct world *w, uint8_t number, uint64_t chunks, size_t body_len)
{
    struct spool_stream *t = made_stream(w, number, EVICT_OLDEST);
    for (uint64_t seq = 0; seq < chunks; seq++)
        made_chunk(t, number, seq, seq % 3 == 2 ? NO_BODY : body_len + seq, 0);
    made_end(t, number, chunks);
    spool_stream_close(t);
}

/* ------------------------------------------------------------ what is looked at */
struct fake_stream *arrived_stream(struct world *w, uint8_t number)
{
    uint8_t epoch[EPOCH_SIZE];
    made_epoch(number, epoch);
    return fake_find(&w->collector, epoch);
}

const char *left_path(struct world *w, uint8_t number, uint64_t seq, const char *suffix)
{
    char name[128];
    char hex[33];
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", number);
    snprintf(name, sizeof(name), "%s/%016llx%s", hex, (unsigned long long)seq, suffix);
    return support_path(w->folder, name);
}

bool left_file(struct world *w, uint8_t number, uint64_t seq, const char *suffix)
{
    struct stat st;
    return stat(left_path(w, number, seq, suffix), &st) == 0;
}

unsigned left_files_in(const char *path)
{
    unsigned n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

size_t left_streams(struct world *w)
{
    struct spool_stream_info *list = NULL;
    size_t count = 0;
    assert_int_equal(spool_list(w->spool, &list, &count, NULL), 0);
    free(list);
    return count;
}

bool arrived_all(struct world *w, uint8_t number, uint64_t next)
{
    const struct fake_stream *t = arrived_stream(w, number);
    return t && t->head_next == next && t->body_next == next;
}

void arrived_whole(struct world *w, uint8_t number, uint64_t chunks)
{
    const struct fake_stream *t = arrived_stream(w, number);
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

void world_ship_until_empty(struct world *w)
{
    w->config.until_empty = true;
    world_start(w);
    RUN_UNTIL(w, !w->uplink);
    assert_int_equal(left_streams(w), 0);
}

/* ------------------------------------------------------------ damage */
void left_damage(struct world *w, uint8_t number, uint64_t seq, const char *suffix)
{
    int fd = open(left_path(w, number, seq, suffix), O_RDWR);
    struct stat st;
    uint8_t byte;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
    close(fd);
}
