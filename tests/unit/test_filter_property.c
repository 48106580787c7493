/*
 * Random filters over random packets and the flows they make, judged by ours and by libpcap. The seeds are a fixed
 * one and the clock's, or FLEETDUMP_SEED; a failure prints all there is to know, and the seed.
 */
#include "common/filter/filter.h"
#include "common/rows/column.h"
#include "tests/unit/filter_random.h"
#include "tests/unit/packet_random.h"
#include "tests/unit/support.h"

#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKETS    300
#define PARTS      3
#define LINK_TYPES 5

static const int link_types[LINK_TYPES] = {1, 101, 113, 276, 108};

struct flow {
    struct flow_row part[PARTS]; /* as in chunks; empty ones have no column */
    struct flow_row sum;
    bool plain;
    bool wanted;   /* libpcap, or filter_packet, takes one of its packets */
    bool unjudged; /* libpcap cannot judge a word on this link type */
};

struct sample {
    struct random_packet bytes;
    struct packet packet;
    unsigned flow, direction;
};

struct world {
    struct sample sample[PACKETS];
    struct flow flow[PACKETS];
    unsigned flow_count;
};

struct totals {
    uint64_t packet_pairs, flow_pairs, plain_packets, plain_flows, packets_taken, flows_taken, parts_no, mixed, filters;
};

/* --- Flows from packets --- */

static void start_row(struct flow_row *row, const struct flow_key *key, uint64_t id, bool first, unsigned direction,
                      uint64_t time)
{
    static const uint8_t known[] = {FLOW_ADDR_0,
                                    FLOW_ADDR_1,
                                    FLOW_PORT_0,
                                    FLOW_PORT_1,
                                    FLOW_INTERFACE,
                                    FLOW_TUNNEL_ID,
                                    FLOW_VLAN_0,
                                    FLOW_VLAN_1,
                                    FLOW_ETHERTYPE,
                                    FLOW_FAMILY,
                                    FLOW_PROTO,
                                    FLOW_TUNNEL,
                                    FLOW_HAS_PORTS,
                                    FLOW_ID,
                                    FLOW_START,
                                    FLOW_FIRST,
                                    FLOW_LAST,
                                    FLOW_PACKETS_0,
                                    FLOW_PACKETS_1,
                                    FLOW_BYTES_0,
                                    FLOW_BYTES_1,
                                    FLOW_LATER_FRAGMENTS_0,
                                    FLOW_LATER_FRAGMENTS_1,
                                    FLOW_STATE};
    *row = (struct flow_row){.key = *key, .flow_id = id, .start_ns = time, .first_ns = time};
    for (size_t i = 0; i < sizeof known; i++)
        column_add(&row->has, known[i]);
    if (first) { /* later rows learn it from the merge: sticky */
        row->originator = (uint8_t)direction;
        column_add(&row->has, FLOW_ORIGINATOR);
    }
}

static void count_packet(struct flow_row *row, const struct sample *s, uint64_t time)
{
    row->packets[s->direction]++;
    row->bytes[s->direction] += s->packet.wire;
    row->later_fragments[s->direction] += s->packet.net.fragment == FRAGMENT_LATER;
    row->last_ns = time;
    row->state = (uint8_t)(1 + row->flow_id % 13);
}

/* Later fragments go with the first of their datagram, as a flow table puts them. */
static bool same_datagram(const struct packet *first, const struct packet *later)
{
    return later->net.fragment == FRAGMENT_LATER && first->net.fragment == FRAGMENT_FIRST &&
           first->fragment_id == later->fragment_id && first->net.family == later->net.family &&
           first->net.proto == later->net.proto &&
           memcmp(first->net.addr, later->net.addr, sizeof first->net.addr) == 0 &&
           memcmp(first->vlan, later->vlan, sizeof first->vlan) == 0 && first->tunnel == later->tunnel &&
           first->tunnel_id == later->tunnel_id && first->link_type == later->link_type;
}

static void find_key(struct world *w, unsigned i, struct flow_key *key)
{
    struct sample *s = &w->sample[i];
    s->direction = packet_key(&s->packet, (uint32_t)s->packet.link_type, key);
    for (unsigned j = 0; j < i; j++) {
        if (same_datagram(&w->sample[j].packet, &s->packet)) {
            *key = w->flow[w->sample[j].flow].sum.key;
            s->direction = w->sample[j].direction;
            return;
        }
    }
}

static void add_packet(struct world *w, struct random *r, unsigned i)
{
    struct sample *s = &w->sample[i];
    struct flow_key key;
    uint64_t time = 1000000 + i;
    find_key(w, i, &key);
    unsigned n = 0;
    while (n < w->flow_count && memcmp(&w->flow[n].sum.key, &key, sizeof key) != 0)
        n++;
    struct flow *f = &w->flow[n];
    bool first = n == w->flow_count;
    if (first) {
        *f = (struct flow){.plain = true};
        w->flow_count++;
        start_row(&f->sum, &key, random_next(r), true, s->direction, time);
    }
    struct flow_row *part = &f->part[random_below(r, PARTS)];
    if (!column_has(&part->has, FLOW_ID))
        start_row(part, &key, f->sum.flow_id, first, s->direction, f->sum.start_ns);
    if (!part->packets[0] && !part->packets[1])
        part->first_ns = time;
    count_packet(part, s, time);
    count_packet(&f->sum, s, time);
    s->flow = n;
    f->plain &= s->packet.plain;
}

/* The sum by the rows' own rules, which must give what was counted. */
static void check_sum(struct flow *f)
{
    struct flow_row merged = {0};
    for (unsigned i = 0; i < PARTS; i++) {
        if (!column_has(&f->part[i].has, FLOW_ID))
            continue;
        if (!column_has(&merged.has, FLOW_ID))
            merged = f->part[i];
        else
            table_merge(&table_flow, &merged, &f->part[i]);
    }
    assert_int_equal(merged.packets[0], f->sum.packets[0]);
    assert_int_equal(merged.later_fragments[1], f->sum.later_fragments[1]);
    assert_int_equal(merged.originator, f->sum.originator);
}

static void make_world(struct world *w, struct random *r, bool plain)
{
    w->flow_count = 0;
    for (unsigned i = 0; i < PACKETS; i++) {
        struct sample *s = &w->sample[i];
        random_packet(r, plain, &s->bytes);
        packet_decode(s->bytes.link_type, s->bytes.data, s->bytes.captured, s->bytes.wire, &s->packet);
        add_packet(w, r, i);
    }
    for (unsigned i = 0; i < w->flow_count; i++) {
        check_sum(&w->flow[i]);
        w->flow[i].sum.agent = (struct text){i % 2 ? "web-1" : "db2", i % 2 ? 5 : 3};
        column_add(&w->flow[i].sum.has, FLOW_AGENT);
    }
}

/* --- libpcap --- */

static pcap_t *dead[LINK_TYPES];

static unsigned link_index(int link_type)
{
    unsigned i = 0;
    while (link_types[i] != link_type)
        i++;
    return i;
}

static void open_dead(void)
{
    for (unsigned i = 0; i < LINK_TYPES && !dead[i]; i++)
        dead[i] = pcap_open_dead(link_types[i] == 101 ? DLT_RAW : link_types[i], 262144);
}

/* Not optimised: the optimiser of libpcap 1.10.3 is wrong on some of these filters. */
static void compile(const char *text, struct bpf_program programs[LINK_TYPES])
{
    for (unsigned i = 0; i < LINK_TYPES; i++) {
        if (pcap_compile(dead[i], &programs[i], text, 0, PCAP_NETMASK_UNKNOWN) != 0)
            fail_msg("libpcap on link type %d: %s: %s", link_types[i], pcap_geterr(dead[i]), text);
    }
}

static bool libpcap_takes(const struct sample *s, struct bpf_program programs[LINK_TYPES])
{
    struct pcap_pkthdr h = {.caplen = s->bytes.captured, .len = s->bytes.wire};
    return pcap_offline_filter(&programs[link_index(s->bytes.link_type)], &h, s->bytes.data) != 0;
}

/* --- What must hold --- */

static void tell(const struct world *w, unsigned flow, uint64_t seed, const char *text)
{
    print_error("FLEETDUMP_SEED=%" PRIu64 "\nfilter: %s\n", seed, text);
    for (unsigned i = 0; i < PACKETS; i++) {
        const struct sample *s = &w->sample[i];
        if (s->flow != flow)
            continue;
        print_error("packet of link type %d, direction %u, plain %d:", s->bytes.link_type, s->direction,
                    s->packet.plain);
        for (uint32_t j = 0; j < s->bytes.captured; j++)
            print_error(" %02x", s->bytes.data[j]);
        print_error("\n");
    }
}

static struct filter *compile_ours(const char *text, uint64_t seed)
{
    struct filter *f;
    struct error e = ERROR_INIT;
    if (filter_compile(text, NULL, &f, &e) != 0)
        fail_msg("FLEETDUMP_SEED=%" PRIu64 " %s", seed, e.text);
    return f;
}

/* Filters of words that libpcap has too, on plain packets: each packet is judged as libpcap does, and a flow is
 * selected if and only if libpcap takes one of its packets. */
static void check_equal(struct world *w, struct random *r, uint64_t seed, struct totals *t)
{
    static struct random_filter texts;
    random_filter(r, false, &texts);
    struct bpf_program programs[2][LINK_TYPES];
    struct filter *f = compile_ours(texts.text[RANDOM_OURS], seed);
    compile(texts.text[RANDOM_FROM_ORIGINATOR], programs[0]);
    compile(texts.text[RANDOM_TO_ORIGINATOR], programs[1]);
    for (unsigned i = 0; i < w->flow_count; i++)
        w->flow[i].wanted = false;
    for (unsigned i = 0; i < PACKETS; i++) {
        const struct sample *s = &w->sample[i];
        struct flow *flow = &w->flow[s->flow];
        bool ours, theirs = libpcap_takes(s, programs[s->direction != flow->sum.originator]);
        assert_int_equal(filter_packet(f, &s->packet, &flow->sum, &ours, NULL), 0);
        flow->wanted |= theirs;
        t->plain_packets += s->packet.plain;
        t->packets_taken += s->packet.plain && theirs;
        if (s->packet.plain && ours != theirs) {
            tell(w, s->flow, seed, texts.text[RANDOM_OURS]);
            fail_msg("libpcap %s packet %u and we do not", theirs ? "takes" : "leaves", i);
        }
    }
    uint64_t before = t->flows_taken, flows = 0;
    for (unsigned i = 0; i < w->flow_count; i++) {
        if (!w->flow[i].plain)
            continue;
        enum truth truth = filter_row_sum(f, &w->flow[i].sum);
        flows++;
        t->flows_taken += w->flow[i].wanted;
        if (truth != (w->flow[i].wanted ? TRUTH_YES : TRUTH_NO)) {
            tell(w, i, seed, texts.text[RANDOM_OURS]);
            fail_msg("libpcap %s, the flow's row says %d", w->flow[i].wanted ? "takes a packet" : "takes no packet",
                     truth);
        }
    }
    t->plain_flows += flows;
    t->filters++;
    t->mixed += t->flows_taken != before && t->flows_taken != before + flows;
    for (unsigned i = 0; i < LINK_TYPES; i++) {
        pcap_freecode(&programs[0][i]);
        pcap_freecode(&programs[1][i]);
    }
    filter_free(f);
}

static void check_row(struct world *w, unsigned i, const struct filter *f, uint64_t seed, const char *text,
                      struct totals *t)
{
    const struct flow *flow = &w->flow[i];
    enum truth sum = filter_row_sum(f, &flow->sum);
    bool wrong = flow->wanted ? sum == TRUTH_NO : sum == TRUTH_YES;
    wrong |= sum == TRUTH_MAYBE && !filter_has_packet_words(f, NULL);
    for (unsigned p = 0; p < PARTS; p++) {
        if (!column_has(&flow->part[p].has, FLOW_ID))
            continue;
        enum truth part = filter_row_part(f, &flow->part[p]);
        wrong |= flow->wanted ? part == TRUTH_NO : part == TRUTH_YES;
        t->parts_no += part == TRUTH_NO;
    }
    t->flow_pairs++;
    if (wrong) {
        tell(w, i, seed, text);
        fail_msg("a packet is %s, the flow's row says %d", flow->wanted ? "taken" : "not taken", sum);
    }
}

/* Filters of all words on all packets, cut and broken and tunnelled ones too: rows never say no (or yes) wrongly,
 * neither alone nor summed. */
static void check_sound(struct world *w, struct random *r, uint64_t seed, struct totals *t)
{
    static struct random_filter texts;
    random_filter(r, true, &texts);
    const char *text = texts.text[RANDOM_OURS];
    struct filter *f = compile_ours(text, seed);
    for (unsigned i = 0; i < w->flow_count; i++)
        w->flow[i].wanted = w->flow[i].unjudged = false;
    for (unsigned i = 0; i < PACKETS; i++) {
        const struct sample *s = &w->sample[i];
        struct flow *flow = &w->flow[s->flow];
        bool taken = false;
        int code = filter_packet(f, &s->packet, &flow->sum, &taken, NULL);
        assert_true(code == 0 || code == ERROR_UNSUPPORTED);
        flow->unjudged |= code != 0;
        flow->wanted |= taken;
        t->packet_pairs++;
    }
    for (unsigned i = 0; i < w->flow_count; i++)
        if (!w->flow[i].unjudged)
            check_row(w, i, f, seed, text, t);
    filter_free(f);
}

/* --- Seeds and shares --- */

#define ROUNDS            8
#define FILTERS_PER_ROUND 250

static void run(bool equal, uint64_t seed, struct totals *t)
{
    struct world *w = malloc(sizeof *w);
    assert_non_null(w);
    open_dead();
    struct random r = {seed};
    for (unsigned i = 0; i < ROUNDS; i++) {
        make_world(w, &r, equal);
        for (unsigned j = 0; j < FILTERS_PER_ROUND; j++)
            (equal ? check_equal : check_sound)(w, &r, seed, t);
    }
    free(w);
}

static void run_seeds(bool equal, struct totals *t)
{
    const char *given = getenv("FLEETDUMP_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (given) {
        run(equal, strtoull(given, NULL, 10), t);
        return;
    }
    run(equal, 20261122, t);
    run(equal, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, t);
}

static unsigned percent(uint64_t part, uint64_t of)
{
    return (unsigned)(part * 100 / (of ? of : 1));
}

static void equals_libpcap_on_plain_packets(void **state)
{
    (void)state;
    struct totals t = {0};
    run_seeds(true, &t);
    print_message("%" PRIu64 " filters, %" PRIu64 " plain packets judged (%u%% taken), %" PRIu64
                  " flows (%u%% selected), %u%% of the filters select "
                  "some and not all\n",
                  t.filters, t.plain_packets, percent(t.packets_taken, t.plain_packets), t.plain_flows,
                  percent(t.flows_taken, t.plain_flows), percent(t.mixed, t.filters));
    assert_in_range(percent(t.packets_taken, t.plain_packets), 15, 85);
    assert_in_range(percent(t.flows_taken, t.plain_flows), 15, 85);
    assert_in_range(percent(t.mixed, t.filters), 50, 100);
    if (!getenv("FLEETDUMP_SEED"))
        assert_true(t.plain_packets + t.plain_flows >= 1000000);
}

static void rows_are_never_wrong(void **state)
{
    (void)state;
    struct totals t = {0};
    run_seeds(false, &t);
    print_message("%" PRIu64 " packets and %" PRIu64 " flows judged, %" PRIu64 " rows said no by themselves\n",
                  t.packet_pairs, t.flow_pairs, t.parts_no);
    assert_in_range(percent(t.parts_no, t.flow_pairs), 10, 100);
    if (!getenv("FLEETDUMP_SEED"))
        assert_true(t.packet_pairs + t.flow_pairs >= 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_libpcap_on_plain_packets),
        cmocka_unit_test(rows_are_never_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
