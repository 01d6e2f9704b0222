"""The connection to the store: SQLite by default, PostgreSQL by URL; brings the tables up to date."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput, CompresslabError, RunFailed
from compresslab.messages import plain
from compresslab.store.migrations import FOLDER, VERSION_TABLE, head
from sqlalchemy import (
    URL,
    Connection,
    Double,
    Engine,
    create_engine,
    event,
    func,
    inspect,
    literal_column,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.sql import ColumnElement

BUSY_SECONDS = 10  # how long a statement waits for another process to end its write
MIGRATION_LOCK = 0x636C6162  # any number that no one else locks in PostgreSQL


class Database:
    """Short transactions on one store. Every failure is a CompresslabError of one sentence."""

    def __init__(self, url: str) -> None:
        self.url = _parsed(url)
        self.name = self.url.database if self.sqlite else self.url.render_as_string(hide_password=True)
        self.engine = _engine(self.url)
        self._bring_up_to_date()

    @property
    def sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def now(self) -> ColumnElement[float]:
        """Seconds since 1970 by the one clock that all hosts share."""
        if self.sqlite:
            return literal_column("(julianday('now') - 2440587.5) * 86400.0", Double)
        return func.extract("epoch", func.clock_timestamp()).cast(Double)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._readable_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on any error."""
        writer = self.engine.execution_options(writes=True)
        with self._readable_errors(), writer.begin() as connection:
            yield connection

    def shrink(self) -> None:
        """Give room that rows no longer take back to the disk; PostgreSQL does so by itself."""
        if self.sqlite:
            with self._readable_errors(), self.engine.connect() as connection:
                connection.commit()
                connection.connection.driver_connection.execute("VACUUM")  # type: ignore[union-attr]

    def close(self) -> None:
        self.engine.dispose()

    # -- versions ---------------------------------------------------------------------

    def _bring_up_to_date(self) -> None:
        with self.read() as connection:
            if self._is_current(connection):
                return
        with self.write() as connection:
            if not self.sqlite:  # SQLite's write transaction is a lock already
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            if not self._is_current(connection):  # another process may have been quicker
                _upgrade(connection)

    def _is_current(self, connection: Connection) -> bool:
        if not inspect(connection).has_table(VERSION_TABLE):
            return False
        version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() or ""
        if version > head():
            raise BadInput("store.newer", store=self.name, version=version, known=head())
        return bool(version == head())

    # -- failures ---------------------------------------------------------------------

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._readable(error) from error

    def _readable(self, error: DBAPIError) -> CompresslabError:
        said = " ".join(str(error.orig).split())
        for sign, kind, code in _FAILURES:
            if sign in said:
                return kind(code, store=self.name)
        return RunFailed("store.failed", store=self.name, reason=plain(said.rstrip(".")))


_FAILURES: tuple[tuple[str, type[CompresslabError], str], ...] = (
    ("locked", RunFailed, "store.locked"),
    ("disk is full", RunFailed, "store.disk_full"),
    ("disk I/O error", RunFailed, "store.disk_error"),
    ("unable to open", BadInput, "store.not_opened"),
    ("readonly", BadInput, "store.read_only"),
    ("not a database", BadInput, "store.not_a_store"),
    ("malformed", BadInput, "store.damaged"),
    ("connection failed", RunFailed, "store.unreachable"),
    ("failed to resolve", RunFailed, "store.unknown_host"),
)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadInput("store.bad_url", url=url) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadInput("store.unknown_kind", kind=parsed.get_backend_name())
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise BadInput("store.in_memory")
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")  # SQLAlchemy 2.0 would take psycopg2, 2.1 takes this
    return parsed


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "postgresql":
            return create_engine(url, pool_pre_ping=True)
        _make_private(Path(url.database or ""))
        engine = create_engine(url, connect_args={"timeout": float(url.query.get("timeout", BUSY_SECONDS))})  # type: ignore[arg-type]
    except (ModuleNotFoundError, NoSuchModuleError, InvalidRequestError) as error:
        driver = "psycopg[binary]" if getattr(error, "name", "") == "psycopg" else url.drivername
        raise BadInput("store.no_driver", driver=driver) from None
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(file: Path) -> None:
    """A new store is for its user alone; what SQLite puts beside it has the same mode."""
    with suppress(OSError):  # the connection says in words what is wrong
        file.touch(0o600, exist_ok=False)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers never wait for the writer (WAL); a power cut may cost the last moment, never the file."""
    connection.isolation_level = None  # the driver's own idea of transactions is in the way of BEGIN IMMEDIATE
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _write_ahead(connection: Any) -> None:
    """Several that open a new file at once all ask for this, and SQLite's own patience does not cover it."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: a read that turns into a write half-way could only fail."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
