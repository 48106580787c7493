#include "collector/server/given_labels.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEM_MAX 1024u

static bool has(const char *list, const char *label, size_t length)
{
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == length && memcmp(p, label, length) == 0)
            return true;
    return false;
}

/* The first label that is said and was not given; its length, 0: there is none. */
static size_t find_false(const char *said, const char *given, const char **label)
{
    for (const char *p = said; *p; p += strcspn(p, ","), p += *p == ',') {
        size_t length = strcspn(p, ",");
        *label = p;
        if (length && !has(given, p, length))
            return length;
    }
    return 0;
}

static void add_problem(char **status_json, const char *label, size_t length, const char *given)
{
    char text[PROBLEM_MAX];
    json_t *status = json_loads(*status_json, JSON_REJECT_DUPLICATES, NULL);
    const char *other = json_string_value(json_object_get(status, "problem"));
    snprintf(text, sizeof text, "%.500s%slabel %.*s in its agent.conf does not count: it was enrolled with %.200s",
             other ? other : "", other && other[0] ? "; " : "", (int)(length < 100 ? length : 100), label, given);
    if (json_is_object(status) && json_object_set_new(status, "problem", json_string(text)) == 0) {
        char *changed = json_dumps(status, JSON_COMPACT);
        if (changed) {
            free(*status_json);
            *status_json = changed;
        }
    }
    json_decref(status);
}

int given_labels_find(struct store *s, const char *serial, char out[STORE_LABELS_MAX + 1], struct error *e)
{
    struct store_credential own, newest;
    out[0] = 0;
    int r = store_credential_find(s, serial, &own, e);
    if (r)
        return r == ERROR_NOT_FOUND ? 0 : r;
    r = store_credential_named(s, own.kind, own.name, &newest, e);
    if (r == 0 || r == ERROR_NOT_FOUND)
        memcpy(out, r ? own.labels : newest.labels, sizeof own.labels);
    return r == ERROR_NOT_FOUND ? 0 : r;
}

int given_labels_apply(struct store *s, const char *serial, char **labels, char **status_json, struct error *e)
{
    char found[STORE_LABELS_MAX + 1];
    const char *label;
    if (!serial[0])
        return 0;
    int r = given_labels_find(s, serial, found, e);
    if (r == 0 && !found[0])
        return 0;
    char *given = r ? NULL : strdup(found);
    if (!given) {
        (*labels)[0] = 0;
        return r ? r : error_set(e, ERROR_MEMORY, "no memory for an agent's labels");
    }
    size_t length = find_false(*labels, given, &label);
    if (length && *status_json)
        add_problem(status_json, label, length, given);
    free(*labels);
    *labels = given;
    return 0;
}
