"""The Parquet lake: four Delta tables, and the exactly-once join of Kafka offsets with what they produced.

A Delta commit spans one table, so every table carries its own next offset per Kafka partition (Delta's ``txn``
action, written with the rows in one atomic commit).  ``sessions`` is committed last and is the truth: after a crash
reading goes on from its offset, and a table that is ahead skips what it already holds.  The newest event time of each
partition, from which the watermark follows, rides on that last commit, and so does the time before which everything is
settled.  Open sessions need no file of their own: they are exactly the landed events, not late, that are in no session.

A lake in an object store (``Lake(copies, store)``) keeps the same promise with one means, the store's conditional put:
a log entry is written only where there is none of its number.  So each commit is made on a log that was read to its
end, and whatever came in between is looked at before it is tried again; an entry whose answer was lost is known by the
number that it carries; and no lock has a part in it (docs/decisions/0025-the-lake-on-object-storage.md).

From the ground up: ``lake_files`` (one Parquet file), ``lake_logs`` (a table's log and a commit), ``lake_reading``,
``lake_erasures`` (whom writers leave out), ``lake_appending``, ``lake_claim`` (a worker's partitions and their fence),
``lake_upkeep`` (one upkeep at a time), and here what takes files away.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from ladder.clock import Clock
from ladder.errors import YesladderError
from warehouse.lake_appending import AppendableLake
from warehouse.lake_claim import Claim
from warehouse.lake_files import Part, Written, milliseconds, partition_of
from warehouse.lake_leftovers import note_removal
from warehouse.lake_reading import TALLY
from warehouse.lake_upkeep import Upkeep
from warehouse.object_store import ObjectStore


class Lake(AppendableLake):
    """The tables under one folder, or in an object store, made on first use.

    ``root``: the folder; of a lake in a ``store`` that of the copies of its files on this machine, which come with
    ``fetch`` and go with ``lake_copies.forget_copies``.  All paths of files are within it.  The folder above it is the
    warehouse.
    Raises ``UsageError`` for a folder that Delta cannot name.
    """

    def __init__(self, root: Path, store: ObjectStore | None = None) -> None:
        super().__init__(root, store)
        self._upkeep = Upkeep(self)

    def claim(self, source: str, partitions: Collection[int]) -> Claim:
        """Take partitions of a source over, as they stand in the lake now."""
        return Claim(self, source, partitions)

    def upkeep(self, now: datetime, *, patience_s: float = 0) -> AbstractContextManager[None]:
        """One upkeep at a time, as ``Upkeep.held`` has it."""
        return self._upkeep.held(now, patience_s=patience_s)

    def replace(
        self,
        table: str,
        gone: Collection[str],
        parts: Iterable[Part],
        *,
        rearranges: bool,
        now: datetime,
        clock: Clock | None = None,
        counted: Mapping[str, int] | None = None,
    ) -> list[str]:
        """Take files away and put rows in their place in one commit: a reader sees the one or the other.

        ``gone``: as ``files`` gives them; all of them must be current still.  ``rearranges``: the parts are the same
        rows as before, so that marts need not be built anew.  Returns the new files.  The old ones stay on the disk
        until they are vacuumed, for those who are reading them; the time of their last change is from now on that of
        their removal, by the ``clock`` (None: ``now``).
        ``counted``: by name, is added to the table's ``tally``.
        For one process at a time; workers, who only add, commit meanwhile as ever.  Raises ``YesladderError`` where a
        file is not the table's any more; nothing has changed then.
        """
        self._upkeep.renew()
        handle, folder = self.table(table), self.root / table
        names = sorted(Path(file).relative_to(folder).as_posix() for file in gone)
        self._still_current(table, handle, names)
        with self.writing():
            written = Written()
            for part in parts:
                if part.rows.num_rows:
                    self._upkeep.renew()
                    action = self._write(table, part.rows, part.landed, now, part.standing)
                    action.data_change = not rearranges
                    written.added.append(action)
            at = now if clock is None else clock()
            if self.store is None:
                for file in gone:
                    with suppress(FileNotFoundError):
                        os.utime(file, (at.timestamp(), at.timestamp()))
            else:
                note_removal(self.store, table, names, at)
            for attempt in self.attempts():
                current = self._still_current(table, handle, names)
                removed: list[AddAction | RemoveAction] = [
                    RemoveAction(path, not rearranges, milliseconds(now), current[path], partition_of(path))
                    for path in names
                ]
                tallies = {
                    TALLY + name: (handle.transaction_version(TALLY + name) or 0) + more
                    for name, more in (counted or {}).items()
                }
                try:
                    self.commit_log(handle, table, written, tallies, removed)
                    break
                except CommitFailedError:
                    if self.store is None or attempt.is_last:
                        raise
                    self.read_on(handle, table)
        return [str(folder / action.path) for action in written.added]

    def _still_current(self, table: str, handle: DeltaTable, names: Iterable[str]) -> dict[str, int]:
        current = _sizes(handle)
        for path in names:
            if path not in current:
                raise YesladderError(
                    f"{self.at(table)}/{path} is no file of the table {table} any more; nothing was replaced"
                )
        return current


def _sizes(handle: DeltaTable) -> dict[str, int]:
    """The table's current files, relative to its folder, and their bytes."""
    actions = pa.table(handle.get_add_actions(flatten=True))
    sizes: dict[str, int] = {}
    for path, size in zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True):
        sizes[unquote(path)] = size
    return sizes
