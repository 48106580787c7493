/*
 * fleet: the agents that the collector knows, and which of them are connected: those in the catalog, and those that
 * said hello since. On the loop's thread. An agent that is known stays known until the collector ends.
 */
#ifndef FLEETDUMP_COLLECTOR_SERVER_FLEET_H
#define FLEETDUMP_COLLECTOR_SERVER_FLEET_H

#include "collector/store/store.h"
#include "common/net/message.h"

#define FLEET_AGENTS_MAX 65536u
#define FLEET_SILENT_NS  (UINT64_C(15) * 1000000000) /* agents say something each 5 s */

struct session;
struct flush;

struct fleet_agent {
    char *name;
    char *labels; /* "role=web,dc=fra", as the catalog has them */
    char **label; /* each; in memory of `labels_apart` */
    char *labels_apart;
    uint32_t label_count;
    struct session *control;           /* its control connection, the newest; NULL: it is not connected */
    char serial[STORE_SERIAL_MAX + 1]; /* of the certificate that it came with last; "": unknown, or it had none */
    uint64_t certified_ns;             /* since when that is good */
    uint64_t revoked_ns;               /* enroll.c's: when that was revoked; 0: it was not */
    uint64_t refused_ns;               /* when a connection of it was refused last, since it was here */
    char *refused;                     /* why; NULL: none was */
    unsigned orders;                   /* orders.c's: captures that it is to run */
    uint64_t seen_ns;                  /* when something was last heard of it: wall clock */
    uint64_t asked_ns;                 /* a CHECK of then was not answered in time; 0: all were */
    struct flush *flying, *next;       /* fresh.c's: the FLUSH that it has not answered, and the one to be sent then */
    char *flush_problem;               /* fresh.c's: why its last FLUSH was not answered well; NULL: it was */
};

struct fleet;
MUST_CHECK int fleet_open(struct store *store, struct fleet **out, struct error *e);
void fleet_close(struct fleet *f); /* NULL is fine */

/* By name. */
size_t fleet_count(const struct fleet *f);
struct fleet_agent *fleet_at(const struct fleet *f, size_t i);
struct fleet_agent *fleet_find(const struct fleet *f, const char *name); /* NULL: never heard of */

/* The agent of this name, made if it is new, has these labels now. ERROR_LIMIT, ERROR_MEMORY. */
MUST_CHECK int fleet_know(struct fleet *f, const char *name, const char *labels, uint64_t seen_ns,
                          struct fleet_agent **out, struct error *e);

/* The certificate that it has come with. */
void fleet_certify(struct fleet_agent *a, const char *serial, uint64_t certified_ns);

/* It, or somebody with its certificate, was not let in; forgotten when it is, and nothing new while it is here. */
void fleet_refuse(struct fleet_agent *a, uint64_t now_ns, const char *why);

/* What keeps it from being here, as people read it; malloc'ed. NULL: nothing that is known. */
char *fleet_problem(const struct fleet_agent *a);

/* It is connected, but does not answer: it hangs, or the network does. */
bool fleet_is_silent(const struct fleet_agent *a, uint64_t now_ns);

/* Whether one of the globs fits the agent's name; none: any. */
bool fleet_fits(const struct fleet_agent *a, char *const *globs, uint32_t count);

#endif
