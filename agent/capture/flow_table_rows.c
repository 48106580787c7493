/* flow_table_rows: which flows have a row in the open chunk, the frames of each, and the rows themselves. */
#include "agent/capture/flow_table_impl.h"
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
    t->nodes[++t->node_count].next = 0;
    return t->node_count;
}

void flow_add_frame(struct flow_table *t, struct flow *f, uint32_t frame)
{
    if (frame == FLOW_FRAME_NONE || (f->frame_count && f->last_frame == frame))
        return;
    uint32_t at = f->frame_count % FRAME_NODE_SIZE;
    if (at == 0) {
        uint32_t node = node_add(t);
        if (!node)
            return;
        if (f->frame_count)
            t->nodes[f->frames_last].next = node;
        else
            f->frames_first = node;
        f->frames_last = node;
    }
    t->nodes[f->frames_last].items[at] = frame;
    f->frame_count++;
    f->last_frame = frame;
    t->frame_count++;
}

bool flow_rows_full(const struct flow_table *t)
{
    return t->touched_count + FLOW_TABLE_ROWS_SPARE > t->options.max_rows || conversations_full(t->conversations);
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

static const uint8_t columns_all[] = {
    FLOW_ADDR_0,        FLOW_ADDR_1,     FLOW_PORT_0,        FLOW_PORT_1,      FLOW_INTERFACE,    FLOW_TUNNEL_ID,
    FLOW_VLAN_0,        FLOW_VLAN_1,     FLOW_ETHERTYPE,     FLOW_FAMILY,      FLOW_PROTO,        FLOW_TUNNEL,
    FLOW_HAS_PORTS,     FLOW_ID,         FLOW_START,         FLOW_FIRST,       FLOW_LAST,         FLOW_PACKETS_0,
    FLOW_PACKETS_1,     FLOW_BYTES_0,    FLOW_BYTES_1,       FLOW_PAYLOAD_0,   FLOW_PAYLOAD_1,    FLOW_ORIGINATOR,
    FLOW_ORIGINATOR_BY, FLOW_END_REASON, FLOW_PRIOR_PACKETS, FLOW_PRIOR_BYTES, FLOW_CAPTURE_LOSS,
};
static const uint8_t columns_ip[] = {FLOW_LATER_FRAGMENTS_0, FLOW_LATER_FRAGMENTS_1, FLOW_STATE, FLOW_ICMP_ERRORS};
static const uint8_t columns_tcp[] = {
    FLOW_SYN_0,
    FLOW_SYN_1,
    FLOW_FIN_0,
    FLOW_FIN_1,
    FLOW_RST_0,
    FLOW_RST_1,
    FLOW_TCP_FLAGS_0,
    FLOW_TCP_FLAGS_1,
    FLOW_RETRANS_0,
    FLOW_RETRANS_1,
    FLOW_RETRANS_BYTES_0,
    FLOW_RETRANS_BYTES_1,
    FLOW_SPURIOUS_0,
    FLOW_SPURIOUS_1,
    FLOW_FAST_0,
    FLOW_FAST_1,
    FLOW_OUT_OF_ORDER_0,
    FLOW_OUT_OF_ORDER_1,
    FLOW_DUPLICATE_ACKS_0,
    FLOW_DUPLICATE_ACKS_1,
    FLOW_ZERO_WINDOWS_0,
    FLOW_ZERO_WINDOWS_1,
    FLOW_FULL_WINDOWS_0,
    FLOW_FULL_WINDOWS_1,
    FLOW_KEEP_ALIVES_0,
    FLOW_KEEP_ALIVES_1,
    FLOW_GAP_BYTES_0,
    FLOW_GAP_BYTES_1,
    FLOW_RTT_COUNT_0,
    FLOW_RTT_COUNT_1,
    FLOW_RTT_SUM_0,
    FLOW_RTT_SUM_1,
    FLOW_REPLIES,
    FLOW_WAIT_SUM,
};

static void add_columns(struct column_set *has, const uint8_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        column_add(has, ids[i]);
}

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

static void fill_columns(const struct flow *f, bool tcp, struct flow_row *r)
{
    add_columns(&r->has, columns_all, sizeof columns_all);
    if (is_ip(&f->key))
        add_columns(&r->has, columns_ip, sizeof columns_ip);
    if (tcp)
        add_columns(&r->has, columns_tcp, sizeof columns_tcp);
    if (f->history.length)
        column_add(&r->has, FLOW_HISTORY);
    if (f->frame_count)
        column_add(&r->has, FLOW_FRAMES);
    if (f->icmp_errors) {
        column_add(&r->has, FLOW_ICMP_ERROR_TYPE);
        column_add(&r->has, FLOW_ICMP_ERROR_CODE);
    }
}

static uint64_t row_loss(const struct flow_table *t, const struct flow *f)
{
    return (f->life == FLOW_ENDED ? f->loss_end : flow_loss_of(t, f->key.interface)) - f->loss_from;
}

/* Puts a value into the row, if it is known. */
#define PUT(row, column, member, known, value)                                                                         \
    do {                                                                                                               \
        if (known) {                                                                                                   \
            (row)->member = (value);                                                                                   \
            column_add(&(row)->has, (column));                                                                         \
        }                                                                                                              \
    } while (0)

static void fill_sent(const struct flow_tcp *tcp, unsigned i, struct flow_row *r)
{
    const struct tcp_sent *sent = &tcp->measures.sent[i];
    const struct tcp_syn *syn = &tcp->measures.syn[i];
    r->retrans[i] = sent->retrans;
    r->retrans_bytes[i] = sent->retrans_bytes;
    r->spurious[i] = sent->spurious;
    r->fast[i] = sent->fast;
    r->out_of_order[i] = sent->out_of_order;
    r->duplicate_acks[i] = sent->duplicate_acks;
    r->zero_windows[i] = sent->zero_windows;
    r->full_windows[i] = sent->full_windows;
    r->keep_alives[i] = sent->keep_alives;
    r->gap_bytes[i] = tcp->state.end[i].gap_bytes;
    r->rtt_count[i] = sent->rtt_count;
    r->rtt_sum[i] = sent->rtt_sum_ns;
    PUT(r, FLOW_RTT_MIN_0 + i, rtt_min[i], sent->rtt_count > 0, sent->rtt_min_ns);
    PUT(r, FLOW_RTT_MAX_0 + i, rtt_max[i], sent->rtt_count > 0, sent->rtt_max_ns);
    PUT(r, FLOW_ACKED_MAX_0 + i, acked_max[i], sent->acked_max > 0, sent->acked_max);
    PUT(r, FLOW_LOST_MAX_0 + i, lost_max[i], sent->lost_max > 0, sent->lost_max);
    PUT(r, FLOW_INITIAL_SEQ_0 + i, initial_seq[i], syn->seen, syn->seq);
    PUT(r, FLOW_SACK_0 + i, sack[i], syn->seen, syn->sack);
    PUT(r, FLOW_MSS_0 + i, mss[i], syn->seen && syn->mss, syn->mss);
    PUT(r, FLOW_WINDOW_SCALE_0 + i, window_scale[i], syn->seen && syn->scale >= 0, (uint8_t)syn->scale);
}

static void fill_tcp(const struct flow_tcp *tcp, struct flow_row *r)
{
    const struct tcp_measures *m = &tcp->measures;
    fill_sent(tcp, 0, r);
    fill_sent(tcp, 1, r);
    r->replies = m->replies;
    r->wait_sum = m->wait_sum_ns;
    PUT(r, FLOW_WAIT_MAX, wait_max, m->replies > 0, m->wait_max_ns);
    PUT(r, FLOW_HANDSHAKE, handshake, m->has_handshake, m->handshake_ns);
    PUT(r, FLOW_SYN_ANSWER, syn_answer, m->has_syn_answer, m->syn_answer_ns);
}

static void fill_row(const struct flow_table *t, uint32_t index, struct flow_row *r)
{
    const struct flow *f = flow_at(&t->store, index);
    const struct flow_tcp *tcp = flow_is_tcp(&f->key) ? flow_tcp_at(&t->store, index) : NULL;
    *r = (struct flow_row){
        .key = f->key,
        .flow_id = f->id,
        .start_ns = f->start_ns,
        .first_ns = f->first_ns,
        .last_ns = f->row_last_ns,
        .originator = f->originator,
        .originator_by = f->originator_by,
        .state = (uint8_t)state_of(f, tcp),
        .end_reason = f->end_reason,
        .history = {f->history.letters, f->history.length},
        .prior_packets = f->prior_packets,
        .prior_bytes = f->prior_bytes,
        .capture_loss = row_loss(t, f),
        .icmp_errors = f->icmp_errors,
        .icmp_error_type = f->icmp_error_type,
        .icmp_error_code = f->icmp_error_code,
    };
    for (int i = 0; i < 2; i++) {
        r->packets[i] = f->packets[i];
        r->bytes[i] = f->bytes[i];
        r->payload[i] = f->payload[i];
        r->later_fragments[i] = f->later_fragments[i];
        r->syn[i] = f->syn[i];
        r->fin[i] = f->fin[i];
        r->rst[i] = f->rst[i];
        r->tcp_flags[i] = f->tcp_flags[i];
    }
    if (tcp)
        fill_tcp(tcp, r);
    fill_columns(f, tcp != NULL, r);
    conversation_fill(&f->conversation, r);
}

static void fill_frames(const struct flow_table *t, const struct flow *f, struct flow_row *r, uint32_t *frames)
{
    r->frames = (struct list){frames, f->frame_count};
    uint32_t node = f->frames_first;
    for (uint32_t i = 0; i < f->frame_count; i++) {
        if (i && i % FRAME_NODE_SIZE == 0)
            node = t->nodes[node].next;
        frames[i] = t->nodes[node].items[i % FRAME_NODE_SIZE];
    }
}

int flow_table_prepare(struct flow_table *t, struct error *e)
{
    if (t->frame_count >= t->frames_room) { /* one more: there is an array also for none */
        free(t->frames);
        t->frames = malloc((t->frame_count + 1) * sizeof *t->frames);
        t->frames_room = t->frames ? t->frame_count + 1 : 0;
    }
    if (t->failed || !t->frames)
        return error_set(e, ERROR_MEMORY, "no memory for the rows of %u flows", t->touched_count);
    return 0;
}

/* Flows with a row lie anywhere in memory: while one is read, those behind it are fetched. */
static void fetch_ahead(const struct flow_table *t, size_t i)
{
    if (i + FETCH_FLOW < t->touched_count)
        flow_prefetch(flow_at(&t->store, t->touched[i + FETCH_FLOW]));
    if (i + FETCH_TCP < t->touched_count && flow_is_tcp(&flow_at(&t->store, t->touched[i + FETCH_TCP])->key))
        flow_tcp_prefetch(flow_tcp_at(&t->store, t->touched[i + FETCH_TCP]));
}

void flow_table_fill(struct flow_table *t, size_t from, size_t n, struct flow_row *rows)
{
    if (from == 0)
        t->frames_filled = 0;
    for (size_t i = 0; i < n; i++) {
        fetch_ahead(t, from + i);
        const struct flow *f = flow_at(&t->store, t->touched[from + i]);
        fill_row(t, t->touched[from + i], &rows[i]);
        fill_frames(t, f, &rows[i], t->frames + t->frames_filled);
        t->frames_filled += f->frame_count;
    }
}

int flow_table_rows(struct flow_table *t, struct flow_row **rows, size_t *count, struct error *e)
{
    *rows = NULL;
    *count = 0;
    int code = flow_table_prepare(t, e);
    if (code)
        return code;
    if (t->touched_count > t->rows_room) {
        free(t->rows);
        t->rows = malloc(t->touched_count * sizeof *t->rows);
        t->rows_room = t->rows ? t->touched_count : 0;
        if (!t->rows)
            return error_set(e, ERROR_MEMORY, "no memory for the rows of %u flows", t->touched_count);
    }
    flow_table_fill(t, 0, t->touched_count, t->rows);
    *rows = t->rows;
    *count = t->touched_count;
    return 0;
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
    f->loss_from = flow_loss_of(t, f->key.interface);
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
        fetch_ahead(t, i);
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
