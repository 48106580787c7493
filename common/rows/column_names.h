/* What both tables of columns call the numbers of application protocols. Private to the tables of columns. */
#ifndef FLEETDUMP_ROWS_COLUMN_NAMES_H
#define FLEETDUMP_ROWS_COLUMN_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* NULL for unknown values. */
const char *tls_version_name(uint64_t value);
const char *tls_cipher_name(uint64_t value);
const char *tls_alert_name(uint64_t value);
const char *dns_type_name(uint64_t value);
const char *dns_rcode_name(uint64_t value);

#endif
