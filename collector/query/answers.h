/*
 * answers: one function per kind of question; query.c picks one by the table of kinds. Each writes its answer through
 * the plan's sink.
 */
#ifndef FLEETDUMP_COLLECTOR_QUERY_ANSWERS_H
#define FLEETDUMP_COLLECTOR_QUERY_ANSWERS_H

#include "collector/query/plan.h"

/* Flows: sorted, limited, grouped; row blocks. */
MUST_CHECK int answer_flows(struct plan *p, struct error *e);
/* Exchanges: likewise; pairs of blocks. */
MUST_CHECK int answer_exchanges(struct plan *p, struct error *e);
/* Packets: one merged pcapng file. */
MUST_CHECK int answer_pull(struct plan *p, struct error *e);

/* JSON documents. */
MUST_CHECK int answer_agents(struct plan *p, struct error *e);
MUST_CHECK int answer_captures(struct plan *p, struct error *e);
MUST_CHECK int answer_status(struct plan *p, struct error *e);
MUST_CHECK int answer_chunks(struct plan *p, struct error *e);
/* The body of one chunk as it is stored. */
MUST_CHECK int answer_export(struct plan *p, struct error *e);

/* ERROR_USAGE, ERROR_REFUSED if the filter, or what the asker is bound to, is to be judged packet by packet: no rows
 * can. `instead` names words that can be. */
MUST_CHECK int answer_refuse_packet_words(struct plan *p, const char *instead, struct error *e);

/* ERROR_USAGE if the filter has words that only an exchange knows; `instead` says what to do. */
MUST_CHECK int answer_refuse_exchange_words(struct plan *p, const char *instead, struct error *e);

/* ERROR_USAGE if the filter has fields that only groups have: `of` says of what. */
MUST_CHECK int answer_refuse_group_fields(struct plan *p, const char *of, struct error *e);

#endif
