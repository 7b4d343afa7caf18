"""One contender: a proxy with its configuration, its process and its addresses.

A contender is a file contenders/NAME.json and the templates that it names; README.md describes both.
"""
import functools
import json
import os
import re
import subprocess
import sys

from . import machine, tools


def spec_path(name, folders):
    paths = (os.path.join(folder, name + ".json") for folder in folders)
    return next((path for path in paths if os.path.exists(path)), None)


def list_all(folders):
    """(name, what it says about itself) of every contender."""
    for folder in folders:
        for file in sorted(os.listdir(folder)):
            if file.endswith(".json"):
                with open(os.path.join(folder, file)) as spec:
                    yield file[:-len(".json")], json.load(spec).get("about", "")


class Contender:
    """`ports`: the first of three ports that are its own."""

    def __init__(self, name, ports, bench):
        path = spec_path(name, bench.settings.folders)
        if not path:
            sys.exit(f"there is no contender {name}; see: run list")
        with open(path) as file:
            self.spec = json.load(file)
        self.name, self.bench, self.home = name, bench, os.path.dirname(path)
        self.is_direct = self.spec.get("direct", False)
        self.http = bench.origin_ports[0] if self.is_direct else ports
        self.https, self.extra = ports + 1, ports + 2
        self.skip = set(self.spec.get("skip", []))
        self.folder = os.path.join(bench.folder, name)
        os.makedirs(self.folder, exist_ok=True)
        self.process, self.generation = None, 0

    @functools.cached_property
    def program(self):
        """The path of its program, or None. Ours is built when it is first asked for."""
        if self.is_direct:
            return None
        program = self.spec["program"]
        if program == "portreeve":
            return tools.portreeve()
        return os.environ.get(self.name.upper().replace("-", "_")) or tools.find(program)

    @property
    def upstreams(self):
        """Where it finds the origins: on ports, or on Unix sockets if its file says so."""
        if self.spec.get("unix"):
            return [f"unix:{path}" for path in self.bench.origin_sockets]
        return [f"127.0.0.1:{port}" for port in self.bench.origin_ports]

    # ------------------------------------------------------------ what it can do

    def why_not(self):
        """Why it cannot take part, or None."""
        has_other = self.bench.settings.instruments and "instruments" in self.spec
        if self.is_direct or has_other or self.program:
            return None
        return f"{self.spec['program']} was not found: {tools.how_to_get(self.spec['program'])}"

    def can(self, case):
        needs_tls = case.tls and ("https" in self.skip or self.is_direct)
        needs_proxy = case.needs_proxy and self.is_direct
        return not (case.name in self.skip or needs_tls or needs_proxy)

    def version(self):
        """What the program says its version is, in one line."""
        if self.is_direct or "version" not in self.spec:
            return "-"
        shown = subprocess.run([self.program] + self.spec["version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=self.environment())
        # PM2 greets whoever it does not know yet.
        lines = [line for line in shown.stdout.splitlines() if re.search(r"\d", line)]
        return lines[0] if lines else "-"

    # ------------------------------------------------------------ its configuration

    def write_files(self):
        for name, template in self.spec.get("files", {}).items():
            with open(os.path.join(self.home, template)) as file:
                text = self.filled(file.read())
            with open(os.path.join(self.folder, name), "w") as file:
                file.write(text)

    def filled(self, template):
        """The template with its ${NAMES} replaced; a line that names ${UPSTREAM} is repeated for each origin."""
        lines = []
        for line in template.split("\n"):
            if "${UPSTREAM}" in line:
                lines += [self._replaced(line, self._upstream(index)) for index in range(len(self.upstreams))]
            else:
                lines.append(self._replaced(line, {}))
        return "\n".join(lines)

    def _upstream(self, index):
        return {"UPSTREAM": self.upstreams[index], "UPORT": self.bench.origin_ports[index], "I": index}

    def _replaced(self, line, more):
        names = {
            "DIR": self.folder, "GEN": self.generation,
            "HTTP_PORT": self.http, "HTTPS_PORT": self.https, "EXTRA_PORT": self.extra,
            "PID": self.process.pid if self.process else "",
            "UPSTREAMS": ",".join(self.upstreams), "UPSTREAMS_TOML": ", ".join(f'"{place}"' for place in self.upstreams),
            **self.bench.names, **more,
        }

        def value(match):
            name = match.group(1)
            if name == "PROGRAM":
                return self.program
            if name == "LONE_PROXY":
                return tools.lone_proxy()
            if name not in names and name not in os.environ:
                sys.exit(f"{self.name}: nothing is known of ${{{name}}}")
            return str(names.get(name, os.environ.get(name)))

        return re.sub(r"\$\{([A-Z][A-Z0-9_]*)\}", value, line)

    def command(self, words):
        return [self._replaced(word, {}) for word in words]

    def environment(self):
        return {**os.environ, **{name: self._replaced(value, {}) for name, value in self.spec.get("env", {}).items()}}

    # ------------------------------------------------------------ its process

    def start(self):
        """Writes its configuration and starts it; says why and returns False when it does not come up."""
        if self.is_direct:
            return True
        self.write_files()
        self.process = self.launch(self.spec["start"])
        ports = [self.http] + ([] if "https" in self.skip else [self.https])
        if all(machine.wait_until_accepts(port, self.process) for port in ports):
            return True
        print(f"{self.name} did not start. The end of its output:\n{self._end_of_log()}", file=sys.stderr)
        self.stop()
        return False

    def start_for_instruments(self):
        """The command for a run under an instrument: a process that is locked down can be looked into by none."""
        return self.spec.get("instruments", self.spec["start"])

    def launch(self, words, wrapper=(), more=None):
        """Starts one of its commands on the proxy's CPUs; `more` adds to its environment."""
        with open(os.path.join(self.folder, "log"), "ab") as log:
            return machine.start([*wrapper, *self.command(words)], self.bench.proxy_cpus, stdout=log, stderr=log,
                                 env={**self.environment(), **(more or {})}, cwd=self.folder)

    def _end_of_log(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as log:
            return "".join(log.readlines()[-12:])

    def is_alive(self):
        return self.is_direct or (self.process is not None and not machine.has_ended(self.process))

    def stop(self):
        machine.end(self.process)
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def cpu_seconds(self):
        return machine.cpu_seconds(self.process.pid) if self.process else 0.0

    # ------------------------------------------------------------ its addresses

    def address(self, tls):
        return f"127.0.0.1:{self.https if tls else self.http}"

    def url(self, tls):
        return f"http{'s' if tls else ''}://{self.address(tls)}/small"
