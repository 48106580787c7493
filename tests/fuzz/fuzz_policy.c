/* A policy, and what it makes of an order. */
#include "agent/policy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct policy p;
    struct error e = ERROR_INIT;
    char said[POLICY_SAID_MAX];
    struct order o = {.magic = ORDER_MAGIC, .name = "c", .snaplen = 96, .packets = 10, .bytes = 1000, .rate = 100};
    const struct policy_question q = {.signed_by = "alice", .now_ns = 1000, .accepted_ns = 1000};
    if (policy_parse("fuzz", (const char *)data, len, &p, &e)) {
        if (p.allow || p.unsigned_too || p.baseline || !e.text[0])
            abort();
        return 0;
    }
    p.kill_file[0] = 0;
    enum policy_verdict v = policy_judge(&p, &q, &o, said, &e);
    if (v == POLICY_YES && !p.allow)
        abort();
    if (strnlen(said, sizeof said) == sizeof said || o.snaplen > 96 || !o.snaplen || o.packets > 10 || o.bytes > 1000 ||
        o.rate > 100)
        abort();
    if (v == POLICY_YES && order_check(&o, &e) && o.end_ns >= o.start_ns)
        abort();
    struct buffer b = {.limit = 1u << 20};
    forbid_filter(&p.forbid, &b);
    buffer_free(&b);
    policy_free(&p);
    return 0;
}
