/*
 * fleetdump-agent: joins a fleet (join.c), looks after its health (doctor.c), or reads its configuration, then is one of: the daemon (monitor.c), --read (read.c), --check.
 */
#include "agent/config.h"
#include "agent/doctor.h"
#include "agent/join.h"
#include "agent/monitor.h"
#include "agent/options.h"
#include "agent/read.h"
#include "common/base/log.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int check(const struct agent_options *o, const struct agent_config *c)
{
    struct error e = ERROR_INIT;
    int code = agent_config_check_collector(c, &e);
    if (code) {
        fprintf(stderr, "fleetdump-agent: %s\n", e.text);
        return error_exit_status(code);
    }
    printf("%s: good; agent %s, collector %s, spool %s\n", o->config, c->name, c->collector, c->spool);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    struct agent_options o;
    struct agent_config c;
    struct error e = ERROR_INIT;
    (void)umask(0007); /* what the agent's users share is their group's */
    if (argc > 1 && strcmp(argv[1], "join") == 0)
        return agent_join(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "doctor") == 0)
        return agent_doctor(argc - 1, argv + 1);
    agent_options_parse(argc, argv, &o);
    log_setup("fleetdump-agent", LOG_LEVEL_INFO);
    int code = agent_config_load(o.config, !o.config_given, &c, &e);
    if (code) {
        fprintf(stderr, "fleetdump-agent: %s\n", e.text);
        agent_config_free(&c);
        return error_exit_status(code);
    }
    log_setup("fleetdump-agent", (enum log_level)agent_config_log_level(&c));
    int status = o.mode == AGENT_READ    ? agent_read(&o, &c)
                 : o.mode == AGENT_CHECK ? check(&o, &c)
                                         : agent_monitor(o.config, !o.config_given, &c);
    agent_config_free(&c);
    return status;
}
