#include "collector/cli/follow.h"
#include "common/base/clock.h"
#include "common/chunk/counter.h"
#include <stdlib.h>
#include <string.h>

#define HELD_MAX (64u << 20) /* of one answer */

/* What was lost at one agent, over all answers. */
struct losses {
    struct losses *next;
    char *agent;                   /* owned */
    uint64_t count[COUNTER_COUNT]; /* of counters that are losses */
    uint64_t gaps, damaged;
};

struct follow {
    const struct cli *cli;
    struct client *client; /* NULL: not connected */
    struct message_query q;
    char *after; /* owned */
    struct joined *joined;
    /* Of an answer that has not ended: if it breaks off, it comes again as a whole; but not if it was too long to be
     * held back. */
    struct buffer held;
    bool passed_on;
    bool answered; /* once at least */
    uint64_t asked_ns;
    bool away; /* the collector does not answer; that was said */
    struct losses *losses;
};

/* ------------------------------------------------------------------ losses */

static struct losses *losses_of(struct follow *f, const char *agent)
{
    struct losses *l = f->losses;
    while (l && strcmp(l->agent, agent) != 0)
        l = l->next;
    if (l || !(l = calloc(1, sizeof *l)))
        return l;
    l->agent = strdup(agent);
    if (!l->agent) {
        free(l);
        return NULL;
    }
    l->next = f->losses;
    f->losses = l;
    return l;
}

static uint64_t number(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v < 0 ? 0 : (uint64_t)v;
}

static void add_losses(struct follow *f, const json_t *manifest)
{
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(manifest, "agents"), i, a)
    {
        const char *name = json_string_value(json_object_get(a, "agent"));
        struct losses *l = name ? losses_of(f, name) : NULL;
        for (int c = 0; l && c < COUNTER_COUNT; c++)
            if (counter_table[c].lost)
                l->count[c] += number(json_object_get(a, "counters"), counter_table[c].name);
        if (l) {
            l->gaps += number(a, "gap_chunks");
            l->damaged += number(a, "damaged_chunks");
        }
    }
}

static void put_losses(const struct losses *l, struct buffer *out)
{
    char text[200];
    for (int c = 0; c < COUNTER_COUNT; c++)
        if (l->count[c])
            buffer_printf(out, "\n%s: %s", l->agent, counter_say_lost((enum counter)c, l->count[c], text, sizeof text));
    if (l->gaps)
        buffer_printf(out, "\n%s: %llu chunks given up", l->agent, (unsigned long long)l->gaps);
    if (l->damaged)
        buffer_printf(out, "\n%s: %llu chunks damaged", l->agent, (unsigned long long)l->damaged);
}

int follow_losses(const struct follow *f, struct error *e)
{
    struct buffer list = {0};
    for (const struct losses *l = f->losses; l; l = l->next)
        put_losses(l, &list);
    int r = list.len ? error_set(e, ERROR_INCOMPLETE, "the packets are good, but of those that passed are missing:%.*s",
                                 (int)list.len, (const char *)list.data)
                     : 0;
    buffer_free(&list);
    return r;
}

/* ------------------------------------------------------------------ the collector */

static int pass_on(struct follow *f, struct error *e)
{
    int r = joined_feed(f->joined, f->held.data, f->held.len, e);
    buffer_clear(&f->held);
    f->passed_on = true;
    return r;
}

static int hold(void *context, const struct message_result *r, struct error *e)
{
    struct follow *f = context;
    buffer_append(&f->held, r->data, r->length);
    if (f->held.failed)
        return error_set(e, ERROR_MEMORY, "no memory for packets");
    return f->held.len < HELD_MAX ? 0 : pass_on(f, e);
}

/* A whole answer: its packets, and where the next one begins. */
static int take_answer(struct follow *f, const json_t *manifest, struct error *e)
{
    const char *next = json_string_value(json_object_get(manifest, "next"));
    char *after = next ? strdup(next) : NULL;
    if (!after)
        return error_set(e, ERROR_UNSUPPORTED,
                         "the collector at %s does not say how to go on: is it older than the "
                         "command line?",
                         f->cli->collector);
    free(f->after);
    f->after = after;
    f->q.after = after;
    f->answered = true;
    add_losses(f, manifest);
    int r = f->held.len ? pass_on(f, e) : 0;
    return r ? r : joined_next(f->joined, e);
}

static bool may_pass(int code)
{
    return code == ERROR_UNREACHABLE || code == ERROR_SYSTEM || code == ERROR_CANCELLED || code == ERROR_BUSY;
}

static int ask_and_take(struct follow *f, bool *passes, struct error *e)
{
    struct client_answer answer = {0};
    buffer_clear(&f->held);
    f->passed_on = false;
    int r = f->client ? 0 : client_open(f->cli, &f->client, e);
    if (r == 0)
        r = client_query(f->client, &f->q, NULL, hold, f, &answer, e);
    if (r) {
        client_close(f->client);
        f->client = NULL;
    } else if (answer.code && answer.code != ERROR_INCOMPLETE)
        r = client_conclude(f->cli, &answer, "", e);
    *passes = may_pass(r) && f->answered && !f->passed_on;
    if (r == 0)
        r = take_answer(f, answer.manifest, e);
    client_answer_free(&answer);
    return r;
}

int follow_ask(struct follow *f, struct error *e)
{
    struct error why = ERROR_INIT;
    bool passes = false;
    f->asked_ns = clock_mono_ns();
    int r = ask_and_take(f, &passes, &why);
    if (r == 0 && f->away)
        note(f->cli, "the collector answers again");
    if (passes && r != ERROR_CANCELLED && !f->away)
        note(f->cli, "%s; trying again", why.text);
    if (r != ERROR_CANCELLED)
        f->away = passes;
    if (r && !passes && e)
        *e = why;
    return passes ? 0 : r;
}

unsigned follow_wait_ms(const struct follow *f)
{
    uint64_t passed_ms = (clock_mono_ns() - f->asked_ns) / NS_PER_MS;
    return f->asked_ns == 0 || passed_ms >= FOLLOW_EVERY_MS ? 0 : (unsigned)(FOLLOW_EVERY_MS - passed_ms);
}

/* ------------------------------------------------------------------ the whole */

int follow_new(const struct cli *cli, const struct message_query *q, joined_write_fn *write, void *context,
               struct follow **out, struct error *e)
{
    struct follow *f = calloc(1, sizeof *f);
    if (!f || !(f->after = strdup("0"))) {
        free(f);
        return error_set(e, ERROR_MEMORY, "no memory for packets");
    }
    f->cli = cli;
    f->q = *q;
    f->q.after = f->after;
    f->held.limit = HELD_MAX + NET_PIECE_MAX;
    int r = joined_new("fleetdump: packets as they came", write, context, &f->joined, e);
    if (r) {
        follow_free(f);
        return r;
    }
    *out = f;
    return 0;
}

void follow_free(struct follow *f)
{
    if (!f)
        return;
    for (struct losses *l = f->losses, *next; l; l = next) {
        next = l->next;
        free(l->agent);
        free(l);
    }
    client_close(f->client);
    joined_free(f->joined);
    buffer_free(&f->held);
    free(f->after);
    free(f);
}

uint64_t follow_packets(const struct follow *f)
{
    return joined_packets(f->joined);
}

uint64_t follow_bytes(const struct follow *f)
{
    return joined_bytes(f->joined);
}
