#include "agent/journal.h"

#include "common/base/audit.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/pace.h"
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define MINUTE_NS (60 * NS_PER_S)
#define FIELD_MAX 600u

static struct {
    char folder[4200];
    struct audit *audit; /* NULL: it is not open */
    uint64_t lost;       /* lines */
    uint64_t again_ns;   /* it is to be opened anew then; UINT64_MAX: it works, or never will */
    struct pace refusals;
    unsigned passed_over;
    struct error problem;
} journal;

/* Said once, until it works. */
static void does_not_work(const struct error *e)
{
    if (journal.again_ns == UINT64_MAX)
        log_error("the host's audit: %s: what is captured by order stands in syslog alone", e->text);
    journal.again_ns = clock_mono_ns() + JOURNAL_AGAIN_NS;
}

static void works(void)
{
    if (journal.again_ns != UINT64_MAX)
        log_info("the host's audit is written again");
    journal.again_ns = UINT64_MAX;
}

static bool put(const struct buffer *fields)
{
    struct error e = ERROR_INIT;
    int r = journal.audit ? audit_append(journal.audit, clock_wall_ns(), fields, &e) : ERROR_SYSTEM;
    if (r && journal.audit)
        does_not_work(&e);
    return r == 0;
}

/* Whether what comes next may be written: behind the number of lines that are missing before it. */
static bool say_lost(void)
{
    struct buffer fields = {.limit = AUDIT_FIELDS_MAX};
    if (!journal.lost)
        return true;
    audit_put_text(&fields, "event", "lost", FIELD_MAX);
    audit_put_number(&fields, "lines", journal.lost);
    bool written = put(&fields);
    if (written)
        journal.lost = 0;
    buffer_free(&fields);
    return written;
}

static void open_it(void)
{
    struct error *e = &journal.problem;
    *e = (struct error)ERROR_INIT;
    audit_close(journal.audit);
    int r = audit_open(journal.folder, 0, &journal.audit, e);
    if (r)
        journal.audit = NULL;
    if (r == ERROR_CORRUPT) { /* for somebody to look at */
        journal.again_ns = UINT64_MAX;
        log_error("%s: what is captured by order stands in syslog alone", e->text);
    } else if (r)
        does_not_work(e);
}

void journal_open(const char *spool)
{
    openlog("fleetdump-agent", LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
    snprintf(journal.folder, sizeof journal.folder, "%s" JOURNAL_FOLDER, spool);
    journal.again_ns = UINT64_MAX;
    journal.lost = 0;
    open_it();
}

static void try_again(void)
{
    struct error e = ERROR_INIT;
    open_it();
    if (!journal.audit || !say_lost())
        return;
    if (audit_sync(journal.audit, &e))
        does_not_work(&e);
    else
        works();
}

const char *journal_problem(void)
{
    return journal.problem.text;
}

void journal_close(void)
{
    if (journal.again_ns != UINT64_MAX)
        try_again();
    audit_close(journal.audit);
    journal.audit = NULL;
    closelog();
}

static void append(const char *event, const struct order *o, const char *text)
{
    struct buffer b = {.limit = AUDIT_FIELDS_MAX};
    char id[33], interfaces[300] = "";
    for (size_t i = 0; i < sizeof o->id; i++)
        snprintf(id + 2 * i, 3, "%02x", o->id[i]);
    for (size_t i = 0, at = 0; i < REQUEST_INTERFACES_MAX && o->interfaces[i][0] && at < sizeof interfaces; i++)
        at += (size_t)snprintf(interfaces + at, sizeof interfaces - at, "%s%s", at ? "," : "", o->interfaces[i]);
    audit_put_text(&b, "event", event, FIELD_MAX);
    audit_put_text(&b, "capture", o->name, FIELD_MAX);
    audit_put_text(&b, "id", id, FIELD_MAX);
    audit_put_text(&b, "who", o->who, FIELD_MAX);
    audit_put_text(&b, "filter", o->filter, FIELD_MAX);
    audit_put_text(&b, "interfaces", interfaces, FIELD_MAX);
    audit_put_text(&b, "keep", capture_keep_name(o->keep), FIELD_MAX);
    audit_put_text(&b, "text", text, FIELD_MAX);
    if (say_lost() && put(&b))
        works();
    else
        journal.lost++;
    buffer_free(&b);
}

static bool is_flood(void)
{
    if (!pace_take(&journal.refusals, clock_mono_ns(), JOURNAL_REFUSALS, MINUTE_NS)) {
        journal.passed_over++;
        return true;
    }
    if (journal.passed_over)
        syslog(LOG_WARNING, "%u more refusals were not written", journal.passed_over);
    journal.passed_over = 0;
    return false;
}

/* One line, whatever stands in it. */
static char *clean(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return text;
}

bool journal_write(const char *event, const struct order *o, const char *text)
{
    char line[1024];
    if (strcmp(event, "refused") == 0 && is_flood())
        return false;
    snprintf(line, sizeof line, "capture %.100s by %s %s: filter '%.300s'%s%.400s", o->name[0] ? o->name : "(unnamed)",
             o->who[0] ? o->who : "nobody named", event, o->filter, text[0] ? ": " : "", text);
    syslog(LOG_NOTICE, "%s", clean(line));
    append(event, o, text);
    return true;
}

void journal_sync(void)
{
    struct error e = ERROR_INIT;
    if (clock_mono_ns() >= journal.again_ns)
        try_again();
    else if (journal.again_ns == UINT64_MAX && journal.audit && audit_sync(journal.audit, &e))
        does_not_work(&e);
}

uint64_t journal_due(void)
{
    return journal.again_ns;
}
