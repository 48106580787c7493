/* config: the table of keys, and what a table cannot check. */
#include "agent/config.h"
#include "agent/policy.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/stream.h"
#include "common/net/tls.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(member)    offsetof(struct agent_config, member)
#define TEXT_(number) #number
#define TEXT(number)  TEXT_(number)
#define DAY_NS        (86400 * NS_PER_S)
/* Flows of the kind end when they were silent for so long. */
#define TIMEOUT(name, KIND, help)                                                                                      \
    {                                                                                                                  \
        "timeout_" name, CONFIG_NUMBER, UNIT_NS, AT(timeouts.ns[FLOW_TIMER_##KIND]), TEXT(FLOW_TIMEOUT_##KIND) "s",    \
            NS_PER_S, DAY_NS, help                                                                                     \
    }

const struct config_key agent_config_keys[] = {
    {"name", CONFIG_STRING, UNIT_NONE, AT(name), NULL, 0, 0, "the agent's name; the host's name if not given"},
    {"collector", CONFIG_STRING, UNIT_NONE, AT(collector), "127.0.0.1:4741", 0, 0, "address:port of the collector"},
    {"tls", CONFIG_STRING, UNIT_NONE, AT(tls), "/var/lib/fleetdump-agent/tls", 0, 0,
     "folder of this host's certificate and key, which `fleetdump-agent join` makes"},
    {"insecure_plaintext", CONFIG_BOOL, UNIT_NONE, AT(insecure_plaintext), "no", 0, 0,
     "no encryption, and any collector is believed; the collector must say so, too"},
    {"spool", CONFIG_STRING, UNIT_NONE, AT(spool), "/var/lib/fleetdump-agent/spool", 0, 0,
     "folder of what waits to be shipped"},
    {"quota", CONFIG_NUMBER, UNIT_BYTES, AT(quota), "10G", 64u << 20, UINT64_MAX, "most that the spool may hold"},
    {"floor", CONFIG_NUMBER, UNIT_BYTES, AT(floor), "1G", 0, UINT64_MAX, "free space on the disk that is never used"},
    {"label", CONFIG_STRINGS, UNIT_NONE, AT(labels), NULL, 0, 0,
     "key=value, by which this agent can be chosen; counts only if it was enrolled without labels"},
    {"compression_level", CONFIG_NUMBER, UNIT_COUNT, AT(compression_level), "1", 1, 19, "of zstd"},
    {"max_flows", CONFIG_NUMBER, UNIT_COUNT, AT(max_flows), "262144", 1024, FLOW_TABLE_FLOWS_MAX,
     "flows followed at once in a capture"},
    TIMEOUT("tcp", TCP,
            "how long a TCP connection may be silent before it counts as over; what comes then is another flow"),
    TIMEOUT("tcp_attempt", TCP_ATTEMPT, "the same of one whose handshake is not over"),
    TIMEOUT("tcp_closed", TCP_CLOSED, "the same of one that both sides have closed"),
    TIMEOUT("udp", UDP, "the same of UDP"),
    TIMEOUT("icmp", ICMP, "the same of ICMP"),
    TIMEOUT("other", OTHER, "the same of all else"),
    TIMEOUT("dns_query", DNS_QUERY, "how long a DNS query waits for its answer before it is listed as unanswered"),
    {"ring", CONFIG_NUMBER, UNIT_BYTES, AT(ring), "16M", 1u << 20, 1u << 30,
     "kernel's buffer of each interface that a capture listens on"},
    {"memory", CONFIG_NUMBER, UNIT_BYTES, AT(memory), "2G", 64u << 20, UINT64_MAX,
     "most that all captures together may take; more captures are refused"},
    {"ship_user", CONFIG_STRING, UNIT_NONE, AT(ship_user), "fleetdump-ship", 0, 0,
     "user of the process that talks to the collector, if the agent is started as root"},
    {"capture_user", CONFIG_STRING, UNIT_NONE, AT(capture_user), "fleetdump-capture", 0, 0,
     "user of the processes that see packets, once they have opened their interfaces"},
    {"policy", CONFIG_STRING, UNIT_NONE, AT(policy), POLICY_PATH, 0, 0,
     "file of what this host lets be captured by order; root's"},
    {"operators", CONFIG_STRING, UNIT_NONE, AT(operators), POLICY_OPERATORS_PATH, 0, 0,
     "file of the keys with which orders may be signed; root's"},
    {"log_level", CONFIG_STRING, UNIT_NONE, AT(log_level), "info", 0, 0, "error, warn, info or debug"},
    {.name = NULL},
};

static const char *const levels[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug"};

int agent_config_log_level(const struct agent_config *c)
{
    for (int i = 0; i < (int)(sizeof levels / sizeof *levels); i++)
        if (strcmp(levels[i], c->log_level) == 0)
            return i;
    return -1;
}

static int default_name(struct agent_config *c, struct error *e)
{
    char name[HEAD_NAME_MAX + 1] = "";
    if (c->name && c->name[0])
        return 0;
    if (gethostname(name, sizeof name - 1) != 0 || !name[0])
        return error_sys(e, errno, "this host has no name: give the agent one by 'name = ...'");
    free(c->name);
    c->name = strdup(name);
    return c->name ? 0 : error_set(e, ERROR_MEMORY, "no memory for a name");
}

static int check_labels(const char *path, const struct agent_config *c, struct error *e)
{
    for (size_t i = 0; i < c->labels.count; i++) {
        const char *label = c->labels.items[i], *equals = strchr(label, '=');
        if (!equals || equals == label)
            return error_set(e, ERROR_USAGE, "%s: label '%.80s' is not of the form key=value", path, label);
    }
    return 0;
}

static int check(const char *path, struct agent_config *c, struct error *e)
{
    char host[256];
    uint16_t port;
    int code = default_name(c, e);
    if (!code && (code = identity_check_name(c->name, e)))
        code = error_prefix(e, "%s", path);
    if (!code)
        code = check_labels(path, c, e);
    if (!code && agent_config_log_level(c) < 0)
        code =
            error_set(e, ERROR_USAGE, "%s: log_level '%.80s' is none of error, warn, info, debug", path, c->log_level);
    if (!code && (code = net_split(c->collector, host, &port, e)))
        code = error_prefix(e, "%s: collector", path);
    return code;
}

int agent_config_load(const char *path, bool optional, struct agent_config *c, struct error *e)
{
    *c = (struct agent_config){0};
    int code = config_load(agent_config_keys, path, c, e);
    if (code == ERROR_NOT_FOUND && optional)
        code = config_parse(agent_config_keys, path, NULL, 0, c, e);
    return code ? code : check(path, c, e);
}

/* ---------------------------------------------------------------- once more */

static const size_t sizes[] = {[CONFIG_STRING] = sizeof(char *),
                               [CONFIG_STRINGS] = sizeof(struct config_strings),
                               [CONFIG_NUMBER] = sizeof(uint64_t),
                               [CONFIG_BOOL] = sizeof(bool)};

static bool is_fixed(const struct config_key *k)
{
    static const char *const fixed[] = {AGENT_CONFIG_FIXED};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(fixed[i], k->name) == 0)
            return true;
    return false;
}

/* Of the fixed ones, which hold a text or a bool. */
static bool is_same(const struct config_key *k, const void *a, const void *b)
{
    return k->type == CONFIG_STRING ? strcmp(*(char *const *)a, *(char *const *)b) == 0
                                    : memcmp(a, b, sizes[k->type]) == 0;
}

static void swap(void *a, void *b, size_t size)
{
    char kept[sizeof(struct config_strings)];
    memcpy(kept, a, size);
    memcpy(a, b, size);
    memcpy(b, kept, size);
}

int agent_config_reload(const char *path, bool optional, struct agent_config *c, char left[AGENT_CONFIG_NAMES_MAX],
                        struct error *e)
{
    struct agent_config fresh;
    size_t n = 0;
    int code = agent_config_load(path, optional, &fresh, e);
    left[0] = 0;
    for (const struct config_key *k = agent_config_keys; !code && k->name; k++) {
        char *now = (char *)c + k->offset, *then = (char *)&fresh + k->offset;
        if (!is_fixed(k))
            swap(now, then, sizes[k->type]);
        else if (!is_same(k, now, then) && n < AGENT_CONFIG_NAMES_MAX)
            n += (size_t)snprintf(left + n, AGENT_CONFIG_NAMES_MAX - n, "%s%s", n ? ", " : "", k->name);
    }
    agent_config_free(&fresh);
    return code;
}

void agent_config_free(struct agent_config *c)
{
    config_free(agent_config_keys, c);
}

int agent_config_check_collector(const struct agent_config *c, struct error *e)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", c->tls, TLS_CERT_NAME);
    if (c->insecure_plaintext || access(path, F_OK) == 0 || errno == EACCES) /* ship_user's alone */
        return 0;
    return error_set(e, ERROR_NOT_FOUND,
                     "there is no %s: this host has not joined a fleet. `fleetdump-agent join TOKEN` does (the token "
                     "comes from `fleetdump admin enroll`); where nothing is secret say insecure_plaintext = yes, here "
                     "and on the collector",
                     path);
}
