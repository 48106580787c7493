/*
 * log: what a daemon says, one line each on stderr: "2026-11-22T03:00:00.123Z warn  spool: ...". Under systemd
 * (JOURNAL_STREAM set) lines begin with the kernel's <N> priority instead of time and level.
 */
#ifndef FLEETDUMP_BASE_LOG_H
#define FLEETDUMP_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above this level are dropped; INFO at the start. `program` stands in each line and must stay valid. */
void log_setup(const char *program, enum log_level most);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
