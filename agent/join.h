/*
 * join: `fleetdump-agent join`: this host gets a key and a certificate, and from then on belongs to a fleet.
 *
 *   fleetdump-agent join TOKEN [--config FILE] [--collector ADDRESS]
 *   fleetdump-agent join --ca FINGERPRINT --collector ADDRESS [--name NAME] [--config FILE]     (enroll = approve)
 *
 * TOKEN is one word (common/net/token.h); "-" reads it from the standard input, where no list of processes shows it.
 * --collector: to be reached there instead of where the token says (through a tunnel, say).
 *
 * The key is made here and never leaves the host. Into the folder that the configuration calls `tls` go key.pem,
 * cert.pem and ca.pem (modes 0600, the folder 0700; as root they are given to ship_user). Then `name`, `collector` and
 * the token's labels are put into the configuration file: its other lines stay as they are, and a file that is not
 * there is made (0644). Joining again replaces all of these. A failure leaves what was there.
 *
 * It ends when that is done, and starts nothing: exit status 0; 1 with the reason on stderr (refused, not reached,
 * another collector than the token's); 2 for wrong use. On success it prints one line on the standard output:
 * "web-1 joined the fleet of main at 10.0.0.1:4741".
 */
#ifndef FLEETDUMP_AGENT_JOIN_H
#define FLEETDUMP_AGENT_JOIN_H

/* argv[0] is "join". Returns the exit status; says on stderr what went wrong. */
int agent_join(int argc, char **argv);

#endif
