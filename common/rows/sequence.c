/*
 * Sequences of numbers: constant, frame of reference, delta; packed in groups of bits or planes of bytes. See codec.h.
 */
#include "common/rows/codec.h"

#include <endian.h>

#define WIDTH_ODD_MAX 56u /* bits that one unaligned load holds wherever they start */

static uint64_t load_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static void store_le64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

static uint64_t zigzag(uint64_t v)
{
    return v << 1 ^ (v >> 63 ? UINT64_MAX : 0);
}

static uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ (v & 1 ? UINT64_MAX : 0);
}

static unsigned stored_width(uint64_t greatest)
{
    unsigned w = codec_width(greatest);
    return w > WIDTH_ODD_MAX ? 64 : w;
}

static size_t group_size(unsigned width, size_t n)
{
    return (n * width + 7) / 8;
}

/* --- Writing
 * ---------------------------------------------------------------------------------------------------------- */

/* The packed numbers [from, from + n) of the sequence. */
static void residuals(const struct sequence *s, size_t from, size_t n, uint64_t *out)
{
    const uint64_t *v = s->values + from;
    if (s->form == FORM_FRAME) {
        for (size_t i = 0; i < n; i++)
            out[i] = v[i] - s->base;
        return;
    }
    out[0] = v[0] - (from ? v[-1] : s->base) - s->step;
    for (size_t i = 1; i < n; i++)
        out[i] = v[i] - v[i - 1] - s->step;
}

#define STEP 8u /* numbers that are looked at together */

uint64_t sequence_bits(const uint64_t *v, size_t n)
{
    uint64_t bits = 0;
    size_t i = 0;
    for (; i + STEP <= n; i += STEP)
        bits |= (v[i] | v[i + 1] | v[i + 2] | v[i + 3]) | (v[i + 4] | v[i + 5] | v[i + 6] | v[i + 7]);
    for (; i < n; i++)
        bits |= v[i];
    return bits;
}

/* Bits of a group of packed numbers of the sequence together, of which the first is v[0]; before it came `before`. */
static uint64_t residual_bits(const struct sequence *s, const uint64_t *v, uint64_t before, size_t n)
{
    uint64_t bits = v[0] - (s->form == FORM_FRAME ? s->base : before + s->step);
    uint64_t more = 0; /* two, so that none waits for the one before */
    size_t i = 1;
    if (s->form == FORM_FRAME) {
        for (; i + 1 < n; i += 2) {
            bits |= v[i] - s->base;
            more |= v[i + 1] - s->base;
        }
        return bits | more | (v[n - 1] - s->base);
    }
    for (; i + 1 < n; i += 2) {
        bits |= v[i] - v[i - 1] - s->step;
        more |= v[i + 1] - v[i] - s->step;
    }
    return bits | more | (i < n ? v[i] - v[i - 1] - s->step : 0);
}

/* Fills in the width and what the sequence takes when packed in groups. */
static void measure(struct sequence *s)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < s->n; i += CODEC_GROUP) {
        size_t n = s->n - i < CODEC_GROUP ? s->n - i : CODEC_GROUP;
        uint64_t any = residual_bits(s, s->values + i, i ? s->values[i - 1] : s->base, n);
        s->group_bytes += 1 + group_size(stored_width(any), n);
        bits |= any;
    }
    s->width = codec_width(bits);
}

static uint64_t least_value(const uint64_t *v, size_t n)
{
    uint64_t least[2] = {v[0], v[0]}; /* two, so that none waits for the one before */
    for (size_t i = 0; i + 1 < n; i += 2) {
        least[0] = v[i] < least[0] ? v[i] : least[0];
        least[1] = v[i + 1] < least[1] ? v[i + 1] : least[1];
    }
    least[0] = v[n - 1] < least[0] ? v[n - 1] : least[0];
    return least[0] < least[1] ? least[0] : least[1];
}

static uint64_t least_step(const uint64_t *v, size_t n)
{
    int64_t least = (int64_t)(v[1] - v[0]);
    for (size_t i = 2; i < n; i++) {
        int64_t step = (int64_t)(v[i] - v[i - 1]);
        least = step < least ? step : least;
    }
    return (uint64_t)least;
}

static bool is_constant(const uint64_t *v, size_t n)
{
    uint64_t differ = 0;
    for (size_t i = 0; i < n && !differ; i += CODEC_GROUP)
        for (size_t k = i; k < n && k < i + CODEC_GROUP; k++)
            differ |= v[k] ^ v[0];
    return !differ;
}

struct sequence sequence_plan(const uint64_t *values, size_t n, bool delta)
{
    if (is_constant(values, n))
        return (struct sequence){.values = values, .n = n, .form = FORM_CONSTANT, .base = values[0]};
    struct sequence frame = {.values = values, .n = n, .form = FORM_FRAME, .base = least_value(values, n)};
    measure(&frame);
    if (!delta)
        return frame;
    struct sequence steps = {.values = values, .n = n, .form = FORM_DELTA, .step = least_step(values, n)};
    steps.base = values[0] - steps.step;
    measure(&steps);
    /* A delta costs a running sum to read: it must pay. */
    return steps.group_bytes + 8 < frame.group_bytes - frame.group_bytes / 32 ? steps : frame;
}

/* Writes n numbers of `width` bits; may write up to 7 bytes more, all 0. */
static void pack_bits(const uint64_t *v, size_t n, unsigned width, uint8_t *out)
{
    uint64_t bits = 0;
    unsigned filled = 0;
    for (size_t i = 0; i < n; i++) {
        bits |= v[i] << filled;
        filled += width;
        if (filled >= 64) {
            store_le64(out, bits);
            out += 8;
            filled -= 64;
            bits = filled ? v[i] >> (width - filled) : 0;
        }
    }
    if (filled)
        store_le64(out, bits);
}

static void write_groups(const struct sequence *s, struct buffer *out)
{
    size_t groups = (s->n + CODEC_GROUP - 1) / CODEC_GROUP;
    buffer_u8(out, 0);
    size_t widths = out->len;
    if (!buffer_grow(out, groups))
        return;
    for (size_t g = 0; g < groups; g++) {
        uint64_t rest[CODEC_GROUP];
        size_t n = s->n - g * CODEC_GROUP < CODEC_GROUP ? s->n - g * CODEC_GROUP : CODEC_GROUP;
        residuals(s, g * CODEC_GROUP, n, rest);
        unsigned width = stored_width(sequence_bits(rest, n));
        out->data[widths + g] = (uint8_t)width;
        uint8_t *p = buffer_reserve(out, group_size(width, n) + 8);
        if (!p)
            return;
        if (width)
            pack_bits(rest, n, width, p);
        out->len += group_size(width, n);
    }
}

void sequence_planes(const uint64_t *restrict v, size_t n, unsigned planes, uint8_t *restrict out, size_t stride)
{
    for (unsigned k = 0; k < planes; k++, out += stride)
        if (n == CODEC_GROUP) /* compilers make more of a number that they know */
            for (size_t i = 0; i < CODEC_GROUP; i++)
                out[i] = (uint8_t)(v[i] >> 8 * k);
        else
            for (size_t i = 0; i < n; i++)
                out[i] = (uint8_t)(v[i] >> 8 * k);
}

static void write_planes(const struct sequence *s, struct buffer *out)
{
    unsigned planes = s->width ? (s->width + 7) / 8 : 1;
    buffer_u8(out, (uint8_t)planes);
    uint8_t *p = buffer_grow(out, planes * s->n);
    for (size_t i = 0; p && i < s->n; i += CODEC_GROUP) {
        uint64_t rest[CODEC_GROUP];
        size_t n = s->n - i < CODEC_GROUP ? s->n - i : CODEC_GROUP;
        residuals(s, i, n, rest);
        sequence_planes(rest, n, planes, p + i, s->n);
    }
}

void sequence_write(const struct sequence *s, bool planes, struct buffer *out)
{
    buffer_varint(out, s->base);
    if (s->form == FORM_CONSTANT)
        return;
    if (s->form == FORM_DELTA)
        buffer_varint(out, zigzag(s->step));
    if (planes)
        write_planes(s, out);
    else
        write_groups(s, out);
}

void sequence_append(const uint64_t *values, size_t n, bool planes, struct buffer *out)
{
    if (n == 0)
        return;
    struct sequence s = sequence_plan(values, n, true);
    buffer_u8(out, (uint8_t)s.form);
    sequence_write(&s, planes, out);
}

/* --- Reading
 * ---------------------------------------------------------------------------------------------------------- */

/* n numbers of `width` bits, 1..56, from memory of which 8 bytes may be read wherever a number starts. */
static void unpack_bits(const uint8_t *p, size_t n, unsigned width, uint64_t *out)
{
    uint64_t mask = UINT64_MAX >> (64 - width);
    for (size_t i = 0, bit = 0; i < n; i++, bit += width)
        out[i] = load_le64(p + bit / 8) >> bit % 8 & mask;
}

/* One group of a width already checked, of which group_size() bytes stand at p; `room` bytes may be read. */
static bool unpack_group(const uint8_t *p, size_t room, size_t n, unsigned width, uint64_t *out)
{
    uint8_t copy[CODEC_GROUP * 8 + 8];
    size_t size = group_size(width, n);
    unsigned unused = (unsigned)(size * 8 - n * width);
    if (width == 0) {
        memset(out, 0, n * sizeof(*out));
        return true;
    }
    if (unused && p[size - 1] >> (8 - unused))
        return false;
    if (width == 64) {
        for (size_t i = 0; i < n; i++)
            out[i] = load_le64(p + 8 * i);
        return true;
    }
    if (room < size + 8) {
        memcpy(copy, p, size);
        memset(copy + size, 0, 8);
        p = copy;
    }
    unpack_bits(p, n, width, out);
    return true;
}

static bool read_groups(struct bytes *in, size_t n, uint64_t *out)
{
    size_t groups = (n + CODEC_GROUP - 1) / CODEC_GROUP;
    const uint8_t *widths = bytes_take(in, groups);
    for (size_t g = 0; widths && g < groups; g++) {
        size_t count = n - g * CODEC_GROUP < CODEC_GROUP ? n - g * CODEC_GROUP : CODEC_GROUP;
        unsigned width = widths[g];
        if (width > WIDTH_ODD_MAX && width != 64)
            return false;
        size_t room = bytes_left(in);
        const uint8_t *p = bytes_take(in, group_size(width, count));
        if (!p || !unpack_group(p, room, count, width, out + g * CODEC_GROUP))
            return false;
    }
    return widths != NULL;
}

static bool read_planes(struct bytes *in, unsigned planes, size_t n, uint64_t *out)
{
    if (planes > 8 || n > bytes_left(in) / planes)
        return false;
    const uint8_t *p = bytes_take(in, planes * n);
    if (!p)
        return false;
    for (size_t i = 0; i < n; i++)
        out[i] = p[i];
    for (unsigned k = 1; k < planes; k++)
        for (size_t i = 0; i < n; i++)
            out[i] |= (uint64_t)p[k * n + i] << 8 * k;
    return true;
}

static bool read_packed(struct bytes *in, size_t n, uint64_t *out)
{
    unsigned planes = bytes_u8(in);
    if (in->bad)
        return false;
    return planes ? read_planes(in, planes, n, out) : read_groups(in, n, out);
}

bool sequence_read(enum form form, struct bytes *in, size_t n, uint64_t *values)
{
    if (form != FORM_CONSTANT && form != FORM_FRAME && form != FORM_DELTA)
        return false;
    uint64_t base = bytes_varint(in);
    if (form == FORM_CONSTANT) {
        for (size_t i = 0; i < n; i++)
            values[i] = base;
        return !in->bad;
    }
    uint64_t step = form == FORM_DELTA ? unzigzag(bytes_varint(in)) : 0;
    if (!read_packed(in, n, values))
        return false;
    if (form == FORM_FRAME) {
        for (size_t i = 0; i < n; i++)
            values[i] += base;
        return true;
    }
    for (size_t i = 0; i < n; i++)
        values[i] = base += step + values[i];
    return true;
}

bool sequence_take(struct bytes *in, size_t n, uint64_t *values)
{
    if (n == 0)
        return true;
    enum form form = bytes_u8(in);
    return !in->bad && sequence_read(form, in, n, values);
}
