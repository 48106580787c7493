/* doctor: a table of checks, each with its findings. */
#include "agent/doctor.h"
#include "agent/capture/ring.h"
#include "agent/config.h"
#include "agent/journal.h"
#include "agent/order.h"
#include "agent/policy.h"
#include "agent/privileges.h"
#include "agent/ship/refusal.h"
#include "agent/ship/spool.h"
#include "agent/ship/spool_dir.h"
#include "common/base/doctor.h"
#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/manual.h"
#include "common/net/doctor_net.h"
#include "common/net/signature.h"
#include "common/net/tls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOIN "fleetdump-agent join TOKEN    (TOKEN: fleetdump admin enroll --name %s)"

struct visit {
    const char *config; /* path */
    const struct agent_config *c;
    struct doctor *d;
};

#define UNIT             "fleetdump-agent"
#define TRANSIENT_FOLDER "/var/lib/fleetdump-transient/" /* of fleetdump deploy --transient, whose unit has its name */
#define SYSTEMD_UNITS    "/run/systemd/system"
#define SERVICE_MAX      (2 * PATH_MAX)

/* How this agent is started, or told anything: by systemd's unit, or as the plain process that it is. */
static const char *service(const struct visit *v, const char *verb, char text[SERVICE_MAX])
{
    bool transient = strncmp(v->config, TRANSIENT_FOLDER, strlen(TRANSIENT_FOLDER)) == 0;
    const char *unit = transient ? UNIT "-transient" : UNIT;
    if (access(transient ? SYSTEMD_UNITS "/" UNIT "-transient.service" : SYSTEMD_UNITS, F_OK) == 0)
        snprintf(text, SERVICE_MAX, "systemctl %s %s", transient && strncmp(verb, "enable", 6) == 0 ? "start" : verb,
                 unit);
    else
        snprintf(text, SERVICE_MAX, "%s --config %s", program_invocation_name, v->config);
    return text;
}

/* ---------------------------------------------------------------- this host */

static void check_privileges(struct visit *v)
{
    struct error e = ERROR_INIT;
    if (privileges_check_capture(&e) == 0)
        doctor_say(v->d, DOCTOR_OK, "privileges", "may open interfaces (CAP_NET_RAW)");
    else if (geteuid() != 0) {
        doctor_say(v->d, DOCTOR_WARNING, "privileges", "doctor is not run as root: some of the rest cannot be seen");
        doctor_mend(v->d, "sudo fleetdump-agent doctor");
    } else {
        doctor_say(v->d, DOCTOR_FAILURE, "privileges", "%s", e.text);
        doctor_mend(v->d, "systemctl edit fleetdump-agent    ([Service] CapabilityBoundingSet=CAP_NET_RAW ...)");
    }
}

static void check_user(struct visit *v, const char *key, const char *user)
{
    if (getpwnam(user) || (user[0] && strspn(user, "0123456789") == strlen(user))) {
        doctor_say(v->d, DOCTOR_OK, "users", "%s = %s", key, user);
        return;
    }
    doctor_say(v->d, DOCTOR_WARNING, "users", "%s = %s: there is no such user: that process stays root's", key, user);
    doctor_mend(v->d, "adduser --system --group --no-create-home %s", user);
}

static void check_users(struct visit *v)
{
    check_user(v, "ship_user", v->c->ship_user);
    check_user(v, "capture_user", v->c->capture_user);
}

static void check_clock(struct visit *v)
{
    doctor_clock(v->d);
}

static void check_version(struct visit *v)
{
    doctor_version(v->d);
}

static void check_running(struct visit *v)
{
    char start[SERVICE_MAX];
    if (order_is_locked(v->c->spool)) {
        doctor_say(v->d, DOCTOR_OK, "running", "the agent runs");
        return;
    }
    doctor_say(v->d, DOCTOR_FAILURE, "running", "the agent does not run");
    (void)service(v, "enable --now", start);
    doctor_mend(v->d, "%s    (%s says why it ended)", start,
                strncmp(start, "systemctl", 9) == 0 ? "journalctl -n 20 -u " UNIT "'*'" : "what it wrote");
}

/* ---------------------------------------------------------------- room */

static void check_quota(struct visit *v, struct spool *s)
{
    char has[40], quota[40];
    uint64_t used = spool_used(s), most = v->c->quota;
    units_format(UNIT_BYTES, used, has, sizeof has);
    units_format(UNIT_BYTES, most, quota, sizeof quota);
    if (used < most / 4 * 3) {
        doctor_say(v->d, DOCTOR_OK, "spool", "%s of %s wait to be shipped", has, quota);
        return;
    }
    doctor_say(v->d, used >= most / 20 * 19 ? DOCTOR_FAILURE : DOCTOR_WARNING, "spool",
               "%s of %s wait to be shipped; behind that the oldest packets are given up", has, quota);
    doctor_mend(v->d, "say in %s: quota = %s    (and see why the collector does not take it: fleetdump doctor there)",
                v->config, units_format(UNIT_BYTES, most * 2, quota, sizeof quota));
}

static void put_drops(struct visit *v, const struct counter_page *page)
{
    static const struct {
        enum counter counter;
        const char *why, *mend;
    } kinds[] = {
        {COUNTER_KERNEL_DROPS, "the ring was full", "ring = 64M    (and memory, if that refuses captures then)"},
        {COUNTER_INTERFACE_DROPS, "the interface or its driver had no room", "none; ethtool -G INTERFACE rx 4096"},
        {COUNTER_AGENT_DROPS, "the agent did not keep up", "compression_level = 1    (or a narrower filter)"},
        {COUNTER_EVICTED, "the spool was full", "quota = 20G"},
    };
    char capture[HEAD_NAME_MAX + 1];
    uint64_t received = counter_page_total(page, COUNTER_RECEIVED);
    counter_page_name(page->capture, capture);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint64_t n = counter_page_total(page, kinds[i].counter);
        if (!n)
            continue;
        doctor_say(v->d, DOCTOR_WARNING, "drops", "capture %s: %llu of %llu packets (%s): %s", capture,
                   (unsigned long long)n, (unsigned long long)received, counter_table[kinds[i].counter].name,
                   kinds[i].why);
        doctor_mend(v->d, "say in %s: %s", v->config, kinds[i].mend);
    }
    uint64_t flows = counter_page_total(page, COUNTER_FLOWS_EVICTED);
    if (flows) {
        doctor_say(v->d, DOCTOR_WARNING, "drops",
                   "capture %s: %llu flow%s ended early (%s): more at once than max_flows", capture,
                   (unsigned long long)flows, units_plural(flows), counter_table[COUNTER_FLOWS_EVICTED].name);
        doctor_mend(v->d, "say in %s: max_flows = 1000000", v->config);
    }
    uint64_t unread = counter_page_total(page, COUNTER_APPS_UNREAD);
    if (unread) {
        doctor_say(v->d, DOCTOR_WARNING, "drops",
                   "capture %s: of %llu flow%s the application was not read to its end (%s): no memory for it", capture,
                   (unsigned long long)unread, units_plural(unread), counter_table[COUNTER_APPS_UNREAD].name);
        doctor_mend(v->d, "say in %s: max_flows = 1000000", v->config);
    }
}

static void check_drops(struct visit *v, struct spool *s)
{
    struct spool_stream_info *streams = NULL;
    size_t count = 0, running = 0;
    struct counter_page *page;
    if (spool_list(s, &streams, &count, NULL))
        return;
    for (size_t i = 0; i < count; i++) {
        int dirfd = spool_dir_open(spool_fd(s), streams[i].epoch, NULL);
        if (dirfd < 0)
            continue;
        if (counter_page_map(dirfd, streams[i].epoch, false, &page, NULL) == 0) {
            running += streams[i].writer_alive;
            put_drops(v, page);
            counter_page_unmap(page);
        }
        close(dirfd);
    }
    doctor_say(v->d, DOCTOR_OK, "captures", "%zu %s, %zu wait to be shipped", running, running == 1 ? "runs" : "run",
               count - running);
    free(streams);
}

static void check_spool(struct visit *v)
{
    const struct spool_limits limits = {.quota_bytes = v->c->quota, .floor_bytes = v->c->floor};
    struct error e = ERROR_INIT;
    struct spool *s;
    char install[PATH_MAX];
    doctor_disk(v->d, v->c->spool, v->c->floor, 0, v->config);
    snprintf(install, sizeof install, "%s/install", v->c->spool);
    if (access(install, F_OK) != 0 && errno == ENOENT) { /* which opening it would make */
        doctor_say(v->d, DOCTOR_OK, "spool", "%s is empty: the agent has not run yet", v->c->spool);
        return;
    }
    if (spool_open(v->c->spool, &limits, &s, &e)) {
        doctor_say(v->d, geteuid() == 0 ? DOCTOR_FAILURE : DOCTOR_WARNING, "spool", "%s", e.text);
        doctor_mend(v->d, "systemd-tmpfiles --create fleetdump-agent.conf");
        return;
    }
    check_quota(v, s);
    check_drops(v, s);
    spool_close(s);
}

static void check_audit(struct visit *v)
{
    char folder[PATH_MAX + sizeof JOURNAL_FOLDER], restart[SERVICE_MAX];
    snprintf(folder, sizeof folder, "%s" JOURNAL_FOLDER, v->c->spool);
    doctor_audit(v->d, folder, service(v, "restart", restart));
}

/* Bytes that the system could still give, or 0. */
static uint64_t memory_available(void)
{
    char *text, *at;
    size_t len;
    unsigned long long kib = 0;
    if (fs_read_file(AT_FDCWD, "/proc/meminfo", 1u << 16, &text, &len, NULL))
        return 0;
    if ((at = strstr(text, "MemAvailable:")))
        (void)sscanf(at, "MemAvailable: %llu", &kib);
    free(text);
    return (uint64_t)kib * 1024;
}

static void check_memory(struct visit *v)
{
    struct ring_choice *chosen = NULL;
    size_t count = 0;
    char ring[40], memory[40], has[40];
    uint64_t available = memory_available();
    if (ring_choose(NULL, 0, &chosen, &count, NULL) || count == 0) {
        doctor_say(v->d, DOCTOR_WARNING, "ring", "no interface is up and has an address: nothing can be captured");
        doctor_mend(v->d, "ip -brief address    (then: ip link set INTERFACE up)");
        count = 1;
    }
    free(chosen);
    units_format(UNIT_BYTES, v->c->ring, ring, sizeof ring);
    units_format(UNIT_BYTES, v->c->memory, memory, sizeof memory);
    units_format(UNIT_BYTES, available, has, sizeof has);
    if (v->c->ring * count > v->c->memory) {
        doctor_say(v->d, DOCTOR_FAILURE, "ring", "%zu interfaces of %s each do not fit into memory = %s", count, ring,
                   memory);
        doctor_mend(v->d, "say in %s: memory = %s", v->config,
                    units_format(UNIT_BYTES, 4 * v->c->ring * count, memory, sizeof memory));
    } else if (available && v->c->memory > available) {
        doctor_say(v->d, DOCTOR_WARNING, "ring", "memory = %s, but only %s are free on this host", memory, has);
        doctor_mend(v->d, "say in %s: memory = %s", v->config,
                    units_format(UNIT_BYTES, available / 2, memory, sizeof memory));
    } else
        doctor_say(v->d, DOCTOR_OK, "ring", "%s for each of %zu interfaces, %s for all captures, %s free", ring, count,
                   memory, has);
}

/* ---------------------------------------------------------------- the collector */

static void mend_refusal(struct visit *v, const struct refusal *r)
{
    char reload[SERVICE_MAX];
    switch (r->code) {
    case ERROR_REFUSED:
        doctor_mend(v->d, JOIN "    (then: %s)", v->c->name, service(v, "reload", reload));
        return;
    case ERROR_VERSION:
        doctor_mend(v->d,
                    "install the collector's version of fleetdump-agent    (fleetdump-collector --version there)");
        return;
    case ERROR_CONFLICT:
        doctor_mend(v->d, "say in %s: name = ANOTHER, then: fleetdump-agent join    (%s is another host's)", v->config,
                    v->c->name);
        return;
    default:
        doctor_mend(v->d, "journalctl -u fleetdump-collector -n 20    (on the collector: it says why)");
    }
}

/* What it said to the shipper, whose connections are what counts: ours ask for nothing. */
static void check_refusals(struct visit *v)
{
    struct refusal r = {0}, last = {0};
    char when[64];
    int fd = open(v->c->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && refusal_links[i]; i++) {
        if (!refusal_read(fd, refusal_links[i], &r) || strcmp(r.text, last.text) == 0)
            continue;
        doctor_say(v->d, DOCTOR_FAILURE, "collector", "last try (%s connection, %s): %s", refusal_links[i],
                   units_format_time(r.when_ns, when, sizeof when), r.text);
        mend_refusal(v, &r);
        last = r;
    }
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && !last.text[0])
        doctor_say(v->d, DOCTOR_OK, "collector", "no refusal of this agent is known");
}

/* As the shipper found it; who does not run has left what may be over by now. */
static void check_offset(struct visit *v)
{
    int64_t offset_ns;
    int fd = open(v->c->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && order_is_locked(v->c->spool) && clock_noted(fd, &offset_ns))
        doctor_offset(v->d, offset_ns, "this host's clock", "the collector's");
    if (fd >= 0)
        close(fd);
}

static void check_name(struct visit *v, const struct tls *tls)
{
    const char *certified = tls_identity(tls)->name;
    if (strcmp(certified, v->c->name) == 0)
        return;
    doctor_say(v->d, DOCTOR_FAILURE, "certificate", "it is that of agent %s, and this is agent %s: nothing is shipped",
               certified, v->c->name);
    doctor_mend(v->d, "say in %s: name = %s    (or join anew: " JOIN ")", v->config, certified, v->c->name);
}

static void check_collector(struct visit *v)
{
    struct tls *tls = NULL;
    char join[400];
    snprintf(join, sizeof join, JOIN, v->c->name);
    if (v->c->insecure_plaintext) {
        doctor_say(v->d, DOCTOR_WARNING, "certificate",
                   "insecure_plaintext = yes: everybody on the way can read what is captured");
        doctor_mend(v->d, "%s    (and without that line in %s)", join, v->config);
    } else
        doctor_identity_in(v->d, v->c->tls, IDENTITY_AGENT, join, &tls);
    if (tls)
        check_name(v, tls);
    if (doctor_name(v->d, v->c->collector, v->config) && (tls || v->c->insecure_plaintext))
        doctor_reach(v->d, v->c->collector, tls);
    tls_unref(tls);
    check_refusals(v);
    check_offset(v);
}

/* ---------------------------------------------------------------- what may be captured */

/* A file that is not used, for its owner and mode, or for what stands in it. */
static void mend_file(struct visit *v, int code, const char *path)
{
    if (code == ERROR_REFUSED)
        doctor_mend(v->d, "chown root: %s && chmod 644 %s    (and its folder likewise, 755)", path, path);
    else
        doctor_mend(v->d, "edit %s", path);
}

static void check_operators(struct visit *v)
{
    struct signature_operators operators = {0};
    struct error e = ERROR_INIT;
    char *text = NULL;
    size_t len = 0;
    const char *path = v->c->operators;
    int code = policy_read_file(path, SIGNATURE_FILE_MAX, &text, &len, &e);
    if (code == 0)
        code = signature_operators_read(path, text, len, &operators, &e);
    if (code && code != ERROR_NOT_FOUND) {
        doctor_say(v->d, DOCTOR_FAILURE, "operators", "%s", e.text);
        mend_file(v, code, path);
    } else if (operators.count == 0) {
        doctor_say(v->d, DOCTOR_WARNING, "operators", "%s names nobody: nobody's orders are taken", path);
        doctor_mend(v->d, "echo 'LINE' >> %s    (LINE: fleetdump key show, on the operator's machine)", path);
    } else
        doctor_say(v->d, DOCTOR_OK, "operators", "%zu trusted in %s", operators.count, path);
    signature_operators_free(&operators);
    free(text);
}

static void say_policy(struct visit *v, const struct policy *p)
{
    if (!p->allow) {
        doctor_say(v->d, DOCTOR_WARNING, "policy", "remote capture is off: nothing is captured here by order");
        doctor_mend(v->d, "say in %s: allow = yes", v->c->policy);
        return;
    }
    if (policy_is_killed(p)) {
        doctor_say(v->d, DOCTOR_WARNING, "policy", "%s is there: nothing is captured", p->kill_file);
        doctor_mend(v->d, "rm %s", p->kill_file);
    } else
        doctor_say(v->d, DOCTOR_OK, "policy", "remote capture is on%s", p->baseline ? ", the baseline too" : "");
    if (p->unsigned_too) {
        doctor_say(v->d, DOCTOR_WARNING, "policy", "unsigned = yes: whoever commands the collector captures here");
        doctor_mend(v->d, "say in %s: unsigned = no    (and operators' keys in %s)", v->c->policy, v->c->operators);
    } else
        check_operators(v);
}

static void check_policy(struct visit *v)
{
    struct error e = ERROR_INIT;
    struct policy p = {0};
    int code = policy_load(v->c->policy, &p, &e);
    if (code == 0)
        say_policy(v, &p);
    else if (code == ERROR_NOT_FOUND) {
        doctor_say(v->d, DOCTOR_WARNING, "policy", "%s is not there: nothing is captured here by order", v->c->policy);
        doctor_mend(v->d, "echo allow = yes > %s", v->c->policy);
    } else {
        doctor_say(v->d, DOCTOR_FAILURE, "policy", "%s: nothing is captured here by order", e.text);
        mend_file(v, code, v->c->policy);
    }
    policy_free(&p);
}

/* ---------------------------------------------------------------- all of it */

static void (*const checks[])(struct visit *v) = {check_version, check_privileges, check_users, check_running,
                                                  check_clock,   check_memory,     check_spool, check_audit,
                                                  check_policy,  check_collector};

struct doctor_options {
    const char *config;
    bool config_given, json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct doctor_options *o = state->input;
    switch (key) {
    case 'c':
        o->config = arg;
        o->config_given = true;
        return 0;
    case 'o':
        o->json = strcmp(arg, "json") == 0;
        if (!o->json && strcmp(arg, "table") != 0)
            argp_error(state, "-o %s: it is table or json", arg);
        return 0;
    case MANUAL_OPTION_KEY:
        manual_print(arg, "fleetdump-agent doctor", state, agent_config_keys);
    case ARGP_KEY_ARG:
        argp_error(state, "'%s': doctor takes options only", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "Configuration (" AGENT_CONFIG_PATH ")", 0},
    {"output", 'o', "FORMAT", 0, "table, or json: check, verdict (ok, warning, failure), found, mend (table)", 0},
    MANUAL_OPTION,
    {0},
};

static const char doc[] =
    "Says what keeps this host from capturing and shipping, or soon will, and what mends it; changes nothing. "
    "One check, `audit`, verifies all lines of what was captured here by order (SPOOL.audit), and says where "
    "one was changed or taken out.\v"
    "Examples:\n"
    "  sudo fleetdump-agent doctor\n"
    "  sudo fleetdump-agent doctor -o json\n"
    "\n"
    "Exit status: 0 nothing failed, 1 something did, 2 wrong use.\n";

int agent_doctor(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "", doc, NULL, NULL, NULL};
    static char name[] = "fleetdump-agent doctor";
    struct doctor_options o = {.config = AGENT_CONFIG_PATH};
    struct visit v = {0};
    struct agent_config c;
    struct error e = ERROR_INIT;
    argv[0] = name;
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return EXIT_USAGE;
    log_setup("fleetdump-agent", LOG_LEVEL_ERROR);
    if (doctor_new(&v.d, &e)) {
        fprintf(stderr, "fleetdump-agent: %s\n", e.text);
        return EXIT_FAILED;
    }
    v.config = o.config;
    v.c = &c;
    if (agent_config_load(o.config, !o.config_given, &c, &e)) {
        doctor_say(v.d, DOCTOR_FAILURE, "configuration", "%s", e.text);
        doctor_mend(v.d, "edit %s    (fleetdump-agent --check reads it)", o.config);
    } else {
        doctor_say(v.d, DOCTOR_OK, "configuration", "%s%s: agent %s, collector %s", o.config,
                   access(o.config, F_OK) == 0 ? "" : " is not there, so defaults hold", c.name, c.collector);
        for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
            checks[i](&v);
    }
    agent_config_free(&c);
    return doctor_end(v.d, o.json, stdout);
}
