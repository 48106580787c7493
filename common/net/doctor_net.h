/*
 * doctor_net: checks of names, connections and certificates (common/base/doctor.h), for all programs.
 */
#ifndef FLEETDUMP_NET_DOCTOR_NET_H
#define FLEETDUMP_NET_DOCTOR_NET_H

#include "common/base/doctor.h"
#include "common/net/identity.h"
#include <stdbool.h>

struct tls;
struct tls_files;

/* Whether the host of "address:port" has addresses. False if not. `config`: where the address is written. */
bool doctor_name(struct doctor *d, const char *address, const char *config);

/* Connects and ends it, over TLS unless `tls` is NULL (then only whether somebody listens); nothing is sent but what
 * TLS needs. What ends the connection within half a second is a failure: a server says only behind the handshake that
 * it does not like our certificate. */
void doctor_reach(struct doctor *d, const char *address, struct tls *tls);

/* Whether others than its owner may read or write a file or folder: a failure if so. Nothing there is none. */
void doctor_private(struct doctor *d, const char *path);

/* Key and certificate: there, for their owner alone, belonging together, of that kind, in their time. *out (owned; NULL
 * after a failure) to connect with. `join` mends what is missing or over. Root may look at keys of any user. */
void doctor_identity(struct doctor *d, const struct tls_files *files, int kind, const char *join, struct tls **out);

/* The same with the usual names in a folder (tls_load_folder), which is for its owner alone, too. */
void doctor_identity_in(struct doctor *d, const char *folder, int kind, const char *join, struct tls **out);

#endif
