#include "collector/query/explain.h"
#include "common/base/glob.h"
#include "common/base/suggest.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED_MOST 4u

/* By --keep headers, or a snaplen. */
static bool is_cut(const struct counters *c)
{
    uint64_t had = c->value[COUNTER_STORED_BYTES] + c->value[COUNTER_CUTOFF_BYTES];
    return c->value[COUNTER_STORED] && c->value[COUNTER_STORED] == c->value[COUNTER_KEPT] &&
           had < c->value[COUNTER_KEPT_BYTES];
}

void explain_note(struct explain *x, const struct chunk_head *h)
{
    x->cut += is_cut(&h->totals);
    char text[200];
    const char *quote = h->filter[0] ? "'" : "";
    int n = snprintf(text, sizeof text, "%.60s (%s%.100s%s)", h->agent, quote, h->filter[0] ? h->filter : "everything",
                     quote);
    if (x->count > NAMED_MOST || (x->captured.len && memmem(x->captured.data, x->captured.len, text, (size_t)n)))
        return;
    x->count++;
    buffer_printf(&x->captured, "%s%s", x->captured.len ? ", " : "", x->count > NAMED_MOST ? "..." : text);
}

/* ------------------------------------------------------------------ nothing of that time */

struct known {
    struct buffer text;
    unsigned count;
};

static int add_capture(void *context, const struct store_capture_info *c)
{
    struct known *k = context;
    char first[64], last[64];
    if (k->count++ >= NAMED_MOST)
        return 0;
    buffer_printf(&k->text, "%s%.60s on %.60s (", k->count > 1 ? "; " : "", c->name, c->agents);
    if (c->filter[0])
        buffer_printf(&k->text, "'%.80s', ", c->filter);
    if (c->first_ns <= c->last_ns)
        buffer_printf(&k->text, "%s to %s)", units_format(UNIT_TIME_NS, c->first_ns, first, sizeof first),
                      units_format(UNIT_TIME_NS, c->last_ns, last, sizeof last));
    else
        buffer_printf(&k->text, "no packets)");
    return 0;
}

static void explain_nothing_captured(struct store_reader *r, char text[ERROR_TEXT_MAX])
{
    struct known k = {0};
    int result = store_each_capture(r, NULL, add_capture, &k, NULL);
    buffer_u8(&k.text, 0);
    const char *list = k.text.failed || k.text.len == 0 ? "" : (const char *)k.text.data;
    if (result || k.count == 0)
        snprintf(text, ERROR_TEXT_MAX, "nothing found: the collector holds no captures yet");
    else
        snprintf(text, ERROR_TEXT_MAX,
                 "nothing found: no packets of that time, agent or capture are stored. What is stored: %.600s%s", list,
                 k.count > NAMED_MOST ? "; ..." : "");
    buffer_free(&k.text);
}

/* ------------------------------------------------------------------ no such capture */

struct meant {
    struct suggest suggest;
    const char *glob;
    char *word; /* owned: the nearest name */
    bool found;
};

static int look_at_name(void *context, const struct store_capture_info *c)
{
    struct meant *m = context;
    m->found = m->found || glob_match(m->glob, c->name, strlen(c->name));
    suggest_consider(&m->suggest, c->name);
    if (m->suggest.word == c->name) {
        free(m->word);
        m->suggest.word = m->word = strdup(c->name);
    }
    return 0;
}

/* What was dropped was a capture all the same. */
static int look_at_dropped(void *context, const struct store_dropped_info *d, struct error *e)
{
    struct meant *m = context;
    (void)e;
    m->found = m->found || glob_match(m->glob, d->capture, strlen(d->capture));
    return 0;
}

int explain_unknown(struct store_reader *r, const struct store_scan *scan, const char *glob, struct error *e)
{
    struct meant m = {.glob = glob};
    if (glob[strcspn(glob, "*?")])
        return 0; /* a pattern may fit nothing yet */
    suggest_begin(&m.suggest, glob, strlen(glob));
    struct store_scan ever = *scan;
    ever.since_ns = 0;
    ever.until_ns = UINT64_MAX;
    int code = store_each_capture(r, scan, look_at_name, &m, e);
    if (code == 0)
        code = store_each_dropped(r, &ever, look_at_dropped, &m, e);
    if (code == 0 && !m.found)
        code = error_set(e, ERROR_NOT_FOUND, "no capture is called '%.255s'%s%s%s (`fleetdump captures` lists them)",
                         glob, m.word ? ": did you mean '" : "", m.word ? m.word : "", m.word ? "'?" : "");
    free(m.word);
    return code;
}

/* "no flow in them matches", ... */
static void say_none(const struct explain_what *w, uint64_t cut, const char *them, char *text, size_t size)
{
    const char *app = w->app ? w->app : "";
    char why[160] = "";
    if (cut)
        snprintf(why, sizeof why,
                 " (packets of %llu were cut, as by --keep headers or -s, and what was cut off was not looked at)",
                 (unsigned long long)cut);
    if (!w->exchanges)
        snprintf(text, size, "no flow in %s matches", them);
    else if (w->seen == 0)
        snprintf(text, size, "no exchange%s%s was seen in %s%s", app[0] ? " of " : "", app, them, why);
    else
        snprintf(text, size, "none of the %llu exchanges%s%s in %s matches", (unsigned long long)w->seen,
                 app[0] ? " of " : "", app, them);
}

void explain_empty(struct explain *x, struct store_reader *r, uint64_t chunks, const struct explain_what *what,
                   char text[ERROR_TEXT_MAX])
{
    char none[400];
    if (chunks == 0) {
        explain_nothing_captured(r, text);
        return;
    }
    buffer_u8(&x->captured, 0);
    say_none(what, x->cut, chunks == 1 ? "it" : "them", none, sizeof none);
    snprintf(text, ERROR_TEXT_MAX, "nothing found: %llu chunk%s of that time, and %s. Captured was: %.600s",
             (unsigned long long)chunks, units_plural(chunks), none,
             x->captured.failed ? "" : (const char *)x->captured.data);
}
