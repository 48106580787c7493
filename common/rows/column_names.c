/* column_names: the tables of names as functions of a value. */
#include "common/rows/column_names.h"
#include "common/app/names.h"

#define NAMES(function, table)                                                                                         \
    const char *function(uint64_t value)                                                                               \
    {                                                                                                                  \
        return value <= UINT32_MAX ? name_of(table, (uint32_t)value) : NULL;                                           \
    }
NAMES(tls_version_name, app_tls_versions)
NAMES(tls_cipher_name, app_tls_suites)
NAMES(tls_alert_name, app_tls_alerts)
NAMES(dns_type_name, app_dns_types)
NAMES(dns_rcode_name, app_dns_rcodes)
