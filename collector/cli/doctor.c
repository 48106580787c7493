/*
 * fleetdump doctor: what keeps this user from asking and ordering, and what is wrong with the collector and the agents as far as it knows.
 */
#include "common/base/doctor.h"
#include "collector/cli/client.h"
#include "collector/cli/home.h"
#include "collector/cli/sign.h"
#include "common/base/glob.h"
#include "common/chunk/counter.h"
#include "common/net/doctor_net.h"
#include "common/net/tls.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN     "fleetdump login TOKEN    (TOKEN: fleetdump-collector init, or fleetdump admin user add NAME)"
#define SOFTWARE  "fleetdump " FLEETDUMP_VERSION
#define LOSS_PART 1000 /* of the packets of a stream: more of them lost is worth a word */

struct visit {
    struct cli *cli;
    const char *on; /* a glob, or NULL */
    bool json;
    struct doctor *d;
    char software[100]; /* of the collector; ours if it does not say */
};

/* ---------------------------------------------------------------- what is here */

static void check_sign_key(struct visit *v)
{
    struct signature_key key;
    struct error e = ERROR_INIT;
    char path[HOME_PATH_MAX];
    if (home_path(SIGN_KEY_FILE, path, &e))
        return;
    int code = sign_key_load(path, &key, &e);
    if (code == 0)
        doctor_say(v->d, DOCTOR_OK, "key", "%s signs what hosts are to capture", path);
    else if (code == ERROR_NOT_FOUND) {
        doctor_say(v->d, DOCTOR_WARNING, "key",
                   "no key of yours: hosts refuse what you order, unless their policy takes unsigned orders");
        doctor_mend(
            v->d,
            "fleetdump key new    (then its line, fleetdump key show, into /etc/fleetdump/operators of the hosts)");
    } else {
        doctor_say(v->d, DOCTOR_FAILURE, "key", "%s", e.text);
        doctor_mend(v->d, "chmod go= %s", path);
    }
}

/* False: there is nobody to be asked. */
static bool check_way(struct visit *v)
{
    struct error e = ERROR_INIT;
    struct tls *tls = NULL;
    char folder[HOME_PATH_MAX], config[HOME_PATH_MAX];
    if (home_path("", folder, &e) || home_path("client.conf", config, &e)) {
        doctor_say(v->d, DOCTOR_FAILURE, "certificate", "%s", e.text);
        doctor_mend(v->d, "export FLEETDUMP_HOME=FOLDER");
        return false;
    }
    if (v->cli->insecure_plaintext) {
        doctor_say(v->d, DOCTOR_WARNING, "certificate",
                   "insecure_plaintext = yes: everybody on the way can read and order");
        doctor_mend(v->d, LOGIN "; then without that line in %s", config);
    } else
        doctor_identity_in(v->d, folder, IDENTITY_USER, LOGIN, &tls);
    check_sign_key(v);
    bool good = doctor_name(v->d, v->cli->collector, config) && (tls || v->cli->insecure_plaintext);
    if (good)
        doctor_reach(v->d, v->cli->collector, tls);
    tls_unref(tls);
    return good;
}

/* ---------------------------------------------------------------- agents */

static const char *text_in(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

static uint64_t number_in(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static void check_stream(struct visit *v, const char *agent, const json_t *t)
{
    const char *capture = text_in(t, "capture");
    uint64_t received = number_in(t, "received"), lost = 0;
    for (int i = 0; i < COUNTER_COUNT; i++)
        lost += counter_table[i].lost ? number_in(t, counter_table[i].name) : 0;
    if (lost && lost > received / LOSS_PART) {
        doctor_say(v->d, DOCTOR_WARNING, "drops", "%s lost %llu of %llu packets of capture %s", agent,
                   (unsigned long long)lost, (unsigned long long)received, capture);
        doctor_mend(v->d, "fleetdump-agent doctor    (on %s: it says where)", agent);
    }
    const char *words[] = {text_in(t, "refused"), text_in(t, "stuck")};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i][0]) {
            doctor_say(v->d, DOCTOR_WARNING, "stream", "%s, capture %s: %s", agent, capture, words[i]);
            doctor_mend(v->d, "journalctl -u fleetdump-agent -n 20    (on %s)", agent);
        }
}

static void check_audit(struct visit *v, const char *name, const json_t *status)
{
    const char *audit = text_in(status, "audit");
    if (!audit[0])
        return;
    doctor_say(v->d, DOCTOR_FAILURE, "audit", "%s: %s", name, audit);
    doctor_mend(v->d, "fleetdump-agent doctor    (on %s: it says what is to be done)", name);
}

static void check_away(struct visit *v, const char *name, const json_t *a)
{
    const char *problem = text_in(a, "problem");
    bool revoked = strncmp(problem, CAPTURE_REVOKED, strlen(CAPTURE_REVOKED)) == 0;
    if (revoked)
        doctor_say(v->d, DOCTOR_WARNING, "agent", "%s %s", name, problem);
    else
        doctor_say(v->d, DOCTOR_WARNING, "agent", "%s is away since %s%s%s", name, text_in(a, "last_seen"),
                   problem[0] ? ": " : "", problem);
    if (revoked)
        doctor_mend(v->d, "fleetdump admin enroll --name %s    (if it is to come back)", name);
    else
        doctor_mend(v->d, "systemctl status fleetdump-agent; fleetdump-agent doctor    (on %s)", name);
    if (!revoked) /* as it was when it was here */
        check_audit(v, name, json_object_get(a, "status"));
}

/* Less than, equal to or greater than 0, as a release is older than another one, the same or newer: "fleetdump 1.2.3". */
static int compare_releases(const char *a, const char *b)
{
    unsigned x[3] = {0}, y[3] = {0};
    (void)!sscanf(a, "%*s %u.%u.%u", &x[0], &x[1], &x[2]);
    (void)!sscanf(b, "%*s %u.%u.%u", &y[0], &y[1], &y[2]);
    for (size_t i = 0; i < 3; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

static void check_version(struct visit *v, const char *name, const char *software)
{
    int order = compare_releases(software, v->software);
    if (order == 0)
        return;
    doctor_say(v->d, DOCTOR_WARNING, "version",
               "%s runs %s, which is %s than the collector's %s: it goes on, without what only the newer one has", name,
               software, order < 0 ? "older" : "newer", v->software);
    if (order < 0)
        doctor_mend(v->d, "fleetdump deploy %s    (or Debian's package on it)", name);
    else
        doctor_mend(v->d, "apt install fleetdump-collector    (on the collector)");
}

static void check_agent(struct visit *v, const json_t *a)
{
    const char *name = text_in(a, "agent"), *software = text_in(a, "software");
    const json_t *status = json_object_get(a, "status"), *clock = json_object_get(status, "clock"), *stream;
    const char *full = text_in(json_object_get(status, "spool"), "full"), *problem = text_in(a, "problem");
    char whose[300];
    size_t i;
    if (!json_is_true(json_object_get(a, "connected"))) {
        check_away(v, name, a);
        return;
    }
    check_audit(v, name, status);
    doctor_say(v->d, DOCTOR_OK, "agent", "%s is connected", name);
    check_version(v, name, software);
    if (clock) {
        snprintf(whose, sizeof whose, "%s's clock", name);
        doctor_offset(v->d, json_integer_value(json_object_get(clock, "offset_ns")), whose, "the collector's");
    }
    if (problem[0] && !full[0] && !text_in(status, "audit")[0]) {
        doctor_say(v->d, DOCTOR_WARNING, "problem", "%s: %s", name, problem);
        doctor_mend(v->d, "fleetdump-agent doctor    (on %s: it says what is to be done)", name);
    }
    if (full[0]) {
        doctor_say(v->d, DOCTOR_FAILURE, "spool", "%s: %s", name, full);
        doctor_mend(v->d, "fleetdump-agent doctor    (on %s)", name);
    }
    json_array_foreach(json_object_get(status, "streams"), i, stream) check_stream(v, name, stream);
}

static void check_agents(struct visit *v, const json_t *list)
{
    json_t *a;
    size_t i;
    if (json_array_size(list) == 0 && client_is_bound()) {
        doctor_say(v->d, DOCTOR_WARNING, "agent", "no agent is among those that you may see");
        doctor_mend(v->d, "fleetdump agents    (it says what you may see; an administrator: fleetdump admin user add)");
    } else if (json_array_size(list) == 0) {
        doctor_say(v->d, DOCTOR_WARNING, "agent", "no agent has ever connected");
        doctor_mend(v->d, "fleetdump deploy HOST...");
    }
    json_array_foreach(list, i, a) if (!v->on || glob_match(v->on, text_in(a, "agent"), strlen(text_in(a, "agent"))))
        check_agent(v, a);
}

/* ---------------------------------------------------------------- the collector */

/* What the collector does not let this user do, or why there is no answer. */
static void say_failed(struct visit *v, const struct error *e)
{
    doctor_say(v->d, DOCTOR_FAILURE, "collector", "%s", e->text);
    doctor_mend(v->d, e->code == ERROR_REFUSED
                          ? LOGIN
                          : "journalctl -u fleetdump-collector -n 20    (on the collector: it says why)");
}

/* Of whom the collector answers otherwise. */
static void check_status(struct visit *v, struct client *c)
{
    const struct message_query q = {.kind = QUERY_STATUS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    struct error e = ERROR_INIT;
    json_t *status = NULL;
    char left[40];
    int r = client_fetch(c, &q, &status, &e);
    if (r == ERROR_REFUSED)
        doctor_say(v->d, DOCTOR_OK, "collector",
                   "it answers; its own state is shown only to users without such bounds");
    else if (r)
        say_failed(v, &e);
    if (r)
        return;
    uint64_t has = number_in(status, "disk_free_bytes"), size = number_in(status, "disk_total_bytes");
    const char *software = text_in(status, "software");
    snprintf(v->software, sizeof v->software, "%s", software);
    doctor_say(v->d, strcmp(software, SOFTWARE) == 0 ? DOCTOR_OK : DOCTOR_WARNING, "version",
               "the collector runs %s, this is " SOFTWARE, software);
    if (strcmp(software, SOFTWARE) != 0)
        doctor_mend(v->d, "apt install fleetdump-collector fleetdump    (the same version on both)");
    const char *problem = text_in(status, "problem");
    bool full = has < size / 20;
    units_format(UNIT_BYTES, has, left, sizeof left);
    if (problem[0])
        doctor_say(v->d, DOCTOR_FAILURE, "disk", "the collector takes nothing in, and agents keep what they have: %s",
                   problem);
    else
        doctor_say(v->d, full ? DOCTOR_WARNING : DOCTOR_OK, "disk", "%s free at the collector", left);
    if (full || problem[0])
        doctor_mend(v->d, "fleetdump-collector doctor    (on the collector)");
    json_decref(status);
}

static void check_collector(struct visit *v)
{
    struct error e = ERROR_INIT;
    struct client *c = NULL;
    const struct message_query q = {.kind = QUERY_AGENTS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    json_t *agents = NULL;
    int r = client_open(v->cli, &c, &e);
    if (r == 0)
        doctor_offset(v->d, client_clock_offset_ns(c), "the collector's clock", "this one");
    if (r == 0)
        r = client_fetch(c, &q, &agents, &e);
    if (r)
        say_failed(v, &e);
    else {
        check_status(v, c);
        check_agents(v, agents);
    }
    json_decref(agents);
    client_close(c);
}

/* ---------------------------------------------------------------- the command */

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct visit *v = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = v->cli;
        return 0;
    case 'o':
        v->json = strcmp(arg, "json") == 0;
        if (!v->json && strcmp(arg, "table") != 0)
            argp_error(state, "-o %s: it is table or json", arg);
        return 0;
    case 'n':
        v->on = arg;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s': doctor takes options only; --on AGENT looks at one agent", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct visit v = {.cli = cli, .software = SOFTWARE};
    cli_parse(&command_doctor, argc, argv, &v);
    int r = doctor_new(&v.d, e);
    if (r)
        return r;
    doctor_version(v.d);
    doctor_clock(v.d);
    if (check_way(&v))
        check_collector(&v);
    r = doctor_end(v.d, v.json, stdout);
    return r == EXIT_OK ? 0 : ERROR_REFUSED; /* all is said */
}

static const struct argp_option options[] = {
    {"on", 'n', "AGENT", 0, "of the agents only those with this name (a glob)", 0},
    {"output", 'o', "FORMAT", 0, "table, or json: check, verdict (ok, warning, failure), found, mend (default: table)",
     0},
    {0},
};
static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    options,
    parse,
    "",
    "Says what is wrong with this user's keys, the way to the collector, the collector, and its agents as far "
    "as it knows them; and what mends it. `fleetdump-agent doctor` and `fleetdump-collector doctor` look at "
    "their own hosts.\v"
    "Examples:\n"
    "  fleetdump doctor\n"
    "  fleetdump doctor --on 'web-*'\n"
    "  fleetdump doctor -o json\n\n"
    "Exit status: 0 nothing failed, 1 something did, 2 wrong use.\n",
    children,
    NULL,
    NULL};

const struct command command_doctor = {
    .name = "doctor",
    .summary = "what is wrong here, at the collector and with agents, and what mends it",
    .argp = &argp,
    .run = run,
};
