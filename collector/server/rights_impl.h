/* rights_impl: what the files of rights share. */
#ifndef FLEETDUMP_COLLECTOR_SERVER_RIGHTS_IMPL_H
#define FLEETDUMP_COLLECTOR_SERVER_RIGHTS_IMPL_H

#include "collector/server/rights.h"

struct rights {
    struct server *server;
    struct rights_user **users; /* by name */
    size_t count;
};

/* An object with the bounds that there are; the same with all that there is to be shown of a user. */
json_t *rights_bounds_json(const struct rights_bounds *b);
json_t *rights_user_json(const struct rights_user *u);

/* Bounds as rights_bounds_json has them; other keys are not looked at. ERROR_USAGE says what is wrong. */
MUST_CHECK int rights_user_new(const char *name, const char *role, const json_t *bounds, const char *by,
                               uint64_t created_ns, struct rights_user **out, struct error *e);
void rights_user_free(struct rights_user *u); /* NULL is fine */

#endif
