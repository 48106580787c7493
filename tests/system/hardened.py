#!/usr/bin/env python3
"""What the compiler and the linker were told to do against attacks stands in the programs: looked up in the files themselves, by binutils. Of
builds for use; a build for tests has the release build beside it looked at, if there is one.

hardened.py [FOLDER OF PROGRAMS...]"""

import os
import re
import subprocess
import sys

import fleet

PROGRAMS = ("fleetdump", "fleetdump-agent", "fleetdump-collector")
PROBE = re.compile(r"sub +\$0x1000,%rsp\s*\n.*\b(or[bqwl]?|mov[bqwl]?) +\$0x0,")  # gcc, clang
TARGETS = 100
X86 = os.uname().machine == "x86_64"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C")).stdout


def source_folder(folder):
    """Where it was built from: CMake knows."""
    with open(os.path.join(folder, "..", "CMakeCache.txt")) as cache:
        return re.search(r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", cache.read(), re.M).group(1)


def is_release(folder):
    cache = os.path.join(folder, "..", "CMakeCache.txt")
    if not os.path.exists(cache):
        return False
    with open(cache) as file:
        return "CMAKE_BUILD_TYPE:STRING=RelWithDebInfo" in file.read()


def missing(path, source):
    """What is not as it should be, in words."""
    header, segments, dynamic = run("readelf", "-hW", path), run("readelf", "-lW", path), run("readelf", "-dW", path)
    symbols, code = run("readelf", "--dyn-syms", "-W", path), run("objdump", "-d", "--no-show-raw-insn", path)
    loads = re.findall(r"^ +(\w+) .* ([R ][W ][E ]) +0x", segments, re.M)
    with open(path, "rb") as file:
        content = file.read()
    checks = {
        "position independent": "Type:" in header and "DYN" in header and re.search(r"FLAGS_1.*\bPIE\b", dynamic),
        "relocations read-only": any(kind == "GNU_RELRO" for kind, _ in loads),
        "all symbols bound at the start": re.search(r"\(FLAGS\).*BIND_NOW", dynamic) or re.search(r"FLAGS_1.*\bNOW\b", dynamic),
        "stack not executable": ("GNU_STACK", "RW ") in loads,
        "nothing writable and executable": loads and not any("W" in flags and "E" in flags for _, flags in loads),
        "no path to search libraries in": "RPATH" not in dynamic and "RUNPATH" not in dynamic,
        "no relocations in code": "TEXTREL" not in dynamic,
        "stack protector": "__stack_chk_fail" in symbols,
        "checked library calls": len(re.findall(r"__(?:memcpy|snprintf|vsnprintf|read|recv|fprintf|printf|pread64)_chk", symbols)) >= 3,
        "stack probed page by page": not X86 or PROBE.search(code),
        "no builder's path": source.encode() not in content,
    }
    if X86:  # the program as a whole is not marked so: Debian 12's crt1.o is not
        checks["targets of indirect branches marked"] = code.count("endbr64") > TARGETS
    return [name for name, good in checks.items() if not good]


def main():
    beside = os.path.join(fleet.BIN, "..", "..", "release", "bin")
    folders = sys.argv[1:] or [folder for folder in (fleet.BIN, beside) if is_release(folder)][:1]
    if not folders:
        fleet.skip("no build for use here (cmake --preset release)")
    failed = False
    for folder in folders:
        for program in PROGRAMS:
            path = os.path.join(folder, program)
            wrong = missing(path, source_folder(folder))
            failed = failed or bool(wrong)
            print("%s: %s" % (os.path.normpath(path), "not so: " + ", ".join(wrong) if wrong else "hardened"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
