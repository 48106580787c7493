#include "tests/unit/hello_build.h"
#include "tests/unit/support.h"

#include <string.h>

static const uint8_t retry_random[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                         0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                         0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

void hello_add(struct hello_build *b, const void *data, size_t len)
{
    assert_true(len <= sizeof b->at - b->len);
    memcpy(b->at + b->len, data, len);
    b->len += len;
}

static void add(struct hello_build *b, uint64_t value, unsigned bytes)
{
    while (bytes--) {
        uint8_t c = (uint8_t)(value >> 8 * bytes);
        hello_add(b, &c, 1);
    }
}

/* Room for a length of so many bytes; `end` fills it in. */
static size_t begin(struct hello_build *b, unsigned bytes)
{
    add(b, 0, bytes);
    return b->len;
}

static void end(struct hello_build *b, size_t from, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        b->at[from - 1 - i] = (uint8_t)((b->len - from) >> 8 * i);
}

static void add_list(struct hello_build *b, const uint16_t *list, unsigned bytes)
{
    size_t from = begin(b, bytes);
    for (; *list; list++)
        add(b, *list, 2);
    end(b, from, bytes);
}

static size_t extension(struct hello_build *b, unsigned type)
{
    add(b, type, 2);
    return begin(b, 2);
}

static void add_name(struct hello_build *b, const char *name)
{
    size_t from = extension(b, 0), list = begin(b, 2);
    add(b, 0, 1);
    add(b, strlen(name), 2);
    hello_add(b, name, strlen(name));
    end(b, list, 2);
    end(b, from, 2);
}

static void add_alpn(struct hello_build *b, const char *const *names)
{
    size_t from = extension(b, 16), list = begin(b, 2);
    for (; *names; names++) {
        add(b, strlen(*names), 1);
        hello_add(b, *names, strlen(*names));
    }
    end(b, list, 2);
    end(b, from, 2);
}

static void add_extensions(struct hello_build *b, const struct hello_parts *p, int server)
{
    size_t all = begin(b, 2), from;
    if (p->server_name)
        add_name(b, p->server_name);
    if (p->alpn)
        add_alpn(b, p->alpn);
    if (p->versions) {
        from = extension(b, 43);
        if (server)
            add(b, p->versions[0], 2);
        else
            add_list(b, p->versions, 1);
        end(b, from, 2);
    }
    if (p->signatures) {
        from = extension(b, 13);
        add_list(b, p->signatures, 2);
        end(b, from, 2);
    }
    for (const uint16_t *other = p->others; other && *other; other++)
        (void)extension(b, *other);
    if (p->padding) {
        from = extension(b, 21);
        for (size_t i = 0; i < p->padding; i++)
            add(b, 0, 1);
        end(b, from, 2);
    }
    end(b, all, 2);
}

struct hello_build hello_client(const struct hello_parts *p)
{
    struct hello_build b = {.len = 0};
    add(&b, 1, 1);
    size_t from = begin(&b, 3);
    add(&b, p->version, 2);
    for (unsigned i = 0; i < 32; i++)
        add(&b, i, 1);
    add(&b, 0, 1);
    add_list(&b, p->ciphers, 2);
    add(&b, 0x0100, 2); /* one compression: none */
    add_extensions(&b, p, 0);
    end(&b, from, 3);
    return b;
}

struct hello_build hello_server(const struct hello_parts *p, int retry)
{
    struct hello_build b = {.len = 0};
    add(&b, 2, 1);
    size_t from = begin(&b, 3);
    add(&b, p->version, 2);
    for (unsigned i = 0; i < 32; i++)
        add(&b, retry ? retry_random[i] : i, 1);
    add(&b, 0, 1);
    add(&b, p->ciphers[0], 2);
    add(&b, 0, 1);
    add_extensions(&b, p, 1);
    end(&b, from, 3);
    return b;
}

struct hello_build hello_records(uint8_t type, const void *data, size_t len, size_t size)
{
    struct hello_build b = {.len = 0};
    for (const uint8_t *p = data; len;) {
        size_t n = len < size ? len : size;
        add(&b, type, 1);
        add(&b, 0x0303, 2);
        add(&b, n, 2);
        hello_add(&b, p, n);
        p += n;
        len -= n;
    }
    return b;
}
