/*
 * fleetdump http, dns, tls: requests with their replies, one line each, or sums over groups of them.
 */
#include "collector/cli/rows.h"
#include <string.h>

/* Fields that exchanges of one application have, and the others do not. */
static const struct {
    const char *app, *field;
} own[] = {
    {"http", "method"},       {"http", "http_host"},    {"http", "path"},       {"http", "status"},
    {"http", "content_type"}, {"http", "request_body"}, {"http", "reply_body"}, {"dns", "dns_name"},
    {"dns", "dns_type"},      {"dns", "dns_rcode"},     {"dns", "dns_answers"}, {"tls", "sni"},
    {"tls", "alpn"},          {"tls", "ja4"},           {"tls", "tls_version"}, {"tls", "tls_cipher"},
    {"tls", "tls_alert"},
};

static bool has(const struct field *f, const char *app)
{
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(own[i].field, f->name) == 0 && strcmp(own[i].app, app) != 0)
            return false;
    return field_is_of_exchanges(f) && strcmp(f->name, "flows") != 0;
}

static bool adds_up(const struct field *f)
{
    const struct column *c = f->exchange;
    return c &&
           (c->merge == MERGE_SUM || c->merge == MERGE_MAX || c->id == EXCHANGE_WAIT || c->id == EXCHANGE_WAIT_P95);
}

/* ------------------------------------------------------------------ the three */

static const struct rows_name short_names[] = {{"host", "http_host"}, {"type", "dns_type"}, {NULL, NULL}};

#define GROUPS "exchanges,errors,unanswered,wait,wait_p95,wait_max,request_bytes,reply_bytes"

#define KIND(app_)                                                                                                     \
    static bool has_##app_(const struct field *f)                                                                      \
    {                                                                                                                  \
        return has(f, #app_);                                                                                          \
    }                                                                                                                  \
    static const struct rows_kind kind_##app_;                                                                         \
    static int run_##app_(int argc, char **argv, struct cli *cli, struct error *e)                                     \
    {                                                                                                                  \
        return rows_run(&kind_##app_, argc, argv, cli, e);                                                             \
    }                                                                                                                  \
    static const char *column_##app_(size_t i, const char **help)                                                      \
    {                                                                                                                  \
        return rows_column(&kind_##app_, i, help);                                                                     \
    }
KIND(http)
KIND(dns)
KIND(tls)

#define OF(app_)                                                                                                       \
    .command = &command_##app_, .query = QUERY_EXCHANGES, .app = #app_, .what = "exchanges",                           \
    .selected = "selected_exchanges", .groups = GROUPS, .names = short_names, .has = has_##app_, .adds_up = adds_up

static const struct rows_kind kind_http = {
    OF(http),
    .single = {.narrow = "time,method,http_host,path,status,wait,agent",
               .table = "time,client,method,http_host,path,status,reply_bytes,wait,agent",
               .wide = "time,id,ordinal,agent,interface,capture,client,server,version,method,http_host,path,status,"
                       "content_type,request_bytes,reply_bytes,request_body,reply_body,send,wait,duration,outcome"},
};

static const struct rows_kind kind_dns = {
    OF(dns),
    .single = {.narrow = "time,client,dns_name,dns_type,dns_rcode,wait",
               .table = "time,client,server,dns_name,dns_type,dns_rcode,dns_answers,wait,agent",
               .wide = "time,id,ordinal,agent,interface,capture,client,server,proto,dns_name,dns_type,dns_rcode,"
                       "dns_answers,request_bytes,reply_bytes,wait,outcome"},
};

static const struct rows_kind kind_tls = {
    OF(tls),
    .single = {.narrow = "time,client,sni,version,duration,tls_alert",
               .table = "time,client,server,sni,version,alpn,duration,tls_alert,agent",
               .wide = "time,id,agent,interface,capture,client,server,sni,version,alpn,tls_cipher,ja4,duration,"
                       "tls_alert,outcome"},
};

/* ------------------------------------------------------------------ the commands */

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static const struct argp_child children[] = {{&rows_argp, 0, NULL, 0}, {0}};

#define MORE                                                                                                           \
    "\nA line belongs to the time in which its request began. `fleetdump help filter` lists the words of filters, "    \
    "--columns all fields.\n"

static const struct argp argp_http = {NULL,
                                      parse,
                                      "[FILTER]",
                                      "HTTP requests with their replies, one line each, or sums over groups of them.\v"
                                      "Examples:\n"
                                      "  fleetdump http 'status >= 500' --since 15m\n"
                                      "  fleetdump http 'method POST and path /api/* and wait > 200ms'\n"
                                      "  fleetdump http 'to 10.0.0.5' --by host,status\n" MORE,
                                      children,
                                      NULL,
                                      NULL};

static const struct argp argp_dns = {NULL,
                                     parse,
                                     "[FILTER]",
                                     "DNS queries with their answers, one line each, or sums over groups of them.\v"
                                     "Examples:\n"
                                     "  fleetdump dns 'unanswered or rcode != NOERROR' --by agent,name\n"
                                     "  fleetdump dns 'name *.corp and qtype AAAA' --since 5m\n"
                                     "  fleetdump dns 'wait > 50ms' --sort -wait --top 20\n" MORE,
                                     children,
                                     NULL,
                                     NULL};

static const struct argp argp_tls = {NULL,
                                     parse,
                                     "[FILTER]",
                                     "TLS handshakes, one line each, or sums over groups of them.\v"
                                     "Examples:\n"
                                     "  fleetdump tls 'sni *.example.org' --since 15m\n"
                                     "  fleetdump tls 'version != \"TLS 1.3\"' --by client,version\n"
                                     "  fleetdump tls --by ja4 --top 20\n" MORE,
                                     children,
                                     NULL,
                                     NULL};

#define COMMAND(app_, summary_)                                                                                        \
    {                                                                                                                  \
        .name = #app_, .summary = (summary_), .argp = &argp_##app_, .run = run_##app_, .column = column_##app_         \
    }
const struct command command_http = COMMAND(http, "HTTP requests, one line each");
const struct command command_dns = COMMAND(dns, "DNS queries, one line each");
const struct command command_tls = COMMAND(tls, "TLS handshakes, one line each");
