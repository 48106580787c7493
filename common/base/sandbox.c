/* sandbox: the order of the locks: no_new_privs first, since the others want it; seccomp last, since it forbids what closes the others. */
#include "common/base/sandbox_impl.h"

#include "common/base/fault.h"
#include "common/base/log.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RESOLVER_MAX 16u

static struct {
    dev_t device;
    ino_t inode;
} resolver[RESOLVER_MAX]; /* as it was when the locks were closed; inode 0: not there */

static bool looked;

static void look_at_resolver(void)
{
    struct stat st;
    looked = true;
    for (size_t i = 0; i < RESOLVER_MAX && sandbox_resolver[i].path; i++) {
        bool there = stat(sandbox_resolver[i].path, &st) == 0;
        resolver[i].device = there ? st.st_dev : 0;
        resolver[i].inode = there ? st.st_ino : 0;
    }
}

bool sandbox_outdated(void)
{
    struct stat st;
    for (size_t i = 0; looked && i < RESOLVER_MAX && sandbox_resolver[i].path; i++)
        if (stat(sandbox_resolver[i].path, &st) == 0 &&
            (st.st_dev != resolver[i].device || st.st_ino != resolver[i].inode))
            return true;
    return false;
}

static void say_what_build_adds(void)
{
    static bool told; /* children inherit it */
    if (told)
        return;
    told = true;
    if (SANDBOX_SANITIZED)
        log_info("built with a sanitizer: processes may do more than in other builds (common/base/sandbox.h)");
#ifdef SANDBOX_BUILD_FOLDER
    log_info("built for coverage: processes may write into " SANDBOX_BUILD_FOLDER);
#endif
}

int sandbox_enter(enum sandbox_kind kind, const struct sandbox_needs *needs, struct error *e)
{
    const struct sandbox_profile *p = &sandbox_profiles[kind];
    say_what_build_adds();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_sys(e, errno, "%s: cannot give up the right to new privileges", p->name);
    look_at_resolver();
    int code = sandbox_lock_places(p, needs, e);
    if (!code)
        code = sandbox_lock_calls(p, needs, e);
    if (code)
        return code;
    (void)FAULT(p->point); /* where the process tries what it must not; nothing is left that could fail */
    return 0;
}

const char *sandbox_ending(int status, char text[SANDBOX_ENDING_MAX])
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        snprintf(text, SANDBOX_ENDING_MAX, "was killed by SIGSYS: it tried a forbidden system call");
    else if (WIFSIGNALED(status))
        snprintf(text, SANDBOX_ENDING_MAX, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, SANDBOX_ENDING_MAX, "ended with status %d", WEXITSTATUS(status));
    return text;
}
