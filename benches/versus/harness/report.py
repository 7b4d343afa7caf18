"""The tables: Markdown that is also aligned for a terminal."""
import statistics

COLUMNS = {
    "rate": "{unit}/s", "per_cpu": "{unit} per CPU second", "cpus": "CPUs", "failed": "failed", "p50": "p50", "p90": "p90",
    "p99": "p99", "p999": "p99.9", "resumed": "resumed", "rss": "MiB at rest", "kib_each": "KiB per connection",
    "count": "{unit}", "threads": "threads",
}
TIMES = {"p50", "p90", "p99", "p999"}

# A result of which more than this part failed is not compared: failing is cheap.
MOST_FAILED = 0.001


def case_table(case, rows, references):
    """One case: a row per contender with medians, and the range of the per-round ratios to each reference."""
    columns = sorted(case.columns, key=lambda column: column != case.key)
    head = ["contender", COLUMNS[columns[0]].format(unit=case.unit)]
    head += [f"x {name} (range)" for name in references] + [COLUMNS[column].format(unit=case.unit) for column in columns[1:]]
    body = []
    for name, results in rows.items():
        seen = [result for result in results if result]
        if seen:
            cells = [_cell(seen, column) for column in columns]
            compared = ["1" if other == name else shown(ratios(case, results, rows[other])) for other in references]
            body.append([name, cells[0], *compared, *cells[1:]])
    better = "more" if case.more_is_better else "less"
    footer = f"Compared: {head[1]}, {better} is better."
    others = median(result.get("others") for results in rows.values() for result in results if result)
    if others is not None:
        footer += f" Other programs used {number(others)} CPUs meanwhile (median)."
    return "\n".join([f"### {case.name}: {case.title}", "", *table(head, body), "", footer])


def summary(cases, results, subject, references):
    """All cases: one row each, the subject's value and its ratio to each reference."""
    head = ["case", "compared", subject] + [f"x {name} (range)" for name in references]
    body = []
    for case in cases:
        rows = results[case.name]
        seen = [result for result in rows[subject] if result]
        if seen:
            label = COLUMNS[case.key].format(unit=case.unit) + ("" if case.more_is_better else " (less is better)")
            body.append([case.name, label, _cell(seen, case.key)]
                        + [shown(ratios(case, rows[subject], rows[name])) for name in references])
    return "\n".join([f"## Summary: {subject}", "", *table(head, body), "", busy_warning(results)]).rstrip()


def busy_warning(results, limit=0.25):
    """What to make of the figures when the machine was not ours; else nothing."""
    others = median(result.get("others") for rows in results.values() for seen in rows.values() for result in seen if result)
    if others is None or others <= limit:
        return ""
    return (f"Other programs used {number(others)} CPUs meanwhile (median): differences below 20 % say nothing here, and rates per\n"
            "second and latencies say more about those programs than about the contenders.")


def ratios(case, results, others):
    """The ratio of each round in which both sides have a result that counts."""
    pairs = ((result, other) for result, other in zip(results, others) if counts(result, case.key) and counts(other, case.key))
    return [result[case.key] / other[case.key] for result, other in pairs]


def counts(result, key):
    return bool(result) and bool(result.get(key)) and result.get("failed", 0) <= MOST_FAILED * result.get("count", 0)


def median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def table(head, body):
    """Lines of a Markdown table: the first column to the left, the others to the right."""
    widths = [max(len(row[index]) for row in [head, *body]) for index in range(len(head))]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    return ["| " + " | ".join(cell.ljust(width) if index == 0 else cell.rjust(width)
                              for index, (cell, width) in enumerate(zip(row, widths))) + " |" for row in [head, rule, *body]]


def shown(values):
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else "-"


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def duration(seconds):
    if seconds is None:
        return "-"
    scaled, unit = (seconds * 1e6, "us") if seconds < 1e-3 else (seconds * 1e3, "ms") if seconds < 1 else (seconds, "s")
    return f"{scaled:.3g} {unit}" if scaled < 1000 else f"{scaled:.0f} {unit}"


def _cell(results, column):
    value = median(result.get(column) for result in results)
    return duration(value) if column in TIMES else number(value)
