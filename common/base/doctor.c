#include "common/base/doctor.h"

#include "common/base/audit.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/units.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#define OFFSET_WARNING_NS (100 * NS_PER_MS)
#define OFFSET_FAILURE_NS (300 * NS_PER_S) /* certificates and orders bear no more */

struct finding {
    enum doctor_verdict verdict;
    const char *check;
    char *found, *mend; /* owned; mend may be NULL */
};

struct doctor {
    struct finding *findings;
    size_t count, more;
    bool failed;
};

static const char *const verdicts[] = {[DOCTOR_OK] = "ok", [DOCTOR_WARNING] = "warning", [DOCTOR_FAILURE] = "failure"};

int doctor_new(struct doctor **out, struct error *e)
{
    struct doctor *d = calloc(1, sizeof *d);
    if (d && (d->findings = calloc(DOCTOR_FINDINGS_MAX, sizeof *d->findings))) {
        *out = d;
        return 0;
    }
    free(d);
    return error_set(e, ERROR_MEMORY, "no memory for checks");
}

/* It may quote a peer: printable. */
__attribute__((format(printf, 1, 0))) static char *text_of(const char *fmt, va_list args)
{
    char raw[DOCTOR_TEXT_MAX];
    struct error clean = ERROR_INIT;
    vsnprintf(raw, sizeof raw, fmt, args);
    (void)error_set(&clean, ERROR_NONE, "%s", raw);
    for (char *p = clean.text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    return strdup(clean.text);
}

void doctor_say(struct doctor *d, enum doctor_verdict verdict, const char *check, const char *fmt, ...)
{
    va_list args;
    d->failed = d->failed || verdict == DOCTOR_FAILURE;
    if (d->count == DOCTOR_FINDINGS_MAX) {
        d->more++;
        return;
    }
    va_start(args, fmt);
    d->findings[d->count++] = (struct finding){.verdict = verdict, .check = check, .found = text_of(fmt, args)};
    va_end(args);
}

void doctor_mend(struct doctor *d, const char *fmt, ...)
{
    va_list args;
    if (d->count == 0 || d->more)
        return;
    va_start(args, fmt);
    free(d->findings[d->count - 1].mend);
    d->findings[d->count - 1].mend = text_of(fmt, args);
    va_end(args);
}

static void put_table(const struct doctor *d, FILE *to)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct finding *f = &d->findings[i];
        fprintf(to, "%-8s %-14s %s\n", verdicts[f->verdict], f->check, f->found ? f->found : "?");
        if (f->mend)
            fprintf(to, "%-23s -> %s\n", "", f->mend);
    }
    if (d->more)
        fprintf(to, "and %zu more\n", d->more);
}

static void put_json(const struct doctor *d, FILE *to)
{
    fputs("[", to);
    for (size_t i = 0; i < d->count; i++) {
        const struct finding *f = &d->findings[i];
        struct buffer b = {.limit = 8 * DOCTOR_TEXT_MAX};
        audit_put_text(&b, "check", f->check, DOCTOR_TEXT_MAX);
        audit_put_text(&b, "verdict", verdicts[f->verdict], DOCTOR_TEXT_MAX);
        audit_put_text(&b, "found", f->found, DOCTOR_TEXT_MAX);
        audit_put_text(&b, "mend", f->mend, DOCTOR_TEXT_MAX);
        fprintf(to, "%s\n{%.*s}", i ? "," : "", b.failed ? 0 : (int)b.len, b.data ? (const char *)b.data : "");
        buffer_free(&b);
    }
    fputs("\n]\n", to);
}

int doctor_end(struct doctor *d, bool json, FILE *to)
{
    int status = d->failed ? EXIT_FAILED : EXIT_OK;
    (json ? put_json : put_table)(d, to);
    for (size_t i = 0; i < d->count; i++) {
        free(d->findings[i].found);
        free(d->findings[i].mend);
    }
    free(d->findings);
    free(d);
    return status;
}

/* ---------------------------------------------------------------- checks */

void doctor_clock(struct doctor *d)
{
    struct timex t = {0};
    int state = adjtimex(&t);
    if (state >= 0 && state != TIME_ERROR && !(t.status & STA_UNSYNC)) {
        doctor_say(d, DOCTOR_OK, "clock", "synchronised, %.1f ms of error at the most", (double)t.maxerror / 1000);
        return;
    }
    doctor_say(d, DOCTOR_WARNING, "clock", "the kernel knows of nobody who keeps its clock right");
    doctor_mend(d, "systemctl enable --now systemd-timesyncd    (apt install systemd-timesyncd, or chrony)");
}

void doctor_offset(struct doctor *d, int64_t offset_ns, const char *whose, const char *other)
{
    uint64_t size = offset_ns < 0 ? 0 - (uint64_t)offset_ns : (uint64_t)offset_ns;
    char text[40];
    units_format(UNIT_NS, size, text, sizeof text);
    enum doctor_verdict verdict = size >= OFFSET_FAILURE_NS   ? DOCTOR_FAILURE
                                  : size >= OFFSET_WARNING_NS ? DOCTOR_WARNING
                                                              : DOCTOR_OK;
    doctor_say(d, verdict, "clock", "%s is %s %s %s", whose, text, offset_ns < 0 ? "behind" : "ahead of", other);
    if (verdict != DOCTOR_OK)
        doctor_mend(d, "timedatectl set-ntp true    (on both)");
}

/* Opens the folder, or the nearest above it that is there. */
static int open_nearest(const char *path)
{
    char name[4096];
    snprintf(name, sizeof name, "%s", path);
    for (;;) {
        int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        char *slash = strrchr(name, '/');
        if (fd >= 0 || !slash || slash == name)
            return fd;
        *slash = 0;
    }
}

void doctor_disk(struct doctor *d, const char *path, uint64_t floor_bytes, uint64_t need_bytes, const char *config)
{
    struct error e = ERROR_INIT;
    uint64_t free_bytes = 0, total_bytes = 0;
    char has[40], floor_text[40];
    int fd = open_nearest(path);
    int code = fd < 0 ? ERROR_SYSTEM : fs_free_bytes(fd, &free_bytes, &total_bytes, &e);
    if (fd >= 0)
        close(fd);
    if (code) {
        doctor_say(d, DOCTOR_FAILURE, "disk", "%s: cannot be looked at: %s", path, e.text);
        return;
    }
    units_format(UNIT_BYTES, free_bytes, has, sizeof has);
    units_format(UNIT_BYTES, floor_bytes, floor_text, sizeof floor_text);
    bool full = free_bytes <= floor_bytes || free_bytes - floor_bytes < need_bytes;
    if (!full && free_bytes > floor_bytes + floor_bytes / 2 && free_bytes > total_bytes / 50) {
        doctor_say(d, DOCTOR_OK, "disk", "%s: %s free, of which %s are left alone", path, has, floor_text);
        return;
    }
    doctor_say(d, full ? DOCTOR_FAILURE : DOCTOR_WARNING, "disk", "%s: %s free, of which %s are left alone: %s", path,
               has, floor_text, full ? "nothing more is written" : "soon nothing more is written");
    doctor_mend(d, "free some space there, or say in %s: floor = %s", config,
                units_format(UNIT_BYTES, free_bytes / 2, has, sizeof has));
}

static bool has_room_for_lines(const char *folder)
{
    uint64_t free_bytes = 0, total_bytes = 0;
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool full = fd >= 0 && fs_free_bytes(fd, &free_bytes, &total_bytes, NULL) == 0 && free_bytes < 2 * AUDIT_LINE_MAX;
    if (fd >= 0)
        close(fd);
    return !full;
}

void doctor_audit(struct doctor *d, const char *folder, const char *restart)
{
    struct error e = ERROR_INIT;
    struct audit_report report = {0};
    if (access(folder, F_OK) != 0 && errno == ENOENT) /* it has not run yet */
        return;
    int r = audit_verify(folder, NULL, NULL, NULL, &report, &e);
    if (r == 0 && !has_room_for_lines(folder)) {
        doctor_say(d, DOCTOR_FAILURE, "audit", "%s: the disk is full, so it cannot be written, and lines are lost",
                   folder);
        doctor_mend(d, "df %s    (free some space there)", folder);
    } else if (r == 0 && report.lost) {
        doctor_say(d, DOCTOR_WARNING, "audit",
                   "%s: all fits up to number %llu, but lines were never written, %llu in all", folder,
                   (unsigned long long)report.last.seq, (unsigned long long)report.lost);
        doctor_mend(d, "fleetdump audit show --event lost %s    (it says when: was the disk full?)", folder);
    } else if (r == 0)
        doctor_say(d, DOCTOR_OK, "audit", "%s: all fits up to number %llu", folder,
                   (unsigned long long)report.last.seq);
    else if (r == ERROR_CORRUPT) {
        doctor_say(d, DOCTOR_FAILURE, "audit", "%s: %s", folder, e.text);
        doctor_mend(d, "mv %s %s.evidence && %s    (look at it first: somebody has changed it, or the disk has)",
                    folder, folder, restart);
    } else {
        doctor_say(d, DOCTOR_WARNING, "audit", "%s: %s", folder, e.text);
        doctor_mend(d, "the same as root, with sudo");
    }
}

void doctor_version(struct doctor *d)
{
    struct utsname u = {0};
    unsigned major = 0, minor = 0;
    (void)uname(&u);
    bool known = sscanf(u.release, "%u.%u", &major, &minor) == 2;
    if (!known || major > 5 || (major == 5 && minor >= 13)) {
        doctor_say(d, DOCTOR_OK, "version", "fleetdump %s on Linux %s", FLEETDUMP_VERSION, u.release);
        return;
    }
    doctor_say(d, DOCTOR_WARNING, "version",
               "fleetdump %s on Linux %s, which has no Landlock (5.13): processes are less confined", FLEETDUMP_VERSION,
               u.release);
    doctor_mend(d, "apt install linux-image-amd64    (and a restart)");
}
