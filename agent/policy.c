/* policy: the table of keys, and the intersection. */
#include "agent/policy.h"

#include "agent/capture/conversation.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/glob.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AT(member) offsetof(struct policy, member)
#define DAY_MIN    (24u * 60u)

const struct config_key policy_keys[] = {
    {"allow", CONFIG_BOOL, UNIT_NONE, AT(allow), "no", 0, 0, "whether anything may be captured by order"},
    {"unsigned", CONFIG_BOOL, UNIT_NONE, AT(unsigned_too), "no", 0, 0, "take orders that no operator has signed"},
    {"baseline", CONFIG_BOOL, UNIT_NONE, AT(baseline), "no", 0, 0,
     "the collector's standing capture of flows, which nobody signs"},
    {"who", CONFIG_STRINGS, UNIT_NONE, AT(who), NULL, 0, 0,
     "names of operators (globs) who may order; none: all trusted"},
    {"interface", CONFIG_STRINGS, UNIT_NONE, AT(interfaces), NULL, 0, 0,
     "names of interfaces (globs) that may be captured on; none: all"},
    {"forbid_net", CONFIG_STRINGS, UNIT_NONE, AT(forbid_nets), NULL, 0, 0,
     "a network whose packets are never captured: 10.1.0.0/16, 2001:db8::/32"},
    {"forbid_port", CONFIG_STRINGS, UNIT_NONE, AT(forbid_ports), NULL, 0, 0,
     "a port whose packets are never captured: 22, 5000-5999"},
    {"snaplen", CONFIG_NUMBER, UNIT_BYTES, AT(snaplen), NULL, 1, PACKET_SNAPLEN_MAX, "most bytes of each packet"},
    {"payload", CONFIG_STRING, UNIT_NONE, AT(payload), "all", 0, 0,
     "most bytes kept behind the headers of each packet: all, or a number; 0: headers alone"},
    {"blank", CONFIG_STRINGS, UNIT_NONE, AT(blank), NULL, 0, 0,
     "what HTTP says and rows do not tell: path, host, user-agent, server, content-type (queries, bodies, cookies and "
     "other headers are never in rows)"},
    {"keep", CONFIG_STRING, UNIT_NONE, AT(keep), "packets", 0, 0, "most that is kept: packets, headers, flows"},
    {"duration", CONFIG_NUMBER, UNIT_NS, AT(duration_ns), NULL, NS_PER_S, UINT64_MAX, "longest capture"},
    {"packets", CONFIG_NUMBER, UNIT_COUNT, AT(packets), NULL, 1, UINT64_MAX, "most packets of a capture"},
    {"bytes", CONFIG_NUMBER, UNIT_BYTES, AT(bytes), NULL, 1, UINT64_MAX, "most bytes of a capture"},
    {"rate", CONFIG_NUMBER, UNIT_BYTES, AT(rate), NULL, 1, UINT64_MAX, "most bytes a second of a capture"},
    {"hours", CONFIG_STRING, UNIT_NONE, AT(hours), NULL, 0, 0, "when: \"08:00-18:00\", local time; none: always"},
    {"kill_file", CONFIG_STRING, UNIT_NONE, AT(kill_file), "/etc/fleetdump/stop", 0, 0,
     "while this file is there, nothing is captured by order"},
    {0},
};

/* ---------------------------------------------------------------- reading */

static int read_keep(struct policy *p, struct error *e)
{
    for (p->keep_most = KEEP_PACKETS; p->keep_most <= KEEP_FLOWS; p->keep_most++)
        if (strcmp(p->keep, capture_keep_name(p->keep_most)) == 0)
            return 0;
    return error_set(e, ERROR_USAGE, "keep = %.40s: expected packets, headers or flows", p->keep);
}

static int read_payload(struct policy *p, struct error *e)
{
    uint64_t bytes = UINT32_MAX;
    int r = strcmp(p->payload, "all") == 0 ? 0 : units_parse(UNIT_BYTES, p->payload, &bytes, e);
    if (r)
        return error_prefix(e, "payload");
    p->payload_most = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    if (p->payload_most == 0 && p->keep_most < KEEP_HEADERS)
        p->keep_most = KEEP_HEADERS;
    return 0;
}

static const struct {
    const char *word;
    uint8_t bit;
} blanks[] = {{"path", HTTP_BLANK_PATH},
              {"host", HTTP_BLANK_HOST},
              {"user-agent", HTTP_BLANK_USER_AGENT},
              {"server", HTTP_BLANK_SERVER},
              {"content-type", HTTP_BLANK_CONTENT_TYPE}};
#define BLANKS (sizeof blanks / sizeof *blanks)

static int read_blank(struct policy *p, struct error *e)
{
    for (size_t i = 0; i < p->blank.count; i++) {
        size_t word = 0;
        while (word < BLANKS && strcasecmp(p->blank.items[i], blanks[word].word) != 0)
            word++;
        if (word == BLANKS)
            return error_set(e, ERROR_USAGE,
                             "blank = %.40s: expected path, host, user-agent, server or content-type (nothing else of "
                             "HTTP's headers, and no query, is ever in rows)",
                             p->blank.items[i]);
        p->http_blank |= blanks[word].bit;
    }
    return 0;
}

static bool read_minute(const char *text, unsigned *minute)
{
    if (strlen(text) < 5 || strspn(text, "0123456789") != 2 || text[2] != ':' || strspn(text + 3, "0123456789") != 2)
        return false;
    unsigned hour = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
    unsigned rest = (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0');
    *minute = hour * 60 + rest;
    return rest < 60 && *minute <= DAY_MIN;
}

static int read_hours(struct policy *p, struct error *e)
{
    if (!p->hours)
        return 0;
    p->has_hours = strlen(p->hours) == 11 && p->hours[5] == '-' && read_minute(p->hours, &p->from_minute) &&
                   read_minute(p->hours + 6, &p->to_minute) && p->from_minute != p->to_minute &&
                   p->from_minute < DAY_MIN;
    return p->has_hours ? 0 : error_set(e, ERROR_USAGE, "hours = %.40s: expected \"08:00-18:00\"", p->hours);
}

static int read_lists(struct policy *p, struct error *e)
{
    for (size_t i = 0; i < p->forbid_nets.count; i++)
        if (forbid_add_net(&p->forbid, p->forbid_nets.items[i], e))
            return error_prefix(e, "forbid_net");
    for (size_t i = 0; i < p->forbid_ports.count; i++)
        if (forbid_add_ports(&p->forbid, p->forbid_ports.items[i], e))
            return error_prefix(e, "forbid_port");
    if (p->kill_file[0] && p->kill_file[0] != '/')
        return error_set(e, ERROR_USAGE, "kill_file = %.80s: the path is to begin with /", p->kill_file);
    return 0;
}

int policy_parse(const char *name, const char *text, size_t len, struct policy *p, struct error *e)
{
    *p = (struct policy){0};
    int r = config_parse(policy_keys, name, text, len, p, e);
    if (r) {
        *p = (struct policy){0};
        return r;
    }
    r = read_keep(p, e);
    if (!r)
        r = read_payload(p, e);
    if (!r)
        r = read_blank(p, e);
    if (!r)
        r = read_hours(p, e);
    if (!r)
        r = read_lists(p, e);
    if (r) {
        policy_free(p);
        return error_prefix(e, "%s", name);
    }
    return 0;
}

void policy_free(struct policy *p)
{
    config_free(policy_keys, p);
    *p = (struct policy){0};
}

/* ---------------------------------------------------------------- files of the host's owner */

static int check_owner(const struct stat *s, const char *path, struct error *e)
{
    if (s->st_uid != 0 && s->st_uid != geteuid())
        return error_set(e, ERROR_REFUSED, "%s belongs to user %u: it is not used until it is root's", path,
                         (unsigned)s->st_uid);
    if ((s->st_mode & (S_IWGRP | S_IWOTH)) &&
        !(S_ISDIR(s->st_mode) && (s->st_mode & S_ISVTX))) /* as /tmp: others' files stay */
        return error_set(e, ERROR_REFUSED, "%s may be written by others: it is not used until chmod go-w %s", path,
                         path);
    return 0;
}

static int check_folder(const char *path, struct error *e)
{
    char copy[PATH_MAX];
    struct stat s;
    if ((size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy)
        return error_set(e, ERROR_LIMIT, "%.100s...: the path is too long", path);
    const char *folder = dirname(copy);
    if (stat(folder, &s) != 0)
        return error_sys(e, errno, "%s", folder);
    return check_owner(&s, folder, e);
}

static int open_checked(const char *path, int *fd, struct error *e)
{
    struct stat s;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0)
        return error_sys(e, errno, "%s", path);
    int r = fstat(*fd, &s) != 0   ? error_sys(e, errno, "%s", path)
            : !S_ISREG(s.st_mode) ? error_set(e, ERROR_REFUSED, "%s is no regular file", path)
                                  : check_owner(&s, path, e);
    if (!r)
        r = check_folder(path, e);
    if (r)
        close(*fd);
    return r;
}

static int read_all(int fd, const char *path, size_t limit, char **text, size_t *len, struct error *e)
{
    *text = malloc(limit + 1);
    *len = 0;
    if (!*text)
        return error_set(e, ERROR_MEMORY, "no memory for %s", path);
    for (ssize_t n; (n = read(fd, *text + *len, limit + 1 - *len)) != 0;) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(e, errno, "%s", path);
        *len += (size_t)n;
        if (*len > limit)
            return error_set(e, ERROR_LIMIT, "%s: more than %zu bytes", path, limit);
    }
    (*text)[*len] = 0;
    return 0;
}

int policy_read_file(const char *path, size_t limit, char **text, size_t *len, struct error *e)
{
    int fd;
    *text = NULL;
    int r = open_checked(path, &fd, e);
    if (r)
        return r;
    r = read_all(fd, path, limit, text, len, e);
    close(fd);
    if (r) {
        free(*text);
        *text = NULL;
    }
    return r;
}

int policy_load(const char *path, struct policy *p, struct error *e)
{
    char *text;
    size_t len;
    *p = (struct policy){0};
    int r = policy_read_file(path, 64u << 10, &text, &len, e);
    if (!r)
        r = policy_parse(path, text, len, p, e);
    free(text);
    return r;
}

uint8_t policy_http_blank(const char *path)
{
    struct policy p;
    int r = policy_load(path, &p, NULL);
    uint8_t blank = r ? HTTP_BLANK_ALL : p.http_blank;
    policy_free(&p);
    return blank;
}

bool policy_is_killed(const struct policy *p)
{
    struct stat s;
    return p->kill_file && p->kill_file[0] && (lstat(p->kill_file, &s) == 0 || (errno != ENOENT && errno != ENOTDIR));
}

/* ---------------------------------------------------------------- hours */

static unsigned minute_of(uint64_t wall_ns, unsigned *second)
{
    time_t t = (time_t)(wall_ns / NS_PER_S);
    struct tm tm = {0};
    (void)localtime_r(&t, &tm);
    *second = (unsigned)tm.tm_sec;
    return (unsigned)(tm.tm_hour * 60 + tm.tm_min);
}

static bool within_hours(const struct policy *p, uint64_t wall_ns)
{
    unsigned second, now = minute_of(wall_ns, &second);
    if (!p->has_hours)
        return true;
    return p->from_minute < p->to_minute ? now >= p->from_minute && now < p->to_minute
                                         : now >= p->from_minute || now < p->to_minute;
}

/* When the local clock shows that minute next, a change of summer time apart (then it is looked at again). */
static uint64_t next_minute(unsigned minute, uint64_t wall_ns)
{
    unsigned second, now = minute_of(wall_ns, &second);
    unsigned ahead = (minute + DAY_MIN - now) % DAY_MIN;
    uint64_t start = wall_ns / NS_PER_S - second;
    return (start + (uint64_t)(ahead ? ahead : DAY_MIN) * 60) * NS_PER_S;
}

uint64_t policy_next_change(const struct policy *p, uint64_t now_ns)
{
    if (!p->has_hours)
        return UINT64_MAX;
    return next_minute(within_hours(p, now_ns) ? p->to_minute : p->from_minute, now_ns);
}

/* ---------------------------------------------------------------- whether */

bool policy_is_baseline(const struct order *o, bool is_signed)
{
    return !is_signed && strcmp(o->name, "baseline") == 0 && o->keep == KEEP_FLOWS && !o->filter[0] &&
           !o->interfaces[0][0];
}

bool policy_interface(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->interfaces.count; i++)
        if (glob_match(p->interfaces.items[i], name, strlen(name)))
            return p->allow;
    return p->allow && p->interfaces.count == 0;
}

static bool may_ask(const struct policy *p, const char *who)
{
    for (size_t i = 0; i < p->who.count; i++)
        if (glob_match(p->who.items[i], who, strlen(who)))
            return true;
    return p->who.count == 0;
}

static enum policy_verdict no(struct error *e, bool baseline, const char *why)
{
    (void)error_set(e, ERROR_REFUSED, "%s", why);
    return baseline ? POLICY_LATER : POLICY_NO;
}

static enum policy_verdict judge_asker(const struct policy *p, const struct policy_question *q, const struct order *o,
                                       bool baseline, struct error *e)
{
    if (!p->allow)
        return no(e, baseline, "this host lets nothing be captured by order: its policy does not say 'allow = yes'");
    if (policy_is_killed(p)) {
        (void)error_set(e, ERROR_REFUSED, "nothing may be captured on this host while %.200s is there", p->kill_file);
        return baseline ? POLICY_LATER : POLICY_NO;
    }
    if (baseline && p->baseline)
        return POLICY_YES;
    if (baseline && !p->unsigned_too)
        return no(e, true, "this host's policy does not say 'baseline = yes'");
    if (!q->signed_by && !p->unsigned_too)
        return no(
            e, baseline,
            "nobody has signed the order, and this host takes none without (see `fleetdump key`, or 'unsigned = yes' "
            "in its policy)");
    const char *who = q->signed_by ? q->signed_by : o->who;
    if (may_ask(p, who))
        return POLICY_YES;
    (void)error_set(e, ERROR_REFUSED, "this host's policy does not let %.60s order captures",
                    who[0] ? who : "somebody unnamed");
    return baseline ? POLICY_LATER : POLICY_NO;
}

/* ---------------------------------------------------------------- how much */

/* What was narrowed, in words. */
struct said {
    char *text;
    size_t at;
};

static void say(struct said *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct said *s, const char *fmt, ...)
{
    va_list ap;
    int n = s->at < POLICY_SAID_MAX
                ? snprintf(s->text + s->at, POLICY_SAID_MAX - s->at, s->at ? ", " : "this host's policy: ")
                : 0;
    s->at += n > 0 ? (size_t)n : 0;
    if (s->at >= POLICY_SAID_MAX)
        return;
    va_start(ap, fmt);
    n = vsnprintf(s->text + s->at, POLICY_SAID_MAX - s->at, fmt, ap);
    va_end(ap);
    s->at += n > 0 ? (size_t)n : 0;
}

/* 0 is no limit on either side. */
static bool narrow(uint64_t *asked, uint64_t most)
{
    if (!most || (*asked && *asked <= most))
        return false;
    *asked = most;
    return true;
}

static void say_blank(const struct policy *p, struct order *o, struct said *s)
{
    char words[80] = "";
    size_t at = 0;
    o->http_blank = p->http_blank;
    for (size_t i = 0; i < BLANKS; i++)
        if (p->http_blank & blanks[i].bit)
            at += (size_t)snprintf(words + at, sizeof words - at, "%s%s", at ? ", " : "", blanks[i].word);
    if (at && !o->no_apps)
        say(s, "rows without HTTP's %s", words);
}

static void narrow_size(const struct policy *p, struct order *o, struct said *s)
{
    char text[48];
    uint64_t snaplen = o->snaplen;
    if (narrow(&snaplen, p->snaplen))
        say(s, "at most %u bytes of a packet", (unsigned)snaplen);
    o->snaplen = (uint32_t)snaplen;
    if (o->keep < p->keep_most) {
        o->keep = p->keep_most;
        say(s, "%s alone", capture_keep_name(o->keep));
    }
    if (o->keep != KEEP_HEADERS && p->payload_most && p->payload_most != UINT32_MAX) {
        o->payload = p->payload_most;
        say(s, "at most %s of payload", units_format(UNIT_BYTES, o->payload, text, sizeof text));
    }
    o->no_apps = p->keep_most != KEEP_PACKETS; /* also with payload = 0 */
    if (o->no_apps && o->keep == KEEP_FLOWS)
        say(s, "nothing of what applications say");
    say_blank(p, o, s);
    if (narrow(&o->packets, p->packets))
        say(s, "at most %llu packets", (unsigned long long)o->packets);
    if (narrow(&o->bytes, p->bytes))
        say(s, "at most %s", units_format(UNIT_BYTES, o->bytes, text, sizeof text));
    if (narrow(&o->rate, p->rate))
        say(s, "at most %s a second", units_format(UNIT_BYTES, o->rate, text, sizeof text));
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* False: its start is outside the hours. */
static bool narrow_time(const struct policy *p, const struct policy_question *q, bool baseline, struct order *o,
                        struct said *s)
{
    char text[48];
    uint64_t start = o->start_ns ? o->start_ns : q->accepted_ns,
             first = o->start_ns > q->now_ns ? o->start_ns : q->now_ns;
    if (!baseline && p->duration_ns && narrow(&o->end_ns, sum(start, p->duration_ns)))
        say(s, "for %s", units_format(UNIT_NS, p->duration_ns, text, sizeof text));
    if (!within_hours(p, first))
        return false;
    if (p->has_hours && !baseline && narrow(&o->end_ns, next_minute(p->to_minute, first)))
        say(s, "until %02u:%02u", p->to_minute / 60 % 24, p->to_minute % 60);
    return true;
}

static void say_left_out(const struct policy *p, struct said *s)
{
    struct buffer b = {.limit = 2000};
    forbid_filter(&p->forbid, &b);
    if (forbid_any(&p->forbid) && !b.failed)
        say(s, "without %.*s%s", (int)(b.len < 100 ? b.len : 100), (const char *)b.data, b.len > 100 ? "..." : "");
    else if (forbid_any(&p->forbid))
        say(s, "without many networks and ports");
    buffer_free(&b);
    if (p->interfaces.count)
        say(s, "only on %.60s%s", p->interfaces.items[0], p->interfaces.count > 1 ? ", ..." : "");
}

enum policy_verdict policy_judge(const struct policy *p, const struct policy_question *q, struct order *o,
                                 char said[POLICY_SAID_MAX], struct error *e)
{
    struct said s = {.text = said};
    struct order narrowed = *o;
    bool baseline = policy_is_baseline(o, q->signed_by != NULL);
    said[0] = 0;
    enum policy_verdict v = judge_asker(p, q, o, baseline, e);
    if (v != POLICY_YES)
        return v;
    narrow_size(p, &narrowed, &s);
    if (!narrow_time(p, q, baseline, &narrowed, &s)) {
        (void)error_set(e, ERROR_REFUSED, "this host's policy lets captures run from %.5s to %.5s, its local time",
                        p->hours, p->hours + 6);
        return baseline ? POLICY_LATER : POLICY_NO;
    }
    say_left_out(p, &s);
    if (s.at >= POLICY_SAID_MAX)
        memcpy(said + POLICY_SAID_MAX - 4, "...", 4);
    *o = narrowed;
    return POLICY_YES;
}
