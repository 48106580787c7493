/*
 * From protobuf's structs to ours: what a peer sent is checked by the tables, and copied.
 */
#include "common/base/bytes.h"
#include "common/net/message_impl.h"

#include <stdlib.h>
#include <string.h>

static int from_wire(struct conversion *c, const void *wire, void *plain);

/* protobuf-c gives a string the bytes that it has and one for the 0: fewer before the first 0 means that there is one
 * inside. */
static int string_from_wire(const struct conversion *c, char *wire, char **plain)
{
    *plain = wire;
    if (wire == protobuf_c_empty_string)
        return 0;
    if (strlen(wire) + 1 != arena_size(wire))
        return message_invalid(c, "a zero byte in a text");
    const char *problem = message_string_problem(c->field, wire);
    return problem ? message_invalid(c, problem) : 0;
}

static int id_from_wire(const struct conversion *c, const ProtobufCBinaryData *wire, uint8_t *plain)
{
    if (wire->len == 0 && c->field->least == 0)
        return 0;
    if (wire->len != ID_SIZE)
        return message_invalid(c, "not 16 bytes");
    memcpy(plain, wire->data, ID_SIZE);
    return 0;
}

static int address_from_wire(const struct conversion *c, const ProtobufCBinaryData *wire, struct net_address *plain)
{
    size_t size = message_address_size(plain->family);
    if (size == 0 || wire->len != size)
        return message_invalid(c, "its length does not fit the family");
    memcpy(plain->addr, wire->data, size);
    return 0;
}

static int data_from_wire(const struct conversion *c, const ProtobufCBinaryData *wire, char *plain)
{
    if (wire->len < c->field->least || wire->len > c->field->most)
        return message_invalid(c, "its length is not allowed");
    *(const uint8_t **)(void *)(plain + c->field->at) = wire->data;
    *(uint32_t *)(void *)(plain + c->field->count_at) = (uint32_t)wire->len;
    return 0;
}

static int list_from_wire(const struct conversion *c, void *const *wire, size_t count, char *items)
{
    struct conversion inner = {.arena = c->arena, .shape = c->field->shape, .e = c->e};
    int r = 0;
    for (size_t i = 0; !r && i < count; i++)
        r = from_wire(&inner, wire[i], items + i * inner.shape->size);
    return r;
}

static int names_from_wire(const struct conversion *c, char *const *wire, size_t count, char **names)
{
    int r = 0;
    for (size_t i = 0; !r && i < count; i++)
        r = string_from_wire(c, wire[i], &names[i]);
    return r;
}

static int many_from_wire(const struct conversion *c, const char *wire, char *plain)
{
    const struct message_field *f = c->field;
    size_t count = *(const size_t *)(const void *)(wire + f->wire_at);
    void *const *pointers = *(void *const *const *)(const void *)(wire + f->wire_list_at);
    if (count > f->most)
        return message_invalid(c, "too many");
    if (count == 0)
        return 0;
    void *items = arena_alloc(c->arena, count * (f->shape ? f->shape->size : sizeof(char *)));
    if (!items)
        return message_no_memory(c);
    *(void **)(void *)(plain + f->at) = items;
    *(uint32_t *)(void *)(plain + f->count_at) = (uint32_t)count;
    return f->shape ? list_from_wire(c, pointers, count, items)
                    : names_from_wire(c, (char *const *)pointers, count, items);
}

static int one_from_wire(const struct conversion *c, void *const *wire, char *plain)
{
    if (!*wire)
        return 0;
    void *item = arena_alloc(c->arena, c->field->shape->size);
    if (!item)
        return message_no_memory(c);
    *(void **)(void *)(plain + c->field->at) = item;
    *(uint32_t *)(void *)(plain + c->field->count_at) = 1;
    return list_from_wire(c, wire, 1, item);
}

static int field_from_wire(const struct conversion *c, const char *wire, char *plain)
{
    const struct message_field *f = c->field;
    const void *from = wire + f->wire_at;
    void *to = plain + f->at;
    switch (f->kind) {
    case FIELD_U8:
        *(uint8_t *)to = (uint8_t) * (const uint32_t *)from;
        return message_range(c, *(const uint32_t *)from);
    case FIELD_U32:
        *(uint32_t *)to = *(const uint32_t *)from;
        return message_range(c, *(const uint32_t *)from);
    case FIELD_I32:
        *(int32_t *)to = *(const int32_t *)from;
        return 0;
    case FIELD_U64:
        *(uint64_t *)to = *(const uint64_t *)from;
        return 0;
    case FIELD_FLAG:
        *(uint8_t *)to = *(const protobuf_c_boolean *)from != 0;
        return 0;
    case FIELD_ID:
        return id_from_wire(c, from, to);
    case FIELD_ADDRESS:
        return address_from_wire(c, from, (struct net_address *)(void *)plain);
    case FIELD_NAME:
    case FIELD_TEXT:
    case FIELD_LINES:
        return string_from_wire(c, *(char *const *)from, to);
    case FIELD_DATA:
        return data_from_wire(c, from, plain);
    case FIELD_ONE:
        return one_from_wire(c, from, plain);
    case FIELD_NAMES:
    case FIELD_LIST:
        return many_from_wire(c, wire, plain);
    }
    return message_invalid(c, "of no kind that is known");
}

static int from_wire(struct conversion *c, const void *wire, void *plain)
{
    int r = 0;
    for (c->field = c->shape->fields; !r && c->field->name; c->field++)
        r = field_from_wire(c, wire, plain);
    const char *problem = !r && c->shape->check ? c->shape->check(plain) : NULL;
    return problem ? error_set(c->e, ERROR_INVALID, "message %s: %s", c->shape->name, problem) : r;
}

static void *wire_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void wire_free(void *arena, void *p)
{
    (void)arena; /* all at once, in message_free */
    (void)p;
}

static struct arena *arena_new(void)
{
    struct arena *a = calloc(1, sizeof(*a));
    if (a)
        a->left = MEMORY_MAX;
    return a;
}

int message_decode(int type, const void *payload, size_t len, struct message *m, struct error *e)
{
    *m = (struct message){0};
    const struct message_shape *shape = message_shape(type);
    if (!shape)
        return error_set(e, ERROR_INVALID, "a message of type %d, which is not known here", type);
    if (len > NET_FRAME_MAX)
        return error_set(e, ERROR_LIMIT, "message %s: %zu bytes are more than the %u that a frame holds", shape->name,
                         len, NET_FRAME_MAX);
    struct arena *arena = arena_new();
    if (!arena)
        return error_set(e, ERROR_MEMORY, "no memory for a message");
    m->type = (enum message_type)type;
    m->memory = arena;
    ProtobufCAllocator allocator = {.alloc = wire_alloc, .free = wire_free, .allocator_data = arena};
    const ProtobufCMessage *wire = protobuf_c_message_unpack(shape->wire, &allocator, len, payload);
    struct conversion c = {.arena = arena, .shape = shape, .e = e};
    int r =
        wire ? from_wire(&c, wire, &m->hello)
             : error_set(e, ERROR_INVALID, "message %s of %zu bytes: not a valid protobuf message", shape->name, len);
    if (r)
        message_free(m);
    return r;
}

static int decode_request(struct arena *arena, const void *bytes, size_t len, struct message *m, struct error *e)
{
    struct conversion c = {.arena = arena, .shape = message_request_shape(), .e = e};
    ProtobufCAllocator allocator = {.alloc = wire_alloc, .free = wire_free, .allocator_data = arena};
    const ProtobufCMessage *wire =
        len > NET_FRAME_MAX ? NULL : protobuf_c_message_unpack(c.shape->wire, &allocator, len, bytes);
    m->check.request = arena_alloc(arena, c.shape->size);
    m->check.request_count = 1;
    if (!wire || !m->check.request)
        return error_set(e, ERROR_INVALID, "a request of %zu bytes: not a valid protobuf message", len);
    return from_wire(&c, wire, m->check.request);
}

static int is_canonical(const struct capture_request *r, const void *bytes, size_t len, struct error *e)
{
    struct buffer again = {.limit = NET_FRAME_MAX};
    int code = message_encode_request(r, &again, e);
    if (!code && (again.len != len || memcmp(again.data, bytes, len) != 0))
        code = error_set(e, ERROR_VERSION, "the request has fields that this version does not know: update this agent");
    buffer_free(&again);
    return code;
}

int message_decode_request(const void *bytes, size_t len, struct message *m, struct error *e)
{
    *m = (struct message){.type = MESSAGE_CHECK};
    m->memory = arena_new();
    int r =
        m->memory ? decode_request(m->memory, bytes, len, m, e) : error_set(e, ERROR_MEMORY, "no memory for a request");
    if (!r)
        r = is_canonical(m->check.request, bytes, len, e);
    if (r)
        message_free(m);
    return r;
}

void message_free(struct message *m)
{
    if (m->memory) {
        arena_free(m->memory);
        free(m->memory);
    }
    *m = (struct message){0};
}
