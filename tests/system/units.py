#!/usr/bin/env python3
"""The units are well made and leave little to a program that was taken over; users and folders are made as the programs need them."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

import fleet

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy")
EXPOSURE_MOST = {"fleetdump-collector": 1.1, "fleetdump-agent": 2.0}  # of systemd-analyze security: 0 the best, 10 the worst


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def check_unit(folder, program, most):
    unit = os.path.join(folder, program + ".service")
    with open(os.path.join(DEPLOY, "systemd", program + ".service")) as source, open(unit, "w") as copy:
        text = source.read()
        assert "/usr/sbin/" + program in text
        copy.write(text.replace("/usr/sbin/", fleet.BIN + "/"))
    verified = run("systemd-analyze", "verify", "--man=no", unit)
    assert verified.returncode == 0 and program not in verified.stdout, verified.stdout
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit).stdout
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said).group(1))
    assert exposure <= most, said
    print("%s: exposure %.1f (at most %.1f)" % (program, exposure, most))


def check_users(folder):
    """sysusers.d and tmpfiles.d in a root of their own; what they make is what agent.conf and the unit name."""
    root = os.path.join(folder, "root")
    for name in ("etc", "var/lib"):
        os.makedirs(os.path.join(root, name))
    files = {kind: [os.path.join(DEPLOY, kind, program + ".conf") for program in EXPOSURE_MOST] for kind in ("sysusers", "tmpfiles")}
    done = run("systemd-sysusers", "--root=" + root, *files["sysusers"])
    assert done.returncode == 0, done.stdout
    done = run("systemd-tmpfiles", "--root=" + root, "--create", *files["tmpfiles"])
    assert done.returncode == 0, done.stdout
    with open(os.path.join(root, "etc/passwd")) as passwd:
        users = {line.split(":")[0]: int(line.split(":")[2]) for line in passwd}
    for path, user, mode in (("spool", "fleetdump-ship", 0o2770), ("", "fleetdump-agent", 0o711)):
        found = os.stat(os.path.join(root, "var/lib/fleetdump-agent", path))
        assert found.st_mode & 0o7777 == mode and found.st_uid == users[user], (path, oct(found.st_mode), found.st_uid)
    found = os.stat(os.path.join(root, "var/lib/fleetdump-collector"))
    assert found.st_mode & 0o7777 == 0o700 and found.st_uid == users["fleetdump-collector"]
    assert "fleetdump-capture" in users


def check_ready(folder):
    """The collector tells systemd that it has started when it takes connections: systemctl returns then, and the next command connects."""
    path = os.path.join(folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(path)
        told.settimeout(fleet.WAIT_S)
        with fleet.Fleet(environment={"NOTIFY_SOCKET": path}):
            assert told.recv(100) == b"READY=1"


def main():
    if not shutil.which("systemd-analyze"):
        fleet.skip("systemd-analyze is not there")
    folder = tempfile.mkdtemp(prefix="fleetdump-test.")
    try:
        for program, most in EXPOSURE_MOST.items():
            check_unit(folder, program, most)
        if os.geteuid() == 0:
            check_users(folder)
        check_ready(folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
