"""A collector that answers what a test says (fake_answers.c), for tests of the command line. Not a test itself.

with Fake() as fake:
    fake.put("1.data", [{"agent": "web-1"}])
    done = fake.run("agents")
"""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import time

from fleet import BIN, WAIT_S, wait_until

AGENTS, CAPTURES, STATUS, FLOWS, PULL, CHUNKS, EXPORT, ORDERS, EXCHANGES = range(1, 10)  # kinds of questions
CHECK, START, STOP, REMOVE = ("c%d" % n for n in range(1, 5))  # and of commands


class Fake:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="fleetdump-test.")
        self.process = None
        self.environment = dict(os.environ, TZ="UTC", LC_ALL="C.UTF-8", TERM="xterm", FLEETDUMP_HOME=os.path.join(self.folder, "home"))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self):
        os.makedirs(self.path("home"), mode=0o700, exist_ok=True)
        with open(self.path("home", "client.conf"), "w") as conf:
            conf.write("insecure_plaintext = yes\n")
        self.process = subprocess.Popen([os.path.join(BIN, "fake_answers"), self.folder], stdin=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(self.path("port")), "the fake collector")
        with open(self.path("port")) as file:
            self.environment["FLEETDUMP_COLLECTOR"] = "127.0.0.1:" + file.read()

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait(WAIT_S)
            self.process = None

    def restart(self):
        """Forgets all answers and questions, and how many there were."""
        self.stop()
        for name in os.listdir(self.folder):
            if os.path.isfile(self.path(name)):
                os.unlink(self.path(name))
        self.start()

    def put(self, name, value):
        """What is answered: files of fake_answers.c; a value that is no text becomes JSON."""
        data = value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
        with open(self.path(name + "~"), "wb") as file:
            file.write(data)
        os.rename(self.path(name + "~"), self.path(name))  # a question may come meanwhile

    def remove(self, *names):
        for name in names:
            os.unlink(self.path(name))

    def asked(self, **fields):
        """Questions and commands so far, as dicts, those whose fields are so; values are text, of lists the last one."""
        if not os.path.exists(self.path("questions")):
            return []
        with open(self.path("questions"), errors="replace") as file:
            lines = [dict(part.split("=", 1) for part in line.rstrip("\n").split("|")) for line in file]
        return [q for q in lines if all(q.get(k) == str(v) for k, v in fields.items())]

    def command_line(self, *arguments):
        return [os.path.join(BIN, "fleetdump"), *arguments]

    def run(self, *arguments, check=(0,), binary=False, **more):
        """fleetdump ARGUMENTS; returns the finished process; its exit status must be one of `check`."""
        done = subprocess.run(self.command_line(*arguments), env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=WAIT_S, **more)
        done.stdout = done.stdout if binary else done.stdout.decode(errors="replace")
        done.stderr = done.stderr.decode(errors="replace")
        if done.returncode not in check:
            raise AssertionError("fleetdump %s: exit %d\n%s" % (" ".join(arguments), done.returncode, done.stderr))
        return done

    def popen(self, *arguments, **more):
        return subprocess.Popen(self.command_line(*arguments), env=self.environment, stdin=subprocess.DEVNULL, **more)


class Terminal:
    """fleetdump ARGUMENTS at a terminal of its own."""

    def __init__(self, fake, *arguments, rows=24, columns=100):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            command = fake.command_line(*arguments)
            os.execve(command[0], command, dict(fake.environment, COLUMNS=str(columns), LINES=str(rows)))
        import fcntl, struct, termios
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
        if kind:
            print("--- terminal\n" + self.text[-3000:])

    def read(self, seconds=0.05):
        """Takes what is there; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, text, after=0):
        """Reads until the text stands there behind this place; returns its end."""
        wait_until(lambda: self.read() and text in self.text[after:] or text in self.text[after:], repr(text))
        return self.text.index(text, after) + len(text)

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def wait(self):
        """The exit status."""
        end = time.monotonic() + WAIT_S
        while self.read() and time.monotonic() < end:
            pass
        pid, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)
