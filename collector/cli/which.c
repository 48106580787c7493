#include "collector/cli/which.h"
#include "collector/cli/sheet.h"
#include "collector/cli/when.h"
#include "common/rows/block.h"
#include "common/rows/field.h"
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ flows */

struct asking {
    struct which *out;
    struct buffer block;
    uint32_t room;
};

/* A copy, which the row has from now on. */
static int own_text(struct text *t, bool has, char **copy, struct error *e)
{
    *copy = has ? strndup(t->data, t->len) : strdup("");
    *t = (struct text){*copy, *copy ? (uint32_t)strlen(*copy) : 0};
    return *copy ? 0 : error_set(e, ERROR_MEMORY, "no memory for names");
}

static int add_flow(struct asking *a, const struct flow_row *row, struct error *e)
{
    struct which *c = a->out;
    if (c->flow_count == a->room) {
        uint32_t room = a->room ? 2 * a->room : 16;
        struct which_flow *grown = realloc(c->flows, room * sizeof *grown);
        if (!grown)
            return error_set(e, ERROR_MEMORY, "no memory for %u flows", room);
        c->flows = grown;
        a->room = room;
    }
    struct which_flow *f = &c->flows[c->flow_count++];
    *f = (struct which_flow){.row = *row};
    f->row.history = f->row.capture = (struct text){0};
    f->row.frames = (struct list){0};
    column_remove(&f->row.has, FLOW_HISTORY);
    column_remove(&f->row.has, FLOW_CAPTURE);
    column_remove(&f->row.has, FLOW_FRAMES);
    int r = own_text(&f->row.agent, column_has(&row->has, FLOW_AGENT), &f->agent, e);
    return r ? r : own_text(&f->row.interface_name, column_has(&row->has, FLOW_INTERFACE_NAME), &f->interface, e);
}

static int read_block(struct asking *a, struct error *e)
{
    struct block *block = NULL;
    void *rows = NULL;
    int r = block_open(&table_flow, a->block.data, a->block.len, &block, e);
    if (r == 0)
        r = block_read(block, &rows, e);
    if (r)
        (void)error_prefix(e, "the collector's answer is damaged");
    for (uint32_t i = 0; r == 0 && i < block_rows(block); i++)
        r = add_flow(a, (const struct flow_row *)rows + i, e);
    free(rows);
    block_close(block);
    return r;
}

static int take(void *context, const struct message_result *result, struct error *e)
{
    struct asking *a = context;
    buffer_append(&a->block, result->data, result->length);
    if (a->block.failed)
        return error_set(e, ERROR_LIMIT, "a part of the answer is larger than %u bytes", BLOCK_BYTES_MAX);
    if (!result->end_of_block)
        return 0;
    int r = read_block(a, e);
    buffer_clear(&a->block);
    return r;
}

/* ------------------------------------------------------------------ connections */

static bool same_ends(const struct flow_key *a, const struct flow_key *b)
{
    return a->family == b->family && a->proto == b->proto && a->ethertype == b->ethertype && a->port[0] == b->port[0] &&
           a->port[1] == b->port[1] && memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

static int by_connection(const void *a, const void *b)
{
    const struct which_flow *x = a, *y = b;
    const struct flow_key *k = &x->row.key, *l = &y->row.key;
    int d = memcmp(k->addr, l->addr, sizeof k->addr);
    d = d ? d : memcmp(k->port, l->port, sizeof k->port);
    d = d ? d : (int)k->proto - l->proto;
    d = d ? d : (int)k->ethertype - l->ethertype;
    d = d ? d : (int)k->family - l->family;
    return d ? d : x->row.first_ns < y->row.first_ns ? -1 : x->row.first_ns > y->row.first_ns;
}

static int by_time(const void *a, const void *b)
{
    const struct which_flow *x = a, *y = b;
    return x->row.first_ns < y->row.first_ns ? -1 : x->row.first_ns > y->row.first_ns;
}

/* Numbers them as they come in order of connection, then anew in order of time. */
static int put_together(struct which *c, struct error *e)
{
    uint64_t until = 0;
    uint32_t *number = calloc(c->flow_count + 1u, sizeof *number);
    if (!number)
        return error_set(e, ERROR_MEMORY, "no memory for %u flows", c->flow_count);
    if (c->flow_count)
        qsort(c->flows, c->flow_count, sizeof *c->flows, by_connection);
    for (uint32_t i = 0, at = 0; i < c->flow_count; i++) {
        struct which_flow *f = &c->flows[i];
        bool next = i > 0 && (!same_ends(&f->row.key, &f[-1].row.key) || f->row.first_ns > until + WHICH_SLACK_NS);
        at += next;
        until = i == 0 || next || f->row.last_ns > until ? f->row.last_ns : until;
        f->connection = at;
    }
    if (c->flow_count)
        qsort(c->flows, c->flow_count, sizeof *c->flows, by_time);
    for (uint32_t i = 0; i < c->flow_count; i++) {
        uint32_t *known = &number[c->flows[i].connection];
        if (*known == 0)
            *known = ++c->count;
        c->flows[i].connection = *known - 1;
    }
    free(number);
    return 0;
}

int which_ask(struct client *client, const struct message_query *q, struct which *out, struct client_answer *answer,
              struct error *e)
{
    struct asking a = {.out = out, .block = {.limit = BLOCK_BYTES_MAX}};
    struct message_query flows = *q;
    *out = (struct which){0};
    flows.kind = QUERY_FLOWS;
    flows.limit = WHICH_FLOWS_MAX;
    int r = client_query(client, &flows, "show", take, &a, answer, e);
    buffer_free(&a.block);
    json_int_t all = r == 0 ? json_integer_value(json_object_get(answer->manifest, "selected_flows")) : 0;
    out->more = all > 0 && out->flow_count < (uint64_t)all;
    return r ? r : put_together(out, e);
}

void which_free(struct which *c)
{
    for (uint32_t i = 0; i < c->flow_count; i++) {
        free(c->flows[i].agent);
        free(c->flows[i].interface);
    }
    free(c->flows);
    *c = (struct which){0};
}

const struct which_flow *which_first(const struct which *c, uint32_t connection)
{
    for (uint32_t i = 0; i < c->flow_count; i++)
        if (c->flows[i].connection == connection)
            return &c->flows[i];
    return NULL;
}

/* ------------------------------------------------------------------ the list */

enum { COLUMN_ID, COLUMN_TIME, COLUMN_CLIENT, COLUMN_SERVER, COLUMN_PROTO, COLUMN_PACKETS, COLUMN_SEEN, COLUMNS };

static const struct sheet_column columns[COLUMNS] = {
    [COLUMN_ID] = {.name = "id", .title = "ID"},
    [COLUMN_TIME] = {.name = "time", .title = "TIME", .time = true},
    [COLUMN_CLIENT] = {.name = "client", .title = "CLIENT", .squeeze = GRID_BREAK},
    [COLUMN_SERVER] = {.name = "server", .title = "SERVER", .squeeze = GRID_BREAK},
    [COLUMN_PROTO] = {.name = "proto", .title = "PROTO"},
    [COLUMN_PACKETS] = {.name = "packets", .title = "PACKETS", .right = true},
    [COLUMN_SEEN] = {.name = "seen_at", .title = "SEEN AT", .squeeze = GRID_CUT},
};

static void put_places(const struct which *c, uint32_t connection, struct buffer *out)
{
    const char *before = "";
    for (uint32_t i = 0; i < c->flow_count; i++)
        if (c->flows[i].connection == connection) {
            buffer_printf(out, "%s%s/%s", before, c->flows[i].agent, c->flows[i].interface);
            before = ", ";
        }
}

/* The columns picked. */
struct listed {
    const struct which *which;
    struct sheet_column columns[COLUMNS];
    size_t picked[SHEET_COLUMNS_MAX], count;
};

static const struct sheet_choice choice = {
    .narrow = "id,client,server,packets,seen_at",
    .table = "id,time,client,server,proto,packets,seen_at",
    .wide = "id,time,client,server,proto,packets,seen_at",
};

static enum sheet_cell cell(void *context, const void *row, size_t column, bool exact, struct buffer *out)
{
    const struct listed *list = context;
    const struct which_flow *f = row;
    column = list->picked[column];
    const struct field *field = field_named(columns[column].name, strlen(columns[column].name));
    char text[FIELD_TEXT_MAX];
    if (column == COLUMN_SEEN)
        put_places(list->which, f->connection, out);
    else if (column == COLUMN_TIME && !exact)
        buffer_printf(out, "%s", when_format(f->row.start_ns, WHEN_DATE, text, sizeof text));
    else
        buffer_append(out, text, field_text(field, &f->row, exact, text, sizeof text));
    return exact && column == COLUMN_PACKETS ? SHEET_JSON : SHEET_TEXT;
}

int which_list(const struct cli *cli, const struct which *c, struct error *e)
{
    struct listed list = {.which = c};
    const struct sheet_source source = {.cell = cell, .context = &list};
    struct sheet *sheet = NULL;
    int r = sheet_pick(cli, columns, COLUMNS, &choice, list.picked, &list.count, e);
    for (size_t i = 0; r == 0 && i < list.count; i++)
        list.columns[i] = columns[list.picked[i]];
    if (r == 0)
        r = sheet_new(cli, list.columns, list.count, false, &source, &sheet, e);
    for (uint32_t i = 0; r == 0 && i < c->count; i++)
        r = sheet_row(sheet, which_first(c, i), e);
    if (r == 0)
        r = sheet_end(sheet, e);
    sheet_free(sheet);
    return r;
}
