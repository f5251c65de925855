"""A stand-in for a gateway that gets killed: runs the embedded Valkey on a folder and prints its pid."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from gateway import logs
from gateway.embedded.lock import DataFolderLock
from gateway.embedded.valkey import EmbeddedValkey

logs.configure()
DataFolderLock(Path(sys.argv[1])).acquire()
valkey = EmbeddedValkey(Path(sys.argv[1]), "everysec", reactor)
started = Deferred.fromCoroutine(valkey.start())
started.addCallback(lambda _: print(valkey.pid, flush=True))
reactor.run()
