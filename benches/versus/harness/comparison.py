"""The rounds: for every case the contenders take turns, so that the drift of a machine hits all of them alike."""
import os
import sys
import time
from dataclasses import dataclass

from . import machine, report


class Comparison:
    """Measures and prints, case by case."""

    def __init__(self, bench, rounds, references, quiet):
        self.bench, self.rounds, self.quiet = bench, rounds, quiet
        self.names = [contender.name for contender in bench.contenders]
        self.references = [name for name in references if name in self.names]
        self.results = {}  # case name -> contender name -> one result, or None, per round

    def run(self, cases):
        for case in cases:
            self.results[case.name] = rows = {name: [] for name in self.names}
            for round_number in range(1 if case.once else self.rounds):
                for contender in self._in_turn(round_number):
                    _progress(f"{case.name}: round {round_number + 1} of {1 if case.once else self.rounds}, {contender.name}")
                    rows[contender.name].append(self._one(case, contender))
            _progress("")
            print("\n" + report.case_table(case, rows, self.references), flush=True)
            yield case, rows

    def _in_turn(self, round_number):
        first = round_number % len(self.bench.contenders)
        return self.bench.contenders[first:] + self.bench.contenders[:first]

    def _one(self, case, contender):
        if not contender.can(case):
            return None
        if not contender.is_alive():
            print(f"{contender.name} has died and is started again", file=sys.stderr)
            if not contender.start():
                return None
        if case.once:
            return case.measure(self.bench, contender)
        return self._undisturbed(case, contender)

    def _undisturbed(self, case, contender):
        """Measures again while other processes take too much of the machine; the least disturbed result counts."""
        best = None
        for _ in range(1 + self.quiet.retries):
            self._wait_for_quiet()
            others = Others()
            result = case.measure(self.bench, contender)
            if result is None:
                continue
            result["others"] = others.cpus()
            if best is None or result["others"] < best["others"]:
                best = result
            if result["others"] <= self.quiet.cpus:
                break
        return best

    def _wait_for_quiet(self):
        deadline = time.monotonic() + self.quiet.wait
        while time.monotonic() < deadline:
            others = Others()
            time.sleep(0.15)
            if others.cpus() < self.quiet.cpus:
                return


@dataclass(frozen=True)
class Quiet:
    """When the machine counts as quiet, and what is done about it when it is not."""
    cpus: float = 0.25  # that other programs may use
    wait: float = 2.0   # seconds, at most, before a measurement
    retries: int = 1


class Others:
    """How many CPUs processes other than ours use, from now on."""

    def __init__(self):
        self.busy, self.own, self.time = machine.busy_seconds(), machine.cpu_seconds(os.getpid()), time.monotonic()

    def cpus(self):
        busy, own = machine.busy_seconds() - self.busy, machine.cpu_seconds(os.getpid()) - self.own
        return max(0.0, (busy - own) / (time.monotonic() - self.time))


def _progress(text):
    """A line that overwrites itself, for whoever watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
