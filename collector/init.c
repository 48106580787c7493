#include "collector/init.h"

#include "collector/init_owner.h"
#include "collector/server/rights.h"
#include "common/base/config_edit.h"
#include "common/base/fs.h"
#include "common/net/ca_files.h"
#include "common/net/reach.h"
#include "common/net/stream.h"
#include "common/net/tls.h"
#include "common/net/token.h"
#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOKEN_LIFE_NS (UINT64_C(24) * 3600 * NS_PER_S)
#define LISTEN_ALL    "0.0.0.0:4741"
#define UNIT          "fleetdump-collector.service"
#define UNIT_FILE     "/lib/systemd/system/" UNIT
#define CONF_HEAD     "# fleetdump-collector: collector.conf(5). Made by fleetdump-collector init.\n"

extern char **environ;

struct init {
    const struct collector_options *o;
    const struct collector_config *c;
    const char *listen; /* as it will be */
    char folder[4096];  /* DATA/tls */
    char admin[HEAD_NAME_MAX + 1];
    struct owner owner;
};

/* ------------------------------------------------------------------ what is there already */

static bool has(const struct init *i, const char *name)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", i->folder, name);
    return access(path, F_OK) == 0 || errno == EACCES;
}

static bool is_own_authority(const struct init *i)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/" CA_ROOT_NAME, i->folder);
    return strcmp(i->c->tls_ca, path) == 0;
}

static int name_admin(struct init *i, struct error *e)
{
    const char *name = i->o->admin, *sudo = getenv("SUDO_USER");
    const struct passwd *p = getpwuid(getuid());
    if (!name)
        name = sudo && sudo[0] ? sudo : p ? p->pw_name : "admin";
    snprintf(i->admin, sizeof i->admin, "%s", name);
    return identity_check_name(name, e);
}

static int begin(struct init *i, const struct collector_options *o, const struct collector_config *c, struct error *e)
{
    *i = (struct init){
        .o = o, .c = c, .listen = strcmp(c->listen, COLLECTOR_LISTEN_DEFAULT) == 0 ? LISTEN_ALL : c->listen};
    if (snprintf(i->folder, sizeof i->folder, "%s/tls", c->data) >= (int)sizeof i->folder - 64)
        return error_set(e, ERROR_USAGE, "data = %.80s...: too long", c->data);
    if (c->insecure_plaintext)
        return error_set(e, ERROR_USAGE,
                         "the configuration says insecure_plaintext = yes: remove that first, nobody joins a "
                         "collector by a certificate that uses none");
    int r = name_admin(i, e);
    return r ? r : owner_find(c->data, &i->owner, e);
}

/* ------------------------------------------------------------------ the token */

static int make_token(const struct init *i, char text[TOKEN_TEXT_MAX], struct store_token *row, struct error *e)
{
    struct token t = {.kind = IDENTITY_USER};
    struct buffer ca = {0};
    int r = ca_load(i->folder, CA_ROOT_NAME, &ca, e);
    if (r == 0)
        r = ca_fingerprint(ca_text_of(&ca), t.ca_sha256, e);
    if (r == 0)
        r = net_reach(i->c->address, i->listen, NET_PORT_DEFAULT, t.collector, sizeof t.collector, e);
    if (r == 0)
        r = token_draw(&t, e);
    memcpy(t.name, i->admin, sizeof t.name);
    if (r == 0)
        r = token_format(&t, text, e);
    uint64_t now_ns = clock_wall_ns();
    *row = (struct store_token){.kind = IDENTITY_USER, .created_ns = now_ns, .expires_ns = now_ns + TOKEN_LIFE_NS};
    token_hash(t.secret, row->hash);
    memcpy(row->name, i->admin, sizeof i->admin);
    snprintf(row->role, sizeof row->role, "%s", rights_role_name(RIGHTS_ADMIN));
    snprintf(row->created_by, sizeof row->created_by, "init");
    explicit_bzero(&t, sizeof t);
    buffer_free(&ca);
    return r;
}

static int say_token(const char *text, struct error *e)
{
    printf("fleetdump login %s\n", text);
    return fflush(stdout) ? error_set(e, ERROR_SYSTEM, "cannot write to standard output") : 0;
}

/* ------------------------------------------------------------------ a new authority */

static int make_own(const struct init *i, struct ca_text ca_key, struct ca_text root, struct error *e)
{
    const struct ca_grant g = {.kind = IDENTITY_COLLECTOR,
                               .name = i->c->name,
                               .now_ns = clock_wall_ns(),
                               .life_ns = i->c->collector_certificate_life_ns};
    struct buffer key = {0}, request = {0}, certificate = {0};
    struct identity made;
    struct ca *ca = NULL;
    int r = ca_open(root, ca_key, &ca, e);
    if (r == 0)
        r = ca_new_key(&key, e);
    if (r == 0)
        r = ca_new_request(ca_text_of(&key), IDENTITY_COLLECTOR, i->c->name, &request, e);
    if (r == 0)
        r = ca_sign(ca, ca_text_of(&request), &g, &certificate, &made, e);
    const struct ca_files files = {.key = &key, .certificate = &certificate};
    if (r == 0)
        r = ca_save_all(i->folder, &files, e);
    ca_close(ca);
    ca_wipe(&key);
    buffer_free(&request);
    buffer_free(&certificate);
    return r;
}

static int make_authority(const struct init *i, struct error *e)
{
    struct buffer key = {0}, root = {0};
    char path[4200];
    const struct ca_files files = {.ca = &root};
    snprintf(path, sizeof path, "%s/" CA_ROOT_KEY, i->folder);
    int r = ca_make_folder(i->folder, (uid_t)-1, (gid_t)-1, e);
    if (r == 0)
        r = ca_new_key(&key, e);
    if (r == 0)
        r = ca_new_root(ca_text_of(&key), i->c->name, clock_wall_ns(), i->c->authority_life_ns, &root, e);
    if (r == 0)
        r = ca_save(path, &key, e);
    if (r == 0)
        r = ca_save_all(i->folder, &files, e);
    if (r == 0)
        r = make_own(i, ca_text_of(&key), ca_text_of(&root), e);
    ca_wipe(&key);
    buffer_free(&root);
    return r;
}

/* Makes the store, if there is none; no collector may be running on it. */
static int open_store(const struct init *i, struct store **out, struct error *e)
{
    const struct store_config config = {.path = i->c->data, .partition_ns = i->c->partition_ns};
    return store_open(&config, out, e);
}

/* As the owner of the data folder. The store is first: it says whether a collector is running. */
static int make_all(const struct init *i, char text[TOKEN_TEXT_MAX], struct error *e)
{
    struct store_token row;
    struct store *s = NULL;
    int r = open_store(i, &s, e);
    if (r)
        return r;
    r = make_authority(i, e);
    if (r == 0)
        r = make_token(i, text, &row, e);
    if (r == 0)
        r = store_token_put(s, &row, e);
    store_close(s);
    return r;
}

/* ------------------------------------------------------------------ configuration, service */

static int write_config(const struct init *i, struct error *e)
{
    const char *path = i->o->config_path ? i->o->config_path : COLLECTOR_CONFIG_DEFAULT;
    struct config_setting set[5];
    size_t count = 0;
    set[count++] = (struct config_setting){"listen", i->listen};
    set[count++] = (struct config_setting){"baseline", "yes"};
    if (i->o->data)
        set[count++] = (struct config_setting){"data", i->c->data};
    if (i->o->name)
        set[count++] = (struct config_setting){"name", i->c->name};
    if (i->o->address)
        set[count++] = (struct config_setting){"address", i->o->address};
    return config_edit_file(path, CONF_HEAD, set, count, e);
}

static bool run(const char *const *words)
{
    pid_t pid;
    int status = 1;
    return posix_spawnp(&pid, words[0], NULL, NULL, (char *const *)(uintptr_t)words, environ) == 0 &&
           waitpid(pid, &status, 0) == pid && status == 0;
}

/* Where the package's unit is, and means this configuration. */
static void start_service(const struct init *i)
{
    static const char *const enable[] = {"systemctl", "--quiet", "enable", UNIT, NULL};
    static const char *const restart[] = {"systemctl", "restart", UNIT, NULL};
    bool there = geteuid() == 0 && !i->o->no_start && !i->o->config_path && access("/run/systemd/system", F_OK) == 0 &&
                 access(UNIT_FILE, F_OK) == 0;
    if (!there)
        fprintf(stderr, "start it: fleetdump-collector%s%s\n", i->o->config_path ? " --config " : "",
                i->o->config_path ? i->o->config_path : "");
    else if (run(enable) && run(restart))
        fprintf(stderr, "started: " UNIT "\n");
    else
        fprintf(stderr, UNIT " does not start: `journalctl -u " UNIT "` says why\n");
}

/* Nobody said where, and there is no route whose address could be taken. */
static bool is_own_name(const struct init *i, const char *address)
{
    char host[256];
    uint16_t port;
    uint8_t bytes[16];
    return !(i->c->address && i->c->address[0]) && net_split(address, host, &port, NULL) == 0 &&
           inet_pton(AF_INET, host, bytes) != 1 && inet_pton(AF_INET6, host, bytes) != 1;
}

static void tell_address(const struct init *i)
{
    struct error ignored;
    char address[TOKEN_ADDRESS_MAX + 1] = "";
    if (net_reach(i->c->address, i->listen, NET_PORT_DEFAULT, address, sizeof address, &ignored))
        return;
    fprintf(stderr, "agents and users will reach it at %s (else: address = ... in the configuration)\n", address);
    if (is_own_name(i, address))
        fprintf(
            stderr,
            "warning: that is only a name, as this machine has no default route that tells its address; where it is "
            "not resolved, nobody can log in or join: say address = ADDRESS:PORT in %s, then fleetdump-collector init "
            "--admin-token (or begin with init --address ADDRESS:PORT)\n",
            i->o->config_path ? i->o->config_path : COLLECTOR_CONFIG_DEFAULT);
}

static void tell(const struct init *i)
{
    struct buffer ca = {0};
    uint8_t sha256[32];
    char text[CA_HASH_TEXT];
    struct error ignored;
    if (ca_load(i->folder, CA_ROOT_NAME, &ca, &ignored) == 0 && ca_fingerprint(ca_text_of(&ca), sha256, &ignored) == 0)
        fprintf(stderr, "authority %s in %s, fingerprint %s\n", i->c->name, i->folder, ca_format_hash(sha256, text));
    tell_address(i);
    buffer_free(&ca);
}

/* The configuration, and the data folder, as whose owner it goes on. */
static int prepare(struct init *i, struct error *e)
{
    int r = write_config(i, e);
    if (r == 0)
        r = owner_make_folder(i->c->data, &i->owner, e);
    if (r == 0)
        r = owner_become(&i->owner, e);
    return r;
}

/* ------------------------------------------------------------------ the three ways */

static int init_new(struct init *i, struct error *e)
{
    char text[TOKEN_TEXT_MAX];
    if (has(i, CA_CERT_NAME))
        return error_set(
            e, ERROR_EXISTS,
            "this collector has an authority already, in %s: nothing was changed. Another administrator's token: "
            "fleetdump-collector init --admin-token",
            i->folder);
    int r = prepare(i, e);
    if (r)
        return r;
    r = make_all(i, text, e);
    if (r == 0)
        tell(i);
    owner_return(&i->owner);
    if (r == 0)
        r = say_token(text, e);
    if (r == 0)
        start_service(i);
    explicit_bzero(text, sizeof text);
    return r;
}

/* Root's way back in, also while the collector runs. */
static int init_token(struct init *i, struct error *e)
{
    char text[TOKEN_TEXT_MAX];
    struct store_token row;
    int r = owner_become(&i->owner, e);
    if (r)
        return r;
    if (!has(i, CA_CERT_NAME))
        r = error_set(e, ERROR_NOT_FOUND,
                      "there is no authority in %s yet: run fleetdump-collector init without --admin-token", i->folder);
    if (r == 0)
        r = make_token(i, text, &row, e);
    if (r == 0)
        r = store_token_put_beside(i->c->data, &row, e);
    owner_return(&i->owner);
    if (r == 0)
        r = say_token(text, e);
    explicit_bzero(text, sizeof text);
    return r;
}

static int put_first_admin(const struct init *i, struct error *e)
{
    static const struct rights_bounds none;
    struct rights_row row;
    int r = rights_row_of(i->admin, RIGHTS_ADMIN, &none, &row, e);
    const struct store_user user = {
        .name = i->admin, .role = row.role, .bounds = row.bounds, .created_ns = clock_wall_ns(), .created_by = "init"};
    struct store *s = NULL;
    if (r == 0)
        r = open_store(i, &s, e);
    if (r == 0) {
        r = store_user_put(s, &user, e);
        store_close(s);
    }
    rights_row_free(&row);
    return r;
}

static int init_organisation(struct init *i, struct error *e)
{
    const struct tls_files files = {.ca = i->c->tls_ca, .cert = i->c->tls_cert, .key = i->c->tls_key};
    struct tls *tls = NULL;
    int r = prepare(i, e);
    if (r)
        return r;
    r = tls_load(&files, IDENTITY_COLLECTOR, &tls, e);
    if (r == 0)
        r = put_first_admin(i, e);
    owner_return(&i->owner);
    tls_unref(tls);
    if (r)
        return r;
    printf("%s is an administrator, with a certificate for fleetdump://user/%s of the authority in %s\n", i->admin,
           i->admin, i->c->tls_ca);
    start_service(i);
    return 0;
}

int collector_init(const struct collector_options *o, const struct collector_config *c, struct error *e)
{
    struct init i;
    int r = begin(&i, o, c, e);
    if (r)
        return r;
    if (!is_own_authority(&i))
        return init_organisation(&i, e);
    return o->admin_token ? init_token(&i, e) : init_new(&i, e);
}
