"""What a request costs when there is more of everything: instructions per request, as a plot.

Only portreeve's own proxy is asked: what it is to serve is given by options of lone-proxy.
"""
from . import instructions, report, tools

MOST_CONNECTIONS = 10_000
BAR = 50


def run(bench):
    tools.require(["valgrind"])
    bench.contenders = bench.make()
    contender = next(contender for contender in bench.contenders if contender.name == "portreeve")
    for title, points in (("apps with a host each", apps), ("servers of the app", servers), ("connections", connections)):
        costs = [(size, instructions.per_request(bench, contender, instructions.Instructions(), *work))
                 for size, work in points(len(bench.origin_ports))]
        print(f"instructions per request by {title}\n" + "\n".join(plot(costs)) + "\n", flush=True)


def apps(_):
    for number in (1, 10, 100, 1000):
        yield number, (NUMBERS, False, instructions.HTTP1, ("--apps", str(number - 1)))


def servers(origins):
    for number in (origins, 4 * origins, 16 * origins, 64 * origins):
        yield number, (NUMBERS, False, instructions.HTTP1, ("--times", str(number // origins)))


def connections(_):
    for number in (10, 100, 1000, MOST_CONNECTIONS):
        requests = (max(number, 500), max(2 * number, 2500))
        yield number, (requests, False, ("--h1", f"-c{number}"))


NUMBERS = (instructions.FEW, instructions.MANY)


def plot(costs):
    """A line for each (size, cost), with a bar as long as the cost is high."""
    most = max((cost for _, cost in costs if cost), default=1)
    for size, cost in costs:
        bar = "#" * round(BAR * cost / most) if cost else ""
        yield f"{size:>8,} {report.number(round(cost)) if cost else '-':>8} {bar}"
