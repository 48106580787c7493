#include "common/net/message.h"

#include "common/base/bytes.h"
#include "common/base/utf8.h"
#include "common/net/message_impl.h"
#include "common/packet/packet.h"

#include <string.h>

int message_invalid(const struct conversion *c, const char *what)
{
    return error_set(c->e, ERROR_INVALID, "message %s, field %s: %s", c->shape->name, c->field->name, what);
}

int message_no_memory(const struct conversion *c)
{
    return error_set(c->e, ERROR_LIMIT, "message %s, field %s: takes more memory than a message may", c->shape->name,
                     c->field->name);
}

size_t message_address_size(uint8_t family)
{
    switch (family) {
    case FAMILY_LINK:
        return 6;
    case FAMILY_IP4:
        return 4;
    case FAMILY_IP6:
        return 16;
    default:
        return 0;
    }
}

const char *message_string_problem(const struct message_field *f, const char *text)
{
    size_t most = f->kind == FIELD_NAMES ? HEAD_NAME_MAX : f->most;
    size_t len = strlen(text);
    if (len > most)
        return "longer than allowed";
    if (!utf8_is_clean(text, len, f->kind == FIELD_LINES || f->kind == FIELD_TEXT))
        return "not UTF-8 text, or with control characters";
    return NULL;
}

/* ------------------------------------------------------------ plain -> wire */

static int to_wire(struct conversion *c, const void *plain, void *wire);

/* The lines of a filter's error, and those of a sentence about several agents, stay apart. */
static void clean_lines(char *text)
{
    for (size_t len; *text; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        utf8_clean(text, len);
    }
}

static int string_to_wire(const struct conversion *c, const char *text, char **wire)
{
    if (!text || !*text)
        return 0;
    if (c->field->kind == FIELD_TEXT) {
        size_t len = strnlen(text, c->field->most);
        char *copy = arena_alloc(c->arena, len + 1);
        if (!copy)
            return message_no_memory(c);
        memcpy(copy, text, len);
        clean_lines(copy);
        *wire = copy;
        return 0;
    }
    const char *problem = message_string_problem(c->field, text);
    *wire = (char *)(uintptr_t)text; /* packed at once, not kept */
    return problem ? message_invalid(c, problem) : 0;
}

static void bytes_to_wire(ProtobufCBinaryData *wire, const uint8_t *data, size_t len)
{
    *wire = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

static int names_to_wire(const struct conversion *c, char *const *names, uint32_t count, char **wire)
{
    int r = 0;
    for (uint32_t i = 0; !r && i < count; i++) {
        wire[i] = (char *)(uintptr_t) "";
        r = string_to_wire(c, names[i], &wire[i]);
    }
    return r;
}

static int list_to_wire(const struct conversion *c, const char *items, uint32_t count, void **wire)
{
    struct conversion inner = {.arena = c->arena, .shape = c->field->shape, .e = c->e};
    int r = 0;
    for (uint32_t i = 0; !r && i < count; i++) {
        wire[i] = arena_alloc(c->arena, inner.shape->wire->sizeof_message);
        r = wire[i] ? to_wire(&inner, items + i * inner.shape->size, wire[i]) : message_no_memory(c);
    }
    return r;
}

static int many_to_wire(const struct conversion *c, const char *plain, char *wire)
{
    const struct message_field *f = c->field;
    const void *items = *(void *const *)(const void *)(plain + f->at);
    uint32_t count = *(const uint32_t *)(const void *)(plain + f->count_at);
    if (count == 0)
        return 0;
    if (count > f->most)
        return message_invalid(c, "too many");
    void **pointers = arena_alloc(c->arena, count * sizeof(*pointers));
    if (!pointers)
        return message_no_memory(c);
    *(size_t *)(void *)(wire + f->wire_at) = count;
    *(void **)(void *)(wire + f->wire_list_at) = pointers;
    return f->kind == FIELD_NAMES ? names_to_wire(c, items, count, (char **)pointers)
                                  : list_to_wire(c, items, count, pointers);
}

static int one_to_wire(const struct conversion *c, const char *plain, void **wire)
{
    struct conversion inner = {.arena = c->arena, .shape = c->field->shape, .e = c->e};
    const void *item = *(void *const *)(const void *)(plain + c->field->at);
    uint32_t count = *(const uint32_t *)(const void *)(plain + c->field->count_at);
    if (count == 0)
        return 0;
    if (count > 1)
        return message_invalid(c, "too many");
    *wire = arena_alloc(c->arena, inner.shape->wire->sizeof_message);
    return *wire ? to_wire(&inner, item, *wire) : message_no_memory(c);
}

static int data_to_wire(const struct conversion *c, const char *plain, void *wire)
{
    uint32_t length = *(const uint32_t *)(const void *)(plain + c->field->count_at);
    if (length < c->field->least || length > c->field->most)
        return message_invalid(c, "its length is not allowed");
    bytes_to_wire(wire, *(const uint8_t *const *)(const void *)(plain + c->field->at), length);
    return 0;
}

int message_range(const struct conversion *c, uint64_t value)
{
    return value >= c->field->least && value <= c->field->most ? 0 : message_invalid(c, "the value is not allowed");
}

static int field_to_wire(const struct conversion *c, const char *plain, char *wire)
{
    const struct message_field *f = c->field;
    const void *from = plain + f->at;
    void *to = wire + f->wire_at;
    switch (f->kind) {
    case FIELD_U8:
        *(uint32_t *)to = *(const uint8_t *)from;
        return message_range(c, *(uint32_t *)to);
    case FIELD_U32:
        *(uint32_t *)to = *(const uint32_t *)from;
        return message_range(c, *(uint32_t *)to);
    case FIELD_I32:
        *(int32_t *)to = *(const int32_t *)from;
        return 0;
    case FIELD_U64:
        *(uint64_t *)to = *(const uint64_t *)from;
        return 0;
    case FIELD_FLAG:
        *(protobuf_c_boolean *)to = *(const uint8_t *)from != 0;
        return 0;
    case FIELD_ID:
        bytes_to_wire(to, from, ID_SIZE);
        return 0;
    case FIELD_ADDRESS:
        bytes_to_wire(to, from, message_address_size(((const struct net_address *)(const void *)plain)->family));
        return 0;
    case FIELD_NAME:
    case FIELD_TEXT:
    case FIELD_LINES:
        return string_to_wire(c, *(const char *const *)from, to);
    case FIELD_DATA:
        return data_to_wire(c, plain, to);
    case FIELD_ONE:
        return one_to_wire(c, plain, to);
    case FIELD_NAMES:
    case FIELD_LIST:
        return many_to_wire(c, plain, wire);
    }
    return message_invalid(c, "of no kind that is known");
}

static int to_wire(struct conversion *c, const void *plain, void *wire)
{
    c->shape->wire->message_init(wire);
    int r = 0;
    for (c->field = c->shape->fields; !r && c->field->name; c->field++)
        r = field_to_wire(c, plain, wire);
    const char *problem = !r && c->shape->check ? c->shape->check(plain) : NULL;
    return problem ? error_set(c->e, ERROR_INVALID, "message %s: %s", c->shape->name, problem) : r;
}

static int append_frame(const struct message *m, const ProtobufCMessage *wire, struct buffer *out, struct error *e)
{
    size_t len = protobuf_c_message_get_packed_size(wire);
    if (len > NET_FRAME_MAX)
        return error_set(e, ERROR_LIMIT, "message %s: %zu bytes are more than the %u that a frame holds",
                         message_type_name((int)m->type), len, NET_FRAME_MAX);
    uint8_t *p = buffer_grow(out, NET_HEADER_SIZE + len);
    if (!p)
        return error_set(e, ERROR_MEMORY, "no memory for a message of %zu bytes", len);
    uint8_t header[NET_HEADER_SIZE] = {'F',
                                       'D',
                                       NET_PROTOCOL,
                                       (uint8_t)m->type,
                                       (uint8_t)len,
                                       (uint8_t)(len >> 8),
                                       (uint8_t)(len >> 16),
                                       (uint8_t)(len >> 24)};
    memcpy(p, header, sizeof(header));
    protobuf_c_message_pack(wire, p + NET_HEADER_SIZE);
    return 0;
}

int message_encode(const struct message *m, struct buffer *out, struct error *e)
{
    const struct message_shape *shape = message_shape((int)m->type);
    if (!shape)
        return error_set(e, ERROR_INVALID, "there is no message of type %d", (int)m->type);
    struct arena arena = {.left = MEMORY_MAX};
    struct conversion c = {.arena = &arena, .shape = shape, .e = e};
    ProtobufCMessage *wire = arena_alloc(&arena, shape->wire->sizeof_message);
    int r = wire ? to_wire(&c, &m->hello, wire) : error_set(e, ERROR_MEMORY, "no memory for a message");
    if (!r)
        r = append_frame(m, wire, out, e);
    arena_free(&arena);
    return r;
}

static int append_packed(const ProtobufCMessage *wire, struct buffer *out, struct error *e)
{
    size_t len = protobuf_c_message_get_packed_size(wire);
    uint8_t *p = len > NET_FRAME_MAX ? NULL : buffer_grow(out, len);
    if (!p)
        return error_set(e, ERROR_LIMIT, "a request of %zu bytes is too long", len);
    protobuf_c_message_pack(wire, p);
    return 0;
}

int message_encode_request(const struct capture_request *r, struct buffer *out, struct error *e)
{
    struct capture_request bare = *r;
    struct arena arena = {.left = MEMORY_MAX};
    struct conversion c = {.arena = &arena, .shape = message_request_shape(), .e = e};
    ProtobufCMessage *wire = arena_alloc(&arena, c.shape->wire->sizeof_message);
    bare.signature = NULL;
    bare.signature_length = 0;
    int code = wire ? to_wire(&c, &bare, wire) : error_set(e, ERROR_MEMORY, "no memory for a request");
    if (!code)
        code = append_packed(wire, out, e);
    arena_free(&arena);
    return code;
}

/* ------------------------------------------------------------ frames */

int message_header(const uint8_t header[NET_HEADER_SIZE], size_t limit, int *type, size_t *length, struct error *e)
{
    struct bytes b = bytes_of(header, NET_HEADER_SIZE);
    uint8_t magic[2];
    bytes_copy(&b, magic, sizeof magic);
    int version = bytes_u8(&b);
    *type = bytes_u8(&b);
    *length = bytes_le32(&b);
    if (magic[0] != 'F' || magic[1] != 'D')
        return error_set(e, ERROR_INVALID,
                         "not a fleetdump peer: it begins with bytes %02x %02x; check that address and port are right",
                         magic[0], magic[1]);
    if (version != (int)NET_PROTOCOL)
        return error_set(e, ERROR_VERSION,
                         "it speaks version %d of the protocol, and this program (fleetdump " FLEETDUMP_VERSION
                         ") version %u: update %s, so that both are of one release",
                         version, NET_PROTOCOL, version > (int)NET_PROTOCOL ? "this program" : "the other side");
    if (*length > limit)
        return error_set(e, ERROR_LIMIT, "it announces a message %s of %zu bytes, where at most %zu are allowed",
                         message_type_name(*type), *length, limit);
    return 0;
}
