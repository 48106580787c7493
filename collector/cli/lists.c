/*
 * fleetdump agents, captures, chunks, status: lists that the collector answers as JSON documents.
 */
#include "collector/cli/listing.h"
#include "collector/cli/question.h"

static const struct list_column agents_columns[] = {
    {"agent", "AGENT", LOOK_NAME, NULL},
    {"up", "UP", LOOK_NAME, NULL}, /* silent: connected, but it does not answer */
    {"connected", "CONNECTED", LOOK_TEXT, NULL},
    {"last_seen", "SEEN", LOOK_AGO, NULL},
    {"clock_offset", "CLOCK", LOOK_OFFSET, "status.clock.offset_ns"},
    {"clock_uncertainty", "CLOCK +-", LOOK_SPAN, "status.clock.uncertainty_ns"},
    {"chunks", "CHUNKS", LOOK_COUNT, NULL},
    {"packets", "PACKETS", LOOK_COUNT, NULL},
    {"bytes", "BYTES", LOOK_BYTES, NULL},
    {"spool_bytes", "SPOOL", LOOK_BYTES, "status.spool.bytes"},
    {"spool_quota", "QUOTA", LOOK_BYTES, "status.spool.quota"},
    {"problem", "PROBLEM", LOOK_TEXT, NULL},
    {"labels", "LABELS", LOOK_TEXT, NULL},
    {"addresses", "ADDRESSES", LOOK_ADDRESSES, NULL},
    {"peer", "FROM", LOOK_TEXT, NULL},
    {"software", "SOFTWARE", LOOK_TEXT, NULL},
    {"first_seen", "FIRST_SEEN", LOOK_TIME, NULL},
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
    {"lost", "LOST", LOOK_COUNT, NULL},
    {"gap_packets", "GIVEN_UP", LOOK_COUNT, NULL},
    {"open_streams", "OPEN", LOOK_COUNT, NULL},
    {"agents", "AGENTS", LOOK_TEXT, NULL},
    {"filter", "FILTER", LOOK_TEXT, NULL},
    {"streams", "STREAMS", LOOK_COUNT, NULL},
    {"chunks", "CHUNKS", LOOK_COUNT, NULL},
    {"rows", "ROWS", LOOK_COUNT, NULL},
    {"not_captured_times", "HOLES", LOOK_COUNT, NULL},
    {"not_captured", "NOT CAPTURED", LOOK_JSON, NULL},
    {"kernel_drops", "KERNEL_DROPS", LOOK_COUNT, "counters.kernel_drops"},
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
    {"problem", "problem", LOOK_TEXT, NULL},
    {0},
};

static const struct listing list_agents = {
    .kind = QUERY_AGENTS,
    .columns = agents_columns,
    .choice = {.narrow = "agent,up,last_seen,packets,problem,labels,addresses",
               .table = "agent,up,last_seen,clock_offset,packets,bytes,spool_bytes,problem,labels,addresses",
               .wide = "agent,up,last_seen,clock_offset,first_seen,peer,chunks,packets,bytes,spool_bytes,"
                       "spool_quota,problem,software,labels,addresses"},
    .nothing = "no agent has ever connected to this collector: start fleetdump-agent with `collector = ADDRESS`",
};
static const struct listing list_captures = {
    .kind = QUERY_CAPTURES,
    .columns = captures_columns,
    .choice = {.narrow = "capture,first,packets,gap_packets,agents,filter",
               .table = "capture,first,last,packets,bytes,lost,open_streams,agents,filter",
               .wide = "capture,first,last,packets,bytes,stored_bytes,lost,gap_packets,not_captured_times,kernel_drops,"
                       "open_streams,streams,"
                       "chunks,rows,arrived,agents,filter"},
    .nothing = "no captures are stored: `fleetdump capture start` makes one, or `fleetdump-agent --read FILE --capture "
               "NAME` on some host",
};
static const struct listing list_chunks = {
    .kind = QUERY_CHUNKS,
    .columns = chunks_columns,
    .choice = {.narrow = "chunk,kind,agent,first,packets,body",
               .table = "chunk,kind,agent,capture,first,packets,body,body_bytes"},
    .nothing = "no chunks of that time, agent or capture are stored",
};
static const struct listing list_status = {.kind = QUERY_STATUS, .single = true, .columns = status_columns};

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
    return listing_show(cli, l, &q, e);
}

/* A command whose list is of everything. */
#define PLAIN(which, summary_, doc_)                                                                                   \
    static int run_##which(int argc, char **argv, struct cli *cli, struct error *e)                                    \
    {                                                                                                                  \
        return plain(&command_##which, argc, argv, cli, &list_##which, e);                                             \
    }                                                                                                                  \
    static const struct argp argp_##which = {NULL, parse_plain, NULL, doc_, plain_children, NULL, NULL};               \
    const struct command command_##which = {.name = #which,                                                            \
                                            .summary = summary_,                                                       \
                                            .argp = &argp_##which,                                                     \
                                            .run = run_##which,                                                        \
                                            .column = listing_column,                                                  \
                                            .columns_of = &list_##which}

PLAIN(agents, "the agents that the collector knows",
      "The agents that the collector knows. PROBLEM is what keeps one from capturing (it says so itself) or from being "
      "here: that it "
      "was revoked, or why it was refused when it came last.\v"
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
    struct question u = QUESTION_INIT(cli);
    cli_parse(&command_chunks, argc, argv, &u);
    int r = question_prepare(&u, QUERY_CHUNKS, e);
    if (r == 0)
        r = listing_show(cli, &list_chunks, &u.q, e);
    question_free(&u);
    return r;
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

const struct command command_chunks = {.name = "chunks",
                                       .summary = "the chunks that are stored",
                                       .argp = &chunks_argp,
                                       .run = run_chunks,
                                       .column = listing_column,
                                       .columns_of = &list_chunks};
