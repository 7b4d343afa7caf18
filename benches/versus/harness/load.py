"""Runs wrk, h2load and loadkit, and reads what they print.

Each result is a dictionary with `count` (work that succeeded), `failed`, `seconds`, and latencies in seconds
(`p50`, `p99`, ...); None when the tool gave no result.
"""
import json
import os
import re
import subprocess

from . import machine

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def run(bench, command, limit):
    """What a command printed, run on the load's CPUs; empty when it took longer than `limit` seconds."""
    process = machine.start(command, bench.load_cpus, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=bench.load_environment, text=True)
    try:
        return process.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        machine.end(process)
        return ""


def wrk(bench, contender, tls, script=None):
    """A closed loop over HTTP/1.1 keep-alive connections."""
    seconds = max(1, round(bench.settings.seconds))
    command = ["wrk", "-t1", f"-c{bench.settings.connections}", f"-d{seconds}s", "--latency", "--timeout", "5s"]
    command += ["-s", script] if script else []
    return read_wrk(run(bench, command + [contender.url(tls)], seconds + 20))


def read_wrk(text):
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h)", text)
    if not total:
        return None
    latency = {percent: float(value) * UNITS[unit]
               for percent, value, unit in re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)$", text, re.M)}
    broken = sum(int(count) for count in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    refused = sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    return {"count": int(total[1]) - refused, "failed": broken + refused, "seconds": float(total[2]) * UNITS[total[3]],
            "p50": latency.get("50"), "p99": latency.get("99")}


def h2load(bench, contender, connections, streams):
    """A closed loop over HTTP/2 connections with so many streams each, over TLS."""
    log = os.path.join(contender.folder, "h2load.log")
    if os.path.exists(log):
        os.remove(log)
    seconds = bench.settings.seconds
    command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds:g}", f"--log-file={log}"]
    result = read_h2load(run(bench, command + [contender.url(True)], seconds + 20), seconds, connections * streams)
    if result and os.path.exists(log):
        with open(log) as lines:
            result.update(read_h2load_log(lines))
    return result


def read_h2load(text, seconds, in_flight):
    """In its timed mode h2load counts the streams that it cut off at the end as failed: at most `in_flight`."""
    total = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed", text)
    protocol = re.search(r"^Application protocol: (\S+)", text, re.M)
    if not total or not protocol or protocol[1] != "h2":
        return None
    return {"count": int(total[1]), "failed": max(0, int(total[2]) - in_flight), "seconds": seconds}


def read_h2load_log(lines):
    """Each line: start, status, microseconds."""
    micros = sorted(int(fields[2]) for fields in (line.split("\t") for line in lines) if len(fields) == 3)
    if not micros:
        return {}
    return {"p50": micros[len(micros) // 2] / 1e6, "p99": micros[int(len(micros) * 0.99)] / 1e6}


def loadkit(bench, *arguments, limit=120):
    """One of our own generators; it prints one line of JSON."""
    text = run(bench, [bench.loadkit, *map(str, arguments)], limit)
    try:
        return json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return None
