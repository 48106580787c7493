/*
 * One user: role and bounds, as they are checked, kept and shown.
 */
#include "collector/server/rights_impl.h"

#include "common/base/units.h"
#include "common/net/selector.h"
#include <stdlib.h>
#include <string.h>

static const char *const role_names[] = {
    [RIGHTS_VIEWER] = "viewer", [RIGHTS_ANALYST] = "analyst", [RIGHTS_OPERATOR] = "operator", [RIGHTS_ADMIN] = "admin"};

const char *rights_role_name(int role)
{
    return role >= RIGHTS_VIEWER && role <= RIGHTS_ADMIN ? role_names[role] : "none";
}

enum rights_role rights_role_named(const char *name)
{
    for (int i = RIGHTS_VIEWER; i <= RIGHTS_ADMIN; i++)
        if (strcmp(name, role_names[i]) == 0)
            return (enum rights_role)i;
    return RIGHTS_NONE;
}

/* ------------------------------------------------------------------ one user */

static void bounds_free(struct rights_bounds *b)
{
    for (uint32_t i = 0; i < b->label_count; i++)
        free(b->labels[i]);
    free(b->labels);
    free(b->filter);
}

void rights_user_free(struct rights_user *u)
{
    if (!u)
        return;
    bounds_free(&u->bounds);
    free(u->name);
    free(u->created_by);
    free(u);
}

static void note_name(void *context, const char *name)
{
    (void)name;
    *(bool *)context = true;
}

static int check_filter(const char *text, struct error *e)
{
    struct filter *f = NULL;
    const char *what = NULL;
    bool named = false;
    int r = filter_each_name(text, note_name, &named, e);
    if (r == 0 && named)
        return error_set(e, ERROR_USAGE,
                         "the filter that a user is bound to has a name, which would mean another host tomorrow: give "
                         "addresses, `agent NAME`, or bind the user to labels");
    if (r == 0)
        r = filter_compile(text, NULL, &f, e);
    if (r == 0 && (filter_has_measures(f, &what) || filter_has_said_words(f, &what)))
        r = error_set(e, ERROR_USAGE,
                      "'%.80s' depends on the time that is asked for, so no user can be bound to it: use addresses, "
                      "ports, protocols, from, to, vlan, agent, capture",
                      what ? what : "a word of the filter");
    filter_free(f);
    return r;
}

static int check_bounds(const struct rights_bounds *b, struct error *e)
{
    int r = b->label_count > RIGHTS_LABELS_MAX
                ? error_set(e, ERROR_LIMIT, "a user is bound to at most %u labels", RIGHTS_LABELS_MAX)
                : 0;
    for (uint32_t i = 0; r == 0 && i < b->label_count; i++)
        r = selector_check_labels(b->labels[i], e);
    if (r == 0 && b->filter && strlen(b->filter) > RIGHTS_FILTER_MAX)
        r = error_set(e, ERROR_LIMIT, "the filter that a user is bound to has at most %u bytes", RIGHTS_FILTER_MAX);
    if (r == 0 && b->filter && b->filter[0])
        r = check_filter(b->filter, e);
    return r;
}

/* ------------------------------------------------------------------ as JSON */

json_t *rights_bounds_json(const struct rights_bounds *b)
{
    json_t *o = json_object();
    if (b->label_count) {
        json_t *labels = json_array();
        for (uint32_t i = 0; i < b->label_count; i++)
            json_array_append_new(labels, json_string(b->labels[i]));
        json_object_set_new(o, "labels", labels);
    }
    if (b->filter && b->filter[0])
        json_object_set_new(o, "filter", json_string(b->filter));
    if (b->snaplen)
        json_object_set_new(o, "snaplen", json_integer(b->snaplen));
    if (b->range_ns)
        json_object_set_new(o, "range_ns", json_integer((json_int_t)b->range_ns));
    return o;
}

static int invalid(const char *what, struct error *e)
{
    return error_set(e, ERROR_USAGE, "a user's bounds: %s", what);
}

static int read_labels(const json_t *list, struct rights_bounds *b, struct error *e)
{
    size_t i;
    json_t *one;
    if (list && !json_is_array(list))
        return invalid("labels are a list of texts", e);
    b->labels = calloc(json_array_size(list) + 1, sizeof *b->labels);
    if (!b->labels)
        return error_set(e, ERROR_MEMORY, "no memory for a user");
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(one) || !(b->labels[b->label_count] = strdup(json_string_value(one))))
            return invalid("labels are a list of texts", e);
        b->label_count++;
    }
    return 0;
}

static int read_number(const json_t *o, const char *name, uint64_t most, uint64_t *out, struct error *e)
{
    const json_t *j = json_object_get(o, name);
    json_int_t v = json_integer_value(j);
    *out = 0;
    if (j && (!json_is_integer(j) || v < 0 || (uint64_t)v > most))
        return invalid("snaplen and range are whole numbers, and not that great", e);
    *out = (uint64_t)v;
    return 0;
}

/* What is in *b is to be freed in any case. */
static int read_bounds(const json_t *o, struct rights_bounds *b, struct error *e)
{
    uint64_t snaplen = 0;
    const json_t *filter = json_object_get(o, "filter");
    *b = (struct rights_bounds){0};
    int r = read_labels(json_object_get(o, "labels"), b, e);
    if (r == 0 && filter && !json_is_string(filter))
        r = invalid("the filter is a text", e);
    if (r == 0 && !(b->filter = strdup(filter ? json_string_value(filter) : "")))
        r = error_set(e, ERROR_MEMORY, "no memory for a user");
    if (r == 0)
        r = read_number(o, "snaplen", PACKET_SNAPLEN_MAX, &snaplen, e);
    if (r == 0)
        r = read_number(o, "range_ns", INT64_MAX, &b->range_ns, e);
    b->snaplen = (uint32_t)snaplen;
    return r ? r : check_bounds(b, e);
}

int rights_row_of(const char *name, enum rights_role role, const struct rights_bounds *bounds, struct rights_row *row,
                  struct error *e)
{
    *row = (struct rights_row){0};
    int r = identity_check_name(name, e);
    if (r == 0)
        r = check_bounds(bounds, e);
    if (r)
        return r;
    json_t *o = rights_bounds_json(bounds);
    row->role = strdup(rights_role_name((int)role));
    row->bounds = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (row->role && row->bounds)
        return 0;
    rights_row_free(row);
    return error_set(e, ERROR_MEMORY, "no memory for a user");
}

void rights_row_free(struct rights_row *row)
{
    free(row->role);
    free(row->bounds);
    *row = (struct rights_row){0};
}

json_t *rights_user_json(const struct rights_user *u)
{
    char text[64];
    json_t *o = rights_bounds_json(&u->bounds);
    json_object_set_new(o, "user", json_string(u->name));
    json_object_set_new(o, "role", json_string(rights_role_name((int)u->role)));
    json_object_set_new(o, "created", json_string(units_rfc3339(u->created_ns, text, sizeof text)));
    json_object_set_new(o, "created_by", json_string(u->created_by));
    return o;
}

int rights_user_new(const char *name, const char *role, const json_t *bounds, const char *by, uint64_t created_ns,
                    struct rights_user **out, struct error *e)
{
    struct rights_user *u = calloc(1, sizeof *u);
    int r = u ? identity_check_name(name, e) : error_set(e, ERROR_MEMORY, "no memory for a user");
    if (r == 0 && !(u->role = rights_role_named(role)))
        r = error_set(e, ERROR_USAGE, "'%.40s' is no role: viewer, analyst, operator or admin", role);
    if (r == 0)
        r = read_bounds(bounds, &u->bounds, e);
    if (r == 0 && u->role == RIGHTS_ADMIN &&
        (u->bounds.label_count || u->bounds.filter[0] || u->bounds.snaplen || u->bounds.range_ns))
        r = error_set(e, ERROR_USAGE,
                      "an administrator has no bounds: he could give himself any right by another user");
    if (r == 0 && (!(u->name = strdup(name)) || !(u->created_by = strdup(by))))
        r = error_set(e, ERROR_MEMORY, "no memory for a user");
    if (r) {
        rights_user_free(u);
        return r;
    }
    u->created_ns = created_ns;
    *out = u;
    return 0;
}
