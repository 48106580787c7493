#include "agent/ship/spool.h"

#include "agent/ship/spool_dir.h"

#include <string.h>
#include <unistd.h>

struct look {
    const uint8_t *epoch; /* of who asks */
    bool may_move;        /* something of the spool can be shipped, or will be sealed */
    unsigned ahead;
};

struct files {
    unsigned bodies, heads, open;
};

static int count_file(void *context, int dirfd, const char *name, struct error *e)
{
    struct files *f = context;
    uint64_t seq;
    enum spool_file kind = spool_file_parse(name, &seq);
    (void)dirfd;
    (void)e;
    f->bodies += kind == SPOOL_FILE_BODY;
    f->heads += kind == SPOOL_FILE_HEAD;
    f->open += kind == SPOOL_FILE_OPEN;
    return 0;
}

static bool waits_for_room(int dirfd, const uint8_t epoch[EPOCH_SIZE])
{
    struct counter_page *page;
    if (counter_page_map(dirfd, epoch, false, &page, NULL) != 0)
        return false;
    bool waits = atomic_load_explicit(&page->evict, memory_order_relaxed) == EVICT_NEVER;
    counter_page_unmap(page);
    return waits;
}

/* The newest head of a stream that goes on stays when it was acknowledged (spool.h). */
static void look_at(struct look *l, int dirfd, const uint8_t epoch[EPOCH_SIZE])
{
    struct files f = {0};
    struct spool_dir d;
    if (spool_dir_each(dirfd, count_file, &f, NULL) != 0 || spool_dir_read(dirfd, &d, NULL) != 0)
        return;
    bool lives = spool_writer_lives(dirfd), waits = waits_for_room(dirfd, epoch);
    if (f.bodies || f.heads > 1 || d.ended || (lives && f.open && !waits))
        l->may_move = true;
    else if (lives && waits && memcmp(epoch, l->epoch, EPOCH_SIZE) > 0)
        l->ahead++;
}

static int look_at_name(void *context, int spool, const char *name, struct error *e)
{
    uint8_t epoch[EPOCH_SIZE];
    (void)e;
    if (!spool_stream_parse(name, epoch))
        return 0;
    int dirfd = spool_dir_open(spool, epoch, NULL);
    if (dirfd >= 0) {
        look_at(context, dirfd, epoch);
        close(dirfd);
    }
    return 0;
}

bool spool_is_stuck(struct spool *s, const uint8_t epoch[EPOCH_SIZE], unsigned *ahead)
{
    struct look l = {.epoch = epoch};
    int r = spool_dir_each(spool_fd(s), look_at_name, &l, NULL);
    *ahead = l.ahead;
    return r == 0 && !l.may_move && spool_used(s) > spool_limits(s)->quota_bytes / 2;
}
