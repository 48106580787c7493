/* The tables of names of DNS and TLS. */
#include "common/app/names.h"

const char *name_of(const struct name_of *table, uint32_t value)
{
    for (; table->name; table++)
        if (table->value == value)
            return table->name;
    return NULL;
}

/* IANA's DNS resource record types */
const struct name_of app_dns_types[] = {
    {1, "A"},      {2, "NS"},    {5, "CNAME"},   {6, "SOA"},    {10, "NULL"},       {12, "PTR"},   {13, "HINFO"},
    {15, "MX"},    {16, "TXT"},  {17, "RP"},     {24, "SIG"},   {25, "KEY"},        {28, "AAAA"},  {29, "LOC"},
    {30, "NXT"},   {33, "SRV"},  {35, "NAPTR"},  {39, "DNAME"}, {41, "OPT"},        {43, "DS"},    {44, "SSHFP"},
    {46, "RRSIG"}, {47, "NSEC"}, {48, "DNSKEY"}, {50, "NSEC3"}, {51, "NSEC3PARAM"}, {52, "TLSA"},  {64, "SVCB"},
    {65, "HTTPS"}, {99, "SPF"},  {249, "TKEY"},  {250, "TSIG"}, {251, "IXFR"},      {252, "AXFR"}, {255, "ANY"},
    {257, "CAA"},  {0, NULL}};

/* IANA's DNS RCODEs */
const struct name_of app_dns_rcodes[] = {{0, "NOERROR"}, {1, "FORMERR"}, {2, "SERVFAIL"}, {3, "NXDOMAIN"},
                                         {4, "NOTIMP"},  {5, "REFUSED"}, {6, "YXDOMAIN"}, {7, "YXRRSET"},
                                         {8, "NXRRSET"}, {9, "NOTAUTH"}, {10, "NOTZONE"}, {0, NULL}};

const struct name_of app_tls_versions[] = {{0x0300, "SSL 3.0"}, {0x0301, "TLS 1.0"}, {0x0302, "TLS 1.1"},
                                           {0x0303, "TLS 1.2"}, {0x0304, "TLS 1.3"}, {0, NULL}};

/* RFC 8446, 6.2, and those of before */
const struct name_of app_tls_alerts[] = {{0, "close_notify"},
                                         {10, "unexpected_message"},
                                         {20, "bad_record_mac"},
                                         {21, "decryption_failed"},
                                         {22, "record_overflow"},
                                         {30, "decompression_failure"},
                                         {40, "handshake_failure"},
                                         {41, "no_certificate"},
                                         {42, "bad_certificate"},
                                         {43, "unsupported_certificate"},
                                         {44, "certificate_revoked"},
                                         {45, "certificate_expired"},
                                         {46, "certificate_unknown"},
                                         {47, "illegal_parameter"},
                                         {48, "unknown_ca"},
                                         {49, "access_denied"},
                                         {50, "decode_error"},
                                         {51, "decrypt_error"},
                                         {60, "export_restriction"},
                                         {70, "protocol_version"},
                                         {71, "insufficient_security"},
                                         {80, "internal_error"},
                                         {86, "inappropriate_fallback"},
                                         {90, "user_canceled"},
                                         {100, "no_renegotiation"},
                                         {109, "missing_extension"},
                                         {110, "unsupported_extension"},
                                         {111, "certificate_unobtainable"},
                                         {112, "unrecognized_name"},
                                         {113, "bad_certificate_status_response"},
                                         {114, "bad_certificate_hash_value"},
                                         {115, "unknown_psk_identity"},
                                         {116, "certificate_required"},
                                         {120, "no_application_protocol"},
                                         {0, NULL}};
