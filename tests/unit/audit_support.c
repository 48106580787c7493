#include "tests/unit/audit_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int place_make(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    p->path = support_folder();
    *state = p;
    return 0;
}

int place_remove(void **state)
{
    struct place *p = *state;
    support_folder_remove(p->path);
    free(p);
    return 0;
}

const char *place_folder(const struct place *p)
{
    return support_path(p->path, "audit");
}

struct audit *place_reopen(struct place *p, uint64_t file_bytes)
{
    struct audit *a = NULL;
    if (audit_open(place_folder(p), file_bytes, &a, &p->e))
        fail_msg("%s", p->e.text);
    return a;
}

int append_line(struct audit *a, uint64_t number, struct error *e)
{
    struct buffer fields = {.limit = AUDIT_FIELDS_MAX};
    audit_put_text(&fields, "who", "ann", 100);
    audit_put_number(&fields, "number", number);
    int r = audit_append(a, T0 + number, &fields, e);
    buffer_free(&fields);
    return r;
}

void place_make_chain(struct place *p, uint64_t lines, uint64_t file_bytes)
{
    struct audit *a = place_reopen(p, file_bytes);
    for (uint64_t i = 1; i <= lines; i++)
        assert_int_equal(append_line(a, i, &p->e), 0);
    audit_close(a);
}

int place_verify(struct place *p, struct audit_report *report)
{
    p->e = (struct error)ERROR_INIT;
    return audit_verify(place_folder(p), NULL, NULL, NULL, report, &p->e);
}

void place_assert_good(struct place *p, uint64_t lines)
{
    struct audit_report report;
    if (place_verify(p, &report))
        fail_msg("%s", p->e.text);
    assert_int_equal(report.last.seq, lines);
}

char *place_load(const struct place *p, const char *name, size_t *len)
{
    char path[400];
    static char bytes[1 << 20];
    snprintf(path, sizeof path, "%s/%s", place_folder(p), name);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, bytes, sizeof bytes - 1);
    close(fd);
    assert_true(n >= 0);
    bytes[n] = 0;
    *len = (size_t)n;
    return bytes;
}

void place_save(const struct place *p, const char *name, const void *bytes, size_t len)
{
    char path[400];
    snprintf(path, sizeof path, "audit/%s", name);
    support_write(p->path, path, bytes, len);
}
