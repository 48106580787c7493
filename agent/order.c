/* order: checks of what crosses between the agent's processes, and the files of orders. */
#include "agent/order.h"

#include "agent/capture/conversation.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK "monitor.lock"
/* A child that was just forked holds the lock for a moment longer than its monitor lives. */
#define LOCK_TRIES    50
#define LOCK_PAUSE_US 10000
#define FOLDER_MODE   0700
#define FILE_MODE     0600
#define FILE_NAME     (2 * 16 + 1)
#define PATH_SIZE     4200

/* ---------------------------------------------------------------- checks */

/* Terminated, and no control characters but those of a text of several lines. */
static bool is_text(const char *text, size_t size)
{
    size_t len = strnlen(text, size);
    if (len == size)
        return false;
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\n' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

static bool texts_are_clean(const struct order *o, const char **field)
{
    const struct {
        const char *name, *text;
        size_t size;
    } texts[] = {
        {"name", o->name, sizeof o->name}, {"filter", o->filter, sizeof o->filter}, {"who", o->who, sizeof o->who}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *field = texts[i].name;
        if (!is_text(texts[i].text, texts[i].size))
            return false;
    }
    *field = "interfaces";
    for (size_t i = 0; i < REQUEST_INTERFACES_MAX; i++)
        if (!is_text(o->interfaces[i], sizeof o->interfaces[i]) || strchr(o->interfaces[i], '/'))
            return false;
    return true;
}

int order_check(const struct order *o, struct error *e)
{
    const char *field = NULL;
    if (o->magic != ORDER_MAGIC)
        field = "magic";
    else if (!texts_are_clean(o, &field))
        ;
    else if (!o->name[0])
        field = "name";
    else if (o->snaplen > PACKET_SNAPLEN_MAX)
        field = "snaplen";
    else if (o->keep > KEEP_FLOWS || o->companions > 1 || o->no_apps > 1)
        field = "keep";
    else if (o->http_blank > HTTP_BLANK_ALL)
        field = "http_blank";
    else if (o->collector_family != 0 && o->collector_family != FAMILY_IP4 && o->collector_family != FAMILY_IP6)
        field = "collector_family";
    else if (o->end_ns && o->end_ns < o->start_ns)
        field = "end_ns";
    else
        field = NULL;
    return field ? error_set(e, ERROR_INVALID, "an order whose field %s is not sound", field) : 0;
}

size_t order_globs(const struct order *o, const char *globs[REQUEST_INTERFACES_MAX])
{
    size_t n = 0;
    while (n < REQUEST_INTERFACES_MAX && o->interfaces[n][0]) {
        globs[n] = o->interfaces[n];
        n++;
    }
    return n;
}

/* ---------------------------------------------------------------- from the wire */

static bool copy(char *to, size_t size, const char *from)
{
    return (size_t)snprintf(to, size, "%s", from ? from : "") < size;
}

static uint64_t later(uint64_t now_ns, uint64_t by_ns)
{
    return by_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + by_ns;
}

uint64_t order_local_ns(uint64_t collector_ns, int64_t clock_ns)
{
    if (collector_ns == UINT64_MAX)
        return collector_ns;
    if (clock_ns < 0)
        return collector_ns > (uint64_t)-clock_ns ? collector_ns - (uint64_t)-clock_ns : 0;
    return later(collector_ns, (uint64_t)clock_ns);
}

int order_from_request(const struct capture_request *r, uint64_t wait_ns, uint64_t left_ns, uint64_t now_wall_ns,
                       struct order *o, struct error *e)
{
    if (r->for_ns && left_ns > later(wait_ns, r->for_ns))
        left_ns = later(wait_ns, r->for_ns);
    *o = (struct order){.magic = ORDER_MAGIC,
                        .snaplen = r->snaplen,
                        .cutoff = r->cutoff,
                        .keep = r->keep,
                        .companions = r->companions,
                        .packets = r->packets,
                        .bytes = r->bytes,
                        .rate = r->rate,
                        .start_ns = wait_ns ? later(now_wall_ns, wait_ns) : 0,
                        .end_ns = left_ns == UINT64_MAX ? 0 : later(now_wall_ns, left_ns)};
    memcpy(o->id, r->id, sizeof o->id);
    if (!copy(o->name, sizeof o->name, r->name) || !copy(o->filter, sizeof o->filter, r->filter))
        return error_set(e, ERROR_LIMIT, "the name or the filter of the capture is too long");
    (void)copy(o->who, sizeof o->who, r->who); /* for people: cut */
    if (r->interface_count > REQUEST_INTERFACES_MAX)
        return error_set(e, ERROR_LIMIT, "more than %u names of interfaces", REQUEST_INTERFACES_MAX);
    for (uint32_t i = 0; i < r->interface_count; i++)
        if (!copy(o->interfaces[i], sizeof o->interfaces[i], r->interfaces[i]))
            return error_set(e, ERROR_LIMIT, "interface '%.80s': the name is longer than %u characters",
                             r->interfaces[i], ORDER_NAME_MAX - 1);
    return order_check(o, e);
}

bool monitor_request_is_sound(const struct monitor_request *r, size_t len)
{
    return len == sizeof *r && r->magic == ORDER_MAGIC && r->kind >= REQUEST_START && r->kind <= REQUEST_RECOVER &&
           is_text(r->text, sizeof r->text) && r->signature_length <= sizeof r->by.signature &&
           r->bytes_length <= sizeof r->by.bytes && !r->signature_length == !r->bytes_length;
}

bool monitor_report_is_sound(struct monitor_report *r, size_t len)
{
    if (len != sizeof *r || r->magic != ORDER_MAGIC || r->kind < REPORT_STATE || r->kind > REPORT_FLUSHED)
        return false;
    r->text[sizeof r->text - 1] = 0;
    for (size_t i = 0; i < ORDER_LISTED_MAX; i++)
        r->interfaces[i][ORDER_NAME_MAX - 1] = 0;
    if (r->stream_count > REPORT_STREAMS_MAX)
        r->stream_count = REPORT_STREAMS_MAX;
    return true;
}

/* ---------------------------------------------------------------- files */

static void file_name(const uint8_t id[16], char name[FILE_NAME])
{
    for (size_t i = 0; i < 16; i++)
        snprintf(name + 2 * i, 3, "%02x", id[i]);
}

static int open_folder(const char *spool, struct error *e)
{
    char path[PATH_SIZE];
    if ((size_t)snprintf(path, sizeof path, "%s" ORDER_FOLDER, spool) >= sizeof path)
        return error_set(e, ERROR_LIMIT, "the path of the spool is too long");
    return fs_open_dir(path, FOLDER_MODE, e);
}

bool order_is_locked(const char *spool)
{
    char path[PATH_SIZE];
    return (size_t)snprintf(path, sizeof path, "%s" ORDER_FOLDER "/" LOCK, spool) < sizeof path &&
           fs_lock_held(AT_FDCWD, path);
}

int order_lock(const char *spool, struct error *e)
{
    int dirfd = open_folder(spool, e);
    if (dirfd < 0)
        return dirfd;
    int fd = fs_lock(dirfd, LOCK, e);
    for (int tries = LOCK_TRIES; fd == ERROR_BUSY && tries > 0; tries--) {
        usleep(LOCK_PAUSE_US);
        fd = fs_lock(dirfd, LOCK, e);
    }
    close(dirfd);
    return fd < 0 ? error_prefix(e, "%s" ORDER_FOLDER, spool) : fd;
}

int order_save(const char *spool, const struct order_record *o, struct error *e)
{
    char name[FILE_NAME];
    int dirfd = open_folder(spool, e);
    if (dirfd < 0)
        return dirfd;
    file_name(o->order.id, name);
    int r = fs_replace(dirfd, name, o, sizeof *o, FILE_MODE, "order.save", e);
    close(dirfd);
    return r;
}

int order_remove(const char *spool, const uint8_t id[16], struct error *e)
{
    char name[FILE_NAME];
    int dirfd = open_folder(spool, e);
    if (dirfd < 0)
        return dirfd;
    file_name(id, name);
    int r = fs_unlink(dirfd, name, "order.remove", e);
    if (!r)
        r = fs_sync_dir(dirfd, "order.sync-dir", e);
    close(dirfd);
    return r;
}

int order_record_check(const struct order_record *o, struct error *e)
{
    if (o->signature_length > sizeof o->signature || o->bytes_length > sizeof o->bytes ||
        !o->signature_length != !o->bytes_length || !is_text(o->over_text, sizeof o->over_text))
        return error_set(e, ERROR_INVALID, "an order whose signature is not sound");
    return order_check(&o->order, e);
}

static void load(int dirfd, const char *name, void (*each)(void *context, const struct order_record *o), void *context)
{
    struct error e = ERROR_INIT;
    struct order_record o;
    char *data = NULL;
    size_t len = 0;
    int r = fs_read_file(dirfd, name, sizeof o, &data, &len, &e);
    if (!r && len != sizeof o)
        r = error_set(&e, ERROR_INVALID, "an order of %zu bytes instead of %zu", len, sizeof o);
    if (!r) {
        memcpy(&o, data, sizeof o);
        r = order_record_check(&o, &e);
    }
    if (r) {
        log_warn("order %s: %s; it is removed, the collector orders it again", name, e.text);
        (void)unlinkat(dirfd, name, 0);
    } else
        each(context, &o);
    free(data);
}

int order_load_all(const char *spool, void (*each)(void *context, const struct order_record *o), void *context,
                   struct error *e)
{
    int dirfd = open_folder(spool, e);
    if (dirfd < 0)
        return dirfd;
    DIR *d = fs_list(dirfd);
    if (!d) {
        int sys = errno;
        close(dirfd);
        return error_sys(e, sys, "%s" ORDER_FOLDER, spool);
    }
    for (struct dirent *entry; (entry = readdir(d));)
        if (strlen(entry->d_name) == FILE_NAME - 1 && strspn(entry->d_name, "0123456789abcdef") == FILE_NAME - 1)
            load(dirfd, entry->d_name, each, context);
    closedir(d);
    close(dirfd);
    return 0;
}

/* ---------------------------------------------------------------- ids that were here */

#define SEEN_FILE "seen"

int order_seen_load(const char *spool, struct order_seen_list *list, struct error *e)
{
    char *data = NULL;
    size_t len = 0;
    *list = (struct order_seen_list){0};
    int dirfd = open_folder(spool, e);
    if (dirfd < 0)
        return dirfd;
    int r = fs_read_file(dirfd, SEEN_FILE, ORDER_SEEN_MAX * sizeof(struct order_seen), &data, &len, e);
    close(dirfd);
    if (r == ERROR_NOT_FOUND)
        return 0;
    if (!r && len % sizeof(struct order_seen) != 0)
        r = ERROR_CORRUPT;
    if (r) {
        free(data);
        return error_set(e, ERROR_CORRUPT,
                         "%s" ORDER_FOLDER "/" SEEN_FILE
                         " is damaged: no signed order is taken until it is removed, and then old "
                         "ones may be played again until they expire",
                         spool);
    }
    *list =
        (struct order_seen_list){.items = (struct order_seen *)(void *)data, .count = len / sizeof(struct order_seen)};
    return 0;
}

bool order_seen_has(const struct order_seen_list *list, const uint8_t id[16])
{
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(list->items[i].id, id, 16) == 0)
            return true;
    return false;
}

static void forget_expired(struct order_seen_list *list, uint64_t now_ns)
{
    size_t left = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].until_ns >= now_ns)
            list->items[left++] = list->items[i];
    list->count = left;
}

int order_seen_add(const char *spool, struct order_seen_list *list, const uint8_t id[16], uint64_t until_ns,
                   uint64_t now_ns, struct error *e)
{
    forget_expired(list, now_ns);
    if (list->count == ORDER_SEEN_MAX)
        return error_set(e, ERROR_LIMIT,
                         "this host remembers %u signed orders that have not expired, which is the most",
                         ORDER_SEEN_MAX);
    struct order_seen *grown = reallocarray(list->items, list->count + 1, sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory to remember an order");
    list->items = grown;
    grown[list->count] = (struct order_seen){.until_ns = until_ns};
    memcpy(grown[list->count].id, id, 16);
    list->count++;
    int dirfd = open_folder(spool, e);
    int r = dirfd < 0 ? dirfd
                      : fs_replace(dirfd, SEEN_FILE, list->items, list->count * sizeof *list->items, FILE_MODE,
                                   "order.seen", e);
    if (dirfd >= 0)
        close(dirfd);
    list->count -= r != 0;
    return r;
}
