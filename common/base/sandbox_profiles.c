/*
 * sandbox_profiles: which kind of process may do what. The monitor has what its children need, since a filter is inherited.
 *
 * Calls that this machine or libseccomp does not know are left out, so one list serves all architectures.
 */
#include "common/base/sandbox_impl.h"

#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define CALL(group_, name_)                                                                                            \
    {                                                                                                                  \
        .group = (group_), .name = (name_)                                                                             \
    }
#define CALL_IF(group_, name_, ...)                                                                                    \
    {                                                                                                                  \
        .group = (group_), .name = (name_), .conditions = { __VA_ARGS__ }                                              \
    }
#define REFUSE(group_, result_, name_)                                                                                 \
    {                                                                                                                  \
        .group = (group_), .result = (result_), .name = (name_)                                                        \
    }
#define ARG(n, v)                                                                                                      \
    {                                                                                                                  \
        .argument = (n), .compare = IS, .value = (uint64_t)(v)                                                         \
    }
#define ARG_MASKED(n, m, v)                                                                                            \
    {                                                                                                                  \
        .argument = (n), .compare = IS_MASKED, .mask = (uint64_t)(m), .value = (uint64_t)(v)                           \
    }
#define ARG_OF(n, compare_, what)                                                                                      \
    {                                                                                                                  \
        .argument = (n), .compare = (compare_), .value_of = (what)                                                     \
    }

#define SOL_PACKET_ 263 /* sys/socket.h has it for few */

/* Of descriptors below the sealed ones: one comparison, which no upper half of a register gets around. */
#define WRITES(name) CALL_IF(GROUP_CORE, name, ARG_OF(1, IS_LESS, VALUE_SEALED))

const struct sandbox_call sandbox_calls[] = {
    /* memory */
    CALL(GROUP_CORE, "brk"), CALL(GROUP_CORE, "munmap"), CALL(GROUP_CORE, "mremap"), CALL(GROUP_CORE, "madvise"),
    CALL(GROUP_CORE, "mincore"), CALL(GROUP_CORE, "mlock"), CALL(GROUP_CORE, "mlock2"), CALL(GROUP_CORE, "munlock"),
    CALL(GROUP_CORE, "membarrier"), CALL_IF(GROUP_CORE, "mmap", ARG_MASKED(3, PROT_EXEC, 0)),
    CALL_IF(GROUP_CORE, "mprotect", ARG_MASKED(3, PROT_EXEC, 0)), CALL(GROUP_CODE, "mmap"),
    CALL(GROUP_CODE, "mprotect"),
    /* threads and signals among themselves */
    CALL(GROUP_CORE, "futex"), CALL(GROUP_CORE, "futex_waitv"), CALL(GROUP_CORE, "set_robust_list"),
    CALL(GROUP_CORE, "get_robust_list"), CALL(GROUP_CORE, "set_tid_address"), CALL(GROUP_CORE, "rseq"),
    CALL(GROUP_CORE, "sched_yield"), CALL(GROUP_CORE, "sched_getaffinity"), CALL(GROUP_CORE, "getcpu"),
    CALL(GROUP_CORE, "rt_sigaction"), CALL(GROUP_CORE, "rt_sigprocmask"), CALL(GROUP_CORE, "rt_sigpending"),
    CALL(GROUP_CORE, "rt_sigreturn"), CALL(GROUP_CORE, "rt_sigsuspend"), CALL(GROUP_CORE, "rt_sigtimedwait"),
    CALL(GROUP_CORE, "sigaltstack"), CALL(GROUP_CORE, "restart_syscall"),
    CALL_IF(GROUP_CORE, "tgkill", ARG_OF(1, IS, VALUE_SELF)), CALL_IF(GROUP_CORE, "kill", ARG_OF(1, IS, VALUE_SELF)),
    CALL_IF(GROUP_WAIT, "kill", ARG_OF(1, IS, VALUE_CHILD)), CALL(GROUP_CORE, "exit"), CALL(GROUP_CORE, "exit_group"),
    CALL_IF(GROUP_THREADS, "clone", ARG_MASKED(1, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)),
    CALL(GROUP_THREADS, "sched_getparam"), CALL(GROUP_THREADS, "sched_getscheduler"),
    CALL_IF(GROUP_CORE, "prctl", ARG(1, PR_SET_NAME)), CALL_IF(GROUP_CORE, "prctl", ARG(1, PR_GET_NAME)),
    CALL_IF(GROUP_CORE, "prctl", ARG(1, PR_SET_VMA)), CALL_IF(GROUP_CORE, "prctl", ARG(1, PR_SET_PDEATHSIG)),
    CALL_IF(GROUP_CORE, "prctl", ARG(1, PR_GET_DUMPABLE)), CALL_IF(GROUP_CORE, "prctl", ARG(1, PR_CAPBSET_READ)),
    CALL_IF(GROUP_CORE, "prctl", ARG(1, PR_CAP_AMBIENT), ARG(2, PR_CAP_AMBIENT_IS_SET)),
    /* who we are */
    CALL(GROUP_CORE, "getpid"), CALL(GROUP_CORE, "getppid"), CALL(GROUP_CORE, "gettid"), CALL(GROUP_CORE, "getuid"),
    CALL(GROUP_CORE, "geteuid"), CALL(GROUP_CORE, "getgid"), CALL(GROUP_CORE, "getegid"), CALL(GROUP_CORE, "getresuid"),
    CALL(GROUP_CORE, "getresgid"), CALL(GROUP_CORE, "getgroups"), CALL(GROUP_CORE, "getpgrp"),
    CALL(GROUP_CORE, "getpgid"), CALL(GROUP_CORE, "getsid"), CALL(GROUP_CORE, "capget"), CALL(GROUP_CORE, "uname"),
    CALL(GROUP_CORE, "sysinfo"), CALL(GROUP_CORE, "getrusage"), CALL(GROUP_CORE, "times"), CALL(GROUP_CORE, "umask"),
    CALL(GROUP_CORE, "getrlimit"), CALL(GROUP_CORE, "setrlimit"), CALL_IF(GROUP_CORE, "prlimit64", ARG(1, 0)),
    CALL_IF(GROUP_CORE, "prlimit64", ARG_OF(1, IS, VALUE_SELF)), CALL(GROUP_CORE, "getrandom"),
    /* time and waiting */
    CALL(GROUP_CORE, "clock_gettime"), CALL(GROUP_CORE, "clock_getres"), CALL(GROUP_CORE, "clock_nanosleep"),
    CALL(GROUP_CORE, "nanosleep"), CALL(GROUP_CORE, "gettimeofday"), CALL(GROUP_CORE, "time"),
    CALL(GROUP_CORE, "adjtimex"), /* how well the clock is kept: setting it takes a capability */
    CALL(GROUP_CORE, "clock_adjtime"), CALL(GROUP_CORE, "poll"), CALL(GROUP_CORE, "ppoll"), CALL(GROUP_CORE, "select"),
    CALL(GROUP_CORE, "pselect6"), CALL(GROUP_CORE, "epoll_create"), CALL(GROUP_CORE, "epoll_create1"),
    CALL(GROUP_CORE, "epoll_ctl"), CALL(GROUP_CORE, "epoll_wait"), CALL(GROUP_CORE, "epoll_pwait"),
    CALL(GROUP_CORE, "epoll_pwait2"), CALL(GROUP_CORE, "eventfd2"), CALL(GROUP_CORE, "signalfd4"),
    CALL(GROUP_CORE, "timerfd_create"), CALL(GROUP_CORE, "timerfd_settime"), CALL(GROUP_CORE, "timerfd_gettime"),
    CALL(GROUP_CORE, "setitimer"), CALL(GROUP_CORE, "getitimer"), CALL(GROUP_CORE, "alarm"), CALL(GROUP_CORE, "pipe2"),
    /* descriptors that are open */
    CALL(GROUP_CORE, "read"), CALL(GROUP_CORE, "readv"), CALL(GROUP_CORE, "pread64"), CALL(GROUP_CORE, "preadv"),
    CALL(GROUP_CORE, "preadv2"), WRITES("write"), WRITES("writev"), WRITES("pwrite64"), WRITES("pwritev"),
    WRITES("pwritev2"), CALL(GROUP_CORE, "close"), CALL(GROUP_CORE, "close_range"), CALL(GROUP_CORE, "lseek"),
    CALL(GROUP_CORE, "fstat"),
    CALL(GROUP_CORE, "newfstatat"), /* also of what cannot be opened: neither lock hides that a file exists */
    CALL(GROUP_CORE, "stat"), CALL(GROUP_CORE, "lstat"), CALL(GROUP_CORE, "statx"), CALL(GROUP_CORE, "fstatfs"),
    CALL(GROUP_CORE, "statfs"), CALL(GROUP_CORE, "getcwd"), CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_GETFD)),
    CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_SETFD)), CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_GETFL)),
    CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_SETFL)), CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_GETLK)),
    CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_SETLK)), CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_SETLKW)),
    CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_OFD_GETLK)), CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_OFD_SETLK)),
    CALL_IF(GROUP_CORE, "fcntl", ARG(2, F_OFD_SETLKW)), CALL(GROUP_DUP, "fcntl"), CALL(GROUP_DUP, "dup"),
    CALL(GROUP_DUP, "dup2"), CALL(GROUP_DUP, "dup3"), CALL_IF(GROUP_CORE, "ioctl", ARG(2, FIONBIO)),
    CALL_IF(GROUP_CORE, "ioctl", ARG(2, FIONREAD)), CALL_IF(GROUP_CORE, "ioctl", ARG(2, FIOCLEX)),
    CALL_IF(GROUP_CORE, "ioctl", ARG(2, TCGETS)), CALL_IF(GROUP_CORE, "ioctl", ARG(2, TIOCGWINSZ)),
    CALL_IF(GROUP_CORE, "ioctl", ARG(2, TIOCGPGRP)),
    /* files */
    CALL(GROUP_READ, "open"), CALL(GROUP_READ, "openat"), CALL(GROUP_READ, "access"), CALL(GROUP_READ, "faccessat"),
    CALL(GROUP_READ, "faccessat2"), CALL(GROUP_READ, "readlink"), CALL(GROUP_READ, "readlinkat"),
    CALL(GROUP_READ, "getdents64"), CALL(GROUP_READ, "fadvise64"), CALL(GROUP_READ, "readahead"),
    CALL(GROUP_READ, "flock"), CALL(GROUP_READ, "inotify_init1"), CALL(GROUP_READ, "inotify_add_watch"),
    CALL(GROUP_READ, "inotify_rm_watch"), REFUSE(GROUP_READ, RESULT_NOSYS, "openat2"),
    CALL(GROUP_CHANGE, "memfd_create"), CALL(GROUP_CHANGE, "creat"), CALL(GROUP_CHANGE, "mkdir"),
    CALL(GROUP_CHANGE, "mkdirat"), CALL(GROUP_CHANGE, "rmdir"), CALL(GROUP_CHANGE, "unlink"),
    CALL(GROUP_CHANGE, "unlinkat"), CALL(GROUP_CHANGE, "rename"), CALL(GROUP_CHANGE, "renameat"),
    CALL(GROUP_CHANGE, "renameat2"), CALL(GROUP_CHANGE, "link"), CALL(GROUP_CHANGE, "linkat"),
    CALL(GROUP_CHANGE, "ftruncate"), CALL(GROUP_CHANGE, "fallocate"), CALL(GROUP_CHANGE, "fsync"),
    CALL(GROUP_CHANGE, "fdatasync"), CALL(GROUP_CHANGE, "sync_file_range"), CALL(GROUP_CHANGE, "msync"),
    CALL(GROUP_CHANGE, "utimensat"), CALL(GROUP_CHANGE, "chmod"), /* of what is ours */
    CALL(GROUP_CHANGE, "fchmod"), CALL(GROUP_CHANGE, "fchmodat"), CALL(GROUP_CHANGE, "fchmodat2"),
    CALL(GROUP_CHANGE, "fchown"), CALL(GROUP_CHANGE, "fchownat"),
    /* sockets */
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL, "sendto"),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL, "sendmsg"),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL, "sendmmsg"),
    CALL_IF(GROUP_RINGS | GROUP_POLITE, "sendto", ARG_OF(1, IS, VALUE_TALK)),
    CALL_IF(GROUP_RINGS | GROUP_POLITE, "sendmsg", ARG_OF(1, IS, VALUE_TALK)),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL | GROUP_RINGS | GROUP_POLITE, "recvfrom"),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL | GROUP_RINGS | GROUP_POLITE, "recvmsg"),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL | GROUP_RINGS | GROUP_POLITE, "recvmmsg"),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL | GROUP_RINGS | GROUP_POLITE, "getsockopt"),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL | GROUP_RINGS | GROUP_POLITE, "getsockname"),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL | GROUP_RINGS | GROUP_POLITE, "getpeername"),
    CALL(GROUP_TALK | GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL | GROUP_RINGS | GROUP_POLITE, "shutdown"),
    CALL(GROUP_DIAL | GROUP_SERVE | GROUP_LOCAL | GROUP_PACKETS, "setsockopt"), CALL(GROUP_CHILDREN, "socketpair"),
    CALL_IF(GROUP_LOCAL | GROUP_DIAL, "socket", ARG(1, AF_UNIX)), CALL(GROUP_LOCAL | GROUP_DIAL, "connect"),
    CALL_IF(GROUP_DIAL, "socket", ARG(1, AF_INET)), CALL_IF(GROUP_DIAL, "socket", ARG(1, AF_INET6)),
    CALL_IF(GROUP_DIAL | GROUP_PACKETS, "socket", ARG(1, AF_NETLINK)), CALL(GROUP_DIAL | GROUP_PACKETS, "bind"),
    CALL(GROUP_SERVE, "accept"), CALL(GROUP_SERVE, "accept4"), REFUSE(GROUP_POLITE, RESULT_ACCES, "socket"),
    REFUSE(GROUP_POLITE, RESULT_ACCES, "connect"),
    /* interfaces */
    CALL_IF(GROUP_PACKETS, "socket", ARG(1, AF_PACKET)),
    CALL_IF(GROUP_PACKETS, "socket", ARG(1, AF_INET)), /* what libpcap asks about an interface */
    CALL_IF(GROUP_PACKETS, "socket", ARG(1, AF_UNIX)), CALL(GROUP_PACKETS, "sendto"), /* to netlink */
    CALL(GROUP_PACKETS, "sendmsg"), CALL(GROUP_PACKETS, "recvfrom"), CALL(GROUP_PACKETS, "recvmsg"),
    CALL(GROUP_PACKETS, "getsockopt"), CALL(GROUP_PACKETS, "getsockname"), CALL(GROUP_PACKETS, "ioctl"),
    REFUSE(GROUP_PACKETS, RESULT_ACCES, "connect"), CALL_IF(GROUP_RINGS, "ioctl", ARG(2, SIOCGIFNAME)),
    CALL_IF(GROUP_RINGS, "ioctl", ARG(2, SIOCGIFFLAGS)), CALL_IF(GROUP_RINGS, "ioctl", ARG(2, SIOCGIFINDEX)),
    CALL_IF(GROUP_RINGS, "ioctl", ARG(2, SIOCGIFHWADDR)),
    CALL_IF(GROUP_RINGS, "setsockopt", ARG(2, SOL_PACKET_), ARG(3, PACKET_RX_RING)), /* its end */
    /* processes */
    CALL(GROUP_WAIT, "wait4"), CALL(GROUP_WAIT, "waitid"), CALL(GROUP_CHILDREN, "clone"), CALL(GROUP_CHILDREN, "fork"),
    CALL(GROUP_CHILDREN, "vfork"), CALL(GROUP_CHILDREN, "kill"), CALL(GROUP_CHILDREN, "tgkill"),
    CALL(GROUP_CHILDREN, "setpgid"), CALL(GROUP_CHILDREN, "prctl"), CALL(GROUP_CHILDREN, "prlimit64"),
    CALL(GROUP_CHILDREN, "capset"), CALL(GROUP_CHILDREN, "setgroups"), CALL(GROUP_CHILDREN, "setuid"),
    CALL(GROUP_CHILDREN, "setgid"), CALL(GROUP_CHILDREN, "setreuid"), CALL(GROUP_CHILDREN, "setregid"),
    CALL(GROUP_CHILDREN, "setresuid"), CALL(GROUP_CHILDREN, "setresgid"), CALL(GROUP_CHILDREN, "setfsuid"),
    CALL(GROUP_CHILDREN, "setfsgid"), CALL(GROUP_CHILDREN, "seccomp"), CALL(GROUP_CHILDREN, "landlock_create_ruleset"),
    CALL(GROUP_CHILDREN, "landlock_add_rule"), CALL(GROUP_CHILDREN, "landlock_restrict_self"),
    /* what libraries try, and do without */
    REFUSE(GROUP_CORE, RESULT_NOSYS, "clone3"), REFUSE(GROUP_CORE, RESULT_NOSYS, "io_uring_setup"),
    REFUSE(GROUP_CORE, RESULT_NOSYS, "get_mempolicy"), REFUSE(GROUP_CORE, RESULT_NOSYS, "copy_file_range"),
    REFUSE(GROUP_CORE, RESULT_NOSYS, "sendfile"), REFUSE(GROUP_CORE, RESULT_NOSYS, "cachestat"),
    REFUSE(GROUP_CORE, RESULT_PERM, "sched_setscheduler"), REFUSE(GROUP_CORE, RESULT_PERM, "sched_setaffinity"),
    REFUSE(GROUP_CORE, RESULT_PERM, "setpriority"),
    /* what the sanitizers need to report, and to look for leaks */
    CALL(GROUP_SANITIZER, "clone"), CALL(GROUP_SANITIZER, "fork"), CALL(GROUP_SANITIZER, "vfork"),
    CALL(GROUP_SANITIZER, "wait4"), CALL(GROUP_SANITIZER, "kill"), CALL(GROUP_SANITIZER, "tgkill"),
    CALL(GROUP_SANITIZER, "tkill"), CALL(GROUP_SANITIZER, "prctl"), CALL(GROUP_SANITIZER, "ptrace"),
    CALL(GROUP_SANITIZER, "process_vm_readv"), CALL(GROUP_SANITIZER, "personality"),
    CALL(GROUP_SANITIZER, "arch_prctl"), CALL(GROUP_SANITIZER, "mmap"), CALL(GROUP_SANITIZER, "mprotect"),
    CALL(GROUP_SANITIZER, "open"), CALL(GROUP_SANITIZER, "openat"), CALL(GROUP_SANITIZER, "readlink"),
    CALL(GROUP_SANITIZER, "getdents64"), CALL(GROUP_SANITIZER, "getdents"), CALL(GROUP_SANITIZER, "socketpair"),
    CALL(GROUP_SANITIZER, "fcntl"), CALL(GROUP_SANITIZER, "ioctl"), CALL(GROUP_SANITIZER, "dup2"),
    CALL(GROUP_SANITIZER, "setpgid"),
    REFUSE(GROUP_SANITIZER, RESULT_PERM, "execve"), /* a symbolizer: reports have offsets instead */
};

const size_t sandbox_call_count = sizeof sandbox_calls / sizeof *sandbox_calls;

/* ---------------------------------------------------------------- places */

/* Files of /etc by name, since some of its others are secret; what replaces them is not allowed: sandbox_outdated. */
#define RESOLVER_FILES                                                                                                 \
    {SANDBOX_LOOK, "/etc/resolv.conf"}, {SANDBOX_LOOK, "/etc/hosts"}, {SANDBOX_LOOK, "/etc/nsswitch.conf"},            \
        {SANDBOX_LOOK, "/etc/gai.conf"}, {SANDBOX_LOOK, "/etc/host.conf"}, {SANDBOX_LOOK, "/etc/services"},            \
        {SANDBOX_LOOK, "/etc/protocols"},                                                                              \
    {                                                                                                                  \
        SANDBOX_LOOK, "/etc/ethers"                                                                                    \
    }
const struct sandbox_place sandbox_resolver[] = {RESOLVER_FILES, {0}};

/* What the C library and OpenSSL read whenever they like. */
#define LIBRARIES                                                                                                      \
    {SANDBOX_LOOK, "/usr/lib"}, {SANDBOX_LOOK, "/lib"}, {SANDBOX_LOOK, "/lib64"}, {SANDBOX_LOOK, "/usr/local/lib"},    \
        {SANDBOX_LOOK, "/etc/ld.so.cache"}, {SANDBOX_LOOK, "/usr/share/zoneinfo"}, {SANDBOX_LOOK, "/etc/localtime"},   \
        {SANDBOX_LOOK, "/etc/ssl/openssl.cnf"}, {SANDBOX_LOOK, "/dev/urandom"},                                        \
    {                                                                                                                  \
        SANDBOX_CHANGE, "/dev/null"                                                                                    \
    }
#define RESOLVER                                                                                                       \
    RESOLVER_FILES, {SANDBOX_LOOK, "/run/systemd/resolve"}, {SANDBOX_LOOK, "/run/NetworkManager"},                     \
    {                                                                                                                  \
        SANDBOX_LOOK, "/run/resolvconf"                                                                                \
    }
#define INTERFACES                                                                                                     \
    {SANDBOX_LOOK, "/sys/class/net"}, {SANDBOX_LOOK, "/sys/devices"},                                                  \
    {                                                                                                                  \
        SANDBOX_LOOK, "/proc/sys/net"                                                                                  \
    }

static const struct sandbox_place everywhere[] = {{SANDBOX_LOOK, "/"}, {SANDBOX_CHANGE, "/dev/null"}, {0}};
static const struct sandbox_place for_check[] = {
    LIBRARIES, RESOLVER, INTERFACES, {SANDBOX_LOOK, "/proc/self"}, {SANDBOX_LOOK, "/proc/sys/kernel"}, {0}};
static const struct sandbox_place for_capturer[] = {INTERFACES, {0}};
static const struct sandbox_place for_recovery[] = {{0}}; /* and for the finder */
static const struct sandbox_place for_shipper[] = {LIBRARIES, RESOLVER, {0}};
static const struct sandbox_place for_read[] = {LIBRARIES, RESOLVER, {0}};
static const struct sandbox_place for_collector[] = {LIBRARIES, {0}};

/* ---------------------------------------------------------------- kinds */

const struct sandbox_profile sandbox_profiles[SANDBOX_KINDS] = {
    [SANDBOX_MONITOR] = {.name = "monitor",
                         .point = "sandbox.monitor",
                         .groups = GROUP_CORE | GROUP_READ | GROUP_CHANGE | GROUP_THREADS | GROUP_TALK | GROUP_LOCAL |
                                   GROUP_DIAL | GROUP_PACKETS | GROUP_RINGS | GROUP_CODE | GROUP_WAIT | GROUP_CHILDREN |
                                   GROUP_DUP,
                         .signals_inside = true,
                         .places = everywhere},
    [SANDBOX_CHECK] = {.name = "check",
                       .point = "sandbox.check",
                       .groups = GROUP_CORE | GROUP_READ | GROUP_PACKETS | GROUP_CODE,
                       .ports_limited = true,
                       .signals_inside = true,
                       .places = for_check},
    [SANDBOX_CAPTURER] = {.name = "capturer",
                          .point = "sandbox.capturer",
                          .groups = GROUP_CORE | GROUP_READ | GROUP_CHANGE | GROUP_THREADS | GROUP_RINGS,
                          .ports_limited = true,
                          .signals_inside = true,
                          .places = for_capturer},
    [SANDBOX_RECOVERY] = {.name = "recovery",
                          .point = "sandbox.recovery",
                          .groups = GROUP_CORE | GROUP_READ | GROUP_CHANGE,
                          .ports_limited = true,
                          .signals_inside = true,
                          .places = for_recovery},
    [SANDBOX_FINDER] = {.name = "finder",
                        .point = "sandbox.finder",
                        .groups = GROUP_CORE | GROUP_READ | GROUP_CHANGE,
                        .ports_limited = true,
                        .signals_inside = true,
                        .places = for_recovery},
    [SANDBOX_SHIPPER] = {.name = "shipper",
                         .point = "sandbox.shipper",
                         .groups = GROUP_CORE | GROUP_READ | GROUP_CHANGE | GROUP_THREADS | GROUP_TALK | GROUP_LOCAL |
                                   GROUP_DIAL | GROUP_CODE | GROUP_DUP,
                         .ports_limited = true,
                         .signals_inside = true,
                         .places = for_shipper},
    [SANDBOX_READ] = {.name = "--read",
                      .point = "sandbox.read",
                      .groups = GROUP_CORE | GROUP_READ | GROUP_CHANGE | GROUP_THREADS | GROUP_CODE | GROUP_WAIT |
                                GROUP_POLITE | GROUP_DUP,
                      .ports_limited = true,
                      .places = for_read},
    [SANDBOX_COLLECTOR] = {.name = "collector",
                           .point = "sandbox.collector",
                           .groups = GROUP_CORE | GROUP_READ | GROUP_CHANGE | GROUP_THREADS | GROUP_TALK | GROUP_LOCAL |
                                     GROUP_SERVE | GROUP_DUP,
                           .ports_limited = true,
                           .signals_inside = true,
                           .places = for_collector},
};
