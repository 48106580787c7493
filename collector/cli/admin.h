/*
 * admin: the subcommands of `fleetdump admin` and `fleetdump audit`.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_ADMIN_H
#define FLEETDUMP_COLLECTOR_CLI_ADMIN_H

#include "collector/cli/listing.h"

extern const struct command command_admin_enroll, command_admin_approve, command_admin_revoke, command_admin_list;
extern const struct command command_admin_user;
extern const struct command command_admin_user_add, command_admin_user_list, command_admin_user_remove;
extern const struct command command_audit_show, command_audit_verify, command_audit_export;

#endif
