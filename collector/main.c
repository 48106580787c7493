/*
 * fleetdump-collector: options, configuration, then one of its commands.
 */
#include "collector/collector_options.h"
#include "collector/doctor.h"
#include "collector/init.h"
#include "collector/server/confine.h"
#include "common/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(void *context, const char *text)
{
    (void)context;
    printf("%s\n", text);
}

static int serve(const struct collector_config *c, const struct collector_options *o, struct error *e)
{
    char *ca_key = collector_ca_key(c);
    const struct server_config server = {
        .name = c->name,
        .listen = c->listen,
        .insecure_plaintext = c->insecure_plaintext,
        .tls = {.ca = c->tls_ca,
                .cert = c->tls_cert,
                .key = c->tls_key,
                .crl = c->tls_crl && c->tls_crl[0] ? c->tls_crl : NULL},
        .enroll = {.ca = c->tls_ca,
                   .ca_key = ca_key,
                   .cert = c->tls_cert,
                   .key = c->tls_key,
                   .address = c->address,
                   .life_ns = c->certificate_life_ns,
                   .own_life_ns = c->collector_certificate_life_ns,
                   .ca_life_ns = c->authority_life_ns,
                   .approve = strcmp(c->enroll, "approve") == 0},
        .baseline = c->baseline,
        .audit_syslog = c->audit && c->audit[0],
        .max_sessions = (unsigned)c->max_sessions,
        .max_queries = (unsigned)c->max_queries,
        .query_deadline_ns = c->query_deadline_ns,
        .port_file = o->port_file,
        .store = {.path = c->data,
                  .retain_bytes = c->retain_bytes,
                  .retain_age_ns = c->retain_age_ns,
                  .retain_body_bytes = c->retain_packet_bytes,
                  .floor_bytes = c->floor_bytes,
                  .partition_ns = c->partition_ns},
    };
    int r = server_run(&server, e);
    free(ca_key);
    return r;
}

static int check(const struct collector_config *c, struct error *e)
{
    struct store_report report = {0};
    int r = confine_server(c->data, NULL, e);
    if (r == 0)
        r = store_check(c->data, say, NULL, &report, e);
    if (r)
        return r;
    printf("checked: %llu partitions, %llu packs, %llu chunks, %llu bodies, %llu rows; %llu damaged\n",
           (unsigned long long)report.partitions, (unsigned long long)report.packs, (unsigned long long)report.chunks,
           (unsigned long long)report.bodies, (unsigned long long)report.rows, (unsigned long long)report.damaged);
    if (report.damaged == 0)
        return 0;
    return error_set(e, ERROR_CORRUPT,
                     "%llu parts of %s are damaged; each costs only itself. Lost indexes are made anew by `reindex`",
                     (unsigned long long)report.damaged, c->data);
}

static int reindex(const struct collector_config *c, struct error *e)
{
    struct store_report report = {0};
    int r = confine_server(c->data, NULL, e);
    if (r == 0)
        r = store_reindex(c->data, say, NULL, &report, e);
    if (r == 0)
        printf("reindexed: %llu partitions, %llu packs, %llu chunks, %llu rows; %llu things could not be restored\n",
               (unsigned long long)report.partitions, (unsigned long long)report.packs,
               (unsigned long long)report.chunks, (unsigned long long)report.rows, (unsigned long long)report.damaged);
    if (r || report.damaged == 0)
        return r;
    return error_set(e, ERROR_INCOMPLETE,
                     "%s is usable again, but %llu things could not be restored: they stand above, each in a line",
                     c->data, (unsigned long long)report.damaged);
}

static int set_log(const struct collector_config *c, const struct collector_options *o, struct error *e)
{
    static const char *const levels[] = {
        [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug"};
    for (unsigned i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcmp(c->log_level, levels[i]) == 0) {
            log_setup("fleetdump-collector", o->verbose ? LOG_LEVEL_DEBUG : (enum log_level)i);
            return 0;
        }
    return error_set(e, ERROR_USAGE, "log_level = %s: it is error, warn, info or debug", c->log_level);
}

static int check_audit(const struct collector_config *c, struct error *e)
{
    if (!c->audit || !c->audit[0] || strcmp(c->audit, "syslog") == 0 || strcmp(c->audit, "journal") == 0)
        return 0;
    return error_set(e, ERROR_USAGE, "audit = %s: it is syslog or journal, or not there", c->audit);
}

static int run(const struct collector_options *o, struct error *e)
{
    struct collector_config c;
    int r = collector_config_load(o, &c, e);
    if (r)
        return r;
    r = set_log(&c, o, e);
    if (r == 0)
        r = check_audit(&c, e);
    if (r == 0 && o->command == COLLECTOR_SERVE)
        r = serve(&c, o, e);
    else if (r == 0 && o->command == COLLECTOR_INIT)
        r = collector_init(o, &c, e);
    else if (r == 0 && o->command == COLLECTOR_CHECK)
        r = check(&c, e);
    else if (r == 0)
        r = reindex(&c, e);
    config_free(collector_keys, &c);
    return r;
}

int main(int argc, char **argv)
{
    struct collector_options o;
    struct error e = ERROR_INIT;
    collector_options_parse(argc, argv, &o);
    if (o.command == COLLECTOR_DOCTOR)
        return collector_doctor(&o);
    int r = run(&o, &e);
    if (r)
        fprintf(stderr, "fleetdump-collector: %s\n", e.text);
    return error_exit_status(r);
}
