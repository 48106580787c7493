#include "collector/server/enroll_impl.h"

#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/net/reach.h"
#include "common/net/tls.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int enroll_can_sign(const struct enroll *en, struct error *e)
{
    if (en->server->config->insecure_plaintext)
        return error_set(e, ERROR_UNSUPPORTED,
                         "this collector's connections are not encrypted (insecure_plaintext): nobody joins it by a "
                         "certificate");
    if (en->ca)
        return 0;
    return error_set(
        e, ERROR_UNSUPPORTED,
        "certificates for this collector are made by an authority of its own, whose key is not here: get one "
        "there, for fleetdump://agent/NAME or fleetdump://user/NAME (or OU = fleetdump-agent or -user, CN = "
        "NAME)");
}

/* ------------------------------------------------------------------ what was revoked */

/* Whether it means a certificate of that name. */
static bool means_since(const struct enroll_revoked *v, uint8_t kind, const char *name, const char *serial,
                        uint64_t since_ns)
{
    return v->serial[0] ? strcmp(v->serial, serial) == 0
                        : v->kind == kind && strcmp(v->name, name) == 0 && since_ns < v->before_ns;
}

static bool means(const struct enroll_revoked *v, const struct identity *who)
{
    return means_since(v, who->kind, who->name, who->serial, who->not_before_ns);
}

/* Where connections are not encrypted, agents have no certificates. */
static void mark_by(const struct enroll *en, const struct enroll_revoked *v, struct fleet_agent *a)
{
    if (!en->server->config->insecure_plaintext && means_since(v, IDENTITY_AGENT, a->name, a->serial, a->certified_ns))
        a->revoked_ns = v->revoked_ns;
}

void enroll_mark(const struct enroll *en, struct fleet_agent *a)
{
    a->revoked_ns = 0;
    for (size_t i = 0; i < en->revoked_count; i++)
        mark_by(en, &en->revoked[i], a);
}

static void mark_all(const struct enroll *en, const struct enroll_revoked *v)
{
    struct fleet *f = en->server->fleet;
    struct fleet_agent *named = v->serial[0] ? NULL : fleet_find(f, v->name);
    if (named)
        mark_by(en, v, named);
    for (size_t i = 0; v->serial[0] && i < fleet_count(f); i++)
        mark_by(en, v, fleet_at(f, i));
}

int enroll_add_revoked(struct enroll *en, const struct store_revocation *v, struct error *e)
{
    uint64_t second = v->revoked_ns / NS_PER_S + 1; /* certificates begin at whole ones */
    char *name = strdup(v->name);
    uv_mutex_lock(&en->lock);
    struct enroll_revoked *more = name ? realloc(en->revoked, (en->revoked_count + 1) * sizeof *more) : NULL;
    if (more) {
        more[en->revoked_count] = (struct enroll_revoked){
            .kind = v->kind, .name = name, .revoked_ns = v->revoked_ns, .before_ns = second * NS_PER_S};
        snprintf(more[en->revoked_count++].serial, sizeof more->serial, "%s", v->serial);
        en->revoked = more;
    }
    uv_mutex_unlock(&en->lock);
    if (more) {
        mark_all(en, &more[en->revoked_count - 1]);
        return 0; /* cppcheck-suppress memleak ; the list has it */
    }
    free(name);
    return error_set(e, ERROR_MEMORY, "no memory for what is revoked");
}

int enroll_judge(const struct enroll *en, const struct identity *who, struct error *e)
{
    for (size_t i = 0; who->kind != IDENTITY_NONE && i < en->revoked_count; i++)
        if (means(&en->revoked[i], who))
            return error_set(e, ERROR_REFUSED,
                             "the certificate of %s %s was revoked; an administrator can let it join anew",
                             identity_kind_name(who->kind), who->name);
    return 0;
}

const char *enroll_state(struct enroll *en, const struct store_credential *c, uint64_t now_ns, uint64_t *revoked_ns)
{
    *revoked_ns = 0;
    uv_mutex_lock(&en->lock);
    for (size_t i = 0; i < en->revoked_count; i++)
        if (means_since(&en->revoked[i], c->kind, c->name, c->serial, c->not_before_ns))
            *revoked_ns = en->revoked[i].revoked_ns;
    uv_mutex_unlock(&en->lock);
    return *revoked_ns ? "revoked" : now_ns > c->not_after_ns ? "expired" : "good";
}

uint64_t enroll_earliest(struct enroll *en, uint8_t kind, const char *name)
{
    uint64_t earliest_ns = 0;
    uv_mutex_lock(&en->lock);
    for (size_t i = 0; i < en->revoked_count; i++) {
        const struct enroll_revoked *v = &en->revoked[i];
        if (!v->serial[0] && v->kind == kind && strcmp(v->name, name) == 0 && v->before_ns > earliest_ns)
            earliest_ns = v->before_ns;
    }
    uv_mutex_unlock(&en->lock);
    return earliest_ns;
}

struct loading {
    struct enroll *enroll;
    struct error *e;
};

static int load(void *context, const struct store_revocation *v)
{
    struct loading *l = context;
    return enroll_add_revoked(l->enroll, v, l->e);
}

static int load_revoked(struct enroll *en, struct error *e)
{
    struct loading l = {en, e};
    struct store_reader *reader = NULL;
    int r = store_reader_open(en->server->store, &reader, e);
    if (r == 0)
        r = store_each_revocation(reader, load, &l, e);
    store_reader_close(reader);
    return r;
}

/* ------------------------------------------------------------------ the authority */

static int read_pem(const char *path, char **text, size_t *length, struct error *e)
{
    return fs_read_file(AT_FDCWD, path, CA_PEM_MAX, text, length, e);
}

/* What the files say, put in the place of what there was. */
static void replace_ca(struct enroll *en, struct ca *ca, char *pem, const uint8_t sha256[32])
{
    uv_mutex_lock(&en->lock);
    ca_close(en->ca);
    en->ca = ca;
    uv_mutex_unlock(&en->lock);
    free(en->ca_pem);
    en->ca_pem = pem;
    memcpy(en->ca_sha256, sha256, sizeof en->ca_sha256);
}

int enroll_load_ca(struct enroll *en, struct error *e)
{
    const struct enroll_config *c = &en->server->config->enroll;
    size_t length = 0, key_length = 0;
    char *key = NULL, *pem = NULL;
    uint8_t sha256[32];
    struct ca *ca = NULL;
    int r = read_pem(c->ca, &pem, &length, e);
    if (r == 0)
        r = read_pem(c->ca_key, &key, &key_length, e);
    if (r == 0)
        r = ca_open((struct ca_text){pem, length}, (struct ca_text){key, key_length}, &ca, e);
    if (r && r != ERROR_NOT_FOUND)
        (void)error_prefix(e, "%s, %s", c->ca, c->ca_key);
    if (r == 0)
        r = ca_fingerprint((struct ca_text){pem, length}, sha256, e);
    if (key)
        explicit_bzero(key, key_length);
    free(key);
    if (r == 0) {
        replace_ca(en, ca, pem, sha256);
        return 0;
    }
    ca_close(ca);
    free(pem);
    return r;
}

/* Whoever can read the authority's key can be anybody. */
static int check_ca_key(const char *path, struct error *e)
{
    struct stat st;
    return stat(path, &st) == 0 ? tls_check_key(&st, path, e) : error_sys(e, errno, "cannot look at %s", path);
}

int enroll_open(struct server *server, struct enroll **out, struct error *e)
{
    const struct enroll_config *c = &server->config->enroll;
    struct enroll *en = calloc(1, sizeof *en);
    if (!en)
        return error_set(e, ERROR_MEMORY, "no memory to enroll anybody");
    en->server = server;
    uv_mutex_init(&en->lock);
    uv_timer_init(server->loop, &en->renew);
    en->renew.data = en;
    enroll_end_start(en);
    int r = load_revoked(en, e);
    if (r == 0 && c->ca_key && c->ca_key[0] && access(c->ca_key, F_OK) == 0 && !server->config->insecure_plaintext) {
        r = check_ca_key(c->ca_key, e);
        r = r ? r : enroll_load_ca(en, e);
    }
    *out = en;
    if (r == 0)
        r = enroll_own_start(en, e);
    return r;
}

void enroll_stop(struct enroll *en)
{
    if (en && !uv_is_closing((uv_handle_t *)&en->renew))
        uv_close((uv_handle_t *)&en->renew, NULL);
    if (en && !uv_is_closing((uv_handle_t *)&en->end))
        uv_close((uv_handle_t *)&en->end, NULL);
}

void enroll_close(struct enroll *en)
{
    if (!en)
        return;
    while (en->pending)
        enroll_forget_pending(en, en->pending);
    for (size_t i = 0; i < en->revoked_count; i++)
        free(en->revoked[i].name);
    free(en->revoked);
    ca_close(en->ca);
    free(en->ca_pem);
    uv_mutex_destroy(&en->lock);
    free(en);
}

/* ------------------------------------------------------------------ tokens */

/* What was said, or what was found out before the collector was confined. */
static int own_address(const struct enroll *en, const char *wanted, char out[TOKEN_ADDRESS_MAX + 1], struct error *e)
{
    if (wanted && wanted[0])
        return net_reach(wanted, NULL, 0, out, TOKEN_ADDRESS_MAX + 1, e);
    if (!en->server->reach[0])
        return error_set(e, ERROR_USAGE,
                         "the address at which hosts reach this collector is not known: say `address = ...` "
                         "in its configuration, or --address");
    snprintf(out, TOKEN_ADDRESS_MAX + 1, "%s", en->server->reach);
    return 0;
}

int enroll_new_token(struct enroll *en, const struct enroll_wish *w, struct store_token *row, char text[TOKEN_TEXT_MAX],
                     struct error *e)
{
    struct token t = {.kind = w->kind};
    uint64_t ttl_ns = w->ttl_ns ? w->ttl_ns : ENROLL_TTL_NS;
    int r = enroll_can_sign(en, e);
    if (r == 0)
        r = identity_check_name(w->name, e);
    if (r == 0 && ttl_ns > ENROLL_TTL_MOST_NS)
        r = error_set(e, ERROR_USAGE, "a token is good for 30 days at most");
    if (r == 0)
        r = own_address(en, w->collector, t.collector, e);
    if (r == 0)
        r = token_draw(&t, e);
    if (r)
        return r;
    memcpy(t.ca_sha256, en->ca_sha256, sizeof t.ca_sha256);
    snprintf(t.name, sizeof t.name, "%s", w->name);
    uint64_t now_ns = clock_wall_ns();
    *row = (struct store_token){.kind = w->kind, .created_ns = now_ns, .expires_ns = now_ns + ttl_ns};
    token_hash(t.secret, row->hash);
    snprintf(row->name, sizeof row->name, "%s", w->name);
    snprintf(row->role, sizeof row->role, "%s", w->role ? w->role : "");
    snprintf(row->created_by, sizeof row->created_by, "%s", w->by ? w->by : "");
    r = enroll_join_labels(w->labels, w->label_count, row->labels, e);
    return r ? r : token_format(&t, text, e);
}
