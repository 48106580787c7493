#include "common/base/fault.h"

#ifdef FLEETDUMP_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX    32
#define ERRNO_MAX    133
#define DELAY_MS_MAX 600000

enum action { ACTION_KILL, ACTION_CRASH, ACTION_ERRNO, ACTION_DELAY, ACTION_TRY };

struct rule {
    char point[64];
    enum action action;
    int sys;                /* ACTION_ERRNO */
    unsigned long delay_ms; /* ACTION_DELAY */
    const char *attempt;    /* ACTION_TRY; as long as the process */
    unsigned long nth;      /* acts at this passing only; 0: at every one */
    atomic_ulong passed;
};

/* Written once, by whichever thread passes the first point; then only `passed` changes. */
static struct rule rules[RULES_MAX];
static size_t rule_count;
static const char *list;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A test that misspells its fault must not pass. */
static void refuse(const char *what, const char *text)
{
    fprintf(stderr, "FLEETDUMP_FAULT: %s: '%s'\n", what, text);
    _exit(EXIT_FAILURE);
}

static int errno_of_name(const char *name)
{
    for (int sys = 1; sys <= ERRNO_MAX; sys++) {
        const char *known = strerrorname_np(sys);
        if (known && strcmp(known, name) == 0)
            return sys;
    }
    return 0;
}

static unsigned long number(const char *text, unsigned long most)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno || end == text || *end || n > most)
        refuse("not a number", text);
    return n;
}

static void parse_action(struct rule *r, const char *text)
{
    if (strcmp(text, "kill") == 0) {
        r->action = ACTION_KILL;
    } else if (strcmp(text, "crash") == 0) {
        r->action = ACTION_CRASH;
    } else if (strncmp(text, "delay=", 6) == 0) {
        r->action = ACTION_DELAY;
        r->delay_ms = number(text + 6, DELAY_MS_MAX);
    } else if (strncmp(text, "try-", 4) == 0) {
        r->action = ACTION_TRY;
        r->attempt = strdup(text + 4);
        if (!r->attempt || !fault_try_known(r->attempt))
            refuse("nothing that could be tried", text);
    } else {
        r->action = ACTION_ERRNO;
        r->sys = errno_of_name(text);
        if (!r->sys)
            refuse("expected kill, crash, delay=MS, try-WHAT or an errno's name", text);
    }
}

/* point:action[:nth] */
static void parse_rule(char *text)
{
    char *rest = text;
    const char *point = strsep(&rest, ":");
    const char *action = strsep(&rest, ":");
    if (rule_count == RULES_MAX)
        refuse("too many rules", text);
    struct rule *r = &rules[rule_count++];
    if (!action || (size_t)snprintf(r->point, sizeof(r->point), "%s", point) >= sizeof(r->point))
        refuse("expected POINT:ACTION[:NTH]", text);
    parse_action(r, action);
    r->nth = rest ? number(rest, 1000000000) : 0;
}

static void setup(void)
{
    const char *spec = getenv("FLEETDUMP_FAULT");
    char *copy = spec ? strdup(spec) : NULL;
    char *rest = copy;
    for (char *text; (text = strsep(&rest, ","));)
        if (*text)
            parse_rule(text);
    free(copy);
    list = getenv("FLEETDUMP_FAULT_LIST");
}

/* Opened each time: a child may have closed what it inherited. */
static void note_passing(const char *name)
{
    char line[80];
    int n = snprintf(line, sizeof(line), "%s\n", name);
    int fd = open(list, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        refuse("cannot write FLEETDUMP_FAULT_LIST", name);
    close(fd);
}

static void pause_ms(unsigned long ms)
{
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

static int act(const struct rule *r)
{
    switch (r->action) {
    case ACTION_KILL:
        raise(SIGKILL);
        return 0;
    case ACTION_CRASH:
        raise(SIGABRT);
        return 0;
    case ACTION_DELAY:
        pause_ms(r->delay_ms);
        return 0;
    case ACTION_TRY:
        fault_try(r->point, r->attempt);
        return 0;
    default:
        return r->sys;
    }
}

int fault_pass(const char *name)
{
    int result = 0;
    if (!name)
        return 0;
    pthread_once(&once, setup);
    if (list)
        note_passing(name);
    for (size_t i = 0; i < rule_count; i++) {
        struct rule *r = &rules[i];
        if (strcmp(r->point, name) != 0)
            continue;
        unsigned long passing = atomic_fetch_add(&r->passed, 1) + 1;
        if (r->nth == 0 || r->nth == passing) {
            int sys = act(r);
            result = result ? result : sys;
        }
    }
    return result;
}

#endif
