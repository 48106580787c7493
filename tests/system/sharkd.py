"""tshark's view of many capture files by one process: sharkd, which is tshark with questions and answers in JSON, so that the
half second in which it starts is spent once. Not a test itself.

with Sharkd(preferences=["ip.defragment: FALSE"]) as shark:
    complained = shark.load("a.pcap")
    lengths = shark.frames("frame.len")
    talks = shark.conversations("TCP")
"""

import json
import os
import subprocess
import tempfile

# frame.encap_type of files that Wireshark takes for no capture, but shows as a document of one packet.
DOCUMENTS = {"MIME", "JavaScript Object Notation"}


class Sharkd:
    def __init__(self, preferences=(), protocols=None):
        """Preferences as lines of Wireshark's file of that name; `protocols` are all that are dissected, if given."""
        self.config = tempfile.TemporaryDirectory()
        self.write("preferences", preferences)
        if protocols is not None:
            known = subprocess.run(["tshark", "-G", "protocols"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
            known = {line.split("\t")[2] for line in known.splitlines()}
            assert set(protocols) <= known, "tshark does not know %s" % (set(protocols) - known)
            self.write("disabled_protos", sorted(known - set(protocols)))
        self.process, self.asked = None, 0

    def write(self, name, text):
        with open(os.path.join(self.config.name, name), "w") as file:
            file.writelines(line + "\n" for line in text)

    def __enter__(self):
        environment = dict(os.environ, HOME="/nonexistent", WIRESHARK_CONFIG_DIR=self.config.name, TZ="UTC")
        self.process = subprocess.Popen(["sharkd", "-"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()
        self.config.cleanup()

    def send(self, method, **parameters):
        self.asked += 1
        question = {"jsonrpc": "2.0", "id": self.asked, "method": method, "params": parameters}
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()

    def answers(self):
        """All answers up to that of the last question, by number: sharkd leaves some out."""
        found = {}
        while self.asked not in found:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError("sharkd died")
            if line.strip():
                answer = json.loads(line.decode(errors="replace"))
                found[answer["id"]] = answer
        return found

    def ask(self, method, **parameters):
        self.send(method, **parameters)
        answer = self.answers()[self.asked]
        if "error" in answer:
            raise AssertionError("sharkd: %s: %s" % (method, answer["error"]))
        return answer["result"]

    def load(self, path):
        """Opens the file; whether it is damaged, and the packets are those before that. ValueError if it cannot be opened."""
        self.send("load", file=str(path))
        load = self.asked
        self.send("status")
        answer = self.answers().get(load)
        if answer and "error" in answer:
            raise ValueError(answer["error"]["message"])
        return answer is None

    def frames(self, *fields):
        """For each packet the fields' values, "" where it has none, several of one separated by commas."""
        columns = {"column%d" % i: field + ":0" for i, field in enumerate(fields)}
        return [frame["c"] for frame in self.ask("frames", **columns)]

    def conversations(self, *kinds):
        """For each kind (TCP, UDP, IPv4, ...) what Statistics / Conversations lists: dictionaries with saddr, sport, daddr, dport,
        packets and bytes from saddr (txf, txb) and to it (rxf, rxb)."""
        taps = self.ask("tap", **{"tap%d" % i: "conv:" + kind for i, kind in enumerate(kinds)})["taps"]
        return {tap["tap"].removeprefix("conv:"): tap["convs"] for tap in taps}
