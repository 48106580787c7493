/*
 * Input: a filter's text, a 0 byte, a link type (its low byte and its high byte), a packet. Whatever the text, the
 * parser ends; whatever the packet, the flow that it alone makes is not judged otherwise.
 */
#include "common/filter/capture_filter.h"
#include "common/filter/filter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct filter_address addresses[] = {{FAMILY_IP4, {10, 0, 0, 1}, 0, UINT64_MAX},
                                                  {FAMILY_IP4, {10, 0, 0, 5}, 0, 1500}};
static const struct filter_name items[] = {{"web", addresses, 2}, {"@web", addresses, 1}};
static const struct filter_names names = {items, 2};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void each(void *context, const char *name)
{
    *(size_t *)context += strlen(name);
}

static void *leaf(void *context, const struct filter_term *t)
{
    (void)t;
    return context;
}

static void *two(void *context, void *a, void *b)
{
    must(a == context && b == context);
    return context;
}

static struct flow_row row_of(const struct packet *p)
{
    struct flow_row row = {.start_ns = 1000, .first_ns = 1000, .last_ns = 2000};
    unsigned direction = packet_key(p, 0, &row.key);
    for (unsigned id = FLOW_ADDR_0; id <= FLOW_LATER_FRAGMENTS_1; id++)
        column_add(&row.has, id);
    column_add(&row.has, FLOW_ORIGINATOR);
    row.packets[direction] = 1;
    row.later_fragments[direction] = p->net.fragment == FRAGMENT_LATER;
    row.originator = (uint8_t)direction;
    return row;
}

static void judge(struct filter *f, int link_type, const uint8_t *data, uint32_t len)
{
    struct packet p;
    struct error e;
    bool match;
    packet_decode(link_type, data, len, len, &p);
    struct flow_row row = row_of(&p);
    enum truth sum = filter_row_sum(f, &row), part = filter_row_part(f, &row);
    if (filter_packet(f, &p, &row, &match, &e) != 0)
        return;
    must(match ? sum != TRUTH_NO && part != TRUTH_NO : sum != TRUTH_YES && part != TRUTH_YES);
    must(sum != TRUTH_MAYBE || filter_has_packet_words(f, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *end = memchr(data, 0, len);
    char *text = strndup((const char *)data, len);
    must(text);
    size_t rest = end ? len - (size_t)(end - data) - 1 : 0;
    int link_type = rest >= 2 ? end[1] | (end[2] & 1) << 8 : 1;
    struct filter *f;
    struct capture_filter *c;
    struct error e;
    size_t total = 0;
    if (filter_compile(text, &names, &f, &e) == 0) {
        const struct filter_fold ops = {leaf, two, two, &total};
        must(filter_fold(f, &ops) == &total);
        judge(f, link_type, rest > 2 ? end + 3 : NULL, rest > 2 ? (uint32_t)(rest - 2) : 0);
        filter_free(f);
    } else {
        must(e.code < 0 && *e.text);
    }
    if (filter_each_name(text, each, &total, NULL) != 0)
        must(total == 0);
    if (capture_filter_new(text, link_type, PACKET_SNAPLEN_MAX, &c, NULL) == 0) {
        if (rest > 2)
            (void)capture_filter_match(c, end + 3, (uint32_t)(rest - 2), (uint32_t)(rest - 2));
        capture_filter_free(c);
    }
    free(text);
    return 0;
}
