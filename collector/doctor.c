#include "collector/doctor.h"
#include "common/base/doctor.h"
#include "common/base/fs.h"
#include "common/net/doctor_net.h"
#include "common/net/stream.h"
#include "common/net/tls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define INIT           "fleetdump-collector init"
#define CHUNK_BYTES    (UINT64_C(8) << 20) /* as agents make them: what has no room for one takes nothing in */
#define FILES_FOR_DATA 200                 /* open files beside those of sessions */

struct visit {
    const char *config; /* path */
    const struct collector_config *c;
    struct doctor *d;
};

/* ---------------------------------------------------------------- the data folder */

static const char *user_name(uid_t uid, char *number, size_t size)
{
    const struct passwd *p = getpwuid(uid);
    if (p)
        return p->pw_name;
    snprintf(number, size, "%u", (unsigned)uid);
    return number;
}

static void check_data(struct visit *v)
{
    struct stat st;
    char number[16];
    if (stat(v->c->data, &st) != 0) {
        doctor_say(v->d, DOCTOR_FAILURE, "data", "%s: %s", v->c->data, strerror(errno));
        doctor_mend(v->d, errno == EACCES ? "the same as root, with sudo" : INIT);
        return;
    }
    const char *owner = user_name(st.st_uid, number, sizeof number);
    if (st.st_mode & 022) {
        doctor_say(v->d, DOCTOR_FAILURE, "data", "%s: others than %s may write there (mode %04o)", v->c->data, owner,
                   (unsigned)st.st_mode & 07777);
        doctor_mend(v->d, "chmod go-w %s", v->c->data);
    } else
        doctor_say(v->d, DOCTOR_OK, "data", "%s belongs to %s", v->c->data, owner);
    doctor_disk(v->d, v->c->data, v->c->floor_bytes, CHUNK_BYTES, v->config);
}

/* Four fifths of its size, as a configuration says it. */
static const char *most_of_disk(const char *path, char *text, size_t size)
{
    struct statvfs st;
    uint64_t most = statvfs(path, &st) == 0 ? (uint64_t)st.f_blocks * st.f_frsize / 5 * 4 : 0;
    unsigned shift = most >> 30 >= 10 ? 30 : most >> 20 >= 10 ? 20 : 10;
    if (most == 0)
        return "200G";
    snprintf(text, size, "%llu%c", (unsigned long long)(most >> shift), shift == 30 ? 'G' : shift == 20 ? 'M' : 'K');
    return text;
}

static void check_retention(struct visit *v)
{
    char age[40], bytes[40];
    units_format(UNIT_NS, v->c->retain_age_ns, age, sizeof age);
    units_format(UNIT_BYTES, v->c->retain_bytes, bytes, sizeof bytes);
    if (v->c->retain_bytes || v->c->retain_packet_bytes)
        doctor_say(v->d, DOCTOR_OK, "retention", "%s of packets, %s in all, %s at the most",
                   v->c->retain_packet_bytes ? "a bound" : "no bound", v->c->retain_bytes ? bytes : "no bound",
                   v->c->retain_age_ns ? age : "for ever");
    else {
        doctor_say(v->d, DOCTOR_WARNING, "retention",
                   "%s%s, whatever its size: when the disk is full nothing more is taken in",
                   v->c->retain_age_ns ? "everything is kept for " : "everything is kept for ever",
                   v->c->retain_age_ns ? age : "");
        char most[40];
        doctor_mend(v->d, "say in %s: retain_bytes = %s    (the oldest goes first)", v->config,
                    most_of_disk(v->c->data, most, sizeof most));
    }
}

static void check_audit(struct visit *v)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s/audit", v->c->data);
    doctor_audit(v->d, folder, "systemctl restart fleetdump-collector");
}

/* ---------------------------------------------------------------- this host */

static void check_clock(struct visit *v)
{
    doctor_clock(v->d);
}

static void check_version(struct visit *v)
{
    doctor_version(v->d);
}

static void check_files(struct visit *v)
{
    fs_allow_many_files();
    uint64_t may = fs_files_max(), wants = v->c->max_sessions + FILES_FOR_DATA;
    if (may >= wants) {
        doctor_say(v->d, DOCTOR_OK, "files", "%llu may be open at once, for %llu sessions", (unsigned long long)may,
                   (unsigned long long)v->c->max_sessions);
        return;
    }
    doctor_say(v->d, DOCTOR_WARNING, "files", "%llu may be open at once, max_sessions = %llu wants %llu",
               (unsigned long long)may, (unsigned long long)v->c->max_sessions, (unsigned long long)wants);
    doctor_mend(v->d, "ulimit -Hn %llu    (in the unit: LimitNOFILE=%llu)", (unsigned long long)wants,
                (unsigned long long)wants);
}

/* ---------------------------------------------------------------- connections */

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

static void check_listen(struct visit *v)
{
    struct error e = ERROR_INIT;
    char host[256];
    uint16_t port;
    if (net_split(v->c->listen, host, &port, &e)) {
        doctor_say(v->d, DOCTOR_FAILURE, "listen", "%s", e.text);
        doctor_mend(v->d, "say in %s: listen = 0.0.0.0:%u", v->config, NET_PORT_DEFAULT);
    } else if (is_loopback(host)) {
        doctor_say(v->d, DOCTOR_WARNING, "listen", "%s: agents and clients of other hosts cannot connect",
                   v->c->listen);
        doctor_mend(v->d, "say in %s: listen = 0.0.0.0:%u", v->config, port);
    } else
        doctor_say(v->d, DOCTOR_OK, "listen", "%s", v->c->listen);
}

/* Where it is reached from here: any address of this host means the loopback. */
static const char *own_address(const char *listen, char *to, size_t size)
{
    char host[256];
    uint16_t port;
    if (net_split(listen, host, &port, NULL))
        return listen;
    bool any4 = strcmp(host, "0.0.0.0") == 0, any6 = strcmp(host, "::") == 0;
    if (!any4 && !any6)
        return listen;
    snprintf(to, size, any4 ? "127.0.0.1:%u" : "[::1]:%u", port);
    return to;
}

static void check_connections(struct visit *v)
{
    const struct tls_files files = {.ca = v->c->tls_ca,
                                    .cert = v->c->tls_cert,
                                    .key = v->c->tls_key,
                                    .crl = v->c->tls_crl && v->c->tls_crl[0] ? v->c->tls_crl : NULL};
    char lock[PATH_MAX], address[300];
    struct tls *tls = NULL;
    char *ca_key = collector_ca_key(v->c);
    if (ca_key && !v->c->insecure_plaintext)
        doctor_private(v->d, ca_key); /* whoever reads it can be anybody */
    free(ca_key);
    if (v->c->insecure_plaintext) {
        doctor_say(v->d, DOCTOR_WARNING, "certificate",
                   "insecure_plaintext = yes: who reaches the collector can do everything");
        doctor_mend(v->d, INIT "    (and without that line in %s)", v->config);
    } else
        doctor_identity(v->d, &files, IDENTITY_COLLECTOR, INIT, &tls);
    snprintf(lock, sizeof lock, "%s/lock", v->c->data);
    if (!fs_lock_held(AT_FDCWD, lock)) {
        doctor_say(v->d, DOCTOR_FAILURE, "running", "the collector does not run");
        doctor_mend(v->d, "systemctl enable --now fleetdump-collector    (journalctl -u fleetdump-collector -n 20 says "
                          "why it ended)");
    } else
        doctor_reach(v->d, own_address(v->c->listen, address, sizeof address),
                     NULL); /* ours is no client's certificate */
    tls_unref(tls);
}

/* ---------------------------------------------------------------- all of it */

static void (*const checks[])(struct visit *v) = {check_version, check_clock, check_data,   check_retention,
                                                  check_audit,   check_files, check_listen, check_connections};

int collector_doctor(const struct collector_options *o)
{
    struct error e = ERROR_INIT;
    struct collector_config c;
    struct visit v = {.config = o->config_path ? o->config_path : COLLECTOR_CONFIG_DEFAULT, .c = &c};
    if (doctor_new(&v.d, &e)) {
        fprintf(stderr, "fleetdump-collector: %s\n", e.text);
        return EXIT_FAILED;
    }
    if (collector_config_load(o, &c, &e)) {
        doctor_say(v.d, DOCTOR_FAILURE, "configuration", "%s", e.text);
        doctor_mend(v.d, "edit %s", v.config);
        return doctor_end(v.d, o->json, stdout);
    }
    doctor_say(v.d, DOCTOR_OK, "configuration", "%s%s: collector %s", v.config,
               access(v.config, F_OK) == 0 ? "" : " is not there, so defaults hold", c.name);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        checks[i](&v);
    config_free(collector_keys, &c);
    return doctor_end(v.d, o->json, stdout);
}
