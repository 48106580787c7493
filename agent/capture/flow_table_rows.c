/* flow_table_rows: which flows have a row in the open chunk, the frames of each, and the rows themselves. */
#include "agent/capture/flow_table_impl.h"
#include "common/base/hash.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_FLOW 8u /* rows ahead */
#define FETCH_TCP  4u

/* ---------------------------------------------------------------- flows with a row */

void flow_touch(struct flow_table *t, uint32_t index)
{
    struct flow *f = flow_at(&t->store, index);
    if (f->row)
        return;
    if (t->touched_count == t->touched_room) {
        uint32_t room = t->touched_room ? t->touched_room * 2 : 1024;
        uint32_t *grown = realloc(t->touched, room * sizeof *grown);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->touched = grown;
        t->touched_room = room;
    }
    t->touched[t->touched_count++] = index;
    f->row = t->touched_count;
    f->first_ns = f->row_last_ns = f->last_ns;
}

static uint32_t node_add(struct flow_table *t)
{
    if (t->node_count + 1 >= t->node_room) {
        uint32_t room = t->node_room ? t->node_room * 2 : 1024;
        struct frame_node *grown = realloc(t->nodes, room * sizeof *grown);
        if (!grown) {
            t->failed = true;
            return 0;
        }
        t->nodes = grown;
        t->node_room = room;
    }
    return ++t->node_count;
}

/* The frames that stand in the flow go into a node behind those before. */
static bool frames_to_node(struct flow_table *t, struct flow *f)
{
    uint32_t node = node_add(t);
    if (!node)
        return false;
    memcpy(t->nodes[node].items, f->frames, sizeof f->frames);
    t->nodes[node].before = f->frames_node;
    f->frames_node = node;
    return true;
}

void flow_add_frame(struct flow_table *t, struct flow *f, uint32_t frame)
{
    uint32_t at = f->frame_count % FRAME_NODE_SIZE;
    if (frame == FLOW_FRAME_NONE ||
        (f->frame_count && f->frames[(at + FRAME_NODE_SIZE - 1) % FRAME_NODE_SIZE] == frame))
        return;
    if (at == 0 && f->frame_count && !frames_to_node(t, f))
        return;
    f->frames[at] = frame;
    f->frame_count++;
    t->frame_count++;
}

bool flow_rows_full(const struct flow_table *t)
{
    return t->touched_count + FLOW_TABLE_ROWS_SPARE > t->options.max_rows ||
           (!t->options.one_chunk && conversations_full(t->conversations));
}

bool flow_table_has_rows(const struct flow_table *t)
{
    return t->touched_count > 0;
}

size_t flow_table_row_count(const struct flow_table *t)
{
    return t->touched_count;
}

bool flow_table_loss(struct flow_table *t, uint32_t interface, uint64_t n)
{
    if (interface >= t->loss_room) {
        uint32_t room = interface + 8;
        uint64_t *grown = realloc(t->loss, room * sizeof *grown);
        if (!grown)
            return false;
        memset(grown + t->loss_room, 0, (room - t->loss_room) * sizeof *grown);
        t->loss = grown;
        t->loss_room = room;
    }
    t->loss[interface] += n;
    return true;
}

/* ---------------------------------------------------------------- rows */

/* Rows of a tile that have something in common: which columns they have, or not. */
enum set {
    SET_ALL,
    SET_IP,
    SET_HISTORY,
    SET_FRAMES,
    SET_QUOTED, /* by an ICMP error */
    SET_TCP,
    SET_REPLIED,
    SET_HANDSHAKE,
    SET_SYN_ANSWER,
    SET_TIMED, /* what follows stands for endpoint 0, then for endpoint 1 */
    SET_ACKED = SET_TIMED + 2,
    SET_LOST = SET_ACKED + 2,
    SET_SYN = SET_LOST + 2,
    SET_MSS = SET_SYN + 2,
    SET_SCALE = SET_MSS + 2,
    SET_COUNT = SET_SCALE + 2
};

/* A column whose value stands in a record as it is. */
struct source {
    uint8_t column, set;
    uint8_t size;
    uint16_t offset;
};
#define SOURCE(record, column, set, member)                                                                            \
    {                                                                                                                  \
        column, set, sizeof(((struct record *)0)->member), offsetof(struct record, member)                             \
    }
/* The columns of both endpoints. */
#define BOTH(record, column, set, member)                                                                              \
    SOURCE(record, (column) + 0, set, member[0]), SOURCE(record, (column) + 1, set, member[1])
#define SENT(column, set, member)                                                                                      \
    SOURCE(flow_tcp, (column) + 0, (set) + 0, measures.sent[0].member),                                                \
        SOURCE(flow_tcp, (column) + 1, (set) + (set != SET_TCP), measures.sent[1].member)
#define SYN(column, set, member)                                                                                       \
    SOURCE(flow_tcp, (column) + 0, (set) + 0, measures.syn[0].member),                                                 \
        SOURCE(flow_tcp, (column) + 1, (set) + 1, measures.syn[1].member)

/* Columns that stand side by side and are mostly the same in all rows of a tile: then they are looked at together. */
#define RUN(record, from, to)                                                                                          \
    offsetof(struct record, from),                                                                                     \
        offsetof(struct record, to) + sizeof(((struct record *)0)->to) - offsetof(struct record, from)
struct run {
    const struct source *sources;
    size_t count;
    uint16_t offset, bytes; /* which they have together */
};

static const struct source sources_key[] = {
    SOURCE(flow, FLOW_INTERFACE, SET_ALL, key.interface), SOURCE(flow, FLOW_TUNNEL_ID, SET_ALL, key.tunnel_id),
    BOTH(flow, FLOW_VLAN_0, SET_ALL, key.vlan),           SOURCE(flow, FLOW_ETHERTYPE, SET_ALL, key.ethertype),
    SOURCE(flow, FLOW_FAMILY, SET_ALL, key.family),       SOURCE(flow, FLOW_PROTO, SET_ALL, key.proto),
    SOURCE(flow, FLOW_TUNNEL, SET_ALL, key.tunnel),       SOURCE(flow, FLOW_HAS_PORTS, SET_ALL, key.has_ports),
};
static const struct run run_key = {sources_key, sizeof sources_key / sizeof *sources_key,
                                   RUN(flow, key.interface, key.reserved)};

#define TROUBLE(i)                                                                                                     \
    {                                                                                                                  \
        SOURCE(flow_tcp, FLOW_RETRANS_0 + (i), SET_TCP, measures.sent[i].retrans),                                     \
            SOURCE(flow_tcp, FLOW_SPURIOUS_0 + (i), SET_TCP, measures.sent[i].spurious),                               \
            SOURCE(flow_tcp, FLOW_FAST_0 + (i), SET_TCP, measures.sent[i].fast),                                       \
            SOURCE(flow_tcp, FLOW_OUT_OF_ORDER_0 + (i), SET_TCP, measures.sent[i].out_of_order),                       \
            SOURCE(flow_tcp, FLOW_DUPLICATE_ACKS_0 + (i), SET_TCP, measures.sent[i].duplicate_acks),                   \
            SOURCE(flow_tcp, FLOW_ZERO_WINDOWS_0 + (i), SET_TCP, measures.sent[i].zero_windows),                       \
            SOURCE(flow_tcp, FLOW_FULL_WINDOWS_0 + (i), SET_TCP, measures.sent[i].full_windows),                       \
            SOURCE(flow_tcp, FLOW_KEEP_ALIVES_0 + (i), SET_TCP, measures.sent[i].keep_alives),                         \
            SOURCE(flow_tcp, FLOW_RETRANS_BYTES_0 + (i), SET_TCP, measures.sent[i].retrans_bytes),                     \
    }
static const struct source sources_trouble[2][9] = {TROUBLE(0), TROUBLE(1)};
static const struct run run_trouble[2] = {
    {sources_trouble[0], 9, RUN(flow_tcp, measures.sent[0].retrans, measures.sent[0].retrans_bytes)},
    {sources_trouble[1], 9, RUN(flow_tcp, measures.sent[1].retrans, measures.sent[1].retrans_bytes)}};

static const struct source sources_flow[] = {
    BOTH(flow, FLOW_ADDR_0, SET_ALL, key.addr),
    BOTH(flow, FLOW_PORT_0, SET_ALL, key.port),
    SOURCE(flow, FLOW_ID, SET_ALL, id),
    SOURCE(flow, FLOW_START, SET_ALL, start_ns),
    SOURCE(flow, FLOW_FIRST, SET_ALL, first_ns),
    SOURCE(flow, FLOW_LAST, SET_ALL, row_last_ns),
    BOTH(flow, FLOW_PACKETS_0, SET_ALL, packets),
    BOTH(flow, FLOW_BYTES_0, SET_ALL, bytes),
    BOTH(flow, FLOW_PAYLOAD_0, SET_ALL, payload),
    BOTH(flow, FLOW_LATER_FRAGMENTS_0, SET_IP, later_fragments),
    BOTH(flow, FLOW_SYN_0, SET_TCP, syn),
    BOTH(flow, FLOW_FIN_0, SET_TCP, fin),
    BOTH(flow, FLOW_RST_0, SET_TCP, rst),
    BOTH(flow, FLOW_TCP_FLAGS_0, SET_TCP, tcp_flags),
    SOURCE(flow, FLOW_ORIGINATOR, SET_ALL, originator),
    SOURCE(flow, FLOW_ORIGINATOR_BY, SET_ALL, originator_by),
    SOURCE(flow, FLOW_END_REASON, SET_ALL, end_reason),
    SOURCE(flow, FLOW_PRIOR_PACKETS, SET_ALL, prior_packets),
    SOURCE(flow, FLOW_PRIOR_BYTES, SET_ALL, prior_bytes),
    SOURCE(flow, FLOW_ICMP_ERRORS, SET_IP, icmp_errors),
    SOURCE(flow, FLOW_ICMP_ERROR_TYPE, SET_QUOTED, icmp_error_type),
    SOURCE(flow, FLOW_ICMP_ERROR_CODE, SET_QUOTED, icmp_error_code),
};

static const struct source sources_tcp[] = {
    SOURCE(flow_tcp, FLOW_GAP_BYTES_0, SET_TCP, state.end[0].gap_bytes),
    SOURCE(flow_tcp, FLOW_GAP_BYTES_1, SET_TCP, state.end[1].gap_bytes),
    SENT(FLOW_ACKED_MAX_0, SET_ACKED, acked_max),
    SENT(FLOW_LOST_MAX_0, SET_LOST, lost_max),
    SENT(FLOW_RTT_COUNT_0, SET_TCP, rtt_count),
    SENT(FLOW_RTT_SUM_0, SET_TCP, rtt_sum_ns),
    SENT(FLOW_RTT_MIN_0, SET_TIMED, rtt_min_ns),
    SENT(FLOW_RTT_MAX_0, SET_TIMED, rtt_max_ns),
    SYN(FLOW_MSS_0, SET_MSS, mss),
    SYN(FLOW_WINDOW_SCALE_0, SET_SCALE, scale),
    SYN(FLOW_SACK_0, SET_SYN, sack),
    SYN(FLOW_INITIAL_SEQ_0, SET_SYN, seq),
    SOURCE(flow_tcp, FLOW_HANDSHAKE, SET_HANDSHAKE, measures.handshake_ns),
    SOURCE(flow_tcp, FLOW_SYN_ANSWER, SET_SYN_ANSWER, measures.syn_answer_ns),
    SOURCE(flow_tcp, FLOW_REPLIES, SET_TCP, measures.replies),
    SOURCE(flow_tcp, FLOW_WAIT_SUM, SET_TCP, measures.wait_sum_ns),
    SOURCE(flow_tcp, FLOW_WAIT_MAX, SET_REPLIED, measures.wait_max_ns),
};

/* Rows that are put at a time. */
struct flow_tile {
    size_t n;
    const void *flow[STAGE_TILE];
    const void *tcp[STAGE_TILE]; /* NULL: not TCP */
    uint64_t set[SET_COUNT];
    uint8_t state[STAGE_TILE];
    uint64_t loss[STAGE_TILE];
    struct text history[STAGE_TILE]; /* in the table's letters */
    struct list frames[STAGE_TILE];
};

static bool is_ip(const struct flow_key *key)
{
    return (key->family == FAMILY_IP4 || key->family == FAMILY_IP6) && key->ethertype != ETHERTYPE_ARP &&
           key->ethertype != ETHERTYPE_RARP;
}

static enum flow_state state_of(const struct flow *f, const struct flow_tcp *tcp)
{
    if (!is_ip(&f->key))
        return FLOW_STATE_UNKNOWN;
    if (!flow_has_history(&f->key))
        return FLOW_STATE_OTH;
    if (tcp)
        return tcp_state_name(&tcp->state, f->originator, &f->history);
    bool asked = f->sent >> f->originator & 1, answered = f->sent >> !f->originator & 1;
    if (asked)
        return answered ? FLOW_STATE_SF : FLOW_STATE_S0;
    return answered ? FLOW_STATE_SHR : FLOW_STATE_OTH;
}

static uint64_t row_loss(const struct flow_table *t, const struct flow *f)
{
    return f->life == FLOW_ENDED ? f->loss : flow_loss_of(t, f->key.interface) - f->loss;
}

static void add(struct flow_tile *k, unsigned set, size_t r, bool is_in)
{
    k->set[set] |= (uint64_t)is_in << r;
}

static void sort_tcp(struct flow_tile *k, size_t r, const struct tcp_measures *m)
{
    add(k, SET_TCP, r, true);
    add(k, SET_REPLIED, r, m->replies > 0);
    add(k, SET_HANDSHAKE, r, m->has_handshake);
    add(k, SET_SYN_ANSWER, r, m->has_syn_answer);
    for (unsigned i = 0; i < 2; i++) {
        add(k, SET_TIMED + i, r, m->sent[i].rtt_count > 0);
        add(k, SET_ACKED + i, r, m->sent[i].acked_max > 0);
        add(k, SET_LOST + i, r, m->sent[i].lost_max > 0);
        add(k, SET_SYN + i, r, m->syn[i].seen);
        add(k, SET_MSS + i, r, m->syn[i].seen && m->syn[i].mss);
        add(k, SET_SCALE + i, r, m->syn[i].seen && m->syn[i].scale >= 0);
    }
}

/* Of a flow that has some. */
static struct list take_frames(struct flow_table *t, const struct flow *f)
{
    uint32_t *frames = t->frames + t->frames_filled;
    uint32_t in_nodes = (f->frame_count - 1) / FRAME_NODE_SIZE * FRAME_NODE_SIZE;
    memcpy(frames + in_nodes, f->frames, (f->frame_count - in_nodes) * sizeof *frames);
    for (uint32_t i = in_nodes, node = f->frames_node; i > 0; i -= FRAME_NODE_SIZE, node = t->nodes[node].before)
        memcpy(frames + i - FRAME_NODE_SIZE, t->nodes[node].items, sizeof t->nodes[node].items);
    t->frames_filled += f->frame_count;
    return (struct list){frames, f->frame_count};
}

/* Letters stand one behind the other, not in flows all over the memory: they are read again when the block is written. */
static struct text take_letters(struct flow_table *t, const struct flow *f)
{
    struct text *last = &t->last_letters;
    if (last->len == f->history.length && memcmp(last->data, f->history.letters, last->len) == 0)
        return *last;
    char *at = t->letters + t->letters_filled;
    memcpy(at, f->history.letters, f->history.length);
    t->letters_filled += f->history.length;
    *last = (struct text){at, f->history.length};
    return *last;
}

/* The r-th row of the tile is this flow's. */
static void take_flow(struct flow_table *t, struct flow_tile *k, size_t r, uint32_t index)
{
    struct flow *f = flow_at(&t->store, index);
    const struct flow_tcp *tcp = flow_is_tcp(&f->key) ? flow_tcp_at(&t->store, index) : NULL;
    k->flow[r] = f;
    k->tcp[r] = tcp;
    add(k, SET_ALL, r, true);
    add(k, SET_IP, r, is_ip(&f->key));
    add(k, SET_HISTORY, r, f->history.length > 0);
    add(k, SET_FRAMES, r, f->frame_count > 0);
    add(k, SET_QUOTED, r, f->icmp_errors > 0);
    if (tcp)
        sort_tcp(k, r, &tcp->measures);
    k->state[r] = (uint8_t)state_of(f, tcp);
    k->loss[r] = row_loss(t, f);
    k->history[r] = take_letters(t, f);
    if (f->frame_count)
        k->frames[r] = take_frames(t, f);
    if (f->conversation.it)
        conversation_running(t->conversations, &f->conversation, f->id);
}

static void put_sources(struct stage *s, const struct flow_tile *k, const struct source *from, size_t count,
                        const void *const *records)
{
    for (; count-- > 0; from++)
        stage_put(s, from->column, k->set[from->set], records, from->offset, from->size);
}

/* Whether all records of a set have the same bytes there; a multiple of 4 bytes. */
static bool are_same(const void *const *records, uint64_t set, size_t offset, size_t bytes)
{
    const uint8_t *first = (const uint8_t *)records[__builtin_ctzll(set)] + offset;
    uint64_t differ = 0;
    for (uint64_t left = set; left && !differ; left &= left - 1) {
        const uint8_t *at = (const uint8_t *)records[__builtin_ctzll(left)] + offset;
        for (size_t k = 0; k < bytes; k += sizeof(uint32_t)) {
            uint32_t a;
            uint32_t b;
            memcpy(&a, first + k, sizeof a);
            memcpy(&b, at + k, sizeof b);
            differ |= a ^ b;
        }
    }
    return !differ;
}

static void put_run(struct stage *s, const struct flow_tile *k, const struct run *run, const void *const *records)
{
    uint64_t set = k->set[run->sources->set];
    if (!set || !are_same(records, set, run->offset, run->bytes)) {
        put_sources(s, k, run->sources, run->count, records);
        return;
    }
    const uint8_t *first = records[__builtin_ctzll(set)];
    for (const struct source *c = run->sources; c < run->sources + run->count; c++)
        stage_put_same(s, c->column, set, first + c->offset, c->size);
}

/* What applications said stands in rows, few of which know anything. */
static void put_said(const struct flow_table *t, struct stage *s, const struct flow_tile *k)
{
    bool any = false;
    for (size_t r = 0; r < k->n; r++) {
        const struct flow *f = k->flow[r];
        t->said[r].has = (struct column_set){.word = {0}};
        if (f->conversation.it || f->conversation.app) {
            conversation_fill(&f->conversation, &t->said[r]);
            any = true;
        }
    }
    if (any)
        stage_put_rows(s, FLOW_APP, FLOW_STATUS_5XX, t->said);
}

/* Flows with a row lie anywhere in memory: while one is worked on, the next ones are fetched. */
static void fetch_flow(const struct flow_table *t, uint32_t index)
{
    flow_prefetch(flow_at(&t->store, index));
}

static void fetch_tcp(const struct flow_table *t, uint32_t index)
{
    if (flow_is_tcp(&flow_at(&t->store, index)->key))
        flow_tcp_prefetch(flow_tcp_at(&t->store, index));
}

/* An address in a number, so that near ones are near. */
static uint32_t folded(const uint8_t address[16])
{
    uint32_t all = 0;
    for (unsigned i = 0; i < 16; i += sizeof all) {
        uint32_t word;
        memcpy(&word, address + i, sizeof word);
        all ^= be32toh(word);
    }
    return all;
}

#define ORDER_ORDINAL_BITS 16u /* of a key: the rest is what flows have in common */
/* Rows are the more alike the more their flows have in common: whom they asked for what, and when they began (in the order of ordinals, of which
 * the lower half is enough for the rows of a chunk). Alike ones stand together, as they are small then. */
static uint64_t order_key(const struct flow *f)
{
    return (uint64_t)f->key.port[!f->originator] << 48 |
           (uint64_t)folded(f->key.addr[f->originator]) << ORDER_ORDINAL_BITS | (uint16_t)f->ordinal;
}

#define ALIKE_BITS 18u

/* Counts those that have something in common with one before: about as many as there are, since some differ and have the same bit. */
struct alike {
    uint64_t seen[(1u << ALIKE_BITS) / 64];
    uint32_t count;
};

static void alike_add(struct alike *a, uint64_t key)
{
    uint64_t bit = hash64_mix(key >> ORDER_ORDINAL_BITS) >> (64 - ALIKE_BITS), mask = UINT64_C(1) << bit % 64;
    a->count += (a->seen[bit / 64] & mask) != 0;
    a->seen[bit / 64] |= mask;
}

/* Flows that have a row, in the order of the rows. Many flows with little in common, as in a flood, stay in the order in
 * which they came and mostly lie in memory: to read them in another one takes longer than all else. Only those that
 * ended are in front of the others, since most of them, in a flood, have no packets. */
static void order_rows(struct flow_table *t)
{
    struct order_item *ended = t->order, *others = t->order + t->touched_count;
    struct alike alike = {.count = 0};
    size_t ended_count = 0, others_count = 0;
    for (uint32_t i = 0; i < t->touched_count; i++) {
        if (i + FETCH_FLOW < t->touched_count)
            __builtin_prefetch(&flow_at(&t->store, t->touched[i + FETCH_FLOW])->key);
        const struct flow *f = flow_at(&t->store, t->touched[i]);
        struct order_item *item = f->life == FLOW_ENDED ? &ended[ended_count++] : &others[others_count++];
        *item = (struct order_item){order_key(f), t->touched[i]};
        alike_add(&alike, item->key);
    }
    memcpy(ended + ended_count, others, others_count * sizeof *others);
    bool worth = t->touched_count < FLOW_TABLE_ORDER_ALWAYS || alike.count > t->touched_count / 2;
    t->ordered = worth ? order_sort(t->order, t->touched_count) : t->order;
}

static int no_memory(const struct flow_table *t, struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for the rows of %u flows", t->touched_count);
}

int flow_table_prepare(struct flow_table *t, struct error *e)
{
    if (2 * (size_t)t->touched_count >= t->order_room) { /* one more: there is an array also for none */
        free(t->order);
        size_t room = 2 * (size_t)t->touched_count + 1;
        t->order = malloc(room * sizeof *t->order);
        t->order_room = t->order ? room : 0;
    }
    if (t->frame_count >= t->frames_room) { /* one more: there is an array also for none */
        free(t->frames);
        t->frames = malloc((t->frame_count + 1) * sizeof *t->frames);
        t->frames_room = t->frames ? t->frame_count + 1 : 0;
    }
    size_t letters = (size_t)t->touched_count * sizeof(((struct flow *)0)->history.letters) + 1;
    if (letters > t->letters_room) {
        free(t->letters);
        t->letters = malloc(letters);
        t->letters_room = t->letters ? letters : 0;
    }
    if (t->failed || !t->frames || !t->letters || !t->order)
        return no_memory(t, e);
    order_rows(t);
    return 0;
}

void flow_table_fill(struct flow_table *t, size_t from, size_t n, struct stage *tile)
{
    struct flow_tile k;
    memset(k.set, 0, sizeof k.set);
    k.n = n;
    if (from == 0) {
        t->frames_filled = t->letters_filled = 0;
        conversations_forget_running(t->conversations);
        t->last_letters = (struct text){t->letters, 0};
    }
    for (size_t r = 0; r < n; r++) {
        if (from + r + FETCH_FLOW < t->touched_count)
            fetch_flow(t, t->ordered[from + r + FETCH_FLOW].place);
        if (from + r + FETCH_TCP < t->touched_count)
            fetch_tcp(t, t->ordered[from + r + FETCH_TCP].place);
        take_flow(t, &k, r, t->ordered[from + r].place);
    }
    put_run(tile, &k, &run_key, k.flow);
    put_run(tile, &k, &run_trouble[0], k.tcp);
    put_run(tile, &k, &run_trouble[1], k.tcp);
    put_sources(tile, &k, sources_flow, sizeof sources_flow / sizeof *sources_flow, k.flow);
    put_sources(tile, &k, sources_tcp, sizeof sources_tcp / sizeof *sources_tcp, k.tcp);
    stage_put_values(tile, FLOW_STATE, k.set[SET_IP], k.state);
    stage_put_values(tile, FLOW_CAPTURE_LOSS, k.set[SET_ALL], k.loss);
    stage_put_values(tile, FLOW_HISTORY, k.set[SET_HISTORY], k.history);
    stage_put_values(tile, FLOW_FRAMES, k.set[SET_FRAMES], k.frames);
    put_said(t, tile, &k);
}

int flow_table_rows(struct flow_table *t, struct flow_row **rows, size_t *count, struct error *e)
{
    struct stage stage = {.table = NULL};
    *rows = NULL;
    *count = 0;
    int code = flow_table_prepare(t, e);
    if (!code)
        code = stage_begin(&stage, &table_flow, t->touched_count, e);
    free(t->rows);
    t->rows = code ? NULL : calloc(t->touched_count + 1, sizeof *t->rows);
    if (!code && !t->rows)
        code = no_memory(t, e);
    for (size_t i = 0; !code && i < t->touched_count; i += STAGE_TILE) {
        size_t n = stage_next(&stage);
        flow_table_fill(t, i, n, &stage);
    }
    if (!code) {
        stage_rows(&stage, t->rows);
        *rows = t->rows;
        *count = t->touched_count;
    }
    stage_free(&stage);
    return code;
}

void flow_table_exchanges(const struct flow_table *t, const struct exchange_row **rows, size_t *count)
{
    *count = conversations_exchanges(t->conversations, rows);
}

static void next_row(struct flow_table *t, uint32_t index)
{
    struct flow *f = flow_at(&t->store, index);
    f->prior_packets += (uint64_t)f->packets[0] + f->packets[1];
    f->prior_bytes += f->bytes[0] + f->bytes[1];
    f->loss = flow_loss_of(t, f->key.interface);
    f->row = 0;
    conversation_next(&f->conversation);
    f->icmp_errors = 0;
    f->frame_count = 0;
    for (int i = 0; i < 2; i++) {
        f->packets[i] = f->later_fragments[i] = f->syn[i] = f->fin[i] = f->rst[i] = 0;
        uint64_t payload = f->prior_payload[i] + f->payload[i];
        f->prior_payload[i] = payload < UINT32_MAX ? (uint32_t)payload : UINT32_MAX;
        f->bytes[i] = f->payload[i] = 0;
        f->tcp_flags[i] = 0;
    }
    if (flow_is_tcp(&f->key)) {
        struct flow_tcp *tcp = flow_tcp_at(&t->store, index);
        tcp_measures_next(&tcp->measures);
        tcp->state.end[0].gap_bytes = tcp->state.end[1].gap_bytes = 0;
    }
}

void flow_table_next(struct flow_table *t)
{
    for (uint32_t i = 0; i < t->touched_count; i++) {
        uint32_t index = t->touched[i];
        if (i + FETCH_FLOW < t->touched_count)
            fetch_flow(t, t->touched[i + FETCH_FLOW]);
        if (i + FETCH_TCP < t->touched_count)
            fetch_tcp(t, t->touched[i + FETCH_TCP]);
        if (flow_at(&t->store, index)->life == FLOW_ENDED) {
            conversation_forget(t->conversations, &flow_at(&t->store, index)->conversation);
            flow_store_reuse(&t->store, index);
        } else {
            next_row(t, index);
        }
    }
    conversations_next(t->conversations);
    t->touched_count = 0;
    t->node_count = 0;
    t->frame_count = 0;
}
