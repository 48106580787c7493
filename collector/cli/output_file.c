#include "collector/cli/output_file.h"
#include "common/base/fault.h"
#include "common/base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ signals */

#define UNFINISHED_MAX 4

/* Names that the signal handler removes. A name is put here before its file is made and taken out after the file was renamed or
 * removed, so there is no moment at which a file would stay; removing what is not there does no harm. */
static char *volatile unfinished[UNFINISHED_MAX];

static void on_signal(int number)
{
    for (int i = 0; i < UNFINISHED_MAX; i++)
        if (unfinished[i])
            (void)unlink(unfinished[i]);
    (void)raise(number); /* by default again: SA_RESETHAND. The shell sees what ended us: 128 + number */
}

static void watch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction ours = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old;
    sigemptyset(&ours.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) /* nohup ignores: so do we */
            (void)sigaction(numbers[i], &ours, NULL);
}

static void replace(char *old, char *new)
{
    for (int i = 0; i < UNFINISHED_MAX; i++)
        if (unfinished[i] == old) {
            unfinished[i] = new;
            return;
        }
}

/* ------------------------------------------------------------------ opening */

static int open_standard(bool binary, struct output_file *f, struct error *e)
{
    if (binary && isatty(STDOUT_FILENO))
        return error_set(e, ERROR_USAGE,
                         "packets are not for a terminal: use -w FILE, a pipe (-w - | wireshark -k -i -), or "
                         "`fleetdump print`");
    f->fd = STDOUT_FILENO;
    f->standard = true;
    return 0;
}

static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int open_temporary(struct output_file *f, struct error *e)
{
    if (asprintf(&f->temporary, "%s.XXXXXX", f->path) < 0) {
        f->temporary = NULL;
        return error_set(e, ERROR_MEMORY, "no memory for a file name");
    }
    replace(NULL, f->temporary);
    watch_signals();
    f->fd = mkostemp(f->temporary, O_CLOEXEC);
    if (f->fd < 0)
        return error_sys(e, errno, "cannot make a file beside %s", f->path);
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(f->fd, 0666 & ~mask);
    return 0;
}

int output_file_open(const char *path, bool binary, struct output_file *f, struct error *e)
{
    *f = (struct output_file)OUTPUT_FILE_NONE;
    if (strcmp(path, "-") == 0)
        return open_standard(binary, f, e);
    f->path = strdup(path);
    if (!f->path)
        return error_set(e, ERROR_MEMORY, "no memory for a file name");
    if (!is_special(path))
        return open_temporary(f, e);
    f->fd = open(path, O_WRONLY | O_CLOEXEC);
    return f->fd < 0 ? error_sys(e, errno, "cannot write %s", path) : 0;
}

/* ------------------------------------------------------------------ writing, and the end */

int output_file_write(struct output_file *f, const void *data, size_t len, struct error *e)
{
    struct error why = ERROR_INIT;
    int r = fs_write(f->fd, data, len, "cli.write", &why);
    const char *name = f->path ? f->path : "to standard output";
    if (r && why.sys == EPIPE)
        return error_set(e, ERROR_CANCELLED, "%s", "");
    if (r && why.sys)
        return error_sys(e, why.sys, "cannot write %s", name);
    if (r)
        return error_set(e, r, "cannot write %s: %s", name, why.text);
    return 0;
}

int output_file_keep(struct output_file *f, struct error *e)
{
    if (!f->temporary)
        return 0;
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) != 0)
        return error_sys(e, errno, "cannot finish %s", f->path);
    int sys = FAULT("cli.rename");
    if (sys || rename(f->temporary, f->path) != 0)
        return error_sys(e, sys ? sys : errno, "cannot give %s its name", f->path);
    replace(f->temporary, NULL);
    free(f->temporary);
    f->temporary = NULL;
    return 0;
}

void output_file_close(struct output_file *f)
{
    if (f->fd >= 0 && !f->standard)
        (void)close(f->fd);
    if (f->temporary) {
        (void)unlink(f->temporary);
        replace(f->temporary, NULL);
    }
    free(f->temporary);
    free(f->path);
    *f = (struct output_file)OUTPUT_FILE_NONE;
}
