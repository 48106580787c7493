/* The steps of ladder_finish. Private to ladder. */
#ifndef FLEETDUMP_COLLECTOR_LADDER_LADDER_INSIDE_H
#define FLEETDUMP_COLLECTOR_LADDER_LADDER_INSIDE_H

#include "collector/ladder/ladder.h"

/* Sights to rows, and the estimates of clocks; sets each row's sights. */
MUST_CHECK int ladder_match(struct ladder *l, struct error *e);
/* What was seen in pieces at one vantage becomes one row; the rows of the others are removed. */
MUST_CHECK int ladder_join_parts(struct ladder *l, struct error *e);
/* Order of vantages, reference, main sights, order of rows. */
void ladder_order(struct ladder *l);
/* Marks and story of TCP. */
void ladder_tell(struct ladder *l);

#endif
