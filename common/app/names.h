/*
 * names: numbers of application protocols and the names that IANA gives them.
 */
#ifndef FLEETDUMP_APP_NAMES_H
#define FLEETDUMP_APP_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct name_of {
    uint32_t value;
    const char *name;
};

/* From a table that a name of NULL ends; NULL if it is not there. */
const char *name_of(const struct name_of *table, uint32_t value);

extern const struct name_of app_dns_types[];    /* "A", "AAAA", ... */
extern const struct name_of app_dns_rcodes[];   /* "NOERROR", ... */
extern const struct name_of app_tls_versions[]; /* "TLS 1.2", ... */
extern const struct name_of app_tls_alerts[];   /* "close_notify", ... */
extern const struct name_of app_tls_suites[];   /* "TLS_AES_128_GCM_SHA256", ... */

#endif
