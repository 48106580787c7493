#include "common/chunk/counter.h"
#include <stdio.h>

/* isb_option: codes of interface statistics options (4 isb_ifrecv ... 8 isb_usrdeliv). Packets that the host forbids
 * or a filter left out are no loss: nobody who asks was promised them. */
const struct counter_info counter_table[COUNTER_COUNT] = {
    [COUNTER_RECEIVED] = {"received", UNIT_COUNT, 4, NULL, "packets that reached the capture"},
    [COUNTER_RECEIVED_BYTES] = {"received_bytes", UNIT_BYTES, 0, NULL, "bytes on the wire of the packets received"},
    [COUNTER_KEPT] = {"kept", UNIT_COUNT, 6, NULL, "packets counted in rows"},
    [COUNTER_KEPT_BYTES] = {"kept_bytes", UNIT_BYTES, 0, NULL, "bytes on the wire of the packets kept"},
    [COUNTER_STORED] = {"stored", UNIT_COUNT, 8, NULL, "packets written to bodies"},
    [COUNTER_STORED_BYTES] = {"stored_bytes", UNIT_BYTES, 0, NULL, "captured bytes written to bodies"},
    [COUNTER_FILTERED] = {"filtered", UNIT_COUNT, 0, NULL, "packets that did not match the capture's filter"},
    [COUNTER_KERNEL_DROPS] = {"kernel_drops", UNIT_COUNT, 7, "dropped by the kernel, whose ring was full",
                              "packets dropped by the kernel because the ring was full"},
    [COUNTER_INTERFACE_DROPS] = {"interface_drops", UNIT_COUNT, 5, "dropped by the interface or its driver",
                                 "packets dropped by the interface or its driver"},
    [COUNTER_AGENT_DROPS] = {"agent_drops", UNIT_COUNT, 0, "dropped by the agent, which could not keep up",
                             "packets dropped by the agent because a queue was full"},
    [COUNTER_POLICY] = {"policy", UNIT_COUNT, 0, "over the capture's rate, left out",
                        "packets not kept because they were over the capture's rate"},
    [COUNTER_TRUNCATED] = {"truncated", UNIT_COUNT, 0, NULL, "packets kept whose captured bytes end inside a header"},
    [COUNTER_INVALID] = {"invalid", UNIT_COUNT, 0, NULL, "packets kept that break their protocol's rules"},
    [COUNTER_EVICTED] = {"evicted", UNIT_COUNT, 0, "given up on the agent for want of room",
                         "packets given up on the agent for want of room"},
    [COUNTER_CRASH_LOST] = {"crash_lost", UNIT_COUNT, 0, "lost when a capturer died",
                            "packets lost because a process died"},
    [COUNTER_OVERFLOWED] = {"overflowed", UNIT_COUNT, 0, NULL,
                            "packets counted in a row of last resort (flow table full)"},
    [COUNTER_TIME_LIMITED] = {"time_limited", UNIT_COUNT, 0, NULL,
                              "packets kept at 1970 or 2554 because their times are before or after"},
    [COUNTER_OWN] = {"own", UNIT_COUNT, 0, NULL, "packets of fleetdump's own connections, which are left out"},
    [COUNTER_FORBIDDEN] =
        {"forbidden", UNIT_COUNT, 0, NULL,
         "packets of networks or ports that the host's policy forbids, or whose addresses cannot be read"},
    [COUNTER_CUTOFF_BYTES] = {"cutoff_bytes", UNIT_BYTES, 0, NULL,
                              "payload behind the first bytes of a flow that the capture keeps (--cutoff), not stored"},
    [COUNTER_FRAMES_FASTER] = {"frames_faster", UNIT_COUNT, 0, NULL,
                               "stretches of packets compressed less than they could be, so that none is lost"},
    [COUNTER_FLOWS_EVICTED] = {"flows_evicted", UNIT_COUNT, 0, NULL,
                               "flows ended early because the flow table was full"},
    [COUNTER_APPS_UNREAD] = {"apps_unread", UNIT_COUNT, 0, NULL,
                             "flows whose applications were not read, or not to their end, for want of memory"},
    [COUNTER_EXCHANGES_UNTOLD] = {"exchanges_untold", UNIT_COUNT, 0, NULL,
                                  "exchanges that went on when a chunk ended and are listed later: it was full of "
                                  "others, or many of their flow went on"},
};

char *counter_say_lost(enum counter c, uint64_t n, char *buf, size_t len)
{
    snprintf(buf, len, "%llu packet%s %s", (unsigned long long)n, units_plural(n), counter_table[c].lost);
    return buf;
}

void counters_add(struct counters *into, const struct counters *from)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        if (__builtin_add_overflow(into->value[i], from->value[i], &into->value[i]))
            into->value[i] = UINT64_MAX;
    }
}
