/*
 * fleetdump http, dns, tls: requests with their replies, one line each, or sums over groups of them.
 */
#include "collector/cli/har.h"
#include "collector/cli/output_file.h"
#include "collector/cli/rows.h"
#include <stdlib.h>
#include <string.h>

static bool has(const struct rows_kind *kind, const struct field *f)
{
    const char *of = field_app(f);
    return field_is_of_exchanges(f) && (!of || strcmp(of, kind->app) == 0) && strcmp(f->name, "flows") != 0;
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

#define OF(app_)                                                                                                       \
    .command = &command_##app_, .query = QUERY_EXCHANGES, .app = #app_, .what = "exchanges",                           \
    .selected = "selected_exchanges", .groups = GROUPS, .names = short_names, .has = has, .adds_up = adds_up

static const struct rows_kind kind_http = {
    OF(http),
    .single = {.narrow = "time,method,http_host,path,status,wait,outcome,agent",
               .table = "time,client,method,http_host,path,status,reply_bytes,wait,outcome,agent",
               .wide = "time,id,ordinal,agent,interface,capture,client,server,version,method,http_host,path,status,"
                       "content_type,request_bytes,reply_bytes,request_body,reply_body,send,wait,duration,outcome"},
};

static const struct rows_kind kind_dns = {
    OF(dns),
    .single = {.narrow = "time,client,dns_name,dns_type,dns_rcode,wait,outcome",
               .table = "time,client,server,dns_name,dns_type,dns_rcode,dns_answers,wait,outcome,agent",
               .wide = "time,id,ordinal,agent,interface,capture,client,server,proto,dns_name,dns_type,dns_rcode,"
                       "dns_answers,request_bytes,reply_bytes,wait,outcome"},
};

static const struct rows_kind kind_tls = {
    OF(tls),
    .single = {.narrow = "time,client,sni,version,duration,tls_alert,outcome",
               .table = "time,client,server,sni,version,alpn,duration,tls_alert,outcome,agent",
               .wide = "time,id,agent,interface,capture,client,server,sni,version,alpn,tls_cipher,ja4,duration,"
                       "tls_alert,outcome"},
};

/* ------------------------------------------------------------------ an HTTP archive */

struct http {
    struct rows r;
    const char *har; /* where it goes; NULL: none is asked for */
};

struct archive {
    struct output_file file;
    struct har_names names;
    struct buffer out;
    uint64_t entries;
};

static int take_name(void *context, const struct flow_row *row, struct error *e)
{
    return har_names_add(context, row, e);
}

/* Names are an addition: without them the archive is as good as packets without DNS would make it. */
static void ask_for_names(const struct rows *r, struct har_names *names)
{
    struct rows dns;
    struct client_answer answer;
    struct error e = ERROR_INIT;
    rows_of_other(&dns, r, "dns", HAR_EARLIER_NS);
    if (rows_ask(&dns, take_name, names, &answer, &e) || (answer.code && answer.code != ERROR_INCOMPLETE))
        note(r->u.cli, "dns of the archive's entries is left out: %s", e.text[0] ? e.text : answer.text);
    client_answer_free(&answer);
    rows_free(&dns);
}

static int write_out(struct archive *a, struct error *e)
{
    int code = a->out.failed ? error_set(e, ERROR_MEMORY, "no memory for an HTTP archive")
                             : output_file_write(&a->file, a->out.data, a->out.len, e);
    buffer_clear(&a->out);
    return code;
}

static int take_entry(void *context, const struct flow_row *row, struct error *e)
{
    struct archive *a = context;
    int code = har_entry(row, &a->names, a->entries++ == 0, &a->out, e);
    return code ? code : write_out(a, e);
}

static int ask_and_archive(struct rows *r, struct archive *a, struct error *e)
{
    struct client_answer answer;
    har_begin(&a->out);
    int code = rows_ask(r, take_entry, a, &answer, e);
    har_end(&a->out);
    if (code == 0 && (answer.code == 0 || answer.code == ERROR_INCOMPLETE)) {
        code = write_out(a, e);
        if (code == 0)
            code = output_file_keep(&a->file, e);
    }
    if (code == 0) {
        rows_say_notes(r, &answer);
        code = client_conclude(r->u.cli, &answer, "the archive is", e);
    }
    client_answer_free(&answer);
    return code;
}

static int archive(struct http *h, struct error *e)
{
    struct archive a = {.file = OUTPUT_FILE_NONE};
    if (h->r.by_count)
        return error_set(e, ERROR_USAGE, "--har is about single requests: leave --by out");
    if (h->r.u.cli->columns || h->r.u.cli->format != OUTPUT_TABLE)
        return error_set(e, ERROR_USAGE, "--har writes a format of its own: leave -o and --columns out");
    int code = rows_prepare(&h->r, e);
    if (code == 0)
        code = output_file_open(h->har, false, &a.file, e);
    if (code == 0) {
        ask_for_names(&h->r, &a.names);
        code = ask_and_archive(&h->r, &a, e);
    }
    if (code == 0 || code == ERROR_INCOMPLETE)
        note(h->r.u.cli, "%llu entr%s", (unsigned long long)a.entries, a.entries == 1 ? "y" : "ies");
    output_file_close(&a.file);
    har_names_free(&a.names);
    buffer_free(&a.out);
    return code;
}

/* ------------------------------------------------------------------ the commands */

static int run_http(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct http h = {.har = NULL};
    char **all = rows_arguments(&argc, argv);
    if (!all)
        return error_set(e, ERROR_MEMORY, "no memory for a question");
    rows_init(&h.r, &kind_http, cli);
    cli_parse(&command_http, argc, all, &h);
    int code = h.har ? archive(&h, e) : rows_show(&h.r, e);
    rows_free(&h.r);
    free(all);
    return code;
}

static int run_dns(int argc, char **argv, struct cli *cli, struct error *e)
{
    return rows_run(&kind_dns, argc, argv, cli, e);
}

static int run_tls(int argc, char **argv, struct cli *cli, struct error *e)
{
    return rows_run(&kind_tls, argc, argv, cli, e);
}

enum { OPTION_HAR = 0x500 };

static const struct argp_option options_http[] = {
    {"har", OPTION_HAR, "FILE", 0,
     "write an HTTP archive (HAR 1.2) for browsers' tools instead, - to standard output: timings as far as packets "
     "tell",
     25},
    {0},
};

static error_t parse_http(int key, char *arg, struct argp_state *state)
{
    struct http *h = state->input;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = &h->r;
    else if (key == OPTION_HAR)
        h->har = arg;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

#define MORE                                                                                                           \
    "\nA line belongs to the time in which its request began. What several agents saw is one line, and counts once; "  \
    "--vantage all has every one's. What has not ended yet is listed as far as it came: its outcome is running. "      \
    "`fleetdump help filter` lists the words of filters, --columns all fields.\n"

static const struct argp argp_http = {options_http,
                                      parse_http,
                                      "[FILTER]",
                                      "HTTP requests with their replies, one line each, or sums over groups of them.\v"
                                      "Examples:\n"
                                      "  fleetdump http 'status >= 500' --since 15m\n"
                                      "  fleetdump http 'method POST and path /api/* and wait > 200ms'\n"
                                      "  fleetdump http 'to 10.0.0.5' --by host,status\n"
                                      "  fleetdump http 'host 10.0.0.5' --since 15m --har out.har\n" MORE,
                                      rows_children,
                                      NULL,
                                      NULL};

static const struct argp argp_dns = {NULL,
                                     rows_parse,
                                     "[FILTER]",
                                     "DNS queries with their answers, one line each, or sums over groups of them.\v"
                                     "Examples:\n"
                                     "  fleetdump dns 'unanswered or rcode != NOERROR' --by agent,name\n"
                                     "  fleetdump dns 'name *.corp and qtype AAAA' --since 5m\n"
                                     "  fleetdump dns 'wait > 50ms' --sort -wait --top 20\n" MORE,
                                     rows_children,
                                     NULL,
                                     NULL};

static const struct argp argp_tls = {NULL,
                                     rows_parse,
                                     "[FILTER]",
                                     "TLS handshakes, one line each, or sums over groups of them.\v"
                                     "Examples:\n"
                                     "  fleetdump tls 'sni *.example.org' --since 15m\n"
                                     "  fleetdump tls 'version != \"TLS 1.3\"' --by orig_addr,version\n"
                                     "  fleetdump tls --by ja4 --top 20\n" MORE,
                                     rows_children,
                                     NULL,
                                     NULL};

#define COMMAND(app_, summary_)                                                                                        \
    {                                                                                                                  \
        .name = #app_, .summary = (summary_), .argp = &argp_##app_, .run = run_##app_, .column = rows_column,          \
        .columns_of = &kind_##app_                                                                                     \
    }
const struct command command_http = COMMAND(http, "HTTP requests, one line each");
const struct command command_dns = COMMAND(dns, "DNS queries, one line each");
const struct command command_tls = COMMAND(tls, "TLS handshakes, one line each");
