/*
 * error: how every module says that something failed.
 *
 * A function that can fail returns 0 or a negative `enum error_code` and fills `struct error *` with one sentence for
 * the person who runs the program: what failed, where, and what to do. Codes are for programs, the text is for people.
 * A caller that adds context puts it in front (`error_prefix`). Every `struct error *` may be NULL: then only the code
 * is returned.
 */
#ifndef FLEETDUMP_BASE_ERROR_H
#define FLEETDUMP_BASE_ERROR_H

#include <stddef.h>

enum error_code {
    ERROR_NONE = 0,
    ERROR_SYSTEM = -1,       /* a system call failed; `sys` holds errno */
    ERROR_MEMORY = -2,       /* allocation failed */
    ERROR_INVALID = -3,      /* content breaks its format's rules */
    ERROR_TRUNCATED = -4,    /* content ends too early */
    ERROR_CORRUPT = -5,      /* a checksum does not match */
    ERROR_LIMIT = -6,        /* a named limit was reached */
    ERROR_VERSION = -7,      /* a format or protocol version that we do not speak */
    ERROR_NOT_FOUND = -8,    /* the thing asked for does not exist */
    ERROR_EXISTS = -9,       /* the thing to be made exists already */
    ERROR_BUSY = -10,        /* in use by another process, or too many at once */
    ERROR_FULL = -11,        /* no room: disk, quota, floor of free space */
    ERROR_USAGE = -12,       /* the user asked for something that makes no sense */
    ERROR_REFUSED = -13,     /* the other side said no */
    ERROR_UNREACHABLE = -14, /* the other side does not answer */
    ERROR_CONFLICT = -15,    /* same identity, other content */
    ERROR_CANCELLED = -16,   /* stopped on request */
    ERROR_INCOMPLETE = -17,  /* the answer is good, but something inside the question is missing */
    ERROR_UNSUPPORTED = -18, /* known, but not handled by this version */
};

#define ERROR_TEXT_MAX 768

struct error {
    int code;                  /* enum error_code */
    int sys;                   /* errno, with ERROR_SYSTEM and ERROR_FULL */
    char text[ERROR_TEXT_MAX]; /* a sentence without final newline; always terminated */
};

#define ERROR_INIT                                                                                                     \
    {                                                                                                                  \
        .code = 0                                                                                                      \
    }

/* What can fail is declared with this: ignoring the result is a compile error. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Fills `e` (may be NULL) with code and formatted text; returns `code`, so that `return error_set(...)` reads well.
 * Control characters but newlines (a filter's caret stands on a line of its own) are replaced by '?': the text may
 * quote what a peer sent. Logs put it on one line. */
int error_set(struct error *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As error_set with the meaning of `sys` (an errno value) appended as ": No such file or directory". ENOSPC, EDQUOT
 * become ERROR_FULL, ENOMEM becomes ERROR_MEMORY, ENOENT ERROR_NOT_FOUND, EEXIST ERROR_EXISTS, all else
 * ERROR_SYSTEM. */
int error_sys(struct error *e, int sys, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* What those who judge one file at a time (tests/lint) should know of the functions above. */
#if defined(__clang_analyzer__) || defined(FLEETDUMP_ANALYZER)
#define error_set(e, code, ...) (error_set(e, code, __VA_ARGS__), (code))
#define error_sys(e, sys, ...)  (error_sys(e, sys, __VA_ARGS__), ERROR_SYSTEM)
#endif

/* Puts formatted text and ": " in front of what `e` says; returns e->code. NULL: nobody asked what failed, but
 * something did; ERROR_INVALID. */
int error_prefix(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The name of a code for logs and JSON: "not-found". */
const char *error_name(int code);

/* The exit status that every program of ours uses: 0 none, 1 failed, 2 usage (also a bad filter), 3 incomplete. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INCOMPLETE = 3 };
int error_exit_status(int code);

#endif
