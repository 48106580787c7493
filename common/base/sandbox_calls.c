/* sandbox_calls: the table as a filter of system calls, by libseccomp. */
#include "common/base/sandbox_impl.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>

static uint32_t action_of(const struct sandbox_call *c)
{
    static const int answers[] = {[RESULT_NOSYS] = ENOSYS, [RESULT_ACCES] = EACCES, [RESULT_PERM] = EPERM};
    return c->result == RESULT_ALLOW ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint16_t)answers[c->result]);
}

static uint64_t value_of(const struct sandbox_condition *c, const struct sandbox_needs *n)
{
    switch (c->value_of) {
    case VALUE_SELF:
        return (uint64_t)getpid();
    case VALUE_CHILD:
        return (uint64_t)n->child;
    case VALUE_TALK:
        return (uint64_t)n->talk_fd;
    case VALUE_SEALED:
        return (uint64_t)n->sealed_from;
    default:
        return c->value;
    }
}

/* false: there is nothing that it could be compared with. */
static bool applies(const struct sandbox_condition *c, const struct sandbox_needs *n)
{
    return (c->value_of != VALUE_CHILD || n->child > 0) && (c->value_of != VALUE_TALK || n->talk_fd > 0);
}

static struct scmp_arg_cmp compared(const struct sandbox_condition *c, const struct sandbox_needs *n)
{
    static const enum scmp_compare how[] = {
        [IS] = SCMP_CMP_EQ, [IS_MASKED] = SCMP_CMP_MASKED_EQ, [IS_LESS] = SCMP_CMP_LT};
    uint64_t value = value_of(c, n);
    if (c->compare == IS_MASKED)
        return (struct scmp_arg_cmp){c->argument - 1u, how[IS_MASKED], c->mask, value};
    return (struct scmp_arg_cmp){c->argument - 1u, how[c->compare], value, 0};
}

/* A call that another row of the same kind allows whatever its arguments are needs no conditions. */
static bool always(const char *name, uint32_t groups)
{
    for (size_t i = 0; i < sandbox_call_count; i++)
        if ((sandbox_calls[i].group & groups) && sandbox_calls[i].result == RESULT_ALLOW &&
            !sandbox_calls[i].conditions[0].argument && strcmp(sandbox_calls[i].name, name) == 0)
            return true;
    return false;
}

static int add(scmp_filter_ctx filter, uint32_t groups, const struct sandbox_call *c, const struct sandbox_needs *n)
{
    struct scmp_arg_cmp args[2];
    unsigned count = 0;
    int number = seccomp_syscall_resolve_name(c->name);
    if (number == __NR_SCMP_ERROR) /* newer than libseccomp: nobody here asks for it */
        return 0;
    bool conditional = c->conditions[0].argument != 0;
    if ((conditional || c->result != RESULT_ALLOW) && always(c->name, groups))
        return 0;
    for (size_t i = 0; i < 2 && c->conditions[i].argument; i++) {
        if (!applies(&c->conditions[i], n))
            return 0;
        if (c->conditions[i].value_of != VALUE_SEALED || n->sealed_from)
            args[count++] = compared(&c->conditions[i], n);
    }
    return seccomp_rule_add_array(filter, action_of(c), number, count, args);
}

int sandbox_lock_calls(const struct sandbox_profile *p, const struct sandbox_needs *n, struct error *e)
{
    uint32_t groups = p->groups | (SANDBOX_SANITIZED ? GROUP_SANITIZER : 0);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return error_set(e, ERROR_UNSUPPORTED, "this kernel cannot restrict system calls (seccomp)");
    int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* only speed */
    for (size_t i = 0; r == 0 && i < sandbox_call_count; i++)
        if (sandbox_calls[i].group & groups)
            r = add(filter, groups, &sandbox_calls[i], n);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    if (r == 0)
        return 0;
    return error_set(e, ERROR_UNSUPPORTED,
                     "%s: its system calls cannot be restricted (seccomp): %s. The kernel needs CONFIG_SECCOMP_FILTER, "
                     "and a container must not forbid seccomp(2)",
                     p->name, strerror(-r));
}
