#include "tests/unit/random.h"

const char *const random_ip4[RANDOM_IP4S] = {"10.0.0.1",    "10.0.0.2", "10.1.0.5", "192.168.1.1",    "192.168.1.77",
                                             "224.0.0.251", "0.0.0.0",  "10.0.1.1", "255.255.255.255"};
const char *const random_ip6[RANDOM_IP6S] = {"fe80::1", "fe80::2", "2001:db8::1", "2001:db8:1::2", "ff02::1", "::1"};
const uint16_t random_ports[RANDOM_PORTS] = {22, 53, 80, 443, 8080, 40000};

uint64_t random_next(struct random *r) /* splitmix64 */
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

unsigned random_below(struct random *r, unsigned n)
{
    return (unsigned)(random_next(r) % n);
}

bool random_chance(struct random *r, unsigned percent)
{
    return random_below(r, 100) < percent;
}
