#include "collector/cli/order_watch.h"
#include "collector/cli/interrupt.h"
#include "collector/cli/keyboard.h"
#include "collector/cli/order_live.h"
#include "collector/cli/order_options.h"
#include "common/base/clock.h"
#include <string.h>

#define AWAY_RETRY_MS 1000u
#define QUESTION      "stop the capture (s, or Ctrl-C), detach: it goes on (d), or wait on (w)? "

struct watching {
    struct watch *w;
    struct client **client;
    struct order_live *live;
    unsigned interrupts; /* of which is known */
    bool asking, stopping, detached, impatient;
    bool untold;       /* it is to stop, and the collector does not know */
    bool away;         /* the collector does not answer */
    uint64_t ended_ns; /* when that was seen, or 0 */
};

/* ------------------------------------------------------------------ the collector */

/* What a broken connection brings; all else will not get better. */
static bool may_pass(int code)
{
    return code == ERROR_UNREACHABLE || code == ERROR_SYSTEM || code == ERROR_CANCELLED || code == ERROR_BUSY;
}

static int connect_again(struct watching *w, struct error *e)
{
    if (*w->client)
        return 0;
    int r = client_open(w->w->cli, w->client, e);
    if (r == 0 && w->away)
        order_live_note(w->live, "the collector answers again");
    w->away = w->away && r;
    return r;
}

/* The connection is of no use any more. */
static int let_go(struct watching *w, int code, const struct error *e)
{
    client_close(*w->client);
    *w->client = NULL;
    if (!may_pass(code))
        return code;
    if (code != ERROR_CANCELLED && !w->away) {
        order_live_note(w->live, "%s; the capture goes on, and so does this wait", e->text);
        w->away = true;
    }
    return 0;
}

static int ask(struct watching *w, struct error *e)
{
    json_t *order = NULL;
    struct error why = ERROR_INIT;
    int r = connect_again(w, &why);
    if (r == 0)
        r = order_fetch_one(*w->client, w->w->id, &order, &why);
    if (r) {
        r = let_go(w, r, &why);
        if (r && e)
            *e = why;
        return r;
    }
    json_decref(w->w->order);
    w->w->order = order;
    if (w->ended_ns == 0 && order_has_ended(order))
        w->ended_ns = clock_mono_ns();
    order_live_show(w->live, order);
    return 0;
}

static bool is_over(const struct watching *w)
{
    if (!w->w->order)
        return false;
    bool late = w->ended_ns && clock_mono_ns() - w->ended_ns > WATCH_GRACE_MS * NS_PER_MS;
    return late || order_is_over(w->w->order);
}

/* ------------------------------------------------------------------ the person at the terminal */

static void stop_asking(struct watching *w)
{
    keyboard_close();
    w->asking = false;
    order_live_below(w->live, NULL);
}

static int was_not_stopped(int code, const char *why, struct error *e)
{
    return error_set(e, code, "the capture was not stopped: %s", why);
}

/* While the collector is away it is told again with each question. */
static int tell_stop(struct watching *w, struct error *e)
{
    struct client_answer answer = {0};
    struct error why = ERROR_INIT;
    int r = connect_again(w, &why);
    if (r == 0)
        r = watch_stop(*w->client, w->w->id, &answer, &why);
    client_answer_free(&answer);
    w->untold = r != 0;
    r = r ? let_go(w, r, &why) : 0;
    return r ? was_not_stopped(r, why.text, e) : 0;
}

static int stop(struct watching *w, struct error *e)
{
    stop_asking(w);
    w->stopping = true;
    order_live_below(w->live, "stopping ...");
    return tell_stop(w, e);
}

static int on_interrupt(struct watching *w, struct error *e)
{
    unsigned count = interrupt_count(), more = count - w->interrupts;
    w->interrupts = count;
    if (w->stopping && w->untold)
        return was_not_stopped(ERROR_UNREACHABLE, "the collector does not answer", e);
    if (w->stopping) {
        w->impatient = true;
        return 0;
    }
    if (w->asking || more > 1 || !keyboard_is_there())
        return stop(w, e);
    w->asking = true;
    keyboard_open();
    order_live_below(w->live, QUESTION);
    return 0;
}

static int on_key(struct watching *w, struct error *e)
{
    switch (keyboard_key()) {
    case 0:
        return 0;
    case 's':
        return stop(w, e);
    case 'd':
        w->detached = true;
        break;
    default:
        break;
    }
    stop_asking(w);
    return 0;
}

static int attend(struct watching *w, struct error *e)
{
    (void)interrupt_wait(w->away ? AWAY_RETRY_MS : WATCH_EVERY_MS, keyboard_fd());
    int r = interrupt_count() != w->interrupts ? on_interrupt(w, e) : 0;
    return r == 0 && w->asking ? on_key(w, e) : r;
}

/* ------------------------------------------------------------------ the whole */

static int watch(struct watching *w, struct error *e)
{
    int r = 0;
    while (r == 0 && !w->detached && !w->impatient) {
        r = ask(w, e);
        if (r == 0 && w->untold && !w->away)
            r = tell_stop(w, e);
        if (r == 0 && w->w->order && w->w->step)
            r = w->w->step(w->w->context, w->w->order, e);
        if (r == 0 && is_over(w))
            break;
        if (r == 0)
            r = attend(w, e);
    }
    return r;
}

int watch_run(struct watch *w, struct client **client, enum watch_end *end, struct error *e)
{
    struct watching watching = {.w = w, .client = client};
    int r = order_live_new(w->cli, &watching.live, e);
    if (r)
        return r;
    r = watch(&watching, e);
    stop_asking(&watching);
    order_live_free(watching.live);
    *end = watching.detached ? WATCH_DETACHED : watching.impatient ? WATCH_IMPATIENT : WATCH_OVER;
    return r;
}

int watch_stop(struct client *client, const char *which, struct client_answer *answer, struct error *e)
{
    char who[ORDER_WHO_MAX];
    const struct message_command m = {
        .kind = COMMAND_STOP, .which = (char *)(uintptr_t)which, .who = order_who(false, who)};
    int r = client_command(client, &m, answer, e);
    if (r == 0 && answer->code)
        r = error_set(e, answer->code < 0 ? answer->code : ERROR_INVALID, "%s", answer->text);
    return r;
}
