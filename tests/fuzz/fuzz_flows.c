/*
 * Packets from a stranger, as flows of a chunk: whatever they are, each is counted once, and what rows say of TCP and of applications does not
 * contradict itself.
 * A byte that says when, and in which direction of time, two of length, then the packet; again and again.
 */
#include "agent/capture/flow_table.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS_MAX 256u
#define T0          UINT64_C(1700000000000000000)
#define STEP_NS     UINT64_C(500000)
#define LINK_TYPE   1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void hold(bool holds)
{
    if (!holds)
        abort();
}

static void check_end(const struct flow_row *r, unsigned i)
{
    bool measured = r->rtt_count[i] > 0;
    hold(r->spurious[i] + r->fast[i] <= r->retrans[i] && r->retrans[i] <= r->packets[i]);
    hold(column_has(&r->has, FLOW_RTT_MIN_0 + i) == measured && column_has(&r->has, FLOW_RTT_MAX_0 + i) == measured);
    hold(!measured || (r->rtt_min[i] <= r->rtt_max[i] && r->rtt_max[i] <= r->rtt_sum[i]));
    hold(!column_has(&r->has, FLOW_WINDOW_SCALE_0 + i) || r->window_scale[i] <= 14);
}

/* Every exchange is one of a flow with a row, which counts it if it ended. */
static void check_exchanges(const struct flow_table *t, const struct flow_row *rows, size_t flows)
{
    const struct exchange_row *x;
    size_t n, counted = 0;
    flow_table_exchanges(t, &x, &n);
    size_t ended = n;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        ended -= x[i].outcome == EXCHANGE_RUNNING;
        while (k < flows && rows[k].flow_id != x[i].flow_id)
            k++;
        hold(k < flows && x[i].outcome >= EXCHANGE_COMPLETE && x[i].outcome <= EXCHANGE_RUNNING && x[i].ordinal > 0);
    }
    for (size_t k = 0; k < flows; k++)
        counted += column_has(&rows[k].has, FLOW_EXCHANGES) ? rows[k].exchanges : 0;
    hold(counted == ended);
}

/* Returns how many packets there are. */
static uint64_t seal(struct flow_table *t)
{
    struct flow_row *rows = NULL;
    size_t count = 0;
    uint64_t packets = 0;
    if (flow_table_rows(t, &rows, &count, NULL))
        abort();
    check_exchanges(t, rows, count);
    for (size_t i = 0; i < count; i++) {
        packets += (uint64_t)rows[i].packets[0] + rows[i].packets[1];
        if (!column_has(&rows[i].has, FLOW_REPLIES))
            continue;
        check_end(&rows[i], 0);
        check_end(&rows[i], 1);
        hold((rows[i].replies > 0) == column_has(&rows[i].has, FLOW_WAIT_MAX));
        hold(rows[i].wait_max <= rows[i].wait_sum);
    }
    flow_table_next(t);
    return packets;
}

/* A copy of exactly this size. Returns the packets of chunks that were full. */
static uint64_t take(struct flow_table *t, uint64_t time_ns, const uint8_t *data, uint32_t len)
{
    struct packet p;
    uint64_t sealed = 0;
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    memcpy(copy, data, len);
    packet_decode(LINK_TYPE, copy, len, len, &p);
    while (!flow_table_advance(t, time_ns))
        sealed += seal(t);
    flow_table_packet(t, &p, 0, time_ns, FLOW_FRAME_NONE);
    free(copy);
    return sealed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct flow_table_options o = {.epoch = {1},
                                   .max_flows = 8,
                                   .max_rows = 2 * FLOW_TABLE_ROWS_SPARE,
                                   .app_payload = FLOW_TABLE_APP_ALL,
                                   .app_memory = 1 << 20};
    struct flow_table *t;
    uint64_t time_ns = T0, given = 0, found = 0;
    if (flow_table_new(&o, &t, NULL))
        return 0;
    while (given < PACKETS_MAX && len >= 3) {
        uint64_t step = (uint64_t)(data[0] >> 1) * STEP_NS;
        size_t size = (size_t)data[1] << 8 | data[2];
        data += 3;
        len -= 3;
        size = size < len ? size : len;
        time_ns = data[-3] & 1 ? time_ns - step / 2 : time_ns + step;
        found += take(t, time_ns, data, (uint32_t)size);
        given++;
        data += size;
        len -= size;
    }
    while (!flow_table_end(t, FLOW_END_FORCED))
        found += seal(t);
    found += seal(t);
    hold(found == given);
    hold(flow_table_stats(t).app_memory == 0);
    flow_table_free(t);
    return 0;
}
