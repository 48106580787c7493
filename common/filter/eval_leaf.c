/* eval_leaf: what each word means. Missing values compare false; but in one row of several, what others may know is
 * maybe. */
#include "common/base/glob.h"
#include "common/filter/eval.h"
#include <string.h>

static enum truth truth_of(bool b)
{
    return b ? TRUTH_YES : TRUTH_NO;
}

/* The NETS_ bit of the header that the view's addresses come from; 0 if it has none. */
static uint8_t net_of(const struct view *v)
{
    if (v->family == FAMILY_IP6)
        return v->ethertype == ETHERTYPE_IP6 ? NETS_IP6 : 0;
    if (v->family != FAMILY_IP4)
        return 0;
    switch (v->ethertype) {
    case ETHERTYPE_IP4:
        return NETS_IP;
    case ETHERTYPE_ARP:
        return NETS_ARP;
    case ETHERTYPE_RARP:
        return NETS_RARP;
    default:
        return 0;
    }
}

/* --- Ends: packets --- */

static enum truth join(const struct node *n, enum truth sender, enum truth receiver)
{
    switch (n->direction) {
    case DIRECTION_SRC:
        return sender;
    case DIRECTION_DST:
        return receiver;
    case DIRECTION_BOTH:
        return sender < receiver ? sender : receiver;
    default:
        return sender > receiver ? sender : receiver;
    }
}

/* --- Ends: connections --- */

/* from, to. Which end is the client may be known to another row only, so that a part is at most maybe. */
static enum truth join_roles(const struct node *n, const struct view *v, enum truth ends[2])
{
    if (v->scope == SCOPE_PART)
        return ends[0] > TRUTH_NO || ends[1] > TRUTH_NO ? TRUTH_MAYBE : TRUTH_NO;
    if (!column_has(&v->flow->has, FLOW_ORIGINATOR))
        return TRUTH_NO;
    unsigned client = v->flow->originator & 1;
    return ends[n->direction == DIRECTION_FROM ? client : 1 - client];
}

/* The flow as seen from its key: endpoint 0 in the sender's place. */
static struct view flow_view(const struct view *v)
{
    const struct flow_key *key = &v->flow->key;
    struct view flow = *v;
    flow.addr[0] = key->addr[0];
    flow.addr[1] = key->addr[1];
    flow.port[0] = key->port[0];
    flow.port[1] = key->port[1];
    flow.ethertype = key->ethertype;
    flow.family = key->family;
    flow.proto = key->proto;
    flow.has_ports = key->has_ports;
    return flow;
}

static enum truth eval_ends(const struct node *n, const struct view *v,
                            enum truth (*end)(const struct node *, const struct view *, unsigned))
{
    if (n->direction != DIRECTION_FROM && n->direction != DIRECTION_TO)
        return join(n, end(n, v, 0), end(n, v, 1));
    if (!v->flow)
        return TRUTH_NO;
    struct view flow = flow_view(v);
    enum truth ends[2] = {end(n, &flow, 0), end(n, &flow, 1)};
    return join_roles(n, v, ends);
}

/* --- Addresses --- */

static enum truth address_end(const struct node *n, const struct view *v, unsigned i)
{
    if (!(net_of(v) & n->nets) || v->family != n->net.family)
        return TRUTH_NO;
    size_t len = v->family == FAMILY_IP4 ? 4 : 16;
    for (size_t byte = 0; byte < len; byte++)
        if ((v->addr[i][byte] ^ n->net.addr[byte]) & n->net.mask[byte])
            return TRUTH_NO;
    return TRUTH_YES;
}

/* Whether the address had the name while the flow was. A part knows less than the whole time of the flow. */
static enum truth time_fits(const struct filter_address *a, const struct view *v)
{
    const struct flow_row *flow = v->flow;
    if (!flow || !column_has(&flow->has, FLOW_LAST))
        return TRUTH_YES;
    uint64_t start = column_has(&flow->has, FLOW_START)   ? flow->start_ns
                     : column_has(&flow->has, FLOW_FIRST) ? flow->first_ns
                                                          : flow->last_ns;
    if (start <= a->to_ns && flow->last_ns >= a->from_ns)
        return TRUTH_YES;
    return v->scope == SCOPE_PART ? TRUTH_MAYBE : TRUTH_NO;
}

static int compare_address(const struct filter_address *a, uint8_t family, const uint8_t addr[16])
{
    size_t len = family == FAMILY_IP4 ? 4 : 16;
    return a->family != family ? a->family - family : memcmp(a->addr, addr, len);
}

static enum truth name_end(const struct node *n, const struct view *v, unsigned i)
{
    if (!(net_of(v) & n->nets))
        return TRUTH_NO;
    const struct filter_address *items = n->name.items;
    uint32_t first = 0, count = n->name.count;
    while (count) { /* the first that is not less */
        uint32_t half = count / 2;
        if (compare_address(&items[first + half], v->family, v->addr[i]) < 0) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    enum truth best = TRUTH_NO;
    for (; first < n->name.count && !compare_address(&items[first], v->family, v->addr[i]); first++) {
        enum truth t = time_fits(&items[first], v);
        best = t > best ? t : best;
    }
    return best;
}

/* --- Ports --- */

static enum truth port_end(const struct node *n, const struct view *v, unsigned i)
{
    bool ported = v->proto == PROTO_TCP || v->proto == PROTO_UDP || v->proto == PROTO_SCTP;
    return truth_of(v->has_ports && ported && (!n->port.proto || n->port.proto == v->proto) &&
                    v->port[i] >= n->port.first && v->port[i] <= n->port.last);
}

/* --- Others --- */

/* libpcap's: 224.0.0.0 and all above it, ff00::/8 */
static bool is_multicast(const struct node *n, const struct view *v)
{
    uint8_t net = net_of(v) & n->nets;
    return net && v->addr[1][0] >= (net == NETS_IP ? 224 : 255);
}

static bool has_vlan(const struct node *n, const struct view *v)
{
    if (n->tag.any)
        return v->vlan[0] != VLAN_NONE;
    return v->vlan[0] == n->tag.id || v->vlan[1] == n->tag.id;
}

static bool in_tunnel(const struct node *n, const struct view *v)
{
    return v->tunnel == n->tag.tunnel && (n->tag.any || v->tunnel_id == n->tag.id);
}

static bool is_id(const struct node *n, const struct flow_row *flow)
{
    return column_has(&flow->has, FLOW_ID) && (flow->flow_id ^ n->id.value) >> (64 - 4 * n->id.digits) == 0;
}

static bool is_community(const struct node *n, const struct flow_row *flow)
{
    char id[COMMUNITY_ID_SIZE];
    return community_id(&flow->key, 0, id) && strcmp(id, n->community_id) == 0;
}

static bool in_states(const struct node *n, const struct flow_row *flow)
{
    return column_has(&flow->has, FLOW_STATE) && flow->state < 32 && n->states >> flow->state & 1;
}

static bool compares(const struct node *n, const struct flow_row *flow)
{
    uint64_t value, with = n->field.value;
    if (!field_number(n->field.field, flow, &value))
        return false;
    switch (n->field.comparison) {
    case COMPARE_EQ:
        return value == with;
    case COMPARE_NE:
        return value != with;
    case COMPARE_LT:
        return value < with;
    case COMPARE_LE:
        return value <= with;
    case COMPARE_GT:
        return value > with;
    default:
        return value >= with;
    }
}

static bool matches(const struct node *n, const struct flow_row *flow)
{
    char text[FIELD_TEXT_MAX];
    size_t len = field_text(n->match.field, flow, true, text, sizeof text);
    return len && glob_match_any_case(n->match.pattern, text, len) != n->match.other;
}

/* --- Facts --- */

static uint64_t sent(const struct flow_row *flow, unsigned end)
{
    return column_has(&flow->has, FLOW_PACKETS_0 + end) ? flow->packets[end] : 0;
}

static bool is_unanswered(const struct flow_row *flow)
{
    const struct exchange_row *x = flow->exchange;
    if (x)
        return column_has(&x->has, EXCHANGE_OUTCOME) && x->outcome == EXCHANGE_UNANSWERED;
    unsigned client = flow->originator & 1;
    return column_has(&flow->has, FLOW_ORIGINATOR) && sent(flow, client) && !sent(flow, 1 - client);
}

/* The last ICMP error that quotes it: destination unreachable, but for a packet that was too long. */
static bool is_unreachable(const struct flow_row *flow)
{
    if (!column_has(&flow->has, FLOW_ICMP_ERROR_TYPE) || !column_has(&flow->has, FLOW_ICMP_ERROR_CODE))
        return false;
    if (flow->key.family == FAMILY_IP6)
        return flow->icmp_error_type == 1;
    return flow->icmp_error_type == 3 && flow->icmp_error_code != 4;
}

static bool is_refused(const struct flow_row *flow)
{
    if (column_has(&flow->has, FLOW_STATE) && flow->state == FLOW_STATE_REJ)
        return true;
    return is_unreachable(flow) && column_has(&flow->has, FLOW_ORIGINATOR) && !sent(flow, 1 - (flow->originator & 1));
}

/* Not private, shared, loopback, link-local, for benchmarks, multicast or reserved. */
static bool is_public(uint8_t family, const uint8_t addr[16])
{
    static const struct {
        uint8_t family, bits;
        uint8_t addr[4];
    } special[] = {
        {FAMILY_IP4, 8, {0}},           {FAMILY_IP4, 8, {10}},        {FAMILY_IP4, 10, {100, 64}},
        {FAMILY_IP4, 8, {127}},         {FAMILY_IP4, 16, {169, 254}}, {FAMILY_IP4, 12, {172, 16}},
        {FAMILY_IP4, 16, {192, 168}},   {FAMILY_IP4, 15, {198, 18}},  {FAMILY_IP4, 3, {224}},
        {FAMILY_IP6, 32, {0, 0, 0, 0}}, {FAMILY_IP6, 7, {0xfc}},      {FAMILY_IP6, 10, {0xfe, 0x80}},
        {FAMILY_IP6, 8, {0xff}},
    };
    uint32_t high = (uint32_t)addr[0] << 24 | (uint32_t)addr[1] << 16 | (uint32_t)addr[2] << 8 | addr[3];
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        const uint8_t *s = special[i].addr;
        uint32_t begins = (uint32_t)s[0] << 24 | (uint32_t)s[1] << 16 | (uint32_t)s[2] << 8 | s[3];
        if (special[i].family == family && (high ^ begins) >> (32 - special[i].bits) == 0)
            return false;
    }
    return true;
}

static bool is_external(const struct view *v)
{
    return net_of(v) && (is_public(v->family, v->addr[0]) || is_public(v->family, v->addr[1]));
}

static enum truth eval_fact(const struct node *n, const struct view *v)
{
    if (n->fact == FACT_EXTERNAL)
        return truth_of(is_external(v));
    if (!v->flow)
        return TRUTH_NO;
    if (v->scope == SCOPE_PART)
        return TRUTH_MAYBE;
    return truth_of(n->fact == FACT_REFUSED ? is_refused(v->flow) : is_unanswered(v->flow));
}

/* Whether every row of a flow has the same value. Columns of one chunk's making (the originator's too: it may come
 * late) do not. */
static bool same_in_all_rows(const struct field *f)
{
    return !f->is_measure && f->side == FIELD_BOTH && f->column[0] && !f->column[1] && f->column[0]->merge == MERGE_KEY;
}

/* A word about the place of capture: rows in chunks do not say it. */
static enum truth eval_place(const struct node *n, const struct view *v, unsigned column, const struct text *text)
{
    if (column_has(&v->flow->has, column))
        return truth_of(glob_match(n->pattern, text->data, text->len));
    return v->scope == SCOPE_PART ? TRUTH_MAYBE : TRUTH_NO;
}

/* Words that only a flow knows. */
static enum truth eval_flow_word(const struct node *n, const struct view *v)
{
    const struct flow_row *flow = v->flow;
    bool part = v->scope == SCOPE_PART;
    if (!flow)
        return TRUTH_NO;
    switch (n->kind) {
    case NODE_AGENT:
        return eval_place(n, v, FLOW_AGENT, &flow->agent);
    case NODE_CAPTURE:
        return eval_place(n, v, FLOW_CAPTURE, &flow->capture);
    case NODE_ID:
        return truth_of(is_id(n, flow));
    case NODE_COMMUNITY_ID:
        return truth_of(is_community(n, flow));
    case NODE_STATE:
        return part ? TRUTH_MAYBE : truth_of(in_states(n, flow));
    case NODE_TEXT:
        return part && !same_in_all_rows(n->match.field) ? TRUTH_MAYBE : truth_of(matches(n, flow));
    default:
        return part && !same_in_all_rows(n->field.field) ? TRUTH_MAYBE : truth_of(compares(n, flow));
    }
}

enum truth eval_leaf(const struct node *n, const struct view *v)
{
    switch (n->kind) {
    case NODE_ETHERTYPE:
        return truth_of(v->ethertype == n->ethertype);
    case NODE_PROTO:
        return truth_of(net_of(v) & n->nets && v->proto == n->proto);
    case NODE_ADDRESS:
        return eval_ends(n, v, address_end);
    case NODE_NAME:
        return eval_ends(n, v, name_end);
    case NODE_PORT:
        return eval_ends(n, v, port_end);
    case NODE_MULTICAST:
        return truth_of(is_multicast(n, v));
    case NODE_VLAN:
        return truth_of(has_vlan(n, v));
    case NODE_TUNNEL:
        return truth_of(in_tunnel(n, v));
    case NODE_FACT:
        return eval_fact(n, v);
    default:
        return eval_flow_word(n, v);
    }
}
