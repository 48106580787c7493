/*
 * Hosts that ask for a certificate without a token, where the configuration says that they may (enroll = approve). The list
 * is in memory alone: who still wants to join asks again.
 */
#include "collector/server/enroll_impl.h"

#include "common/base/log.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void enroll_forget_pending(struct enroll *en, struct enroll_pending *p)
{
    struct enroll_pending **at = &en->pending;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    en->pending_count--;
    free(p);
}

static void forget_old(struct enroll *en, uint64_t now_ns)
{
    for (struct enroll_pending *p = en->pending, *next; p; p = next) {
        next = p->next;
        if (now_ns > p->last_ns && now_ns - p->last_ns > ENROLL_PENDING_NS)
            enroll_forget_pending(en, p);
    }
}

static int may_wait(const struct enroll *en, const struct net_address *from, struct error *e)
{
    unsigned of_it = 0;
    for (const struct enroll_pending *p = en->pending; p; p = p->next)
        of_it += guesses_same(&p->from, from);
    if (of_it >= ENROLL_PENDING_EACH)
        return error_set(e, ERROR_LIMIT, "from this address %u wait to be approved already", of_it);
    if (en->pending_count >= ENROLL_PENDING_MAX)
        return error_set(e, ERROR_BUSY, "%u hosts wait to be approved already: try again later, or use a token",
                         en->pending_count);
    return 0;
}

struct enroll_pending *enroll_wait(struct enroll *en, const struct session *s, const struct ca_request *wish,
                                   struct error *e)
{
    uint64_t now_ns = clock_wall_ns();
    struct net_address from = {0};
    uint16_t port;
    forget_old(en, now_ns);
    for (struct enroll_pending *p = en->pending; p; p = p->next)
        if (memcmp(p->key_sha256, wish->key_sha256, sizeof p->key_sha256) == 0 && strcmp(p->name, wish->name) == 0) {
            p->last_ns = now_ns;
            return p;
        }
    (void)stream_peer_address(s->stream, &from, &port);
    struct enroll_pending *p = may_wait(en, &from, e) ? NULL : calloc(1, sizeof *p);
    if (!p) {
        if (e->code == 0)
            (void)error_set(e, ERROR_MEMORY, "no memory for one who waits to be approved");
        return NULL;
    }
    *p = (struct enroll_pending){.next = en->pending, .from = from, .first_ns = now_ns, .last_ns = now_ns};
    memcpy(p->name, wish->name, sizeof p->name);
    memcpy(p->key_sha256, wish->key_sha256, sizeof p->key_sha256);
    snprintf(p->peer, sizeof p->peer, "%.63s", s->peer);
    en->pending = p;
    en->pending_count++;
    log_info("%s at %s waits to be approved (`fleetdump admin list --pending`)", p->name, p->peer);
    return p;
}

json_t *enroll_pending_json(struct enroll *en)
{
    json_t *list = json_array();
    char key[CA_HASH_TEXT], first[40], last[40];
    forget_old(en, clock_wall_ns());
    for (const struct enroll_pending *p = en->pending; p; p = p->next)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "name", p->name, "key",
                                        ca_format_hash(p->key_sha256, key), "peer", p->peer, "since",
                                        units_rfc3339(p->first_ns, first, sizeof first), "seen",
                                        units_rfc3339(p->last_ns, last, sizeof last), "approved", (int)p->approved,
                                        "known", fleet_find(en->server->fleet, p->name) != NULL));
    return list;
}
