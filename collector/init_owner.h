/*
 * init_owner: whose the data folder is: what root makes in it for somebody else is made as that user.
 */
#ifndef FLEETDUMP_COLLECTOR_INIT_OWNER_H
#define FLEETDUMP_COLLECTOR_INIT_OWNER_H

#include "common/base/error.h"
#include <stdbool.h>
#include <sys/types.h>

struct owner {
    bool other; /* than us: we are root */
    uid_t uid;
    gid_t gid;
};

/* The owner of the folder; of one that is not there, we. (The package makes it, for the user fleetdump-collector.) */
MUST_CHECK int owner_find(const char *folder, struct owner *out, struct error *e);
/* Makes the folder, 0700, if it is missing, and gives it to the owner. */
MUST_CHECK int owner_make_folder(const char *folder, const struct owner *o, struct error *e);
/* The process is that user until owner_return. */
MUST_CHECK int owner_become(const struct owner *o, struct error *e);
void owner_return(const struct owner *o);

#endif
