"""The kinds of work that are compared.

A case's `measure(bench, contender)` returns what the load saw; `per_cpu` (work per CPU second of the contender's
processes) and `cpus` are added here where a case counts work.
"""
import json
import subprocess
import time
from dataclasses import dataclass
from typing import Callable

from . import load, machine

MIB = 1 << 20
REQUESTS = ("per_cpu", "rate", "p50", "p99", "cpus", "failed")
TRANSFERS = ("per_cpu", "rate", "cpus", "failed")


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    unit: str                    # what is counted
    measure: Callable            # (bench, contender) -> result or None
    columns: tuple = REQUESTS
    key: str = "per_cpu"         # the column that is compared
    more_is_better: bool = True
    needs_proxy: bool = False    # says nothing about the origin itself
    once: bool = False           # one round: it does not depend on the machine's speed

    @property
    def tls(self):
        return self.name.startswith(("hs-", "h2-")) or self.name.endswith("-tls")


def counted(work):
    """Adds the proxy's CPU time to what `work(bench, contender)` returns. Transfers count by their gigabytes."""
    def measure(bench, contender):
        before = contender.cpu_seconds()
        result = work(bench, contender)
        used = contender.cpu_seconds() - before
        if not result or not result["count"]:
            return None
        amount = result["bytes"] / 1e9 if "bytes" in result else result["count"]
        result["rate"] = amount / result["seconds"]
        result["cpus"] = used / result["seconds"]
        result["per_cpu"] = amount / used if used else None
        return result
    return measure


def _scheme(tls):
    return "tls" if tls else "plain"


def _get(tls):
    return counted(lambda bench, contender: load.wrk(bench, contender, tls))


def _post(tls):
    return counted(lambda bench, contender: load.wrk(bench, contender, tls, bench.post_script))


def _h2(connections, streams):
    return counted(lambda bench, contender: load.h2load(bench, contender, connections, streams))


def _handshakes(kind):
    return counted(lambda bench, contender: load.loadkit(
        bench, "handshakes", contender.address(True), kind, 16, bench.settings.seconds))


def _bulk(tls, direction, mib, transfers):
    return counted(lambda bench, contender: load.loadkit(
        bench, "bulk", contender.address(tls), _scheme(tls), direction, mib * MIB, 4,
        max(4, int(transfers * bench.settings.scale))))


def _websocket(tls):
    return counted(lambda bench, contender: load.loadkit(
        bench, "websocket", contender.address(tls), _scheme(tls), 64, bench.settings.seconds, 128))


def _steady(tls):
    return lambda bench, contender: load.loadkit(
        bench, "steady", contender.address(tls), _scheme(tls), 1000, bench.settings.seconds, 4)


def _memory(tls, scheme=None):
    """Memory of a fresh process, then with many keep-alive connections that each made one request."""
    def measure(bench, contender):
        if not contender.restart():
            return None
        load.loadkit(bench, "steady", contender.address(tls), _scheme(tls), 200, 1, 2)  # touch every code path once
        rss, pss = machine.memory_mib(contender.process.pid)
        held = _hold(bench, contender, tls, scheme or _scheme(tls))
        if not held or not held["count"]:
            return None
        return {**held, "rss": rss, "kib_each": (held["pss"] - pss) * 1024 / held["count"],
                "threads": machine.thread_count(contender.process.pid)}
    return measure


def _hold(bench, contender, tls, scheme):
    command = [bench.loadkit, "idle", contender.address(tls), scheme, str(bench.idle)]
    process = machine.start(command, bench.load_cpus, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        time.sleep(15)  # what lies idle is given back with a delay, by proxies as by their allocators
        _, pss = machine.memory_mib(contender.process.pid)
        return {**json.loads(line), "pss": pss} if line else None
    finally:
        process.stdin.close()
        machine.end(process)


_LATENCY = dict(columns=("p50", "p90", "p99", "p999", "failed"), key="p50", more_is_better=False)
_MEMORY = dict(columns=("rss", "kib_each", "count", "threads", "failed"), key="kib_each", more_is_better=False,
               needs_proxy=True, once=True)

CASES = {case.name: case for case in (
    Case("h1", "HTTP/1.1 GET of 1 KiB, keep-alive, plain", "requests", _get(False)),
    Case("h1-tls", "HTTP/1.1 GET of 1 KiB, keep-alive, TLS 1.3", "requests", _get(True)),
    Case("h2-tls", "HTTP/2 GET of 1 KiB, TLS 1.3, 1 connection with 100 streams", "requests", _h2(1, 100)),
    Case("h2-many-tls", "HTTP/2 GET of 1 KiB, TLS 1.3, 16 connections with 8 streams", "requests", _h2(16, 8)),
    Case("post", "HTTP/1.1 POST of 16 KiB, keep-alive, plain", "requests", _post(False)),
    Case("post-tls", "HTTP/1.1 POST of 16 KiB, keep-alive, TLS 1.3", "requests", _post(True)),
    Case("hs-full", "full TLS 1.3 handshake and one GET, ECDSA P-256", "connections", _handshakes("full"), TRANSFERS),
    Case("hs-resumed", "resumed TLS 1.3 handshake and one GET", "connections", _handshakes("resumed"), TRANSFERS + ("resumed",)),
    Case("down", "downloads of 10 MiB, plain", "GB", _bulk(False, "down", 10, 300), TRANSFERS),
    Case("down-tls", "downloads of 10 MiB, TLS 1.3", "GB", _bulk(True, "down", 10, 160), TRANSFERS),
    Case("down-long", "downloads of 100 MiB, plain", "GB", _bulk(False, "down", 100, 24), TRANSFERS),
    Case("down-long-tls", "downloads of 100 MiB, TLS 1.3", "GB", _bulk(True, "down", 100, 16), TRANSFERS),
    Case("up", "uploads of 10 MiB, plain", "GB", _bulk(False, "up", 10, 200), TRANSFERS),
    Case("up-tls", "uploads of 10 MiB, TLS 1.3", "GB", _bulk(True, "up", 10, 120), TRANSFERS),
    Case("ws", "WebSocket echo of 128 bytes, 64 connections, plain", "messages", _websocket(False)),
    Case("ws-tls", "WebSocket echo of 128 bytes, 64 connections, TLS 1.3", "messages", _websocket(True)),
    Case("steady", "latency at 1,000 requests/s, plain", "requests", _steady(False), **_LATENCY),
    Case("steady-tls", "latency at 1,000 requests/s, TLS 1.3", "requests", _steady(True), **_LATENCY),
    Case("memory", "memory with idle keep-alive connections, plain", "connections", _memory(False), **_MEMORY),
    Case("memory-tls", "memory with idle keep-alive connections, TLS 1.3", "connections", _memory(True), **_MEMORY),
    Case("memory-h2", "memory with idle HTTP/2 connections, TLS 1.3", "connections", _memory(True, "h2"), **_MEMORY),
)}

QUICK = ["h1", "h1-tls", "h2-tls", "post"]
STANDARD = QUICK + ["hs-full", "hs-resumed", "down", "down-tls", "up", "ws", "steady", "memory"]
