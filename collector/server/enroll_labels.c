/*
 * Labels that an administrator gives an agent.
 */
#include "collector/server/enroll_impl.h"

#include <string.h>

static int check(const char *label, struct error *e)
{
    const char *equals = strchr(label, '=');
    bool good = equals && equals != label && !strchr(label, ',');
    for (const char *p = label; good && *p; p++)
        good = *p > ' ' && *p != '"' && *p != '\\' && *p != 0x7f;
    if (good)
        return 0;
    return error_set(e, ERROR_USAGE, "label '%.80s': it is KEY=VALUE, without spaces, commas, quotes", label);
}

int enroll_join_labels(const char *const *labels, size_t count, char out[STORE_LABELS_MAX + 1], struct error *e)
{
    size_t at = 0;
    out[0] = 0;
    if (count > ENROLL_LABELS_MAX)
        return error_set(e, ERROR_LIMIT, "%zu labels: an agent has %u at most", count, ENROLL_LABELS_MAX);
    for (size_t i = 0; i < count; i++) {
        int r = check(labels[i], e);
        size_t length = strlen(labels[i]);
        if (r)
            return r;
        if (at + 1 + length > STORE_LABELS_MAX)
            return error_set(e, ERROR_LIMIT, "labels of more than %u characters", STORE_LABELS_MAX);
        if (at)
            out[at++] = ',';
        memcpy(out + at, labels[i], length + 1);
        at += length;
    }
    return 0;
}

int enroll_wanted_labels(const struct admin_call *c, char out[STORE_LABELS_MAX + 1], struct error *e)
{
    const char *labels[ENROLL_LABELS_MAX];
    size_t i, count = 0;
    const json_t *list = json_object_get(c->wants, "labels"), *one;
    if (list && !json_is_array(list))
        return error_set(e, ERROR_USAGE, "labels is to be a list of texts");
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(one) || count == ENROLL_LABELS_MAX)
            return error_set(e, ERROR_USAGE, "labels is to be a list of %u texts at most", ENROLL_LABELS_MAX);
        labels[count++] = json_string_value(one);
    }
    return enroll_join_labels(labels, count, out, e);
}
