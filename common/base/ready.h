/*
 * ready: tells systemd that a service has started, by the protocol of sd_notify(3).
 */
#ifndef FLEETDUMP_BASE_READY_H
#define FLEETDUMP_BASE_READY_H

/* Where NOTIFY_SOCKET names a socket (the unit says Type=notify): READY=1 goes there, once. Else nothing. To be called
 * before the sandbox closes, which leaves no new sockets. What fails is logged: systemd then goes on waiting. */
void ready_say(void);

#endif
