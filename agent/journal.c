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
    struct audit *audit;
    struct pace refusals;
    unsigned passed_over;
    struct error problem;
} journal;

void journal_open(const char *spool)
{
    char path[4200];
    struct error *e = &journal.problem;
    *e = (struct error)ERROR_INIT;
    openlog("fleetdump-agent", LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
    snprintf(path, sizeof path, "%s" JOURNAL_FOLDER, spool);
    if (audit_open(path, 0, &journal.audit, e)) {
        journal.audit = NULL;
        log_error("%s: what is captured by order stands in syslog alone", e->text);
    }
}

const char *journal_problem(void)
{
    return journal.problem.text;
}

void journal_close(void)
{
    audit_close(journal.audit);
    journal.audit = NULL;
    closelog();
}

static void append(const char *event, const struct order *o, const char *text)
{
    struct error e = ERROR_INIT;
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
    int r = audit_append(journal.audit, clock_wall_ns(), &b, &e);
    buffer_free(&b);
    if (r)
        log_error("the host's audit: %s", e.text);
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
    if (journal.audit)
        append(event, o, text);
    return true;
}

void journal_sync(void)
{
    struct error e = ERROR_INIT;
    if (journal.audit && audit_sync(journal.audit, &e))
        log_error("the host's audit: %s", e.text);
}
