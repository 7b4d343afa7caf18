"""The session: a folder, a certificate, the origin server, and the contenders, all gone at its end."""
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

from . import machine, tools
from .contender import Contender

ORIGINS = 4

# What nginx, wrk and h2load are told through OpenSSL: the same cryptographic work for everyone.
OPENSSL_CONF = """openssl_conf = a
[a]
ssl_conf = b
[b]
system_default = c
[c]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""

POST_LUA = """wrk.method = "POST"
wrk.body = string.rep("p", 16384)
wrk.headers["Content-Type"] = "application/octet-stream"
"""


@dataclass
class Settings:
    """How a session is run."""
    contenders: list
    folders: list
    pinned: bool = True       # one proxy thread on a CPU of its own; else a thread per CPU and nothing pinned
    seconds: float = 2        # of each measurement
    connections: int = 64
    idle: int = 5000          # connections held in the memory cases
    scale: float = 1.0        # factor on the number of bulk transfers
    first_port: int = 21000   # below the range from which clients' ports are taken
    instruments: bool = False  # programs run under an instrument
    keep: bool = False        # leave the folder with configurations and logs
    notes: list = field(default_factory=list)


class Bench:
    """`with Bench(settings) as bench`: the origin runs, `bench.contenders` are those that started."""

    def __init__(self, settings):
        self.settings = settings
        self.files = machine.raise_file_limit()
        cpus = machine.choose_cpus() if settings.pinned else None
        if settings.pinned and not cpus:
            settings.notes.append("there is one CPU only, so nothing is pinned")
        self.proxy_cpus, self.load_cpus = cpus or (None, None)
        self.threads = 1 if cpus else len(os.sched_getaffinity(0))
        # HAProxy sets aside five descriptors for two connections: both sides, and pipes for splicing.
        self.connections = min(10000, (self.files - 500) * 2 // 5)
        self.idle = min(settings.idle, self.connections // 2)
        self.origin_ports = [settings.first_port + index for index in range(ORIGINS)]
        self.contenders, self.origin, self.folder, self.sockets = [], None, None, None

    def __enter__(self):
        tools.require(["wrk", "h2load", "openssl"])
        self.loadkit = tools.loadkit()
        self.folder = tempfile.mkdtemp(prefix="versus-")
        # A proxy that has given its rights up has to get there.
        self.sockets = tempfile.mkdtemp(prefix="versus-sockets-")
        os.chmod(self.sockets, 0o755)
        self.origin_sockets = [os.path.join(self.sockets, f"{index}.sock") for index in range(ORIGINS)]
        try:
            self._write_certificate()
            self._write_load_files()
            self._start_origin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _end(self):
        for contender in self.contenders:
            contender.stop()
        machine.end(self.origin)
        shutil.rmtree(self.sockets, ignore_errors=True)
        if self.settings.keep:
            print(f"configurations and logs are in {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def make(self):
        """Those of the wanted contenders that can take part, not started; says why others cannot."""
        made = []
        for index, name in enumerate(self.settings.contenders):
            contender = Contender(name, self.settings.first_port + 10 * (index + 1), self)
            why_not = contender.why_not()
            if why_not:
                self.settings.notes.append(f"{name} is left out: {why_not}")
                print(self.settings.notes[-1], file=sys.stderr)
                continue
            # With SO_REUSEPORT a leftover process would silently take a share of the connections.
            if not contender.is_direct:
                self._refuse_used_ports([contender.http, contender.https, contender.extra])
            made.append(contender)
        return made

    def start_all(self):
        """Starts the contenders; ends the run when none comes up."""
        for contender in self.make():
            self.contenders.append(contender)
            if not contender.start():
                self.contenders.remove(contender)
                self.settings.notes.append(f"{contender.name} is left out: it did not start")
        if not any(not contender.is_direct for contender in self.contenders):
            sys.exit("no proxy started")

    def _refuse_used_ports(self, ports):
        for port in ports:
            if machine.accepts(port):
                sys.exit(f"port {port} is in use, perhaps by a leftover of another run; see --first-port")

    def _start_origin(self):
        self._refuse_used_ports(self.origin_ports)
        command = [self.loadkit, "origin", ",".join(map(str, self.origin_ports + self.origin_sockets))]
        with open(os.path.join(self.folder, "origin.log"), "wb") as log:
            self.origin = machine.start(command, self.load_cpus, stdout=log, stderr=log)
        if not machine.wait_until_accepts(self.origin_ports[-1], self.origin):
            sys.exit("the origin server did not start")

    def _write_certificate(self):
        self.cert, self.key, self.pem = (os.path.join(self.folder, name) for name in ("cert.pem", "key.pem", "both.pem"))
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout", self.key, "-out", self.cert]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(self.pem, "w") as both:
            for path in (self.cert, self.key):
                with open(path) as part:
                    both.write(part.read())

    def _write_load_files(self):
        self.post_script = os.path.join(self.folder, "post.lua")
        self.post_body = os.path.join(self.folder, "body")
        openssl = os.path.join(self.folder, "openssl.cnf")
        for path, text in ((self.post_script, POST_LUA), (self.post_body, "p" * 16384), (openssl, OPENSSL_CONF)):
            with open(path, "w") as file:
                file.write(text)
        self.load_environment = {**os.environ, "OPENSSL_CONF": openssl}

    @property
    def names(self):
        """What templates may name, beside what each contender adds."""
        return {
            "THREADS": self.threads, "CONNECTIONS": self.connections, "FILES": self.files,
            "CERT": self.cert, "KEY": self.key, "PEM": self.pem,
        }
