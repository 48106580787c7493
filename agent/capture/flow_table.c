/*
 * flow_table: finds or makes each packet's flow, counts it there, and ends flows by the clock of the packets.
 *
 * The clock is the greatest packet time so far. A flow waits in the bucket of the second in which it would end had it no
 * more packets; when that second passes, a flow that had some moves on to a later bucket. So a packet of a living flow
 * touches no list. Whether a flow has ended is judged exactly at its next packet, whatever its bucket says; so what flows
 * there are depends on the packets alone.
 */
#include "agent/capture/flow_table.h"
#include "agent/capture/flow_store.h"
#include "agent/capture/fragments.h"
#include "agent/capture/originator.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

/* After this many packets in a row that are far older than the clock, it was the clock that was wrong. */
#define BEHIND_PACKETS 1000u
#define BEHIND_SECONDS 300u

const uint64_t flow_timeout_ns[FLOW_TIMER_COUNT] = {
    [FLOW_TIMER_TCP_ATTEMPT] = 60 * NS_PER_S, [FLOW_TIMER_TCP] = 300 * NS_PER_S, [FLOW_TIMER_TCP_CLOSED] = 5 * NS_PER_S,
    [FLOW_TIMER_UDP] = 60 * NS_PER_S,         [FLOW_TIMER_ICMP] = 60 * NS_PER_S, [FLOW_TIMER_OTHER] = 60 * NS_PER_S,
};

struct frame_node {
    uint32_t items[FRAME_NODE_SIZE];
    uint32_t next;
};

struct flow_table {
    struct flow_table_options options;
    struct flow_store store;
    struct fragments *fragments; /* made at the first one */
    uint64_t seed;
    bool failed; /* no memory: rows would lie */

    uint64_t second; /* the clock: buckets up to here are done */
    uint32_t behind; /* packets in a row that were far older */
    bool started;
    uint32_t last; /* flow of the last packet: often that of the next, too */

    uint64_t made, resources;

    uint32_t *touched; /* flows with a row, in order */
    uint32_t touched_count, touched_room;

    struct frame_node *nodes; /* of this chunk; 0 is not used */
    uint32_t node_count, node_room;

    uint64_t *loss; /* by interface, since the start */
    uint32_t loss_room;

    struct flow_row *rows; /* what flow_table_rows gave */
    size_t rows_room;
    uint32_t *frames;
    size_t frames_room;
};

int flow_table_new(const struct flow_table_options *o, struct flow_table **out, struct error *e)
{
    *out = NULL;
    struct flow_table *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for the flow table");
    t->options = *o;
    if (!t->options.max_flows)
        t->options.max_flows = FLOW_TABLE_FLOWS_DEFAULT;
    if (t->options.max_flows > FLOW_TABLE_FLOWS_MAX)
        t->options.max_flows = FLOW_TABLE_FLOWS_MAX;
    if (!t->options.max_rows || t->options.max_rows > FLOW_TABLE_ROWS_MAX)
        t->options.max_rows = FLOW_TABLE_ROWS_MAX;
    if (t->options.max_rows < 2 * FLOW_TABLE_ROWS_SPARE)
        t->options.max_rows = 2 * FLOW_TABLE_ROWS_SPARE;
    t->seed = hash64(o->epoch, sizeof o->epoch);
    int code = flow_store_init(&t->store, e);
    if (code) {
        flow_table_free(t);
        return code;
    }
    *out = t;
    return 0;
}

void flow_table_free(struct flow_table *t)
{
    if (!t)
        return;
    flow_store_free(&t->store);
    fragments_free(t->fragments);
    free(t->touched);
    free(t->nodes);
    free(t->loss);
    free(t->rows);
    free(t->frames);
    free(t);
}

/* ---------------------------------------------------------------- rows of the open chunk */

/* Makes sure that the flow has a row; its times are those of the flow until a packet comes. */
static void touch(struct flow_table *t, uint32_t index)
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

/* Frames of an interface are filled one after the other, so their numbers ascend in each flow. */
static void add_frame(struct flow_table *t, struct flow *f, uint32_t frame)
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
}

static bool is_full(const struct flow_table *t)
{
    return t->touched_count + FLOW_TABLE_ROWS_SPARE > t->options.max_rows;
}

bool flow_table_has_rows(const struct flow_table *t)
{
    return t->touched_count > 0;
}

static uint64_t loss_of(const struct flow_table *t, uint32_t interface)
{
    return interface < t->loss_room ? t->loss[interface] : 0;
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

/* ---------------------------------------------------------------- ends */

static void end_flow(struct flow_table *t, uint32_t index, uint8_t reason)
{
    struct flow *f = flow_at(&t->store, index);
    touch(t, index);
    f->end_reason = reason;
    f->loss_end = loss_of(t, f->key.interface);
    if (t->last == index)
        t->last = 0;
    flow_store_end(&t->store, index);
}

/* Silent for longer than its timer allows, in either direction of time. */
static bool is_over(const struct flow *f, uint64_t now_ns)
{
    uint64_t silent = now_ns > f->last_ns ? now_ns - f->last_ns : f->last_ns - now_ns;
    return silent > flow_timeout_ns[f->timer];
}

static uint8_t reason_of(const struct flow *f)
{
    return f->timer == FLOW_TIMER_TCP_CLOSED ? FLOW_END_DETECTED : FLOW_END_IDLE;
}

/* The second after which the flow ends if it stays silent, but not one that is done already. */
static void schedule(struct flow_table *t, uint32_t index)
{
    const struct flow *f = flow_at(&t->store, index);
    uint64_t second = (f->last_ns + flow_timeout_ns[f->timer]) / NS_PER_S + 1;
    if (second <= t->second || second > t->second + FLOW_BUCKETS - 1)
        second = t->second + 1;
    flow_store_schedule(&t->store, index, second);
}

/* Ends or moves on all flows of the bucket; false if the chunk is full. */
static bool bucket_done(struct flow_table *t, uint64_t second, uint64_t now_ns)
{
    uint32_t next;
    for (uint32_t i = t->store.buckets[second % FLOW_BUCKETS]; i; i = next) {
        struct flow *f = flow_at(&t->store, i);
        next = f->next;
        if (!is_over(f, now_ns)) {
            schedule(t, i);
            continue;
        }
        if (is_full(t))
            return false;
        end_flow(t, i, reason_of(f));
    }
    return true;
}

/* The clock was set back: every flow is looked at within the next second. */
static void clock_back(struct flow_table *t, uint64_t second)
{
    t->second = second;
    t->behind = 0;
    for (uint32_t b = 0; b < FLOW_BUCKETS; b++) {
        uint32_t i = t->store.buckets[b];
        while (i && b != (second + 1) % FLOW_BUCKETS) {
            uint32_t next = flow_at(&t->store, i)->next;
            flow_store_schedule(&t->store, i, second + 1);
            i = next;
        }
    }
}

bool flow_table_advance(struct flow_table *t, uint64_t time_ns)
{
    uint64_t second = time_ns / NS_PER_S;
    if (is_full(t))
        return false;
    if (!t->started) {
        t->second = second;
        t->started = true;
    }
    if (second == t->second)
        return true;
    if (second + BEHIND_SECONDS < t->second) {
        if (++t->behind >= BEHIND_PACKETS)
            clock_back(t, second);
        return true;
    }
    t->behind = 0;
    if (second > t->second + FLOW_BUCKETS)
        t->second = second - FLOW_BUCKETS; /* all buckets once are enough */
    while (t->second < second) {
        uint64_t due = t->second + 1;
        t->second = due; /* what moves on goes behind it */
        if (!bucket_done(t, due, time_ns)) {
            t->second = due - 1;
            return false;
        }
    }
    return !is_full(t);
}

/* Makes room for one more flow: the one nearest to its timeout ends. */
static void end_nearest(struct flow_table *t)
{
    for (uint64_t second = t->second + 1; second <= t->second + FLOW_BUCKETS; second++) {
        uint32_t next;
        for (uint32_t i = t->store.buckets[second % FLOW_BUCKETS]; i; i = next) {
            struct flow *f = flow_at(&t->store, i);
            next = f->next;
            uint64_t due = (f->last_ns + flow_timeout_ns[f->timer]) / NS_PER_S + 1;
            if (due > second && due < t->second + FLOW_BUCKETS) {
                schedule(t, i); /* it had packets since */
                continue;
            }
            end_flow(t, i, FLOW_END_RESOURCES);
            t->resources++;
            return;
        }
    }
}

bool flow_table_end(struct flow_table *t, uint8_t reason)
{
    for (uint32_t b = 0; b < FLOW_BUCKETS; b++)
        while (t->store.buckets[b]) {
            if (is_full(t))
                return false;
            uint32_t i = t->store.buckets[b];
            const struct flow *f = flow_at(&t->store, i);
            end_flow(t, i, f->timer == FLOW_TIMER_TCP_CLOSED ? (uint8_t)FLOW_END_DETECTED : reason);
        }
    return true;
}

/* ---------------------------------------------------------------- packets */

static uint8_t first_timer(const struct flow_key *key)
{
    if (key->family != FAMILY_IP4 && key->family != FAMILY_IP6)
        return FLOW_TIMER_OTHER;
    switch (key->proto) {
    case PROTO_TCP:
        return key->has_ports ? FLOW_TIMER_TCP_ATTEMPT : FLOW_TIMER_OTHER;
    case PROTO_UDP:
        return FLOW_TIMER_UDP;
    case PROTO_ICMP:
    case PROTO_ICMP6:
        return FLOW_TIMER_ICMP;
    default:
        return FLOW_TIMER_OTHER;
    }
}

static uint64_t flow_id(const struct flow_table *t, const struct flow *f)
{
    struct {
        uint8_t epoch[EPOCH_SIZE];
        struct flow_key key;
        uint64_t start_ns;
        uint64_t ordinal;
    } named = {.key = f->key, .start_ns = f->start_ns, .ordinal = f->ordinal};
    _Static_assert(sizeof named == EPOCH_SIZE + sizeof(struct flow_key) + 16, "no padding is hashed");
    memcpy(named.epoch, t->options.epoch, EPOCH_SIZE);
    return hash64(&named, sizeof named);
}

/* A group of letters that only transports with a direction have. */
static bool has_history(const struct flow_key *key)
{
    return key->has_ports && (key->proto == PROTO_TCP || key->proto == PROTO_UDP);
}

static uint32_t new_flow(struct flow_table *t, const struct packet *p, const struct flow_key *key, uint32_t hash,
                         unsigned sender, uint64_t time_ns)
{
    if (t->store.alive >= t->options.max_flows)
        end_nearest(t);
    uint32_t index = flow_store_add(&t->store, key, hash);
    if (!index) {
        t->failed = true;
        return 0;
    }
    struct flow *f = flow_at(&t->store, index);
    f->start_ns = f->last_ns = time_ns;
    f->ordinal = t->made++;
    f->id = flow_id(t, f);
    f->timer = first_timer(key);
    f->loss_from = loss_of(t, key->interface);
    enum originator_by by;
    f->originator = (uint8_t)originator_choose(p, key, sender, &by);
    f->originator_by = (uint8_t)by;
    if (f->originator != sender && has_history(key))
        tcp_history_add(&f->history, '^', true);
    schedule(t, index);
    return index;
}

static struct tcp_segment segment_of(const struct packet *p, unsigned sender)
{
    return (struct tcp_segment){
        .seq = p->tcp_seq,
        .ack = p->tcp_ack,
        .payload_length = p->payload_length,
        .window = p->tcp_window,
        .flags = p->tcp_flags,
        .sender = (uint8_t)sender,
    };
}

/* The flow alive of this key that this packet continues, or 0: one that it cannot continue is ended. */
static uint32_t find_flow(struct flow_table *t, const struct packet *p, const struct flow_key *key, uint32_t hash,
                          unsigned sender, uint64_t time_ns)
{
    uint32_t index = flow_store_find(&t->store, key, hash);
    if (!index)
        return 0;
    struct flow *f = flow_at(&t->store, index);
    if (is_over(f, time_ns)) {
        end_flow(t, index, reason_of(f));
        return 0;
    }
    if (p->has_tcp && (p->tcp_flags & TCP_SYN)) {
        struct tcp_segment g = segment_of(p, sender);
        if (tcp_state_is_new(&f->tcp, f->originator, &g)) {
            end_flow(t, index, FLOW_END_DETECTED);
            return 0;
        }
    }
    return index;
}

static uint32_t hash_key(const struct flow_table *t, const struct flow_key *key)
{
    return (uint32_t)hash64_seed(key, sizeof *key, t->seed);
}

static uint32_t own_flow(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns,
                         unsigned *sender)
{
    struct flow_key key;
    *sender = packet_key(p, interface, &key);
    if (t->last && !(p->tcp_flags & TCP_SYN)) {
        const struct flow *f = flow_at(&t->store, t->last);
        if (memcmp(&f->key, &key, sizeof key) == 0 && !is_over(f, time_ns))
            return t->last;
    }
    uint32_t hash = hash_key(t, &key);
    uint32_t index = find_flow(t, p, &key, hash, *sender, time_ns);
    if (!index)
        index = new_flow(t, p, &key, hash, *sender, time_ns);
    t->last = index;
    return index;
}

/* The flow of a later fragment's first one, if that is alive. Fragments name flows by (ordinal, index): an index may belong to
 * another flow by now. */
static uint32_t fragment_flow(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns,
                              unsigned *sender)
{
    uint64_t name;
    if (!t->fragments || !fragments_later(t->fragments, p, interface, time_ns, &name))
        return 0;
    uint32_t index = (uint32_t)(name % (FLOW_TABLE_FLOWS_MAX * UINT64_C(2)));
    struct flow *f = flow_at(&t->store, index);
    if (f->life != FLOW_ALIVE || f->ordinal != name / (FLOW_TABLE_FLOWS_MAX * UINT64_C(2)) || is_over(f, time_ns))
        return 0;
    *sender = memcmp(f->key.addr[0], p->net.addr[0], sizeof f->key.addr[0]) != 0;
    return index;
}

static void note_fragment(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns,
                          uint32_t index)
{
    if (!t->fragments)
        t->fragments = fragments_new(t->seed);
    if (t->fragments)
        fragments_first(t->fragments, p, interface, time_ns,
                        flow_at(&t->store, index)->ordinal * (FLOW_TABLE_FLOWS_MAX * UINT64_C(2)) + index);
}

static void count_tcp(struct flow *f, const struct packet *p, unsigned sender)
{
    struct tcp_segment g = segment_of(p, sender);
    tcp_state_segment(&f->tcp, &f->history, f->originator, &g);
    f->tcp_flags[sender] |= p->tcp_flags;
    f->syn[sender] += (p->tcp_flags & TCP_SYN) != 0;
    f->fin[sender] += (p->tcp_flags & TCP_FIN) != 0;
    f->rst[sender] += (p->tcp_flags & TCP_RST) != 0;
}

static uint8_t tcp_timer(const struct tcp_state *s)
{
    if (tcp_state_is_closed(s))
        return FLOW_TIMER_TCP_CLOSED;
    return tcp_state_is_established(s) ? FLOW_TIMER_TCP : FLOW_TIMER_TCP_ATTEMPT;
}

/* What the packet says of the connection; only whole packets and first fragments get here. */
static void count_transport(struct flow_table *t, uint32_t index, const struct packet *p, unsigned sender)
{
    struct flow *f = flow_at(&t->store, index);
    uint8_t bit = (uint8_t)(1u << sender);
    if (p->has_tcp) {
        count_tcp(f, p, sender);
        uint8_t timer = tcp_timer(&f->tcp);
        if (timer != f->timer) {
            bool sooner = flow_timeout_ns[timer] < flow_timeout_ns[f->timer];
            f->timer = timer;
            if (sooner)
                schedule(t, index);
        }
    } else if (f->key.proto == PROTO_UDP && f->key.has_ports && !(f->sent & bit)) {
        tcp_history_add(&f->history, 'D', sender == f->originator);
    }
    f->sent |= bit;
}

static void count_packet(struct flow_table *t, uint32_t index, const struct packet *p, unsigned sender,
                         uint64_t time_ns, uint32_t frame)
{
    struct flow *f = flow_at(&t->store, index);
    touch(t, index);
    if (!f->packets[0] && !f->packets[1]) { /* until now the row had no packet and the flow's times */
        f->first_ns = f->row_last_ns = time_ns;
    } else {
        if (time_ns < f->first_ns)
            f->first_ns = time_ns;
        if (time_ns > f->row_last_ns)
            f->row_last_ns = time_ns;
    }
    if (time_ns > f->last_ns)
        f->last_ns = time_ns;
    f->packets[sender]++;
    f->bytes[sender] += p->wire;
    f->payload[sender] += p->payload_length;
    add_frame(t, f, frame);
    if (p->net.fragment == FRAGMENT_LATER)
        f->later_fragments[sender]++;
    else
        count_transport(t, index, p, sender);
}

/* The flow of this key, if it is alive. */
static uint32_t alive_flow(const struct flow_table *t, const struct flow_key *key, uint64_t time_ns)
{
    uint32_t index = flow_store_find(&t->store, key, hash_key(t, key));
    return index && !is_over(flow_at(&t->store, index), time_ns) ? index : 0;
}

/* The flow that an ICMP error quotes, if it is alive. */
static uint32_t quoted_flow(const struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns)
{
    struct flow_key key;
    if (p->quoted.family == FAMILY_NONE || packet_quoted_key(p, interface, &key) < 0)
        return 0;
    return alive_flow(t, &key, time_ns);
}

bool flow_table_knows(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns)
{
    struct flow_key key;
    unsigned sender;
    switch (p->net.fragment) {
    case FRAGMENT_LATER:
        return fragment_flow(t, p, interface, time_ns, &sender) != 0;
    case FRAGMENT_FIRST:
        (void)packet_key(p, interface, &key);
        return alive_flow(t, &key, time_ns) != 0;
    default:
        return quoted_flow(t, p, interface, time_ns) != 0;
    }
}

/* An ICMP error is counted in the flow that it quotes, too. That flow does not live longer by it. */
static void count_quoted(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns)
{
    uint32_t index = quoted_flow(t, p, interface, time_ns);
    if (!index)
        return;
    struct flow *f = flow_at(&t->store, index);
    touch(t, index);
    f->icmp_errors++;
    f->icmp_error_type = p->icmp_type;
    f->icmp_error_code = p->icmp_code;
}

void flow_table_packet(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns,
                       uint32_t frame)
{
    unsigned sender;
    uint32_t index = 0;
    if (p->net.fragment == FRAGMENT_LATER)
        index = fragment_flow(t, p, interface, time_ns, &sender);
    if (!index)
        index = own_flow(t, p, interface, time_ns, &sender);
    if (!index)
        return;
    count_packet(t, index, p, sender, time_ns, frame);
    if (p->net.fragment == FRAGMENT_FIRST)
        note_fragment(t, p, interface, time_ns, index);
    if (p->quoted.family != FAMILY_NONE)
        count_quoted(t, p, interface, time_ns);
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
static const uint8_t columns_tcp[] = {FLOW_SYN_0, FLOW_SYN_1, FLOW_FIN_0,       FLOW_FIN_1,
                                      FLOW_RST_0, FLOW_RST_1, FLOW_TCP_FLAGS_0, FLOW_TCP_FLAGS_1};

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

static enum flow_state state_of(const struct flow *f)
{
    if (!is_ip(&f->key))
        return FLOW_STATE_UNKNOWN;
    if (!has_history(&f->key))
        return FLOW_STATE_OTH;
    if (f->key.proto == PROTO_TCP)
        return tcp_state_name(&f->tcp, f->originator, &f->history);
    bool asked = f->sent >> f->originator & 1, answered = f->sent >> !f->originator & 1;
    if (asked)
        return answered ? FLOW_STATE_SF : FLOW_STATE_S0;
    return answered ? FLOW_STATE_SHR : FLOW_STATE_OTH;
}

static void fill_columns(const struct flow *f, struct flow_row *r)
{
    add_columns(&r->has, columns_all, sizeof columns_all);
    if (is_ip(&f->key))
        add_columns(&r->has, columns_ip, sizeof columns_ip);
    if (is_ip(&f->key) && f->key.proto == PROTO_TCP && f->key.has_ports)
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
    return (f->life == FLOW_ENDED ? f->loss_end : loss_of(t, f->key.interface)) - f->loss_from;
}

static void fill_row(const struct flow_table *t, const struct flow *f, struct flow_row *r)
{
    *r = (struct flow_row){
        .key = f->key,
        .flow_id = f->id,
        .start_ns = f->start_ns,
        .first_ns = f->first_ns,
        .last_ns = f->row_last_ns,
        .originator = f->originator,
        .originator_by = f->originator_by,
        .state = (uint8_t)state_of(f),
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
    fill_columns(f, r);
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

static bool rows_reserve(struct flow_table *t, size_t frames)
{
    if (t->touched_count > t->rows_room) {
        free(t->rows);
        t->rows_room = t->touched_count;
        t->rows = malloc(t->rows_room * sizeof *t->rows);
    }
    if (frames >= t->frames_room) { /* one more: there is an array also for none */
        free(t->frames);
        t->frames_room = frames + 1;
        t->frames = malloc(t->frames_room * sizeof *t->frames);
    }
    if ((!t->rows && t->rows_room) || (!t->frames && t->frames_room)) {
        t->rows_room = t->rows ? t->rows_room : 0;
        t->frames_room = t->frames ? t->frames_room : 0;
        return false;
    }
    return true;
}

int flow_table_rows(struct flow_table *t, struct flow_row **rows, size_t *count, struct error *e)
{
    *rows = NULL;
    *count = 0;
    size_t frames = 0;
    for (uint32_t i = 0; i < t->touched_count; i++)
        frames += flow_at(&t->store, t->touched[i])->frame_count;
    if (t->failed || !rows_reserve(t, frames))
        return error_set(e, ERROR_MEMORY, "no memory for the rows of %u flows", t->touched_count);
    uint32_t *at = t->frames;
    for (uint32_t i = 0; i < t->touched_count; i++) {
        const struct flow *f = flow_at(&t->store, t->touched[i]);
        fill_row(t, f, &t->rows[i]);
        fill_frames(t, f, &t->rows[i], at);
        at += f->frame_count;
    }
    *rows = t->rows;
    *count = t->touched_count;
    return 0;
}

static void next_row(struct flow_table *t, struct flow *f)
{
    f->prior_packets += (uint64_t)f->packets[0] + f->packets[1];
    f->prior_bytes += f->bytes[0] + f->bytes[1];
    f->loss_from = loss_of(t, f->key.interface);
    f->row = 0;
    f->icmp_errors = 0;
    f->frame_count = 0;
    for (int i = 0; i < 2; i++) {
        f->packets[i] = f->later_fragments[i] = f->syn[i] = f->fin[i] = f->rst[i] = 0;
        f->bytes[i] = f->payload[i] = 0;
        f->tcp_flags[i] = 0;
    }
}

void flow_table_next(struct flow_table *t)
{
    for (uint32_t i = 0; i < t->touched_count; i++) {
        uint32_t index = t->touched[i];
        struct flow *f = flow_at(&t->store, index);
        if (f->life == FLOW_ENDED)
            flow_store_reuse(&t->store, index);
        else
            next_row(t, f);
    }
    t->touched_count = 0;
    t->node_count = 0;
}

struct flow_table_stats flow_table_stats(const struct flow_table *t)
{
    return (struct flow_table_stats){.flows = t->made, .alive = t->store.alive, .resources = t->resources};
}
