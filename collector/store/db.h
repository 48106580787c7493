/*
 * db: SQLite as the store uses it: one connection with its prepared statements, and errors that name the file.
 *
 * A connection belongs to one thread at a time. Statements are fixed texts from a table; values are only ever bound.
 * Numbers are kept in SQLite's signed 64 bits: what does not fit (no time does not, before the year 2262) is stored as
 * the greatest.
 */
#ifndef FLEETDUMP_COLLECTOR_STORE_DB_H
#define FLEETDUMP_COLLECTOR_STORE_DB_H

#include "common/base/error.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A kind of database: how one is made and recognised, and what is asked of it. */
struct db_kind {
    const char *name;         /* "partition": for messages */
    const char *schema;       /* statements that make an empty one */
    uint32_t application;     /* application_id: the file is one of this kind */
    uint32_t version;         /* user_version */
    const char *const *steps; /* steps[v]: statements that make version v + 1 of version v; NULL: there are none */
    const char *const *sql;   /* statements by number */
    unsigned sql_count;
    const char *begin, *commit, *done; /* fault points */
};

enum db_mode {
    DB_MAKE,  /* must not exist: WAL, synchronous=FULL, schema */
    DB_WRITE, /* the one connection that writes */
    DB_READ,
};

struct db;

/* Opens the file; DB_WRITE brings one of an older version up to date. ERROR_NOT_FOUND, ERROR_CORRUPT (not a database,
 * or not of this kind), ERROR_VERSION (made by a newer program, or by an older one and not to be written),
 * ERROR_BUSY. */
MUST_CHECK int db_open(const char *path, enum db_mode mode, const struct db_kind *kind, struct db **out,
                       struct error *e);
void db_close(struct db *db); /* NULL is fine */
const char *db_path(const struct db *db);

/* Runs fixed statements without values or results. */
MUST_CHECK int db_exec(struct db *db, const char *sql, struct error *e);

/* A transaction: db_begin takes the write lock at once. db_commit that fails leaves it open: db_rollback then, which
 * cannot fail. db_snapshot begins a reading one; it ends by db_rollback. */
MUST_CHECK int db_begin(struct db *db, struct error *e);
MUST_CHECK int db_commit(struct db *db, struct error *e);
void db_rollback(struct db *db);
MUST_CHECK int db_snapshot(struct db *db, struct error *e);

/* Copies the WAL into the database, syncs both and empties the WAL. ERROR_BUSY while readers hold it. */
MUST_CHECK int db_checkpoint(struct db *db, struct error *e);

/* Makes the database a file by itself, without WAL. ERROR_BUSY, at once, while anybody else has it open. */
MUST_CHECK int db_make_plain(struct db *db, struct error *e);

/* What SQLite finds wrong with the file's structure: calls say for each finding, at most 20. */
MUST_CHECK int db_integrity(struct db *db, void (*say)(void *context, const char *text), void *context,
                            struct error *e);

/* Sets e from the connection's last error; `what` is what was tried. */
int db_fail(struct db *db, const char *what, struct error *e);

/*
 * One run of a statement: start, bind the values in order, step until 0, end.
 *
 *     struct sql q = sql_start(db, PARTITION_HEAD_FIND);
 *     sql_u64(&q, stream);
 *     while ((r = sql_step(&q, e)) > 0) ... sql_get_u64(&q, 0) ...
 *     sql_end(&q);
 *
 * Failures of start and bind are kept and come out of step. Blobs and texts that are bound must live until sql_end;
 * those read are valid until the next step.
 */
struct sql {
    struct db *db;
    sqlite3_stmt *stmt;
    int at; /* number of values bound */
    int rc; /* first failure */
    bool owned;
};

struct sql sql_start(struct db *db, unsigned number);
/* The same with a statement of its own, so that the same number may run twice at a time. */
struct sql sql_start_own(struct db *db, unsigned number);
void sql_u64(struct sql *q, uint64_t v);
void sql_bits(struct sql *q, uint64_t v); /* all 64 bits: hashes */
void sql_null(struct sql *q);
void sql_text(struct sql *q, const char *text); /* NULL binds NULL */
void sql_blob(struct sql *q, const void *data, size_t len);

/* Binds each column of another statement's row. */
void sql_copy(struct sql *q, const struct sql *from);

/* 1: a row; 0: done; or a negative code. */
MUST_CHECK int sql_step(struct sql *q, struct error *e);
void sql_end(struct sql *q);

/* Steps a statement that gives no rows, and ends it. */
MUST_CHECK int sql_run(struct sql *q, struct error *e);

/* The id of the row that the last insert made. */
uint64_t db_last_id(struct db *db);

/* Makes the statement ready to be bound and stepped again. */
void sql_again(struct sql *q);

/* Values of the row; never NULL: missing ones are 0 and "". Negative numbers (nobody writes them) read as 0. */
uint64_t sql_get_u64(const struct sql *q, int column);
uint64_t sql_get_bits(const struct sql *q, int column);
const char *sql_get_text(const struct sql *q, int column);
const void *sql_get_blob(const struct sql *q, int column, size_t *len);
bool sql_get_null(const struct sql *q, int column);

/* A blob of exactly `len` bytes into `to`; false (and zeros) if it has another length. */
bool sql_get_bytes(const struct sql *q, int column, void *to, size_t len);

#endif
