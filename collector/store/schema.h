/*
 * schema: the two kinds of databases, their tables and every statement that runs on them. The texts stand in schema.c,
 * which is the description of the format. Either version moves when a table changes its meaning.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_SCHEMA_H
#define FLEETDUMP_COLLECTOR_STORE_SCHEMA_H

#include "collector/store/db.h"

#define PARTITION_VERSION 1u
#define CATALOG_VERSION   5u

/* Statements on a flows.db; their values and results stand beside the texts. */
enum partition_sql {
    PARTITION_STREAM_FIND,
    PARTITION_STREAM_LIST,
    PARTITION_STREAM_PUT,
    PARTITION_STREAM_UPDATE,
    PARTITION_HEAD_PUT,
    PARTITION_HEAD_DATA_PUT,
    PARTITION_HEAD_DATA,
    PARTITION_HEAD_FIND,
    PARTITION_HEAD_LIST,
    PARTITION_HEAD_WAITING,
    PARTITION_HEAD_ANY_WAITING,
    PARTITION_HEAD_FIRST_WAITING,
    PARTITION_HEAD_MAX,
    PARTITION_HEAD_LAST,
    PARTITION_HEAD_BODY,
    PARTITION_PACK_PUT,
    PARTITION_PACK_LIST,
    PARTITION_POSTING_CLEAR,
    PARTITION_POSTING_PUT,
    PARTITION_POSTING_RANGE,
    PARTITION_SQL_COUNT
};
extern const struct db_kind partition_kind;

enum catalog_sql {
    CATALOG_PARTITION_LIST,
    CATALOG_PARTITION_LAST,
    CATALOG_PARTITION_PUT,
    CATALOG_PARTITION_STATE,
    CATALOG_PARTITION_UPDATE,
    CATALOG_PARTITION_REMOVE,
    CATALOG_PORTION_PUT,
    CATALOG_PORTION_FIND,
    CATALOG_PORTION_HOLDERS,
    CATALOG_PORTION_LIST,
    CATALOG_PORTION_REMOVE,
    CATALOG_STREAM_FIND,
    CATALOG_STREAM_PUT,
    CATALOG_STREAM_DROPPED,
    CATALOG_STREAM_COPY,
    CATALOG_META_GET,
    CATALOG_META_ADD,
    CATALOG_AGENT_FIND,
    CATALOG_AGENT_PUT,
    CATALOG_AGENT_LIST,
    CATALOG_AGENT_COPY,
    CATALOG_AGENT_PASTE,
    CATALOG_ADDRESS_LIST,
    CATALOG_ADDRESS_COPY,
    CATALOG_ADDRESS_PASTE,
    CATALOG_ADDRESS_PUT,
    CATALOG_ADDRESS_END,
    CATALOG_ADDRESS_TRIM,
    CATALOG_ORDER_PUT,
    CATALOG_ORDER_REMOVE,
    CATALOG_ORDER_LIST,
    CATALOG_ORDER_PASTE,
    CATALOG_USER_PUT,
    CATALOG_USER_REMOVE,
    CATALOG_USER_LIST,
    CATALOG_USER_PASTE,
    CATALOG_TOKEN_PUT,
    CATALOG_TOKEN_FIND,
    CATALOG_TOKEN_USE,
    CATALOG_TOKEN_LIST,
    CATALOG_TOKEN_FORGET,
    CATALOG_TOKEN_VOID,
    CATALOG_TOKEN_PASTE,
    CATALOG_CREDENTIAL_PUT,
    CATALOG_CREDENTIAL_FIND,
    CATALOG_CREDENTIAL_LIST,
    CATALOG_CREDENTIAL_FORGET,
    CATALOG_CREDENTIAL_NEWEST,
    CATALOG_CREDENTIAL_NAMED,
    CATALOG_CREDENTIAL_PASTE,
    CATALOG_REVOCATION_PUT,
    CATALOG_REVOCATION_LIST,
    CATALOG_SQL_COUNT
};
extern const struct db_kind catalog_kind;

/* What a partition holds of one stream: the columns from `epoch` on of table stream (flows.db) and table portion
 * (catalog), in the order in which portion.c reads and binds them. */
#define PORTION_COLUMNS                                                                                                \
    "epoch, agent, capture, software, filter, snaplen, install, head_next, ended, restored, first_seq, first_ns, "     \
    "last_ns, first_arrived_ns, last_arrived_ns, chunks, rows, packets, bytes, head_bytes, body_bytes, bodies, "       \
    "gap_packets, totals"
#define PORTION_COLUMN_COUNT 24

/* Of table head, in the order in which head_row_read reads them. */
#define HEAD_COLUMNS                                                                                                   \
    "id, stream, seq, last_seq, kind, seal, gap, body, arrived_ns, first_ns, last_ns, since_ns, until_ns, open_ns, "   \
    "seal_ns, rows, length, hash, body_length, body_hash, totals, pack, offset"

#endif
