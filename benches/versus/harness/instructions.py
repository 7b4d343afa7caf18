"""User-mode instructions per request, counted by valgrind: the same on a busy machine as on a quiet one.

The figure is the difference between two numbers of requests, so start-up and connection set-up cancel out. The kernel's
part is not seen: read it together with the number of system calls per request (strace -c; four is the least).
"""
import glob
import os
import re

from . import load, machine, report, tools

LOADS = (("h1", False, ("--h1", "-c16")), ("h1-tls", True, ("--h1", "-c16")), ("h2-tls", True, ("-c1", "-m100")))
FEW, MANY = 1000, 5000


def run(bench):
    """Prints one table of all contenders; "-" where a program did not end cleanly under valgrind."""
    tools.require(["valgrind"])
    bench.contenders = [contender for contender in bench.make() if not contender.is_direct]
    body = []
    for contender in bench.contenders:
        body.append([contender.name] + [_per_request(bench, contender, *one) for _, *one in LOADS])
    print("\n".join(report.table(["instructions per request"] + [name for name, *_ in LOADS], body)), flush=True)


def _per_request(bench, contender, tls, arguments):
    if tls and "https" in contender.skip:
        return "-"
    few, many = (_count(bench, contender, tls, arguments, requests) for requests in (FEW, MANY))
    return report.number((many - few) // (MANY - FEW)) if few and many and many > few else "-"


def _count(bench, contender, tls, arguments, requests):
    """Instructions of the contender's processes from start to end, with so many requests in between; or None."""
    pattern = os.path.join(contender.folder, "callgrind.*")
    for file in glob.glob(pattern):
        os.remove(file)
    valgrind = ["valgrind", "--tool=callgrind", "--trace-children=yes",
                "--callgrind-out-file=" + os.path.join(contender.folder, "callgrind.%p")]
    contender.write_files()
    contender.process = contender.launch(contender.spec["start"], wrapper=valgrind)
    try:
        if not machine.wait_until_accepts(contender.https if tls else contender.http, contender.process, 60):
            return None
        shown = load.run(bench, ["h2load", "-t1", f"-n{requests}", *arguments, contender.url(tls)], 120)
    finally:
        contender.stop()
    if f"{requests} succeeded" not in shown:
        return None
    return sum(_total(file) for file in glob.glob(pattern)) or None


def _total(file):
    with open(file, errors="replace") as profile:
        total = re.search(r"^(?:summary|totals): (\d+)", profile.read(), re.M)
    return int(total[1]) if total else 0
