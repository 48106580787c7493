#include "collector/cli/order_end.h"
#include "collector/cli/interrupt.h"
#include "common/base/clock.h"
#include "common/base/units.h"
#include <stdio.h>
#include <string.h>

#define ASK_EVERY_MS 100u
#define FRESH_MS     1000u
#define SAY_AFTER_MS 500u
#define PAUSES_SAID  4u
#define MISSING_MAX  500u /* bytes of a sentence about agents */

/* ------------------------------------------------------------------ what is still on its way */

static int take_nothing(void *context, const struct message_result *r, struct error *e)
{
    (void)context;
    (void)r;
    (void)e;
    return 0;
}

/* Packets of the capture that the collector holds, or knows to be given up. What else the collector knows to be missing becomes
 * the order's. */
static int ask_packets(struct client *c, json_t *order, uint64_t *packets, struct error *e)
{
    const char *name = order_text(order, "capture");
    const struct message_query q = {.kind = QUERY_CAPTURES, .until_ns = UINT64_MAX, .link_type = UINT32_MAX};
    json_t *captures = NULL, *one;
    size_t i;
    int r = client_fetch(c, &q, &captures, e);
    *packets = 0;
    json_array_foreach(captures, i, one)
    {
        if (strcmp(order_text(one, "capture"), name) != 0)
            continue;
        *packets = order_number(one, "packets") + order_number(one, "gap_packets");
        json_object_set(order, "not_captured", json_object_get(one, "not_captured"));
        json_object_set_new(order, "crash_lost",
                            json_integer((json_int_t)order_number(json_object_get(one, "counters"),
                                                                  counter_table[COUNTER_CRASH_LOST].name)));
    }
    json_decref(captures);
    return r;
}

struct on_its_way {
    uint64_t open;     /* streams that have not ended */
    uint64_t awaited;  /* of these, of agents that are there */
    uint64_t packets;  /* that the collector holds, or knows to be given up */
    bool anybody_away; /* what they have may come later, much later */
};

static bool is_here(const json_t *order, const char *agent)
{
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(order, "agents"), i, a)
    {
        if (strcmp(order_text(a, "agent"), agent) == 0)
            return order_flag(a, "connected");
    }
    return false;
}

/* A question for packets of the future, so none: agents hand over what they have, and its account names the streams
 * that have not ended. */
static int ask_streams(struct client *c, const json_t *order, struct on_its_way *w, struct error *e)
{
    const struct message_query q = {.kind = QUERY_PULL,
                                    .capture = (char *)(uintptr_t)order_text(order, "capture"),
                                    .since_ns = INT64_MAX,
                                    .until_ns = UINT64_MAX,
                                    .link_type = UINT32_MAX,
                                    .fresh_ms = FRESH_MS};
    struct client_answer answer;
    size_t i;
    json_t *agent;
    int r = client_query(c, &q, NULL, take_nothing, NULL, &answer, e);
    json_array_foreach(json_object_get(answer.manifest, "agents"), i, agent)
    {
        uint64_t open = order_number(agent, "open_streams");
        w->open += open;
        w->awaited += is_here(order, order_text(agent, "agent")) ? open : 0;
    }
    client_answer_free(&answer);
    return r;
}

static int ask_all(struct client *c, json_t *order, struct on_its_way *w, bool *arrived, struct error *e)
{
    size_t i;
    json_t *a;
    *w = (struct on_its_way){0};
    json_array_foreach(json_object_get(order, "agents"), i, a) w->anybody_away |= !order_flag(a, "connected");
    int r = ask_streams(c, order, w, e);
    if (r == 0)
        r = ask_packets(c, order, &w->packets, e);
    *arrived = r == 0 && w->open == 0 && w->packets >= order_number(order, "packets");
    return r;
}

int order_arrived(struct client *c, json_t *order, bool *arrived, struct error *e)
{
    struct on_its_way w;
    return ask_all(c, order, &w, arrived, e);
}

int order_settle(const struct cli *cli, struct client *c, json_t *order, bool *arrived, struct error *e)
{
    struct on_its_way w;
    uint64_t begin_ns = clock_mono_ns();
    unsigned interrupts = interrupt_count();
    bool said = false;
    int r = ask_all(c, order, &w, arrived, e);
    while (r == 0 && !*arrived && (w.awaited || !w.anybody_away) && interrupt_count() == interrupts) {
        uint64_t waited_ms = (clock_mono_ns() - begin_ns) / NS_PER_MS;
        if (waited_ms >= ORDER_SETTLE_MS)
            break;
        if (!said && waited_ms >= SAY_AFTER_MS) {
            note(cli, "waiting for what is still on its way from the agents (at most %u s) ...",
                 ORDER_SETTLE_MS / 1000);
            said = true;
        }
        (void)interrupt_wait(ASK_EVERY_MS, -1);
        r = ask_all(c, order, &w, arrived, e);
    }
    return r == ERROR_CANCELLED ? 0 : r;
}

/* ------------------------------------------------------------------ what is said of it */

static const char *many(uint64_t n, const char *one, const char *more)
{
    return n == 1 ? one : more;
}

/* A capture of everything would else look as if it had holes. */
static void say_own(const struct cli *cli, const json_t *order)
{
    char own[40];
    size_t i;
    json_t *a;
    uint64_t n = 0;
    json_array_foreach(json_object_get(order, "agents"), i, a) n += order_number(a, "own");
    if (n)
        note(cli, "left out on purpose: %s packet%s of fleetdump's own connections",
             units_format(UNIT_COUNT, n, own, sizeof own), many(n, "", "s"));
}

void order_say_totals(const struct cli *cli, const json_t *order)
{
    char packets[40], bytes[40], drops[40];
    size_t agents = json_array_size(json_object_get(order, "agents"));
    uint64_t dropped = order_drops(order), n = order_number(order, "packets");
    note(cli, "%s: %zu agent%s, %s packet%s, %s, %s dropped", order_text(order, "capture"), agents,
         many(agents, "", "s"), units_format(UNIT_COUNT, n, packets, sizeof packets), many(n, "", "s"),
         units_format(UNIT_BYTES, order_number(order, "bytes"), bytes, sizeof bytes),
         dropped ? units_format(UNIT_COUNT, dropped, drops, sizeof drops) : "none");
    say_own(cli, order);
}

/* As a shell takes it: names without letters of its own as they are. */
static const char *quoted(const char *name, char buf[HEAD_NAME_MAX + 3])
{
    bool plain = name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+@%,")] == 0;
    const char *quote = plain ? "" : "'"; /* no name has any */
    snprintf(buf, HEAD_NAME_MAX + 3, "%s%s%s", quote, name, quote);
    return buf;
}

void order_say_next(const struct cli *cli, const json_t *order)
{
    char name[HEAD_NAME_MAX + 3];
    quoted(order_text(order, "capture"), name);
    note(cli, "  fleetdump flows --capture %s", name);
    if (strcmp(order_text(order, "keep"), capture_keep_name(KEEP_FLOWS)) != 0)
        note(cli, "  fleetdump pull --capture %s -w %.200s.pcapng", name, name[0] == '\'' ? "capture" : name);
}

/* What one agent lacks; nothing if it lacks nothing. */
static void put_missing(const json_t *a, struct buffer *out)
{
    unsigned long long kernel = order_number(a, "kernel_drops"), other = order_number(a, "other_drops");
    int phase = order_phase(a);
    const char *agent = order_text(a, "agent"), *text = order_text(a, "text");
    if (phase != PHASE_STOPPED)
        buffer_printf(out, "\n%s: %s%s%s", agent,
                      phase == PHASE_PENDING || phase == PHASE_MISSED ? "never came" : order_text(a, "phase"),
                      *text ? ": " : "", text);
    else if (strncmp(text, CAPTURE_HOST_ENDED, strlen(CAPTURE_HOST_ENDED)) == 0 ||
             strncmp(text, CAPTURE_REVOKED, strlen(CAPTURE_REVOKED)) == 0)
        buffer_printf(out, "\n%s: %s", agent, text);
    if (kernel)
        buffer_printf(out, "\n%s: %llu packets dropped by the kernel", agent, kernel);
    if (other)
        buffer_printf(out, "\n%s: %llu packets left out by the agent (limits, no room)", agent, other);
}

/* What was lost where nobody lived to say so: as the collector knows it. */
static void put_lost(const json_t *order, struct buffer *out)
{
    uint64_t lost = order_number(order, "crash_lost");
    char text[200];
    size_t i;
    json_t *p;
    if (lost)
        buffer_printf(out, "\n%s", counter_say_lost(COUNTER_CRASH_LOST, lost, text, sizeof text));
    json_array_foreach(json_object_get(order, "not_captured"), i, p)
    {
        if (i < PAUSES_SAID)
            buffer_printf(out, "\n%s: not captured %s to %s (the agent or its capturer was down)",
                          order_text(p, "agent"), order_text(p, "from"), order_text(p, "to"));
    }
    if (i > PAUSES_SAID)
        buffer_printf(out, "\nand %zu times more (`fleetdump captures -o json` lists all)", i - PAUSES_SAID);
}

int order_verdict(const json_t *order, bool arrived, struct error *e)
{
    struct buffer missing = {.limit = 1 << 20};
    size_t i, more = 0;
    json_t *a;
    json_array_foreach(json_object_get(order, "agents"), i, a)
    {
        size_t before = missing.len;
        put_missing(a, &missing);
        if (missing.len > MISSING_MAX && before > 0) {
            missing.len = before;
            more++;
        }
    }
    if (more)
        buffer_printf(&missing, "\nand %zu more agents (`fleetdump capture show` lists all)", more);
    put_lost(order, &missing);
    if (!arrived)
        buffer_printf(&missing, "\nsome of it is still on its way from the agents");
    int r = missing.len == 0 ? 0
                             : error_set(e, ERROR_INCOMPLETE, "what was captured is good, but missing is:%.*s",
                                         (int)missing.len, (const char *)missing.data);
    buffer_free(&missing);
    return r;
}
