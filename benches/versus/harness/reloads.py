"""Reloads under load: the same clients, without retries, before and while a contender is reloaded.

A contender takes part when its file says how it is reloaded, and answers with `X-Gen: ${GEN}`, by which the moment is
seen at which the new configuration, or the new version of the app, answers. Every second request is an order with a number of
its own; a contender whose app writes them down says where, so that those are seen that were handled twice.
"""
import collections
import json
import os
import signal
import socket
import subprocess
import time

from . import load, machine, report

HEAD = ["contender", "clients", "new one answers after", "requests", "failed", "refused", "stale keep-alive", "handled twice",
        "p99 before", "p99 while", "longest before", "longest while"]


class Plan:
    """How many clients, how often, with how long a pause behind each reload, and which of the four kinds of clients."""

    def __init__(self, clients=32, reloads=4, pause=2.0, kinds=None):
        self.clients, self.reloads, self.pause = clients, reloads, pause
        self.kinds = kinds or [(tls, how) for tls in (False, True) for how in ("keep", "close")]


def run(bench, plan):
    """Prints one table of all contenders."""
    body = []
    for contender in bench.contenders:
        if "reload" not in contender.spec:
            print(f"Note: {contender.name} is left out: its file names no reload")
            continue
        for tls, how in plan.kinds:
            if not (tls and "https" in contender.skip):
                body.append(_row(bench, contender, tls, how, plan))
    print("\n".join(report.table(HEAD, body)), flush=True)


def _row(bench, contender, tls, how, plan):
    arguments = ["loop", contender.address(tls), "tls" if tls else "plain", plan.clients]
    before = load.loadkit(bench, *arguments, 6, how)
    while_reloaded, took = _under_load(bench, contender, [*arguments, 0, how], plan)
    clients = f"{'TLS' if tls else 'plain'}, {'keep-alive' if how == 'keep' else 'one connection each'}"
    counts = [report.number(while_reloaded[name]) for name in ("count", "failed", "refused", "stale")]
    counts.append(report.number(_handled_twice(contender)) if "orders" in contender.spec else "-")
    times = [report.duration(seen[name]) for name in ("p99", "longest") for seen in (before, while_reloaded)]
    return [contender.name, clients, report.duration(report.median(took)), *counts, *times]


def _handled_twice(contender):
    with open(contender.command([contender.spec["orders"]])[0]) as orders:
        return repeated(orders)


def repeated(lines):
    """How many of them stand there more often than once."""
    return sum(1 for count in collections.Counter(lines).values() if count > 1)


def _under_load(bench, contender, arguments, plan):
    """(what the clients saw, seconds that each reload took)"""
    clients = machine.start([bench.loadkit, *map(str, arguments)], bench.load_cpus, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    replaced, took = [], []
    try:
        time.sleep(1)
        for _ in range(plan.reloads):
            started = time.monotonic()
            replaced += _reload(contender)
            took.append(_seconds_until_seen(contender, started))
            time.sleep(plan.pause)
        time.sleep(1)
        return json.loads(clients.communicate(timeout=60)[0]), took  # closes their input, with which they end
    finally:
        machine.end(clients)
        for process in replaced:
            machine.end(process)


def _reload(contender):
    """Asks for the reload; returns the process that a new one takes over from, if that is how it is done."""
    contender.generation += 1
    contender.write_files()
    spec = contender.spec["reload"]
    if "signal" in spec:
        os.kill(contender.process.pid, signal.Signals["SIG" + spec["signal"]])
        return []
    if "replace" in spec:
        old, contender.process = contender.process, contender.launch(spec["replace"])
        return [old]
    subprocess.run(contender.command(spec["command"]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
                   env=contender.environment(), cwd=contender.folder)
    return []


def _seconds_until_seen(contender, started, limit=10.0):
    """From the order to the first answer of the new configuration on a new connection; None when it does not come."""
    wanted = f"x-gen: {contender.generation}\r\n".encode()
    while time.monotonic() < started + limit:
        try:
            if wanted in _head(contender.http).lower():
                return time.monotonic() - started
        except OSError:
            pass
        time.sleep(0.005)
    return None


def _head(port):
    with socket.create_connection(("127.0.0.1", port), 2) as connection:
        connection.sendall(b"GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(4096)
            if not more:
                break
            head += more
    return head
