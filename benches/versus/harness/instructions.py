"""What one request costs in exact numbers: user-mode instructions (valgrind) and system calls (strace).

Both are the same on a busy machine as on a quiet one. A figure is the difference between two numbers of requests, so
start-up and connection set-up cancel out. Instructions do not show the kernel's part: read both together; four system
calls are the least for a small request.
"""
import glob
import json
import os
import re
import sys

from . import load, machine, report, tools

HTTP1 = ("--h1", "-c16")
BODY = "body"  # stands for a file with the body of a POST
LOADS = {
    "h1": (False, HTTP1),
    "h1-tls": (True, HTTP1),
    "h2-tls": (True, ("-c1", "-m100")),
    "post": (False, (*HTTP1, "-d", BODY)),
}
FEW, MANY = 1000, 5000

# How much more than its budget a request may cost before that is a failure.
SLACK = 0.05


class Instructions:
    """Runs a program under callgrind."""

    name, program = "instructions per request", "valgrind"

    def wrapper(self, folder):
        return ["valgrind", "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={folder}/count.%p"]

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

    def total(self, text):
        return sum(int(calls) for calls, name in re.findall(r"^ *(\d+) (\w+)$", text, re.M) if name != "total")

    def shown(self, value):
        return f"{value:.2f}"


def run(bench, kind, budget=None):
    """Prints one table of all contenders; "-" where a program did not end cleanly. With a budget, returns what exceeds it."""
    tools.require([kind.program])
    bench.contenders = [contender for contender in bench.make() if not contender.is_direct]
    body, costs = [], {}
    for contender in bench.contenders:
        costs = {name: _per_request(bench, contender, kind, *one) for name, one in LOADS.items()}
        body.append([contender.name] + [kind.shown(cost) if cost else "-" for cost in costs.values()])
    print("\n".join(report.table([kind.name, *LOADS], body)), flush=True)
    return judge(costs, budget) if budget else []


def judge(costs, path):
    """What is wrong with these costs, those of one contender, by the budget in a file."""
    with open(path) as file:
        budget = json.load(file)
    faults = []
    for name, allowed in budget.items():
        cost = costs.get(name)
        if not cost:
            faults.append(f"{name}: could not be counted")
        elif cost > allowed * (1 + SLACK):
            faults.append(f"{name}: {cost:,.0f}, budget {allowed:,}: {cost / allowed - 1:+.1%}, allowed are {SLACK:+.0%}")
    if faults:
        faults.append(f"what a change is worth that costs more is for its author to say, with a new budget in {path}")
    return faults


def _per_request(bench, contender, kind, tls, arguments):
    if tls and "https" in contender.skip:
        return None
    few, many = (_count(bench, contender, kind, tls, arguments, requests) for requests in (FEW, MANY))
    return (many - few) / (MANY - FEW) if few and many and many > few else None


def _count(bench, contender, kind, tls, arguments, requests):
    """What the contender's processes came to from start to end, with so many requests in between; or None."""
    pattern = os.path.join(contender.folder, "count.*")
    for file in glob.glob(pattern):
        os.remove(file)
    contender.write_files()
    contender.process = contender.launch(contender.start_for_instruments(), wrapper=kind.wrapper(contender.folder))
    words = [bench.post_body if word == BODY else word for word in arguments]
    try:
        if not machine.wait_until_accepts(contender.https if tls else contender.http, contender.process, 60):
            return None
        shown = load.run(bench, ["h2load", "-t1", f"-n{requests}", *words, contender.url(tls)], 120)
    finally:
        contender.stop()
    if f"{requests} succeeded" not in shown:
        return None
    return sum(kind.total(_read(file)) for file in glob.glob(pattern)) or None


def _read(path):
    with open(path, errors="replace") as file:
        return file.read()


def end(faults):
    """Ends the program with its faults, if there are any."""
    if faults:
        sys.exit("\n".join(faults))
