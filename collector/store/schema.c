#include "collector/store/schema.h"

/* The columns of what a partition holds of one stream. "first_ns > last_ns" means no packet. */
#define PORTION_TABLE                                                                                                  \
    "epoch BLOB NOT NULL, agent TEXT NOT NULL, capture TEXT NOT NULL, software TEXT NOT NULL, filter TEXT NOT NULL,"   \
    "snaplen INT NOT NULL,"                                                                                            \
    "install BLOB NOT NULL,"  /* 16 bytes: the agent's installation that sent it; zeros if not known */                \
    "head_next INT NOT NULL," /* the cursor: 1 + seq of the last item here */                                          \
    "ended INT NOT NULL,"     /* 1: the last item is the stream's END */                                               \
    "restored INT NOT NULL,"  /* 1: by reindex, so that items may be missing between here and what is to come */       \
    "first_seq INT NOT NULL,"                                                                                          \
    "first_ns INT NOT NULL, last_ns INT NOT NULL,"                 /* of packets */                                    \
    "first_arrived_ns INT NOT NULL, last_arrived_ns INT NOT NULL," /* of heads */                                      \
    "chunks INT NOT NULL, rows INT NOT NULL,"                                                                          \
    "packets INT NOT NULL, bytes INT NOT NULL," /* counters kept, kept_bytes of the chunks */                          \
    "head_bytes INT NOT NULL, body_bytes INT NOT NULL, bodies INT NOT NULL," /* stored */                              \
    "gap_packets INT NOT NULL," /* kept packets of gaps, stored packets of bodies that will not come */                \
    "totals BLOB NOT NULL"      /* struct counters of chunks and gaps: varints */

/*
 * flows.db.
 * Heads are numbered from 1 without holes in order of arrival; nothing is deleted. Times are in ns.
 */
static const char partition_schema[] =
    "CREATE TABLE stream (id INTEGER PRIMARY KEY, " PORTION_TABLE ", UNIQUE (epoch)) STRICT;"

    "CREATE TABLE head ("
    "id INTEGER PRIMARY KEY,"
    "stream INT NOT NULL, seq INT NOT NULL, last_seq INT NOT NULL,"
    "kind INT NOT NULL, seal INT NOT NULL,"
    "gap INT NOT NULL,"  /* enum head_gap: of a GAP item; of a chunk: why its body is not here */
    "body INT NOT NULL," /* enum body_state; BODY_ON_AGENT: it is waited for */
    "arrived_ns INT NOT NULL,"
    "first_ns INT NOT NULL, last_ns INT NOT NULL,"  /* packets; first > last if there is none */
    "since_ns INT NOT NULL, until_ns INT NOT NULL," /* queries prune by these: packets; without: all that it may mean */
    "open_ns INT NOT NULL, seal_ns INT NOT NULL,"   /* wall clock */
    "rows INT NOT NULL, length INT NOT NULL, hash INT NOT NULL," /* of the encoded head; hash64 as a signed number */
    "body_length INT NOT NULL, body_hash INT NOT NULL,"
    "totals BLOB NOT NULL,"
    "pack INT, offset INT," /* of the record that holds the body; NULL until then */
    "UNIQUE (stream, seq)) STRICT;"
    "CREATE INDEX head_waiting ON head (stream, seq) WHERE body = 1;"

    /* The encoded head as it came, row blocks included. */
    "CREATE TABLE head_data (head INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;"

    /* Committed end of each pack; what lies behind it was never acknowledged. */
    "CREATE TABLE pack (number INTEGER PRIMARY KEY, end INT NOT NULL) STRICT;"

    /* Only in closed partitions. Keys and lists: postings.h. */
    "CREATE TABLE posting (key BLOB PRIMARY KEY, heads BLOB NOT NULL) STRICT, WITHOUT ROWID;";

static const char *const partition_sql[] = {
    [PARTITION_STREAM_FIND] = "SELECT id, " PORTION_COLUMNS " FROM stream WHERE epoch = ?",
    [PARTITION_STREAM_LIST] = "SELECT id, " PORTION_COLUMNS " FROM stream ORDER BY id",
    [PARTITION_STREAM_PUT] =
        "INSERT INTO stream (" PORTION_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?, ?)",
    [PARTITION_STREAM_UPDATE] =
        "UPDATE stream SET (" PORTION_COLUMNS ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
    [PARTITION_HEAD_PUT] =
        "INSERT INTO head (stream, seq, last_seq, kind, seal, gap, body, arrived_ns, first_ns, last_ns, "
        "since_ns, until_ns, open_ns, seal_ns, rows, length, hash, body_length, body_hash, totals) VALUES "
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [PARTITION_HEAD_DATA_PUT] = "INSERT INTO head_data (head, data) VALUES (?, ?)",
    [PARTITION_HEAD_DATA] = "SELECT data FROM head_data WHERE head = ?",
    /* The item that stands for this seq: GAP items stand for several. */
    [PARTITION_HEAD_FIND] = "SELECT " HEAD_COLUMNS " FROM head WHERE stream = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
    [PARTITION_HEAD_LIST] =
        "SELECT " HEAD_COLUMNS " FROM head WHERE id >= ? AND until_ns >= ? AND since_ns <= ? ORDER BY id",
    [PARTITION_HEAD_WAITING] = "SELECT seq FROM head WHERE stream = ? AND body = 1 ORDER BY seq",
    [PARTITION_HEAD_ANY_WAITING] = "SELECT 1 FROM head WHERE body = 1 LIMIT 1",
    [PARTITION_HEAD_FIRST_WAITING] =
        ("SELECT s.epoch, min(h.seq) FROM head h JOIN stream s ON s.id = h.stream WHERE h.body = 1 "
         "GROUP BY h.stream"),
    [PARTITION_HEAD_MAX] = "SELECT max(id) FROM head",
    [PARTITION_HEAD_LAST] = "SELECT max(id), min(since_ns), max(until_ns), max(arrived_ns) FROM head",
    [PARTITION_HEAD_BODY] = "UPDATE head SET body = ?, gap = ?, pack = ?, offset = ? WHERE id = ?",
    [PARTITION_PACK_PUT] =
        "INSERT INTO pack (number, end) VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET end = excluded.end",
    [PARTITION_PACK_LIST] = "SELECT number, end FROM pack ORDER BY number",
    [PARTITION_POSTING_CLEAR] = "DELETE FROM posting",
    [PARTITION_POSTING_PUT] = "INSERT INTO posting (key, heads) VALUES (?, ?)",
    [PARTITION_POSTING_RANGE] = "SELECT key, heads FROM posting WHERE key BETWEEN ? AND ? ORDER BY key",
};

const struct db_kind partition_kind = {
    .name = "partition",
    .schema = partition_schema,
    .application = 0x46445031, /* "FDP1" */
    .version = PARTITION_VERSION,
    .sql = partition_sql,
    .sql_count = PARTITION_SQL_COUNT,
    .begin = "store.begin",
    .commit = "store.commit",
    .done = "store.commit.done",
};

/*
 * catalog.db.
 */

/* Captures that were ordered and not removed; what is in request and agents is the server's. Since version 2. */
#define ORDERS_TABLE                                                                                                   \
    "CREATE TABLE orders (id BLOB PRIMARY KEY, request BLOB NOT NULL, created_ns INT NOT NULL,"                        \
    "ended_ns INT NOT NULL," /* 0: it stands */                                                                        \
    "why TEXT NOT NULL, agents TEXT NOT NULL) STRICT, WITHOUT ROWID;"

/* Who may ask what; role and bounds are the server's. Since version 3. */
#define USERS_TABLE                                                                                                    \
    "CREATE TABLE users (name TEXT PRIMARY KEY, role TEXT NOT NULL, bounds TEXT NOT NULL, created_ns INT NOT NULL,"    \
    "created_by TEXT NOT NULL) STRICT, WITHOUT ROWID;"

/* Who may connect: tokens that were given out, certificates that were made, and what was revoked. Since version 4. */
#define CREDENTIAL_TABLES                                                                                              \
    "CREATE TABLE token (hash BLOB PRIMARY KEY," /* SHA-256 of the secret */                                           \
    "kind INT NOT NULL, name TEXT NOT NULL, labels TEXT NOT NULL, role TEXT NOT NULL, created_by TEXT NOT NULL,"       \
    "created_ns INT NOT NULL, expires_ns INT NOT NULL, used_ns INT NOT NULL) STRICT, WITHOUT ROWID;"                   \
    "CREATE TABLE credential (serial TEXT PRIMARY KEY, kind INT NOT NULL, name TEXT NOT NULL, labels TEXT NOT NULL,"   \
    "key_sha256 BLOB NOT NULL, made_ns INT NOT NULL, not_before_ns INT NOT NULL, not_after_ns INT NOT NULL,"           \
    "how TEXT NOT NULL, peer TEXT NOT NULL) STRICT, WITHOUT ROWID;"                                                    \
    "CREATE TABLE revocation (id INTEGER PRIMARY KEY, kind INT NOT NULL, name TEXT NOT NULL,"                          \
    "serial TEXT NOT NULL," /* '': all of the name that were made until then */                                        \
    "revoked_ns INT NOT NULL, revoked_by TEXT NOT NULL) STRICT;"

/* The certificate that it came with last. Since version 5: of those before, one that began when it was last seen. */
#define AGENT_CERTIFIED "serial TEXT NOT NULL DEFAULT ''"
#define AGENT_SINCE     "certified_ns INT NOT NULL DEFAULT 0"

static const char catalog_schema[] =
    /* id is never given twice, and the folder's name ends in it. */
    "CREATE TABLE partition ("
    "id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "rank INT NOT NULL,"  /* order of arrival: the id, or that of the partition that reindex made this from */
    "name TEXT NOT NULL," /* of the folder */
    "begin_ns INT NOT NULL, end_ns INT NOT NULL," /* arrival: [begin, end) */
    "state INT NOT NULL,"                         /* enum partition_state */
    "settled INT NOT NULL,"                       /* 1: flows.db never changes again */
    "bodies_expired INT NOT NULL,"                /* 1: its packs were dropped */
    /* as in struct partition_sums; exact once the partition is settled */
    "chunks INT NOT NULL, rows INT NOT NULL, packets INT NOT NULL, head_bytes INT NOT NULL, body_bytes INT NOT NULL,"
    "bodies INT NOT NULL, database_bytes INT NOT NULL, heads INT NOT NULL,"
    "since_ns INT NOT NULL, until_ns INT NOT NULL, last_arrived_ns INT NOT NULL) STRICT;"

    /* What closed partitions hold of each stream. */
    "CREATE TABLE portion (partition INT NOT NULL, " PORTION_TABLE
    ", PRIMARY KEY (epoch, partition)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX portion_partition ON portion (partition);"

    /* Of streams of which partitions were dropped: their cursors, and the times of the packets dropped. */
    "CREATE TABLE stream (epoch BLOB PRIMARY KEY, agent TEXT NOT NULL, capture TEXT NOT NULL, head_next INT NOT NULL, "
    "ended INT NOT NULL, restored INT NOT NULL, first_ns INT NOT NULL, last_ns INT NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INT NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE agent (name TEXT PRIMARY KEY, install BLOB NOT NULL, software TEXT NOT NULL, labels TEXT NOT NULL, "
    "peer TEXT NOT NULL, status TEXT NOT NULL, first_seen_ns INT NOT NULL, last_seen_ns INT NOT NULL, " AGENT_CERTIFIED
    ", " AGENT_SINCE ") STRICT, WITHOUT ROWID;"

    /* [from, to]: to is NULL while the agent has it. */
    "CREATE TABLE address (agent TEXT NOT NULL, family INT NOT NULL, addr BLOB NOT NULL, from_ns INT NOT NULL, to_ns "
    "INT, "
    "PRIMARY KEY (agent, family, addr, from_ns)) STRICT, WITHOUT ROWID;"

    ORDERS_TABLE USERS_TABLE CREDENTIAL_TABLES;

static const char *const catalog_steps[CATALOG_VERSION] = {[1] = ORDERS_TABLE,
                                                           [2] = USERS_TABLE,
                                                           [3] = CREDENTIAL_TABLES,
                                                           [4] = "ALTER TABLE agent ADD COLUMN " AGENT_CERTIFIED
                                                                 "; ALTER TABLE agent ADD COLUMN " AGENT_SINCE
                                                                 "; UPDATE agent SET certified_ns = last_seen_ns;"};

#define SUMS_COLUMNS                                                                                                   \
    "chunks, rows, packets, head_bytes, body_bytes, bodies, database_bytes, heads, since_ns, until_ns, "               \
    "last_arrived_ns"

#define TOKEN_COLUMNS      "hash, kind, name, labels, role, created_by, created_ns, expires_ns, used_ns"
#define CREDENTIAL_COLUMNS "serial, kind, name, labels, key_sha256, made_ns, not_before_ns, not_after_ns, how, peer"

static const char *const catalog_sql[] = {
    [CATALOG_PARTITION_LIST] = "SELECT id, rank, name, begin_ns, end_ns, state, settled, bodies_expired, " SUMS_COLUMNS
                               " FROM partition ORDER BY rank, id",
    [CATALOG_PARTITION_LAST] = "SELECT seq FROM sqlite_sequence WHERE name = 'partition'",
    [CATALOG_PARTITION_PUT] =
        "INSERT INTO partition (id, rank, name, begin_ns, end_ns, state, settled, bodies_expired, " SUMS_COLUMNS
        ") VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
    [CATALOG_PARTITION_STATE] = "UPDATE partition SET state = ? WHERE id = ?",
    [CATALOG_PARTITION_UPDATE] = "UPDATE partition SET state = ?, settled = ?, bodies_expired = ?, (" SUMS_COLUMNS
                                 ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
    [CATALOG_PARTITION_REMOVE] = "DELETE FROM partition WHERE id = ?",
    [CATALOG_PORTION_PUT] =
        "INSERT OR REPLACE INTO portion (" PORTION_COLUMNS ", partition) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CATALOG_PORTION_FIND] = "SELECT partition, " PORTION_COLUMNS " FROM portion WHERE epoch = ?",
    [CATALOG_PORTION_HOLDERS] = "SELECT partition FROM portion WHERE epoch = ? AND first_seq <= ? AND head_next > ?",
    [CATALOG_PORTION_LIST] = "SELECT partition, " PORTION_COLUMNS " FROM portion WHERE partition = ?",
    [CATALOG_PORTION_REMOVE] = "DELETE FROM portion WHERE partition = ?",
    [CATALOG_STREAM_FIND] =
        "SELECT agent, capture, head_next, ended, restored, first_ns, last_ns FROM stream WHERE epoch = ?",
    [CATALOG_STREAM_PUT] =
        "INSERT INTO stream (epoch, agent, capture, head_next, ended, restored, first_ns, last_ns) VALUES "
        "(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (epoch) DO UPDATE SET head_next = max(head_next, "
        "excluded.head_next), ended = max(ended, excluded.ended), restored = iif(excluded.head_next >= head_next, "
        "excluded.restored, restored), first_ns = "
        "min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns)",
    [CATALOG_STREAM_DROPPED] = "SELECT agent, capture, first_ns, last_ns FROM stream WHERE first_ns <= last_ns AND "
                               "first_ns <= ? AND last_ns >= ?",
    /* Copies for a catalog made anew: what COPY gives is bound to PASTE (streams: PUT). */
    [CATALOG_STREAM_COPY] = "SELECT epoch, agent, capture, head_next, ended, restored, first_ns, last_ns FROM stream",
    [CATALOG_AGENT_COPY] =
        "SELECT name, install, software, labels, peer, status, first_seen_ns, last_seen_ns, serial, certified_ns FROM "
        "agent",
    [CATALOG_AGENT_PASTE] = "INSERT OR IGNORE INTO agent VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CATALOG_ADDRESS_COPY] = "SELECT agent, family, addr, from_ns, to_ns FROM address",
    [CATALOG_ADDRESS_PASTE] = "INSERT OR IGNORE INTO address VALUES (?, ?, ?, ?, ?)",
    [CATALOG_META_GET] = "SELECT value FROM meta WHERE name = ?",
    [CATALOG_META_ADD] =
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + "
        "excluded.value",
    [CATALOG_AGENT_FIND] = "SELECT install, last_seen_ns FROM agent WHERE name = ?",
    /* status NULL leaves the old one */
    [CATALOG_AGENT_PUT] =
        "INSERT INTO agent (name, install, software, labels, peer, status, first_seen_ns, last_seen_ns, serial, "
        "certified_ns) VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, ''), ?7, ?7, ?8, ?9) ON CONFLICT (name) DO UPDATE SET "
        "install = excluded.install, software = excluded.software, labels = excluded.labels, peer = excluded.peer, "
        "status = coalesce(?6, status), last_seen_ns = max(last_seen_ns, excluded.last_seen_ns), serial = "
        "excluded.serial, certified_ns = excluded.certified_ns",
    [CATALOG_AGENT_LIST] =
        "SELECT name, software, labels, peer, status, first_seen_ns, last_seen_ns, serial, certified_ns FROM agent "
        "ORDER BY name",
    [CATALOG_ADDRESS_LIST] =
        "SELECT family, addr, from_ns, to_ns FROM address WHERE agent = ? ORDER BY to_ns IS NOT NULL, "
        "from_ns DESC, family, addr LIMIT ?",
    [CATALOG_ADDRESS_PUT] =
        "INSERT OR IGNORE INTO address (agent, family, addr, from_ns, to_ns) VALUES (?, ?, ?, ?, NULL)",
    [CATALOG_ADDRESS_END] =
        "UPDATE address SET to_ns = max(?, from_ns) WHERE agent = ? AND family = ? AND addr = ? AND to_ns IS NULL",
    [CATALOG_ADDRESS_TRIM] =
        "DELETE FROM address WHERE agent = ?1 AND to_ns IS NOT NULL AND to_ns <= (SELECT to_ns FROM "
        "address WHERE agent = ?1 AND to_ns IS NOT NULL ORDER BY to_ns DESC LIMIT 1 OFFSET ?2)",
    [CATALOG_ORDER_PUT] = "INSERT OR REPLACE INTO orders (id, request, created_ns, ended_ns, why, agents) VALUES "
                          "(?, ?, ?, ?, ?, ?)",
    [CATALOG_ORDER_REMOVE] = "DELETE FROM orders WHERE id = ?",
    [CATALOG_ORDER_LIST] = "SELECT id, request, created_ns, ended_ns, why, agents FROM orders ORDER BY created_ns, id",
    [CATALOG_ORDER_PASTE] = "INSERT OR IGNORE INTO orders (id, request, created_ns, ended_ns, why, agents) VALUES "
                            "(?, ?, ?, ?, ?, ?)",
    [CATALOG_USER_PUT] =
        "INSERT OR REPLACE INTO users (name, role, bounds, created_ns, created_by) VALUES (?, ?, ?, ?, ?)",
    [CATALOG_USER_REMOVE] = "DELETE FROM users WHERE name = ?",
    [CATALOG_USER_LIST] = "SELECT name, role, bounds, created_ns, created_by FROM users ORDER BY name",
    [CATALOG_USER_PASTE] =
        "INSERT OR IGNORE INTO users (name, role, bounds, created_ns, created_by) VALUES (?, ?, ?, ?, ?)",
    [CATALOG_TOKEN_PUT] = "INSERT OR REPLACE INTO token (" TOKEN_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CATALOG_TOKEN_FIND] = "SELECT " TOKEN_COLUMNS " FROM token WHERE hash = ?",
    [CATALOG_TOKEN_USE] = "UPDATE token SET used_ns = ? WHERE hash = ?",
    [CATALOG_TOKEN_LIST] = "SELECT " TOKEN_COLUMNS " FROM token ORDER BY created_ns, hash",
    [CATALOG_TOKEN_FORGET] = "DELETE FROM token WHERE expires_ns < ?",
    [CATALOG_TOKEN_VOID] = "DELETE FROM token WHERE kind = ? AND name = ? AND used_ns = 0",
    [CATALOG_TOKEN_PASTE] = "INSERT OR IGNORE INTO token (" TOKEN_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CATALOG_CREDENTIAL_PUT] = "INSERT INTO credential (" CREDENTIAL_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CATALOG_CREDENTIAL_FIND] = "SELECT " CREDENTIAL_COLUMNS " FROM credential WHERE serial = ?",
    [CATALOG_CREDENTIAL_LIST] = "SELECT " CREDENTIAL_COLUMNS " FROM credential ORDER BY kind, name, made_ns, serial",
    [CATALOG_CREDENTIAL_FORGET] = "DELETE FROM credential WHERE kind = ? AND name = ? AND not_after_ns < ?",
    [CATALOG_CREDENTIAL_NEWEST] =
        "SELECT ifnull(max(made_ns), 0), ifnull(max(not_before_ns), 0) FROM credential WHERE kind = ? AND name = ?",
    [CATALOG_CREDENTIAL_NAMED] =
        "SELECT " CREDENTIAL_COLUMNS " FROM credential WHERE kind = ? AND name = ?"
        " AND serial NOT IN (SELECT serial FROM revocation) ORDER BY made_ns DESC, not_before_ns DESC LIMIT 1",
    [CATALOG_CREDENTIAL_PASTE] =
        "INSERT OR IGNORE INTO credential (" CREDENTIAL_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CATALOG_REVOCATION_PUT] =
        "INSERT INTO revocation (kind, name, serial, revoked_ns, revoked_by) VALUES (?, ?, ?, ?, ?)",
    [CATALOG_REVOCATION_LIST] = "SELECT kind, name, serial, revoked_ns, revoked_by FROM revocation ORDER BY id",
};

const struct db_kind catalog_kind = {
    .name = "catalog",
    .schema = catalog_schema,
    .application = 0x46444331, /* "FDC1" */
    .version = CATALOG_VERSION,
    .steps = catalog_steps,
    .sql = catalog_sql,
    .sql_count = CATALOG_SQL_COUNT,
    .begin = "catalog.begin",
    .commit = "catalog.commit",
    .done = "catalog.commit.done",
};
