"""What tests of all captures share: which they are, and exceptions, each with its reason. Not a test itself.

FLEETDUMP_CORPUS is the folder of real captures; without, such tests are skipped. FLEETDUMP_CORPUS_SHARE=N takes every
N-th capture only: for runs that are slow, as those with sanitizers are.
"""

import csv
import os
import pathlib
import sys

import fleet

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
SHARE = int(os.environ.get("FLEETDUMP_CORPUS_SHARE", "1"))


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
    """What is wrong with which captures, but for those with an exception in tests/data/NAME (path, reason)."""

    def __init__(self, name):
        self.name, self.known = name, {fields[0]: fields[1] for fields in lines(name)}
        self.seen, self.wrong, self.excused = set(), {}, set()

    def add(self, path, wrong):
        """`wrong` is a sentence, or None."""
        self.seen.add(path)
        if wrong and path in self.known:
            self.excused.add(path)
        elif wrong:
            self.wrong[path] = wrong

    def status(self, told):
        """Prints what is wrong and `told`; the exit status."""
        for path in self.seen & set(self.known) - self.excused:
            self.wrong[path] = "stands in %s, but is right now" % self.name
        for path, wrong in sorted(self.wrong.items()):
            print("%s: %s" % (path, wrong.strip()))
        print("%d captures, %s, %d excused, %d wrong" % (len(self.seen), told, len(self.excused), len(self.wrong)))
        return 1 if self.wrong or not self.seen else 0


def batches(items, size):
    return [items[at:at + size] for at in range(0, len(items), size)]


def chosen():
    """Captures named on the command line."""
    return set(sys.argv[1:])
