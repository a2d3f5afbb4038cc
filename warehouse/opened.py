"""Marts that are open: read-only, in UTC, locked to their warehouse's files; kept for many questions, or for one."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from threading import Lock

import duckdb

from ladder.errors import UsageError
from warehouse.built import MARTS

Identity = tuple[int, int, int, int]
"""Of a file: a build puts another one in its place."""


def identity_of(warehouse: Path) -> Identity | None:
    """Which marts lie there now; None where there are none."""
    try:
        found = (warehouse / MARTS).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class Marts:
    """The marts of a warehouse as they are when this is made, whatever a build puts in their place later.

    ``ladder`` and ``ladder_hash``: what they were built with.  Raises ``UsageError`` where nothing was built yet.
    """

    def __init__(self, warehouse: Path) -> None:
        path = warehouse / MARTS
        if not path.exists():
            raise UsageError(f"{warehouse} has no marts yet: run `yesladder build`")
        self.warehouse = warehouse
        self.identity = identity_of(warehouse)
        self._connection = duckdb.connect(":memory:")
        try:
            self._connection.execute("set global TimeZone = 'UTC'")
            self._connection.execute("set autoinstall_known_extensions = false")
            self._connection.execute(f"attach {_text(path)} as marts (read_only)")
            self._connection.execute("use marts")
            built = self._connection.execute(
                "select lake, ladder, ladder_hash from main.meta_builds order by build desc limit 1"
            ).fetchall()
            if not built:
                raise UsageError(f"{path} holds no finished build: run `yesladder build --full`")
            lake, self.ladder, self.ladder_hash = built[0]
            # Both as it is and as the views write it, where brackets would otherwise be a pattern.
            allowed = ", ".join(_text(Path(form)) for form in (lake, glob.escape(lake)))
            self._connection.execute(f"set allowed_directories = [{allowed}]")
            self._connection.execute("set enable_external_access = false")
            self._connection.execute("set lock_configuration = true")
        except BaseException:
            self._connection.close()
            raise

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to them."""
        connection = self._connection.cursor()
        connection.execute("use marts")
        return connection

    def close(self) -> None:
        self._connection.close()


class Reading:
    """One reader's look at marts that are kept open."""

    def __init__(self, marts: Marts) -> None:
        self.marts = marts
        self._connections: list[duckdb.DuckDBPyConnection] = []
        self._is_over = False
        self._lock = Lock()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Raises ``UsageError`` once it was interrupted."""
        connection = self.marts.connect()
        with self._lock:
            if not self._is_over:
                self._connections.append(connection)
                return connection
        connection.close()
        raise UsageError("this question was given up")

    def interrupt(self) -> None:
        """End what it is asking, from another thread; it can ask nothing more."""
        with self._lock:
            self._is_over = True
            for connection in self._connections:
                with suppress(duckdb.Error):
                    connection.interrupt()


_reading: ContextVar[Reading | None] = ContextVar("reading", default=None)


def now_reading(warehouse: Path) -> Reading | None:
    """What ``KeptMarts.reading`` has set for this warehouse around the caller."""
    reading = _reading.get()
    return reading if reading is not None and reading.marts.warehouse == warehouse else None


class KeptMarts:
    """The marts of one warehouse for many questions: opened once, and anew when a build has replaced them."""

    def __init__(self, warehouse: Path) -> None:
        self._warehouse = warehouse
        self._lock = Lock()
        self._current: Marts | None = None
        self._readers: dict[Marts, int] = {}

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Within the block all questions to this warehouse are answered from the same marts, those of its beginning.

        Raises ``UsageError`` where nothing was built yet.
        """
        marts = self._take()
        reading = Reading(marts)
        token = _reading.set(reading)
        try:
            yield reading
        finally:
            _reading.reset(token)
            self._give_back(marts)

    def close(self) -> None:
        """Let go of them, once nobody reads any more."""
        with self._lock:
            current, self._current = self._current, None
            if current is not None and current not in self._readers:
                current.close()

    def _take(self) -> Marts:
        with self._lock:
            current = self._current
            if current is None or current.identity != identity_of(self._warehouse):
                opened = Marts(self._warehouse)
                self._current = opened
                if current is not None and current not in self._readers:
                    current.close()
                current = opened
            self._readers[current] = self._readers.get(current, 0) + 1
            return current

    def _give_back(self, marts: Marts) -> None:
        with self._lock:
            self._readers[marts] -= 1
            if self._readers[marts] == 0:
                del self._readers[marts]
                if marts is not self._current:
                    marts.close()


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
