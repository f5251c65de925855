"""`zaqar-gateway catalog`: looks at the schema of the catalog's database, migrates it, copies catalogs."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from oslo_db.exception import DBError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.embedded.lock import DataFolderError, DataFolderLock
from gateway.settings import Settings, mask_url
from storage.catalog import schema
from storage.catalog.copying import CopyError, copy
from storage.catalog.engine import make_engine, reason, sqlite_url
from storage.catalog.schema import SchemaError
from storage.catalog.tables import REVISION

MIGRATION_TIMEOUT = 3600.0
"""Seconds that one statement of a migration may take."""


class CatalogCommandError(Exception):
    """The command was not done. The message says why, in one line."""


def run(settings: Settings, step: str, revision: str | None = None, source: str | None = None) -> int:
    """Do one step and say on stdout what came of it.

    :param step: `status`, `upgrade`, `downgrade` or `copy`.
    :param revision: where to go instead of the newest one, or of the one before.
    :param source: where to copy from: a data folder, or the URL of a database.
    :return: the exit code; of `status` 1 if a gateway of this version would not start.
    :raises CatalogCommandError: the database or the revision cannot be used.
    """
    file = settings.data_dir / "catalog.sqlite" if settings.catalog_url is None else None
    try:
        if step == "status":
            return _status(settings.catalog_url, file)
        with ExitStack() as stack:
            if file is not None:
                # A gateway that runs on the embedded catalog migrates it itself, when it starts.
                stack.enter_context(DataFolderLock(settings.data_dir))
            engine = make_engine(_url(settings.catalog_url, file), MIGRATION_TIMEOUT)
            stack.callback(engine.dispose)
            if step == "copy":
                return _copy(str(source), engine, stack)
            before = _found(engine)
            if step == "upgrade":
                schema.upgrade(engine, revision or "head")
            else:
                schema.downgrade(engine, revision or "-1")
            sys.stdout.write(f"revision {before or 'none'} -> {_found(engine) or 'none'}\n")
            return 0
    except (DBError, SQLAlchemyError) as error:
        raise CatalogCommandError(f"the catalog's database: {reason(error)}") from error
    except (SchemaError, CopyError, DataFolderError, ValueError) as error:
        raise CatalogCommandError(" ".join(str(error).split())) from error


def _status(url: str | None, file: Path | None) -> int:
    # To connect would make the file.
    found = None if file is not None and not file.exists() else _found(make_engine(_url(url, file), 10))
    shown = mask_url(url) if url is not None else str(file)
    sys.stdout.write(f"catalog   {shown}\nschema    {found or 'none'}\ngateway   {REVISION}\n")
    if file is not None and found in (None, *schema.revisions()):
        verdict, code = "ready: the gateway migrates its embedded catalog itself, when it starts", 0
    else:
        try:
            verdict, code = schema.check(found) or "ready", 0
        except SchemaError as error:
            verdict, code = str(error), 1
    sys.stdout.write(f"verdict   {verdict}\n")
    return code


def _copy(source: str, target: Engine, stack: ExitStack) -> int:
    if "://" not in source:
        folder = Path(source)
        if not (folder / "catalog.sqlite").exists():
            raise CatalogCommandError(f"there is no catalog.sqlite in {folder}")
        stack.enter_context(DataFolderLock(folder))
        source = sqlite_url(folder / "catalog.sqlite")
    engine = make_engine(source, MIGRATION_TIMEOUT)
    stack.callback(engine.dispose)

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done:,} of {total:,} queues")

    count = copy(engine, target, progress)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    sys.stdout.write(f"copied: {count} queue{'' if count == 1 else 's'}\n")
    return 0


def _url(url: str | None, file: Path | None) -> str:
    return sqlite_url(file) if file is not None else str(url)


def _found(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return schema.found_revision(connection)
