/*
 * The table of fields is made once, at its first use, from the table of columns and the derived fields; it never
 * changes after.
 */
#include "common/rows/field.h"
#include "common/base/utf8.h"
#include "common/rows/field_derived.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX      256u
#define FIELD_NAME_MAX  32u
#define FIELD_TITLE_MAX 32u
#define FIELD_HELP_MAX  160u

/* Made names and the like. */
struct strings {
    char name[FIELD_NAME_MAX];
    char title[FIELD_TITLE_MAX];
    char help[FIELD_HELP_MAX];
};

static struct field fields[FIELDS_MAX];
static struct strings strings[FIELDS_MAX];
static size_t field_count;
static pthread_once_t made = PTHREAD_ONCE_INIT;

/* Columns that people do not see as they are: parts of derived fields, and what means something inside a chunk only. */
static const uint8_t hidden[] = {
    FLOW_ADDR_0,    FLOW_ADDR_1,     FLOW_PORT_0,      FLOW_PORT_1,      FLOW_INTERFACE,
    FLOW_HAS_PORTS, FLOW_ORIGINATOR, FLOW_TCP_FLAGS_0, FLOW_TCP_FLAGS_1, FLOW_FRAMES,
};

/* What people look for first; the others follow in the order of the columns. */
static const char *const first_names[] = {
    "time",         "id",           "agent",         "interface",    "capture",      "client",
    "server",       "orig_addr",    "orig_port",     "resp_addr",    "resp_port",    "proto",
    "duration",     "state",        "history",       "packets",      "bytes",        "payload",
    "orig_packets", "resp_packets", "orig_bytes",    "resp_bytes",   "orig_payload", "resp_payload",
    "loss",         "end_reason",   "originator_by", "community_id", "flows",
};

/* Short names of fields, beside their own. */
static const struct {
    const char *name;
    const char *field;
} short_names[] = {{"rcode", "dns_rcode"}, {"qtype", "dns_type"}, {"name", "dns_name"}};

/* --- Making the table -------------------------------------------------------------------------------------------- */

/* The next free field, with its name copied. */
static struct field *add_field(const char *prefix, const char *name, size_t len)
{
    if (field_count == FIELDS_MAX)
        abort(); /* ours alone: the tables are too large for FIELDS_MAX */
    struct strings *s = &strings[field_count];
    struct field *f = &fields[field_count++];
    snprintf(s->name, sizeof(s->name), "%s%.*s", prefix, (int)len, name);
    *f = (struct field){.name = s->name, .title = s->title};
    return f;
}

/* Titles that would be wider than what stands below them. */
static const struct {
    const char *name;
    const char *title;
} short_titles[] = {{"duration", "DUR"}, {"packets", "PKTS"}};

static void finish_field(struct field *f)
{
    char *title = strings[f - fields].title;
    for (size_t i = 0; i < FIELD_TITLE_MAX - 1 && f->name[i]; i++)
        title[i] = (char)toupper((unsigned char)f->name[i]);
    for (size_t i = 0; i < sizeof(short_titles) / sizeof(*short_titles); i++)
        if (strcmp(f->name, short_titles[i].name) == 0)
            f->title = short_titles[i].title;
    f->right = f->kind == FIELD_NUMBER && f->unit != UNIT_TIME_NS;
}

static bool is_measure(const struct column *c)
{
    return c->merge != MERGE_KEY && c->merge != MERGE_STICKY;
}

/* A field of a column, or of the pair c[0], c[1]. */
static void add_column_field(const struct column *c, bool pair, int side)
{
    static const char *const prefix[] = {[FIELD_BOTH] = "", [FIELD_ORIG] = "orig_", [FIELD_RESP] = "resp_"};
    static const char *const whose[] = {
        [FIELD_BOTH] = "", [FIELD_ORIG] = "of the originator: ", [FIELD_RESP] = "of the responder: "};
    struct field *f = add_field(prefix[side], c->name, strcspn(c->name, "."));
    char *help = strings[f - fields].help;
    snprintf(help, FIELD_HELP_MAX, "%s%s", whose[side], c->help);
    f->kind = c->type == COLUMN_UINT && !c->value_name ? FIELD_NUMBER : FIELD_TEXT;
    f->unit = c->unit;
    f->help = help;
    f->is_measure = is_measure(c);
    f->side = side;
    f->column[0] = c;
    f->column[1] = pair ? c + 1 : NULL;
    column_add(&f->needs, c->id);
    if (pair)
        column_add(&f->needs, c[1].id);
    if (side != FIELD_BOTH)
        column_add(&f->needs, FLOW_ORIGINATOR);
    finish_field(f);
}

static void add_derived_field(const struct field_derived *d)
{
    struct field *f = add_field("", d->field.name, strlen(d->field.name));
    const char *name = f->name;
    const char *title = f->title;
    *f = d->field;
    f->name = name;
    f->title = title;
    if (d->column) {
        f->column[0] = table_column(&table_flow, d->column);
        f->unit = f->column[0]->unit;
        f->help = f->help ? f->help : f->column[0]->help;
    }
    for (size_t i = 0; i < sizeof(d->needs) && d->needs[i]; i++)
        column_add(&f->needs, d->needs[i]);
    finish_field(f);
}

static bool is_hidden(const struct column *c)
{
    if (memchr(hidden, c->id, sizeof(hidden)))
        return true;
    for (size_t i = 0; i < field_derived_count; i++)
        if (field_derived[i].column == c->id)
            return true;
    return false;
}

static void add_column_fields(void)
{
    for (const struct column *c = table_flow.columns; c < table_flow.columns + table_flow.count; c++) {
        const char *dot = strchr(c->name, '.');
        if (is_hidden(c))
            continue;
        if (!dot) {
            add_column_field(c, false, FIELD_BOTH);
        } else if (dot[1] == '0') {
            if (c->type == COLUMN_UINT && c->merge != MERGE_STICKY) /* two names, or two MSS, make no third */
                add_column_field(c, true, FIELD_BOTH);
            add_column_field(c, true, FIELD_ORIG);
            add_column_field(c, true, FIELD_RESP);
        }
    }
}

static struct field *made_field(const char *name)
{
    for (size_t i = 0; i < field_count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

/* A field of a column of exchanges, which a field of flows may be already. */
static void add_exchange_field(const struct column *c)
{
    struct field *f = made_field(c->name);
    if (!f) {
        f = add_field("", c->name, strlen(c->name));
        f->kind = c->type == COLUMN_UINT && !c->value_name ? FIELD_NUMBER : FIELD_TEXT;
        f->unit = c->unit;
        f->help = c->help;
        f->is_measure = true;
        finish_field(f);
    }
    f->exchange = c;
}

static void add_exchange_fields(void)
{
    for (const struct column *c = table_exchange.columns; c < table_exchange.columns + table_exchange.count; c++)
        if (c->id != EXCHANGE_FLOW_ID) /* people know it as id */
            add_exchange_field(c);
}

/* Moves the field to a place, those between one further; their strings stay where they are. */
static void move_field(size_t from, size_t to)
{
    struct field moved = fields[from];
    memmove(&fields[to + 1], &fields[to], (from - to) * sizeof(*fields));
    fields[to] = moved;
}

static void make_table(void)
{
    for (size_t i = 0; i < field_derived_count; i++)
        add_derived_field(&field_derived[i]);
    add_column_fields();
    add_exchange_fields();
    size_t place = 0;
    for (size_t i = 0; i < sizeof(first_names) / sizeof(*first_names); i++)
        for (size_t k = place; k < field_count; k++)
            if (strcmp(fields[k].name, first_names[i]) == 0) {
                move_field(k, place++);
                break;
            }
}

const struct field *field_table(size_t *count)
{
    pthread_once(&made, make_table);
    *count = field_count;
    return fields;
}

static bool is_named(const char *known, const char *name, size_t len)
{
    size_t i = 0;
    while (i < len && known[i] && (known[i] == name[i] || (known[i] == '_' && name[i] == '-')))
        i++;
    return i == len && !known[i];
}

const struct field *field_named(const char *name, size_t len)
{
    size_t count;
    const struct field *table = field_table(&count);
    for (size_t i = 0; i < count; i++)
        if (is_named(table[i].name, name, len))
            return &table[i];
    for (size_t i = 0; i < sizeof(short_names) / sizeof(*short_names); i++)
        if (is_named(short_names[i].name, name, len))
            return field_named(short_names[i].field, strlen(short_names[i].field));
    return NULL;
}

/* --- Whose they are ----------------------------------------------------------------------------------------------- */

#define OF_EXCHANGE(app, column)                                                                                       \
    {                                                                                                                  \
        app, EXCHANGE_##column, 0                                                                                      \
    }
#define OF_FLOW(app, column)                                                                                           \
    {                                                                                                                  \
        app, 0, FLOW_##column                                                                                          \
    } /* which exchanges have not */

static const struct {
    const char *app;
    uint8_t of_exchange, of_flow;
} own[] = {
    OF_EXCHANGE("http", METHOD),     OF_EXCHANGE("http", HTTP_HOST),    OF_EXCHANGE("http", PATH),
    OF_EXCHANGE("http", STATUS),     OF_EXCHANGE("http", CONTENT_TYPE), OF_EXCHANGE("http", REQUEST_BODY),
    OF_EXCHANGE("http", REPLY_BODY), OF_EXCHANGE("dns", DNS_NAME),      OF_EXCHANGE("dns", DNS_TYPE),
    OF_EXCHANGE("dns", DNS_RCODE),   OF_EXCHANGE("dns", DNS_ANSWERS),   OF_EXCHANGE("tls", SNI),
    OF_EXCHANGE("tls", ALPN),        OF_EXCHANGE("tls", JA4),           OF_EXCHANGE("tls", TLS_CIPHER),
    OF_EXCHANGE("tls", TLS_ALERT),   OF_FLOW("tls", TLS_VERSION),
};

const char *field_app(const struct field *f)
{
    unsigned of_exchange = f->exchange ? f->exchange->id : 0;
    unsigned of_flow = !f->exchange && f->column[0] ? f->column[0]->id : 0;
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        if (own[i].of_exchange == of_exchange && own[i].of_flow == of_flow)
            return own[i].app;
    return NULL;
}

bool field_is_of_groups(const struct field *f)
{
    bool counts_flows = f->column[0] && f->column[0]->id == FLOW_FLOWS;
    return counts_flows || (f->exchange && f->exchange->id >= EXCHANGE_ANSWER && !field_is_of_flows(f));
}

/* --- Where values are --------------------------------------------------------------------------------------------- */

static bool is_of_exchange(const struct field *f, const struct flow_row *row)
{
    return row->exchange && f->exchange;
}

/* The column whose value the field shows, and the struct that it is in; NULL of what only flows' functions know. Of a
 * pair it is the asked end's, or the first. */
static const struct column *column_of(const struct field *f, const struct flow_row *row, const void **values)
{
    *values = row;
    if (is_of_exchange(f, row)) {
        *values = row->exchange;
        return f->exchange;
    }
    return f->column[f->column[1] && f->side != FIELD_BOTH ? field_endpoint(row, f->side) : 0];
}

/* --- Values ------------------------------------------------------------------------------------------------------ */

static uint64_t combine(enum column_merge merge, uint64_t a, uint64_t b)
{
    switch (merge) {
    case MERGE_MIN:
        return a < b ? a : b;
    case MERGE_MAX:
        return a > b ? a : b;
    case MERGE_OR:
        return a | b;
    default:
        return a > UINT64_MAX - b ? UINT64_MAX : a + b;
    }
}

static bool both_numbers(const struct field *f, const struct flow_row *row, uint64_t *value)
{
    uint64_t v[2];
    bool known[2] = {column_uint(f->column[0], row, &v[0]), column_uint(f->column[1], row, &v[1])};
    if (known[0] && known[1])
        *value = combine(f->column[0]->merge, v[0], v[1]);
    else if (known[0] || known[1])
        *value = known[0] ? v[0] : v[1];
    return known[0] || known[1];
}

bool field_number(const struct field *f, const struct flow_row *row, uint64_t *value)
{
    if (is_of_exchange(f, row))
        return column_uint(f->exchange, row->exchange, value);
    if (f->number)
        return f->number(row, value);
    if (!f->column[0])
        return false;
    if (!f->column[1])
        return column_uint(f->column[0], row, value);
    if (f->side == FIELD_BOTH)
        return both_numbers(f, row, value);
    return column_uint(f->column[field_endpoint(row, f->side)], row, value);
}

/* Text that came from outside, safe for a terminal. */
static size_t copy_text(const struct text *t, char *buf, size_t len)
{
    const char *p = t->data;
    size_t at = 0;
    for (size_t i = 0, n; i < t->len; i += n) {
        char escaped[8];
        n = utf8_printable(p + i, t->len - i);
        size_t need = n ? n : (size_t)snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)p[i]);
        if (at + need + 1 > len)
            break;
        memcpy(buf + at, n ? p + i : escaped, need);
        at += need;
        n = n ? n : 1;
    }
    buf[at] = 0;
    return at;
}

static const struct text *text_value(const struct field *f, const struct flow_row *row)
{
    const void *values;
    const struct column *c = column_of(f, row, &values);
    if (!c || c->type != COLUMN_TEXT || !column_has(values, c->id))
        return NULL;
    return (const struct text *)(const void *)((const uint8_t *)values + c->offset);
}

static size_t number_text(const struct field *f, const struct column *c, uint64_t value, bool exact, char *buf,
                          size_t len)
{
    const char *name = c && c->value_name ? c->value_name(value) : NULL;
    char text[64];
    if (!name && f->unit == UNIT_TIME_NS && exact)
        name = units_rfc3339(value, text, sizeof(text));
    else if (!name && f->unit != UNIT_NONE && !exact)
        name = units_format(f->unit, value, text, sizeof(text));
    if (name)
        return (size_t)snprintf(buf, len, "%s", name);
    return (size_t)snprintf(buf, len, "%llu", (unsigned long long)value);
}

size_t field_text(const struct field *f, const struct flow_row *row, bool exact, char *buf, size_t len)
{
    uint64_t value;
    size_t n = 0;
    const void *values;
    if (len == 0)
        return 0;
    buf[0] = 0;
    const struct text *text = text_value(f, row);
    if (f->text && !is_of_exchange(f, row))
        n = f->text(row, buf, len);
    else if (text)
        n = copy_text(text, buf, len);
    else if (field_number(f, row, &value))
        n = number_text(f, column_of(f, row, &values), value, exact, buf, len);
    return n < len ? n : len - 1;
}

/* --- Order ------------------------------------------------------------------------------------------------------- */

static int compare_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t len = a_len < b_len ? a_len : b_len;
    int r = len ? memcmp(a, b, len) : 0;
    return r ? r : (a_len > b_len) - (a_len < b_len);
}

/* Addresses by kind and value, then ports if the field shows them; false if the row has no address. */
static bool address_value(const struct field *f, const struct flow_row *row, uint8_t out[19])
{
    unsigned end = field_endpoint(row, f->side);
    out[0] = row->key.family;
    memcpy(out + 1, row->key.addr[end], 16);
    uint16_t port = column_has(&f->needs, FLOW_PORT_0) && row->key.has_ports ? row->key.port[end] : 0;
    out[17] = (uint8_t)(port >> 8);
    out[18] = (uint8_t)port;
    return column_has(&row->has, FLOW_ADDR_0 + end) && column_has(&row->has, FLOW_FAMILY) &&
           row->key.family != FAMILY_NONE;
}

static int compare_addresses(const struct field *f, const struct flow_row *a, const struct flow_row *b)
{
    uint8_t x[19];
    uint8_t y[19];
    bool has_x = address_value(f, a, x);
    bool has_y = address_value(f, b, y);
    return has_x && has_y ? memcmp(x, y, sizeof(x)) : has_x - has_y;
}

static int compare_texts(const struct field *f, const struct flow_row *a, const struct flow_row *b)
{
    char x[FIELD_TEXT_MAX];
    char y[FIELD_TEXT_MAX];
    size_t x_len = field_text(f, a, true, x, sizeof(x));
    size_t y_len = field_text(f, b, true, y, sizeof(y));
    return compare_bytes(x, x_len, y, y_len);
}

int field_compare(const struct field *f, const struct flow_row *a, const struct flow_row *b)
{
    if (f->text && column_has(&f->needs, FLOW_ADDR_0) && f->side != FIELD_BOTH)
        return compare_addresses(f, a, b);
    const void *values;
    const struct column *c = column_of(f, a, &values);
    if (c && c->type == COLUMN_TEXT) {
        const struct text *x = text_value(f, a);
        const struct text *y = text_value(f, b);
        return x && y ? compare_bytes(x->data, x->len, y->data, y->len) : (x != NULL) - (y != NULL);
    }
    if (f->text && !f->number && !c) /* no number stands for it */
        return compare_texts(f, a, b);
    uint64_t x = 0;
    uint64_t y = 0;
    bool has_x = field_number(f, a, &x);
    bool has_y = field_number(f, b, &y);
    if (has_x && has_y)
        return (x > y) - (x < y);
    return has_x - has_y;
}
