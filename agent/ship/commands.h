/*
 * commands: the control connection's half of captures: what the collector orders becomes requests to the monitor, what the monitor reports
 * becomes messages. Part of the uplink (same loop, same thread).
 *
 *   ORDERS         -> start what is new and meant for this agent (selector.h, judged here again), stop what is not in it any more
 *   CHECK, FLUSH   -> asked of the monitor; FLUSHED is sent once the collector has acknowledged all that the flush sealed
 *   CLOCK          -> every CLOCK_EVERY_MS, the best of the last samples (least round trip) is the offset told in the status:
 *                     "clock": {"offset_ns": agent minus collector, "uncertainty_ns": half the round trip}
 *   reports        -> CAPTURE_STATE, at once on a change of phase, else at most one a second per capture; all of them again on each connection
 */
#ifndef FLEETDUMP_AGENT_SHIP_COMMANDS_H
#define FLEETDUMP_AGENT_SHIP_COMMANDS_H

#include "common/net/message.h"

#define CLOCK_EVERY_MS 10000u

#endif
