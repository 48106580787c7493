/*
 * Certificates of one key: a renewal is for the same key, so whoever has it has all of them.
 */
#include "collector/server/enroll_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct enroll_key *k, const char *serial, struct error *e)
{
    void *more = realloc(k->serials, (k->count + 1) * sizeof *k->serials);
    if (!more)
        return error_set(e, ERROR_MEMORY, "no memory for the certificates of a key");
    k->serials = more;
    snprintf(k->serials[k->count++], sizeof *k->serials, "%s", serial);
    return 0;
}

struct search {
    struct enroll_key *key;
    struct error *e;
};

static int consider(void *context, const struct store_credential *c)
{
    const struct search *s = context;
    struct enroll_key *k = s->key;
    bool is_other = strcmp(c->serial, k->serials[0]) != 0;
    return is_other && enroll_key_is(k, c->kind, c->name, c->key_sha256) ? add(k, c->serial, s->e) : 0;
}

static int find_others(struct enroll_key *k, struct store *store, struct error *e)
{
    struct search s = {k, e};
    struct store_reader *reader = NULL;
    int r = store_reader_open(store, &reader, e);
    if (r == 0)
        r = store_each_credential(reader, consider, &s, e);
    store_reader_close(reader);
    return r;
}

int enroll_key_find(struct enroll_key *k, struct store *store, const char *serial, struct error *e)
{
    struct error why = ERROR_INIT;
    int r = add(k, serial, e);
    if (r)
        return r;
    r = store_credential_find(store, serial, &k->of, &why);
    if (r == ERROR_NOT_FOUND) /* made elsewhere */
        return 0;
    return r ? error_set(e, r, "%s", why.text) : find_others(k, store, e);
}

bool enroll_key_is(const struct enroll_key *k, uint8_t kind, const char *name, const uint8_t key_sha256[32])
{
    return k->of.serial[0] && k->of.kind == kind && strcmp(k->of.name, name) == 0 &&
           memcmp(k->of.key_sha256, key_sha256, sizeof k->of.key_sha256) == 0;
}

void enroll_key_free(struct enroll_key *k)
{
    free(k->serials);
    *k = (struct enroll_key){0};
}
