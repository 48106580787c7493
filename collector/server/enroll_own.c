/*
 * The collector's own certificate and its authority's, as long as the authority's key is here: renewed when two thirds of their life are over.
 * Sessions that are open go on; new ones get the new one.
 */
#include "collector/server/enroll_impl.h"

#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/net/ca_files.h"
#include "common/net/tls.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MOST_MS  (3600u * 1000)
#define LOOK_LEAST_MS 200u
#define LOOKS         12u /* in a life */

static int is_due(const struct enroll_config *c, struct identity *now, bool *due, struct error *e)
{
    char *pem = NULL;
    size_t length = 0;
    int r = fs_read_file(AT_FDCWD, c->cert, CA_PEM_MAX, &pem, &length, e);
    if (r == 0)
        r = ca_read_certificate((struct ca_text){pem, length}, now, e);
    *due = r == 0 && clock_wall_ns() >= ca_renewal_ns(now);
    free(pem);
    return r;
}

static int sign(struct enroll *en, const struct identity *now, struct ca_text key, struct buffer *out, struct error *e)
{
    const struct enroll_config *c = &en->server->config->enroll;
    const struct ca_grant g = {
        .kind = IDENTITY_COLLECTOR, .name = now->name, .now_ns = clock_wall_ns(), .life_ns = c->own_life_ns};
    struct buffer request = {0};
    struct identity made;
    int r = ca_new_request(key, IDENTITY_COLLECTOR, now->name, &request, e);
    if (r == 0)
        r = ca_sign(en->ca, ca_text_of(&request), &g, out, &made, e);
    buffer_free(&request);
    return r;
}

static int renew(struct enroll *en, const struct identity *now, struct error *e)
{
    const struct enroll_config *c = &en->server->config->enroll;
    struct buffer certificate = {0};
    char *key = NULL;
    size_t length = 0;
    int r = fs_read_file(AT_FDCWD, c->key, CA_PEM_MAX, &key, &length, e);
    if (r == 0)
        r = sign(en, now, (struct ca_text){key, length}, &certificate, e);
    if (r == 0)
        r = ca_save(c->cert, &certificate, e);
    if (r == 0 && en->server->tls)
        r = tls_reload(en->server->tls, e);
    if (key)
        explicit_bzero(key, length);
    free(key);
    buffer_free(&certificate);
    return r;
}

/* ------------------------------------------------------------------ the authority */

/* The new one in front of those that are good yet: tokens and hosts may know their fingerprints. */
static int renew_authority(struct enroll *en, uint64_t now_ns, struct error *e)
{
    const struct enroll_config *c = &en->server->config->enroll;
    struct buffer pem = {0};
    int r = enroll_load_ca(en, e); /* as the file is now */
    if (r == 0)
        r = ca_renew_root(en->ca, now_ns, c->ca_life_ns, &pem, e);
    if (r == 0)
        r = ca_append_current(ca_text_string(en->ca_pem), now_ns, &pem, e);
    if (r == 0)
        r = pem.failed ? error_set(e, ERROR_MEMORY, "no memory for certificates") : ca_save(c->ca, &pem, e);
    if (r == 0)
        r = enroll_load_ca(en, e);
    if (r == 0 && en->server->tls)
        r = tls_reload(en->server->tls, e);
    buffer_free(&pem);
    return r;
}

static void look_at_authority(struct enroll *en)
{
    struct error e = ERROR_INIT;
    struct ca_dates life;
    char text[CA_HASH_TEXT];
    uint64_t now_ns = clock_wall_ns();
    int r = ca_read_dates(ca_text_string(en->ca_pem), &life, &e);
    if (r == 0 && now_ns < ca_renewal_between_ns(&life))
        return;
    if (r == 0)
        r = renew_authority(en, now_ns, &e);
    if (r == ERROR_UNSUPPORTED)
        return;
    if (r)
        log_error("the authority's certificate: %s", e.text);
    else
        log_info("the authority's certificate was renewed, with the same key: fingerprint %s; others learn it when "
                 "their certificates are "
                 "renewed",
                 ca_format_hash(en->ca_sha256, text));
}

/* ------------------------------------------------------------------ now and then */

static void look(struct enroll *en)
{
    look_at_authority(en);
    struct identity now;
    struct error e = ERROR_INIT;
    bool due = false;
    int r = is_due(&en->server->config->enroll, &now, &due, &e);
    if (r == 0 && due)
        r = renew(en, &now, &e);
    if (r)
        log_error("the collector's own certificate: %s", e.text);
    else if (due)
        log_info("the collector's own certificate was renewed");
}

static void on_time(uv_timer_t *timer)
{
    look(timer->data);
}

int enroll_own_start(struct enroll *en, struct error *e)
{
    (void)e;
    if (!en->ca || !en->server->config->enroll.cert)
        return 0;
    const struct enroll_config *c = &en->server->config->enroll;
    uint64_t life_ns = c->own_life_ns < c->ca_life_ns ? c->own_life_ns : c->ca_life_ns;
    uint64_t every_ms = life_ns / NS_PER_MS / LOOKS;
    every_ms = every_ms > LOOK_MOST_MS ? LOOK_MOST_MS : every_ms < LOOK_LEAST_MS ? LOOK_LEAST_MS : every_ms;
    look(en);
    uv_timer_start(&en->renew, on_time, every_ms, every_ms);
    uv_unref((uv_handle_t *)&en->renew);
    return 0;
}
