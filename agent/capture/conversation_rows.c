/* conversation_rows: the exchanges of the open chunk, and what stays with a flow. */
#include "agent/capture/conversation_impl.h"
#include "common/rows/block.h"
#include <stdlib.h>
#include <string.h>

#define TEXT_BLOCK  65536u
#define ROWS_LEAST  256u /* room is made for so many at least */
#define SHARE_LEAST (ROWS_LEAST * sizeof(struct exchange_row) + TEXT_BLOCK)

/* Texts of exchanges: they do not move until the next chunk. */
struct text_block {
    struct text_block *next;
    size_t used;
    char data[TEXT_BLOCK];
};
_Static_assert(COLUMN_TEXT_MAX <= TEXT_BLOCK, "a block takes any text");

/* ---------------------------------------------------------------- exchanges */

/* Half of the budget; so that what is said in one chunk leaves room for those who say it. */
void exchanges_init(struct exchanges *x, uint64_t budget)
{
    x->share = budget / 2 > SHARE_LEAST ? (size_t)(budget / 2) : SHARE_LEAST;
}

static bool make_room(struct conversations *all, struct exchanges *x)
{
    size_t room = x->room ? x->room * 2 : ROWS_LEAST;
    struct exchange_row *grown = realloc(x->rows, room * sizeof *grown);
    if (!grown)
        return false;
    all->stats.exchange_memory += (room - x->room) * sizeof *grown;
    x->rows = grown;
    x->room = room;
    return true;
}

static bool add_block(struct conversations *all, struct exchanges *x)
{
    struct text_block *b = malloc(sizeof *b);
    if (!b)
        return false;
    all->stats.exchange_memory += sizeof *b;
    b->next = x->texts;
    b->used = 0;
    x->texts = b;
    return true;
}

static void free_block(struct conversations *all, struct exchanges *x)
{
    struct text_block *b = x->texts;
    x->texts = b->next;
    all->stats.exchange_memory -= sizeof *b;
    free(b);
}

static void free_rows(struct conversations *all, struct exchanges *x)
{
    all->stats.exchange_memory -= x->room * sizeof *x->rows;
    free(x->rows);
    x->rows = NULL;
    x->room = 0;
}

/* Looked at when one more is added: each packet asks for the answer. */
static bool is_full(const struct conversations *all)
{
    const struct exchanges *x = &all->exchanges;
    return x->count >= all->options.exchanges || exchanges_bytes(x) >= x->share ||
           (conversations_are_short(all) && exchanges_bytes(x) >= SHARE_LEAST && exchanges_are_many(all));
}

/* Whether there is one more row; else it is counted as missing. What goes on is not lost without: it will end. */
static bool has_room(struct hearing *h, bool goes_on)
{
    struct conversations *all = h->all;
    struct exchanges *x = &all->exchanges;
    bool is_wanted = !goes_on || (h->running++ < CONVERSATION_RUNNING_MAX && !is_full(all));
    if (is_wanted && x->count < BLOCK_ROWS_MAX && (x->count < x->room || make_room(all, x)))
        return true;
    x->untold += goes_on;
    all->stats.unheard += !goes_on;
    return false;
}

struct exchange_row *exchange_add(struct hearing *h, uint32_t ordinal, uint8_t outcome, uint64_t time_ns)
{
    struct exchanges *x = &h->all->exchanges;
    bool goes_on = outcome == EXCHANGE_RUNNING;
    if (x->running && !goes_on)
        conversations_forget_running(h->all);
    h->v->exchanges += !goes_on;
    if (!has_room(h, goes_on))
        return NULL;
    struct exchange_row *r = &x->rows[x->count++];
    x->running += goes_on;
    x->full = x->full || (!goes_on && is_full(h->all));
    *r = (struct exchange_row){
        .flow_id = h->flow_id, .ordinal = ordinal, .outcome = outcome, .time_ns = time_ns, .app = {h->v->app, 0}};
    r->app.len = (uint32_t)strlen(h->v->app);
    static const uint8_t always[] = {EXCHANGE_FLOW_ID, EXCHANGE_ORDINAL, EXCHANGE_OUTCOME, EXCHANGE_TIME, EXCHANGE_APP};
    for (size_t i = 0; i < sizeof always; i++)
        column_add(&r->has, always[i]);
    return r;
}

void exchange_text(struct hearing *h, struct exchange_row *r, unsigned column, struct text *where, const char *text,
                   size_t len)
{
    struct exchanges *x = &h->all->exchanges;
    if (!len)
        return;
    if (len > COLUMN_TEXT_MAX)
        len = COLUMN_TEXT_MAX;
    if ((!x->texts || len > TEXT_BLOCK - x->texts->used) && !add_block(h->all, x))
        return;
    char *at = x->texts->data + x->texts->used;
    memcpy(at, text, len);
    x->texts->used += len;
    x->text_bytes += len;
    *where = (struct text){at, (uint32_t)len};
    column_add(&r->has, column);
}

uint8_t exchange_left(uint8_t reason, uint8_t otherwise)
{
    return reason == FLOW_END_FORCED || reason == FLOW_END_RESOURCES ? EXCHANGE_OPEN : otherwise;
}

void conversation_running(struct conversations *all, struct conversation_place *place, uint64_t flow_id)
{
    struct conversation *v = place->it;
    if (!v || place->phase == CONVERSATION_OVER || !v->reader || !v->reader->running)
        return;
    struct hearing h = {.all = all, .v = v, .flow_id = flow_id};
    v->place = place;
    v->reader->running(&h);
}

void conversations_forget_running(struct conversations *all)
{
    all->exchanges.count -= all->exchanges.running;
    all->exchanges.running = all->exchanges.untold = 0;
}

bool conversations_full(const struct conversations *all)
{
    return all->exchanges.full;
}

size_t conversations_exchanges(const struct conversations *all, const struct exchange_row **rows)
{
    *rows = all->exchanges.rows;
    return all->exchanges.count;
}

/* What a quiet capture needs stays, so that it allocates nothing. */
void conversations_next(struct conversations *all)
{
    struct exchanges *x = &all->exchanges;
    if (x->room > ROWS_LEAST && (x->count < x->room / 4 || conversations_are_short(all)))
        free_rows(all, x);
    all->stats.untold += x->untold;
    x->count = x->running = x->untold = x->text_bytes = 0;
    x->full = false;
    while (x->texts && x->texts->next)
        free_block(all, x);
    if (x->texts)
        x->texts->used = 0;
}

void exchanges_free(struct conversations *all)
{
    while (all->exchanges.texts)
        free_block(all, &all->exchanges);
    free_rows(all, &all->exchanges);
}

/* ---------------------------------------------------------------- what stays */

void conversation_say(struct hearing *h, struct remark *where, const char *text, size_t len)
{
    if (len > COLUMN_TEXT_MAX)
        len = COLUMN_TEXT_MAX;
    if (!len || (where->len == len && memcmp(where->text, text, len) == 0))
        return;
    if (len > where->room) {
        char *grown = conversation_resize(h, where->text, len);
        if (!grown)
            return;
        where->text = grown;
        where->room = (uint16_t)len;
    }
    memcpy(where->text, text, len);
    where->len = (uint16_t)len;
}

void conversation_status(struct conversation *v, unsigned status)
{
    if (status > v->status)
        v->status = (uint16_t)status;
    if (status >= 100 && status / 100 <= EXCHANGE_STATUS_CLASSES)
        v->status_class[status / 100 - 1]++;
}

static void put_text(struct flow_row *r, unsigned column, struct text *where, const struct remark *said)
{
    if (!said->len)
        return;
    *where = (struct text){said->text, said->len};
    column_add(&r->has, column);
}

static void put_texts(const struct conversation *v, struct flow_row *r)
{
    put_text(r, FLOW_SNI, &r->sni, &v->sni);
    put_text(r, FLOW_ALPN, &r->alpn, &v->alpn);
    put_text(r, FLOW_JA4, &r->ja4, &v->ja4);
    put_text(r, FLOW_HTTP_HOST, &r->http_host, &v->http_host);
    put_text(r, FLOW_DNS_NAME, &r->dns_name, &v->dns_name);
    put_text(r, FLOW_SOFTWARE_0, &r->software[0], &v->software[0]);
    put_text(r, FLOW_SOFTWARE_1, &r->software[1], &v->software[1]);
}

static void put_numbers(const struct conversation *v, struct flow_row *r)
{
    r->tls_version = v->tls_version;
    r->tls_cipher = v->tls_cipher;
    r->tls_alert = v->tls_alert;
    if (v->has_tls_version)
        column_add(&r->has, FLOW_TLS_VERSION);
    if (v->has_tls_cipher)
        column_add(&r->has, FLOW_TLS_CIPHER);
    if (v->has_tls_alert)
        column_add(&r->has, FLOW_TLS_ALERT);
}

static void put_counts(const struct conversation *v, struct flow_row *r)
{
    r->exchanges = v->exchanges;
    column_add(&r->has, FLOW_EXCHANGES);
    if (!v->answers_have_status)
        return;
    for (unsigned i = 0; i < EXCHANGE_STATUS_CLASSES; i++) {
        r->status_class[i] = v->status_class[i];
        column_add(&r->has, FLOW_STATUS_1XX + i);
    }
    r->status = v->status;
    if (v->status)
        column_add(&r->has, FLOW_STATUS);
}

void conversation_fill(const struct conversation_place *place, struct flow_row *r)
{
    const struct conversation *v = place->it;
    const char *app = conversation_app(place);
    if (app) {
        r->app = (struct text){app, (uint32_t)strlen(app)};
        column_add(&r->has, FLOW_APP);
    }
    if (!v)
        return;
    put_texts(v, r);
    put_numbers(v, r);
    if (v->counts)
        put_counts(v, r);
}

void conversation_next(struct conversation_place *place)
{
    struct conversation *v = place->it;
    if (!v)
        return;
    v->exchanges = 0;
    v->status = 0;
    memset(v->status_class, 0, sizeof v->status_class);
}
