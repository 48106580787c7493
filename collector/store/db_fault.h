/* db_fault: fault points in front of what SQLite itself writes, cuts and removes: sqlite.write, sqlite.cut,
 * sqlite.unlink. For db.c alone. */
#ifndef FLEETDUMP_COLLECTOR_STORE_DB_FAULT_H
#define FLEETDUMP_COLLECTOR_STORE_DB_FAULT_H

#ifdef FLEETDUMP_FAULTS
void db_fault_install(void); /* any thread, as often as it likes */
#else
static inline void db_fault_install(void)
{
}
#endif

#endif
