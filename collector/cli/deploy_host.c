#include "collector/cli/deploy_host.h"
#include "collector/cli/client.h"
#include "collector/cli/deploy_script.h"
#include "collector/cli/deploy_ssh.h"
#include "collector/cli/deploy_tunnel.h"
#include "collector/cli/home.h"
#include "collector/cli/sign.h"
#include "common/base/fs.h"
#include "common/base/hash.h"
#include "common/base/units.h"
#include "common/net/identity.h"
#include "common/net/tls.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TOKEN_LIFE_NS ((json_int_t)15 * 60 * 1000000000) /* of one that is not used after all */
#define TRANSIENT     "/var/lib/fleetdump-transient"     /* the script's */
#define ARRIVE_MS     20000u                             /* until the collector knows the agent */
#define LOOK_MS       150u
#define WORDS_MAX     12
#define FACT_MAX      256

/* ---------------------------------------------------------------- what all hosts get */

static int hash_file_text(const void *data, size_t len, char hex[65], struct error *e)
{
    uint8_t digest[HASH_SHA256_SIZE];
    if (!hash_sha256(data, len, "", 0, digest))
        return error_set(e, ERROR_MEMORY, "no memory for a hash");
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

/* Beside this program, as it is built; where it is installed. */
static const char *find_agent(char path[PATH_MAX])
{
    static const char *const places[] = {"fleetdump-agent", "../sbin/fleetdump-agent"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    for (size_t i = 0; slash && i < sizeof places / sizeof places[0]; i++) {
        slash[1] = 0;
        if (snprintf(path, PATH_MAX, "%s%s", self, places[i]) < PATH_MAX && access(path, R_OK) == 0)
            return path;
    }
    return NULL;
}

static int read_payload(struct deploy *d, struct error *e)
{
    char found[PATH_MAX], *data;
    size_t len;
    const char *path = d->package ? d->package : d->agent ? d->agent : find_agent(found);
    if (!path)
        return error_set(
            e, ERROR_NOT_FOUND,
            "there is no fleetdump-agent beside this program to be copied: say --agent FILE or --package FILE");
    int r = fs_read_file(AT_FDCWD, path, DEPLOY_PAYLOAD_MAX, &data, &len, e);
    if (r)
        return r;
    d->payload = (struct buffer){.limit = DEPLOY_PAYLOAD_MAX + 1};
    buffer_append(&d->payload, data, len);
    r = d->payload.failed ? error_set(e, ERROR_MEMORY, "no memory for %s", path)
                          : hash_file_text(data, len, d->payload_sha256, e);
    free(data);
    return r;
}

/* The authority whose hosts need not join again. */
static int read_authority(struct deploy *d, struct error *e)
{
    char path[HOME_PATH_MAX], *text;
    size_t len;
    int r = home_path(TLS_CA_NAME, path, e);
    if (r == 0)
        r = home_read(path, false, TLS_FILE_MAX, &text, &len, e);
    if (r == ERROR_NOT_FOUND)
        return error_set(e, r, "you have no certificate yet: fleetdump login TOKEN, or --token TOKEN");
    if (r)
        return r;
    r = hash_file_text(text, len, d->ca_sha256, e);
    free(text);
    return r;
}

static int read_operator(struct deploy *d, struct error *e)
{
    struct signature_key key = {0};
    char text[SIGNATURE_KEY_TEXT];
    int r = sign_key_load(NULL, &key, e);
    if (r == ERROR_NOT_FOUND)
        r = sign_key_make(NULL, &key, e);
    char own[HEAD_NAME_MAX + 1];
    (void)sign_who(!d->cli->insecure_plaintext, own);
    const char *name = signature_name_is_good(own) ? own : "operator";
    if (r == 0)
        snprintf(d->operator_line, sizeof d->operator_line, "operator %s %s", name, signature_key_text(key.key, text));
    explicit_bzero(&key, sizeof key);
    return r;
}

int deploy_prepare(struct deploy *d, struct error *e)
{
    if (d->remove)
        return 0;
    int r = read_authority(d, e);
    if (r == 0)
        r = read_operator(d, e);
    return r ? r : read_payload(d, e);
}

void deploy_free(struct deploy *d)
{
    buffer_free(&d->payload);
    json_decref(d->labels);
}

/* ---------------------------------------------------------------- one host */

struct host {
    const struct deploy *d;
    struct ssh ssh;
    char name[HEAD_NAME_MAX + 1];
    struct buffer facts;
    struct tunnel tunnel;
    char collector[FACT_MAX]; /* as this host reaches it, if it is told; else "" */
    bool joined;              /* it needs no token */
};

static const char *fact(const struct host *h, const char *key, char value[FACT_MAX])
{
    ssh_fact(&h->facts, key, value, FACT_MAX);
    return value;
}

static int run(struct host *h, const char *action, const char *const *more, const struct buffer *input, struct error *e)
{
    const char *words[WORDS_MAX] = {action, h->d->transient ? "mode=transient" : "mode=permanent"};
    size_t n = 2;
    for (size_t i = 0; more && more[i] && n < WORDS_MAX - 1; i++)
        words[n++] = more[i];
    buffer_clear(&h->facts);
    return ssh_run(&h->ssh, words, input, &h->facts, e);
}

static int name_host(struct host *h, const char *host, struct error *e)
{
    const char *at = strrchr(host, '@');
    at = at ? at + 1 : host;
    int r = identity_check_name(at, e);
    if (r == 0)
        snprintf(h->name, sizeof h->name, "%s", at);
    return r;
}

static int probe(struct host *h, struct error *e)
{
    char value[FACT_MAX];
    struct utsname here;
    int r = run(h, "probe", NULL, NULL, e);
    if (r)
        return r;
    if (fact(h, "other", value)[0])
        return error_set(e, ERROR_CONFLICT,
                         "there is an agent already, a %s one: remove that first (fleetdump deploy --remove %s)", value,
                         h->ssh.host);
    if (!h->d->package && !h->d->agent && uname(&here) == 0 && strcmp(fact(h, "machine", value), here.machine) != 0)
        return error_set(e, ERROR_UNSUPPORTED,
                         "its machine is %s, this is %s: say --package FILE or --agent FILE for it", value,
                         here.machine);
    return 0;
}

/* Whether it belongs to this fleet under this name already. */
static bool is_member(const struct host *h)
{
    char ca[FACT_MAX], name[FACT_MAX];
    return strcmp(fact(h, "ca", ca), h->d->ca_sha256) == 0 && strcmp(fact(h, "name", name), h->name) == 0;
}

/* Whether it finds the collector where it is to be. */
static bool has_way(const struct host *h)
{
    char collector[FACT_MAX];
    return !h->collector[0] || strcmp(fact(h, "collector", collector), h->collector) == 0;
}

static int get_token(const struct host *h, struct buffer *to, struct error *e)
{
    json_t *wants = json_object(), *answer = NULL;
    json_object_set_new(wants, "name", json_string(h->name));
    json_object_set_new(wants, "ttl_ns", json_integer(TOKEN_LIFE_NS));
    if (json_array_size(h->d->labels))
        json_object_set(wants, "labels", h->d->labels);
    if (h->collector[0])
        json_object_set_new(wants, "collector", json_string(h->collector));
    int r = client_admin(h->d->cli, ADMIN_ENROLL, wants, &answer, e);
    const char *token = json_string_value(json_object_get(answer, "token"));
    if (r == 0 && !token)
        r = error_set(e, ERROR_INVALID, "the collector gave no token");
    if (r == 0)
        buffer_printf(to, "%s\n", token);
    json_decref(answer);
    return r;
}

/* A package is there already, or the same program: not sent again. */
static bool needs_payload(const struct host *h)
{
    char value[FACT_MAX];
    if (h->d->package)
        return true;
    return !fact(h, "package", value)[0] || h->d->transient ? strcmp(fact(h, "agent", value), h->d->payload_sha256) != 0
                                                            : false;
}

static int make_input(const struct host *h, bool payload, struct buffer *input, struct error *e)
{
    input->limit = DEPLOY_PAYLOAD_MAX + (1u << 20);
    int r = 0;
    if (h->joined)
        buffer_printf(input, "-\n");
    else
        r = get_token(h, input, e);
    buffer_printf(input, "%s\n%zu\n%zu\n%s", h->d->operator_line, strlen(deploy_unit), payload ? h->d->payload.len : 0,
                  deploy_unit);
    if (payload)
        buffer_append(input, h->d->payload.data, h->d->payload.len);
    return r == 0 && input->failed ? error_set(e, ERROR_MEMORY, "no memory for what %s is to get", h->name) : r;
}

static int install(struct host *h, struct error *e)
{
    char collector[FACT_MAX + 16] = "", forbid[32] = "", port[FACT_MAX];
    struct buffer input = {0};
    const char *more[5] = {NULL};
    size_t n = 0;
    if (h->collector[0]) {
        snprintf(collector, sizeof collector, "collector=%s", h->collector);
        more[n++] = collector;
    }
    if (h->d->via_ssh) { /* else each packet that is shipped would be captured as one of ssh's */
        snprintf(forbid, sizeof forbid, "forbid=%.8s", fact(h, "ssh_port", port));
        more[n++] = forbid;
    }
    if (h->d->allow)
        more[n++] = "allow=yes";
    if (h->d->package)
        more[n++] = "package=yes";
    int r = make_input(h, needs_payload(h), &input, e);
    if (r == 0)
        r = run(h, "install", more, &input, e);
    explicit_bzero(input.data, input.len);
    buffer_free(&input);
    return r;
}

/* ---------------------------------------------------------------- at the collector */

/* What the collector knows of a host. */
struct known {
    bool connected;
    char problem[FACT_MAX], labels[FACT_MAX];
};

static void copy(char text[FACT_MAX], const json_t *of, const char *key)
{
    const char *value = json_string_value(json_object_get(of, key));
    snprintf(text, FACT_MAX, "%s", value ? value : "");
}

static int ask_about(const struct host *h, struct known *k, struct error *e)
{
    const struct message_query q = {.kind = QUERY_AGENTS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    json_t *list = NULL, *a;
    size_t i;
    *k = (struct known){0};
    int r = client_document(h->d->cli, &q, &list, e);
    json_array_foreach(list, i, a)
    {
        const char *name = json_string_value(json_object_get(a, "agent"));
        if (!name || strcmp(name, h->name) != 0)
            continue;
        k->connected = json_is_true(json_object_get(a, "connected"));
        copy(k->problem, a, "problem");
        copy(k->labels, a, "labels");
    }
    json_decref(list);
    return r;
}

/* That was an administrator's wish: who deploys has to take it back in so many words. */
static int check_welcome(const struct host *h, const struct known *k, struct error *e)
{
    if (strncmp(k->problem, CAPTURE_REVOKED, strlen(CAPTURE_REVOKED)) != 0)
        return 0;
    return error_set(e, ERROR_REFUSED,
                     "its certificate %s, and the collector lets it in no more; to have it join anew: fleetdump deploy "
                     "--remove %s, then deploy it again",
                     k->problem, h->ssh.host);
}

static bool has_label(const char *labels, const char *label)
{
    size_t length = strlen(label);
    for (const char *p = labels; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == length && memcmp(p, label, length) == 0)
            return true;
    return false;
}

static bool has_labels(const struct host *h, const struct known *k)
{
    size_t i;
    json_t *label;
    json_array_foreach(h->d->labels, i, label) if (!has_label(k->labels, json_string_value(label))) return false;
    return true;
}

static int await(const struct host *h, struct error *e)
{
    struct known k = {0};
    int r = 0;
    for (unsigned ms = 0; r == 0 && !k.connected && ms < ARRIVE_MS; ms += LOOK_MS) {
        if (ms)
            usleep(LOOK_MS * 1000);
        r = ask_about(h, &k, e);
    }
    if (r || k.connected)
        return r;
    return error_set(e, ERROR_UNREACHABLE,
                     "it runs, but does not reach the collector%s%s within %u s: `%s` there says "
                     "why; is a port closed, --via-ssh needs none",
                     h->collector[0] ? " at " : "", h->collector, ARRIVE_MS / 1000,
                     h->d->transient ? TRANSIENT "/fleetdump-agent doctor --config " TRANSIENT "/agent.conf"
                                     : "fleetdump-agent doctor");
}

/* ---------------------------------------------------------------- all of it */

static int open_tunnel(struct host *h, struct error *e)
{
    int r = tunnel_keep(&h->ssh, h->name, h->d->cli->collector, &h->tunnel, e);
    if (r == 0)
        snprintf(h->collector, sizeof h->collector, "127.0.0.1:%u", h->tunnel.port);
    return r;
}

/* `before`, NULL: its labels are what they were. */
static void say(const struct host *h, const struct known *before, char said[DEPLOY_SAID_MAX])
{
    char value[FACT_MAX], anew[FACT_MAX + 40] = "";
    bool allowed = strcmp(fact(h, "allowed", value), "yes") == 0;
    if (before)
        snprintf(anew, sizeof anew, " anew for its labels (before: %s)", before->labels[0] ? before->labels : "none");
    snprintf(said, DEPLOY_SAID_MAX, "%s%s, connected%s; %s", h->joined ? "had joined" : "joined", anew,
             h->d->via_ssh ? " through ssh" : "",
             allowed ? "may capture" : "captures nothing until its policy.conf says allow = yes");
}

static int put(struct host *h, char said[DEPLOY_SAID_MAX], struct error *e)
{
    struct known before = {0};
    if (h->d->address)
        snprintf(h->collector, sizeof h->collector, "%s", h->d->address);
    int r = probe(h, e);
    bool member = r == 0 && is_member(h);
    if (member)
        r = ask_about(h, &before, e);
    if (r == 0)
        r = check_welcome(h, &before, e);
    if (r == 0 && h->d->via_ssh)
        r = open_tunnel(h, e);
    if (r)
        return r;
    bool relabelled = member && /* labels stand with a certificate */
                      !has_labels(h, &before);
    h->joined = member && !relabelled && has_way(h);
    r = install(h, e);
    if (r == 0)
        r = await(h, e);
    if (r == 0)
        say(h, relabelled ? &before : NULL, said);
    return r;
}

/* `how` gets what became of its certificate. */
static int end_certificate(const struct host *h, char how[FACT_MAX], struct error *e)
{
    json_t *answer = NULL;
    struct error why = ERROR_INIT;
    char when[64];
    uint64_t since_ns = 0;
    int r =
        client_admin(h->d->cli, ADMIN_REVOKE, json_pack("{s:s, s:s}", "name", h->name, "kind", "agent"), &answer, &why);
    const char *since = json_string_value(json_object_get(answer, "since"));
    if (r == ERROR_NOT_FOUND)
        snprintf(how, FACT_MAX, "the collector knows no certificate of it");
    else if (r)
        return error_set(e, r, "it is gone from there, but its certificate is still good: %s", why.text);
    else if (since && units_parse_time(since, 0, &since_ns, NULL) == 0)
        snprintf(how, FACT_MAX, "its certificate was revoked %s", units_format_time(since_ns, when, sizeof when));
    else
        snprintf(how, FACT_MAX, "its certificate revoked");
    json_decref(answer);
    return 0;
}

static int take_away(struct host *h, char said[DEPLOY_SAID_MAX], struct error *e)
{
    char removed[FACT_MAX], other[FACT_MAX], how[FACT_MAX];
    int r = run(h, "remove", NULL, NULL, e);
    bool tunnel = tunnel_end(h->name);
    if (r)
        return r;
    (void)fact(h, "removed", removed);
    if (fact(h, "other", other)[0]) /* whose certificate it is */
        return error_set(e, ERROR_CONFLICT,
                         "%s, but a %.20s one is, and stays with its certificate: to remove that, fleetdump deploy "
                         "--remove %s",
                         removed[0] ? "the transient agent is not there any more" : "no transient agent is there",
                         other, h->ssh.host);
    r = end_certificate(h, how, e);
    if (r == 0)
        snprintf(said, DEPLOY_SAID_MAX, "%s, %s%s", removed[0] ? "removed" : "there was nothing to remove", how,
                 tunnel ? ", its ssh ended" : "");
    return r;
}

int deploy_host(const struct deploy *d, const char *host, char said[DEPLOY_SAID_MAX], struct error *e)
{
    struct host h = {
        .d = d, .ssh = {.command = d->ssh, .host = host, .batch = d->batch}, .facts = {.limit = 4 * SSH_OUTPUT_MAX}};
    int r = name_host(&h, host, e);
    if (r == 0)
        r = d->remove ? take_away(&h, said, e) : put(&h, said, e);
    buffer_free(&h.facts);
    return r;
}
