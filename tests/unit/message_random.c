#include "tests/unit/message_random.h"

#include "common/packet/packet.h"

#include <string.h>

/* ------------------------------------------------------------ random messages */
uint64_t random_state;

uint64_t random_draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t draw_u64(void)
{
    return random_draw() >> (random_draw() % 64);
}

/* What messages point to; reused by each. */
static char texts[64][HEAD_NAME_MAX + 1];

static unsigned next_text;

static char *lists[3][8];

static struct capture_request request;

static struct net_order orders[4];

static struct net_address addresses[2][8];

static struct net_name names[8];

static uint8_t data[NET_PIECE_MAX];

static char *draw_text(size_t most)
{
    static const char *const letters[] = {"a", "Z", "0", " ", "-", "ä", "漢", "🦀", "/", "'"};
    char *text = texts[next_text++ % 64];
    size_t len = 0;
    for (size_t n = random_draw() % 12; n > 0; n--) {
        const char *letter = letters[random_draw() % 10];
        if (len + strlen(letter) > most)
            break;
        strcpy(text + len, letter);
        len += strlen(letter);
    }
    text[len] = 0;
    return text;
}

static uint32_t draw_list(char **list)
{
    uint32_t count = (uint32_t)(random_draw() % 8);
    for (uint32_t i = 0; i < count; i++)
        list[i] = draw_text(HEAD_NAME_MAX);
    return count;
}

static void draw_id(uint8_t id[16])
{
    for (int i = 0; i < 16; i++)
        id[i] = (uint8_t)random_draw();
}

static uint32_t draw_addresses(struct net_address *a)
{
    static const struct {
        uint8_t family;
        size_t size;
    } families[] = {{FAMILY_LINK, 6}, {FAMILY_IP4, 4}, {FAMILY_IP6, 16}};
    uint32_t count = (uint32_t)(random_draw() % 8);
    for (uint32_t i = 0; i < count; i++) {
        size_t f = random_draw() % 3;
        a[i] = (struct net_address){.family = families[f].family, .from_ns = draw_u64(), .to_ns = draw_u64()};
        for (size_t j = 0; j < families[f].size; j++)
            a[i].addr[j] = (uint8_t)random_draw();
    }
    return count;
}

static void draw_query(struct message_query *q)
{
    *q = (struct message_query){
        .kind = (uint8_t)(1 + random_draw() % QUERY_EXCHANGES), .filter = draw_text(200), .names = names};
    q->name_count = (uint32_t)(random_draw() % 2);
    for (uint32_t i = 0; i < q->name_count; i++) {
        names[i] = (struct net_name){.name = draw_text(HEAD_NAME_MAX), .addresses = addresses[1]};
        names[i].address_count = draw_addresses(addresses[1]);
    }
    q->since_ns = draw_u64();
    q->until_ns = draw_u64();
    q->capture = draw_text(HEAD_NAME_MAX);
    q->agents = lists[0];
    q->agent_count = draw_list(lists[0]);
    q->sort = draw_text(HEAD_NAME_MAX);
    q->limit = draw_u64();
    q->by = lists[1];
    q->by_count = draw_list(lists[1]);
    q->vantage = (uint8_t)(random_draw() % 2);
    q->packets_only = (uint8_t)(random_draw() % 2);
    q->link_type = (uint32_t)random_draw();
    draw_id(q->epoch);
    q->seq = draw_u64();
    q->deadline_ms = draw_u64();
    q->fresh_ms = draw_u64();
    q->after = draw_text(200);
}

static void draw_hello(struct message_hello *h)
{
    *h = (struct message_hello){.protocol = (uint32_t)random_draw(), .role = (uint8_t)(1 + random_draw() % 3)};
    h->software = draw_text(HEAD_NAME_MAX);
    h->features = draw_u64();
    h->agent = draw_text(HEAD_NAME_MAX);
    draw_id(h->install);
    h->labels = lists[0];
    h->label_count = draw_list(lists[0]);
    h->addresses = addresses[0];
    h->address_count = draw_addresses(addresses[0]);
    h->wall_ns = draw_u64();
    h->mono_ns = draw_u64();
}

static void draw_piece(struct message_piece *p)
{
    draw_id(p->epoch);
    p->seq = draw_u64();
    p->part = (uint8_t)(1 + random_draw() % 2);
    p->length = (uint32_t)(1 + draw_u64() % NET_PIECE_MAX);
    p->offset = random_draw() >> 2;
    p->total = p->offset + p->length + (random_draw() >> 3);
    p->data = data;
    for (uint32_t i = 0; i < p->length; i++)
        data[i] = (uint8_t)random_draw();
}

static struct capture_request *draw_request(void)
{
    struct capture_request *r = &request;
    *r = (struct capture_request){.name = draw_text(HEAD_NAME_MAX), .filter = draw_text(200), .on = lists[0]};
    draw_id(r->id);
    r->on_count = draw_list(lists[0]);
    r->labels = lists[1];
    r->label_count = draw_list(lists[1]);
    r->interfaces = lists[2];
    r->interface_count = draw_list(lists[2]);
    r->snaplen = (uint32_t)(random_draw() % 262145);
    r->cutoff = (uint32_t)draw_u64();
    r->keep = (uint8_t)(random_draw() % 3);
    r->companions = (uint8_t)(random_draw() % 2);
    r->packets = draw_u64();
    r->bytes = draw_u64();
    r->rate = draw_u64();
    r->start_ns = random_draw() >> 2;
    r->end_ns = random_draw() % 2 ? 0 : r->start_ns + 1 + (random_draw() >> 2);
    r->for_ns = draw_u64();
    r->issued_ns = draw_u64();
    r->expires_ns = draw_u64();
    draw_id(r->nonce);
    r->who = draw_text(HEAD_NAME_MAX);
    r->signature = data;
    r->signature_length = (uint32_t)(random_draw() % (REQUEST_SIGNATURE_MAX + 1));
    return r;
}

static void draw_state(struct message_capture_state *s)
{
    *s = (struct message_capture_state){.phase = (uint8_t)(1 + random_draw() % PHASE_MISSED), .text = draw_text(200)};
    draw_id(s->id);
    s->interfaces = lists[0];
    s->interface_count = draw_list(lists[0]);
    uint64_t *numbers[] = {&s->left_ns,      &s->packets,     &s->bytes, &s->packets_per_s, &s->bytes_per_s,
                           &s->kernel_drops, &s->other_drops, &s->own,   &s->forbidden};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = draw_u64();
}

/* What is about captures on live interfaces. */
static void draw_capture_message(enum message_type type, struct message *m)
{
    if (type == MESSAGE_COMMAND) {
        m->command =
            (struct message_command){.kind = (uint8_t)(1 + random_draw() % 4), .which = draw_text(HEAD_NAME_MAX)};
        m->command.request = draw_request();
        m->command.request_count = m->command.kind <= COMMAND_START || random_draw() % 2;
        m->command.partial = (uint8_t)(random_draw() % 2);
        m->command.wait_ms = draw_u64();
        m->command.who = draw_text(HEAD_NAME_MAX);
    } else if (type == MESSAGE_ORDERS) {
        m->orders = (struct message_orders){.orders = orders, .order_count = (uint32_t)(random_draw() % 5)};
        struct capture_request *r = draw_request(); /* the same in all of them */
        for (uint32_t i = 0; i < m->orders.order_count; i++)
            orders[i] = (struct net_order){r, 1, draw_u64(), draw_u64(), draw_u64()};
    } else if (type == MESSAGE_CHECK) {
        m->check = (struct message_check){draw_u64(), draw_request(), 1};
    } else if (type == MESSAGE_CHECKED) {
        m->checked = (struct message_checked){.token = draw_u64(), .code = -(int32_t)(random_draw() % 20)};
        m->checked.text = draw_text(200);
        m->checked.interfaces = lists[0];
        m->checked.interface_count = draw_list(lists[0]);
        m->checked.packets_per_s = draw_u64();
        m->checked.bytes_per_s = draw_u64();
        m->checked.free_bytes = draw_u64();
    } else if (type == MESSAGE_CAPTURE_STATE) {
        draw_state(&m->capture_state);
    } else if (type == MESSAGE_FLUSH) {
        m->flush = (struct message_flush){draw_u64(), draw_text(HEAD_NAME_MAX)};
    } else if (type == MESSAGE_FLUSHED) {
        m->flushed = (struct message_flushed){draw_u64(), -(int32_t)(random_draw() % 20), draw_text(200)};
    } else if (type == MESSAGE_ADMIN) {
        m->admin = (struct message_admin){(uint8_t)(1 + random_draw() % ADMIN_AUDIT), draw_text(200)};
    } else if (type == MESSAGE_ENROLL) {
        m->enroll = (struct message_enroll){data, random_draw() % 2 ? ENROLL_SECRET : 0, draw_text(200)};
    } else if (type == MESSAGE_ENROLLED) {
        m->enrolled = (struct message_enrolled){.code = -(int32_t)(random_draw() % 20), .text = draw_text(200)};
        m->enrolled.certificate = draw_text(200);
        m->enrolled.ca = draw_text(200);
        m->enrolled.labels = lists[0];
        m->enrolled.label_count = draw_list(lists[0]);
        m->enrolled.again_ms = draw_u64();
    } else {
        m->clock = (struct message_clock){draw_u64(), draw_u64(), draw_u64()};
    }
}

void message_draw(enum message_type type, struct message *m)
{
    *m = (struct message){.type = type};
    switch (type) {
    case MESSAGE_HELLO:
        draw_hello(&m->hello);
        break;
    case MESSAGE_WELCOME:
        m->welcome =
            (struct message_welcome){.protocol = (uint32_t)random_draw(), .software = draw_text(HEAD_NAME_MAX)};
        m->welcome.features = draw_u64();
        m->welcome.collector = draw_text(HEAD_NAME_MAX);
        m->welcome.wall_ns = draw_u64();
        break;
    case MESSAGE_REFUSE:
        m->refuse = (struct message_refuse){.code = -(int32_t)(random_draw() % 20), .text = draw_text(HEAD_NAME_MAX)};
        draw_id(m->refuse.epoch);
        m->refuse.seq = draw_u64();
        m->refuse.part = (uint8_t)(random_draw() % 3);
        break;
    case MESSAGE_STREAM:
        draw_id(m->stream.epoch);
        m->stream.capture = draw_text(HEAD_NAME_MAX);
        break;
    case MESSAGE_STREAM_STATE:
        draw_id(m->stream_state.epoch);
        m->stream_state.head_next = draw_u64();
        m->stream_state.body_next = random_draw() % (m->stream_state.head_next + 1);
        break;
    case MESSAGE_PIECE:
        draw_piece(&m->piece);
        break;
    case MESSAGE_BODY_FATE:
        draw_id(m->body_fate.epoch);
        m->body_fate.seq = draw_u64();
        m->body_fate.state = BODY_EVICTED;
        m->body_fate.gap = (uint8_t)(1 + random_draw() % 5);
        break;
    case MESSAGE_ACK:
        draw_id(m->ack.epoch);
        m->ack.head_next = draw_u64();
        m->ack.body_next = random_draw() % (m->ack.head_next + 1);
        break;
    case MESSAGE_STATUS:
        m->status.json = draw_text(200);
        break;
    case MESSAGE_QUERY:
        draw_query(&m->query);
        break;
    case MESSAGE_RESULT:
        m->result = (struct message_result){.data = data, .length = (uint32_t)(draw_u64() % NET_PIECE_MAX)};
        m->result.end_of_block = (uint8_t)(random_draw() % 2);
        break;
    case MESSAGE_DONE:
        m->done = (struct message_done){.code = -(int32_t)(random_draw() % 20), .text = draw_text(200)};
        m->done.manifest = draw_text(200);
        break;
    case MESSAGE_COMMAND:
    case MESSAGE_ORDERS:
    case MESSAGE_CHECK:
    case MESSAGE_CHECKED:
    case MESSAGE_CAPTURE_STATE:
    case MESSAGE_FLUSH:
    case MESSAGE_FLUSHED:
    case MESSAGE_CLOCK:
    case MESSAGE_ADMIN:
    case MESSAGE_ENROLL:
    case MESSAGE_ENROLLED:
        draw_capture_message(type, m);
        break;
    }
}

/* ------------------------------------------------------------ comparison, by hand: a field that the tables lack must show */
#define SAME(field)       assert_true(a->field == b->field)
#define SAME_TEXT(field)  assert_string_equal(a->field ? a->field : "", b->field)
#define SAME_BYTES(field) assert_memory_equal(a->field, b->field, sizeof(a->field))

static void same_list(char *const *a, uint32_t a_count, char *const *b, uint32_t b_count)
{
    assert_int_equal(a_count, b_count);
    for (uint32_t i = 0; i < a_count; i++)
        assert_string_equal(a[i], b[i]);
}

static void same_addresses(const struct net_address *x, uint32_t x_count, const struct net_address *y, uint32_t y_count)
{
    assert_int_equal(x_count, y_count);
    for (uint32_t i = 0; i < x_count; i++) {
        const struct net_address *a = &x[i];
        const struct net_address *b = &y[i];
        SAME(family);
        SAME_BYTES(addr);
        SAME(from_ns);
        SAME(to_ns);
    }
}

static void same_hello(const struct message_hello *a, const struct message_hello *b)
{
    SAME(protocol);
    SAME(role);
    SAME_TEXT(software);
    SAME(features);
    SAME_TEXT(agent);
    SAME_BYTES(install);
    same_list(a->labels, a->label_count, b->labels, b->label_count);
    same_addresses(a->addresses, a->address_count, b->addresses, b->address_count);
    SAME(wall_ns);
    SAME(mono_ns);
}

static void same_query(const struct message_query *a, const struct message_query *b)
{
    SAME(kind);
    SAME_TEXT(filter);
    assert_int_equal(a->name_count, b->name_count);
    for (uint32_t i = 0; i < a->name_count; i++) {
        assert_string_equal(a->names[i].name, b->names[i].name);
        same_addresses(a->names[i].addresses, a->names[i].address_count, b->names[i].addresses,
                       b->names[i].address_count);
    }
    SAME(since_ns);
    SAME(until_ns);
    SAME_TEXT(capture);
    same_list(a->agents, a->agent_count, b->agents, b->agent_count);
    SAME_TEXT(sort);
    SAME(limit);
    same_list(a->by, a->by_count, b->by, b->by_count);
    SAME(vantage);
    SAME(packets_only);
    SAME(link_type);
    SAME_BYTES(epoch);
    SAME(seq);
    SAME(deadline_ms);
    SAME(fresh_ms);
    SAME_TEXT(after);
}

static void same_request(const struct capture_request *a, const struct capture_request *b)
{
    SAME_BYTES(id);
    SAME_TEXT(name);
    SAME_TEXT(filter);
    same_list(a->on, a->on_count, b->on, b->on_count);
    same_list(a->labels, a->label_count, b->labels, b->label_count);
    same_list(a->interfaces, a->interface_count, b->interfaces, b->interface_count);
    SAME(snaplen);
    SAME(cutoff);
    SAME(keep);
    SAME(companions);
    SAME(packets);
    SAME(bytes);
    SAME(rate);
    SAME(start_ns);
    SAME(end_ns);
    SAME(for_ns);
    SAME(issued_ns);
    SAME(expires_ns);
    SAME_BYTES(nonce);
    SAME_TEXT(who);
    SAME(signature_length);
    assert_true(a->signature_length == 0 || memcmp(a->signature, b->signature, a->signature_length) == 0);
}

static void same_state(const struct message_capture_state *a, const struct message_capture_state *b)
{
    SAME_BYTES(id);
    SAME(phase);
    SAME_TEXT(text);
    same_list(a->interfaces, a->interface_count, b->interfaces, b->interface_count);
    SAME(left_ns);
    SAME(packets);
    SAME(bytes);
    SAME(packets_per_s);
    SAME(bytes_per_s);
    SAME(kernel_drops);
    SAME(other_drops);
    SAME(own);
    SAME(forbidden);
}

static void same_capture_message(const struct message *x, const struct message *y)
{
    if (x->type == MESSAGE_COMMAND) {
        const struct message_command *a = &x->command, *b = &y->command;
        SAME(kind);
        SAME(request_count);
        if (a->request_count)
            same_request(a->request, b->request);
        SAME_TEXT(which);
        SAME(partial);
        SAME(wait_ms);
        SAME_TEXT(who);
    } else if (x->type == MESSAGE_ORDERS) {
        assert_int_equal(x->orders.order_count, y->orders.order_count);
        for (uint32_t i = 0; i < x->orders.order_count; i++) {
            const struct net_order *a = &x->orders.orders[i], *b = &y->orders.orders[i];
            same_request(a->request, b->request);
            SAME(wait_ns);
            SAME(left_ns);
            SAME(end_ns);
        }
    } else if (x->type == MESSAGE_CHECK) {
        const struct message_check *a = &x->check, *b = &y->check;
        SAME(token);
        same_request(a->request, b->request);
    } else if (x->type == MESSAGE_CHECKED) {
        const struct message_checked *a = &x->checked, *b = &y->checked;
        SAME(token);
        SAME(code);
        SAME_TEXT(text);
        same_list(a->interfaces, a->interface_count, b->interfaces, b->interface_count);
        SAME(packets_per_s);
        SAME(bytes_per_s);
        SAME(free_bytes);
    } else if (x->type == MESSAGE_CAPTURE_STATE) {
        same_state(&x->capture_state, &y->capture_state);
    } else if (x->type == MESSAGE_FLUSH) {
        const struct message_flush *a = &x->flush, *b = &y->flush;
        SAME(token);
        SAME_TEXT(capture);
    } else if (x->type == MESSAGE_FLUSHED) {
        const struct message_flushed *a = &x->flushed, *b = &y->flushed;
        SAME(token);
        SAME(code);
        SAME_TEXT(text);
    } else if (x->type == MESSAGE_ADMIN) {
        const struct message_admin *a = &x->admin, *b = &y->admin;
        SAME(kind);
        SAME_TEXT(json);
    } else if (x->type == MESSAGE_ENROLL) {
        const struct message_enroll *a = &x->enroll, *b = &y->enroll;
        SAME(secret_length);
        if (a->secret_length)
            assert_memory_equal(a->secret, b->secret, a->secret_length);
        SAME_TEXT(request);
    } else if (x->type == MESSAGE_ENROLLED) {
        const struct message_enrolled *a = &x->enrolled, *b = &y->enrolled;
        SAME(code);
        SAME_TEXT(text);
        SAME_TEXT(certificate);
        SAME_TEXT(ca);
        same_list(a->labels, a->label_count, b->labels, b->label_count);
        SAME(again_ms);
    } else {
        const struct message_clock *a = &x->clock, *b = &y->clock;
        SAME(sent_ns);
        SAME(received_ns);
        SAME(replied_ns);
    }
}

static void same_small(const struct message *x, const struct message *y)
{
    if (x->type == MESSAGE_WELCOME) {
        const struct message_welcome *a = &x->welcome, *b = &y->welcome;
        SAME(protocol);
        SAME_TEXT(software);
        SAME(features);
        SAME_TEXT(collector);
        SAME(wall_ns);
    } else if (x->type == MESSAGE_REFUSE) {
        const struct message_refuse *a = &x->refuse, *b = &y->refuse;
        SAME(code);
        SAME_TEXT(text);
        SAME_BYTES(epoch);
        SAME(seq);
        SAME(part);
    } else if (x->type == MESSAGE_STREAM) {
        const struct message_stream *a = &x->stream, *b = &y->stream;
        SAME_BYTES(epoch);
        SAME_TEXT(capture);
    } else if (x->type == MESSAGE_STREAM_STATE) {
        const struct message_stream_state *a = &x->stream_state, *b = &y->stream_state;
        SAME_BYTES(epoch);
        SAME(head_next);
        SAME(body_next);
    } else if (x->type == MESSAGE_BODY_FATE) {
        const struct message_body_fate *a = &x->body_fate, *b = &y->body_fate;
        SAME_BYTES(epoch);
        SAME(seq);
        SAME(state);
        SAME(gap);
    } else if (x->type == MESSAGE_ACK) {
        const struct message_ack *a = &x->ack, *b = &y->ack;
        SAME_BYTES(epoch);
        SAME(head_next);
        SAME(body_next);
    } else if (x->type == MESSAGE_STATUS) {
        const struct message_status *a = &x->status, *b = &y->status;
        SAME_TEXT(json);
    } else {
        const struct message_done *a = &x->done, *b = &y->done;
        assert_int_equal(x->type, MESSAGE_DONE);
        SAME(code);
        SAME_TEXT(text);
        SAME_TEXT(manifest);
    }
}

void message_assert_same(const struct message *x, const struct message *y)
{
    assert_int_equal(x->type, y->type);
    if (x->type >= MESSAGE_COMMAND) {
        same_capture_message(x, y);
    } else if (x->type == MESSAGE_HELLO) {
        same_hello(&x->hello, &y->hello);
    } else if (x->type == MESSAGE_QUERY) {
        same_query(&x->query, &y->query);
    } else if (x->type == MESSAGE_PIECE) {
        const struct message_piece *a = &x->piece, *b = &y->piece;
        SAME_BYTES(epoch);
        SAME(seq);
        SAME(part);
        SAME(total);
        SAME(offset);
        SAME(length);
        assert_memory_equal(a->data, b->data, a->length);
    } else if (x->type == MESSAGE_RESULT) {
        const struct message_result *a = &x->result, *b = &y->result;
        SAME(length);
        SAME(end_of_block);
        assert_true(a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
    } else {
        same_small(x, y);
    }
}
