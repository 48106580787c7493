/*
 * read: how reading something of a stranger's ended, for all readers of common/app.
 */
#ifndef FLEETDUMP_APP_READ_H
#define FLEETDUMP_APP_READ_H

enum app_read {
    APP_READ_INVALID, /* it is none, or breaks the rules so that nothing of it can be used */
    APP_READ_CUT, /* it begins well, but ends, or stops making sense, too early; what came before that is filled in */
    APP_READ_WHOLE
};

#endif
