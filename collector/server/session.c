#include "collector/server/session.h"
#include "collector/server/enroll.h"
#include "collector/server/fresh.h"
#include "collector/server/orders.h"
#include "collector/server/trail.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOFTWARE "fleetdump " FLEETDUMP_VERSION
#define ANEW     "the agent has connected anew"

const struct identity *session_identity(const struct session *s)
{
    return s->stream ? stream_identity(s->stream) : &s->is;
}

void session_send(struct session *s, const struct message *m)
{
    struct error e = ERROR_INIT;
    if (s->stream && !s->closing && stream_send(s->stream, m, &e)) {
        log_warn("%s: %s", s->peer, e.text);
        s->closing = true;
        stream_abort(s->stream);
    }
}

/* Whose certificate it is, if the fleet knows the agent; NULL: not an agent's, or one that never was here. */
static struct fleet_agent *agent_of(const struct session *s, const struct identity *who)
{
    return who->kind == IDENTITY_AGENT ? fleet_find(s->server->fleet, who->name) : NULL;
}

static void note_refused(const struct session *s, const char *text)
{
    struct fleet_agent *a = agent_of(s, session_identity(s));
    char why[ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "the peer %s is refused: %s", s->peer, text);
    if (a)
        fleet_refuse(a, clock_wall_ns(), why);
}

/* From now on nobody counts on its answers, also while the connection still says its last words. */
static void control_down(struct session *s)
{
    if (!s->known)
        return;
    s->known->control = NULL;
    s->known->seen_ns = clock_wall_ns();
    orders_agent_down(s->server->orders, s);
    fresh_agent_down(s->server->fresh, s);
    s->known = NULL;
}

void session_refuse(struct session *s, int code, const char *text)
{
    struct message m = {.type = MESSAGE_REFUSE, .refuse = {.code = code, .text = (char *)(uintptr_t)text}};
    log_warn("%s%s%s refused: %s", s->agent ? s->agent : "", s->agent ? " at " : "", s->peer, text);
    trail_note(s->server, s, "refused", "connection", code, text, NULL);
    note_refused(s, text);
    session_send(s, &m);
    s->closing = true;
    control_down(s);
    if (s->stream)
        stream_close(s->stream);
}

void session_shut_out(struct session *s, const char *text)
{
    if (stream_queued(s->stream) == 0 && !s->closing)
        session_refuse(s, ERROR_REFUSED, text);
    else
        session_cut(s, text);
}

unsigned session_judge_all(struct server *server)
{
    unsigned ended = 0;
    struct error e = ERROR_INIT;
    for (struct session *s = server->sessions, *next; s; s = next) {
        next = s->next;
        int r = s->stream ? stream_judge_again(s->stream, &e) : 0;
        if (r == ERROR_BUSY)
            session_give_up(s, e.text);
        if (r != ERROR_REFUSED)
            continue;
        ended++;
        session_shut_out(s, e.text);
    }
    return ended;
}

static void cut(struct session *s, const char *why, const char *then)
{
    if (s->given_up || !s->stream)
        return;
    log_warn("%s%s%s: %s%s", s->agent ? s->agent : "", s->agent ? " at " : "", s->peer, why, then);
    s->given_up = s->closing = true;
    control_down(s);
    stream_abort(s->stream);
}

void session_give_up(struct session *s, const char *why)
{
    cut(s, why, "; the connection is closed, to be tried again");
}

void session_cut(struct session *s, const char *why)
{
    cut(s, why, "");
}

void session_submit(struct session *s, struct ingest_job *job)
{
    job->arrived_ns = clock_wall_ns();
    memcpy(job->install, s->install, sizeof job->install);
    s->refs++;
    ingest_submit(s->server->ingest, job);
    if (s->stream && !s->paused && ingest_is_full(s->server->ingest)) {
        s->paused = true;
        stream_pause(s->stream);
    }
}

static void session_free(struct session *s)
{
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    free(s->agent);
    free(s->software);
    free(s->labels);
    free(s->peer);
    free(s->addresses);
    free(s->streams);
    free(s);
}

void session_unref(struct session *s)
{
    if (--s->refs == 0 && !s->stream)
        session_free(s);
}

/* ------------------------------------------------------------------ hello */

static char *copy(const char *text)
{
    return strdup(text ? text : "");
}

static bool take_agent(struct session *s, const struct message_hello *h)
{
    size_t len = 1;
    for (uint32_t i = 0; i < h->label_count; i++)
        len += strlen(h->labels[i]) + 1;
    s->agent = copy(h->agent);
    s->features = h->features;
    s->software = copy(h->software);
    s->labels = calloc(1, len);
    s->addresses = calloc(h->address_count + 1u, sizeof *s->addresses);
    if (!s->agent || !s->software || !s->labels || !s->addresses)
        return false;
    for (uint32_t i = 0; i < h->label_count; i++) {
        strcat(s->labels, i ? "," : "");
        strcat(s->labels, h->labels[i]);
    }
    for (uint32_t i = 0; i < h->address_count; i++) {
        s->addresses[i].family = h->addresses[i].family;
        memcpy(s->addresses[i].addr, h->addresses[i].addr, sizeof s->addresses[i].addr);
    }
    s->address_count = h->address_count;
    memcpy(s->install, h->install, sizeof s->install);
    return true;
}

static void welcome(struct session *s)
{
    struct message m = {.type = MESSAGE_WELCOME,
                        .welcome = {.protocol = NET_PROTOCOL,
                                    .software = (char *)(uintptr_t)SOFTWARE,
                                    .collector = (char *)(uintptr_t)s->server->config->name,
                                    .wall_ns = clock_wall_ns()}};
    s->welcomed = true;
    session_send(s, &m);
}

/* Tells the store who is here; the answer to the first one decides whether the agent is welcome. */
static void see_agent(struct session *s, const char *status_json)
{
    struct ingest_job *job = ingest_job_new(INGEST_AGENT, s);
    if (!job)
        return;
    job->name = copy(s->agent);
    job->certified_ns = s->is.not_before_ns;
    memcpy(job->serial, s->is.serial, sizeof s->is.serial);
    job->software = copy(s->software);
    job->labels = copy(s->labels);
    job->peer = copy(s->peer);
    job->status_json = status_json ? strdup(status_json) : NULL;
    job->addresses = calloc(s->address_count + 1u, sizeof *job->addresses);
    if (!job->name || !job->software || !job->labels || !job->peer || !job->addresses) {
        ingest_job_free(job);
        return;
    }
    memcpy(job->addresses, s->addresses, s->address_count * sizeof *job->addresses);
    job->address_count = s->address_count;
    session_submit(s, job);
}

/* What a certificate allows its owner to say in a HELLO. */
static bool may_say(struct session *s, const struct message_hello *h)
{
    const struct identity *is = session_identity(s);
    bool client = h->role == ROLE_CLIENT;
    char text[ERROR_TEXT_MAX];
    if (!s->server->tls || (client && is->kind == IDENTITY_USER) ||
        (!client && is->kind == IDENTITY_AGENT && strcmp(is->name, h->agent ? h->agent : "") == 0))
        return true;
    snprintf(text, sizeof text, "the certificate is that of %s %s, which may not speak for %s %.255s",
             identity_kind_name(is->kind), is->name, client ? "a user" : "agent", client || !h->agent ? "" : h->agent);
    session_refuse(s, ERROR_REFUSED, text);
    return false;
}

static void refuse_version(struct session *s, const struct message_hello *h)
{
    char text[ERROR_TEXT_MAX];
    bool newer = h->protocol > NET_PROTOCOL;
    snprintf(text, sizeof text,
             "%.100s speaks version %u of the protocol, and this collector (" SOFTWARE
             ") version %u: update the %s, so that both are of one release",
             h->software && h->software[0] ? h->software : "it", h->protocol, NET_PROTOCOL,
             newer                    ? "collector"
             : h->role == ROLE_CLIENT ? "command line"
                                      : "agent");
    session_refuse(s, ERROR_VERSION, text);
}

static void greet(struct session *s, const struct message *m)
{
    const struct message_hello *h = &m->hello;
    struct error e = ERROR_INIT;
    if (h->protocol != NET_PROTOCOL) {
        refuse_version(s, h);
        return;
    }
    if (!may_say(s, h))
        return;
    if (enroll_judge(s->server->enroll, session_identity(s), &e) || session_check_share(s, &e)) {
        session_refuse(s, e.code, e.text);
        return;
    }
    s->greeted = true;
    s->role = h->role;
    if (s->role == ROLE_CLIENT) {
        trail_note(s->server, s, "connect", h->software ? h->software : "", 0, NULL, NULL);
        welcome(s);
        return;
    }
    if (!h->agent || !h->agent[0] || strlen(h->agent) > HEAD_NAME_MAX || !take_agent(s, h)) {
        session_refuse(s, ERROR_INVALID, "an agent has a name of 1 to 255 bytes");
        return;
    }
    see_agent(s, NULL);
}

static void enroll(struct session *s, const struct message *m)
{
    s->greeted = true;
    enroll_message(s, &m->enroll);
}

/* What a connection may begin with. A stranger is a peer without a certificate, where connections are encrypted. */
static const struct {
    enum message_type type;
    bool from_stranger;
    void (*take)(struct session *s, const struct message *m);
} beginnings[] = {
    {MESSAGE_HELLO, false, greet},
    {MESSAGE_ENROLL, true, enroll},
};

static void begin(struct session *s, const struct message *m)
{
    s->is = *session_identity(s);
    s->good_until_ns = s->is.not_after_ns;
    bool stranger = s->server->tls && s->is.kind == IDENTITY_NONE;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        if (beginnings[i].type != m->type)
            continue;
        if (stranger && !beginnings[i].from_stranger)
            session_refuse(
                s, ERROR_REFUSED,
                "no certificate came: a host has to join first (`fleetdump-agent join TOKEN`), a user to log "
                "in (`fleetdump login TOKEN`)");
        else
            beginnings[i].take(s, m);
        return;
    }
    session_refuse(s, ERROR_INVALID, "a connection begins with a HELLO");
}

/* One that was revoked, and has joined anew, begins anew. */
static void take_certificate(struct session *s, struct fleet_agent *a)
{
    if (a->revoked_ns)
        orders_agent_anew(s->server->orders, a);
    fleet_certify(a, s->is.serial, s->is.not_before_ns);
    enroll_mark(s->server->enroll, a);
}

/* Of two control connections of one agent the newer one counts: the older is one that the agent has lost. */
static void control_up(struct session *s, const char *labels)
{
    struct server *server = s->server;
    struct error e = ERROR_INIT;
    struct fleet_agent *a;
    if (fleet_know(server->fleet, s->agent, labels, clock_wall_ns(), &a, &e)) {
        session_refuse(s, e.code, e.text);
        return;
    }
    if (a->control)
        session_refuse(a->control, ERROR_CONFLICT, ANEW);
    a->control = s;
    s->known = a;
    take_certificate(s, a);
    welcome(s);
    orders_agent_up(server->orders, s);
}

/* Of its data connections as well: each may hold a part that comes, so many of them would be memory without end. */
static void data_up(struct session *s)
{
    for (struct session *x = s->server->sessions; x; x = x->next) {
        if (x == s || !x->stream || x->closing || !x->welcomed || x->role != ROLE_AGENT_DATA ||
            strcmp(x->agent, s->agent) != 0)
            continue;
        session_refuse(x, ERROR_CONFLICT, ANEW);
        agent_session_close(x);
    }
    welcome(s);
}

void session_relabel(struct server *server, const char *agent, const char *labels)
{
    struct error e = ERROR_INIT;
    struct fleet_agent *a = fleet_find(server->fleet, agent);
    if (!a || strcmp(a->labels, labels) == 0)
        return;
    if (fleet_know(server->fleet, agent, labels, a->seen_ns, &a, &e))
        log_error("agent %s: its new labels do not count yet: %s", agent, e.text);
    else if (a->control)
        session_give_up(a->control, "it was given other labels");
}

static void agent_seen(struct session *s, struct ingest_job *job)
{
    if (s->closing) /* revoked meanwhile, say */
        return;
    if (job->result == ERROR_CONFLICT) {
        session_refuse(s, job->result, job->error.text);
        return;
    }
    if (job->result) /* a full disk, say: its next STATUS is another chance, and no reason to keep it waiting */
        log_warn("agent %s: not noted: %s", s->agent, job->error.text);
    if (!s->welcomed) {
        log_info("agent %s connected from %s (%s)", s->agent, s->peer, s->role == ROLE_AGENT_DATA ? "data" : "control");
        if (s->role == ROLE_AGENT_CONTROL) {
            trail_note(s->server, s, "connect", s->software, 0, NULL, NULL);
            control_up(s, job->labels);
        } else
            data_up(s);
    } else if (job->result == 0 && s->known)
        session_relabel(s->server, s->agent, job->labels); /* by others than a token: what revoked one of them, say */
}

void session_job_done(struct ingest_job *job)
{
    if (job->kind == INGEST_ORDER || job->kind == INGEST_ORDER_REMOVE) {
        orders_job_done(job);
        return;
    }
    if (job->kind == INGEST_CALL) {
        job->worked(job->owner, job->result, &job->error);
        ingest_job_free(job);
        return;
    }
    struct session *s = job->owner;
    if (s->stream && job->kind == INGEST_AGENT)
        agent_seen(s, job);
    else if (s->stream)
        agent_session_job_done(s, job);
    ingest_job_free(job);
    session_resume_all(s->server);
    session_unref(s);
}

/* ------------------------------------------------------------------ the stream's events */

static void answer_clock(struct session *s, const struct message *m, uint64_t received_ns)
{
    struct message answer = *m;
    answer.clock.received_ns = received_ns;
    answer.clock.replied_ns = clock_wall_ns();
    session_send(s, &answer);
}

static void control_message(struct session *s, const struct message *m, uint64_t now_ns)
{
    struct server *server = s->server;
    s->known->seen_ns = now_ns;
    switch (m->type) {
    case MESSAGE_STATUS:
        see_agent(s, m->status.json);
        return;
    case MESSAGE_CLOCK:
        answer_clock(s, m, now_ns);
        return;
    case MESSAGE_CHECKED:
        orders_checked(server->orders, s, &m->checked);
        return;
    case MESSAGE_CAPTURE_STATE:
        orders_state(server->orders, s, &m->capture_state);
        return;
    case MESSAGE_FLUSHED:
        fresh_flushed(server->fresh, s, &m->flushed);
        return;
    default:
        session_refuse(s, ERROR_INVALID, "a message came that an agent does not send on this connection");
    }
}

static void on_message(void *context, struct stream *stream, const struct message *m)
{
    struct session *s = context;
    uint64_t now_ns = clock_wall_ns();
    (void)stream;
    if (!s->greeted)
        begin(s, m);
    else if (!s->welcomed)
        session_refuse(s, ERROR_INVALID, "a message came before the WELCOME was answered");
    else if (m->type == MESSAGE_ENROLL && s->role != ROLE_AGENT_DATA)
        enroll_message(s, &m->enroll);
    else if (s->role == ROLE_CLIENT)
        client_session_message(s, m);
    else if (s->role == ROLE_AGENT_DATA)
        agent_session_message(s, m);
    else if (s->known) /* a newer connection may have taken its place */
        control_message(s, m, now_ns);
}

static void on_drain(void *context, struct stream *stream)
{
    struct session *s = context;
    (void)stream;
    if (s->role == ROLE_CLIENT)
        client_session_drain(s);
}

static void on_close(void *context, struct stream *stream, const struct error *why)
{
    struct session *s = context;
    struct fleet_agent *late = agent_of(s, stream_late(stream));
    if (late)
        fleet_refuse(late, clock_wall_ns(), why->text);
    if (why->code)
        log_warn("%s%s%s", s->agent ? s->agent : "", s->agent ? ": " : "", why->text);
    if (why->code && !s->greeted)
        trail_note(s->server, s, "refused", "connection", why->code, why->text, NULL);
    else if (s->agent)
        log_info("agent %s disconnected (%s)", s->agent, s->role == ROLE_AGENT_DATA ? "data" : "control");
    s->stream = NULL;
    control_down(s);
    agent_session_close(s);
    client_session_close(s);
    s->refs++;
    session_unref(s);
}

static const struct stream_events events = {.on_message = on_message, .on_drain = on_drain, .on_close = on_close};

bool session_accept(void *context, struct stream *stream, const struct stream_events **out, void **stream_context)
{
    struct server *server = context;
    struct session *s = server->stopping ? NULL : calloc(1, sizeof *s);
    if (!s)
        return false;
    s->peer = strdup(stream_peer(stream));
    if (!s->peer) {
        free(s);
        return false;
    }
    s->server = server;
    s->stream = stream;
    s->next = server->sessions;
    s->link = &server->sessions;
    if (s->next)
        s->next->link = &s->next;
    server->sessions = s;
    *out = &events;
    *stream_context = s;
    return true;
}

void session_resume_all(struct server *server)
{
    if (!ingest_has_room(server->ingest))
        return;
    for (struct session *s = server->sessions; s; s = s->next)
        if (s->paused && s->stream) {
            s->paused = false;
            stream_resume(s->stream);
        }
}
