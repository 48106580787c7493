#include "collector/server/confine.h"

#include "common/base/sandbox.h"
#include <libgen.h>
#include <stdio.h>

#define PATH_SIZE 4200

int confine_server(const char *data, const struct tls_files *tls, struct error *e)
{
    enum { FILES = 4 };
    char folders[FILES][PATH_SIZE];
    const char *const files[FILES] = {tls ? tls->ca : NULL, tls ? tls->cert : NULL, tls ? tls->key : NULL,
                                      tls ? tls->crl : NULL};
    struct sandbox_place places[1 + FILES] = {{SANDBOX_CHANGE, data}};
    struct sandbox_needs needs = {.places = places, .place_count = 1};
    for (size_t i = 0; i < FILES; i++) {
        if (!files[i] || !files[i][0] || (size_t)snprintf(folders[i], PATH_SIZE, "%s", files[i]) >= PATH_SIZE)
            continue;
        places[needs.place_count++] = (struct sandbox_place){SANDBOX_LOOK, dirname(folders[i])};
    }
    return sandbox_enter(SANDBOX_COLLECTOR, &needs, e);
}
