"""What the kernel says about processes, and how to start and end them.

A process is never signalled by name or by a number alone: only what this harness started is ended, and a process
number is checked against its start time first.
"""
import os
import platform
import resource
import signal
import socket
import subprocess
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def choose_cpus():
    """(CPUs for the proxy, CPUs for load and origin): one, and all others that do not share its core; or None."""
    allowed = sorted(os.sched_getaffinity(0))
    siblings = _siblings(allowed[0])
    others = {cpu for cpu in allowed[1:] if cpu not in siblings} or set(allowed[1:])
    return ({allowed[0]}, others) if others else None


def _siblings(cpu):
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
            parts = [part.split("-") for part in file.read().strip().split(",")]
    except OSError:
        return {cpu}
    return {number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)}


def raise_file_limit():
    """Allows as many open files as the system lets us; returns how many those are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def describe():
    """One line about the machine."""
    model = "unknown CPU"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {len(os.sched_getaffinity(0))} CPUs, Linux {platform.release()}"


# ---------------------------------------------------------------- starting and ending


def start(command, cpus=None, **options):
    """Starts a program in a session of its own, on the given CPUs only."""
    pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(command, preexec_fn=pin, start_new_session=True, **options)


def has_ended(process):
    """Asks without reaping it: until it is reaped, its number is its own."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end(process, limit=5.0):
    """Ends a process that `start` returned, and whatever it started: first asked, then killed."""
    if process is None or process.returncode is not None:
        return
    started = {pid: _start_time(pid) for pid in set(tree(process.pid)) | _session(process.pid)}
    os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + limit
    while not has_ended(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    survivors = {pid: start_time for pid, start_time in started.items() if start_time is not None}
    deadline = time.monotonic() + limit
    while survivors and time.monotonic() < deadline:
        survivors = {pid: start_time for pid, start_time in survivors.items() if _start_time(pid) == start_time}
        for pid in survivors:
            _kill(pid)
        time.sleep(0.01)
    process.wait()


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def accepts(port):
    """Does anything accept connections on this port?"""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True
    except OSError:
        return False


def wait_until_accepts(port, process, seconds=20):
    """Waits until the port accepts; False when the process ended or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not has_ended(process):
        if accepts(port):
            return True
        time.sleep(0.05)
    return False


# ---------------------------------------------------------------- reading /proc


def _stat(pid):
    """The fields of /proc/PID/stat from the third on ("state"), or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None


def _start_time(pid):
    """What tells a process from a later one with its number; None when it has ended."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else None


def _all_stats():
    stats = {int(name): _stat(name) for name in os.listdir("/proc") if name.isdigit()}
    return {pid: fields for pid, fields in stats.items() if fields}


def _session(leader):
    return {pid for pid, fields in _all_stats().items() if int(fields[3]) == leader}


def tree(root):
    """A process and all its descendants."""
    children = {}
    for pid, fields in _all_stats().items():
        children.setdefault(int(fields[1]), []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(root):
    """User and system time of a process, its descendants, and those of them that have ended and were waited for."""
    ticks = 0
    for fields in filter(None, map(_stat, tree(root))):
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


def busy_seconds():
    """CPU time that all CPUs together have been busy since boot; time stolen from a virtual machine counts."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND


def memory_mib(root):
    """(resident, proportional) memory of a process and its descendants, in MiB."""
    kib = {"Rss:": 0, "Pss:": 0}
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                for name, value, *_ in (line.split() for line in file):
                    if name in kib:
                        kib[name] += int(value)
        except OSError:
            pass
    return kib["Rss:"] / 1024, kib["Pss:"] / 1024


def thread_count(root):
    """Threads of a process and its descendants."""
    return sum(int(fields[17]) for fields in filter(None, map(_stat, tree(root))))
