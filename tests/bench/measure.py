"""What the scripts that measure live captures share. Not a program itself."""

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(ROOT, "tests", "system"))
import fleet  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
CLONE_NEWNET = 0x40000000
PARENT, UTIME, CSTIME = 1, 11, 14  # fields of /proc/PID/stat after the name


def options_for(parser, runs):
    parser.add_argument("--runs", type=int, default=runs, metavar="N", help="how often each is measured (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="once, with little: shows that it works, its figures mean nothing")
    parser.add_argument("--bin", metavar="DIR", default=os.path.join(ROOT, "build", "release", "bin"),
                        help="where our programs are (default: build/release/bin)")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("at least 1 run")
    return options


def check(name, options, programs):
    """Ends the script if it cannot run here: `programs` has for each program its package."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if missing:
        sys.exit("%s: needs %s: deploy/install-packages bench" % (name, ", ".join(missing)))
    if not os.access(os.path.join(options.bin, "fleetdump-agent"), os.X_OK):
        sys.exit("%s: there is no fleetdump-agent in %s: cmake --preset release && cmake --build --preset release" % (name, options.bin))
    if os.geteuid() != 0:
        sys.exit("%s: network namespaces need root" % name)
    fleet.BIN = options.bin
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(name + ": ended"))  # by way of what cleans up


def stat_of(pid):
    """Fields of /proc/PID/stat after the name, or None if it is gone."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def tree(pid):
    """The process and all that descend from it: their fields by number."""
    fields = {int(p): stat_of(int(p)) for p in os.listdir("/proc") if p.isdigit()}
    found, new = {}, [pid]
    while new:
        found.update((p, fields[p]) for p in new if fields.get(p))
        new = [p for p, f in fields.items() if f and int(f[PARENT]) in found and p not in found]
    return found


def cpu_of_tree(pid, without=None):
    """User and system seconds of the process, of all that descend from it, and of those of them that have ended and were waited for; but
    not of those that have this name."""
    return sum(int(ticks) for p, fields in tree(pid).items() if not without or name_of(p) != without
               for ticks in fields[UTIME:CSTIME + 1]) / TICKS


def name_of(pid):
    """As the kernel has it, at most 15 characters; "" if it is gone."""
    try:
        with open("/proc/%d/comm" % pid) as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_clock(pid):
    """CPU seconds of one process, to the nanosecond: its clock of clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def pss(pid):
    """Bytes of memory of one process; what it shares is shared out."""
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


@contextlib.contextmanager
def within(lab, host):
    """Sockets made meanwhile belong to this host."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + lab.namespace(host), os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


def table(rows, left=1):
    """Prints rows of texts, the first of which are names; the first `left` columns are flush left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip(), flush=True)
