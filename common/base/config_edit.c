#include "common/base/config_edit.h"

#include "common/base/config.h"
#include "common/base/fs.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0644

/* Whether the line is one of this key; `commented`: one that shows its default. */
static bool is_of(const char *line, size_t length, const char *key, bool commented)
{
    const char *p = line, *end = line + length;
    if (commented && (p == end || *p++ != '#'))
        return false;
    while (!commented && p < end && (*p == ' ' || *p == '\t'))
        p++;
    size_t n = strlen(key);
    if ((size_t)(end - p) < n || memcmp(p, key, n) != 0)
        return false;
    for (p += n; p < end && (*p == ' ' || *p == '\t');)
        p++;
    return p < end && *p == '=';
}

static void put_value(struct buffer *out, const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:=,@+[]";
    bool quoted = !value[0] || strspn(value, plain) != strlen(value);
    if (quoted)
        buffer_u8(out, '"');
    for (const char *p = value; *p; p++) {
        if (*p == '"' || *p == '\\')
            buffer_u8(out, '\\');
        buffer_u8(out, (uint8_t)*p);
    }
    if (quoted)
        buffer_u8(out, '"');
}

static void put_key(struct buffer *out, const struct config_setting *settings, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(settings[i].key, key) != 0 || !settings[i].value)
            continue;
        buffer_printf(out, "%s = ", key);
        put_value(out, settings[i].value);
        buffer_u8(out, '\n');
    }
}

static size_t line_length(const char *text, size_t left)
{
    const char *end = memchr(text, '\n', left);
    return end ? (size_t)(end - text) + 1 : left;
}

#define NOWHERE SIZE_MAX

/* Where the first line of the key begins. */
static size_t find(const char *text, size_t length, const char *key, bool commented)
{
    for (size_t at = 0, n; at < length; at += n) {
        n = line_length(text + at, length - at);
        if (is_of(text + at, n, key, commented))
            return at;
    }
    return NOWHERE;
}

static bool is_first(const struct config_setting *settings, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(settings[k].key, settings[i].key) == 0)
            return false;
    return true;
}

/* One line of the old text, and what belongs in its place or behind it. */
static void put_line(const char *text, size_t length, size_t at, size_t n, const struct config_setting *settings,
                     size_t count, struct buffer *out)
{
    bool gone = false;
    for (size_t i = 0; i < count; i++)
        gone = gone || is_of(text + at, n, settings[i].key, false);
    if (!gone) {
        buffer_append(out, text + at, n);
        if (n && text[at + n - 1] != '\n')
            buffer_u8(out, '\n');
    }
    for (size_t i = 0; i < count; i++) {
        const char *key = settings[i].key;
        size_t active = find(text, length, key, false);
        size_t place = active != NOWHERE ? active : find(text, length, key, true);
        if (place == at && is_first(settings, i))
            put_key(out, settings, count, key);
    }
}

int config_edit(const char *text, size_t length, const struct config_setting *settings, size_t count,
                struct buffer *out, struct error *e)
{
    for (size_t at = 0, n; at < length; at += n) {
        n = line_length(text + at, length - at);
        put_line(text, length, at, n, settings, count, out);
    }
    for (size_t i = 0; i < count; i++)
        if (is_first(settings, i) && find(text, length, settings[i].key, false) == NOWHERE &&
            find(text, length, settings[i].key, true) == NOWHERE)
            put_key(out, settings, count, settings[i].key);
    return out->failed ? error_set(e, ERROR_MEMORY, "no memory to change a configuration") : 0;
}

static int write_file(const char *path, const struct buffer *text, struct error *e)
{
    struct stat st = {.st_mode = FILE_MODE};
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder)
        return error_set(e, ERROR_MEMORY, "no memory for a name");
    (void)stat(path, &st); /* what it had it keeps */
    int fd = fs_open_dir(folder, 0755, e);
    int r = fd < 0
                ? fd
                : fs_replace(fd, slash ? slash + 1 : path, text->data, text->len, st.st_mode & 0777, "config.edit", e);
    if (fd >= 0)
        close(fd);
    free(folder);
    return r;
}

int config_edit_file(const char *path, const char *head, const struct config_setting *settings, size_t count,
                     struct error *e)
{
    char *text = NULL;
    size_t length = 0;
    struct buffer out = {.limit = 2 * CONFIG_FILE_MAX};
    struct error why = ERROR_INIT;
    int r = fs_read_file(AT_FDCWD, path, CONFIG_FILE_MAX, &text, &length, &why);
    if (r && r != ERROR_NOT_FOUND)
        return error_set(e, r, "%s", why.text);
    if (r)
        buffer_append(&out, head, strlen(head));
    r = config_edit(text, length, settings, count, &out, e);
    if (r == 0)
        r = write_file(path, &out, e);
    free(text);
    buffer_free(&out);
    return r;
}
