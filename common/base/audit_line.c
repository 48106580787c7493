#include "common/base/audit_impl.h"

#include "common/base/fs.h"
#include "common/base/units.h"
#include "common/base/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEQ_DIGITS 20

/* ------------------------------------------------------------------ hexadecimal digits */

static void put_hex(const uint8_t *bytes, char *to)
{
    for (size_t i = 0; i < HASH_SHA256_SIZE; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool get_hex(const char *from, uint8_t *bytes)
{
    for (size_t i = 0; i < HASH_SHA256_SIZE; i++) {
        int high = digit(from[2 * i]), low = high < 0 ? -1 : digit(from[2 * i + 1]);
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Decimal digits without leading zeros; the bytes read, or 0. */
static size_t get_number(const char *text, size_t len, uint64_t *value)
{
    size_t n = 0;
    *value = 0;
    while (n < len && n < SEQ_DIGITS && text[n] >= '0' && text[n] <= '9') {
        uint64_t one = (uint64_t)(text[n] - '0');
        if (*value > (UINT64_MAX - one) / 10)
            return 0;
        *value = *value * 10 + one;
        n++;
    }
    return n > 1 && text[0] == '0' ? 0 : n;
}

/* ------------------------------------------------------------------ fields */

static void put_escaped(struct buffer *out, const char *text, size_t len)
{
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = utf8_printable(text + i, len - i);
        if (n == 1 && (text[i] == '"' || text[i] == '\\'))
            buffer_u8(out, '\\');
        if (n)
            buffer_append(out, text + i, n);
        else if (text[i] == '\n' || text[i] == '\t')
            buffer_append(out, text[i] == '\n' ? "\\n" : "\\t", 2);
        else
            buffer_u8(out, '?');
    }
}

static void put_name(struct buffer *fields, const char *name)
{
    buffer_printf(fields, "%s\"%s\":", fields->len ? "," : "", name);
}

void audit_put_text(struct buffer *fields, const char *name, const char *text, size_t most)
{
    size_t len = text ? strnlen(text, most + 1) : 0;
    bool cut = len > most;
    if (cut)
        for (len = most; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80;)
            len--;
    put_name(fields, name);
    buffer_u8(fields, '"');
    if (text)
        put_escaped(fields, text, len);
    buffer_append(fields, cut ? "...\"" : "\"", cut ? 4 : 1);
}

void audit_put_number(struct buffer *fields, const char *name, uint64_t value)
{
    put_name(fields, name);
    buffer_printf(fields, "%" PRIu64, value);
}

/* ------------------------------------------------------------------ lines */

int audit_line_make(struct audit_head *head, uint64_t wall_ns, const struct buffer *fields, struct buffer *out,
                    struct error *e)
{
    char time[64], hex[2 * HASH_SHA256_SIZE + 1];
    struct audit_head next = {.seq = head->seq + 1};
    size_t begin = out->len;
    if (fields->failed || fields->len > AUDIT_FIELDS_MAX)
        return error_set(e, ERROR_LIMIT, "a line of the audit would be longer than the %u bytes allowed",
                         AUDIT_FIELDS_MAX);
    buffer_printf(out, "{\"seq\":%" PRIu64 ",\"time\":\"%s\"%s", next.seq, units_rfc3339(wall_ns, time, sizeof time),
                  fields->len ? "," : "");
    buffer_append(out, fields->data, fields->len);
    if (out->failed || !hash_sha256(head->hash, sizeof head->hash, out->data + begin, out->len - begin, next.hash))
        return error_set(e, ERROR_MEMORY, "no memory for a line of the audit");
    put_hex(next.hash, hex);
    buffer_printf(out, ",\"hash\":\"%s\"}\n", hex);
    if (out->failed)
        return error_set(e, ERROR_MEMORY, "no memory for a line of the audit");
    *head = next;
    return 0;
}

bool audit_line_seq(const char *line, size_t len, uint64_t *seq)
{
    static const char begin[] = "{\"seq\":";
    size_t at = sizeof begin - 1;
    return len > at && memcmp(line, begin, at) == 0 && get_number(line + at, len - at, seq) > 0;
}

void audit_line_time(const char *line, size_t len, char time[AUDIT_TIME_MAX])
{
    static const char begin[] = ",\"time\":\"";
    const char *comma = memchr(line, ',', len), *end = line + len;
    time[0] = 0;
    if (!comma || (size_t)(end - comma) < sizeof begin || memcmp(comma, begin, sizeof begin - 1) != 0)
        return;
    const char *from = comma + sizeof begin - 1, *quote = memchr(from, '"', (size_t)(end - from));
    if (quote && (size_t)(quote - from) < AUDIT_TIME_MAX)
        snprintf(time, AUDIT_TIME_MAX, "%.*s", (int)(quote - from), from);
}

const char *audit_line_check(struct audit_head *head, bool head_unknown, const char *line, size_t len)
{
    struct audit_head next;
    uint8_t hash[HASH_SHA256_SIZE];
    const char *tail = line + len - AUDIT_TAIL_SIZE;
    if (len >= AUDIT_LINE_MAX || len <= AUDIT_TAIL_SIZE || memcmp(tail, ",\"hash\":\"", 9) != 0 ||
        memcmp(line + len - 2, "\"}", 2) != 0 || !get_hex(tail + 9, next.hash) || memchr(line, 0, len))
        return "it is no line of an audit";
    if (!audit_line_seq(line, len, &next.seq) || (!head_unknown && next.seq != head->seq + 1))
        return "it does not have the next number: lines were taken out, put in or moved";
    if (!head_unknown && (!hash_sha256(head->hash, sizeof head->hash, line, len - AUDIT_TAIL_SIZE, hash) ||
                          memcmp(hash, next.hash, sizeof hash) != 0))
        return "its hash does not fit: it, or the line before it, was changed";
    *head = next;
    return NULL;
}

/* ------------------------------------------------------------------ files */

void audit_file_name(uint64_t seq, char name[AUDIT_NAME_MAX])
{
    snprintf(name, AUDIT_NAME_MAX, "audit.%020" PRIu64 ".jsonl", seq);
}

static bool parse_name(const char *name, uint64_t *seq)
{
    char again[AUDIT_NAME_MAX];
    if (strlen(name) != strlen("audit..jsonl") + SEQ_DIGITS || strncmp(name, "audit.", 6) != 0)
        return false;
    *seq = strtoull(name + 6, NULL, 10);
    audit_file_name(*seq, again);
    return strcmp(name, again) == 0;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

int audit_files(int dirfd, uint64_t **out, size_t *count, struct error *e)
{
    size_t size = 0;
    uint64_t seq;
    int r = 0;
    DIR *dir = fs_list(dirfd);
    *out = NULL;
    *count = 0;
    if (!dir)
        return error_sys(e, errno, "cannot list the folder of the audit");
    for (struct dirent *d; r == 0 && (d = readdir(dir));) {
        if (!parse_name(d->d_name, &seq))
            continue;
        if (*count == size) {
            size = size ? 2 * size : 16;
            uint64_t *more = size <= AUDIT_FILES_MAX * 2 ? realloc(*out, size * sizeof *more) : NULL;
            if (!more)
                r = error_set(e, ERROR_LIMIT, "the audit has more than %u files: move the oldest elsewhere",
                              AUDIT_FILES_MAX);
            else
                *out = more;
        }
        if (r == 0)
            (*out)[(*count)++] = seq;
    }
    closedir(dir);
    if (r == 0 && *count)
        qsort(*out, *count, sizeof **out, by_number);
    return r;
}

/* ------------------------------------------------------------------ the head */

char *audit_head_text(const struct audit_head *head, char text[AUDIT_HEAD_TEXT_MAX])
{
    char hex[2 * HASH_SHA256_SIZE + 1];
    put_hex(head->hash, hex);
    snprintf(text, AUDIT_HEAD_TEXT_MAX, "%" PRIu64 ":%s", head->seq, hex);
    return text;
}

int audit_head_parse(const char *text, struct audit_head *head, struct error *e)
{
    size_t n = get_number(text, strlen(text), &head->seq);
    if (n && text[n] == ':' && strlen(text + n + 1) == 2 * (size_t)HASH_SHA256_SIZE &&
        get_hex(text + n + 1, head->hash))
        return 0;
    return error_set(e, ERROR_USAGE, "'%.100s' is no head of an audit: NUMBER:HASH, as `audit verify` says it", text);
}

int audit_head_write(int dirfd, const struct audit_head *head, struct error *e)
{
    char text[AUDIT_HEAD_TEXT_MAX];
    audit_head_text(head, text);
    strcat(text, "\n");
    return fs_replace(dirfd, AUDIT_HEAD_FILE, text, strlen(text), 0600, "audit.head", e);
}

int audit_head_read(int dirfd, struct audit_head *head, bool *there, struct error *e)
{
    char *text = NULL;
    size_t len;
    struct error why = ERROR_INIT;
    int r = fs_read_file(dirfd, AUDIT_HEAD_FILE, AUDIT_HEAD_TEXT_MAX, &text, &len, &why);
    *head = (struct audit_head){0};
    *there = r == 0;
    if (r == ERROR_NOT_FOUND)
        return 0;
    if (r == 0) {
        text[strcspn(text, "\n")] = 0;
        r = audit_head_parse(text, head, &why) ? error_set(&why, ERROR_CORRUPT, "%s: it is damaged", AUDIT_HEAD_FILE)
                                               : 0;
    }
    free(text);
    if (r && e)
        *e = why;
    return r;
}
