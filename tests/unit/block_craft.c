#include "tests/unit/block_craft.h"

#include "common/base/hash.h"
#include "common/rows/block_format.h"
#include "tests/unit/random_rows.h"

const struct table *const block_tables[] = {&table_flow, &table_exchange};

/* --- Helpers ----------------------------------------------------------------------------------------------------- */
struct buffer block_encoded(const struct table *t, const void *rows, size_t n)
{
    struct buffer out = {.len = 0};
    struct error e = ERROR_INIT;
    if (block_encode(t, rows, n, &out, &e) < 0)
        fail_msg("%s", e.text);
    return out;
}

struct block *block_opened(const struct table *t, const void *data, size_t len)
{
    struct block *b = NULL;
    struct error e = ERROR_INIT;
    if (block_open(t, data, len, &b, &e) < 0)
        fail_msg("%s", e.text);
    return b;
}

int block_read_all(const struct table *t, const void *data, size_t len, struct error *e)
{
    struct block *b;
    void *rows;
    int r = block_open(t, data, len, &b, e);
    if (r < 0) {
        assert_null(b);
        return r;
    }
    r = block_read(b, &rows, e);
    if (r < 0)
        assert_null(rows);
    free(rows);
    block_close(b);
    return r;
}

void craft_add(struct craft *c, unsigned id, unsigned codec, unsigned flags, const void *data, size_t len, size_t raw)
{
    buffer_le16(&c->directory, (uint16_t)id);
    buffer_u8(&c->directory, (uint8_t)codec);
    buffer_u8(&c->directory, (uint8_t)flags);
    buffer_le32(&c->directory, (uint32_t)len);
    buffer_le32(&c->directory, (uint32_t)raw);
    buffer_le64(&c->directory, hash64(data, len));
    buffer_append(&c->data, data, len);
    c->columns++;
}

struct buffer craft_finish(struct craft *c, unsigned version, unsigned table, uint32_t rows)
{
    struct buffer out = {.len = 0};
    buffer_append(&out, "FDBK", 4);
    buffer_u8(&out, (uint8_t)version);
    buffer_u8(&out, (uint8_t)table);
    buffer_le16(&out, c->columns);
    buffer_le32(&out, rows);
    buffer_append(&out, c->directory.data, c->directory.len);
    buffer_le64(&out, hash64(out.data, out.len));
    buffer_append(&out, c->data.data, c->data.len);
    buffer_free(&c->directory);
    buffer_free(&c->data);
    c->columns = 0;
    return out;
}

struct buffer craft_one_column(unsigned id, unsigned codec, unsigned flags, const void *data, size_t len, uint32_t rows)
{
    struct craft c = {.columns = 0};
    craft_add(&c, id, codec, flags, data, len, len);
    return craft_finish(&c, BLOCK_VERSION, 1, rows);
}

struct buffer craft_relative(unsigned other, unsigned codec, unsigned flags, const void *data, size_t len,
                             unsigned other_flags, const void *other_data, size_t other_len)
{
    struct craft c = {.columns = 0};
    craft_add(&c, FLOW_BYTES_0, codec, flags, data, len, len);
    craft_add(&c, other, 2, other_flags, other_data, other_len, other_len);
    return craft_finish(&c, BLOCK_VERSION, 1, 3);
}

void craft_assert_refused(struct buffer *b, int code, const char *what)
{
    struct error e = ERROR_INIT;
    int r = block_read_all(&table_flow, b->data, b->len, &e);
    if (r != code || !strstr(e.text, what))
        fail_msg("%d (%s) instead of %d (%s)", r, e.text, code, what);
    buffer_free(b);
}

/* --- What is written comes back ---------------------------------------------------------------------------------- */
void block_assert_round_trip(const struct table *t, const uint8_t *rows, size_t n)
{
    struct buffer out = block_encoded(t, rows, n);
    struct block *b = block_opened(t, out.data, out.len);
    struct error e = ERROR_INIT;
    void *back;
    assert_int_equal(block_rows(b), n);
    if (block_read(b, &back, &e) < 0)
        fail_msg("%s", e.text);
    assert_true(n ? back != NULL : back == NULL);
    assert_same_rows(t, rows, back, n);
    free(back);
    block_close(b);
    buffer_free(&out);
}
