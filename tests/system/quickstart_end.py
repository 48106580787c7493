#!/usr/bin/env python3
"""deploy/quickstart --end ends the processes that it wrote down, and no others that have their numbers by now."""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def began(pid):
    with open("/proc/%d/stat" % pid) as file:
        return int(file.read().rpartition(")")[2].split()[19])


def main():
    if os.getuid() != 0:
        print("needs root, as quickstart does")
        return 77
    sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    ours, others, undated = sleepers
    try:
        with tempfile.TemporaryDirectory() as folder:
            state, work = os.path.join(folder, "state"), os.path.join(folder, "work")
            os.mkdir(state)
            os.mkdir(work)
            with open(os.path.join(state, "made"), "w") as made:
                made.write("folder %s \nprocess %d %d\nprocess %d %d\nprocess %d\n" % (work, others.pid, began(others.pid) - 1, ours.pid, began(ours.pid), undated.pid))
            subprocess.run([os.path.join(ROOT, "deploy", "quickstart"), "--end"], check=True, env=dict(os.environ, FLEETDUMP_DEMO_STATE=state))
            assert not os.path.exists(work) and not os.path.exists(state)
        assert ours.wait(timeout=60) == -15
        assert others.poll() is None, "it ended a process that it did not start"
        assert undated.poll() is None, "it ended a process of which it does not know when it began"
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
    print("its own processes alone: right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
