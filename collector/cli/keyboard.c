#include "collector/cli/keyboard.h"
#include <ctype.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool open_now;

bool keyboard_is_there(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void keyboard_open(void)
{
    static bool at_exit;
    struct termios raw;
    if (open_now || tcgetattr(STDIN_FILENO, &before))
        return;
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    open_now = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    if (!at_exit)
        at_exit = atexit(keyboard_close) == 0;
}

void keyboard_close(void)
{
    if (open_now)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    open_now = false;
}

int keyboard_fd(void)
{
    return open_now ? STDIN_FILENO : -1;
}

int keyboard_key(void)
{
    unsigned char key;
    return open_now && read(STDIN_FILENO, &key, 1) == 1 ? tolower(key) : 0;
}
