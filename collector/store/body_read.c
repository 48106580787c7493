#include "collector/store/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct store_body {
    struct store_reader *reader;
    struct reader_pack *pack;
    struct body_file file;
};

static void leave_pack(struct store_reader *r, struct reader_pack *pack)
{
    if (--pack->users)
        return;
    struct reader_pack **at = &r->packs;
    while (*at != pack)
        at = &(*at)->next;
    *at = pack->next;
    close(pack->fd);
    free(pack);
}

static int open_pack(const struct partition *p, uint64_t number, struct reader_pack **out, struct error *e)
{
    char name[PACK_NAME_MAX], path[4096];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", p->path, pack_name(number, name));
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? error_set(e, ERROR_NOT_FOUND, "the packets are not stored any more: %s is gone", path)
                               : error_sys(e, errno, "cannot open %s", path);
    struct reader_pack *pack = malloc(sizeof(*pack));
    if (!pack || fstat(fd, &st) != 0) {
        int sys = pack ? errno : ENOMEM;
        free(pack);
        close(fd);
        return error_sys(e, sys, "cannot read %s", path);
    }
    *pack = (struct reader_pack){.partition = p->id, .number = number, .fd = fd, .size = (uint64_t)st.st_size};
    *out = pack;
    return 0;
}

/* The pack, open; a pull reads many bodies of one at a time. */
static int enter_pack(struct store_reader *r, const struct partition *p, uint64_t number, uint64_t least,
                      struct reader_pack **out, struct error *e)
{
    for (struct reader_pack *pack = r->packs; pack; pack = pack->next)
        if (pack->partition == p->id && pack->number == number && pack->size >= least) {
            pack->users++;
            *out = pack;
            return 0;
        }
    int result = open_pack(p, number, out, e);
    if (result)
        return result;
    (*out)->users = 1;
    (*out)->next = r->packs;
    r->packs = *out;
    return 0;
}

static int check_record(const struct reader_pack *pack, const struct head_row *row, const uint8_t epoch[EPOCH_SIZE],
                        struct pack_record *record, struct error *e)
{
    int result = pack_read_record(pack->fd, row->offset, pack->size, record, e);
    if (result)
        return result;
    if (record->seq != row->seq || memcmp(record->epoch, epoch, EPOCH_SIZE) != 0 ||
        record->body_length != row->body_length)
        return error_set(e, ERROR_CORRUPT, "the record at byte %llu belongs to another chunk",
                         (unsigned long long)row->offset);
    return 0;
}

static int open_stored(struct store_reader *r, const struct partition *p, const struct head_row *row,
                       const uint8_t epoch[EPOCH_SIZE], struct store_body *body, struct error *e)
{
    char name[PACK_NAME_MAX];
    struct pack_record record;
    int result = enter_pack(r, p, row->pack, row->offset + row->body_length, &body->pack, e);
    if (result)
        return result;
    result = check_record(body->pack, row, epoch, &record, e);
    if (result) {
        error_prefix(e, "%s/%s", p->path, pack_name(row->pack, name));
        leave_pack(r, body->pack);
        return result;
    }
    body->reader = r;
    body->file = (struct body_file){.fd = body->pack->fd, .base = pack_body_offset(&record)};
    return 0;
}

int store_body_open(struct store_reader *r, const uint8_t epoch[EPOCH_SIZE], uint64_t seq, struct store_body **out,
                    struct body_source *source, struct error *e)
{
    char text[EPOCH_TEXT_SIZE];
    struct reader_slot *slot = NULL;
    struct head_row row;
    int result = reader_find(r, epoch, seq, &slot, &row, e);
    if (result)
        return result;
    struct store_body *body = calloc(1, sizeof(*body));
    if (!body)
        result = error_set(e, ERROR_MEMORY, "no memory for a body");
    else if (row.body != BODY_STORED || !row.placed)
        result = error_set(e, ERROR_NOT_FOUND, "the packets of chunk %s.%llu are not stored: %s",
                           record_epoch_text(epoch, text), (unsigned long long)seq, body_state_name(row.body));
    else
        result = open_stored(r, slot->p, &row, epoch, body, e);
    reader_release(slot, false);
    if (result) {
        free(body);
        return result;
    }
    *source = body_source_file(&body->file, row.body_length);
    *out = body;
    return 0;
}

void store_body_close(struct store_body *b)
{
    if (b)
        leave_pack(b->reader, b->pack);
    free(b);
}
