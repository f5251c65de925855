"""A picture of the results, as SVG: a panel for each kind of work, a bar for each server."""

from __future__ import annotations

import math
from html import escape

from bench.report import rows
from bench.results import Measured, Results
from bench.work import Work

PANELS = ("post", "post16", "fanout", "fanout8", "latency", "idle")
WIDTH = 860
LEFT, RIGHT = 200, 110
BAR, GAP, HEAD = 16, 6, 44

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.bar { fill: #9aa7b5; }
.own { fill: #1f6feb; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .bar { fill: #5b6673; }
}
"""


def panel(work: Work, measured: list[Measured], top: int) -> tuple[str, int]:
    """One panel's elements, and where it ends."""
    column = work.columns[0]
    values = [one.figures[column.key] for one in measured]
    # From one decade below the smallest on, so that the smallest has a bar too.
    least = 10 ** (math.floor(math.log10(max(min(values), 1e-3))) - 0.3)
    span = math.log10(max(*values, least * 10) / least)
    title = f"{work.title}: {column.title}"
    lines = [f'<text class="title" x="8" y="{top + 26}">{escape(title)}</text>']
    y = top + HEAD
    for one, value in zip(measured, values, strict=True):
        length = max(2.0, math.log10(max(value, least) / least) / span * (WIDTH - LEFT - RIGHT))
        kind = "bar own" if one.peer.startswith("zaqar-gateway") else "bar"
        lines.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(one.peer)}</text>')
        lines.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR}" rx="2"/>')
        lines.append(f'<text x="{LEFT + length + 6:.0f}" y="{y + 13}">{value:,.{column.digits}f}</text>')
        y += BAR + GAP
    return "\n".join(lines), y


def svg(results: Results) -> str:
    """The picture. Less is better in every panel."""
    parts, end = [], 0
    for work, measured in rows(results):
        shown = [one for one in measured if not one.failure]
        if work.key in PANELS and shown:
            part, end = panel(work, shown, end)
            parts.append(part)
    end += 32
    parts.append(f'<text x="{LEFT}" y="{end - 12}">Less is better. The scales are logarithmic.</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {end}" role="img">\n'
        f"<title>Less is better; logarithmic scale</title>\n<style>\n{STYLE}</style>\n{body}\n</svg>\n"
    )
