#include "tests/unit/store_support.h"

#include "common/base/fs.h"
#include "common/base/hash.h"
#include "common/rows/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BODY_BYTES 5000u

void epoch_of(uint8_t stream, uint8_t epoch[EPOCH_SIZE])
{
    memset(epoch, stream, EPOCH_SIZE);
}

static uint64_t first_of(const struct wish *w)
{
    return w->first_ns ? w->first_ns : T0 + w->seq * SECOND;
}

void make_row(const struct wish *w, uint32_t number, struct flow_row *row)
{
    static const uint8_t key_columns[] = {
        FLOW_ADDR_0,    FLOW_ADDR_1, FLOW_PORT_0,    FLOW_PORT_1, FLOW_INTERFACE, FLOW_TUNNEL_ID,
        FLOW_VLAN_0,    FLOW_VLAN_1, FLOW_ETHERTYPE, FLOW_FAMILY, FLOW_PROTO,     FLOW_TUNNEL,
        FLOW_HAS_PORTS, FLOW_ID,     FLOW_FIRST,     FLOW_LAST,   FLOW_PACKETS_0, FLOW_PACKETS_1};
    const uint8_t client[4] = {10, w->stream, (uint8_t)w->seq, (uint8_t)number};
    const uint8_t server[4] = {192, 0, 2, (uint8_t)(number % 8)};
    *row = (struct flow_row){
        .flow_id = hash64(client, 4) + w->variant, .first_ns = first_of(w), .last_ns = first_of(w) + number};
    memcpy(row->key.addr[0], client, 4);
    memcpy(row->key.addr[1], server, 4);
    row->key.port[0] = (uint16_t)(1000 + number);
    row->key.port[1] = number % 2 ? 443 : 80;
    row->key.vlan[0] = row->key.vlan[1] = VLAN_NONE;
    row->key.ethertype = ETHERTYPE_IP4;
    row->key.family = FAMILY_IP4;
    row->key.proto = PROTO_TCP;
    row->key.has_ports = 1;
    row->packets[0] = number + 1;
    row->packets[1] = 2;
    for (size_t i = 0; i < sizeof(key_columns); i++)
        column_add(&row->has, key_columns[i]);
}

uint64_t flow_id_of(const struct wish *w, uint32_t number)
{
    struct flow_row row;
    make_row(w, number, &row);
    return row.flow_id;
}

static void make_body(const struct wish *w, struct buffer *body)
{
    for (uint32_t i = 0; i < BODY_BYTES / 8; i++)
        buffer_le64(body, hash64_seed(&i, sizeof(i), (uint64_t)w->stream << 32 | w->seq << 8 | w->variant));
}

static void encode_rows(const struct wish *w, uint32_t count, struct buffer *out)
{
    struct flow_row *rows = calloc(count, sizeof(*rows));
    struct error e = ERROR_INIT;
    assert_non_null(rows);
    for (uint32_t i = 0; i < count; i++) {
        make_row(w, i, &rows[i]);
        if (w->says) {
            rows[i].dns_name = (struct text){w->says, (uint32_t)strlen(w->says)};
            column_add(&rows[i].has, FLOW_DNS_NAME);
        }
        if (w->exchanges) /* whose client is known */
            column_add(&rows[i].has, FLOW_ORIGINATOR);
    }
    if (block_encode(&table_flow, rows, count, out, &e))
        fail_msg("%s", e.text);
    free(rows);
}

static void fill_chunk(const struct wish *w, struct chunk_head *h, struct head_interface *i, struct head_frame *f,
                       struct made *m, struct buffer *rows, struct buffer *exchanges)
{
    uint32_t count = w->rows ? w->rows : 3;
    *i = (struct head_interface){.name = (char *)(uintptr_t)(w->interface ? w->interface : "eth0"),
                                 .description = (char *)(uintptr_t) "",
                                 .link_type = 1,
                                 .snaplen = 65535};
    encode_rows(w, count, rows);
    h->seal = SEAL_TIME;
    h->first_ns = first_of(w);
    h->last_ns = first_of(w) + SECOND;
    h->interfaces = i;
    h->interface_count = 1;
    h->flows = rows->data;
    h->flows_length = rows->len;
    h->flow_rows = count;
    if (w->exchanges) {
        assert_int_equal(block_encode(&table_exchange, w->exchanges, w->exchange_count, exchanges, NULL), 0);
        h->exchanges = exchanges->data;
        h->exchanges_length = exchanges->len;
    }
    h->totals.value[COUNTER_RECEIVED] = 10;
    h->totals.value[COUNTER_KEPT] = 10;
    h->totals.value[COUNTER_KEPT_BYTES] = 1000;
    h->totals.value[COUNTER_STORED] = w->no_body ? 0 : 10;
    if (w->no_body)
        return;
    make_body(w, &m->body);
    *f = (struct head_frame){.length = (uint32_t)m->body.len,
                             .raw_length = 100,
                             .packets = 10,
                             .first_ns = h->first_ns,
                             .last_ns = h->last_ns};
    h->body = BODY_ON_AGENT;
    h->body_length = m->body.len;
    h->body_raw_length = 100;
    h->body_hash = hash64(m->body.data, m->body.len);
    h->frames = f;
    h->frame_count = 1;
}

void make_chunk(const struct wish *w, struct made *m)
{
    char agent[32];
    struct error e = ERROR_INIT;
    struct buffer rows = {0}, exchanges = {0};
    struct head_interface interface;
    struct head_frame frame;
    snprintf(agent, sizeof(agent), "agent-%u", w->stream);
    struct chunk_head h = {
        .kind = w->kind ? w->kind : HEAD_CHUNK,
        .seq = w->seq,
        .last_seq = w->kind == HEAD_GAP ? w->last_seq : w->seq,
        .agent = w->agent ? (char *)(uintptr_t)w->agent : agent,
        .capture = (char *)(uintptr_t)(w->capture ? w->capture : "capture"),
        .software = (char *)(uintptr_t) "test",
        .filter = (char *)(uintptr_t) "tcp",
        .snaplen = 65535,
        .open_wall_ns = first_of(w),
        .seal_wall_ns = first_of(w) + SECOND,
        .first_ns = UINT64_MAX,
    };
    *m = (struct made){.install = {w->stream}};
    epoch_of(w->stream, h.epoch);
    if (h.kind == HEAD_CHUNK)
        fill_chunk(w, &h, &interface, &frame, m, &rows, &exchanges);
    h.gap = h.kind == HEAD_GAP ? GAP_QUOTA : 0;
    if (h.kind == HEAD_GAP)
        h.totals.value[COUNTER_KEPT] = 7;
    if (head_encode(&h, &m->head, &e) || store_verify_head(m->head.data, m->head.len, &m->decoded, &e))
        fail_msg("%s", e.text);
    buffer_free(&rows);
    buffer_free(&exchanges);
}

void made_free(struct made *m)
{
    head_free(&m->decoded);
    buffer_free(&m->head);
    buffer_free(&m->body);
}

struct store_part head_part(struct made *m, uint64_t arrived_ns)
{
    struct store_part p = {
        .head_bytes = m->head.data,
        .head_length = m->head.len,
        .head = &m->decoded,
        .body_fd = -1,
        .seq = m->decoded.seq,
        .arrived_ns = arrived_ns,
        .install = m->install,
    };
    memcpy(p.epoch, m->decoded.epoch, EPOCH_SIZE);
    return p;
}

struct store_part body_part(struct made *m, uint64_t arrived_ns)
{
    struct error e = ERROR_INIT;
    struct store_part p = {
        .body_fd = memfd_create("body", MFD_CLOEXEC),
        .body_length = m->body.len,
        .seq = m->decoded.seq,
        .arrived_ns = arrived_ns,
        .install = m->install,
    };
    memcpy(p.epoch, m->decoded.epoch, EPOCH_SIZE);
    if (p.body_fd < 0 || fs_write(p.body_fd, m->body.data, m->body.len, NULL, &e))
        fail_msg("%s", e.text);
    return p;
}

void part_done(struct store_part *part)
{
    if (part->body_fd >= 0)
        close(part->body_fd);
}

static int commit_one(struct store *s, struct store_part *part, struct error *why)
{
    struct error e = ERROR_INIT;
    if (store_commit(s, part, 1, &e))
        fail_msg("%s", e.text);
    if (why)
        *why = part->error;
    return part->result;
}

int commit_head(struct store *s, const struct wish *w, uint64_t arrived_ns, struct error *why)
{
    struct made m;
    make_chunk(w, &m);
    struct store_part part = head_part(&m, arrived_ns);
    int r = commit_one(s, &part, why);
    made_free(&m);
    return r;
}

int commit_body(struct store *s, const struct wish *w, uint64_t arrived_ns, struct error *why)
{
    struct made m;
    make_chunk(w, &m);
    struct store_part part = body_part(&m, arrived_ns);
    int r = commit_one(s, &part, why);
    part_done(&part);
    made_free(&m);
    return r;
}

void commit_chunk(struct store *s, const struct wish *w, uint64_t arrived_ns)
{
    struct error why = ERROR_INIT;
    if (commit_head(s, w, arrived_ns, &why))
        fail_msg("%s", why.text);
    if (!w->no_body && (!w->kind || w->kind == HEAD_CHUNK) && commit_body(s, w, arrived_ns, &why))
        fail_msg("%s", why.text);
}

struct store *open_store(const char *path, const struct store_config *config)
{
    struct store_config c = config ? *config : (struct store_config){0};
    struct store *s = NULL;
    struct error e = ERROR_INIT;
    c.path = path;
    if (store_open(&c, &s, &e))
        fail_msg("%s", e.text);
    return s;
}

static int see(void *context, struct store_chunk *c, bool excluded, struct error *e)
{
    struct seen *out = context;
    (void)e;
    assert_true(out->count < sizeof(out->items) / sizeof(*out->items));
    assert_true(!excluded || c->head.flows == NULL);
    out->items[out->count++] = (struct seen_chunk){
        .stream = c->head.epoch[0],
        .kind = c->head.kind,
        .gap = c->head.kind == HEAD_GAP ? c->head.gap : c->gap,
        .body_state = (uint8_t)c->body_state,
        .seq = c->head.seq,
        .last_seq = c->head.last_seq,
        .rows = c->head.flow_rows,
        .excluded = excluded,
    };
    return 0;
}

void scan_all(struct store *s, const struct store_scan *scan, struct seen *out)
{
    const struct store_scan all = {.until_ns = UINT64_MAX};
    struct store_reader *r = NULL;
    struct error e = ERROR_INIT;
    out->count = 0;
    if (store_reader_open(s, &r, &e) || store_scan_chunks(r, scan ? scan : &all, see, out, &e))
        fail_msg("%s", e.text);
    store_reader_close(r);
}

const struct seen_chunk *seen_find(const struct seen *seen, uint8_t stream, uint64_t seq)
{
    const struct seen_chunk *found = NULL;
    for (size_t i = 0; i < seen->count; i++)
        if (seen->items[i].stream == stream && seen->items[i].seq <= seq && seq <= seen->items[i].last_seq) {
            assert_null(found); /* once */
            found = &seen->items[i];
        }
    return found;
}

bool body_is_whole(struct store *s, const struct wish *w)
{
    struct made m;
    struct store_reader *r = NULL;
    struct store_body *b = NULL;
    struct body_source source;
    struct error e = ERROR_INIT;
    make_chunk(w, &m);
    if (store_reader_open(s, &r, &e))
        fail_msg("%s", e.text);
    bool whole = store_body_open(r, m.decoded.epoch, w->seq, &b, &source, &e) == 0;
    uint8_t *data = malloc(m.body.len + 1);
    whole = whole && source.length == m.body.len && source.read(source.context, 0, data, m.body.len, &e) == 0 &&
            memcmp(data, m.body.data, m.body.len) == 0;
    free(data);
    store_body_close(b);
    store_reader_close(r);
    made_free(&m);
    return whole;
}

static void print_finding(void *context, const char *text)
{
    if (*(bool *)context)
        print_message("finding: %s\n", text);
}

uint64_t check_findings(const char *path, bool print)
{
    struct store_report report;
    struct error e = ERROR_INIT;
    if (store_check(path, print_finding, &print, &report, &e))
        fail_msg("%s", e.text);
    return report.damaged;
}
