"""What tests of all captures share: which they are, and exceptions, each with its reason. Not a test itself.

FLEETDUMP_CORPUS is the folder of real captures; without, such tests are skipped. FLEETDUMP_CORPUS_SHARE=N takes every
N-th capture only: for runs that are slow, as those with sanitizers are.
"""

import argparse
import csv
import fnmatch
import os
import pathlib
import re
import sys
import tempfile

import fleet

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
SHARE = int(os.environ.get("FLEETDUMP_CORPUS_SHARE", "1"))


def main(run):
    """Options, then run(folder of captures, folder to work in, options): the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=SHARE, metavar="N", help="every N-th capture only")
    parser.add_argument("--only", default="", metavar="WORD", help="captures with this word in their names")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="so many differences of each kind")
    parser.add_argument("--keep", metavar="FOLDER", help="where to work; it stays")
    options = parser.parse_args()
    root = fleet.corpus()
    with tempfile.TemporaryDirectory() as folder:
        return run(pathlib.Path(root), options.keep or folder, options)


def captures(only=()):
    """The corpus' list of captures: dictionaries with path (inside the folder), file (the whole path), opens, packets, ..."""
    root = fleet.corpus()
    with open(os.path.join(root, "MANIFEST.tsv"), newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if row["path"] in only] if only else rows[::SHARE]
    return [dict(row, file=os.path.join(root, row["path"])) for row in rows]


def lines(name):
    """Fields of each line of tests/data/NAME that is no comment."""
    return [line.split("\t") for line in (DATA / name).read_text().splitlines() if line and line[0] != "#"]


class Verdicts:
    """What is wrong with which captures, but for those with an exception in tests/data/NAME (path with wildcards, reason), or that match
    `others`, exceptions for which another test asks whether they are needed."""

    def __init__(self, name, others=()):
        self.name, self.others = name, list(others)
        self.needed = {fields[0]: False for fields in lines(name)}
        self.seen, self.excused, self.wrong = set(), 0, {}

    def add(self, path, wrong):
        """`wrong` is a sentence, or None."""
        self.seen.add(path)
        matching = [pattern for pattern in self.needed if fnmatch.fnmatchcase(path, pattern)]
        if not wrong:
            return
        self.needed.update((pattern, True) for pattern in matching)
        if matching or any(fnmatch.fnmatchcase(path, pattern) for pattern in self.others):
            self.excused += 1
        else:
            self.wrong[path] = wrong

    def status(self, told):
        """Prints what is wrong and `told`; the exit status."""
        for pattern, needed in self.needed.items():
            if not needed and any(fnmatch.fnmatchcase(path, pattern) for path in self.seen):
                self.wrong[pattern] = "stands in %s, but is right now" % self.name
        for path, wrong in sorted(self.wrong.items()):
            print("%s: %s" % (path, wrong.strip()))
        print("%d captures, %s, %d excused, %d wrong" % (len(self.seen), told, self.excused, len(self.wrong)))
        return 1 if self.wrong or not self.seen else 0


class Differences:
    """Where what we say differs from another program's output, but for the exceptions in tests/data/NAME (output, who, what, each with
    wildcards; reason). Of outputs named on the command line the excused are printed, too, and exceptions need not be needed."""

    def __init__(self, name):
        self.exceptions = [[*fields[:3], 0] for fields in lines(name)]
        self.right = self.excused = self.wrong = 0

    def excuse(self, *difference):
        for line in self.exceptions:
            if all(map(fnmatch.fnmatchcase, difference, line[:3])):
                line[3] += 1
                return True
        return False

    def take(self, output, found):
        """`found`: (who, what) of each difference, None for what is the same."""
        for difference in found:
            if not difference:
                self.right += 1
                continue
            if self.excuse(output, *difference):
                self.excused += 1
                if not chosen():
                    continue
            else:
                self.wrong += 1
            print("%s: %s: %s" % (output, *difference))

    def status(self, told):
        """Prints `told` and the sums; the exit status."""
        unused = [] if chosen() else [line[:3] for line in self.exceptions if not line[3]]
        for line in unused:
            print("exception not needed:", *line)
        same = ", %d values are the same" % self.right if self.right else ""
        print("%s%s, %d differences excused, %d not" % (told, same, self.excused, self.wrong))
        return 1 if self.wrong or unused else 0


def batches(items, size):
    return [items[at:at + size] for at in range(0, len(items), size)]


def check_read(done, path, capture):
    """What is wrong with exit status and messages of `fleetdump-agent --read` for a pcapfile.Capture, or None."""
    status, said = done.returncode, done.stderr
    if status not in (0, 1):
        return "exit %d: %s" % (status, said)
    if status == 1 and path not in said:
        return "the error does not name the file: " + said
    if (status == 1) != bool(capture.damage or capture.refused):
        return "exit %d for a file with %s: %s" % (status, capture.damage or capture.refused or "nothing wrong", said)
    if capture.refused and capture.refused not in said:
        return "the error does not say '%s': %s" % (capture.refused, said)
    if capture.damage and not re.search(r"\bbyte ", said):
        return "the error does not say at which byte: " + said
    if capture.lost and "packets are missing in them" not in said:
        return "nothing is said of %s packets that are missing" % capture.lost
    return None


def chosen():
    """Captures named on the command line."""
    return set(sys.argv[1:])
