/* A packet (the first byte chooses its link type) that touches 10.0.0.0/8, fd00::/8 or port 22 on a layer that was read is left out. */
#include "agent/forbid.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool touches(const struct packet_net *n)
{
    for (unsigned i = 0; i < 2; i++)
        if ((n->family == FAMILY_IP4 && n->addr[i][0] == 10) || (n->family == FAMILY_IP6 && n->addr[i][0] == 0xfd) ||
            (n->has_ports && n->port[i] == 22))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const int types[] = {1, 101, 113, 276, 0, 9, 147};
    struct forbid f = {0};
    struct error e = ERROR_INIT;
    struct packet p;
    if (len == 0 || len > PACKET_SNAPLEN_MAX)
        return 0;
    if (forbid_add_net(&f, "10.0.0.0/8", &e) || forbid_add_net(&f, "fd00::/8", &e) || forbid_add_ports(&f, "22", &e))
        abort();
    packet_decode(types[data[0] % (sizeof types / sizeof *types)], data + 1, (uint32_t)len - 1, (uint32_t)len - 1, &p);
    bool out = forbid_packet(&f, &p);
    if (!out && (touches(&p.net) || touches(&p.outer) || touches(&p.quoted) || p.net.family == FAMILY_NONE))
        abort();
    if (!out && p.end != PACKET_OK && p.net.family == FAMILY_LINK)
        abort();
    return 0;
}
