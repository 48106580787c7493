#include "common/net/doctor_net.h"
#include "common/base/clock.h"
#include "common/base/fs.h"
#include "common/base/units.h"
#include "common/net/ca.h"
#include "common/net/stream.h"
#include "common/net/tls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define LINGER_MS  500

/* ---------------------------------------------------------------- names */

bool doctor_name(struct doctor *d, const char *address, const char *config)
{
    struct error e = ERROR_INIT;
    char host[256];
    uint16_t port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (net_split(address, host, &port, &e)) {
        doctor_say(d, DOCTOR_FAILURE, "name", "%s", e.text);
        doctor_mend(d, "say in %s: collector = HOST:%u", config, NET_PORT_DEFAULT);
        return false;
    }
    int code = getaddrinfo(host, NULL, &hints, &list);
    if (code) {
        doctor_say(d, DOCTOR_FAILURE, "name", "%s has no address: %s", host, gai_strerror(code));
        doctor_mend(d, "getent hosts %s    (then /etc/resolv.conf, or an address instead of the name in %s)", host,
                    config);
        return false;
    }
    char text[NI_MAXHOST] = "?";
    (void)getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    doctor_say(d, DOCTOR_OK, "name", "%s is %s", host, text);
    freeaddrinfo(list);
    return true;
}

/* ---------------------------------------------------------------- connections */

struct reach {
    uv_loop_t loop;
    uv_timer_t timer;
    struct stream *stream;
    bool opened, satisfied;
    struct identity peer;
    struct error why;
};

static void on_time(uv_timer_t *timer)
{
    struct reach *r = timer->data;
    r->satisfied = true;
    stream_abort(r->stream);
}

static void on_open(void *context, struct stream *s)
{
    struct reach *r = context;
    r->opened = true;
    r->peer = *stream_identity(s);
    (void)uv_timer_start(&r->timer, on_time, LINGER_MS, 0);
}

static void on_message(void *context, struct stream *s, const struct message *m)
{
    struct reach *r = context;
    (void)s;
    if (m->type == MESSAGE_REFUSE)
        (void)error_set(&r->why, ERROR_REFUSED, "the collector said: %s", m->refuse.text ? m->refuse.text : "");
}

static void on_close(void *context, struct stream *s, const struct error *why)
{
    struct reach *r = context;
    (void)s;
    if (!r->satisfied && !r->why.code) {
        r->why = *why;
        if (!why->code)
            (void)error_set(&r->why, ERROR_UNREACHABLE, "the other side ends the connection at once");
    }
    uv_close((uv_handle_t *)&r->timer, NULL);
}

static int reach(struct reach *r, struct tls *tls, const char *address, struct error *e)
{
    static const struct stream_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    if (uv_loop_init(&r->loop) != 0)
        return error_set(e, ERROR_MEMORY, "no memory for a connection");
    (void)uv_timer_init(&r->loop, &r->timer);
    r->timer.data = r;
    int code = stream_connect(&r->loop, tls, address, CONNECT_MS, &events, r, &r->stream, e);
    if (code)
        uv_close((uv_handle_t *)&r->timer, NULL);
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&r->loop);
    return code;
}

void doctor_reach(struct doctor *d, const char *address, struct tls *tls)
{
    struct reach r = {0};
    struct error e = ERROR_INIT;
    char host[256] = "";
    uint16_t port = 0;
    if (reach(&r, tls, address, &e))
        r.why = e;
    if (!r.why.code) {
        doctor_say(d, DOCTOR_OK, "reach", "%s answers%s%s", address, tls ? " and is collector " : "",
                   tls ? r.peer.name : "");
        return;
    }
    if (net_split(address, host, &port, NULL))
        return;
    doctor_say(d, DOCTOR_FAILURE, "reach", "%s%s", r.opened ? "connected, but then: " : "", r.why.text);
    if (!r.opened)
        doctor_mend(d, "nc -vz %s %u    (a firewall between? systemctl status fleetdump-collector there)", host, port);
    else
        doctor_mend(d, "journalctl -u fleetdump-collector -n 20    (on the collector: it says why)");
}

/* ---------------------------------------------------------------- certificates */

static void check_dates(struct doctor *d, const struct identity *of, const char *certificate, const char *renew)
{
    uint64_t now = clock_wall_ns();
    char left[40], until[64];
    units_format_time(of->not_after_ns, until, sizeof until);
    if (now < of->not_before_ns) {
        doctor_say(d, DOCTOR_FAILURE, "certificate", "%s: it begins in %s: is this clock behind?", certificate,
                   units_format(UNIT_NS, of->not_before_ns - now, left, sizeof left));
        doctor_mend(d, "timedatectl set-ntp true");
    } else if (now >= of->not_after_ns) {
        doctor_say(d, DOCTOR_FAILURE, "certificate", "%s: it ended at %s", certificate, until);
        doctor_mend(d, "%s", renew);
    } else {
        bool late = now > ca_renewal_ns(of) + (of->not_after_ns - ca_renewal_ns(of)) / 2;
        doctor_say(d, late ? DOCTOR_WARNING : DOCTOR_OK, "certificate", "%s %s, for another %s, until %s%s",
                   identity_kind_name(of->kind), of->name,
                   units_format(UNIT_NS, of->not_after_ns - now, left, sizeof left), until,
                   late ? ": it should have renewed itself" : "");
        if (late)
            doctor_mend(d, "%s", renew);
    }
}

/* Who trusts it will take no certificate of it any more. */
static void check_authority(struct doctor *d, const char *path)
{
    struct ca_dates life;
    char left[40], until[64], *pem = NULL;
    size_t length = 0;
    uint64_t now = clock_wall_ns();
    int r = fs_read_file(AT_FDCWD, path, CA_PEM_MAX, &pem, &length, NULL);
    if (r == 0)
        r = ca_read_dates((struct ca_text){pem, length}, &life, NULL);
    free(pem);
    if (r)
        return; /* which the certificate's own check says */
    uint64_t renewal = ca_renewal_between_ns(&life);
    bool late = now > renewal + (life.to_ns - renewal) / 2;
    units_format_time(life.to_ns, until, sizeof until);
    if (now >= life.to_ns)
        doctor_say(d, DOCTOR_FAILURE, "authority", "%s: it ended at %s, and so did all certificates of it", path,
                   until);
    else
        doctor_say(d, late ? DOCTOR_WARNING : DOCTOR_OK, "authority", "%s, for another %s, until %s%s", path,
                   units_format(UNIT_NS, life.to_ns - now, left, sizeof left), until,
                   late ? ": then no certificate of it is good any more" : "");
    if (late || now >= life.to_ns)
        doctor_mend(d, "put the authority's newer certificate there    (fleetdump's own renews itself: where it has "
                       "not come, the collector's log says why, "
                       "or join again)");
}

static void check_lists(struct doctor *d, const char *path, uint64_t until_ns)
{
    char until[64];
    if (until_ns == 0)
        return;
    bool is_over = clock_wall_ns() >= until_ns;
    doctor_say(d, is_over ? DOCTOR_FAILURE : DOCTOR_OK, "revocations", "%s: %s%s", path,
               is_over                  ? "nobody is let in, as it is over since "
               : until_ns == UINT64_MAX ? "it does not say until when it is good"
                                        : "good until ",
               until_ns == UINT64_MAX ? "" : units_format_time(until_ns, until, sizeof until));
    if (is_over)
        doctor_mend(d, "put the authority's newest revocation list there    (the collector reads it at systemctl "
                       "reload fleetdump-collector)");
}

/* A key is only taken from its user or root: for a moment root is that user. */
static int load_as_owner(const struct tls_files *files, int kind, struct tls **out, struct error *e)
{
    struct stat st;
    bool change = geteuid() == 0 && stat(files->key, &st) == 0 && st.st_uid != 0 && seteuid(st.st_uid) == 0;
    int code = tls_load(files, kind, out, e);
    if (change && seteuid(0) != 0)
        abort();
    return code;
}

void doctor_private(struct doctor *d, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !(st.st_mode & 077))
        return;
    doctor_say(d, DOCTOR_FAILURE, "certificate", "%s: others than its owner may read or write it (mode %04o)", path,
               (unsigned)st.st_mode & 07777);
    doctor_mend(d, "chmod go= %s", path);
}

void doctor_identity(struct doctor *d, const struct tls_files *files, int kind, const char *join, struct tls **out)
{
    struct error e = ERROR_INIT;
    *out = NULL;
    doctor_private(d, files->key);
    if (load_as_owner(files, kind, out, &e) == 0) {
        check_dates(d, tls_identity(*out), files->cert, join);
        check_authority(d, files->ca);
        check_lists(d, files->crl, tls_crl_until_ns(*out));
    } else if (e.sys == EACCES && geteuid() != 0) {
        doctor_say(d, DOCTOR_WARNING, "certificate", "%s", e.text);
        doctor_mend(d, "the same as root: sudo !!");
    } else {
        doctor_say(d, DOCTOR_FAILURE, "certificate", "%s", e.text);
        doctor_mend(d, "%s", join);
    }
}

void doctor_identity_in(struct doctor *d, const char *folder, int kind, const char *join, struct tls **out)
{
    char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX], crl[PATH_MAX];
    snprintf(ca, sizeof ca, "%s/" TLS_CA_NAME, folder);
    snprintf(cert, sizeof cert, "%s/" TLS_CERT_NAME, folder);
    snprintf(key, sizeof key, "%s/" TLS_KEY_NAME, folder);
    snprintf(crl, sizeof crl, "%s/" TLS_CRL_NAME, folder);
    const struct tls_files files = {.ca = ca, .cert = cert, .key = key, .crl = crl, .crl_may_lack = true};
    doctor_private(d, folder);
    doctor_identity(d, &files, kind, join, out);
}
