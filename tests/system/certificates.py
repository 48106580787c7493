"""An authority and certificates under it, made by the openssl command line, for tests of TLS. Not a test itself.

ca = Authority(folder)
ca.issue("agent", "web-1", folder_of_web_1)        # ca.pem, cert.pem, key.pem
"""

import os
import pwd
import shutil
import subprocess

SHIP_USER = "fleetdump-ship"


def openssl(*arguments, **more):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, (arguments, done.stdout)
    return done.stdout


class Authority:
    def __init__(self, folder, name="test"):
        self.folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)
        openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=fleet of " + name, "-days", "3650", "-keyout", self.path("ca.key"),
                "-out", self.path("ca.pem"), "-addext", "keyUsage=critical,keyCertSign")

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, kind, name, folder, *options, subject="/CN=any", names=None, key=("ed25519",), trusted=None, owner=None):
        """`options` go to `openssl x509 -req`; `names` instead of what kind and name say ("": none at all)."""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        at = lambda file: os.path.join(folder, file)
        names = "URI:fleetdump://%s/%s" % (kind, name) if names is None else names
        with open(at("extensions"), "w") as file:
            file.write("extendedKeyUsage = %s\n" % ("serverAuth" if kind == "collector" else "clientAuth"))
            if names:
                file.write("subjectAltName = %s\n" % names)
        openssl("req", "-new", "-newkey", *key, "-nodes", "-subj", subject, "-keyout", at("key.pem"), "-out", at("request"))
        openssl("x509", "-req", "-in", at("request"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"), "-extfile", at("extensions"),
                "-out", at("cert.pem"), *(options or ("-days", "30")))
        shutil.copy((trusted or self).path("ca.pem"), at("ca.pem"))
        os.unlink(at("extensions"))
        os.unlink(at("request"))
        os.chmod(at("key.pem"), 0o600)
        for file in (folder, *(at(f) for f in os.listdir(folder))):
            if owner and os.geteuid() == 0:
                shutil.chown(file, owner)
        return folder


def ship_user():
    """Who reads an agent's key, where the agent is root's; None: root itself."""
    try:
        return pwd.getpwnam(SHIP_USER).pw_name
    except KeyError:
        return None
