/*
 * An ENROLL comes, and is answered. Whether it may be, and what is signed, the ingest thread decides: where tokens are, and
 * where what was decided is made durable before anybody hears of it.
 */
#include "collector/server/enroll_impl.h"

#include "collector/server/given_labels.h"
#include "collector/server/rights.h"
#include "collector/server/trail.h"
#include "common/base/log.h"
#include "common/net/tls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum how { BY_TOKEN, BY_APPROVAL, BY_RENEWAL };
static const char *const how_names[] = {"token", "approval", "renewal"};

struct asking {
    struct enroll *enroll;
    struct session *session; /* a reference */
    enum how how;
    uint8_t hash[32];    /* BY_TOKEN */
    struct identity who; /* BY_RENEWAL: with which certificate */
    bool has_from;
    struct net_address from; /* he may be gone when it is known that he was wrong */
    char role[STORE_ROLE_MAX + 1];
    char *request;
    struct store_credential made;
    struct buffer certificate;
    bool guessed_wrong;
};

/* ------------------------------------------------------------------ answers */

static void send_answer(struct session *s, const struct message_enrolled *answer, bool last)
{
    struct message m = {.type = MESSAGE_ENROLLED, .enrolled = *answer};
    session_send(s, &m);
    if (last && s->stream && !s->closing) {
        s->closing = true;
        stream_close(s->stream);
    }
}

static void refuse(struct session *s, const struct error *e)
{
    log_warn("%s: no certificate: %s", s->peer, e->text);
    trail_note(s->server, s, "enroll", "a certificate", e->code, e->text, NULL);
    send_answer(s, &(struct message_enrolled){.code = e->code, .text = (char *)(uintptr_t)e->text}, !s->welcomed);
}

/* Cuts the list into texts of its own memory. */
static uint32_t cut_labels(char *list, char *labels[ENROLL_LABELS_MAX])
{
    uint32_t count = 0;
    for (char *rest = NULL, *one = strtok_r(list, ",", &rest); one && count < ENROLL_LABELS_MAX;
         one = strtok_r(NULL, ",", &rest))
        labels[count++] = one;
    return count;
}

static void grant(struct asking *a)
{
    char *labels[ENROLL_LABELS_MAX], given[STORE_LABELS_MAX + 1];
    struct session *s = a->session;
    memcpy(given, a->made.labels, sizeof given);
    buffer_u8(&a->certificate, 0);
    struct message_enrolled answer = {
        .certificate = (char *)a->certificate.data, .ca = a->enroll->ca_pem, .labels = labels};
    answer.label_count = cut_labels(a->made.labels, labels);
    log_info("%s %s at %s: certificate %s made (%s)", identity_kind_name(a->made.kind), a->made.name, s->peer,
             a->made.serial, how_names[a->how]);
    char what[2 * HEAD_NAME_MAX];
    snprintf(what, sizeof what, "a certificate for %s %s (%s), serial %s", identity_kind_name(a->made.kind),
             a->made.name, how_names[a->how], a->made.serial);
    trail_note(s->server, s, "enroll", what, 0, NULL, NULL);
    if (a->how != BY_RENEWAL && a->made.kind == IDENTITY_AGENT)
        session_relabel(s->server, a->made.name, given);
    if (a->how == BY_RENEWAL)
        enroll_extend(a->enroll, &a->who, a->made.not_after_ns);
    send_answer(s, &answer, !s->welcomed);
}

/* ------------------------------------------------------------------ the ingest thread's part */

static int judge_token(struct asking *a, struct store *s, uint64_t now_ns, struct error *e)
{
    struct store_token t;
    int r = store_token_find(s, a->hash, &t, e);
    a->guessed_wrong = r == ERROR_NOT_FOUND;
    if (r == ERROR_NOT_FOUND)
        return error_set(e, r,
                         "this collector does not know this token: it was revoked, is older than 30 days, or was "
                         "never given out; have a new one made");
    if (r)
        return r;
    a->guessed_wrong = t.used_ns || now_ns > t.expires_ns;
    if (t.used_ns)
        return error_set(
            e, ERROR_CONFLICT,
            "this token was used already, and is good for once; if that was not you, revoke %s; have a new one "
            "made",
            t.name);
    if (now_ns > t.expires_ns)
        return error_set(e, ERROR_REFUSED, "this token's time is over: have a new one made");
    a->made.kind = t.kind;
    memcpy(a->made.name, t.name, sizeof t.name);
    memcpy(a->made.labels, t.labels, sizeof t.labels);
    memcpy(a->role, t.role, sizeof t.role);
    return 0;
}

/* An old certificate stays good beside its renewal, which may have been lost on the way: but not to have more of them than
 * anybody needs. The labels go on; of a certificate that was made elsewhere nothing is known. */
static int judge_renewal(struct asking *a, struct store *s, uint64_t now_ns, struct error *e)
{
    uint64_t made_ns, begins_ns, pause_ns = a->enroll->server->config->enroll.life_ns / ENROLL_RENEWALS;
    int r = store_credential_newest(s, a->who.kind, a->who.name, &made_ns, &begins_ns, e);
    if (r == 0 && made_ns <= now_ns && now_ns - made_ns < pause_ns)
        r = error_set(e, ERROR_BUSY, "a certificate of that name was made a moment ago: ask again later");
    return r ? r : given_labels_find(s, a->who.serial, a->made.labels, e);
}

static int sign(struct asking *a, uint64_t now_ns, struct error *e)
{
    struct store_credential *c = &a->made;
    struct identity made;
    const struct ca_grant g = {.kind = c->kind,
                               .name = c->name,
                               .now_ns = now_ns,
                               .life_ns = a->enroll->server->config->enroll.life_ns,
                               .earliest_ns = enroll_earliest(a->enroll, c->kind, c->name)};
    uv_mutex_lock(&a->enroll->lock);
    int r = ca_sign(a->enroll->ca, ca_text_string(a->request), &g, &a->certificate, &made, e);
    uv_mutex_unlock(&a->enroll->lock);
    if (r)
        return r;
    c->made_ns = now_ns;
    c->not_before_ns = made.not_before_ns;
    c->not_after_ns = made.not_after_ns;
    memcpy(c->serial, made.serial, sizeof made.serial);
    memcpy(c->key_sha256, made.key_sha256, sizeof made.key_sha256);
    snprintf(c->how, sizeof c->how, "%s", how_names[a->how]);
    return 0;
}

static int work(void *owner, struct store *s, struct error *e)
{
    struct asking *a = owner;
    uint64_t now_ns = clock_wall_ns();
    int r = a->how == BY_TOKEN     ? judge_token(a, s, now_ns, e)
            : a->how == BY_RENEWAL ? judge_renewal(a, s, now_ns, e)
                                   : 0;
    if (r == 0)
        r = sign(a, now_ns, e);
    return r ? r : store_credential_put(s, &a->made, a->how == BY_TOKEN ? a->hash : NULL, e);
}

/* ------------------------------------------------------------------ before and after it */

static void worked(void *owner, int result, const struct error *e)
{
    struct asking *a = owner;
    struct session *s = a->session;
    a->enroll->asking--;
    if (a->guessed_wrong && a->has_from)
        guesses_wrong(&a->enroll->guesses, &a->from, clock_mono_ns());
    struct error late = ERROR_INIT;
    if (result == 0 && a->role[0])
        rights_user_at_least(a->enroll->server->rights, a->made.name, rights_role_named(a->role));
    if (result) /* also if nobody hears it: it is noted */
        refuse(s, e);
    else if (a->how == BY_RENEWAL && enroll_judge(a->enroll, &a->who, &late)) /* meanwhile: it stays here */
        refuse(s, &late);
    else
        grant(a);
    buffer_free(&a->certificate);
    free(a->request);
    free(a);
    session_unref(s);
}

static void submit(struct session *s, const struct asking *what, const char *request)
{
    struct enroll *en = s->server->enroll;
    struct error e = ERROR_INIT;
    struct asking *a = malloc(sizeof *a);
    char *copy = a ? strdup(request) : NULL;
    if (!copy) {
        free(a);
        (void)error_set(&e, ERROR_MEMORY, "no memory to make a certificate");
        refuse(s, &e);
        return;
    }
    *a = *what;
    uint16_t port;
    a->enroll = en;
    a->session = s;
    a->has_from = stream_peer_address(s->stream, &a->from, &port);
    a->request = copy;
    snprintf(a->made.peer, sizeof a->made.peer, "%s", s->peer);
    s->refs++;
    en->asking++;
    int r = ingest_call(en->server->ingest, work, worked, a, &e);
    if (r)
        worked(a, r, &e);
}

static int may_guess(struct enroll *en, const struct session *s, struct error *e)
{
    struct net_address from;
    uint16_t port;
    if (!stream_peer_address(s->stream, &from, &port) || guesses_may(&en->guesses, &from, clock_mono_ns()))
        return 0;
    return error_set(e, ERROR_REFUSED, "too many wrong tokens came from this address: wait a minute");
}

static int may_ask(struct enroll *en, const struct session *s, struct error *e)
{
    int r = enroll_can_sign(en, e);
    if (r == 0 && en->asking >= ENROLL_ASKING_MAX)
        r = error_set(e, ERROR_BUSY, "%u certificates are being made already: try again in a moment", en->asking);
    return r || s->welcomed ? r : may_guess(en, s, e);
}

/* ------------------------------------------------------------------ the three ways */

static void ask_by_token(struct session *s, const struct message_enroll *m)
{
    struct asking a = {.how = BY_TOKEN};
    token_hash(m->secret, a.hash);
    submit(s, &a, m->request);
}

static int may_be_approved(const struct enroll *en, const struct ca_request *wish, struct error *e)
{
    if (!en->server->config->enroll.approve)
        return error_set(
            e, ERROR_REFUSED,
            "this collector takes hosts with a token only (`fleetdump admin enroll --name NAME` makes one)");
    if (wish->kind != IDENTITY_AGENT)
        return error_set(e, ERROR_REFUSED, "without a token only agents may ask to join");
    return 0;
}

static void ask_by_approval(struct session *s, const struct message_enroll *m)
{
    struct enroll *en = s->server->enroll;
    struct error e = ERROR_INIT;
    struct ca_request wish;
    int r = ca_read_request(ca_text_string(m->request), &wish, &e);
    if (r == 0)
        r = may_be_approved(en, &wish, &e);
    struct enroll_pending *p = r ? NULL : enroll_wait(en, s, &wish, &e);
    if (!p) {
        refuse(s, &e);
        return;
    }
    if (p->approved) {
        struct asking a = {.how = BY_APPROVAL, .made = {.kind = IDENTITY_AGENT}};
        memcpy(a.made.name, p->name, sizeof p->name);
        memcpy(a.made.labels, p->labels, sizeof p->labels);
        enroll_forget_pending(en, p);
        submit(s, &a, m->request);
        return;
    }
    send_answer(s,
                &(struct message_enrolled){.code = ERROR_BUSY,
                                           .text = (char *)(uintptr_t) "it waits for an administrator's approval",
                                           .again_ms = ENROLL_AGAIN_MS},
                true);
}

static int may_renew(const struct identity *who, const struct ca_request *wish, struct error *e)
{
    uint64_t now_ns = clock_wall_ns();
    if (who->kind != IDENTITY_AGENT && who->kind != IDENTITY_USER)
        return error_set(e, ERROR_REFUSED, "a %s's certificate is not renewed here", identity_kind_name(who->kind));
    if (memcmp(wish->key_sha256, who->key_sha256, sizeof who->key_sha256) != 0)
        return error_set(e, ERROR_REFUSED, "a certificate is renewed for its own key alone: another key needs a token");
    uint64_t half_ns = who->not_before_ns + (who->not_after_ns - who->not_before_ns) / 2;
    if (now_ns < half_ns)
        return error_set(e, ERROR_REFUSED, "the certificate is good for long enough yet");
    return 0;
}

static void ask_by_renewal(struct session *s, const struct message_enroll *m)
{
    struct error e = ERROR_INIT;
    struct ca_request wish;
    struct asking a = {.how = BY_RENEWAL, .who = *session_identity(s)};
    int r = enroll_judge(s->server->enroll, &a.who, &e);
    if (r == 0)
        r = ca_read_request(ca_text_string(m->request), &wish, &e);
    if (r == 0)
        r = may_renew(&a.who, &wish, &e);
    if (r) {
        refuse(s, &e);
        return;
    }
    a.made.kind = a.who.kind;
    memcpy(a.made.name, a.who.name, sizeof a.who.name);
    submit(s, &a, m->request);
}

void enroll_message(struct session *s, const struct message_enroll *m)
{
    struct error e = ERROR_INIT;
    if (may_ask(s->server->enroll, s, &e))
        refuse(s, &e);
    else if (s->welcomed)
        ask_by_renewal(s, m);
    else if (m->secret_length == TOKEN_SECRET_SIZE)
        ask_by_token(s, m);
    else
        ask_by_approval(s, m);
}
