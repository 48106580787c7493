/*
 * Whether a name was ever heard of, before something is done to it for good.
 */
#include "collector/server/enroll_impl.h"

#include "common/base/suggest.h"
#include <stdlib.h>
#include <string.h>

struct search {
    uint8_t kind;
    const char *name;
    bool found;
    struct suggest meant;
    char *near; /* meant.word, owned */
};

static int consider(struct search *s, uint8_t kind, const char *name)
{
    if (kind != s->kind)
        return 0;
    s->found = strcmp(name, s->name) == 0;
    suggest_consider(&s->meant, name);
    if (s->meant.word == name) { /* which does not stay */
        free(s->near);
        s->meant.word = s->near = strdup(name);
    }
    return s->found;
}

static int on_credential(void *context, const struct store_credential *c)
{
    return consider(context, c->kind, c->name);
}

static int on_token(void *context, const struct store_token *t)
{
    return consider(context, t->kind, t->name);
}

static int on_agent(void *context, const struct store_agent_info *a)
{
    return consider(context, IDENTITY_AGENT, a->name);
}

static int on_user(void *context, const struct store_user *u)
{
    return consider(context, IDENTITY_USER, u->name);
}

/* Certificates of an organisation's own authority are not in the catalog, but agents that said hello and users are. */
static int search(struct search *s, struct store_reader *reader, struct error *e)
{
    int r = store_each_credential(reader, on_credential, s, e);
    if (r == 0)
        r = store_each_token(reader, on_token, s, e);
    if (r == 0)
        r = s->kind == IDENTITY_AGENT ? store_each_known(reader, on_agent, s, e)
                                      : store_each_user(reader, on_user, s, e);
    return r;
}

int enroll_check_known(struct store *store, uint8_t kind, const char *name, struct error *e)
{
    struct search s = {.kind = kind, .name = name};
    struct store_reader *reader = NULL;
    suggest_begin(&s.meant, name, strlen(name));
    int r = store_reader_open(store, &reader, e);
    if (r == 0)
        r = search(&s, reader, e);
    if (r == 0)
        r = error_set(
            e, ERROR_NOT_FOUND,
            "no %s %s was ever heard of%s%s%s (`fleetdump admin list` lists them; --force revokes a name all the "
            "same)",
            identity_kind_name(kind), name, s.near ? ": did you mean '" : "", s.near ? s.near : "", s.near ? "'?" : "");
    store_reader_close(reader);
    free(s.near);
    return r > 0 ? 0 : r;
}
