/*
 * rows_bench: size and speed of blocks of flow rows.
 *
 *   rows_bench [ROWS [ROUNDS]]     one line per kind of traffic, then the columns of the last block
 *
 * Rows are made up, with the shapes that matter for size: few servers and many clients by Zipf's law, ephemeral ports,
 * Poisson arrivals in bursts, sizes and durations over many orders of magnitude, mostly one or two frames a flow. Times
 * are medians of ROUNDS.
 */
#include "common/base/clock.h"
#include "common/rows/block.h"
#include "common/rows/block_format.h"
#include "common/rows/flow_row.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t state = 88172645463325252;

static uint64_t random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545f4914f6cdd1d);
}

static double uniform(void)
{
    return (double)(random64() >> 11) / 9007199254740992.0 + 1e-17;
}

static uint64_t below(uint64_t n)
{
    return random64() % n;
}

/* Ranks by a law of about 1/rank. */
static uint64_t zipf(uint64_t n)
{
    return (uint64_t)pow((double)n, uniform()) - 1;
}

static double exponential(double mean)
{
    return -log(uniform()) * mean;
}

static double log_normal(double median, double sigma)
{
    double gauss = sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
    return median * exp(sigma * gauss);
}

/* --- Rows
 * ------------------------------------------------------------------------------------------------------------- */

struct traffic {
    const char *name;
    uint64_t clients, servers; /* how many there are */
    double dns, tcp, scan;     /* shares of flows; scan: a SYN without answer to an address never seen before */
    double ip6;
    double mean_gap_ns;
};

static const struct traffic kinds[] = {
    {"web server", 30000, 2, 0.05, 0.94, 0.01, 0.2, 900e3},
    {"microservices", 60, 80, 0.2, 0.8, 0, 0, 900e3},
    {"scan", 4, 100, 0.01, 0.01, 0.98, 0, 20e3},
    {"gateway", 2000, 20000, 0.35, 0.55, 0.02, 0.15, 900e3},
};
static const uint16_t server_ports[] = {443, 443, 443, 443, 443, 443, 80, 80, 8080, 22, 993, 5432, 6379, 25};
static const char *const histories[] = {"ShADadFf",  "ShADadFfR", "ShADadfF", "ShADad",      "ShADadR",
                                        "ShADadtFf", "Sr",        "S",        "ShADadttFfR", "ShAdDaFf"};
static const char *const scan_histories[] = {"S", "Sr"};

static void address(struct flow_key *key, unsigned end, uint64_t net, uint64_t host)
{
    uint8_t *a = key->addr[end];
    uint64_t mixed = (host + net * 1000003) * UINT64_C(0x9e3779b97f4a7c15);
    memset(a, 0, 16);
    if (key->family == FAMILY_IP4) {
        a[0] = net ? (uint8_t)(mixed >> 56) : 10;
        a[1] = net ? (uint8_t)(mixed >> 48) : (uint8_t)(host >> 12);
        a[2] = net ? (uint8_t)(mixed >> 40) : (uint8_t)(host >> 8);
        a[3] = (uint8_t)(mixed >> 32);
        return;
    }
    static const uint8_t prefix[4] = {0x20, 0x01, 0x0d, 0xb8};
    memcpy(a, prefix, 4);
    memcpy(a + 4, &mixed, 4);
    memcpy(a + 8, &(uint64_t){mixed * 31}, net ? 8 : 2);
}

static void set(struct flow_row *row, const unsigned *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        column_add(&row->has, ids[i]);
}
#define SET(row, ...)                                                                                                  \
    set(row, (const unsigned[]){__VA_ARGS__}, sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static void make_key(const struct traffic *t, struct flow_row *row, bool dns, bool scan)
{
    struct flow_key *key = &row->key;
    key->family = uniform() < t->ip6 ? FAMILY_IP6 : FAMILY_IP4;
    key->ethertype = key->family == FAMILY_IP6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4;
    key->proto = dns ? PROTO_UDP : PROTO_TCP;
    key->vlan[0] = key->vlan[1] = VLAN_NONE;
    key->has_ports = 1;
    unsigned client = (unsigned)below(2);
    address(key, client, t->clients > t->servers, zipf(t->clients));
    address(key, !client, t->servers >= t->clients && !dns, scan ? random64() : dns ? below(2) : zipf(t->servers));
    key->port[client] = (uint16_t)(32768 + below(28232));
    key->port[!client] = dns ? 53 : server_ports[zipf(sizeof(server_ports) / sizeof(*server_ports))];
    row->originator = (uint8_t)client;
    row->originator_by = ORIGINATOR_SYN;
}

static void make_sizes(struct flow_row *row, bool dns, bool scan)
{
    unsigned c = row->originator;
    unsigned s = !c;
    uint64_t request = dns ? 30 + below(30) : scan ? 0 : (uint64_t)log_normal(900, 1);
    uint64_t reply = dns ? 60 + below(200) : scan ? 0 : (uint64_t)log_normal(6000, 2);
    row->payload[c] = request;
    row->payload[s] = reply;
    row->packets[c] = dns || scan ? 1 : 4 + (request + reply / 2) / 1448;
    row->packets[s] = scan ? below(4) == 0 : dns ? 1 : 3 + reply / 1448;
    row->bytes[c] = row->packets[c] * 66 + request + (scan ? 8 : dns ? 0 : 8);
    row->bytes[s] = row->packets[s] * 66 + reply;
}

static void make_tcp(struct flow_row *row, bool scan)
{
    unsigned c = row->originator;
    unsigned s = !c;
    const char *history =
        scan ? scan_histories[row->packets[s]] : histories[zipf(sizeof(histories) / sizeof(*histories))];
    row->history = (struct text){.data = history, .len = (uint32_t)strlen(history)};
    row->syn[c] = 1;
    row->syn[s] = !scan;
    row->rst[s] = strchr(history, 'r') != NULL;
    row->rst[c] = strchr(history, 'R') != NULL;
    row->fin[c] = strchr(history, 'F') != NULL;
    row->fin[s] = strchr(history, 'f') != NULL;
    row->tcp_flags[c] = (uint8_t)(TCP_SYN | (scan ? 0 : TCP_ACK | TCP_PSH) | (row->fin[c] ? TCP_FIN : 0));
    row->tcp_flags[s] = (uint8_t)(scan ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK | TCP_PSH | (row->fin[s] ? TCP_FIN : 0));
    row->state = row->rst[s] ? FLOW_STATE_REJ : scan ? FLOW_STATE_S0 : row->fin[c] ? FLOW_STATE_SF : FLOW_STATE_S1;
    SET(row, FLOW_SYN_0, FLOW_SYN_1, FLOW_FIN_0, FLOW_FIN_1, FLOW_RST_0, FLOW_RST_1, FLOW_TCP_FLAGS_0, FLOW_TCP_FLAGS_1,
        FLOW_HISTORY);
}

static void make_row(const struct traffic *t, struct flow_row *row, uint64_t now, uint32_t *items)
{
    double kind = uniform();
    bool dns = kind < t->dns;
    bool scan = kind >= t->dns + t->tcp;
    memset(row, 0, sizeof(*row));
    make_key(t, row, dns, scan);
    make_sizes(row, dns, scan);
    row->state = FLOW_STATE_SF;
    if (!dns)
        make_tcp(row, scan);
    row->flow_id = random64();
    bool old = uniform() < 0.03; /* began in an earlier chunk */
    row->first_ns = now;
    row->start_ns = old ? now - (uint64_t)exponential(300e9) : now;
    row->last_ns = now + (row->packets[1] + row->packets[0] < 2 ? 0 : (uint64_t)log_normal(dns ? 5e6 : 80e6, 1.8));
    row->prior_packets = old ? 1 + (uint64_t)log_normal(100, 2) : 0;
    row->prior_bytes = row->prior_packets * 700;
    row->end_reason = row->state == FLOW_STATE_S1 ? FLOW_GOES_ON : dns ? FLOW_END_IDLE : FLOW_END_DETECTED;
    uint32_t count = row->last_ns - row->first_ns > 300000000 ? 1 + (uint32_t)below(4) : 1;
    for (uint32_t i = 0; i < count; i++)
        items[i] = (uint32_t)((row->first_ns - UINT64_C(1790000000000000000)) / 200000000) + i;
    row->frames = (struct list){.items = items, .count = count};
    for (unsigned id = FLOW_ADDR_0; id <= FLOW_LATER_FRAGMENTS_1; id++)
        if (id != 15 && id != 19)
            column_add(&row->has, id);
    SET(row, FLOW_ORIGINATOR, FLOW_ORIGINATOR_BY, FLOW_STATE, FLOW_END_REASON, FLOW_PRIOR_PACKETS, FLOW_PRIOR_BYTES,
        FLOW_CAPTURE_LOSS, FLOW_FRAMES);
}

static struct flow_row *make_rows(const struct traffic *t, size_t n, uint32_t *items)
{
    struct flow_row *rows = malloc(n * sizeof(*rows));
    uint64_t now = UINT64_C(1790000000000000000) + below(NS_PER_S);
    for (size_t i = 0; rows && i < n; i++) {
        now += (uint64_t)exponential(uniform() < 0.3 ? t->mean_gap_ns * 3 : t->mean_gap_ns / 7);
        make_row(t, &rows[i], now, items + 4 * i);
    }
    return rows;
}

/* --- Measuring
 * -------------------------------------------------------------------------------------------------------- */

static void must(int r, const struct error *e)
{
    if (r == 0)
        return;
    fprintf(stderr, "rows_bench: %s\n", e->text);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

#define ROUNDS_MAX 101
struct samples {
    double seconds[ROUNDS_MAX];
    unsigned n;
};

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_sample(struct samples *s, double start)
{
    s->seconds[s->n++] = cpu_seconds() - start;
}

static double median(struct samples *s)
{
    qsort(s->seconds, s->n, sizeof(double), compare);
    return s->seconds[s->n / 2];
}

static struct buffer measure_encode(const struct flow_row *rows, size_t n, unsigned rounds, double *seconds)
{
    struct buffer out = {.len = 0};
    struct samples s = {.n = 0};
    struct error e = ERROR_INIT;
    for (unsigned i = 0; i < rounds; i++) {
        buffer_clear(&out);
        double start = cpu_seconds();
        must(block_encode(&table_flow, rows, n, &out, &e), &e);
        add_sample(&s, start);
    }
    *seconds = median(&s);
    return out;
}

static struct block *open_block(const struct buffer *in)
{
    struct block *b;
    struct error e = ERROR_INIT;
    must(block_open(&table_flow, in->data, in->len, &b, &e), &e);
    return b;
}

static double measure_decode(const struct buffer *in, unsigned rounds)
{
    struct samples s = {.n = 0};
    struct error e = ERROR_INIT;
    for (unsigned i = 0; i < rounds; i++) {
        double start = cpu_seconds();
        struct block *b = open_block(in);
        void *rows;
        must(block_read(b, &rows, &e), &e);
        free(rows);
        block_close(b);
        add_sample(&s, start);
    }
    return median(&s);
}

/* Each row merged into the one before it. */
static double measure_merge(const struct flow_row *rows, size_t n, unsigned rounds)
{
    struct samples s = {.n = 0};
    for (unsigned i = 0; i < rounds; i++) {
        double start = cpu_seconds();
        struct flow_row sum = rows[0];
        for (size_t k = 1; k < n; k++)
            table_merge(&table_flow, &sum, &rows[k]);
        add_sample(&s, start);
    }
    return median(&s);
}

/* One column alone, from opening the block on: numbers as an array, others into rows. */
static double measure_column(const struct buffer *in, const struct column *c, unsigned rounds, void *rows)
{
    struct samples s = {.n = 0};
    struct error e = ERROR_INIT;
    for (unsigned i = 0; i < rounds; i++) {
        double start = cpu_seconds();
        struct block *b = open_block(in);
        if (c->type == COLUMN_UINT)
            must(block_read_numbers(b, c->id, rows, NULL, &e), &e);
        else
            must(block_read_column(b, c->id, rows, &e), &e);
        add_sample(&s, start);
        block_close(b);
    }
    return median(&s);
}

static double column_rate(const struct buffer *in, unsigned id, size_t n, unsigned rounds, void *rows)
{
    return (double)n / measure_column(in, table_column(&table_flow, id), rounds, rows) / 1e6;
}

static void print_columns(const struct buffer *in, size_t n, unsigned rounds, void *rows)
{
    static const char *const codecs[] = {"?",     "constant", "frame", "delta", "dictionary",
                                         "plain", "lists",    "split", "cells"};
    unsigned columns = in->data[6] | (unsigned)in->data[7] << 8;
    printf("\n%-20s %-10s %-9s %8s %12s\n", "column", "codec", "", "B/row", "M values/s");
    for (unsigned i = 0; i < columns; i++) {
        const uint8_t *p = in->data + BLOCK_HEADER_SIZE + i * BLOCK_ENTRY_SIZE;
        const struct column *c = table_column(&table_flow, p[0] | (unsigned)p[1] << 8);
        uint32_t stored;
        memcpy(&stored, p + 4, 4);
        printf("%-20s %-10s %-9s %8.3f", c ? c->name : "(cells)", codecs[p[2] % 9],
               p[3] & BLOCK_ZSTD       ? p[3] & BLOCK_PRESENCE ? "some zstd" : "zstd"
               : p[3] & BLOCK_PRESENCE ? "some"
                                       : "",
               stored / (double)n);
        if (c)
            printf(" %12.0f", column_rate(in, c->id, n, rounds, rows));
        printf("\n");
    }
}

static void run(const struct traffic *t, size_t n, unsigned rounds, bool columns)
{
    uint32_t *items = malloc(4 * n * sizeof(*items));
    struct flow_row *rows = items ? make_rows(t, n, items) : NULL;
    if (!rows) {
        fprintf(stderr, "rows_bench: no memory for %zu rows\n", n);
        exit(1);
    }
    double encode;
    struct buffer out = measure_encode(rows, n, rounds, &encode);
    double per_second = (double)n / 1e6;
    printf("%-14s %8zu %8.1f %14.2f %14.2f %14.2f\n", t->name, n, (double)out.len / (double)n, per_second / encode,
           per_second / measure_decode(&out, rounds), per_second / measure_merge(rows, n, rounds));
    if (columns)
        print_columns(&out, n, rounds, rows);
    buffer_free(&out);
    free(rows);
    free(items);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 65536;
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 11;
    if (argc > 3 || n == 0 || n > BLOCK_ROWS_MAX || rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: rows_bench [ROWS (1..%u) [ROUNDS (1..%d)]]\n", BLOCK_ROWS_MAX, ROUNDS_MAX);
        return 2;
    }
    size_t count = sizeof(kinds) / sizeof(*kinds);
    printf("%-14s %8s %8s %14s %14s %14s\n", "traffic", "rows", "B/row", "encode Mrow/s", "decode Mrow/s",
           "merge Mrow/s");
    for (size_t k = 0; k < count; k++)
        run(&kinds[k], n, rounds, k == count - 1);
    return 0;
}
