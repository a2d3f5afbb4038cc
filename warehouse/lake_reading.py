"""Reading the lake: which files are current, their rows, and the copies of them that a store's reader needs."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from ladder.errors import YesladderError
from ladder.tables import BESIDE, TABLES, TIME_COLUMN, Position
from warehouse.durable import forget_drafts, write
from warehouse.lake_files import LAST_TIME, within
from warehouse.lake_logs import Logs
from warehouse.lake_offsets import newest_app, offset_app, settled_app, time_of

TALLY = "tally/"
"""How the transactions begin that count what replacements did."""

_TIME = pa.timestamp("us", tz="UTC")

FETCHING = 16
"""Files at a time."""

_DRAFTS_STAY = timedelta(hours=1)
"""Of copies; a file takes seconds to write, so that nobody is at one of that age."""


class Gone(YesladderError, FileNotFoundError):
    """A file of a lake in an object store is not there."""


@dataclass(frozen=True)
class LoggedFile:
    """A current file as the log has it.

    ``path``: relative to its table's folder.  ``earliest`` and ``latest``: bounds of the rows' times (of sessions: the
    first start and the last end); ``size`` in bytes.
    """

    path: str
    size: int
    rows: int
    earliest: datetime
    latest: datetime

    @property
    def landed(self) -> date:
        """The day its rows landed."""
        return date.fromisoformat(self.path.partition("/")[0].partition("=")[2])


class ReadableLake(Logs):
    """The current files and rows of the tables."""

    def files(self, table: str) -> list[str]:
        """The current Parquet files of a table, as absolute paths; ``landed_date`` stands in the path."""
        return self.version_and_files(table)[1]

    def version_and_files(self, table: str) -> tuple[int, list[str]]:
        """The version of a table's log, and its ``files`` at that version."""
        handle = self.table(table)
        return handle.version(), sorted(self._paths(table, handle))

    def logged(self, table: str) -> list[LoggedFile]:
        """The current files of a table with what the log says of them, by path."""
        actions = pa.table(self.table(table).get_add_actions(flatten=True)).to_pylist()
        found = [
            LoggedFile(
                unquote(action["path"]),
                action["size_bytes"],
                action["num_records"],
                action[f"min.{TIME_COLUMN[table]}"],
                action[f"max.{LAST_TIME[table]}"],
            )
            for action in actions
        ]
        return sorted(found, key=lambda file: file.path)

    def fetch(self, files: Iterable[str], *, anew: bool = False) -> None:
        """Have files (as ``files`` gives them) lie on this machine; in a folder they do already.

        ``anew``: also where copies of them do.  Raises ``Gone`` where one was replaced and deleted since it was listed.
        """
        store = self.store
        if store is None:
            return

        def copy(path: Path) -> None:
            name = path.relative_to(self.root).as_posix()
            try:
                data = store.get(name)
            except FileNotFoundError:
                raise Gone(f"{store.at(name)} was replaced and deleted meanwhile; try again") from None
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, data)

        missing = [path for path in map(Path, files) if anew or not path.exists()]
        if missing:
            forget_drafts(self.root, older_than=_DRAFTS_STAY)
        with ThreadPoolExecutor(FETCHING) as threads:
            list(threads.map(copy, missing))

    def scan(self, name: str) -> pl.LazyFrame:
        """A table's rows as they are now, without ``landed_date``."""
        return self.scan_at(self.table(name), name)

    def scan_at(self, handle: DeltaTable, name: str, since: datetime | None = None) -> pl.LazyFrame:
        """A table's rows as a handle has them.

        ``since``: without the files that hold nothing from then on, as far as their statistics tell.
        """
        files = self._paths(name, handle) if since is None else self._paths_since(name, handle, since)
        if files:
            self.fetch(files)
            return pl.scan_parquet(files, hive_partitioning=False, glob=False)
        empty = pl.from_arrow((TABLES | BESIDE)[name].empty_table())
        if not isinstance(empty, pl.DataFrame):
            raise TypeError(f"table {name} has no columns")
        return empty.lazy()

    def positions(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Position]:
        """How far partitions of sources had come at one moment.

        What the tables hold of them from then on may be more, never less.
        """
        version = self.table("sessions").transaction_version
        return {
            (source, p): Position(
                version(offset_app(source, p)) or 0,
                time_of(version(newest_app(source, p))),
                time_of(version(settled_app(source, p))),
            )
            for source, p in places
        }

    def tally(self, table: str, name: str) -> int:
        """What all replacements of this table have counted under a name; 0 where none has."""
        return self.table(table).transaction_version(TALLY + name) or 0

    def _paths(self, table: str, handle: DeltaTable) -> list[str]:
        """The table's current files; Delta gives them as they stand in an address, a space as ``%20``."""
        uris = [unquote(uri) for uri in handle.file_uris()]
        return uris if self.store is None else [str(self.root / table / within(uri)) for uri in uris]

    def _paths_since(self, table: str, handle: DeltaTable, since: datetime) -> list[str]:
        """Those files of which some row may have a time of ``since`` or later."""
        column = LAST_TIME[table]
        actions = pa.table(handle.get_add_actions(flatten=True))
        if f"max.{column}" not in actions.column_names:
            return self._paths(table, handle)
        kept = pc.fill_null(pc.greater_equal(actions[f"max.{column}"], pa.scalar(since, _TIME)), True)
        wanted = {unquote(path) for path in actions["path"].filter(kept).to_pylist()}
        return [path for path in self._paths(table, handle) if within(path) in wanted]
