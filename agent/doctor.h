/*
 * doctor: `fleetdump-agent doctor`: what keeps this host from capturing and shipping, or soon will, and what mends it.
 * Changes nothing; may run beside the agent. Best as root: else it says what it could not look at.
 */
#ifndef FLEETDUMP_AGENT_DOCTOR_H
#define FLEETDUMP_AGENT_DOCTOR_H

/* argv[0] is "doctor". Returns the exit status: 0 nothing failed, 1 something did, 2 wrong use. */
int agent_doctor(int argc, char **argv);

#endif
