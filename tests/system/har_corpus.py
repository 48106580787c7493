#!/usr/bin/env python3
"""HTTP archives from captures for which other programs made one, too: the same requests, with method, URL, status and content
type. What is within TLS (those programs had keys) is not seen by an agent."""

import csv
import json
import os
import sys

import fleet


def pairs(corpus):
    with open(os.path.join(corpus, "ORACLES.tsv")) as file:
        for row in csv.reader(file, delimiter="\t"):
            if len(row) > 3 and row[3].startswith("HAR"):
                yield row[0], row[1]


def plain(entry):
    """What both say: without query and fragment, port 80, parameters of the content type."""
    url = entry["request"]["url"].partition("#")[0].partition("?")[0]
    host, slash, path = url.partition("://")[2].partition("/")
    response = entry["response"] or {"status": 0, "content": {}}
    kind = (response["content"].get("mimeType") or "").partition(";")[0].lower()
    return (entry["request"]["method"], host.lower().removesuffix(":80") + slash + path, response["status"],
            "" if kind == "application/x-unknown-content-type" else kind)


def seen(archive):
    return [e for e in archive["log"]["entries"] if e["request"]["url"].startswith("http://")]


def main():
    corpus = fleet.corpus()
    compared, differ = 0, {}
    with fleet.Fleet() as system:
        for number, (capture, oracle) in enumerate(pairs(corpus)):
            with open(os.path.join(corpus, oracle)) as file:
                theirs = seen(json.load(file))
            name = "capture-%d" % number
            system.read("web-1", os.path.join(corpus, capture), capture=name)
            ours = seen(json.loads(system.run("http", "--capture", name, "--har", "-").stdout))
            compared += len(theirs)
            mine, other = sorted(map(plain, ours)), sorted(map(plain, theirs))
            if mine != other:
                differ[capture] = "only here %s, only there %s" % ([m for m in mine if m not in other], [o for o in other if o not in mine])
                if len(mine) != len(other):
                    differ[capture] += ", %d and %d" % (len(mine), len(other))
    assert not differ, "\n".join("%s: %s" % pair for pair in differ.items())
    assert compared > 50, compared
    print("%d requests in %d archives are the same" % (compared, number + 1))


if __name__ == "__main__":
    sys.exit(main())
