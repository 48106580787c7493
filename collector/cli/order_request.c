/*
 * The request that the options make. --for counts from when the collector starts it, so it is signed as a duration; beside it
 * stands when it is over in any case, which bounds what a signature may be used for.
 */
#include "collector/cli/names.h"
#include "collector/cli/order_options.h"
#include "collector/cli/order_selector.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include "common/filter/capture_filter.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define ORDER_START_MOST_NS (60 * NS_PER_S) /* the agents are asked first: longer than that no collector waits */

/* ------------------------------------------------------------------ the filter */

static void ignore_name(void *context, const char *name)
{
    (void)context;
    (void)name;
}

/* What a capture's filter cannot have is said at once; if it is a good filter of connections, with what to do. */
static int check_words(const char *filter, struct error *e)
{
    int r = capture_filter_each_name(filter, ignore_name, NULL, e);
    if (r != ERROR_USAGE || !e || !names_in_connection_filter(filter))
        return r;
    size_t len = strlen(e->text);
    snprintf(e->text + len, sizeof e->text - len,
             "\nCapture by tcpdump's words (host X and port N; --on says where), and choose among it afterwards: "
             "fleetdump flows '%.200s'",
             filter);
    return r;
}

static int take_filter(const struct cli *cli, const json_t *agents, const char *filter, struct order_request *out,
                       struct error *e)
{
    int r = names_expand(cli, agents, filter, &out->filter, e);
    if (r == 0)
        r = capture_filter_compiles(out->filter, e);
    if (r == 0 && strlen(out->filter) > REQUEST_FILTER_MAX)
        r = error_set(e, ERROR_LIMIT, "the filter is %zu bytes long with the addresses of its names: at most %u",
                      strlen(out->filter), REQUEST_FILTER_MAX);
    if (r == 0 && strcmp(out->filter, filter) != 0)
        note(cli, "filter: %s", out->filter);
    out->request.filter = out->filter;
    return r;
}

/* ------------------------------------------------------------------ times */

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* +15m is from now on; all else as everywhere. */
static int take_start(const char *text, uint64_t now_ns, uint64_t *start_ns, struct error *e)
{
    char when[40];
    int r = text[0] == '+' ? units_parse(UNIT_NS, text + 1, start_ns, e) : units_parse_time(text, now_ns, start_ns, e);
    if (r)
        return error_set(e, r, "--start-at %.100s: it is 23:30, '2026-11-26 03:00', or +15m (from now on)", text);
    if (text[0] == '+')
        *start_ns = sum(now_ns, *start_ns);
    if (*start_ns < now_ns)
        return error_set(e, ERROR_USAGE, "--start-at %s: that was %s; write +15m for in 15 minutes, or the day too",
                         text, units_format_time(*start_ns, when, sizeof when));
    return 0;
}

static int take_times(const struct order_options *o, uint64_t now_ns, struct capture_request *r, struct error *e)
{
    uint64_t start_ns = now_ns;
    int code = o->start_at ? take_start(o->start_at, now_ns, &start_ns, e) : 0;
    if (code)
        return code;
    r->start_ns = o->start_at ? start_ns : 0;
    r->for_ns = o->for_ns;
    if (o->for_ns)
        r->end_ns = sum(sum(start_ns, o->for_ns), ORDER_START_MOST_NS);
    r->issued_ns = now_ns;
    r->expires_ns = r->end_ns ? r->end_ns : UINT64_MAX;
    return 0;
}

/* ------------------------------------------------------------------ names */

char *order_who(bool certified, char *buf)
{
    char host[ORDER_WHO_MAX / 2] = "?", name[HEAD_NAME_MAX + 1];
    (void)gethostname(host, sizeof host - 1);
    if (sign_who(certified, name))
        snprintf(buf, ORDER_WHO_MAX, "%s", name);
    else
        snprintf(buf, ORDER_WHO_MAX, "%.60s@%s", name, host);
    return buf;
}

static int take_names(const struct cli *cli, const struct order_options *o, struct order_request *out, struct error *e)
{
    struct capture_request *r = &out->request;
    if (getrandom(r->id, sizeof r->id, 0) != sizeof r->id || getrandom(r->nonce, sizeof r->nonce, 0) != sizeof r->nonce)
        return error_sys(e, errno, "no random numbers");
    for (size_t i = 0; i < sizeof out->name / 2; i++)
        snprintf(out->name + 2 * i, 3, "%02x", r->id[i]);
    r->name = (char *)(uintptr_t)o->name; /* none: the collector names it after its id, if nobody signed that */
    r->who = order_who(!cli->insecure_plaintext, out->who);
    return 0;
}

/* ------------------------------------------------------------------ the whole */

static struct capture_request request_of(const struct order_options *o)
{
    return (struct capture_request){
        .on = o->on,
        .on_count = o->on_count,
        .labels = o->labels,
        .label_count = o->label_count,
        .interfaces = o->interfaces,
        .interface_count = o->interface_count,
        .snaplen = (uint32_t)o->snaplen,
        .cutoff = (uint32_t)o->cutoff,
        .keep = o->keep,
        .companions = !o->no_companions,
        .packets = o->packets,
        .bytes = o->bytes,
        .rate = o->rate,
    };
}

static int ask_agents(struct client *client, json_t **agents, struct error *e)
{
    const struct message_query q = {.kind = QUERY_AGENTS, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    return client_fetch(client, &q, agents, e);
}

int order_request_check(const struct order_options *o, struct error *e)
{
    struct capture_request r = {0};
    int code = check_words(o->filter ? o->filter : "", e);
    return code ? code : take_times(o, clock_wall_ns(), &r, e);
}

int order_request_make(const struct cli *cli, struct client *client, const struct order_options *o,
                       enum signature_purpose purpose, struct order_request *out, struct error *e)
{
    json_t *agents = NULL;
    uint64_t now_ns = clock_wall_ns() + (uint64_t)client_clock_offset_ns(client);
    *out = (struct order_request){.request = request_of(o)};
    int r = take_times(o, now_ns, &out->request, e);
    if (r == 0)
        r = take_names(cli, o, out, e);
    if (r == 0)
        r = ask_agents(client, &agents, e);
    if (r == 0)
        r = order_selector_check(cli, agents, &out->request, o->partial, e);
    if (r == 0)
        r = take_filter(cli, agents, o->filter ? o->filter : "", out, e);
    json_decref(agents);
    if (r == 0)
        r = sign_request(purpose, out->name, &out->request, out->signature, e);
    if (r == 0 && !out->request.end_ns && !o->bytes_said)
        note(cli, "it ends for each agent after 1 GiB all the same: --bytes none lifts that");
    return r;
}

void order_request_free(struct order_request *r)
{
    free(r->filter);
}
