/*
 * doctor: `fleetdump-collector doctor`: what keeps the collector from taking in and answering, or soon will, and what
 * mends it. Changes nothing; may run beside the collector, best as its user or root.
 */
#ifndef FLEETDUMP_COLLECTOR_DOCTOR_H
#define FLEETDUMP_COLLECTOR_DOCTOR_H

#include "collector/collector_options.h"

/* Returns the exit status: 0 nothing failed, 1 something did, 2 a wrong configuration. */
int collector_doctor(const struct collector_options *o);

#endif
