"""Compares the gateway with other servers, side by side in one run.

::

    python -m bench.compare [--quick] [--only post,fanout] [--peers gateway,nats] [--repetitions 3]
                            [--gateway 'before=/other/.venv/bin/zaqar-gateway serve'] [--json FILE]

Servers take turns within each repetition, so that whatever else the machine does strikes all of them. Each
figure is the median over the repetitions. `make bench` compiles and installs what this needs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.every_work import WORK
from bench.native_program import LoadError
from bench.paths import LOAD, RESULTS
from bench.peers.broadcast import Picows, SendLoop, Ws
from bench.peers.gateway import Gateway
from bench.peers.nats import Nats
from bench.peers.nchan import Nchan
from bench.peers.peer import Missing, Peer
from bench.peers.upstream import Upstream
from bench.report import as_text
from bench.results import Measured, Results, this_machine
from bench.server import Server, ServerError, raise_file_limit
from bench.work import FULL, QUICK, Scale, Work
from gateway.bench.figures import Progress


class Comparison:
    """A run: its servers, its kinds of work, and what came of them."""

    def __init__(self, peers: Sequence[Peer], works: Sequence[Work], scale: Scale, repetitions: int) -> None:
        self._works = works
        self._scale = scale
        self._repetitions = repetitions
        self._progress = Progress()
        when = datetime.now(UTC).isoformat(timespec="seconds")
        self.results = Results(when, scale is QUICK, repetitions, this_machine())
        self._peers = [peer for peer in peers if self._present(peer)]

    def _present(self, peer: Peer) -> bool:
        try:
            self.results.versions[peer.name] = peer.version()
        except Missing as error:
            self.results.missing[peer.name] = str(error)
            return False
        return True

    def run(self) -> None:
        """Measure everything. A server that fails at some work is not asked to do it again."""
        for index, work in enumerate(self._works):
            peers = [work.peer(peer) for peer in self._peers if work.suits(peer)]
            measured = [Measured(work.key, peer.name, work.note(peer, self._scale)) for peer in peers]
            self.results.measured += measured
            with ExitStack() as stack:
                servers = {} if work.fresh else self._start_all(stack, peers, measured)
                for repetition in range(self._repetitions):
                    for peer, one in zip(peers, measured, strict=True):
                        part = (index + repetition / self._repetitions) / len(self._works)
                        self._progress.show(part, f"{work.key} {repetition + 1}: {peer.name}")
                        if not one.failure:
                            self._measure(work, peer, one, servers.get(peer.name))
            for one in measured:
                keys = one.repetitions[0] if one.repetitions and not one.failure else ()
                one.figures = {key: median(figures[key] for figures in one.repetitions) for key in keys}
        self._progress.clear()

    def _start_all(
        self, stack: ExitStack, peers: Iterable[Peer], measured: Iterable[Measured]
    ) -> dict[str, Server]:
        servers = {}
        for peer, one in zip(peers, measured, strict=True):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                servers[peer.name] = stack.enter_context(peer.start(folder))
            except ServerError as error:
                self._failed(one, error)
        return servers

    def _measure(self, work: Work, peer: Peer, one: Measured, running: Server | None) -> None:
        try:
            if running is not None:
                running.settle()
                one.repetitions.append(work.measure(peer, running, self._scale))
                return
            with tempfile.TemporaryDirectory() as folder, peer.start(Path(folder)) as server:
                one.repetitions.append(work.measure(peer, server, self._scale))
        except (LoadError, ServerError) as error:
            self._failed(one, error)

    def _failed(self, one: Measured, error: Exception) -> None:
        one.failure = str(error) or type(error).__name__
        self._progress.clear()
        sys.stderr.write(f"{one.work}, {one.peer}: {error}\n")


def chosen(names: str, known: Iterable[str], option: str) -> list[str]:
    """Those of the known names that contain one of the given ones; all if none is given."""
    wanted = [name.strip().lower() for name in names.split(",") if name.strip()]
    every = list(known)
    for name in wanted:
        if not any(name in one.lower() for one in every):
            sys.exit(f"{option}: there is no {name!r}; there are: {', '.join(every)}")
    return [one for one in every if not wanted or any(name in one.lower() for name in wanted)]


def all_peers(others: Iterable[str]) -> list[Peer]:
    """Every server, those of other commands behind the gateway itself."""
    gateways: list[Peer] = [Gateway(), Gateway("zaqar-gateway, no echo", echo=False)]
    for other in others:
        name, _, command = other.partition("=")
        if not name or "serve" not in command.split():
            sys.exit("--gateway: use NAME='zaqar-gateway serve ...'")
        gateways.append(Gateway(name, command))
    return [*gateways, Upstream(), Nats(), Nchan(), Ws(), Picows(), SendLoop()]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    works = ", ".join(work.key for work in WORK)
    parser.add_argument(
        "--quick", action="store_true", help="short measurements, fewer sockets, one repetition"
    )
    parser.add_argument("--only", default="", metavar="WORK,...", help=f"of {works}")
    parser.add_argument("--peers", default="", metavar="NAME,...", help="parts of the servers' names")
    parser.add_argument("--repetitions", type=int, metavar="N", help="default: 3, or 1 with --quick")
    parser.add_argument(
        "--gateway", action="append", default=[], metavar="NAME=COMMAND", help="one more gateway"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "latest.json", metavar="FILE")
    args = parser.parse_args()
    if not LOAD.exists():
        sys.exit("the load is not compiled: run make bench")
    raise_file_limit()
    peers = all_peers(args.gateway)
    names = chosen(args.peers, (peer.name for peer in peers), "--peers")
    keys = chosen(args.only, (work.key for work in WORK), "--only")
    comparison = Comparison(
        [peer for peer in peers if peer.name in names],
        [work for work in WORK if work.key in keys],
        QUICK if args.quick else FULL,
        args.repetitions or (1 if args.quick else 3),
    )
    comparison.run()
    comparison.results.write(args.json)
    sys.stdout.write(as_text(comparison.results))
    sys.stdout.write(f"\nwritten to {args.json}\n")


if __name__ == "__main__":
    main()
