/*
 * The judgement: a table, the asker's role, and the bounds.
 */
#include "collector/server/rights_impl.h"

#include "collector/server/orders.h"
#include "common/base/clock.h"
#include "common/filter/capture_filter.h"
#include "common/net/selector.h"
#include <stdlib.h>
#include <string.h>

/* Everything that a client may ask for. What is not here is refused.
 *
 * flows, exchanges, pull    each row and packet is judged; what exchanges say stands behind the first bytes of packets
 * agents, captures, orders   agents are chosen; numbers that count more than may be seen are left out; so is what others
 *                asked for in orders that reach further
 * status         is about all that is stored
 * chunks         numbers of whole chunks, whose agents are chosen
 * export         a chunk as it is: nothing in it can be left out
 * commands       what they reach is judged (see below); to see what was captured is another question */
#define LABELS  RIGHTS_HOLDS_LABELS
#define FILTER  RIGHTS_HOLDS_FILTER
#define SNAPLEN RIGHTS_HOLDS_SNAPLEN
#define RANGE   RIGHTS_HOLDS_RANGE
static const struct rights_rule rules[] = {
    {MESSAGE_QUERY, QUERY_AGENTS, "list agents", RIGHTS_VIEWER, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_QUERY, QUERY_CAPTURES, "list captures", RIGHTS_VIEWER, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_QUERY, QUERY_STATUS, "status", RIGHTS_VIEWER, SNAPLEN | RANGE},
    {MESSAGE_QUERY, QUERY_FLOWS, "flows", RIGHTS_VIEWER, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_QUERY, QUERY_EXCHANGES, "exchanges", RIGHTS_VIEWER, LABELS | FILTER | RANGE},
    {MESSAGE_QUERY, QUERY_PULL, "pull", RIGHTS_ANALYST, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_QUERY, QUERY_CHUNKS, "list chunks", RIGHTS_VIEWER, LABELS | SNAPLEN | RANGE},
    {MESSAGE_QUERY, QUERY_EXPORT, "export", RIGHTS_ANALYST, LABELS},
    {MESSAGE_QUERY, QUERY_ORDERS, "list orders", RIGHTS_VIEWER, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_COMMAND, COMMAND_CHECK, "check capture", RIGHTS_OPERATOR, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_COMMAND, COMMAND_START, "start capture", RIGHTS_OPERATOR, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_COMMAND, COMMAND_STOP, "stop capture", RIGHTS_OPERATOR, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_COMMAND, COMMAND_REMOVE, "forget capture", RIGHTS_OPERATOR, LABELS | FILTER | SNAPLEN | RANGE},
    {MESSAGE_ADMIN, ADMIN_ENROLL, "enroll", RIGHTS_ADMIN, 0},
    {MESSAGE_ADMIN, ADMIN_APPROVE, "approve", RIGHTS_ADMIN, 0},
    {MESSAGE_ADMIN, ADMIN_REVOKE, "revoke", RIGHTS_ADMIN, 0},
    {MESSAGE_ADMIN, ADMIN_CREDENTIALS, "list credentials", RIGHTS_ADMIN, 0},
    {MESSAGE_ADMIN, ADMIN_USER_ADD, "add user", RIGHTS_ADMIN, 0},
    {MESSAGE_ADMIN, ADMIN_USER_LIST, "list users", RIGHTS_ADMIN, 0},
    {MESSAGE_ADMIN, ADMIN_USER_REMOVE, "remove user", RIGHTS_ADMIN, 0},
    {MESSAGE_ADMIN, ADMIN_AUDIT, "read audit", RIGHTS_ADMIN, 0},
};
#define RULES (sizeof rules / sizeof rules[0])

const struct rights_rule *rights_rule_at(size_t i)
{
    return i < RULES ? &rules[i] : NULL;
}

static uint8_t kind_of(const struct message *m)
{
    switch (m->type) {
    case MESSAGE_QUERY:
        return m->query.kind;
    case MESSAGE_COMMAND:
        return m->command.kind;
    case MESSAGE_ADMIN:
        return m->admin.kind;
    default:
        return 0;
    }
}

const struct rights_rule *rights_rule_of(const struct message *m)
{
    for (size_t i = 0; i < RULES; i++)
        if (rules[i].type == m->type && rules[i].kind == kind_of(m))
            return &rules[i];
    return NULL;
}

/* ------------------------------------------------------------------ who asks */

/* Plain TCP, where nobody is known: who asks is an administrator. */
static const struct rights_user anybody = {.name = (char *)(uintptr_t) "", .role = RIGHTS_ADMIN};

static const struct rights_user *asker(const struct session *s, struct error *e)
{
    const struct identity *who = session_identity(s);
    const struct rights_user *u = NULL;
    if (who->kind == IDENTITY_NONE && !s->server->tls)
        return &anybody;
    if (who->kind != IDENTITY_USER) {
        (void)error_set(e, ERROR_REFUSED,
                        "only users ask here, and the certificate names %s %s: get one with `fleetdump login`",
                        who->kind ? "the" : "nobody", who->kind ? identity_kind_name(who->kind) : "");
        return NULL;
    }
    u = rights_user(s->server->rights, who->name);
    if (!u)
        (void)error_set(e, ERROR_REFUSED,
                        "user %s is not known here and has no rights: an administrator gives them with `fleetdump "
                        "admin user add %s --role ...`",
                        who->name, who->name);
    return u;
}

static int judge_role(const struct rights_user *u, const struct rights_rule *rule, struct error *e)
{
    if (u->role >= rule->least)
        return 0;
    return error_set(e, ERROR_REFUSED,
                     "%s: that takes the role %s, and %s is %s %s: an administrator may change that (`fleetdump admin "
                     "user add %s --role %s`)",
                     rule->name, rights_role_name((int)rule->least), u->name,
                     u->role == RIGHTS_ANALYST || u->role == RIGHTS_OPERATOR ? "an" : "a",
                     rights_role_name((int)u->role), u->name, rights_role_name((int)rule->least));
}

static uint8_t bounds_of(const struct rights_bounds *b)
{
    return (uint8_t)((b->label_count ? LABELS : 0) | (b->filter && b->filter[0] ? FILTER : 0) |
                     (b->snaplen ? SNAPLEN : 0) | (b->range_ns ? RANGE : 0));
}

static int judge_holds(const struct rights_user *u, const struct rights_rule *rule, struct error *e)
{
    uint8_t beyond = bounds_of(&u->bounds) & (uint8_t)~rule->holds;
    if (!beyond)
        return 0;
    return error_set(e, ERROR_REFUSED, "%s: cannot be held to the %s that %s is bound to, so it is refused", rule->name,
                     beyond & LABELS    ? "labels"
                     : beyond & FILTER  ? "filter"
                     : beyond & SNAPLEN ? "snaplen"
                                        : "range of time",
                     u->name);
}

/* ------------------------------------------------------------------ agents */

static bool is_within(const struct rights_bounds *b, const struct fleet_agent *a)
{
    const struct capture_request r = {.labels = b->labels, .label_count = b->label_count};
    return selector_means(&r, a->name, (const char *const *)a->label, a->label_count);
}

bool rights_sees(const struct session *s, const struct fleet_agent *a)
{
    struct error e;
    const struct rights_user *u = asker(s, &e);
    return u && is_within(&u->bounds, a);
}

/* A name stands for itself alone: one that would mean others as a glob is left out (certificates have none such). */
static bool may_be_named(const struct fleet_agent *a)
{
    return a->name[0] && !strpbrk(a->name, "*?");
}

/* Of the agents within the bounds those that the question means. None: a name that no agent has. */
static int choose_agents(const struct server *server, const struct rights_bounds *b, const struct message_query *q,
                         struct rights_grant *g, struct error *e)
{
    const struct fleet *f = server->fleet;
    size_t n = fleet_count(f);
    g->agents = calloc(n + 1, sizeof *g->agents);
    if (!g->agents)
        return error_set(e, ERROR_MEMORY, "no memory for a question");
    for (size_t i = 0; i < n; i++) {
        const struct fleet_agent *a = fleet_at(f, i);
        if (!may_be_named(a) || !is_within(b, a) || !fleet_fits(a, q->agents, q->agent_count))
            continue;
        if (!(g->agents[g->agent_count] = strdup(a->name)))
            return error_set(e, ERROR_MEMORY, "no memory for a question");
        g->agent_count++;
    }
    if (g->agent_count == 0 && !(g->agents[g->agent_count++] = strdup("")))
        return error_set(e, ERROR_MEMORY, "no memory for a question");
    g->bounds.agents = true;
    return 0;
}

static char *joined(char *const *texts, uint32_t count)
{
    struct buffer out = {0};
    for (uint32_t i = 0; i < count; i++)
        buffer_printf(&out, "%s%s", i ? " or " : "", texts[i]);
    buffer_u8(&out, 0);
    if (out.failed)
        buffer_free(&out);
    return (char *)out.data;
}

static int narrow(const struct server *server, const struct rights_bounds *b, const struct message_query *q,
                  struct rights_grant *g, struct error *e)
{
    uint64_t now = clock_wall_ns();
    g->any_bounds = bounds_of(b) != 0;
    g->bounds.snaplen = b->snaplen;
    g->bounds.since_ns = b->range_ns && b->range_ns < now ? now - b->range_ns : 0;
    if (b->filter && b->filter[0] && !(g->filter = strdup(b->filter)))
        return error_set(e, ERROR_MEMORY, "no memory for a question");
    g->bounds.filter = g->filter;
    if (!b->label_count)
        return 0;
    if (!(g->labels = joined(b->labels, b->label_count)))
        return error_set(e, ERROR_MEMORY, "no memory for a question");
    g->bounds.labels = g->labels;
    return choose_agents(server, b, q, g, e);
}

void rights_grant_free(struct rights_grant *g)
{
    for (size_t i = 0; i < g->bounds.shown_count; i++) {
        free(g->shown[i].name);
        free(g->shown[i].filter);
    }
    free(g->shown);
    for (uint32_t i = 0; i < g->agent_count; i++)
        free(g->agents[i]);
    free(g->agents);
    free(g->labels);
    free(g->filter);
    *g = (struct rights_grant){0};
}

/* ------------------------------------------------------------------ commands */

/* Whether each agent that `inner` ("role=web,dc=fra") means is meant by `outer` as well: it asks for all that that asks for. */
static bool implies(const char *inner, const char *outer)
{
    for (const char *want = outer; *want; want += strcspn(want, ",")) {
        want += *want == ',';
        size_t len = strcspn(want, ",");
        bool there = false;
        for (const char *have = inner; *have && !there; have += strcspn(have, ",")) {
            have += *have == ',';
            there = strcspn(have, ",") == len && strncmp(have, want, len) == 0;
        }
        if (!there)
            return false;
    }
    return true;
}

/* Each of the request's label expressions implies one of the bounds', also for agents that join later. */
static bool labels_within(const struct rights_bounds *b, const struct capture_request *r)
{
    for (uint32_t i = 0; i < r->label_count; i++) {
        bool within = false;
        for (uint32_t k = 0; k < b->label_count && !within; k++)
            within = implies(r->labels[i], b->labels[k]);
        if (!within)
            return false;
    }
    return r->label_count > 0;
}

/* "(F) and (...)" with F as the user is bound to it, where ... is a filter by itself: so no parenthesis in it closes ours. */
static bool filter_within(const struct rights_bounds *b, const char *filter)
{
    size_t len = strlen(b->filter), all = strlen(filter);
    static const char middle[] = ") and (";
    if (strcmp(filter, b->filter) == 0)
        return true;
    size_t before = 1 + len + sizeof middle - 1;
    if (all <= before || filter[0] != '(' || memcmp(filter + 1, b->filter, len) != 0 ||
        memcmp(filter + 1 + len, middle, sizeof middle - 1) != 0 || filter[all - 1] != ')')
        return false;
    char *rest = strndup(filter + before, all - before - 1);
    bool good = rest && capture_filter_check(rest, NULL) == 0;
    free(rest);
    return good;
}

bool rights_sees_whole(const struct session *s, const struct capture_request *r)
{
    struct error e;
    const struct rights_user *u = asker(s, &e);
    if (!u)
        return false;
    bool mine = u->name[0] && r->who && strcmp(r->who, u->name) == 0;
    return mine ||
           ((!u->bounds.label_count || labels_within(&u->bounds, r)) &&
            (!u->bounds.filter || !u->bounds.filter[0] || filter_within(&u->bounds, r->filter ? r->filter : "")));
}

struct showing {
    const struct session *session;
    struct rights_grant *grant;
};

static int show_filter(void *context, const struct capture_request *r, struct error *e)
{
    const struct showing *x = context;
    struct rights_grant *g = x->grant;
    size_t n = g->bounds.shown_count;
    if (!rights_sees_whole(x->session, r))
        return 0;
    struct query_capture *grown = realloc(g->shown, (n + 1) * sizeof *grown);
    if (!grown)
        return error_set(e, ERROR_MEMORY, "no memory for a question");
    g->bounds.shown = g->shown = grown;
    grown[n] = (struct query_capture){strdup(r->name ? r->name : ""), strdup(r->filter ? r->filter : "")};
    g->bounds.shown_count++;
    return grown[n].name && grown[n].filter ? 0 : error_set(e, ERROR_MEMORY, "no memory for a question");
}

/* Of which captures the filters may be seen, in answers that have them: as in lists of orders. */
static int choose_filters(const struct session *s, const struct rights_bounds *b, const struct message_query *q,
                          struct rights_grant *g, struct error *e)
{
    struct showing x = {s, g};
    g->bounds.hides_filters = (bounds_of(b) & (LABELS | FILTER)) != 0;
    if (!g->bounds.hides_filters || (q->kind != QUERY_CAPTURES && q->kind != QUERY_PULL))
        return 0;
    return orders_each_named(s->server->orders, "*", COMMAND_REMOVE, show_filter, &x, e);
}

static int judge_request(const struct rights_user *u, const struct rights_rule *rule, const struct capture_request *r,
                         struct error *e)
{
    const struct rights_bounds *b = &u->bounds;
    const char *filter = r->filter ? r->filter : "", *name = r->name ? r->name : "";
    bool orders = rule->kind == COMMAND_CHECK || rule->kind == COMMAND_START;
    if (b->label_count && !labels_within(b, r))
        return error_set(e, ERROR_REFUSED, "%s: %s is bound to agents with %s, and the capture %s is not%s%s%s",
                         rule->name, u->name, b->labels[0], name, orders ? ": order it with --label " : "",
                         orders ? b->labels[0] : "", orders ? " (and --on, for fewer)" : "");
    if (b->filter && b->filter[0] && !filter_within(b, filter))
        return error_set(e, ERROR_REFUSED,
                         "%s: %s is bound to a filter, and the capture %s is not: its filter would have to be '%s', or "
                         "'(%s) and (...)'",
                         rule->name, u->name, name, b->filter, b->filter);
    if (b->snaplen && (r->snaplen == 0 || r->snaplen > b->snaplen) && r->keep != KEEP_FLOWS)
        return error_set(e, ERROR_REFUSED,
                         "%s: %s is bound to %u bytes of a packet, and the capture %s is not: that takes --snaplen %u",
                         rule->name, u->name, b->snaplen, name, b->snaplen);
    return 0;
}

struct judging {
    const struct rights_user *user;
    const struct rights_rule *rule;
};

static int judge_order(void *context, const struct capture_request *r, struct error *e)
{
    const struct judging *j = context;
    return judge_request(j->user, j->rule, r, e);
}

static int judge_command(const struct server *server, const struct rights_user *u, const struct rights_rule *rule,
                         const struct message_command *c, struct error *e)
{
    struct judging j = {u, rule};
    if (c->kind == COMMAND_CHECK || c->kind == COMMAND_START)
        return c->request_count ? judge_request(u, rule, c->request, e) : 0;
    return orders_each_named(server->orders, c->which ? c->which : "", (enum command_kind)c->kind, judge_order, &j, e);
}

/* ------------------------------------------------------------------ all together */

int rights_judge(const struct session *s, const struct message *m, struct rights_grant *grant, struct error *e)
{
    const struct rights_rule *rule = rights_rule_of(m);
    const struct rights_user *u = asker(s, e);
    *grant = (struct rights_grant){0};
    if (!u)
        return ERROR_REFUSED;
    int r = rule ? judge_role(u, rule, e)
                 : error_set(e, ERROR_UNSUPPORTED,
                             "this collector does not know that request: is it older than the command line?");
    if (r == 0)
        r = judge_holds(u, rule, e);
    if (r == 0 && m->type == MESSAGE_COMMAND)
        r = judge_command(s->server, u, rule, &m->command, e);
    if (r == 0 && m->type == MESSAGE_QUERY)
        r = narrow(s->server, &u->bounds, &m->query, grant, e);
    if (r == 0 && m->type == MESSAGE_QUERY)
        r = choose_filters(s, &u->bounds, &m->query, grant, e);
    if (r)
        rights_grant_free(grant);
    return r;
}
