/*
 * server: the collector as a running process: one libuv loop that never blocks (connections), one ingest thread (the
 * store's writer), a thread for each running question.
 *
 *   listener -> session --+-- agent: pieces -> parts --> ingest thread: verify, group, commit --> acks
 *                         +-- client: query ----------> query thread -> bounded queue ---------> results
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_SERVER_H
#define FLEETDUMP_COLLECTOR_SERVER_SERVER_H

#include "collector/store/store.h"
#include "common/base/error.h"
#include "common/net/tls.h"

/* Who gets certificates: enroll.h. */
struct enroll_config {
    const char *ca, *ca_key; /* files; a key that is NULL or not there: the authority is an organisation's own */
    const char *cert, *key;  /* the collector's own */
    const char *address;     /* that tokens name; NULL or "": it is guessed */
    uint64_t life_ns;        /* of agents' and users' certificates */
    uint64_t own_life_ns;    /* of the collector's */
    uint64_t ca_life_ns;     /* of the authority's */
    bool approve;            /* hosts may ask without a token */
};

struct server_config {
    const char *name;        /* what agents and clients are told */
    const char *listen;      /* "address:port" */
    bool insecure_plaintext; /* plain TCP: whoever connects is who he says, and administrator */
    struct tls_files tls;    /* unless insecure_plaintext; SIGHUP reads them again */
    bool baseline;           /* flows of all agents are captured, always */
    unsigned max_sessions;
    unsigned max_queries;       /* running at once; more wait for none: they are refused as busy */
    uint64_t query_deadline_ns; /* a question that takes longer is cut off with an error */
    /* the port listened on is written here (for tests and scripts that let the system choose), or NULL */
    const char *port_file;
    bool audit_syslog; /* each line of the audit also goes to syslog */
    struct enroll_config enroll;
    struct store_config store;
};

/* Runs until SIGTERM or SIGINT. */
MUST_CHECK int server_run(const struct server_config *config, struct error *e);

#endif
