"""Puts the results of a run into the documentation.

::

    python -m bench.publish bench/results/latest.json

keeps the run as `bench/results/published.json`, and writes the tables of docs/benchmarks.md and its picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.paths import PUBLISHED, ROOT
from bench.plot import svg
from bench.report import as_markdown
from bench.results import Results, read

PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "benchmarks.svg"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


def page(text: str, results: Results) -> str:
    """The page with the results in place of those that it has."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{PAGE.name} has no place for the results"
    return f"{before}{BEGIN}\n{as_markdown(results)}\n{END}{after}"


def main() -> None:
    """The command."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.publish RESULTS.json")
    results = read(Path(sys.argv[1]))
    results.write(PUBLISHED)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    PICTURE.write_text(svg(results), encoding="utf-8")


if __name__ == "__main__":
    main()
