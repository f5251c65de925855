"""The results as tables: for a terminal, and for the page in the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from bench.every_work import WORK
from bench.results import Measured, Results
from bench.work import Work
from gateway.bench.figures import table


def cells(work: Work, measured: Measured) -> list[str]:
    """One server's row, the note last."""
    if measured.failure:
        return [
            measured.peer,
            *("-" for _ in work.columns),
            f"failed: {measured.failure.splitlines()[0][:100]}",
        ]
    shown = [f"{measured.figures[column.key]:,.{column.digits}f}" for column in work.columns]
    return [measured.peer, *shown, measured.note]


def rows(results: Results) -> Sequence[tuple[Work, list[Measured]]]:
    """What was measured, by work."""
    found = [(work, [one for one in results.measured if one.work == work.key]) for work in WORK]
    return [(work, measured) for work, measured in found if measured]


def as_text(results: Results) -> str:
    """Tables for a terminal."""
    parts = []
    for work, measured in rows(results):
        aim = f" (aim: {work.aim})" if work.aim else ""
        head = ["", *(column.title for column in work.columns), ""]
        parts.append(f"{work.title}{aim}\n{table([head, *(cells(work, one) for one in measured)])}")
    parts.extend(f"missing: {peer}: {why}\n" for peer, why in results.missing.items())
    return "\n".join(parts)


def as_markdown(results: Results) -> str:
    """Tables for the documentation."""
    machine = results.machine
    medians = f"medians of {results.repetitions} repetitions"
    lines = [
        f"Measured on {results.when[:10]}: {machine.processor}, {machine.cores} cores, {machine.kernel}, "
        f"CPython {machine.python}; {'a single short run (QUICK=1)' if results.quick else medians}.",
        "",
        "; ".join(f"{peer}: {version}" for peer, version in results.versions.items()) + ".",
    ]
    for work, measured in rows(results):
        columns = work.columns
        lines += [
            "",
            f"**{work.title[0].upper()}{work.title[1:]}**" + (f" (aim: {work.aim})" if work.aim else ""),
            "",
        ]
        lines.append("| | " + " | ".join(column.title for column in columns) + " | |")
        lines.append("| --- |" + " ---: |" * len(columns) + " --- |")
        lines += ["| " + " | ".join(cells(work, one)) + " |" for one in measured]
    if results.missing:
        lines += [
            "",
            "Missing: " + "; ".join(f"{peer}: {why}" for peer, why in results.missing.items()) + ".",
        ]
    return "\n".join(lines) + "\n"
