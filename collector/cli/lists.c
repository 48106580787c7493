/*
 * fleetdump agents, captures, chunks, status: lists that the collector answers as JSON documents, each with its table of columns.
 */
#include "collector/cli/client.h"
#include "collector/cli/question.h"
#include "collector/cli/sheet.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum look { LOOK_TEXT, LOOK_NUMBER, LOOK_BYTES, LOOK_TIME, LOOK_AGO, LOOK_ADDRESSES };

struct list_column {
    const char *name; /* a key of the document's objects; a.b for a key of an object in it */
    const char *title;
    enum look look;
};

struct list {
    uint8_t kind;
    const char *doc;      /* for --help */
    const char *fallback; /* columns in a table */
    const struct list_column *columns;
    const char *nothing; /* said when the list is empty */
};

static const struct list_column agent_columns[] = {
    {"agent", "AGENT", LOOK_TEXT},
    {"last_seen", "SEEN", LOOK_AGO},
    {"peer", "FROM", LOOK_TEXT},
    {"labels", "LABELS", LOOK_TEXT},
    {"addresses", "ADDRESSES", LOOK_ADDRESSES},
    {"chunks", "CHUNKS", LOOK_NUMBER},
    {"packets", "PACKETS", LOOK_NUMBER},
    {"bytes", "BYTES", LOOK_BYTES},
    {"status.spool_bytes", "SPOOL", LOOK_BYTES},
    {"software", "SOFTWARE", LOOK_TEXT},
    {"first_seen", "FIRST SEEN", LOOK_TIME},
    {0},
};
static const struct list_column capture_columns[] = {
    {"capture", "CAPTURE", LOOK_TEXT},
    {"agents", "AGENTS", LOOK_TEXT},
    {"filter", "FILTER", LOOK_TEXT},
    {"first", "FIRST PACKET", LOOK_TIME},
    {"last", "LAST PACKET", LOOK_TIME},
    {"arrived", "ARRIVED", LOOK_TIME},
    {"streams", "STREAMS", LOOK_NUMBER},
    {"open_streams", "OPEN", LOOK_NUMBER},
    {"chunks", "CHUNKS", LOOK_NUMBER},
    {"rows", "ROWS", LOOK_NUMBER},
    {"packets", "PACKETS", LOOK_NUMBER},
    {"bytes", "BYTES", LOOK_BYTES},
    {"stored_bytes", "STORED", LOOK_BYTES},
    {"gap_packets", "GAPS", LOOK_NUMBER},
    {"counters.kernel_drops", "KERNEL DROPS", LOOK_NUMBER},
    {0},
};
static const struct list_column chunk_columns[] = {
    {"chunk", "CHUNK", LOOK_TEXT},
    {"agent", "AGENT", LOOK_TEXT},
    {"capture", "CAPTURE", LOOK_TEXT},
    {"kind", "KIND", LOOK_TEXT},
    {"reason", "REASON", LOOK_TEXT},
    {"first", "FIRST PACKET", LOOK_TIME},
    {"last", "LAST PACKET", LOOK_TIME},
    {"arrived", "ARRIVED", LOOK_TIME},
    {"rows", "ROWS", LOOK_NUMBER},
    {"frames", "FRAMES", LOOK_NUMBER},
    {"packets", "PACKETS", LOOK_NUMBER},
    {"body", "BODY", LOOK_TEXT},
    {"body_bytes", "BYTES", LOOK_BYTES},
    {"body_raw_bytes", "EXPANDED", LOOK_BYTES},
    {0},
};
static const struct list_column status_columns[] = {
    {"software", "SOFTWARE", LOOK_TEXT},
    {"partitions", "PARTITIONS", LOOK_NUMBER},
    {"open_partitions", "OPEN", LOOK_NUMBER},
    {"chunks", "CHUNKS", LOOK_NUMBER},
    {"rows", "ROWS", LOOK_NUMBER},
    {"packets", "PACKETS", LOOK_NUMBER},
    {"head_bytes", "HEADS", LOOK_BYTES},
    {"body_bytes", "BODIES", LOOK_BYTES},
    {"database_bytes", "DATABASES", LOOK_BYTES},
    {"disk_free_bytes", "DISK FREE", LOOK_BYTES},
    {"disk_total_bytes", "DISK SIZE", LOOK_BYTES},
    {"oldest", "OLDEST PACKET", LOOK_TIME},
    {"newest", "NEWEST PACKET", LOOK_TIME},
    {"expired_chunks", "EXPIRED", LOOK_NUMBER},
    {"expired_bytes", "EXPIRED BYTES", LOOK_BYTES},
    {0},
};

static const struct list list_agents = {
    QUERY_AGENTS,
    "The agents that the collector knows.\v"
    "Example:\n  fleetdump agents -o json\n",
    "agent,last_seen,peer,labels,addresses,chunks,packets,bytes,status.spool_bytes", agent_columns,
    "no agent has ever connected to this collector: start fleetdump-agent with `collector = ADDRESS`"};
static const struct list list_captures = {
    QUERY_CAPTURES,
    "What was captured: when, where, with which filter.\v"
    "Example:\n  fleetdump captures\n",
    "capture,agents,filter,first,last,open_streams,packets,bytes,stored_bytes,gap_packets", capture_columns,
    "no captures are stored"};
static const struct list list_chunks = {QUERY_CHUNKS,
                                        "The chunks that are stored; `fleetdump export` takes their names.\v"
                                        "Example:\n  fleetdump chunks --capture monday\n",
                                        "chunk,agent,capture,kind,first,rows,packets,body,body_bytes", chunk_columns,
                                        "no chunks of that time, agent or capture are stored"};
static const struct list list_status = {
    QUERY_STATUS,
    "The collector's store.\v"
    "Example:\n  fleetdump status -o json\n",
    "partitions,chunks,rows,packets,head_bytes,body_bytes,disk_free_bytes,oldest,newest,expired_chunks", status_columns,
    ""};

/* ------------------------------------------------------------------ cells */

struct cells {
    const struct list_column *columns[SHEET_COLUMNS_MAX];
};

/* The value at a.b of an object, borrowed. */
static json_t *value_at(const json_t *row, const char *name)
{
    char first[64];
    const char *dot = strchr(name, '.');
    if (!dot)
        return json_object_get(row, name);
    snprintf(first, sizeof first, "%.*s", (int)(dot - name), name);
    return json_object_get(json_object_get(row, first), dot + 1);
}

static void say_time(const char *text, bool ago, char *buf, size_t len)
{
    uint64_t ns, now = clock_wall_ns();
    struct error e = ERROR_INIT;
    if (units_parse_time(text, now, &ns, &e))
        snprintf(buf, len, "%s", text);
    else if (ago && ns <= now) {
        units_format(UNIT_NS, (now - ns) / NS_PER_S * NS_PER_S, buf, len);
        size_t n = strlen(buf);
        snprintf(buf + n, len - n, " ago");
    } else
        units_format(UNIT_TIME_NS, ns, buf, len);
}

/* Addresses that the agent has now, one after the other. */
static void say_addresses(const json_t *list, char *buf, size_t len)
{
    size_t i, used = 0;
    json_t *a;
    buf[0] = 0;
    json_array_foreach(list, i, a)
    {
        const char *text = json_string_value(json_object_get(a, "address"));
        if (json_integer_value(json_object_get(a, "to_ns")) != INT64_MAX || !text || used >= len)
            continue;
        used += (size_t)snprintf(buf + used, len - used, "%s%s", used ? " " : "", text);
    }
}

static void human(void *context, const void *row, size_t column, char *buf, size_t len)
{
    const struct list_column *c = ((struct cells *)context)->columns[column];
    json_t *v = value_at(row, c->name);
    if (c->look == LOOK_ADDRESSES)
        say_addresses(v, buf, len);
    else if (json_is_integer(v))
        units_format(c->look == LOOK_BYTES ? UNIT_BYTES : UNIT_COUNT, (uint64_t)json_integer_value(v), buf, len);
    else if (json_is_string(v) && (c->look == LOOK_TIME || c->look == LOOK_AGO))
        say_time(json_string_value(v), c->look == LOOK_AGO, buf, len);
    else if (json_is_string(v))
        snprintf(buf, len, "%s", json_string_value(v));
}

static json_t *exact(void *context, const void *row, size_t column)
{
    json_t *v = value_at(row, ((struct cells *)context)->columns[column]->name);
    return json_is_null(v) ? NULL : json_incref(v);
}

/* ------------------------------------------------------------------ the commands */

static int take_columns(const struct cli *cli, const struct list *l, struct sheet_column *columns, struct cells *cells,
                        size_t *count, struct error *e)
{
    struct sheet_column all[SHEET_COLUMNS_MAX];
    size_t n = 0, picked[SHEET_COLUMNS_MAX];
    for (; l->columns[n].name; n++)
        all[n] =
            (struct sheet_column){.name = l->columns[n].name,
                                  .title = l->columns[n].title,
                                  .right = l->columns[n].look == LOOK_NUMBER || l->columns[n].look == LOOK_BYTES,
                                  .narrow = l->columns[n].look == LOOK_TEXT || l->columns[n].look == LOOK_ADDRESSES};
    int r = sheet_pick(cli, all, n, l->fallback, picked, count, e);
    for (size_t i = 0; r == 0 && i < *count; i++) {
        columns[i] = all[picked[i]];
        cells->columns[i] = &l->columns[picked[i]];
    }
    return r;
}

static int print_list(const struct cli *cli, const struct list *l, json_t *document, struct error *e)
{
    struct sheet_column columns[SHEET_COLUMNS_MAX];
    struct cells cells;
    const struct sheet_source source = {.human = human, .exact = exact, .context = &cells};
    struct sheet *sheet = NULL;
    size_t count, i;
    json_t *row;
    int r = take_columns(cli, l, columns, &cells, &count, e);
    if (r == 0)
        r = sheet_new(cli, columns, count, &source, &sheet, e);
    if (r == 0 && json_is_object(document))
        r = sheet_row(sheet, document, e);
    json_array_foreach(document, i, row)
    {
        if (r == 0)
            r = sheet_row(sheet, row, e);
    }
    if (r == 0)
        r = sheet_end(sheet, e);
    if (r == 0 && json_is_array(document) && json_array_size(document) == 0 && !cli->quiet)
        fprintf(stderr, "%s\n", l->nothing);
    sheet_free(sheet);
    return r;
}

static int ask(const struct cli *cli, const struct list *l, const struct message_query *q, struct error *e)
{
    struct buffer text = {0};
    int r = client_fetch(cli, q, &text, e);
    json_t *document = r == 0 ? json_loads((const char *)text.data, 0, NULL) : NULL;
    buffer_free(&text);
    if (r == 0 && !document)
        r = error_set(e, ERROR_INVALID, "the collector's answer cannot be read");
    if (r == 0)
        r = print_list(cli, l, document, e);
    json_decref(document);
    return r;
}

static error_t parse_plain(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static int plain(int argc, char **argv, struct cli *cli, const struct list *l, struct error *e)
{
    static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {NULL, parse_plain, NULL, l->doc, children, NULL, NULL};
    const struct message_query q = {.kind = l->kind, .until_ns = UINT64_MAX};
    argp_parse(&argp, argc, argv, 0, NULL, cli);
    return ask(cli, l, &q, e);
}

int command_agents(int argc, char **argv, struct cli *cli, struct error *e)
{
    return plain(argc, argv, cli, &list_agents, e);
}

int command_captures(int argc, char **argv, struct cli *cli, struct error *e)
{
    return plain(argc, argv, cli, &list_captures, e);
}

int command_status(int argc, char **argv, struct cli *cli, struct error *e)
{
    return plain(argc, argv, cli, &list_status, e);
}

int command_chunks(int argc, char **argv, struct cli *cli, struct error *e)
{
    static const struct argp_child children[] = {{&question_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {NULL, parse_plain, "[FILTER]", list_chunks.doc, children, NULL, NULL};
    struct question u = {.cli = cli};
    argp_parse(&argp, argc, argv, 0, NULL, &u);
    int r = question_prepare(&u, QUERY_CHUNKS, e);
    if (r == 0)
        r = ask(cli, &list_chunks, &u.q, e);
    question_free(&u);
    return r;
}
