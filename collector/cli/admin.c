/*
 * fleetdump admin: who may connect, and what they may do.
 */
#include "collector/cli/admin.h"

static const struct command *const user_subcommands[] = {&command_admin_user_add, &command_admin_user_list,
                                                         &command_admin_user_remove, NULL};

const struct command command_admin_user = {
    .name = "admin user",
    .summary = "who may ask for what: users, their roles and bounds",
    .subcommands = user_subcommands,
    .examples = "Examples:\n"
                "  fleetdump admin user add ann --role analyst --label role=web --snaplen 96\n"
                "  fleetdump admin user list\n"
                "  fleetdump admin user remove ann\n",
};

static const struct command *const subcommands[] = {&command_admin_enroll, &command_admin_approve,
                                                    &command_admin_revoke, &command_admin_list,
                                                    &command_admin_user,   NULL};

const struct command command_admin = {
    .name = "admin",
    .summary = "says who may connect, and what they may do",
    .subcommands = subcommands,
    .examples = "Examples:\n"
                "  fleetdump admin enroll --name web-1 --label role=web\n"
                "  fleetdump admin revoke web-1\n"
                "  fleetdump admin user add ann --role analyst --label role=web\n"
                "  fleetdump admin user list\n",
};
