/*
 * A file that is said to be an audit, of a host that may have been taken over: read, verified, and its lines chosen from. Input: a byte of flags,
 * then the file. Flags: 1 each line of it is what stands behind number and time of a good line; 2 something comes before it.
 */
#include "collector/audit/choice.h"
#include "common/base/audit_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINES_GOOD = 1, GOES_ON = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct reading {
    uint64_t lines, last;
};

static int take(void *context, const struct audit_line *line, struct error *e)
{
    struct reading *r = context;
    const struct audit_choice choice = {.since_ns = 1, .who = "user *", .event = "*e*"};
    (void)e;
    if (r->lines++ && line->seq != r->last + 1)
        abort();
    r->last = line->seq;
    (void)audit_choice_fits(&choice, line->text, line->length);
    return 0;
}

/* Returns how many lines it made. */
static uint64_t make_good(struct audit_head *head, const uint8_t *data, size_t len, struct buffer *out)
{
    uint64_t lines = 0;
    for (const uint8_t *end; len; data += end - data + 1, lines++) {
        end = memchr(data, '\n', len);
        if (!end || end - data > AUDIT_FIELDS_MAX || memchr(data, 0, (size_t)(end - data)))
            break;
        struct buffer fields = {.limit = AUDIT_FIELDS_MAX};
        buffer_append(&fields, data, (size_t)(end - data));
        if (audit_line_make(head, UINT64_C(1700000000000000000), &fields, out, NULL))
            abort();
        buffer_free(&fields);
        len -= (size_t)(end - data) + 1;
    }
    return lines;
}

static void verify(const struct buffer *file, const struct audit_head *before, bool good, uint64_t lines)
{
    struct audit_report report;
    struct reading r = {0};
    struct error e = ERROR_INIT;
    char path[64];
    int fd = memfd_create("audit", MFD_CLOEXEC);
    if (fd < 0 || (file->len && write(fd, file->data, file->len) != (ssize_t)file->len))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int code = audit_verify_path(path, before, NULL, take, &r, &report, &e);
    close(fd);
    if (report.lines != r.lines || (report.lines && report.last.seq != r.last) || (code && !e.text[0]))
        abort();
    if (good && lines && (code || report.lines != lines))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buffer file = {.limit = 8u << 20};
    struct audit_head head = {0};
    if (!len)
        return 0;
    bool good = data[0] & LINES_GOOD, goes_on = data[0] & GOES_ON;
    uint64_t lines = 0;
    if (goes_on)
        head.seq = 41;
    const struct audit_head before = head;
    if (good)
        lines = make_good(&head, data + 1, len - 1, &file);
    else
        buffer_append(&file, data + 1, len - 1);
    if (!file.failed)
        verify(&file, goes_on ? &before : NULL, good, lines);
    buffer_free(&file);
    return 0;
}
