"""A comparison from end to end, and what is made of its results."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import publish
from bench.compare import Comparison, all_peers, chosen
from bench.every_work import WORK
from bench.paths import PUBLISHED
from bench.peers.broadcast import SendLoop
from bench.peers.gateway import Gateway
from bench.peers.peer import Missing, Peer
from bench.plot import svg
from bench.report import as_markdown, as_text
from bench.results import Machine, Measured, Results, read
from bench.server import Server
from bench.work import QUICK

TINY = replace(QUICK, seconds=0.2, warm_up=0.1, sockets=30, subscribers=20)
RATES = {"cpu_us": 20.0, "store_us": 8.0, "per_second": 30000.0, "p50_ms": 1.0, "p99_ms": 4.0}


class Absent(SendLoop):
    name = "absent"

    def version(self) -> str:
        raise Missing("nobody has it")


class Broken(SendLoop):
    name = "broken"

    def command(self, port: int) -> list[str | Path]:
        return [sys.executable, "-c", "raise SystemExit('out of order')"]


def results() -> Results:
    measured = [
        Measured("post", "zaqar-gateway", "", RATES, [RATES]),
        Measured("post", "OpenStack <Zaqar>", "5 posts/s", {**RATES, "cpu_us": 1000.0}, [RATES]),
        Measured("post", "broken", failure="out of order\nin line 2"),
    ]
    machine = Machine("A processor", 2, "Linux 6", "3.11.7")
    versions = {"zaqar-gateway": "1.0"}
    return Results(
        "2026-01-02T03:04:05+00:00", False, 3, machine, versions, {"absent": "nobody has it"}, measured
    )


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.key)
def test_all_work_can_be_done(work: object, capsys: pytest.CaptureFixture[str]) -> None:
    peers: list[Peer] = [Gateway(), SendLoop(), Broken(), Absent()]
    (done,) = [one for one in WORK if one is work]
    comparison = Comparison(peers, [done], TINY, 1)
    comparison.run()
    found = {one.peer: one for one in comparison.results.measured}
    assert comparison.results.missing == {"absent": "nobody has it"}
    for name, one in found.items():
        if name == "broken":
            assert "out of order" in one.failure
            continue
        assert one.failure == ""
        assert len(one.repetitions) == 1
        assert {column.key for column in done.columns} <= set(one.figures)
        assert one.figures[done.columns[0].key] >= 0
    assert "zaqar-gateway" in found
    text = as_text(comparison.results)
    assert "missing: absent: nobody has it" in text
    assert "zaqar-gateway" in text
    assert ("broken" in found) == ("out of order" in capsys.readouterr().err)


def test_a_server_that_dies_is_left_out_of_the_next_repetitions(tmp_path: Path) -> None:
    (fanout,) = [work for work in WORK if work.key == "fanout"]
    peer = SendLoop()
    comparison = Comparison([peer], [fanout], TINY, 3)
    started = peer.start

    def start(folder: Path) -> Server:
        server = started(folder)
        server.stop()
        return server

    peer.start = start  # type: ignore[method-assign]  # a server that ends right after its start
    comparison.run()
    (one,) = comparison.results.measured
    assert one.failure
    assert one.repetitions == []


def test_tables_for_people() -> None:
    text = as_text(results())
    assert re.search(r"^zaqar-gateway +20\.0 +8\.0 +30,000 +1\.00 +4\.00$", text, re.MULTILINE)
    assert "1,000.0" in text
    assert "failed: out of order\n" in text
    assert "missing: absent: nobody has it\n" in text
    markdown = as_markdown(results())
    assert (
        "Measured on 2026-01-02: A processor, 2 cores, Linux 6, CPython 3.11.7; medians of 3 repetitions."
        in markdown
    )
    assert "| OpenStack <Zaqar> | 1,000.0 | 8.0 | 30,000 | 1.00 | 4.00 | 5 posts/s |" in markdown


def test_the_picture_is_svg_with_a_bar_for_each_server() -> None:
    tree = ElementTree.fromstring(svg(results()))
    bars = [element for element in tree.iter() if element.tag.endswith("rect")]
    texts = [element.text for element in tree.iter() if element.tag.endswith("text")]
    assert len(bars) == 2
    assert float(bars[0].attrib["width"]) < float(bars[1].attrib["width"]) < 860
    assert "OpenStack <Zaqar>" in texts


def test_results_survive_their_file(tmp_path: Path) -> None:
    results().write(tmp_path / "new" / "results.json")
    assert read(tmp_path / "new" / "results.json") == results()


def test_the_documentation_shows_the_published_results() -> None:
    published = read(PUBLISHED)
    text = publish.PAGE.read_text(encoding="utf-8")
    assert publish.page(text, published) == text
    assert publish.PICTURE.read_text(encoding="utf-8") == svg(published)


def test_other_gateways_can_take_part() -> None:
    names = [peer.name for peer in all_peers(["before=/old/bin/zaqar-gateway serve --port 1"])]
    assert names[:3] == ["zaqar-gateway", "zaqar-gateway, no echo", "before"]
    with pytest.raises(SystemExit, match="--gateway: use NAME="):
        all_peers(["zaqar-gateway"])


def test_a_part_is_chosen_by_parts_of_names() -> None:
    assert chosen("nats, WS", ["NATS", "Node ws", "picows", "nchan"], "--peers") == [
        "NATS",
        "Node ws",
        "picows",
    ]
    assert chosen("", ["NATS", "nchan"], "--peers") == ["NATS", "nchan"]
    with pytest.raises(SystemExit, match="there is no 'kafka'; there are: NATS"):
        chosen("kafka", ["NATS"], "--peers")
