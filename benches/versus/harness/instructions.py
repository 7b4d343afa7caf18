"""What one request costs in exact numbers: user-mode instructions (valgrind) and system calls (strace).

Both are the same on a busy machine as on a quiet one. A figure is the difference between two numbers of requests, so
start-up and connection set-up cancel out; instructions are counted from a first few requests on, because the random
numbers of a start-up take a random number of them. They do not show the kernel's part: read both figures together; four
system calls are the least for a small request.
"""
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

from . import load, machine, report, tools

HTTP1 = ("--h1", "-c16")
BODY = "body"  # stands for a file with the body of a POST
LOADS = {
    "h1": (False, HTTP1),
    "h1-tls": (True, HTTP1),
    "h2-tls": (True, ("-c1", "-m100")),
    "post": (False, (*HTTP1, "-d", BODY)),
}
WARM, FEW, MANY = 100, 500, 2500

# jemalloc tidies up by the clock, which runs fast for a program that valgrind makes slow.
CALM_ALLOCATOR = "tcache_gc_incr_bytes:1073741824"

# How much more than its budget a request may cost before that is a failure.
SLACK = 0.05


class Instructions:
    """Runs a program under callgrind."""

    name, program = "instructions per request", "valgrind"

    def wrapper(self, folder):
        return ["valgrind", "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={folder}/count.%p"]

    def begin(self, root):
        """From now on it counts."""
        for pid in machine.tree(root):
            subprocess.run(["callgrind_control", "--zero", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def end(self, process):
        """It ends as the program does."""

    def total(self, text):
        found = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
        return int(found[1]) if found else 0

    def shown(self, value):
        return report.number(round(value))


class Calls:
    """Runs a program under strace."""

    name, program = "system calls per request", "strace"

    def wrapper(self, folder):
        return ["strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", f"{folder}/count.all"]

    def begin(self, root):
        """It cannot help counting from the start."""

    def end(self, process):
        """It says nothing when it is ended itself: only when the program is."""
        for pid in machine.tree(process.pid)[1:]:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while not machine.has_ended(process) and time.monotonic() < deadline:
            time.sleep(0.02)

    def total(self, text):
        return sum(int(calls) for calls, name in re.findall(r"^ *(\d+) (\w+)$", text, re.M) if name != "total")

    def shown(self, value):
        return f"{value:.2f}"


def run(bench, kind, budget=None):
    """Prints one table of all contenders; "-" where a program did not end cleanly. With a budget, returns what exceeds it."""
    tools.require([kind.program])
    loads = {name: LOADS[name] for name in (_read_budget(budget) if budget else LOADS)}
    bench.contenders = [contender for contender in bench.make() if not contender.is_direct]
    body, costs = [], {}
    for contender in bench.contenders:
        costs = {name: _per_request(bench, contender, kind, *one) for name, one in loads.items()}
        body.append([contender.name] + [kind.shown(cost) if cost else "-" for cost in costs.values()])
    print("\n".join(report.table([kind.name, *loads], body)), flush=True)
    return judge(costs, budget) if budget else []


def judge(costs, path):
    """What is wrong with these costs, those of one contender, by the budget in a file."""
    faults = []
    for name, allowed in _read_budget(path).items():
        cost = costs.get(name)
        if not cost:
            faults.append(f"{name}: could not be counted")
        elif cost > allowed * (1 + SLACK):
            faults.append(f"{name}: {cost:,.0f}, budget {allowed:,}: {cost / allowed - 1:+.1%}, allowed are {SLACK:+.0%}")
    if faults:
        faults.append(f"what a change is worth that costs more is for its author to say, with a new budget in {path}")
    return faults


def _read_budget(path):
    with open(path) as file:
        return json.load(file)


def _per_request(bench, contender, kind, tls, arguments):
    if tls and "https" in contender.skip:
        return None
    return per_request(bench, contender, kind, (FEW, MANY), tls, arguments)


def per_request(bench, contender, kind, numbers, tls, arguments, more=()):
    """The cost of one request, by the difference between two numbers of them; `more` is added to the start command."""
    few, many = (_count(bench, contender, kind, requests, tls, arguments, more) for requests in numbers)
    return (many - few) / (numbers[1] - numbers[0]) if few and many and many > few else None


def _count(bench, contender, kind, requests, tls, arguments, more):
    """What the contender's processes came to from start to end, with so many requests in between; or None."""
    pattern = os.path.join(contender.folder, "count.*")
    for file in glob.glob(pattern):
        os.remove(file)
    contender.write_files()
    contender.process = contender.launch([*contender.start_for_instruments(), *more], wrapper=kind.wrapper(contender.folder),
                                         more={"_RJEM_MALLOC_CONF": CALM_ALLOCATOR})
    words = [bench.post_body if word == BODY else word for word in arguments]
    ask = lambda count: f"{count} succeeded" in load.run(
        bench, ["h2load", "-t1", f"-n{count}", *words, contender.url(tls)], 120)
    try:
        port = contender.https if tls else contender.http
        if not machine.wait_until_accepts(port, contender.process, 60) or not ask(WARM):
            return None
        kind.begin(contender.process.pid)
        if not ask(requests):
            return None
        kind.end(contender.process)
    finally:
        contender.stop()
    return sum(kind.total(_read(file)) for file in glob.glob(pattern)) or None


def _read(path):
    with open(path, errors="replace") as file:
        return file.read()


def end(faults):
    """Ends the program with its faults, if there are any."""
    if faults:
        sys.exit("\n".join(faults))
