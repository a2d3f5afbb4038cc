"""How a lake's writers learn of erasures: from the folder of receipts, or, in a store, from each table's log."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from warehouse.durable import write
from warehouse.erased import ERASURES, Erased
from warehouse.lake_logs import ERASED, Logs

_ERASED_FROM = ("events", "sessions", "rejects")


class Erasures:
    """What the writers of one lake know of who was erased (see ``warehouse.erased``)."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._erased: Erased | None = None
        self._erasures: dict[str, int | None] = {}

    def without_erased(self, table: str, rows: pa.Table, handle: DeltaTable) -> pa.Table:
        """Rows about to be added, without what people who were erased did before that (see ``warehouse.erased``).

        ``handle``: the table as it will be when they are committed.
        """
        if table not in _ERASED_FROM:
            return rows
        if self._logs.store is not None:
            erasures = self._logs.erasures_of(table, handle)
            if erasures != self._erasures.get(table):
                self.pull()
                self._erased = Erased.read(self._logs.root.parent)
                self._erasures[table] = erasures
        elif self._erased is None or self._erased.stale(self._logs.root.parent):
            self._erased = Erased.read(self._logs.root.parent)
        if self._erased is None:
            return rows
        frame = pl.from_arrow(rows)
        if not isinstance(frame, pl.DataFrame):
            raise TypeError(f"rows of {table} have no columns")
        kept = self._erased.filtered(table, frame)
        if table == "sessions" and kept is not frame:
            dropped = frame.join(kept, on=["partition", "session_id"], how="anti")
            self.note(self._erased, dropped["visitor_id"])
        return rows if kept is frame else kept.to_arrow()

    def erased_meanwhile(self, table: str, handle: DeltaTable) -> bool:
        """Whether somebody was erased since ``without_erased`` was last asked, as this handle has it."""
        is_erased_from = self._logs.store is not None and table in _ERASED_FROM
        return is_erased_from and self._logs.erasures_of(table, handle) != self._erasures.get(table)

    def note(self, erased: Erased, visitors: Iterable[str]) -> None:
        """``Erased.note``, for all machines."""
        noted = erased.note(self._logs.root.parent, visitors)
        if self._logs.store is not None:
            for path in noted:
                self._logs.store.put(path.relative_to(self._logs.root.parent).as_posix(), b"")

    def pull(self) -> None:
        """Learn of what was erased elsewhere; of a lake in a folder all is known already."""
        if self._logs.store is None:
            return
        for one in self._logs.store.list(ERASURES):
            path = self._logs.root.parent / one.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json" or not path.exists():  # a receipt changes when its erasure is done
                write(path, self._logs.store.get(one.name), private=True)

    def tell(self) -> None:
        """From now on no writer on any machine commits what the receipts of this warehouse refuse."""
        if self._logs.store is None:
            return
        for path in sorted((self._logs.root.parent / ERASURES).iterdir()):
            if path.is_file() and path.suffix != ".new":
                self._logs.store.put(f"{ERASURES}/{path.name}", path.read_bytes())
        for table in _ERASED_FROM:
            self._logs.step(table, ERASED, lambda was: (was or 0) + 1)
