#include "agent/confine.h"

#include "agent/journal.h"
#include "agent/order.h"
#include "agent/privileges.h"
#include "agent/ship/spool_dir.h"
#include "common/base/sandbox.h"
#include "common/net/stream.h"
#include <stdio.h>
#include <stdlib.h>

#define PATH_SIZE  4200
#define PORT_NAMES 53 /* answers that do not fit into a datagram */

int confine_monitor(const struct agent_config *c, struct error *e)
{
    char orders[PATH_SIZE], journal[PATH_SIZE];
    if ((size_t)snprintf(orders, sizeof orders, "%s" ORDER_FOLDER, c->spool) >= sizeof orders ||
        (size_t)snprintf(journal, sizeof journal, "%s" JOURNAL_FOLDER, c->spool) >= sizeof journal)
        return error_set(e, ERROR_LIMIT, "the path of the spool is too long");
    const struct sandbox_place places[] = {
        {SANDBOX_CHANGE, c->spool}, {SANDBOX_CHANGE, orders}, {SANDBOX_CHANGE, journal}, {SANDBOX_CHANGE, c->tls}};
    struct sandbox_needs needs = {.places = places, .place_count = sizeof places / sizeof *places};
    int code = privileges_keep(PRIVILEGES_MONITOR, e);
    return code ? code : sandbox_enter(SANDBOX_MONITOR, &needs, e);
}

int confine_check(struct error *e)
{
    static const struct sandbox_needs nothing;
    int code = privileges_keep(PRIVILEGES_CHECK, e);
    return code ? code : sandbox_enter(SANDBOX_CHECK, &nothing, e);
}

int confine_capturer(const struct agent_config *c, const uint8_t epoch[EPOCH_SIZE], int monitor_fd, int sealed_from,
                     struct error *e)
{
    char stream[PATH_SIZE], name[SPOOL_STREAM_SIZE];
    if ((size_t)snprintf(stream, sizeof stream, "%s/%s", c->spool, spool_stream_name(epoch, name)) >= sizeof stream)
        return error_set(e, ERROR_LIMIT, "the path of the spool is too long");
    const struct sandbox_place places[] = {{SANDBOX_LIST, c->spool}, {SANDBOX_CHANGE, stream}};
    struct sandbox_needs needs = {.places = places,
                                  .place_count = sizeof places / sizeof *places,
                                  .talk_fd = monitor_fd,
                                  .sealed_from = sealed_from};
    return sandbox_enter(SANDBOX_CAPTURER, &needs, e);
}

int confine_recovery(const struct agent_config *c, enum sandbox_kind kind, struct error *e)
{
    const struct sandbox_place places[] = {{SANDBOX_CHANGE, c->spool}};
    struct sandbox_needs needs = {.places = places, .place_count = sizeof places / sizeof *places};
    return sandbox_enter(kind, &needs, e);
}

int confine_shipper(const struct agent_config *c, struct error *e)
{
    char host[256];
    const struct sandbox_place places[] = {{SANDBOX_CHANGE, c->spool}, {SANDBOX_CHANGE, c->tls}};
    struct sandbox_needs needs = {
        .places = places, .place_count = sizeof places / sizeof *places, .ports = {0, PORT_NAMES}};
    int code = net_split(c->collector, host, &needs.ports[0], e);
    return code ? code : sandbox_enter(SANDBOX_SHIPPER, &needs, e);
}

int confine_read(const struct agent_config *c, char *const *files, size_t count, const char *out, pid_t shipper,
                 struct error *e)
{
    struct sandbox_place *places = calloc(count + 1, sizeof *places);
    struct sandbox_needs needs = {.places = places, .place_count = count + 1, .child = shipper};
    if (!places)
        return error_set(e, ERROR_MEMORY, "no memory for %zu files", count);
    places[0] = (struct sandbox_place){SANDBOX_CHANGE, out ? out : c->spool};
    for (size_t i = 0; i < count; i++)
        places[i + 1] = (struct sandbox_place){SANDBOX_LOOK, files[i]};
    int code = sandbox_enter(SANDBOX_READ, &needs, e);
    free(places);
    return code;
}
