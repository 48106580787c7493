/*
 * fleetdump agents, captures, chunks, status: lists that the collector answers as JSON documents, each with its table of
 * columns.
 */
#include "collector/cli/client.h"
#include "collector/cli/question.h"
#include "collector/cli/sheet.h"
#include "collector/cli/when.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LOOK_NAME is never cut: people type it again. */
enum look { LOOK_NAME, LOOK_TEXT, LOOK_COUNT, LOOK_BYTES, LOOK_TIME, LOOK_AGO, LOOK_ADDRESSES, LOOK_JSON };

struct list_column {
    const char *name;
    const char *title;
    enum look look;
    const char *path; /* where it is in the document's objects: a.b.c; NULL: the name */
};

struct listing {
    uint8_t kind;
    bool single; /* the document is one object */
    const struct list_column *columns;
    struct sheet_choice choice;
    const char *nothing; /* said when the list is empty */
};

static const struct list_column agents_columns[] = {
    {"agent", "AGENT", LOOK_NAME, NULL},
    {"last_seen", "SEEN", LOOK_AGO, NULL},
    {"chunks", "CHUNKS", LOOK_COUNT, NULL},
    {"packets", "PACKETS", LOOK_COUNT, NULL},
    {"bytes", "BYTES", LOOK_BYTES, NULL},
    {"spool_bytes", "SPOOL", LOOK_BYTES, "status.spool.bytes"},
    {"spool_quota", "QUOTA", LOOK_BYTES, "status.spool.quota"},
    {"problem", "PROBLEM", LOOK_TEXT, "status.spool.full"},
    {"labels", "LABELS", LOOK_TEXT, NULL},
    {"addresses", "ADDRESSES", LOOK_ADDRESSES, NULL},
    {"peer", "FROM", LOOK_TEXT, NULL},
    {"software", "SOFTWARE", LOOK_TEXT, NULL},
    {"first_seen", "FIRST SEEN", LOOK_TIME, NULL},
    {"status", "STATUS", LOOK_JSON, NULL},
    {0},
};
static const struct list_column captures_columns[] = {
    {"capture", "CAPTURE", LOOK_NAME, NULL},
    {"first", "FIRST", LOOK_TIME, NULL},
    {"last", "LAST", LOOK_TIME, NULL},
    {"packets", "PACKETS", LOOK_COUNT, NULL},
    {"bytes", "BYTES", LOOK_BYTES, NULL},
    {"stored_bytes", "STORED", LOOK_BYTES, NULL},
    {"gap_packets", "LOST", LOOK_COUNT, NULL},
    {"open_streams", "OPEN", LOOK_COUNT, NULL},
    {"agents", "AGENTS", LOOK_TEXT, NULL},
    {"filter", "FILTER", LOOK_TEXT, NULL},
    {"streams", "STREAMS", LOOK_COUNT, NULL},
    {"chunks", "CHUNKS", LOOK_COUNT, NULL},
    {"rows", "ROWS", LOOK_COUNT, NULL},
    {"kernel_drops", "KERNEL DROPS", LOOK_COUNT, "counters.kernel_drops"},
    {"arrived", "ARRIVED", LOOK_TIME, NULL},
    {"counters", "COUNTERS", LOOK_JSON, NULL},
    {0},
};
static const struct list_column chunks_columns[] = {
    {"chunk", "CHUNK", LOOK_NAME, NULL},
    {"agent", "AGENT", LOOK_TEXT, NULL},
    {"capture", "CAPTURE", LOOK_TEXT, NULL},
    {"kind", "KIND", LOOK_NAME, NULL},
    {"reason", "REASON", LOOK_TEXT, NULL},
    {"first", "FIRST", LOOK_TIME, NULL},
    {"last", "LAST", LOOK_TIME, NULL},
    {"rows", "ROWS", LOOK_COUNT, NULL},
    {"frames", "FRAMES", LOOK_COUNT, NULL},
    {"packets", "PKTS", LOOK_COUNT, NULL},
    {"body", "BODY", LOOK_NAME, NULL},
    {"body_bytes", "BYTES", LOOK_BYTES, NULL},
    {"body_raw_bytes", "EXPANDED", LOOK_BYTES, NULL},
    {"arrived", "ARRIVED", LOOK_TIME, NULL},
    {0},
};
static const struct list_column status_columns[] = {
    {"software", "software", LOOK_TEXT, NULL},
    {"chunks", "chunks", LOOK_COUNT, NULL},
    {"rows", "rows", LOOK_COUNT, NULL},
    {"packets", "packets", LOOK_COUNT, NULL},
    {"oldest", "oldest packet", LOOK_TIME, NULL},
    {"newest", "newest packet", LOOK_TIME, NULL},
    {"head_bytes", "heads", LOOK_BYTES, NULL},
    {"body_bytes", "bodies", LOOK_BYTES, NULL},
    {"database_bytes", "databases", LOOK_BYTES, NULL},
    {"disk_free_bytes", "disk free", LOOK_BYTES, NULL},
    {"disk_total_bytes", "disk size", LOOK_BYTES, NULL},
    {"partitions", "partitions", LOOK_COUNT, NULL},
    {"open_partitions", "of these open", LOOK_COUNT, NULL},
    {"expired_chunks", "chunks expired", LOOK_COUNT, NULL},
    {"expired_bytes", "bytes expired", LOOK_BYTES, NULL},
    {0},
};

static const struct listing list_agents = {
    .kind = QUERY_AGENTS,
    .columns = agents_columns,
    .choice = {.table = "agent,last_seen,packets,bytes,spool_bytes,problem,labels,addresses",
               .wide = "agent,last_seen,first_seen,peer,chunks,packets,bytes,spool_bytes,spool_quota,problem,software,"
                       "labels,addresses"},
    .nothing = "no agent has ever connected to this collector: start fleetdump-agent with `collector = ADDRESS`",
};
static const struct listing list_captures = {
    .kind = QUERY_CAPTURES,
    .columns = captures_columns,
    .choice = {.table = "capture,first,last,packets,bytes,gap_packets,open_streams,agents,filter",
               .wide = "capture,first,last,packets,bytes,stored_bytes,gap_packets,kernel_drops,open_streams,streams,"
                       "chunks,rows,arrived,agents,filter"},
    .nothing = "no captures are stored: `fleetdump-agent --read FILE --capture NAME` on some host makes one",
};
static const struct listing list_chunks = {
    .kind = QUERY_CHUNKS,
    .columns = chunks_columns,
    .choice = {.narrow = "chunk,kind,agent,first,packets,body",
               .table = "chunk,kind,agent,capture,first,packets,body,body_bytes"},
    .nothing = "no chunks of that time, agent or capture are stored",
};
static const struct listing list_status = {.kind = QUERY_STATUS, .single = true, .columns = status_columns};

/* ------------------------------------------------------------------ cells */

struct cells {
    enum output_format format;
    const struct list_column *columns[SHEET_COLUMNS_MAX];
};

/* The value at a.b.c of an object, borrowed; NULL if there is none. */
static json_t *value_at(const json_t *row, const char *path)
{
    json_t *v = json_object_getn(row, path, strcspn(path, "."));
    const char *dot = strchr(path, '.');
    return dot && v ? value_at(v, dot + 1) : v;
}

static void put_time(const char *text, enum look look, enum output_format format, struct buffer *out)
{
    uint64_t ns, now = clock_wall_ns();
    char buf[40];
    if (units_parse_time(text, now, &ns, NULL))
        buffer_printf(out, "%s", text);
    else if (look == LOOK_AGO && ns <= now)
        buffer_printf(out, "%s ago", units_format(UNIT_NS, (now - ns) / NS_PER_S * NS_PER_S, buf, sizeof buf));
    else if (format == OUTPUT_TABLE)
        buffer_printf(out, "%s", when_format(ns, WHEN_DATE, buf, sizeof buf));
    else
        buffer_printf(out, "%s", units_format(UNIT_TIME_NS, ns, buf, sizeof buf));
}

/* Addresses that the agent has now, one after the other. */
static void put_addresses(const json_t *list, struct buffer *out)
{
    size_t i;
    json_t *a;
    json_array_foreach(list, i, a)
    {
        const char *text = json_string_value(json_object_get(a, "address"));
        if (text && json_integer_value(json_object_get(a, "to_ns")) == INT64_MAX)
            buffer_printf(out, "%s%s", out->len ? " " : "", text);
    }
}

static enum sheet_cell put_json_value(const json_t *v, struct buffer *out)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    if (text)
        buffer_append(out, text, strlen(text));
    free(text);
    return text ? SHEET_JSON : SHEET_MISSING;
}

static enum sheet_cell put_human(const struct list_column *c, enum output_format format, const json_t *v,
                                 struct buffer *out)
{
    char buf[40];
    if (c->look == LOOK_ADDRESSES)
        put_addresses(v, out);
    else if (json_is_integer(v))
        buffer_printf(out, "%s",
                      units_format(c->look == LOOK_BYTES ? UNIT_BYTES : UNIT_COUNT, (uint64_t)json_integer_value(v),
                                   buf, sizeof buf));
    else if (json_is_string(v) && (c->look == LOOK_TIME || c->look == LOOK_AGO))
        put_time(json_string_value(v), c->look, format, out);
    else if (json_is_string(v))
        buffer_append(out, json_string_value(v), json_string_length(v));
    else
        return put_json_value(v, out);
    return SHEET_TEXT;
}

static enum sheet_cell cell(void *context, const void *row, size_t column, bool exact, struct buffer *out)
{
    const struct cells *cells = context;
    const struct list_column *c = cells->columns[column];
    const json_t *v = value_at(row, c->path ? c->path : c->name);
    if (!v || json_is_null(v))
        return SHEET_MISSING;
    if (!exact)
        return put_human(c, cells->format, v, out);
    if (!json_is_string(v))
        return put_json_value(v, out);
    buffer_append(out, json_string_value(v), json_string_length(v));
    return SHEET_TEXT;
}

/* ------------------------------------------------------------------ printing */

static struct sheet_column column_of(const struct list_column *c)
{
    return (struct sheet_column){
        .name = c->name,
        .title = c->title,
        .right = c->look == LOOK_COUNT || c->look == LOOK_BYTES,
        .time = c->look == LOOK_TIME,
        .squeeze = c->look == LOOK_TEXT || c->look == LOOK_ADDRESSES || c->look == LOOK_JSON ? GRID_CUT : GRID_WHOLE};
}

static int take_columns(const struct cli *cli, const struct listing *l, struct sheet_column *columns,
                        struct cells *cells, size_t *count, struct error *e)
{
    struct sheet_column all[SHEET_COLUMNS_MAX];
    size_t n = 0, picked[SHEET_COLUMNS_MAX];
    for (; l->columns[n].name; n++)
        all[n] = column_of(&l->columns[n]);
    int r = sheet_pick(cli, all, n, &l->choice, picked, count, e);
    for (size_t i = 0; r == 0 && i < *count; i++) {
        columns[i] = all[picked[i]];
        cells->columns[i] = &l->columns[picked[i]];
    }
    return r;
}

static int print_rows(struct sheet *sheet, const json_t *document, struct error *e)
{
    size_t i;
    json_t *row;
    int r = json_is_object(document) ? sheet_row(sheet, document, e) : 0;
    json_array_foreach(document, i, row)
    {
        if (r == 0)
            r = sheet_row(sheet, row, e);
    }
    return r ? r : sheet_end(sheet, e);
}

/* Asks and prints. */
static int show(const struct cli *cli, const struct listing *l, const struct message_query *q, struct error *e)
{
    struct sheet_column columns[SHEET_COLUMNS_MAX];
    struct cells cells = {.format = l->single ? OUTPUT_WIDE : cli->format}; /* no title would tell the zone */
    const struct sheet_source source = {.cell = cell, .context = &cells};
    struct sheet *sheet = NULL;
    json_t *document = NULL;
    size_t count;
    int r = take_columns(cli, l, columns, &cells, &count, e);
    if (r == 0)
        r = client_document(cli, q, &document, e);
    if (r == 0)
        r = sheet_new(cli, columns, count, l->single, &source, &sheet, e);
    if (r == 0)
        r = print_rows(sheet, document, e);
    if (r == 0 && l->nothing && json_array_size(document) == 0)
        note(cli, "%s", l->nothing);
    sheet_free(sheet);
    json_decref(document);
    return r;
}

/* ------------------------------------------------------------------ lists of everything */

static error_t parse_plain(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static const struct argp_child plain_children[] = {{&cli_table_argp, 0, NULL, 0}, {0}};

static int plain(const struct command *c, int argc, char **argv, struct cli *cli, const struct listing *l,
                 struct error *e)
{
    const struct message_query q = {.kind = l->kind, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    cli_parse(c, argc, argv, cli);
    return show(cli, l, &q, e);
}

/* A command whose list is of everything. */
#define PLAIN(which, summary_, doc_)                                                                                   \
    static int run_##which(int argc, char **argv, struct cli *cli, struct error *e)                                    \
    {                                                                                                                  \
        return plain(&command_##which, argc, argv, cli, &list_##which, e);                                             \
    }                                                                                                                  \
    static const char *column_##which(size_t i, const char **help)                                                     \
    {                                                                                                                  \
        *help = NULL;                                                                                                  \
        return which##_columns[i].name;                                                                                \
    }                                                                                                                  \
    static const struct argp argp_##which = {NULL, parse_plain, NULL, doc_, plain_children, NULL, NULL};               \
    const struct command command_##which = {#which, summary_, &argp_##which, run_##which, column_##which}

PLAIN(agents, "the agents that the collector knows",
      "The agents that the collector knows.\v"
      "Examples:\n"
      "  fleetdump agents\n"
      "  fleetdump agents -o json --columns agent,last_seen,status\n");
PLAIN(captures, "what was captured: when, where, with which filter",
      "What was captured: when, where, with which filter, and how much of it is stored.\v"
      "Examples:\n"
      "  fleetdump captures\n"
      "  fleetdump captures -o csv --columns capture,first,last,packets\n");
PLAIN(status, "the collector's store",
      "The collector's store: what it holds, and how much room there is.\v"
      "Examples:\n"
      "  fleetdump status\n"
      "  fleetdump status -o json --columns disk_free_bytes\n");

/* ------------------------------------------------------------------ chunks */

static error_t parse_chunks(int key, char *arg, struct argp_state *state)
{
    struct question *u = state->input;
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = u;
    state->child_inputs[1] = u->cli;
    return 0;
}

static int run_chunks(int argc, char **argv, struct cli *cli, struct error *e)
{
    struct question u = {.cli = cli};
    cli_parse(&command_chunks, argc, argv, &u);
    int r = question_prepare(&u, QUERY_CHUNKS, e);
    if (r == 0)
        r = show(cli, &list_chunks, &u.q, e);
    question_free(&u);
    return r;
}

static const char *column_chunks(size_t i, const char **help)
{
    *help = NULL;
    return chunks_columns[i].name;
}

static const struct argp_child chunks_children[] = {{&question_argp, 0, NULL, 0}, {&cli_table_argp, 0, NULL, 0}, {0}};
static const struct argp chunks_argp = {
    NULL,
    parse_chunks,
    "[FILTER]",
    "The chunks that are stored, and the gaps between them.\v"
    "Of a filter only the words agent and capture, and addresses, ports and nets narrow the list; "
    "a chunk is listed if it may hold what is asked for.\n\n"
    "Examples:\n"
    "  fleetdump chunks --capture monday\n"
    "  fleetdump chunks --on web-1 --since 15m -o wide\n",
    chunks_children,
    NULL,
    NULL};

const struct command command_chunks = {"chunks", "the chunks that are stored", &chunks_argp, run_chunks, column_chunks};
