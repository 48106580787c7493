#include "collector/cli/audit_files.h"

#include <inttypes.h>

/* ------------------------------------------------------------------ one of them */

/* `last`: of what came before; moved to what comes after. */
static int read_one(const char *path, struct audit_head *last, const struct audit_head *known, audit_line_fn *take,
                    void *context, struct audit_report *report, struct error *e)
{
    struct audit_head before = *last;
    int r = audit_verify_path(path, &before, known, take, context, report, e);
    *last = report->last;
    return r;
}

int audit_files_read(const struct audit_files *files, audit_line_fn *take, void *context, struct error *e)
{
    struct audit_head last = {0};
    struct audit_report report;
    int r = 0;
    for (size_t i = 0; r == 0 && i < files->count; i++)
        r = read_one(files->paths[i], &last, NULL, take, context, &report, e);
    return r;
}

/* ------------------------------------------------------------------ what came of it */

/* What a crash leaves. While somebody writes it, it is what is under way. */
static int look_at_end(const char *path, const struct audit_report *r, struct error *e)
{
    bool behind = r->folder && r->noted.seq < r->last.seq && !r->written;
    char head[200] = "";
    if (behind)
        snprintf(head, sizeof head,
                 "audit.head notes number %" PRIu64 " and lines go up to %" PRIu64
                 ": it is behind, as a crash leaves it",
                 r->noted.seq, r->last.seq);
    if (r->cut_bytes && !r->written)
        return error_set(e, ERROR_INCOMPLETE,
                         "%s%s, line %" PRIu64 ": half a line of %" PRIu64
                         " bytes, as a crash amid a write leaves it; what is before it fits%s%s",
                         path, r->folder ? "/audit.jsonl" : "", r->cut_line, r->cut_bytes, behind ? "; " : "", head);
    if (behind)
        return error_set(e, ERROR_INCOMPLETE, "%s: all lines fit, but %s", path, head);
    char of[300];
    snprintf(of, sizeof of, "%.290s: ", path);
    return r->lost ? error_set(e, ERROR_INCOMPLETE, AUDIT_LOST_TEXT, of, (unsigned long long)r->lost) : 0;
}

static const char *result_name(int result)
{
    return result == 0                  ? "good"
           : result == ERROR_INCOMPLETE ? "incomplete"
           : result == ERROR_CORRUPT    ? "changed"
                                        : "unread";
}

static json_t *row(const char *path, const struct audit_report *r, int result, const char *text)
{
    char head[AUDIT_HEAD_TEXT_MAX];
    json_t *row = json_pack("{s:s, s:s, s:I, s:I, s:I}", "file", path, "result", result_name(result), "lines",
                            (json_int_t)r->lines, "cut_bytes", (json_int_t)r->cut_bytes, "lost", (json_int_t)r->lost);
    if (r->lines) {
        json_object_set_new(row, "first", json_integer((json_int_t)r->first_seq));
        json_object_set_new(row, "last", json_integer((json_int_t)r->last.seq));
        json_object_set_new(row, "from", json_string(r->first_time));
        json_object_set_new(row, "until", json_string(r->last_time));
        json_object_set_new(row, "head", json_string(audit_head_text(&r->last, head)));
    }
    if (text[0])
        json_object_set_new(row, "text", json_string(text));
    return row;
}

struct outcome {
    size_t bad;
    struct error first; /* of the worst: what was changed counts more than what is missing */
};

static void take_result(const struct cli *cli, const struct audit_files *files, int result, const struct error *e,
                        struct outcome *o)
{
    if (result == 0)
        return;
    if (files->count > 1)
        note(cli, "%s", e->text);
    if (o->bad++ == 0 || (o->first.code == ERROR_INCOMPLETE && result != ERROR_INCOMPLETE))
        o->first = *e;
}

static int verify_one(const struct cli *cli, const char *path, struct audit_head *last, const struct audit_head *known,
                      json_t *rows, struct error *e)
{
    struct audit_report report;
    uint64_t before = last->seq;
    int r = read_one(path, last, known, NULL, NULL, &report, e);
    if (r == 0)
        r = look_at_end(path, &report, e);
    json_array_append_new(rows, row(path, &report, r, r ? e->text : ""));
    if (r == 0 && report.first_seq > 1 && report.first_seq != before + 1)
        note(cli, "%s: all fits from line %" PRIu64 " on; those before are not there (moved away?)", path,
             report.first_seq);
    return r;
}

int audit_files_verify(const struct cli *cli, const struct audit_files *files, const struct audit_head *known,
                       const struct listing *l, struct error *e)
{
    struct outcome o = {0};
    struct audit_head last = {0};
    if (known && files->count > 1)
        return error_set(e, ERROR_USAGE, "--known takes one FILE or FOLDER: the one in which that line is");
    json_t *rows = json_array();
    for (size_t i = 0; i < files->count; i++) {
        struct error why = ERROR_INIT;
        take_result(cli, files, verify_one(cli, files->paths[i], &last, known, rows, &why), &why, &o);
    }
    int r = listing_print(cli, l, rows, e);
    json_decref(rows);
    if (r || !o.bad)
        return r;
    return files->count == 1
               ? error_set(e, o.first.code, "%s", o.first.text)
               : error_set(e, o.first.code, "%zu of %zu are not as they should be, and this is the worst: %s", o.bad,
                           files->count, o.first.text);
}
