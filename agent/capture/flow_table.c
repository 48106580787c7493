/* flow_table: finds or makes each packet's flow, and counts it there. */
#include "agent/capture/flow_table_impl.h"
#include "agent/capture/originator.h"
#include "common/base/hash.h"
#include <stdlib.h>
#include <string.h>

#define FLOW_ID_SEED UINT64_C(0x666c6f7769640001) /* ids do not tell the seed of the table */

int flow_table_new(const struct flow_table_options *o, struct flow_table **out, struct error *e)
{
    *out = NULL;
    struct flow_table *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(e, ERROR_MEMORY, "no memory for the flow table");
    t->options = *o;
    flow_timeouts_fill(&t->options.timeouts);
    if (!t->options.max_flows)
        t->options.max_flows = FLOW_TABLE_FLOWS_DEFAULT;
    if (t->options.max_flows > FLOW_TABLE_FLOWS_MAX)
        t->options.max_flows = FLOW_TABLE_FLOWS_MAX;
    if (!t->options.max_rows || t->options.max_rows > FLOW_TABLE_ROWS_MAX)
        t->options.max_rows = FLOW_TABLE_ROWS_MAX;
    if (t->options.max_rows < 2 * FLOW_TABLE_ROWS_SPARE)
        t->options.max_rows = 2 * FLOW_TABLE_ROWS_SPARE;
    t->seed = hash64(o->epoch, sizeof o->epoch);
    t->first_id = hash64_seed(o->epoch, sizeof o->epoch, FLOW_ID_SEED + o->part);
    t->said = calloc(STAGE_TILE, sizeof *t->said);
    struct conversations_options c = {.payload = o->app_payload,
                                      .memory = o->app_memory,
                                      .http_blank = o->http_blank,
                                      .dns_wait_ns = t->options.timeouts.ns[FLOW_TIMER_DNS_QUERY]};
    if (!c.memory)
        c.memory = (uint64_t)t->options.max_flows * FLOW_TABLE_APP_BYTES;
    int code = t->said ? flow_store_init(&t->store, t->options.max_flows, t->options.max_rows, e)
                       : error_set(e, ERROR_MEMORY, "no memory for the flow table");
    if (!code)
        code = conversations_new(&c, &t->conversations, e);
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
    conversations_free(t->conversations);
    free(t->touched);
    free(t->order);
    free(t->nodes);
    free(t->loss);
    free(t->said);
    free(t->rows);
    free(t->frames);
    free(t->letters);
    free(t);
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

static uint32_t new_flow(struct flow_table *t, const struct packet *p, const struct flow_name *name, uint64_t time_ns)
{
    const struct flow_key *key = &name->key;
    unsigned sender = name->sender;
    if (t->store.alive >= t->options.max_flows)
        flow_end_one(t);
    uint32_t index = flow_store_add(&t->store, key, name->hash);
    if (!index) {
        t->failed = true;
        return 0;
    }
    struct flow *f = flow_at(&t->store, index);
    f->start_ns = f->last_ns = time_ns;
    f->ordinal = t->made++;
    f->id = hash64_mix(t->first_id + f->ordinal);
    f->timer = first_timer(key);
    f->loss = flow_loss_of(t, key->interface);
    enum originator_by by;
    f->originator = (uint8_t)originator_choose(t->options.listeners, p, key, sender, &by);
    f->originator_by = (uint8_t)by;
    if (f->originator != sender && flow_has_history(key))
        tcp_history_add(&f->history, '^', true);
    flow_schedule(t, index);
    flow_store_spare(&t->store, index);
    return index;
}

/* The flow alive of this key that this packet continues, or 0: one that it cannot continue is ended. */
static uint32_t find_flow(struct flow_table *t, const struct packet *p, const struct flow_name *name, uint64_t time_ns)
{
    uint32_t index = flow_store_find(&t->store, &name->key, name->hash);
    if (!index)
        return 0;
    struct flow *f = flow_at(&t->store, index);
    if (flow_is_over(t, f, time_ns)) {
        flow_end(t, index, flow_end_reason(f));
        return 0;
    }
    if (p->has_tcp && (p->tcp_flags & TCP_SYN)) {
        const struct tcp_segment g = {.seq = p->tcp_seq, .flags = p->tcp_flags};
        if (tcp_state_is_new(&flow_tcp_at(&t->store, index)->state, f->originator, name->sender, &g)) {
            flow_end(t, index, FLOW_END_DETECTED);
            return 0;
        }
    }
    return index;
}

static uint32_t hash_key(const struct flow_table *t, const struct flow_key *key)
{
    return (uint32_t)hash64_seed(key, sizeof *key, t->seed);
}

void flow_table_name(struct flow_table *t, const struct packet *p, uint32_t interface, struct flow_name *name)
{
    name->sender = packet_key(p, interface, &name->key);
    name->hash = hash_key(t, &name->key);
    flow_store_prefetch(&t->store, name->hash);
}

void flow_table_fetch(const struct flow_table *t, const struct flow_name *name)
{
    uint32_t index = flow_store_candidate(&t->store, name->hash);
    if (!index)
        return;
    flow_prefetch_hot(flow_at(&t->store, index));
    if (flow_is_tcp(&name->key))
        flow_tcp_prefetch(flow_tcp_at(&t->store, index));
}

static uint32_t own_flow(struct flow_table *t, const struct packet *p, const struct flow_name *name, uint64_t time_ns)
{
    if (t->last && !(p->tcp_flags & TCP_SYN)) {
        const struct flow *f = flow_at(&t->store, t->last);
        if (f->hash == name->hash && flow_key_same(&f->key, &name->key) && !flow_is_over(t, f, time_ns))
            return t->last;
    }
    uint32_t index = find_flow(t, p, name, time_ns);
    if (!index)
        index = new_flow(t, p, name, time_ns);
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
    if (f->life != FLOW_ALIVE || f->ordinal != name / (FLOW_TABLE_FLOWS_MAX * UINT64_C(2)) ||
        flow_is_over(t, f, time_ns))
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

static void count_tcp(struct flow *f, struct flow_tcp *tcp, const struct packet *p, unsigned sender, uint64_t time_ns)
{
    struct tcp_segment g;
    tcp_segment_read(p, time_ns, 0, &g);
    tcp_state_segment(&tcp->state, &f->history, f->originator, sender, &g);
    tcp_measures_segment(&tcp->measures, f->originator, sender, &g);
    f->tcp_flags[sender] |= p->tcp_flags;
    if (!(p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)))
        return;
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

/* What is lost least by, if there is no room: nobody has answered (of TCP: the handshake is not over), or it is over. */
static bool can_be_spared(const struct flow *f)
{
    return f->sent != 3 || f->timer == FLOW_TIMER_TCP_ATTEMPT || f->timer == FLOW_TIMER_TCP_CLOSED;
}

static void judge_spare(struct flow_table *t, uint32_t index)
{
    const struct flow *f = flow_at(&t->store, index);
    bool spare = can_be_spared(f);
    if (spare && !f->spare)
        flow_store_spare(&t->store, index);
    else if (!spare && f->spare)
        flow_store_keep(&t->store, index);
}

#define TCP_WINDOW_MAX UINT32_C(65535)
#define TCP_SCALE_MAX  14 /* RFC 7323, 2.3 */

/* The largest window that the end can offer. Where no SYN told its scale, the largest of all is possible. */
static uint32_t window_max(const struct flow_tcp *tcp, unsigned end)
{
    const struct tcp_syn *syn = tcp->measures.syn;
    if (!syn[end].seen || !syn[!end].seen)
        return TCP_WINDOW_MAX << TCP_SCALE_MAX;
    return TCP_WINDOW_MAX << (syn[end].scale > 0 && syn[!end].scale >= 0 ? syn[end].scale & 15 : 0);
}

#define GIVE_WAY_MAX 2u /* flows, for one packet: each gets a row */

/* If what applications said takes nearly all memory that it may, others of them than this flow's give way. */
static void relieve(struct flow_table *t, uint32_t but)
{
    uint32_t index;
    for (unsigned i = 0; i < GIVE_WAY_MAX && conversations_pressed(t->conversations, but, &index); i++) {
        struct flow *f = flow_at(&t->store, index);
        flow_touch(t, index);
        conversation_give_way(t->conversations, &f->conversation, f->id, f->last_ns);
    }
}

static void hear(struct flow_table *t, uint32_t index, const struct packet *p, unsigned sender, uint64_t time_ns)
{
    struct flow *f = flow_at(&t->store, index);
    struct conversation_packet k = {.p = p,
                                    .flow_id = f->id,
                                    .flow = index,
                                    .time_ns = time_ns,
                                    .sender = sender,
                                    .originator = f->originator,
                                    .originator_is_sure = f->originator_by == ORIGINATOR_SYN};
    for (int i = 0; p->has_tcp && i < 2; i++) {
        const struct flow_tcp *tcp = flow_tcp_at(&t->store, index);
        k.has_first[i] = tcp->measures.syn[i].seen;
        k.first[i] = tcp->measures.syn[i].seq + 1;
        k.has_acked[i] = tcp->state.end[!i].state != TCP_END_INACTIVE;
        k.acked[i] = tcp->state.end[i].acked_seq;
        k.has_sent[i] = tcp->state.end[i].state != TCP_END_INACTIVE;
        k.sent[i] = tcp->state.end[i].last_seq;
    }
    k.window = p->has_tcp ? window_max(flow_tcp_at(&t->store, index), sender) : 0;
    conversation_packet(t->conversations, &f->conversation, &k);
    relieve(t, index);
}

/* What the packet says of the connection; only whole packets and first fragments get here. */
static void count_transport(struct flow_table *t, uint32_t index, const struct packet *p, unsigned sender,
                            uint64_t time_ns)
{
    struct flow *f = flow_at(&t->store, index);
    uint8_t bit = (uint8_t)(1u << sender);
    if (p->has_tcp) {
        struct flow_tcp *tcp = flow_tcp_at(&t->store, index);
        count_tcp(f, tcp, p, sender, time_ns);
        uint8_t timer = tcp_timer(&tcp->state);
        if (timer != f->timer) {
            const uint64_t *ns = t->options.timeouts.ns;
            bool sooner = ns[timer] < ns[f->timer];
            f->timer = timer;
            if (sooner)
                flow_schedule(t, index);
        }
    } else if (f->key.proto == PROTO_UDP && f->key.has_ports && !(f->sent & bit)) {
        tcp_history_add(&f->history, 'D', sender == f->originator);
    }
    f->sent |= bit;
    judge_spare(t, index);
    if (conversation_wants(&f->conversation, p))
        hear(t, index, p, sender, time_ns);
}

static void count_packet(struct flow_table *t, uint32_t index, const struct packet *p, unsigned sender,
                         uint64_t time_ns, uint32_t frame)
{
    struct flow *f = flow_at(&t->store, index);
    flow_touch(t, index);
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
    flow_add_frame(t, f, frame);
    if (p->net.fragment == FRAGMENT_LATER)
        f->later_fragments[sender]++;
    else
        count_transport(t, index, p, sender, time_ns);
}

/* The flow of this key, if it is alive. */
static uint32_t alive_flow(const struct flow_table *t, const struct flow_key *key, uint64_t time_ns)
{
    uint32_t index = flow_store_find(&t->store, key, hash_key(t, key));
    return index && !flow_is_over(t, flow_at(&t->store, index), time_ns) ? index : 0;
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

uint64_t flow_table_sent(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns)
{
    struct flow_key key;
    unsigned sender;
    uint32_t index = 0;
    if (p->net.fragment == FRAGMENT_LATER)
        index = fragment_flow(t, p, interface, time_ns, &sender);
    if (!index) {
        sender = packet_key(p, interface, &key);
        index = alive_flow(t, &key, time_ns);
    }
    const struct flow *f = flow_at(&t->store, index);
    return index ? f->prior_payload[sender] + f->payload[sender] : 0;
}

/* An ICMP error is counted in the flow that it quotes, too. That flow does not live longer by it. */
static void count_quoted(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns)
{
    uint32_t index = quoted_flow(t, p, interface, time_ns);
    if (!index)
        return;
    struct flow *f = flow_at(&t->store, index);
    flow_touch(t, index);
    f->icmp_errors++;
    f->icmp_error_type = p->icmp_type;
    f->icmp_error_code = p->icmp_code;
}

void flow_table_count(struct flow_table *t, const struct packet *p, const struct flow_name *name, uint64_t time_ns,
                      uint32_t frame)
{
    unsigned sender = name->sender;
    uint32_t index = 0, interface = name->key.interface;
    if (p->net.fragment == FRAGMENT_LATER)
        index = fragment_flow(t, p, interface, time_ns, &sender);
    if (!index)
        index = own_flow(t, p, name, time_ns);
    if (!index)
        return;
    count_packet(t, index, p, sender, time_ns, frame);
    if (p->net.fragment == FRAGMENT_FIRST)
        note_fragment(t, p, interface, time_ns, index);
    if (p->quoted.family != FAMILY_NONE)
        count_quoted(t, p, interface, time_ns);
}

void flow_table_packet(struct flow_table *t, const struct packet *p, uint32_t interface, uint64_t time_ns,
                       uint32_t frame)
{
    struct flow_name name;
    flow_table_name(t, p, interface, &name);
    flow_table_count(t, p, &name, time_ns, frame);
}

uint64_t flow_table_resources(const struct flow_table *t)
{
    return t->resources;
}

uint64_t flow_table_unheard(const struct flow_table *t)
{
    return conversations_unheard(t->conversations);
}

struct flow_table_stats flow_table_stats(const struct flow_table *t)
{
    struct conversations_stats c;
    conversations_stats(t->conversations, &c);
    return (struct flow_table_stats){.flows = t->made,
                                     .alive = t->store.alive,
                                     .resources = t->resources,
                                     .unheard = c.unheard,
                                     .untold = c.untold,
                                     .app_memory = c.memory};
}
