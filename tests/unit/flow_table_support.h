/*
 * flow_table_support: a flow table, and packets that are given to it.
 */
#ifndef FLEETDUMP_TESTS_FLOW_TABLE_SUPPORT_H
#define FLEETDUMP_TESTS_FLOW_TABLE_SUPPORT_H

#include "agent/capture/flow_table.h"
#include "common/base/clock.h"
#include "tests/unit/packet_build.h"
#include "tests/unit/support.h"

#define ETHERNET 1
#define T0       (UINT64_C(1700000000) * NS_PER_S)
#define A        "10.0.0.1"
#define B        "10.0.0.2"

/* A table with these options. */
struct flow_table *table_with(const struct flow_table_options *o);
/* A table for so many flows; 0: as many as usual. */
struct flow_table *table_of(uint32_t max_flows);
/* The packet at T0 and so many seconds, on that interface; it stands in that frame. */
void table_give_on(struct flow_table *t, struct build *b, uint32_t interface, double seconds, uint32_t frame);
/* On interface 0. */
void table_give(struct flow_table *t, struct build *b, double seconds);
struct build packet_tcp(const char *from, unsigned from_port, const char *to, unsigned to_port, unsigned flags,
                        uint32_t seq, size_t payload);
struct build packet_udp(const char *from, unsigned from_port, const char *to, unsigned to_port, size_t payload);
/* The rows of the chunk that ends now, of which there must be `count`; they are the table's. */
struct flow_row *table_rows(struct flow_table *t, size_t count);
/* From the router, about the packet quoted. */
struct build packet_icmp_error(const char *router, struct build *quoted);

#endif
