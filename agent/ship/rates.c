#include "agent/ship/rates.h"

#include "common/base/clock.h"
#include <stdio.h>
#include <string.h>

#define LEAST_NS (100 * NS_PER_MS)

static const struct rates_one *find(const struct rates *r, const char *name)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->one[i].name, name) == 0)
            return &r->one[i];
    return NULL;
}

/* "  eth0: bytes packets errs drop fifo frame compressed multicast bytes packets ..." */
static int parse(const char *line, struct rates_one *one)
{
    unsigned long long in_bytes, in_packets, out_bytes, out_packets;
    if (sscanf(line, " %63[^: ]: %llu %llu %*u %*u %*u %*u %*u %*u %llu %llu", one->name, &in_bytes, &in_packets,
               &out_bytes, &out_packets) != 5)
        return 0;
    one->packets = in_packets + out_packets;
    one->bytes = in_bytes + out_bytes;
    return 1;
}

static void rate(struct rates_one *one, const struct rates_one *was, double seconds)
{
    one->packets_per_s = one->bytes_per_s = 0;
    if (!was || seconds <= 0 || one->packets < was->packets || one->bytes < was->bytes)
        return;
    one->packets_per_s = (double)(one->packets - was->packets) / seconds;
    one->bytes_per_s = (double)(one->bytes - was->bytes) / seconds;
}

void rates_sample(struct rates *r, uint64_t now_ns)
{
    static struct rates fresh; /* large */
    char line[512];
    if (r->at_ns && now_ns - r->at_ns < LEAST_NS)
        return;
    FILE *f = fopen("/proc/self/net/dev", "re");
    if (!f)
        return;
    fresh.count = 0;
    fresh.at_ns = now_ns;
    while (fresh.count < RATES_INTERFACES && fgets(line, sizeof line, f)) {
        struct rates_one *one = &fresh.one[fresh.count];
        if (!parse(line, one))
            continue;
        rate(one, find(r, one->name), (double)(now_ns - r->at_ns) / (double)NS_PER_S);
        fresh.count++;
    }
    fclose(f);
    *r = fresh;
}

void rates_of(const struct rates *r, const char *name, uint64_t *packets_per_s, uint64_t *bytes_per_s)
{
    const struct rates_one *one = find(r, name);
    *packets_per_s = one ? (uint64_t)one->packets_per_s : 0;
    *bytes_per_s = one ? (uint64_t)one->bytes_per_s : 0;
}
