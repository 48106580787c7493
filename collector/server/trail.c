#include "collector/server/trail.h"

#include "collector/audit/choice.h"
#include "collector/server/rights.h"
#include "common/base/audit.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define TICK_MS      1000u
#define REOPEN_TICKS 10u
#define MINUTE_TICKS 60u
#define NAME_MOST    300u

/* Of these each byte may take two in a line, and no text may keep its line from being written. */
#define WHAT_MAX 2200u
#define TEXT_MAX 500u
_Static_assert(2 * (WHAT_MAX + 2 * TEXT_MAX) + 4 * NAME_MOST + 300 < AUDIT_FIELDS_MAX, "a line may be too long");

struct trail {
    struct server *server;
    char *folder;
    struct audit *audit; /* NULL: it could not be opened anew */
    uv_timer_t timer;
    bool said; /* that it cannot be written */
    uint64_t lost, ticks;
    unsigned lines[2]; /* of this minute that may be left out: of those who were not let in, of others */
    uint64_t more;     /* left out */
};

/* ------------------------------------------------------------------ writing */

static void cannot_write(struct trail *t, const struct error *e)
{
    t->lost++;
    if (!t->said)
        log_error("the audit cannot be written, and what is done goes on without it: %s", e->text);
    t->said = true;
}

/* The last line that was written is what the system's log gets: with its hash. */
static void to_syslog(const struct trail *t, const struct buffer *fields)
{
    char head[AUDIT_HEAD_TEXT_MAX];
    struct audit_head h;
    if (!t->server->config->audit_syslog)
        return;
    h = audit_head(t->audit);
    syslog(LOG_AUTHPRIV | LOG_NOTICE, "audit %s {%.*s}", audit_head_text(&h, head), (int)fields->len,
           (const char *)fields->data);
}

static bool append(struct trail *t, const struct buffer *fields)
{
    struct error e = ERROR_INIT;
    int r = t->audit ? audit_append(t->audit, clock_wall_ns(), fields, &e)
                     : error_set(&e, ERROR_SYSTEM, "it could not be opened anew");
    if (r) {
        cannot_write(t, &e);
        return false;
    }
    to_syslog(t, fields);
    return true;
}

static void note_number(struct trail *t, const char *event, const char *name, uint64_t *number)
{
    struct buffer fields = {.limit = AUDIT_FIELDS_MAX};
    if (*number == 0)
        return;
    audit_put_text(&fields, "event", event, NAME_MOST);
    audit_put_number(&fields, name, *number);
    if (append(t, &fields))
        *number = 0;
    else
        t->lost--; /* it is the count of the lost itself */
    buffer_free(&fields);
}

static void works_again(struct trail *t)
{
    note_number(t, "lost", "lines", &t->lost);
    if (t->lost == 0 && t->said) {
        log_info("the audit is written again");
        t->said = false;
    }
}

static void put_who(struct buffer *fields, const struct session *s)
{
    static const struct identity nobody;
    const struct identity *who = s ? session_identity(s) : &nobody;
    char text[HEAD_NAME_MAX + 32] = "";
    if (who->kind != IDENTITY_NONE)
        snprintf(text, sizeof text, "%s %s", identity_kind_name(who->kind), who->name);
    else if (s && s->agent && s->server->tls == NULL)
        snprintf(text, sizeof text, "agent %s", s->agent);
    audit_put_text(fields, "who", text, NAME_MOST);
    if (who->kind != IDENTITY_NONE)
        audit_put_text(fields, "cert", who->serial, NAME_MOST);
    if (s)
        audit_put_text(fields, "from", s->peer, NAME_MOST);
}

/* What costs nothing to do again and again costs a bounded number of lines; what was granted is always noted. Whoever is
 * let in has lines that nobody else can use up. */
static bool is_too_much(struct trail *t, const struct session *s, const char *event, int code)
{
    static const unsigned most[] = {TRAIL_STRANGERS, TRAIL_KNOWN};
    bool connects = strcmp(event, "connect") == 0;
    bool bounded = connects || (code && (strcmp(event, "refused") == 0 || strcmp(event, "enroll") == 0));
    bool known = s && (s->welcomed || connects);
    if (!s || !bounded)
        return false;
    if (t->lines[known] < most[known]) {
        t->lines[known]++;
        return false;
    }
    t->more++;
    return true;
}

void trail_note(struct server *server, const struct session *s, const char *event, const char *what, int code,
                const char *text, const struct trail_result *result)
{
    struct trail *t = server->trail;
    struct buffer fields = {.limit = AUDIT_FIELDS_MAX * 2};
    if (!t || is_too_much(t, s, event, code))
        return;
    audit_put_text(&fields, "event", event, NAME_MOST);
    put_who(&fields, s);
    audit_put_text(&fields, "what", what, WHAT_MAX);
    audit_put_text(&fields, "result", code ? error_name(code) : "ok", NAME_MOST);
    if (text && text[0])
        audit_put_text(&fields, "text", text, TEXT_MAX);
    if (result && result->rows)
        audit_put_number(&fields, "rows", result->rows);
    if (result && result->packets)
        audit_put_number(&fields, "packets", result->packets);
    if (result)
        audit_put_number(&fields, "bytes", result->bytes);
    if (result && result->narrowed)
        audit_put_text(&fields, "narrowed", result->narrowed, TEXT_MAX);
    works_again(t);
    (void)append(t, &fields);
    buffer_free(&fields);
}

/* ------------------------------------------------------------------ questions in words */

static void put_list(struct buffer *out, const char *option, char *const *items, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < 20; i++)
        buffer_printf(out, " %s '%.100s'", option, items[i]);
    if (count > 20)
        buffer_printf(out, " ... (%u)", count);
}

void trail_query_text(const struct message_query *q, struct buffer *out)
{
    const struct message m = {.type = MESSAGE_QUERY, .query = *q};
    const struct rights_rule *rule = rights_rule_of(&m);
    char time[64];
    buffer_printf(out, "%s", rule ? rule->name : "?");
    if (q->kind == QUERY_EXCHANGES && q->app && q->app[0])
        buffer_printf(out, " of %.255s", q->app);
    if (q->filter && q->filter[0])
        buffer_printf(out, " '%.2000s'", q->filter);
    if (q->capture && q->capture[0])
        buffer_printf(out, " --capture '%.255s'", q->capture);
    put_list(out, "--on", q->agents, q->agent_count);
    put_list(out, "--by", q->by, q->by_count);
    if (q->since_ns)
        buffer_printf(out, " --since %s", units_rfc3339(q->since_ns, time, sizeof time));
    if (q->until_ns && q->until_ns != UINT64_MAX)
        buffer_printf(out, " --until %s", units_rfc3339(q->until_ns, time, sizeof time));
    if (q->kind == QUERY_EXPORT)
        buffer_printf(out, " %02x%02x%02x%02x.%llu", q->epoch[0], q->epoch[1], q->epoch[2], q->epoch[3],
                      (unsigned long long)q->seq);
    if (q->kind == QUERY_PULL && q->after && q->after[0])
        buffer_printf(out, " (goes on)");
    buffer_u8(out, 0);
}

/* ------------------------------------------------------------------ the clock */

static void open_anew(struct trail *t)
{
    struct error e = ERROR_INIT;
    audit_close(t->audit);
    t->audit = NULL;
    if (audit_open(t->folder, 0, &t->audit, &e) == 0)
        works_again(t);
}

static void tick(uv_timer_t *timer)
{
    struct trail *t = timer->data;
    struct error e = ERROR_INIT;
    t->ticks++;
    if (t->ticks % MINUTE_TICKS == 0) {
        memset(t->lines, 0, sizeof t->lines);
        note_number(t, "refused", "more", &t->more);
    }
    bool bad = !t->audit || audit_sync(t->audit, &e) != 0;
    if (bad && !t->said) {
        log_error("the audit cannot be written: %s", e.text);
        t->said = true;
    }
    if (bad && t->ticks % REOPEN_TICKS == 0)
        open_anew(t);
}

/* ------------------------------------------------------------------ begin and end */

static void free_trail(struct trail *t)
{
    audit_close(t->audit);
    free(t->folder);
    free(t);
}

int trail_open(struct server *server, struct trail **out, struct error *e)
{
    struct trail *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for the audit");
    t->server = server;
    int n = asprintf(&t->folder, "%s/audit", server->config->store.path);
    struct error why = ERROR_INIT;
    int r =
        n < 0 ? error_set(&why, ERROR_MEMORY, "no memory for the audit") : audit_open(t->folder, 0, &t->audit, &why);
    if (n < 0)
        t->folder = NULL;
    if (r == ERROR_CORRUPT || r == ERROR_MEMORY) {
        free_trail(t);
        return error_set(e, r, "%s", why.text);
    }
    if (r) /* a full disk: chunks are not taken in either, and it is tried again */
        cannot_write(t, &why);
    if (server->config->audit_syslog)
        openlog("fleetdump-collector", LOG_PID, LOG_AUTHPRIV);
    uv_timer_init(server->loop, &t->timer);
    t->timer.data = t;
    uv_timer_start(&t->timer, tick, TICK_MS, TICK_MS);
    uv_unref((uv_handle_t *)&t->timer);
    *out = server->trail = t;
    t->lost = 0;
    trail_note(server, NULL, "start", "", 0, NULL, NULL);
    return 0;
}

void trail_stop(struct trail *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->timer, NULL);
}

void trail_close(struct trail *t)
{
    if (!t)
        return;
    trail_note(t->server, NULL, "stop", "", 0, NULL, NULL);
    t->server->trail = NULL;
    free_trail(t);
}

/* ------------------------------------------------------------------ reading */

struct reading {
    const char *folder;
    bool verify, has_known;
    struct audit_head known;
    uint64_t after, last;
    struct audit_choice choice;
    json_t *lines;
    size_t bytes;
    uint64_t next; /* 0: the end was reached */
    struct audit_report report;
};

static int take_line(void *context, const struct audit_line *line, struct error *e)
{
    struct reading *r = context;
    (void)e;
    if (r->verify || line->seq <= r->after || r->next || !audit_choice_fits(&r->choice, line->text, line->length))
        return 0;
    if (!r->last && r->bytes + line->length > TRAIL_PAGE) {
        r->next = line->seq - 1;
        return 0;
    }
    json_array_append_new(r->lines, json_stringn(line->text, line->length));
    r->bytes += line->length;
    while (json_array_size(r->lines) && r->last && (json_array_size(r->lines) > r->last || r->bytes > TRAIL_PAGE)) {
        r->bytes -= json_string_length(json_array_get(r->lines, 0));
        json_array_remove(r->lines, 0);
    }
    return 0;
}

static int read_work(struct admin_call *c, struct store *s, struct error *e)
{
    struct reading *r = c->context;
    (void)s;
    return audit_verify(r->folder, r->has_known ? &r->known : NULL, take_line, r, &r->report, e);
}

static void read_done(struct admin_call *c, int result, const struct error *e)
{
    struct reading *r = c->context;
    char text[AUDIT_HEAD_TEXT_MAX];
    if (result)
        admin_fail(c, e);
    else if (r->verify)
        admin_answer(c, json_pack("{s:I, s:I, s:s, s:s, s:s, s:I, s:I, s:I}", "first", (json_int_t)r->report.first_seq,
                                  "last", (json_int_t)r->report.last.seq, "from", r->report.first_time, "until",
                                  r->report.last_time, "head", audit_head_text(&r->report.last, text), "lines",
                                  (json_int_t)r->report.lines, "cut_bytes", (json_int_t)r->report.cut_bytes, "lost",
                                  (json_int_t)r->report.lost));
    else
        admin_answer(c, json_pack("{s:O, s:o}", "lines", r->lines, "next",
                                  r->next ? json_integer((json_int_t)r->next) : json_null()));
    json_decref(r->lines);
    free(r);
}

static int take_wants(const struct admin_call *c, struct reading *r, struct error *e)
{
    const char *known = NULL;
    r->verify = json_is_true(json_object_get(c->wants, "verify"));
    int result = admin_text(c, "known", AUDIT_HEAD_TEXT_MAX, &known, e);
    if (result == 0 && known && (result = audit_head_parse(known, &r->known, e)) == 0)
        r->has_known = true;
    if (result == 0)
        result = admin_number(c, "after", &r->after, e);
    if (result == 0)
        result = admin_number(c, "last", &r->last, e);
    if (result == 0)
        result = admin_number(c, "since_ns", &r->choice.since_ns, e);
    if (result == 0)
        result = admin_number(c, "until_ns", &r->choice.until_ns, e);
    if (result == 0)
        result = admin_text(c, "who", HEAD_NAME_MAX, &r->choice.who, e);
    if (result == 0)
        result = admin_text(c, "event", HEAD_NAME_MAX, &r->choice.event, e);
    return result;
}

void trail_read(struct admin_call *c)
{
    struct error e = ERROR_INIT;
    struct reading *r = calloc(1, sizeof *r);
    int result = r ? take_wants(c, r, &e) : error_set(&e, ERROR_MEMORY, "no memory to read the audit");
    if (result) {
        free(r);
        admin_fail(c, &e);
        return;
    }
    r->folder = c->server->trail->folder;
    r->lines = json_array();
    c->context = r;
    admin_work(c, read_work, read_done);
}
