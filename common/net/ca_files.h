/*
 * ca_files: keys and certificates on disk, each for its owner alone: folders 0700, files 0600. A file is replaced
 * whole, and gets the owner of its folder (a program that runs as root writes them for another user).
 */
#ifndef FLEETDUMP_NET_CA_FILES_H
#define FLEETDUMP_NET_CA_FILES_H

#include "common/net/ca.h"
#include <sys/types.h>

#define CA_ROOT_NAME "ca.pem"
#define CA_ROOT_KEY  "ca.key"
#define CA_CERT_NAME "cert.pem"
#define CA_KEY_NAME  "key.pem"

/* Makes the folder if there is none (and its parents, 0755), and gives it to that user and group (-1: as it is) with
 * mode 0700. */
MUST_CHECK int ca_make_folder(const char *path, uid_t uid, gid_t gid, struct error *e);

/* Replaces a file, durably. `path` has a folder, or lies in the current one. */
MUST_CHECK int ca_save(const char *path, const struct buffer *pem, struct error *e);

/* What belongs together, in this order: key, CA, certificate; NULL: this one stays. Of a crash in between a certificate
 * may be left that is not the key's: then it is to be joined again. */
struct ca_files {
    const struct buffer *key, *ca, *certificate;
};
MUST_CHECK int ca_save_all(const char *folder, const struct ca_files *files, struct error *e);

/* Reads a file of PEM of at most CA_PEM_MAX bytes. */
MUST_CHECK int ca_load(const char *folder, const char *name, struct buffer *pem, struct error *e);

/* Wipes and frees. */
void ca_wipe(struct buffer *pem);

#endif
