"""An authority and certificates under it, made by the openssl command line, for tests of TLS. Not a test itself.

ca = Authority(folder)
ca.issue("agent", "web-1", folder_of_web_1)        # ca.pem, cert.pem, key.pem
"""

import os
import pwd
import shutil
import subprocess
import time

DAY_S = 86400
CA_CONFIG = """[ca]
default_ca = this
[this]
database = %(folder)s/index
new_certs_dir = %(folder)s
rand_serial = yes
unique_subject = no
default_md = default
policy = any
[any]
commonName = optional
organizationalUnitName = optional
"""

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
                "-out", self.path("ca.pem"), "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        open(self.path("index"), "w").close()
        with open(self.path("config"), "w") as file:
            file.write(CA_CONFIG % {"folder": folder})

    def path(self, name):
        return os.path.join(self.folder, name)

    def renew(self, path, days):
        """Writes its own certificate there, good within those days from now."""
        openssl("req", "-new", "-key", self.path("ca.key"), "-subj", "/CN=fleet of test", "-out", path + ".request")
        begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + day * DAY_S)) for day in days)
        with open(path + ".extensions", "w") as file:
            file.write("basicConstraints = critical,CA:TRUE\n")
        openssl("ca", "-batch", "-notext", "-selfsign", "-config", self.path("config"), "-keyfile", self.path("ca.key"), "-extfile", path + ".extensions",
                "-startdate", begin, "-enddate", end, "-in", path + ".request", "-out", path)
        os.unlink(path + ".request")
        os.unlink(path + ".extensions")

    def revoke(self, certificate):
        openssl("ca", "-config", self.path("config"), "-cert", self.path("ca.pem"), "-keyfile", self.path("ca.key"), "-revoke", certificate)

    def list_revoked(self, path, days=(-1, 30)):
        """Writes the revocation list, good within those days from now."""
        begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + day * DAY_S)) for day in days)
        openssl("ca", "-gencrl", "-config", self.path("config"), "-cert", self.path("ca.pem"), "-keyfile", self.path("ca.key"),
                "-crl_lastupdate", begin, "-crl_nextupdate", end, "-out", path)

    def issue(self, kind, name, folder, days=(-1, 30), subject="/CN=any", names=None, key=("ed25519",), trusted=None, owner=None):
        """Good within those days from now; `names` instead of what kind and name say ("": none at all)."""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        at = lambda file: os.path.join(folder, file)
        names = "URI:fleetdump://%s/%s" % (kind, name) if names is None else names
        with open(at("extensions"), "w") as file:
            file.write("extendedKeyUsage = %s\n" % ("serverAuth" if kind == "collector" else "clientAuth"))
            if names:
                file.write("subjectAltName = %s\n" % names)
        openssl("req", "-new", "-newkey", *key, "-nodes", "-subj", subject, "-keyout", at("key.pem"), "-out", at("request"))
        begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + day * DAY_S)) for day in days)
        openssl("ca", "-batch", "-notext", "-config", self.path("config"), "-cert", self.path("ca.pem"), "-keyfile", self.path("ca.key"),
                "-extfile", at("extensions"), "-startdate", begin, "-enddate", end, "-in", at("request"), "-out", at("cert.pem"))
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
