/*
 * keyboard: single keys from the person at the terminal.
 */
#ifndef FLEETDUMP_COLLECTOR_CLI_KEYBOARD_H
#define FLEETDUMP_COLLECTOR_CLI_KEYBOARD_H

#include <stdbool.h>

/* Whether somebody sits there: questions can be seen on stderr and answered on standard input. */
bool keyboard_is_there(void);

/* From now on keys come at once and are not shown, until keyboard_close (or the process's end). */
void keyboard_open(void);
void keyboard_close(void);

int keyboard_fd(void);  /* -1 if not open */
int keyboard_key(void); /* that was pressed, lower case; 0: none */

#endif
