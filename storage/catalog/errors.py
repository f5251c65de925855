"""Errors of the databases, told apart: what oslo.db does not tell alike on all of them is told here.

After this an operation fails with one of `oslo_db.exception`:

- `DBDuplicateEntry` with its columns;
- `DBReferenceError` with the referring table and the constraint's name;
- `DBDeadlock`: a deadlock or a lock that was not to be had; the transaction may be tried again;
- `DBConnectionError`: no connection, or it broke;
- `DBDataError`: what was given does not fit its column, most often because it is too long;

or with another `DBError` or SQLAlchemy error, which are faults of the database or of ours.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from oslo_db.exception import DBConnectionError, DBDataError, DBDeadlock, DBError, DBReferenceError
from sqlalchemy import Engine, ExceptionContext, event
from sqlalchemy.exc import DataError, OperationalError

from storage.catalog.tables import metadata

_MYSQL_AWAY = {
    1040,  # too many connections
    1053,  # server shutdown in progress
    1203,  # this user has too many connections
}

_POSTGRESQL_BUSY = {
    "40001",  # could not serialize access
    "55P03",  # lock not available
}


def tell_errors_apart(engine: Engine) -> None:
    """Let the engine raise what the module says. oslo.db's own handler has to come after; it has the rest."""
    of_database = {"sqlite": _of_sqlite, "mysql": _of_mysql, "postgresql": _of_postgresql}[engine.name]

    # It raises instead of returning: of what handlers return SQLAlchemy takes the last one's.
    @event.listens_for(engine, "handle_error")
    def handle(context: ExceptionContext) -> None:
        error = of_database(context)
        if error is None and isinstance(context.sqlalchemy_exception, DataError):
            error = DBDataError(context.sqlalchemy_exception)
        if isinstance(error, DBConnectionError):
            context.is_disconnect = True
            if context.is_pre_ping:
                return  # the pool replaces the connection
        if error is not None:
            raise error


def _of_sqlite(context: ExceptionContext) -> DBError | None:
    code = getattr(context.original_exception, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_CONSTRAINT_CHECK:
        # The only conditions are on lengths (`storage.catalog.tables`).
        return DBDataError(context.sqlalchemy_exception)
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return _broken_reference(context)
    if code & 0xFF == sqlite3.SQLITE_BUSY:
        return DBDeadlock(context.sqlalchemy_exception)
    return None


def _broken_reference(context: ExceptionContext) -> DBError:
    """SQLite does not say which reference is broken: run the statement again, look, and take it back.

    This is slow where the tables are large, but such an error is rare: it is the end of a lost race, or an
    administrator's mistake.
    """
    assert context.connection is not None and context.statement is not None
    cursor: Any = context.connection.connection.cursor()
    cursor.execute("PRAGMA defer_foreign_keys = ON")
    cursor.execute("SAVEPOINT look")
    try:
        cursor.execute(context.statement, context.parameters)
        cursor.execute('SELECT "table", fkid FROM pragma_foreign_key_check LIMIT 1')
        table, number = cursor.fetchone()
        cursor.execute('SELECT "from" FROM pragma_foreign_key_list(?) WHERE id = ?', (table, number))
        (column,) = cursor.fetchone()
    finally:
        cursor.execute("ROLLBACK TO look")
        cursor.execute("RELEASE look")
        cursor.execute("PRAGMA defer_foreign_keys = OFF")
    (key,) = metadata.tables[table].columns[column].foreign_keys
    return DBReferenceError(table, key.name, column, key.column.table.name, context.sqlalchemy_exception)


def _of_mysql(context: ExceptionContext) -> DBError | None:
    if context.original_exception.args[:1] and context.original_exception.args[0] in _MYSQL_AWAY:
        return DBConnectionError(context.sqlalchemy_exception)
    return None


def _of_postgresql(context: ExceptionContext) -> DBError | None:
    original: Any = context.original_exception
    error = context.sqlalchemy_exception
    state = getattr(original, "sqlstate", None)
    if state == "23503":
        # oslo.db would name the table of the statement, which may be the one referred to.
        key = _foreign_keys[original.diag.constraint_name]
        return DBReferenceError(
            original.diag.table_name, key.name, key.parent.name, key.column.table.name, error
        )
    if state in _POSTGRESQL_BUSY:
        return DBDeadlock(error)
    # libpq has no codes for what goes wrong before there is a connection.
    connecting = context.connection is None and isinstance(error, OperationalError)
    if connecting and "does not exist" not in str(original):
        return DBConnectionError(error)
    return None


_foreign_keys = {key.name: key for table in metadata.tables.values() for key in table.foreign_keys}
