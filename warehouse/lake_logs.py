"""The logs of a lake's tables: reading them on, and one commit at a time, each of them checked against the log's end.

In an object store an entry is put only where there is none of its number, and one whose answer was lost is known by
the number that it carries (docs/decisions/0025-the-lake-on-object-storage.md).
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from ladder.errors import UsageError, YesladderError
from ladder.tables import BESIDE, LANDED, TABLES
from warehouse.durable import sync
from warehouse.lake_files import Written
from warehouse.object_store import FIRST_CONTACT, ObjectStore, unreachable

_PROPERTIES = {
    "delta.checkpointInterval": "20",
    "delta.logRetentionDuration": "interval 1 hours",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
}
"""Nobody travels back in time here, and every commit lists the log's folder: a day of them would cost half a second.
When a file was removed is known by the file itself (see ``Lake.replace``); the log need not drag it along.  Delta reads
every entry since the log was last summed up, at each commit and twice: with a hundred of them, as by default, a
checkpoint of the worker cost twice the CPU (also with 20,000 files)."""

_CLEAN_EVERY = 100
"""Commits.  What is old enough is cleaned away; looking for it costs more than a commit."""

_ATTEMPTS = 5
"""At a commit.  Upkeep commits seldom: that it is in the way twice in a row is luck, five times something else."""

_FAR_ATTEMPTS = 50
"""At a commit in an object store, where each commit of another is in the way of ours."""
_FAR_PAUSE_S = 0.2
"""The longest before another attempt; chance takes a part of it, so that two do not keep meeting."""

_ASKED_AGAIN = 5
"""Times that an entry is asked for where no answer came."""

_COMMIT_WITHIN_S = 1800.0
"""In an object store: a file that is not committed half an hour after it was written never is."""

_WRITER = "yesladder.writer"
"""What an entry of the log carries the number of its commit under."""

ERASED = "erasures"
"""The transaction that counts erasures: who commits sees in the log that there are new ones."""


class Attempt(NamedTuple):
    """At a commit."""

    is_last: bool


class Logs:
    """The logs of the tables under one folder, or in an object store; the tables are made on first use.

    ``root`` and ``store``: as ``Lake`` takes them.  Raises ``UsageError`` for a folder that Delta cannot name.
    """

    def __init__(self, root: Path, store: ObjectStore | None = None) -> None:
        self.root = root = root.absolute()
        self.store = store
        self._counted_erasures: dict[str, tuple[int, int | None]] = {}
        if store is None and (unquote(str(root)) != str(root) or "\\" in str(root)):
            raise UsageError(f"{root}: Delta cannot name a folder with a backslash or %20 and its like; take another")
        for name, schema in TABLES.items():
            if not self._has(name, FIRST_CONTACT):
                self._make(name, schema)

    def versions(self) -> dict[str, int]:
        """The version of each table's log."""
        return {name: self.table(name).version() for name in TABLES}

    def tables(self) -> list[str]:
        """Those of a checkpoint, and those beside them that somebody has made."""
        return [*TABLES, *(name for name in BESIDE if self._has(name))]

    def make(self, name: str) -> None:
        """Make a table ``BESIDE`` the others where it is missing."""
        if not self._has(name):
            self._make(name, BESIDE[name])

    def table(self, name: str) -> DeltaTable:
        """A fresh handle on a table.  Raises ``YesladderError`` for a log that cannot be read."""
        try:
            return DeltaTable(self.at(name), storage_options=self.options())
        except (DeltaError, OSError) as error:
            raise YesladderError(f"the log of the table {self.at(name)} cannot be read: {first_line(error)}") from None

    def entry(self, table: str, version: int) -> str | None:
        """What the log of a table says of one version; None where that has been summed up and cleaned away."""
        name = _entry(table, version)
        try:
            if self.store is not None:
                return self.store.get(name).decode()
            return (self.root / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def sum_up(self, table: str) -> None:
        """Write a checkpoint of a table's log, and delete the entries before it that are older than an hour."""
        handle = self.table(table)
        handle.create_checkpoint()
        with suppress(DeltaError, OSError):  # a worker may be at it, too
            self.table(table).cleanup_metadata()

    def attempts(self) -> Iterator[Attempt]:
        """At a commit; in a store with pauses between them."""
        most = _ATTEMPTS if self.store is None else _FAR_ATTEMPTS
        for number in range(1, most + 1):
            if self.store is not None and number > 1:
                time.sleep(random.random() * _FAR_PAUSE_S)
            yield Attempt(number == most)

    def read_on(self, handle: DeltaTable, table: str) -> None:
        """Read a table's log up to its end.  Raises ``YesladderError`` where a store cannot be reached."""
        try:
            handle.update_incremental()
        except (DeltaError, OSError) as error:
            if self.store is None:
                raise
            raise unreachable(f"the log of {self.at(table)}", error) from error

    def commit_log(
        self,
        handle: DeltaTable,
        name: str,
        written: Written,
        versions: Mapping[str, int],
        removed: Sequence[AddAction | RemoveAction] = (),
    ) -> None:
        """Commit files with the versions, as the next entry of the log that ``handle`` has read.

        Raises ``CommitFailedError`` where nothing was committed since others were before us; in a store for any commit
        in between, and ``YesladderError`` where it cannot be told whether something was (what is read next tells).
        """
        actions = [*removed, *written.added]
        if self.store is None:
            _commit(handle, self.root / name, actions, versions)
            return
        if written.age_s() > _COMMIT_WITHIN_S:
            raise YesladderError(
                f"table {self.at(name)}: {_COMMIT_WITHIN_S / 60:.0f} minutes did not do for a commit; nothing was"
                " committed"
            )
        writer, number = str(uuid.uuid4()), handle.version() + 1
        for tried in range(_ASKED_AGAIN):
            try:
                _create_entry(handle, actions, versions, {_WRITER: writer}, 0)
                break
            except (DeltaError, OSError) as error:
                # Done all the same where only the answer was lost, or what came after it went wrong.
                if writer in (self.entry(name, number) or ""):
                    break
                if isinstance(error, CommitFailedError):
                    raise
                # The request may be on its way still.  Asked for once more, the entry of this number is ours once,
                # whichever of the two comes first, or another's, and then neither does.
                if tried == _ASKED_AGAIN - 1:
                    raise YesladderError(f"table {self.at(name)}: {first_line(error)}") from error
                time.sleep(_FAR_PAUSE_S * 2**tried)
        known = self._counted_erasures.get(name)
        if known is not None and known[0] == number - 1:
            self._counted_erasures[name] = (number, versions.get(ERASED, known[1]))
        if number % _CLEAN_EVERY == 0:
            with suppress(DeltaError, OSError, YesladderError):
                self.table(name).cleanup_metadata()

    def step(self, table: str, app: str, step: Callable[[int | None], int | None]) -> int | None:
        """Have a transaction's version be what ``step`` makes of it, whoever else is at it; the version."""
        handle = self.table(table)
        for attempt in self.attempts():
            was = handle.transaction_version(app)
            becomes = step(was)
            if becomes is None or becomes == was:
                return was
            try:
                self.commit_log(handle, table, Written(), {app: becomes})
                return becomes
            except CommitFailedError as error:
                if attempt.is_last:
                    raise YesladderError(f"table {self.at(table)}: {first_line(error)}") from error
                self.read_on(handle, table)
        raise RuntimeError("no attempt was the last")

    def erasures_of(self, table: str, handle: DeltaTable) -> int | None:
        """How many erasures a table's log tells of; it is read again only where others have written to it."""
        version = handle.version()
        known = self._counted_erasures.get(table)
        if known is None or known[0] != version:
            known = self._counted_erasures[table] = (version, handle.transaction_version(ERASED))
        return known[1]

    def at(self, name: str) -> str:
        """Where a table is: a path, or an address."""
        return str(self.root / name) if self.store is None else self.store.at(name)

    def options(self) -> dict[str, str] | None:
        """What Delta needs to reach the tables."""
        return None if self.store is None else dict(self.store.options)

    def _has(self, name: str, patience: Mapping[str, str] | None = None) -> bool:
        options = self.options()
        if options is not None and patience is not None:
            options = {**patience, **options}
        try:
            return DeltaTable.is_deltatable(self.at(name), storage_options=options)
        except (DeltaError, OSError) as error:
            raise unreachable(self.at(name), error) from None

    def _make(self, name: str, schema: pa.Schema) -> None:
        """Make an empty table.  Should another process have made it at the same moment, that one is the table."""
        if self.store is None:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        try:
            DeltaTable.create(
                self.at(name),
                schema=schema,
                partition_by=[LANDED.name],
                mode="ignore",
                configuration=_PROPERTIES,
                storage_options=self.options(),
                # Else whoever comes second makes it once more, as version 1.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except (DeltaError, OSError) as error:
            if self._has(name):
                return
            if self.store is None:
                raise
            raise unreachable(self.at(name), error) from None


def _entry(table: str, version: int) -> str:
    return f"{table}/_delta_log/{version:020}.json"


def first_line(error: Exception) -> str:
    """What follows is where in Rust it happened."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _create_entry(
    handle: DeltaTable,
    actions: Sequence[AddAction | RemoveAction],
    versions: Mapping[str, int],
    said: Mapping[str, str] | None = None,
    retries: int | None = None,
) -> None:
    handle.create_write_transaction(
        list(actions),
        mode="append",
        schema=handle.schema(),
        partition_by=[LANDED.name],
        commit_properties=CommitProperties(
            custom_metadata=None if said is None else dict(said),
            max_commit_retries=retries,
            app_transactions=[Transaction(app, version) for app, version in versions.items()],
        ),
        # By default every commit looks for old logs, which takes longer than the commit.
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
    )


def _commit(
    handle: DeltaTable, folder: Path, actions: Sequence[AddAction | RemoveAction], versions: Mapping[str, int]
) -> None:
    """Commit files, which are on the disk for good, with the versions."""
    number = handle.version() + 1
    _create_entry(handle, actions, versions)
    log = folder / "_delta_log"
    clean = False
    # The commit has this number, or a later one if others committed meanwhile.
    while (entry := log / f"{number:020}.json").exists():
        sync(entry)
        clean = clean or number % _CLEAN_EVERY == 0
        number += 1
    sync(log)
    if clean:
        # Another worker may be at it, too; what is left is taken the next time.
        with suppress(DeltaError, OSError):
            DeltaTable(str(folder)).cleanup_metadata()
