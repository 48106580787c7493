#include "collector/store/db.h"

#include "collector/store/db_fault.h"
#include "common/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_TIMEOUT_MS 10000
#define FINDINGS_MAX    20

struct db {
    sqlite3 *handle;
    const struct db_kind *kind;
    char *path;
    sqlite3_stmt **statements; /* kind->sql_count, prepared at first use */
};

static int code_of(int rc, int sys)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return ERROR_FULL;
    case SQLITE_NOMEM:
        return ERROR_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERROR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT: /* our statements break none on sound content */
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: /* a table that the schema's version promises is not there */
        return ERROR_CORRUPT;
    case SQLITE_CANTOPEN:
        return sys == ENOENT ? ERROR_NOT_FOUND : ERROR_SYSTEM;
    default:
        return sys == ENOSPC || sys == EDQUOT ? ERROR_FULL : ERROR_SYSTEM;
    }
}

static int fail(const char *path, sqlite3 *handle, const char *what, struct error *e)
{
    int rc = handle ? sqlite3_extended_errcode(handle) : SQLITE_NOMEM;
    int sys = handle ? sqlite3_system_errno(handle) : 0;
    int code = code_of(rc, sys);
    const char *advice = code == ERROR_CORRUPT ? " (the file is damaged: stop the collector and run check)" : "";
    error_set(e, code, "%s: cannot %s: %s%s%s%s", path, what, handle ? sqlite3_errmsg(handle) : "out of memory",
              sys ? ": " : "", sys ? strerrordesc_np(sys) : "", advice);
    if (e)
        e->sys = sys;
    return code;
}

int db_fail(struct db *db, const char *what, struct error *e)
{
    return fail(db->path, db->handle, what, e);
}

const char *db_path(const struct db *db)
{
    return db->path;
}

int db_exec(struct db *db, const char *sql, struct error *e)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(db, "use it", e);
}

/* The number that a PRAGMA gives. */
static int read_pragma(struct db *db, const char *sql, uint32_t *value, struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *value = (uint32_t)sqlite3_column_int64(stmt, 0);
    int r = rc == SQLITE_ROW ? 0 : db_fail(db, "read it", e);
    sqlite3_finalize(stmt);
    return r;
}

/* Brings the file from an older version to ours, all or nothing. */
static int take_steps(struct db *db, uint32_t version, struct error *e)
{
    char sql[64];
    int r = db_begin(db, e);
    for (; !r && version < db->kind->version; version++)
        r = db_exec(db, db->kind->steps[version], e);
    snprintf(sql, sizeof(sql), "PRAGMA user_version=%u", db->kind->version);
    if (!r)
        r = db_exec(db, sql, e);
    if (!r)
        r = db_commit(db, e);
    if (r)
        db_rollback(db);
    return r;
}

static int check_version(struct db *db, enum db_mode mode, uint32_t version, struct error *e)
{
    uint32_t known = db->kind->version;
    if (version == known)
        return 0;
    if (version > known || !db->kind->steps || !version)
        return error_set(e, ERROR_VERSION,
                         "%s has version %u of the %s format, this program knows %u: use the program that wrote it",
                         db->path, version, db->kind->name, known);
    if (mode != DB_WRITE)
        return error_set(
            e, ERROR_VERSION,
            "%s has version %u of the %s format, an older one: start the collector once, which brings it up to date",
            db->path, version, db->kind->name);
    return take_steps(db, version, e);
}

static int check_kind(struct db *db, enum db_mode mode, struct error *e)
{
    uint32_t application = 0, version = 0;
    int r = read_pragma(db, "PRAGMA application_id", &application, e);
    if (!r)
        r = read_pragma(db, "PRAGMA user_version", &version, e);
    if (r)
        return r;
    if (application != db->kind->application)
        return error_set(e, ERROR_CORRUPT, "%s is no %s database of fleetdump", db->path, db->kind->name);
    return check_version(db, mode, version, e);
}

/* What a file may contain does not decide what SQLite does: no functions or triggers of the file's own run, pages are
 * checked as they are read. */
static void harden(sqlite3 *handle)
{
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_timeout(handle, BUSY_TIMEOUT_MS);
}

static int make_schema(struct db *db, struct error *e)
{
    char sql[128];
    snprintf(sql, sizeof(sql), "PRAGMA application_id=%u; PRAGMA user_version=%u; COMMIT", db->kind->application,
             db->kind->version);
    int r = db_exec(db, "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; BEGIN IMMEDIATE", e);
    if (!r)
        r = db_exec(db, db->kind->schema, e);
    if (!r)
        r = db_exec(db, sql, e);
    return r ? r : db_checkpoint(db, e);
}

static int set_up(struct db *db, enum db_mode mode, struct error *e)
{
    int r = db_exec(db, "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF", e);
    if (!r && mode == DB_MAKE)
        r = make_schema(db, e);
    if (!r)
        r = check_kind(db, mode, e);
    if (!r && mode == DB_WRITE)
        r = db_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", e);
    if (!r && mode != DB_READ) /* 32 MiB: a checkpoint is paid by the commit that it happens in */
        r = db_exec(db, "PRAGMA wal_autocheckpoint=4096; PRAGMA journal_size_limit=67108864", e);
    if (mode == DB_READ)
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return r;
}

int db_open(const char *path, enum db_mode mode, const struct db_kind *kind, struct db **out, struct error *e)
{
    db_fault_install();
    struct db *db = calloc(1, sizeof(*db));
    if (db) {
        db->kind = kind;
        db->path = strdup(path);
        db->statements = calloc(kind->sql_count, sizeof(*db->statements));
    }
    if (!db || !db->path || !db->statements) {
        db_close(db);
        return error_set(e, ERROR_MEMORY, "%s: no memory to open it", path);
    }
    int flags = mode == DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (mode == DB_MAKE)
        flags |= SQLITE_OPEN_CREATE;
    flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    int r = 0;
    if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK) {
        r = fail(path, db->handle, "open it", e);
    } else {
        harden(db->handle);
        r = set_up(db, mode, e);
    }
    if (r) {
        db_close(db);
        return r;
    }
    *out = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (unsigned i = 0; db->statements && i < db->kind->sql_count; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close_v2(db->handle);
    free(db->statements);
    free(db->path);
    free(db);
}

/* A fault point that pretends an errno. */
static int pass(struct db *db, const char *point, struct error *e)
{
    int sys = FAULT(point);
    return sys ? error_sys(e, sys, "%s: cannot write it", db->path) : 0;
}

int db_begin(struct db *db, struct error *e)
{
    int r = pass(db, db->kind->begin, e);
    return r ? r : db_exec(db, "BEGIN IMMEDIATE", e);
}

int db_commit(struct db *db, struct error *e)
{
    int r = pass(db, db->kind->commit, e);
    if (!r)
        r = db_exec(db, "COMMIT", e);
    return r ? r : pass(db, db->kind->done, e);
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

int db_snapshot(struct db *db, struct error *e)
{
    uint32_t version;
    int r = db_exec(db, "BEGIN", e);
    if (!r) /* the snapshot is taken by the first read */
        r = read_pragma(db, "SELECT count(*) FROM sqlite_schema", &version, e);
    if (r)
        db_rollback(db);
    return r;
}

int db_checkpoint(struct db *db, struct error *e)
{
    int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_fail(db, "copy its log into it", e);
}

int db_make_plain(struct db *db, struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3_busy_timeout(db->handle, 0);
    int rc = sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode=DELETE", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    const char *mode = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    int r = 0;
    if (rc != SQLITE_ROW)
        r = db_fail(db, "finish it", e);
    else if (!mode || strcmp(mode, "delete") != 0)
        r = error_set(e, ERROR_BUSY, "%s is in use", db->path);
    sqlite3_finalize(stmt);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    return r;
}

int db_integrity(struct db *db, void (*say)(void *context, const char *text), void *context, struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db->handle, "PRAGMA integrity_check(20)", -1, &stmt, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
        if (text && strcmp(text, "ok") != 0)
            say(context, text);
    }
    int r = rc == SQLITE_DONE ? 0 : db_fail(db, "check it", e);
    sqlite3_finalize(stmt);
    return r;
}

struct sql sql_start(struct db *db, unsigned number)
{
    struct sql q = {.db = db};
    sqlite3_stmt **slot = &db->statements[number];
    if (*slot)
        sqlite3_reset(*slot);
    else
        q.rc = sqlite3_prepare_v3(db->handle, db->kind->sql[number], -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
    q.stmt = *slot;
    return q;
}

struct sql sql_start_own(struct db *db, unsigned number)
{
    struct sql q = {.db = db, .owned = true};
    q.rc = sqlite3_prepare_v2(db->handle, db->kind->sql[number], -1, &q.stmt, NULL);
    return q;
}

static void keep(struct sql *q, int rc)
{
    if (q->rc == SQLITE_OK)
        q->rc = rc;
}

void sql_u64(struct sql *q, uint64_t v)
{
    keep(q, sqlite3_bind_int64(q->stmt, ++q->at, v > INT64_MAX ? INT64_MAX : (sqlite3_int64)v));
}

void sql_bits(struct sql *q, uint64_t v)
{
    sqlite3_int64 bits;
    memcpy(&bits, &v, sizeof(bits));
    keep(q, sqlite3_bind_int64(q->stmt, ++q->at, bits));
}

void sql_null(struct sql *q)
{
    keep(q, sqlite3_bind_null(q->stmt, ++q->at));
}

void sql_text(struct sql *q, const char *text)
{
    keep(q, sqlite3_bind_text(q->stmt, ++q->at, text, -1, SQLITE_STATIC));
}

void sql_blob(struct sql *q, const void *data, size_t len)
{
    keep(q, sqlite3_bind_blob64(q->stmt, ++q->at, data ? data : "", len, SQLITE_STATIC));
}

void sql_copy(struct sql *q, const struct sql *from)
{
    for (int i = 0; i < sqlite3_column_count(from->stmt); i++)
        keep(q, sqlite3_bind_value(q->stmt, ++q->at, sqlite3_column_value(from->stmt, i)));
}

int sql_step(struct sql *q, struct error *e)
{
    if (q->rc == SQLITE_OK || q->rc == SQLITE_ROW)
        q->rc = sqlite3_step(q->stmt);
    if (q->rc == SQLITE_ROW)
        return 1;
    return q->rc == SQLITE_DONE
               ? 0
               : db_fail(q->db, !q->stmt || sqlite3_stmt_readonly(q->stmt) ? "read it" : "write it", e);
}

void sql_end(struct sql *q)
{
    if (q->owned) {
        sqlite3_finalize(q->stmt);
    } else if (q->stmt) {
        sqlite3_reset(q->stmt);
        sqlite3_clear_bindings(q->stmt);
    }
    q->stmt = NULL;
}

int sql_run(struct sql *q, struct error *e)
{
    int r = sql_step(q, e);
    sql_end(q);
    return r < 0 ? r : 0;
}

uint64_t db_last_id(struct db *db)
{
    return (uint64_t)sqlite3_last_insert_rowid(db->handle);
}

void sql_again(struct sql *q)
{
    if (q->stmt)
        sqlite3_reset(q->stmt);
    q->at = 0;
    if (q->rc == SQLITE_DONE || q->rc == SQLITE_ROW)
        q->rc = SQLITE_OK;
}

uint64_t sql_get_u64(const struct sql *q, int column)
{
    sqlite3_int64 v = sqlite3_column_int64(q->stmt, column);
    return v < 0 ? 0 : (uint64_t)v;
}

uint64_t sql_get_bits(const struct sql *q, int column)
{
    sqlite3_int64 v = sqlite3_column_int64(q->stmt, column);
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

const char *sql_get_text(const struct sql *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q->stmt, column);
    return text ? text : "";
}

const void *sql_get_blob(const struct sql *q, int column, size_t *len)
{
    const void *data = sqlite3_column_blob(q->stmt, column);
    *len = (size_t)sqlite3_column_bytes(q->stmt, column);
    return data ? data : "";
}

bool sql_get_null(const struct sql *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

bool sql_get_bytes(const struct sql *q, int column, void *to, size_t len)
{
    size_t have = 0;
    const void *data = sql_get_blob(q, column, &have);
    if (have != len) {
        memset(to, 0, len);
        return false;
    }
    memcpy(to, data, len);
    return true;
}
