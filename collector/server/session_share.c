/*
 * What one name may have at once: whoever has a certificate is not to keep the others out.
 */
#include "collector/server/session.h"
#include <string.h>

/* At least one. */
static unsigned share_of(unsigned all)
{
    return (all + SESSIONS_SHARE - 1) / SESSIONS_SHARE;
}

bool session_is_of(const struct session *s, uint8_t kind, const char *name)
{
    const struct identity *is = session_identity(s);
    return s->stream && !s->closing && is->kind == kind && strcmp(is->name, name) == 0;
}

int session_check_share(const struct session *s, struct error *e)
{
    const struct identity *is = session_identity(s);
    const char *kind = identity_kind_name(is->kind);
    bool user = is->kind == IDENTITY_USER;
    unsigned there = 0, most = user ? share_of(s->server->config->max_sessions) : SESSIONS_AGENT;
    for (const struct session *x = s->server->sessions; x; x = x->next)
        there += x != s && x->greeted && session_is_of(x, is->kind, is->name);
    if (is->kind == IDENTITY_NONE || there < most)
        return 0;
    return error_set(e, ERROR_BUSY,
                     "%s %s has %u connections already, which is the most that one %s may have: try again later", kind,
                     is->name, there, kind);
}

int session_check_questions(const struct session *s, struct error *e)
{
    const struct identity *is = session_identity(s);
    unsigned asked = 0, most = share_of(s->server->config->max_queries);
    for (const struct session *x = s->server->sessions; x; x = x->next)
        asked += x->query && strcmp(session_identity(x)->name, is->name) == 0;
    if (is->kind == IDENTITY_NONE || asked < most)
        return 0;
    return error_set(
        e, ERROR_BUSY,
        "%u questions of %s are being answered, which is the most that one user may ask at once: try again "
        "in a moment",
        asked, is->name);
}
