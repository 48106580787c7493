/*
 * A collector that answers what a folder says, for tests of the command line:
 *
 *   fake_answers FOLDER
 *
 * It listens on a free port of the loopback, and writes it to FOLDER/port. Each question and each command is appended to
 * FOLDER/questions as a line of text. The answer to a question of kind K is made of files, looked at anew each time (to a
 * command of kind K: "cK" for "K"):
 *
 *   K.data     the bytes of the answer; flows (kind 4) instead: a number, of rows made here (see make_row); exchanges (kind 9): JSON,
 *              an array of [COLUMNS, COLUMNS], of a row of its flow (else as make_row has it) and of the exchange, by name
 *   K.code     a number: the answer's code (0 if there is no file)
 *   K.text     the sentence for the user
 *   K.manifest its manifest
 *   N.K.data   the same for the N-th question of this kind alone (from 1); likewise the others
 *   N.away     instead of an answer to the N-th question of all, the connection ends
 *   mode       cut: the connection ends amid the answer; slow: the end comes 2 s later; never: no end comes; refuse: a refusal with
 *              the text of K.text; strange: a message that is no answer
 */
#include "common/base/fs.h"
#include "common/net/stream.h"
#include "common/rows/block.h"
#include "common/rows/flow_row.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_BLOCK 1000u
#define SLOW_MS      2000u

struct session {
    struct stream *stream;
    struct message_done done;
    char *text, *manifest;
    uv_timer_t timer;
};

static uv_loop_t loop;
static int folder;

/* ------------------------------------------------------------------ files */

static char *read_text(const char *name, size_t *len)
{
    char *data = NULL;
    size_t n = 0;
    if (fs_read_file(folder, name, 1u << 30, &data, &n, NULL))
        data = NULL;
    if (len)
        *len = n;
    return data;
}

/* Of one question of a kind, else of all. */
static char *read_part(unsigned number, const char *kind, const char *what, size_t *len)
{
    char name[64];
    snprintf(name, sizeof(name), "%u.%s.%s", number, kind, what);
    char *data = read_text(name, len);
    return data ? data : read_text(strchr(name, '.') + 1, len);
}

static bool mode_is(const char *word)
{
    char *mode = read_text("mode", NULL);
    bool is = mode && strncmp(mode, word, strlen(word)) == 0;
    free(mode);
    return is;
}

static FILE *open_questions(void)
{
    int fd = openat(folder, "questions", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    FILE *to = fdopen(fd, "a");
    if (!to)
        exit(1);
    return to;
}

static void note_request(FILE *to, const struct capture_request *r)
{
    fprintf(to,
            "|filter=%s|name=%s|snaplen=%u|keep=%u|companions=%u|packets=%" PRIu64 "|bytes=%" PRIu64 "|rate=%" PRIu64,
            r->filter ? r->filter : "", r->name ? r->name : "", r->snaplen, r->keep, r->companions, r->packets,
            r->bytes, r->rate);
    fprintf(to, "|start=%" PRIu64 "|end=%" PRIu64 "|issued=%" PRIu64 "|expires=%" PRIu64 "|for=%" PRIu64 "|by=%s",
            r->start_ns, r->end_ns, r->issued_ns, r->expires_ns, r->for_ns, r->who ? r->who : "");
    for (uint32_t i = 0; i < r->on_count; i++)
        fprintf(to, "|on=%s", r->on[i]);
    for (uint32_t i = 0; i < r->label_count; i++)
        fprintf(to, "|label=%s", r->labels[i]);
    for (uint32_t i = 0; i < r->interface_count; i++)
        fprintf(to, "|interface=%s", r->interfaces[i]);
}

static void note_command(const struct message_command *c)
{
    FILE *to = open_questions();
    fprintf(to, "command=%u|which=%s|partial=%u|who=%s", c->kind, c->which ? c->which : "", c->partial,
            c->who ? c->who : "");
    if (c->request_count)
        note_request(to, c->request);
    fputc('\n', to);
    fclose(to);
}

static void note_question(const struct message_query *q)
{
    FILE *to = open_questions();
    fprintf(to, "kind=%u|filter=%s|since=%" PRIu64 "|until=%" PRIu64 "|capture=%s|sort=%s|limit=%" PRIu64, q->kind,
            q->filter ? q->filter : "", q->since_ns, q->until_ns, q->capture ? q->capture : "", q->sort ? q->sort : "",
            q->limit);
    fprintf(to, "|vantage=%u|packets_only=%u|link_type=%u|seq=%" PRIu64 "|epoch0=%02x|deadline=%" PRIu64, q->vantage,
            q->packets_only, q->link_type, q->seq, q->epoch[0], q->deadline_ms);
    fprintf(to, "|fresh=%" PRIu64 "|after=%s|app=%s", q->fresh_ms, q->after ? q->after : "", q->app ? q->app : "");
    for (uint32_t i = 0; i < q->agent_count; i++)
        fprintf(to, "|on=%s", q->agents[i]);
    for (uint32_t i = 0; i < q->by_count; i++)
        fprintf(to, "|by=%s", q->by[i]);
    for (uint32_t i = 0; i < q->name_count; i++)
        fprintf(to, "|name=%s:%u", q->names[i].name, q->names[i].address_count);
    fputc('\n', to);
    fclose(to);
}

/* ------------------------------------------------------------------ flows */

#define SAY(s) ((struct text){s, sizeof(s) - 1})

static void set_ends(struct flow_row *r, uint8_t family, const char *a, uint16_t a_port, const char *b, uint16_t b_port)
{
    r->key.family = family;
    inet_pton(family == FAMILY_IP4 ? AF_INET : AF_INET6, a, r->key.addr[0]);
    inet_pton(family == FAMILY_IP4 ? AF_INET : AF_INET6, b, r->key.addr[1]);
    r->key.port[0] = a_port;
    r->key.port[1] = b_port;
    r->key.has_ports = 1;
}

/* Row i: web over IPv4; web over IPv6 with long addresses; a name server with great numbers; ARP; names from hell. */
static void make_row(uint64_t i, struct flow_row *r)
{
    static const uint8_t known[] = {FLOW_ADDR_0,  FLOW_ADDR_1,     FLOW_PORT_0,    FLOW_PORT_1,    FLOW_ETHERTYPE,
                                    FLOW_FAMILY,  FLOW_PROTO,      FLOW_HAS_PORTS, FLOW_ID,        FLOW_START,
                                    FLOW_FIRST,   FLOW_LAST,       FLOW_PACKETS_0, FLOW_PACKETS_1, FLOW_BYTES_0,
                                    FLOW_BYTES_1, FLOW_ORIGINATOR, FLOW_STATE,     FLOW_AGENT,     FLOW_INTERFACE_NAME,
                                    FLOW_CAPTURE, FLOW_HISTORY};
    *r = (struct flow_row){.flow_id = 0x7f3a000000000000u + i,
                           .start_ns = UINT64_C(1764000000123456789) + i * 1000000,
                           .packets = {6, 5},
                           .bytes = {700, 1500},
                           .originator = i % 2,
                           .state = FLOW_STATE_SF,
                           .history = SAY("ShADadFf"),
                           .agent = SAY("web-1"),
                           .interface_name = SAY("eth0"),
                           .capture = SAY("monday")};
    for (size_t k = 0; k < sizeof(known); k++)
        column_add(&r->has, known[k]);
    r->first_ns = r->start_ns;
    r->last_ns = r->start_ns + 213000000;
    r->key.proto = PROTO_TCP;
    r->key.ethertype = ETHERTYPE_IP4;
    set_ends(r, FAMILY_IP4, "10.0.0.5", 43210, "192.168.100.200", 80);
    r->originator = 0;
    if (i % 5 == 1) {
        r->key.ethertype = ETHERTYPE_IP6;
        set_ends(r, FAMILY_IP6, "2001:db8:1234:5678:9abc:def0:1234:5678", 443, "2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa",
                 54321);
        r->originator = 1;
    } else if (i % 5 == 2) {
        r->key.proto = PROTO_UDP;
        set_ends(r, FAMILY_IP4, "10.0.0.5", 53000, "10.0.0.1", 53);
        r->bytes[0] = UINT64_C(9007199254740993); /* no double holds it */
        r->bytes[1] = 0;
        r->packets[0] = UINT64_C(18446744073709551615);
        r->packets[1] = 0;
        column_remove(&r->has, FLOW_STATE);
        column_remove(&r->has, FLOW_HISTORY);
    } else if (i % 5 == 3) {
        set_ends(r, FAMILY_IP4, "10.0.0.5", 0, "10.0.0.1", 0);
        r->key.has_ports = 0;
        r->key.proto = 0;
        r->key.ethertype = ETHERTYPE_ARP;
        column_remove(&r->has, FLOW_STATE);
    } else if (i % 5 == 4) {
        r->agent = SAY("\033[31mevil, \"agent\"\n\xc2\x9b"
                       "1m\x7f\xff");
    }
}

static void send_result(struct session *s, const void *data, size_t len, bool end)
{
    const uint8_t *p = data;
    do {
        size_t n = len < NET_PIECE_MAX ? len : NET_PIECE_MAX;
        struct message m = {.type = MESSAGE_RESULT,
                            .result = {.data = p, .length = (uint32_t)n, .end_of_block = end && n == len}};
        if (stream_send(s->stream, &m, NULL))
            return;
        p += n;
        len -= n;
    } while (len > 0);
}

static void send_flows(struct session *s, uint64_t count)
{
    struct flow_row *rows = calloc(ROWS_A_BLOCK, sizeof(*rows));
    struct buffer block = {0};
    for (uint64_t i = 0; rows && i < count; i += ROWS_A_BLOCK) {
        size_t n = count - i < ROWS_A_BLOCK ? (size_t)(count - i) : ROWS_A_BLOCK;
        for (size_t k = 0; k < n; k++)
            make_row(i + k, &rows[k]);
        buffer_clear(&block);
        if (block_encode(&table_flow, rows, n, &block, NULL) == 0)
            send_result(s, block.data, block.len, true);
    }
    buffer_free(&block);
    free(rows);
}

/* Texts belong to the JSON. */
static void set_columns(const struct table *t, const json_t *values, void *row)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)values, name, value)
    {
        const struct column *c = table_column_named(t, name);
        if (!c) {
            fprintf(stderr, "no column %s\n", name);
            exit(1);
        }
        if (c->type == COLUMN_TEXT) {
            *(struct text *)(void *)((char *)row + c->offset) =
                (struct text){json_string_value(value), (uint32_t)json_string_length(value)};
            column_add(row, c->id);
        } else if (c->type == COLUMN_ADDRESS) {
            memset((char *)row + c->offset, 0, 16);
            inet_pton(AF_INET, json_string_value(value), (char *)row + c->offset);
            column_add(row, c->id);
        } else
            column_set_uint(c, row, (uint64_t)json_integer_value(value));
    }
}

static void send_exchanges(struct session *s, const char *data)
{
    json_t *list = data ? json_loads(data, 0, NULL) : NULL, *pair;
    size_t n = json_array_size(list), i;
    struct flow_row *flows = calloc(n + 1, sizeof(*flows));
    struct exchange_row *rows = calloc(n + 1, sizeof(*rows));
    struct buffer block = {0};
    json_array_foreach(list, i, pair)
    {
        make_row(0, &flows[i]);
        set_columns(&table_flow, json_array_get(pair, 0), &flows[i]);
        set_columns(&table_exchange, json_array_get(pair, 1), &rows[i]);
    }
    if (n && block_encode(&table_flow, flows, n, &block, NULL) == 0)
        send_result(s, block.data, block.len, true);
    buffer_clear(&block);
    if (n && block_encode(&table_exchange, rows, n, &block, NULL) == 0)
        send_result(s, block.data, block.len, true);
    buffer_free(&block);
    free(rows);
    free(flows);
    json_decref(list);
}

/* ------------------------------------------------------------------ a session */

static void send_done(struct session *s)
{
    struct message m = {.type = MESSAGE_DONE, .done = s->done};
    if (s->stream && stream_send(s->stream, &m, NULL))
        stream_abort(s->stream);
}

static void on_slow(uv_timer_t *timer)
{
    send_done(timer->data);
}

static void finish(struct session *s)
{
    if (mode_is("cut"))
        stream_close(s->stream);
    else if (mode_is("slow"))
        uv_timer_start(&s->timer, on_slow, SLOW_MS, 0);
    else if (!mode_is("never"))
        send_done(s);
}

static bool unusual(struct session *s)
{
    struct message m = {.type = MESSAGE_REFUSE, .refuse = {.code = ERROR_REFUSED, .text = s->text}};
    if (mode_is("strange"))
        m = (struct message){.type = MESSAGE_STREAM_STATE, .stream_state = {.head_next = 1}};
    else if (!mode_is("refuse"))
        return false;
    if (stream_send(s->stream, &m, NULL) == 0)
        stream_close(s->stream);
    return true;
}

static bool is_away(void)
{
    static unsigned questions;
    char name[64];
    snprintf(name, sizeof(name), "%u.away", ++questions);
    return faccessat(folder, name, F_OK, 0) == 0;
}

static void answer(struct session *s, unsigned number, const char *kind, uint8_t query)
{
    size_t len;
    char *data = read_part(number, kind, "data", &len), *code = read_part(number, kind, "code", NULL);
    free(s->text);
    free(s->manifest);
    s->text = read_part(number, kind, "text", NULL);
    s->manifest = read_part(number, kind, "manifest", NULL);
    s->done = (struct message_done){.code = code ? atoi(code) : 0, .text = s->text, .manifest = s->manifest};
    if (is_away())
        stream_close(s->stream);
    else if (!unusual(s)) {
        if (query == QUERY_EXCHANGES)
            send_exchanges(s, data);
        else if (query == QUERY_FLOWS)
            send_flows(s, data ? strtoull(data, NULL, 10) : 0);
        else if (data)
            send_result(s, data, len, true);
        finish(s);
    }
    free(data);
    free(code);
}

static void on_query(struct session *s, const struct message_query *q)
{
    static unsigned asked[256];
    char kind[16];
    note_question(q);
    snprintf(kind, sizeof(kind), "%u", q->kind);
    answer(s, ++asked[q->kind], kind, q->kind);
}

static void on_command(struct session *s, const struct message_command *c)
{
    static unsigned given[256];
    char kind[16];
    note_command(c);
    snprintf(kind, sizeof(kind), "c%u", c->kind);
    answer(s, ++given[c->kind], kind, 0);
}

static void on_message(void *context, struct stream *stream, const struct message *m)
{
    struct session *s = context;
    struct message welcome = {.type = MESSAGE_WELCOME,
                              .welcome = {.protocol = NET_PROTOCOL, .collector = (char *)(uintptr_t) "fake"}};
    if (m->type == MESSAGE_QUERY)
        on_query(s, &m->query);
    else if (m->type == MESSAGE_COMMAND)
        on_command(s, &m->command);
    else if (stream_send(stream, &welcome, NULL))
        stream_abort(stream);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct session *s = h->data;
    free(s->text);
    free(s->manifest);
    free(s);
}

static void on_close(void *context, struct stream *stream, const struct error *why)
{
    struct session *s = context;
    (void)stream;
    (void)why;
    s->stream = NULL;
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static bool on_accept(void *context, struct stream *stream, const struct stream_events **events, void **stream_context)
{
    static const struct stream_events all = {.on_message = on_message, .on_close = on_close};
    struct session *s = calloc(1, sizeof(*s));
    (void)context;
    if (!s)
        return false;
    s->stream = stream;
    uv_timer_init(&loop, &s->timer);
    s->timer.data = s;
    *events = &all;
    *stream_context = s;
    return true;
}

int main(int argc, char **argv)
{
    struct error e = ERROR_INIT;
    struct listener *l;
    char port[16];
    if (argc != 2)
        return EXIT_USAGE;
    (void)signal(SIGPIPE, SIG_IGN); /* whoever asks may go away amid an answer */
    folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uv_loop_init(&loop);
    int r = listener_new(&loop, NULL, "127.0.0.1:0", 100, on_accept, NULL, &l, &e);
    if (r == 0) {
        snprintf(port, sizeof(port), "%d", listener_port(l));
        r = fs_replace(folder, "port", port, strlen(port), 0644, NULL, &e);
    }
    if (r == 0)
        uv_run(&loop, UV_RUN_DEFAULT);
    fprintf(stderr, "fake_answers: %s\n", e.text);
    return error_exit_status(r);
}
