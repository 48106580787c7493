/*
 * The certificate is renewed on the control connection when it is time. What fails is tried again after a part of what is
 * left; connections that stand go on with the old one.
 */
#include "agent/ship/uplink_impl.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/renew.h"

#define PAUSE_MOST_NS (UINT64_C(3600) * NS_PER_S)
#define PAUSE_PART    10u /* of the time that the certificate is good yet */

static uint64_t pause_ns(const struct identity *ours, uint64_t now_ns)
{
    uint64_t left_ns = ours->not_after_ns > now_ns ? (ours->not_after_ns - now_ns) / PAUSE_PART : 0;
    return left_ns < PAUSE_MOST_NS ? left_ns : PAUSE_MOST_NS;
}

void renew_look(struct uplink *u)
{
    struct error e = ERROR_INIT;
    struct message m;
    uint64_t now_ns = clock_wall_ns(), mono_ns = clock_mono_ns();
    if (!u->config.tls || !u->config.tls_folder || u->control.state != LINK_UP || mono_ns < u->renew_after_ns)
        return;
    const struct identity *ours = tls_identity(u->config.tls);
    if (!renew_is_due(ours, now_ns))
        return;
    u->renew_after_ns = mono_ns + pause_ns(ours, now_ns);
    if (renew_request(u->config.tls_folder, ours, &m, &e) == 0) {
        (void)link_send(&u->control, &m);
        renew_request_free(&m);
    } else {
        log_warn("uplink: the certificate is not renewed: %s", e.text);
    }
}

void renew_answer(struct uplink *u, const struct message_enrolled *m)
{
    struct error e = ERROR_INIT;
    const struct identity ours = *tls_identity(u->config.tls);
    int r = renew_take(u->config.tls_folder, &ours, m, &e);
    if (r == 0)
        r = tls_reload(u->config.tls, &e);
    if (r)
        log_warn("uplink: %s; it is tried again", e.text);
    else
        log_info("uplink: the certificate was renewed");
}
