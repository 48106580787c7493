#include "collector/cli/har.h"
#include "common/base/units.h"
#include "common/rows/field.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NS_PER_MS 1e6
#define HTTP_PORT 80u

static bool has(const struct flow_row *row, unsigned id)
{
    return column_has(&row->exchange->has, id);
}

static const struct field *named(const char *name)
{
    return field_named(name, strlen(name));
}

/* ------------------------------------------------------------------ names */

/* An answer: client, name, when it was asked and came, and what it said. */
struct har_name {
    char client[64], name[256];
    char *answers; /* owned; or NULL */
    uint64_t asked_ns, came_ns;
};

void har_names_free(struct har_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i].answers);
    free(n->items);
    *n = (struct har_names){0};
}

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for an HTTP archive");
}

int har_names_add(struct har_names *n, const struct flow_row *row, struct error *e)
{
    const struct exchange_row *x = row->exchange;
    char answers[FIELD_TEXT_MAX];
    if (!has(row, EXCHANGE_DNS_NAME) || !has(row, EXCHANGE_TIME) || !has(row, EXCHANGE_WAIT))
        return 0;
    if (n->count == n->cap) {
        size_t cap = n->cap ? n->cap * 2 : 256;
        struct har_name *items = realloc(n->items, cap * sizeof *items);
        if (!items)
            return no_memory(e);
        n->items = items;
        n->cap = cap;
    }
    struct har_name *a = &n->items[n->count];
    *a = (struct har_name){.asked_ns = x->time_ns, .came_ns = x->time_ns + x->wait_ns};
    field_text(named("orig_addr"), row, true, a->client, sizeof a->client);
    field_text(named("dns_name"), row, true, a->name, sizeof a->name);
    if (field_text(named("dns_answers"), row, true, answers, sizeof answers) && !(a->answers = strdup(answers)))
        return no_memory(e);
    n->count++;
    n->sorted = false;
    return 0;
}

static int compare_name(const struct har_name *a, const char *client, const char *name)
{
    int c = strcmp(a->client, client);
    return c ? c : strcasecmp(a->name, name);
}

static int by_name(const void *a, const void *b)
{
    const struct har_name *x = a, *y = b;
    int c = compare_name(x, y->client, y->name);
    return c ? c : x->came_ns < y->came_ns ? -1 : x->came_ns > y->came_ns;
}

/* Whether the address is one of the answers: a whole word of the text. */
static bool is_answer(const char *answers, const char *address)
{
    size_t len = strlen(address);
    for (const char *at = answers; (at = strstr(at, address)); at += len)
        if ((at == answers || strchr(" ,", at[-1])) && (!at[len] || strchr(" ,", at[len])))
            return true;
    return false;
}

/* The last answer that the client had for the name before the connection, for its server; NULL if there is none. */
static const struct har_name *find_name(struct har_names *n, const char *client, const char *name, const char *server,
                                        uint64_t start_ns)
{
    size_t low = 0, high = n->count;
    if (!n->sorted && n->count)
        qsort(n->items, n->count, sizeof *n->items, by_name);
    n->sorted = true;
    while (low < high) { /* the first behind those that came before */
        size_t middle = (low + high) / 2;
        int c = compare_name(&n->items[middle], client, name);
        if (c < 0 || (c == 0 && n->items[middle].came_ns <= start_ns))
            low = middle + 1;
        else
            high = middle;
    }
    while (low-- > 0) {
        const struct har_name *a = &n->items[low];
        if (compare_name(a, client, name) != 0 || start_ns - a->came_ns > HAR_DNS_NS)
            break;
        if (!a->answers || is_answer(a->answers, server))
            return a;
    }
    return NULL;
}

/* ------------------------------------------------------------------ texts */

/* The field as JSON; "" if it is missing. */
static json_t *text(const struct flow_row *row, const char *field)
{
    char buf[FIELD_TEXT_MAX];
    field_text(named(field), row, true, buf, sizeof buf);
    return json_string(buf);
}

static json_t *milliseconds(uint64_t ns)
{
    return json_real((double)ns / NS_PER_MS);
}

/* RFC 3339 to the microsecond, which is as much as readers of the format take. */
static json_t *time_text(uint64_t ns)
{
    char buf[64];
    char *dot = strchr(units_rfc3339(ns, buf, sizeof buf), '.');
    if (dot && strlen(dot) > 7)
        memcpy(dot + 7, "Z", 2);
    return json_string(buf);
}

/* By RFC 9112, 3.3: the host as the request named it, else the server's address and, if it is not HTTP's own, port. */
static void put_authority(const struct flow_row *row, struct buffer *out)
{
    char host[FIELD_TEXT_MAX];
    uint64_t port = HTTP_PORT;
    if (field_text(named("http_host"), row, true, host, sizeof host)) {
        buffer_printf(out, "%s", host);
        return;
    }
    field_text(named("resp_addr"), row, true, host, sizeof host);
    bool brackets = strchr(host, ':') != NULL;
    buffer_printf(out, "%s%s%s", brackets ? "[" : "", host, brackets ? "]" : "");
    if (field_number(named("resp_port"), row, &port) && port != HTTP_PORT)
        buffer_printf(out, ":%u", (unsigned)port);
}

static json_t *url(const struct flow_row *row)
{
    struct buffer out = {0};
    char path[FIELD_TEXT_MAX];
    field_text(named("path"), row, true, path, sizeof path);
    bool is_whole = strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0;
    if (!is_whole) {
        buffer_printf(&out, "http://");
        put_authority(row, &out);
    }
    buffer_printf(&out, "%s%s", !is_whole && path[0] != '/' ? "/" : "", path);
    json_t *o = out.failed ? NULL : json_stringn((const char *)out.data, out.len);
    buffer_free(&out);
    return o;
}

/* ------------------------------------------------------------------ request and response */

static json_t *size_or_unknown(bool known, uint64_t size)
{
    return json_integer(known && size <= INT64_MAX ? (json_int_t)size : -1);
}

static void put_message(json_t *o, const struct flow_row *row, unsigned bytes_id, unsigned body_id, uint64_t bytes,
                        uint64_t body)
{
    bool has_body = has(row, body_id) && body > 0;
    json_object_set_new(o, "httpVersion", text(row, "version"));
    json_object_set_new(o, "cookies", json_array());
    json_object_set_new(o, "headers", json_array());
    json_object_set_new(o, "headersSize", size_or_unknown(has(row, bytes_id) && has(row, body_id) && !has_body, bytes));
    json_object_set_new(o, "bodySize", size_or_unknown(has(row, body_id), body));
}

static json_t *request(const struct flow_row *row)
{
    const struct exchange_row *x = row->exchange;
    json_t *o = json_object();
    json_object_set_new(o, "method", text(row, "method"));
    json_object_set_new(o, "url", url(row));
    json_object_set_new(o, "queryString", json_array());
    put_message(o, row, EXCHANGE_REQUEST_BYTES, EXCHANGE_REQUEST_BODY, x->request_bytes, x->request_body);
    return o;
}

static json_t *response(const struct flow_row *row)
{
    const struct exchange_row *x = row->exchange;
    json_t *o = json_object(), *content = json_object();
    json_object_set_new(o, "status", json_integer(has(row, EXCHANGE_STATUS) ? x->status : 0));
    json_object_set_new(o, "statusText", json_string(""));
    put_message(o, row, EXCHANGE_REPLY_BYTES, EXCHANGE_REPLY_BODY, x->reply_bytes, x->reply_body);
    json_object_set_new(content, "size", size_or_unknown(has(row, EXCHANGE_REPLY_BODY), x->reply_body));
    json_object_set_new(content, "mimeType", text(row, "content_type"));
    json_object_set_new(o, "content", content);
    json_object_set_new(o, "redirectURL", json_string(""));
    return o;
}

/* ------------------------------------------------------------------ times */

/* Nanoseconds; what is UINT64_MAX is not known. */
struct timing {
    uint64_t began_ns; /* of the first of them */
    uint64_t blocked, dns, connect, send, wait, receive;
};

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* What came before a connection's first request. */
static void add_connection(const struct flow_row *row, struct har_names *names, struct timing *t)
{
    char client[64], server[64], host[FIELD_TEXT_MAX];
    uint64_t request_ns = row->exchange->time_ns;
    if (!column_has(&row->has, FLOW_START) || !column_has(&row->has, FLOW_HANDSHAKE) || row->start_ns > request_ns)
        return;
    field_text(named("orig_addr"), row, true, client, sizeof client);
    field_text(named("resp_addr"), row, true, server, sizeof server);
    field_text(named("http_host"), row, true, host, sizeof host);
    host[strcspn(host, ":")] = 0;
    const struct har_name *name = find_name(names, client, host, server, row->start_ns);
    t->connect = row->handshake;
    t->began_ns = row->start_ns;
    if (name) {
        t->dns = name->came_ns - name->asked_ns;
        t->began_ns = name->asked_ns;
    }
    t->blocked = less(request_ns - t->began_ns, t->connect + (name ? t->dns : 0));
}

static struct timing timing_of(const struct flow_row *row, struct har_names *names)
{
    const struct exchange_row *x = row->exchange;
    struct timing t = {.began_ns = x->time_ns, .blocked = UINT64_MAX, .dns = UINT64_MAX, .connect = UINT64_MAX};
    t.send = has(row, EXCHANGE_SEND) ? x->send_ns : 0;
    t.wait = has(row, EXCHANGE_WAIT) ? x->wait_ns : 0;
    t.receive = has(row, EXCHANGE_DURATION) ? less(x->duration_ns, t.send + t.wait) : 0;
    if (has(row, EXCHANGE_ORDINAL) && x->ordinal == 1)
        add_connection(row, names, &t);
    return t;
}

static void put_timing(json_t *o, const char *name, uint64_t ns, uint64_t *sum)
{
    json_object_set_new(o, name, ns == UINT64_MAX ? json_integer(-1) : milliseconds(ns));
    *sum += ns == UINT64_MAX ? 0 : ns;
}

static json_t *timings(const struct timing *t, uint64_t *sum)
{
    json_t *o = json_object();
    put_timing(o, "blocked", t->blocked, sum);
    put_timing(o, "dns", t->dns, sum);
    put_timing(o, "connect", t->connect, sum);
    put_timing(o, "send", t->send, sum);
    put_timing(o, "wait", t->wait, sum);
    put_timing(o, "receive", t->receive, sum);
    json_object_set_new(o, "ssl", json_integer(-1));
    return o;
}

/* ------------------------------------------------------------------ the file */

static void put_more(json_t *o, const struct flow_row *row)
{
    const struct exchange_row *x = row->exchange;
    json_object_set_new(o, "_agent", text(row, "agent"));
    json_object_set_new(o, "_interface", text(row, "interface"));
    json_object_set_new(o, "_client", text(row, "client"));
    json_object_set_new(o, "_outcome", text(row, "outcome"));
    json_object_set_new(o, "_request_bytes", size_or_unknown(has(row, EXCHANGE_REQUEST_BYTES), x->request_bytes));
    json_object_set_new(o, "_reply_bytes", size_or_unknown(has(row, EXCHANGE_REPLY_BYTES), x->reply_bytes));
}

static json_t *entry(const struct flow_row *row, struct har_names *names)
{
    const struct timing t = timing_of(row, names);
    uint64_t sum = 0;
    json_t *o = json_object(), *times = timings(&t, &sum);
    json_object_set_new(o, "startedDateTime", time_text(t.began_ns));
    json_object_set_new(o, "time", milliseconds(sum));
    json_object_set_new(o, "request", request(row));
    json_object_set_new(o, "response", response(row));
    json_object_set_new(o, "cache", json_object());
    json_object_set_new(o, "timings", times);
    json_object_set_new(o, "serverIPAddress", text(row, "resp_addr"));
    json_object_set_new(o, "connection", text(row, "id"));
    put_more(o, row);
    return o;
}

void har_begin(struct buffer *out)
{
    buffer_printf(out,
                  "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"fleetdump\",\"version\":\"%s\"},\"entries\":[",
                  FLEETDUMP_VERSION);
}

int har_entry(const struct flow_row *row, struct har_names *names, bool first, struct buffer *out, struct error *e)
{
    json_t *o = entry(row, names);
    char *line = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!line)
        return no_memory(e);
    buffer_printf(out, "%s\n%s", first ? "" : ",", line);
    free(line);
    return out->failed ? no_memory(e) : 0;
}

void har_end(struct buffer *out)
{
    buffer_printf(out, "\n]}}\n");
}
