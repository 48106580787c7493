/*
 * TLS looks at a certificate's dates once, when a connection begins: one that never ends would be good for ever.
 */
#include "collector/server/enroll_impl.h"

#include "common/base/units.h"
#include <stdio.h>
#include <string.h>

#define LOOK_MS 1000u

static void end(struct session *s)
{
    char text[ERROR_TEXT_MAX], until[64];
    snprintf(text, sizeof text, "the certificate was good until %s, and was not renewed: join or log in anew",
             units_format_time(s->good_until_ns, until, sizeof until));
    session_refuse(s, ERROR_REFUSED, text);
}

static void look(uv_timer_t *timer)
{
    const struct enroll *en = timer->data;
    uint64_t now_ns = clock_wall_ns();
    for (struct session *s = en->server->sessions; s; s = s->next)
        if (s->stream && !s->closing && s->good_until_ns && now_ns > s->good_until_ns)
            end(s);
}

void enroll_end_start(struct enroll *en)
{
    uv_timer_init(en->server->loop, &en->end);
    en->end.data = en;
    uv_timer_start(&en->end, look, LOOK_MS, LOOK_MS);
    uv_unref((uv_handle_t *)&en->end);
}

static bool is_same(const struct identity *a, const struct identity *b)
{
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
           memcmp(a->key_sha256, b->key_sha256, sizeof a->key_sha256) == 0;
}

void enroll_extend(struct enroll *en, const struct identity *who, uint64_t good_until_ns)
{
    for (struct session *s = en->server->sessions; s; s = s->next)
        if (is_same(session_identity(s), who) && good_until_ns > s->good_until_ns)
            s->good_until_ns = good_until_ns;
}
