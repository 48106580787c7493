/*
 * journal: the host's own record of what was captured on it by order: each start, end and refusal, with who and what,
 * to syslog (LOG_AUTHPRIV) and to a hash-chained file beside the spool (SPOOL.audit, root's; common/base/audit.h). The
 * collector has no part in it.
 *
 * Refusals beyond JOURNAL_REFUSALS at once, and then one a minute, are counted, not written: a flood of orders fills no
 * disk, however long it lasts.
 */
#ifndef FLEETDUMP_AGENT_JOURNAL_H
#define FLEETDUMP_AGENT_JOURNAL_H

#include "agent/order.h"
#include <stdbool.h>

#define JOURNAL_FOLDER   ".audit" /* behind the path of the spool */
#define JOURNAL_REFUSALS 60u

#define JOURNAL_AGAIN_NS (UINT64_C(10) * 1000000000)

/* A journal that cannot be opened or written is warned of; then there is syslog alone, it is tried again every
 * JOURNAL_AGAIN_NS, and a line says how many it lost ("event":"lost","lines":N). One whose newest lines (of the last
 * full file, and of the one that is written to) were changed cannot, ever; older ones are looked at by `fleetdump-agent
 * doctor`. */
void journal_open(const char *spool);

/* Why it could not be opened last; "": it could. */
const char *journal_problem(void);
void journal_close(void);

/* "started", "ended", "refused", "failed"; of an order as it runs. False: it was not written, and is not worth a line
 * in the log either. */
bool journal_write(const char *event, const struct order *o, const char *text);

/* Makes durable what was written, and tries again what is to be. */
void journal_sync(void);

/* When that is (monotonic); UINT64_MAX: nothing is. */
uint64_t journal_due(void);

#endif
