#include "common/net/selector.h"

#include "common/base/glob.h"
#include <string.h>

/* One KEY=GLOB of length len. */
static bool has_label(const char *want, size_t len, const char *const *labels, uint32_t count)
{
    char glob[HEAD_NAME_MAX + 1];
    if (len > HEAD_NAME_MAX)
        return false;
    memcpy(glob, want, len);
    glob[len] = 0;
    size_t key = strcspn(glob, "=");
    if (!glob[key]) /* no expression; what lies behind it is nobody's */
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (strncmp(labels[i], glob, key + 1) == 0 &&
            glob_match(glob + key + 1, labels[i] + key + 1, strlen(labels[i] + key + 1)))
            return true;
    return false;
}

static bool all_labels(const char *expression, const char *const *labels, uint32_t count)
{
    for (const char *p = expression;; p++) {
        size_t len = strcspn(p, ",");
        if (!has_label(p, len, labels, count))
            return false;
        p += len;
        if (!*p)
            return true;
    }
}

bool selector_means(const struct capture_request *r, const char *agent, const char *const *labels, uint32_t count)
{
    bool named = r->on_count == 0, labelled = r->label_count == 0;
    for (uint32_t i = 0; i < r->on_count && !named; i++)
        named = glob_match(r->on[i], agent, strlen(agent));
    for (uint32_t i = 0; i < r->label_count && !labelled; i++)
        labelled = all_labels(r->labels[i], labels, count);
    return named && labelled;
}

int selector_check_labels(const char *expression, struct error *e)
{
    for (const char *p = expression;; p++) {
        size_t len = strcspn(p, ","), key = strcspn(p, "=");
        if (key == 0 || key >= len || len > HEAD_NAME_MAX)
            return error_set(e, ERROR_USAGE, "label '%.*s': not of the form KEY=VALUE", (int)len, p);
        p += len;
        if (!*p)
            return 0;
    }
}
