#include "common/base/config.h"

#include "common/base/buffer.h"
#include "common/base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX  128
#define ITEMS_MAX 4096

/* One reading of one text. */
struct reading {
    const struct config_key *keys;
    const char *name;
    char *target;
    size_t line; /* 0 while fallbacks are applied */
    bool seen[KEYS_MAX];
    struct error *e;
};

static const struct {
    const char *word;
    bool value;
} bools[] = {{"yes", true}, {"no", false}, {"true", true}, {"false", false}, {"on", true}, {"off", false}};

static void *field(const struct reading *r, const struct config_key *key)
{
    return r->target + key->offset;
}

/* Puts the place in front of what r->e says. */
static int at_line(const struct reading *r, int code)
{
    if (r->line)
        error_prefix(r->e, "%s:%zu", r->name, r->line);
    else
        error_prefix(r->e, "%s: default", r->name);
    return code;
}

static int set_string(const struct reading *r, const struct config_key *key, const char *value)
{
    char **s = field(r, key);
    free(*s);
    *s = strdup(value);
    return *s ? 0 : at_line(r, error_set(r->e, ERROR_MEMORY, "no memory for %s", key->name));
}

static int add_string(const struct reading *r, const struct config_key *key, const char *value)
{
    struct config_strings *list = field(r, key);
    if (list->count >= ITEMS_MAX)
        return at_line(r, error_set(r->e, ERROR_LIMIT, "%s is given more than %d times", key->name, ITEMS_MAX));
    char **items = realloc(list->items, (list->count + 1) * sizeof(*items));
    char *copy = strdup(value);
    if (items)
        list->items = items;
    if (!items || !copy) {
        free(copy);
        return at_line(r, error_set(r->e, ERROR_MEMORY, "no memory for %s", key->name));
    }
    items[list->count++] = copy;
    return 0;
}

static int set_number(const struct reading *r, const struct config_key *key, const char *value)
{
    uint64_t *number = field(r, key);
    int code = units_parse(key->unit, value, number, r->e);
    if (code) {
        error_prefix(r->e, "%s", key->name);
        return at_line(r, code);
    }
    if ((key->least || key->most) && (*number < key->least || *number > key->most)) {
        char least[48], most[48];
        return at_line(r, error_set(r->e, ERROR_USAGE, "%s = %.64s is out of range: from %s to %s is allowed",
                                    key->name, value, units_format(key->unit, key->least, least, sizeof(least)),
                                    units_format(key->unit, key->most, most, sizeof(most))));
    }
    return 0;
}

static int set_bool(const struct reading *r, const struct config_key *key, const char *value)
{
    for (size_t i = 0; i < sizeof(bools) / sizeof(bools[0]); i++) {
        if (strcmp(bools[i].word, value) == 0) {
            *(bool *)field(r, key) = bools[i].value;
            return 0;
        }
    }
    return at_line(r, error_set(r->e, ERROR_USAGE, "%s = %.64s: expected yes or no", key->name, value));
}

static int set_value(const struct reading *r, const struct config_key *key, const char *value)
{
    switch (key->type) {
    case CONFIG_STRING:
        return set_string(r, key, value);
    case CONFIG_STRINGS:
        return add_string(r, key, value);
    case CONFIG_NUMBER:
        return set_number(r, key, value);
    default:
        return set_bool(r, key, value);
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

/* The value at p, without quotes and comment. Returns NULL and sets *wrong if it breaks the rules. */
static const char *read_quoted(const char *p, const char *end, struct buffer *value, const char **wrong)
{
    for (; p < end && *p != '"'; p++) {
        if (*p == '\\' && ++p == end)
            break;
        buffer_u8(value, (uint8_t)*p);
    }
    if (p >= end) {
        *wrong = "the closing \" is missing";
        return NULL;
    }
    p = skip_space(p + 1, end);
    if (p < end && *p != '#') {
        *wrong = "something follows the closing \"";
        return NULL;
    }
    return p;
}

static void read_plain(const char *p, const char *end, struct buffer *value)
{
    const char *stop = p;
    while (stop < end && !(*stop == '#' && is_space(stop[-1])))
        stop++;
    while (stop > p && is_space(stop[-1]))
        stop--;
    buffer_append(value, p, (size_t)(stop - p));
}

static int read_value(const struct reading *r, const struct config_key *key, const char *p, const char *end)
{
    struct buffer value = {.limit = CONFIG_FILE_MAX + 1};
    const char *wrong = NULL;
    p = skip_space(p, end);
    if (p == end || *p == '#')
        wrong = "a value is missing (\"\" is an empty one)";
    else if (*p == '"')
        read_quoted(p + 1, end, &value, &wrong);
    else
        read_plain(p, end, &value);
    buffer_u8(&value, 0);
    int code = 0;
    if (wrong)
        code = at_line(r, error_set(r->e, ERROR_USAGE, "%s: %s", key->name, wrong));
    else if (value.failed)
        code = at_line(r, error_set(r->e, ERROR_MEMORY, "no memory for %s", key->name));
    else
        code = set_value(r, key, (const char *)value.data);
    buffer_free(&value);
    return code;
}

static int unknown_key(const struct reading *r, const char *name, size_t len)
{
    struct buffer known = {.limit = ERROR_TEXT_MAX};
    for (const struct config_key *k = r->keys; k->name; k++)
        buffer_printf(&known, "%s%s", k == r->keys ? "" : ", ", k->name);
    int code = error_set(r->e, ERROR_USAGE, "'%.*s' is no key here; there are: %.*s", (int)(len < 64 ? len : 64), name,
                         (int)known.len, known.data ? (const char *)known.data : "none");
    buffer_free(&known);
    return at_line(r, code);
}

static int read_line(struct reading *r, const char *p, const char *end)
{
    p = skip_space(p, end);
    if (p == end || *p == '#')
        return 0;
    const char *equals = memchr(p, '=', (size_t)(end - p));
    if (!equals)
        return at_line(r, error_set(r->e, ERROR_USAGE, "expected 'key = value'"));
    size_t len = (size_t)(equals - p);
    while (len && is_space(p[len - 1]))
        len--;
    const struct config_key *key = r->keys;
    while (key->name && (strlen(key->name) != len || memcmp(key->name, p, len) != 0))
        key++;
    if (!key->name)
        return unknown_key(r, p, len);
    bool *seen = &r->seen[key - r->keys];
    if (*seen && key->type != CONFIG_STRINGS)
        return at_line(r, error_set(r->e, ERROR_USAGE, "%s is given twice", key->name));
    *seen = true;
    return read_value(r, key, equals + 1, end);
}

static int read_lines(struct reading *r, const char *text, size_t len)
{
    const char *end = text + len;
    int code = 0;
    for (const char *p = text; !code && p < end; r->line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop)
            stop = end;
        code = memchr(p, 0, (size_t)(stop - p))
                   ? at_line(r, error_set(r->e, ERROR_USAGE, "a 0 byte: this is no text file"))
                   : read_line(r, p, stop);
        p = stop + 1;
    }
    return code;
}

static void clear(const struct config_key *keys, char *target)
{
    for (const struct config_key *k = keys; k->name; k++) {
        void *p = target + k->offset;
        switch (k->type) {
        case CONFIG_STRING:
            *(char **)p = NULL;
            break;
        case CONFIG_STRINGS:
            *(struct config_strings *)p = (struct config_strings){0};
            break;
        case CONFIG_NUMBER:
            *(uint64_t *)p = 0;
            break;
        default:
            *(bool *)p = false;
        }
    }
}

int config_parse(const struct config_key *keys, const char *name, const char *text, size_t len, void *target,
                 struct error *e)
{
    struct reading r = {.keys = keys, .name = name, .target = target, .line = 1, .e = e};
    size_t count = 0;
    while (keys[count].name)
        if (++count > KEYS_MAX)
            return error_set(e, ERROR_LIMIT, "%s: a table of more than %d keys", name, KEYS_MAX);
    clear(keys, target);
    int code = 0;
    if (text && len > CONFIG_FILE_MAX)
        code = error_set(e, ERROR_LIMIT, "%s: more than %u bytes", name, CONFIG_FILE_MAX);
    else if (text)
        code = read_lines(&r, text, len);
    r.line = 0;
    for (const struct config_key *k = keys; !code && k->name; k++)
        if (k->fallback && !r.seen[k - keys])
            code = set_value(&r, k, k->fallback);
    if (code)
        config_free(keys, target);
    return code;
}

int config_load(const struct config_key *keys, const char *path, void *target, struct error *e)
{
    char *text;
    size_t len;
    clear(keys, target);
    int code = fs_read_file(AT_FDCWD, path, CONFIG_FILE_MAX, &text, &len, e);
    if (code)
        return code;
    code = config_parse(keys, path, text, len, target, e);
    free(text);
    return code;
}

void config_free(const struct config_key *keys, void *target)
{
    for (const struct config_key *k = keys; k->name; k++) {
        void *p = (char *)target + k->offset;
        if (k->type == CONFIG_STRING)
            free(*(char **)p);
        struct config_strings *list = p;
        for (size_t i = 0; k->type == CONFIG_STRINGS && i < list->count; i++)
            free(list->items[i]);
        if (k->type == CONFIG_STRINGS)
            free(list->items);
    }
    clear(keys, target);
}
