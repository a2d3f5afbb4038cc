"""Files of a lake in a store that no log names: since when, and away with them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from ladder.tables import LANDED
from warehouse.lake_reading import FETCHING, ReadableLake
from warehouse.object_store import ObjectStore

LEFTOVER_AFTER = timedelta(hours=1)
"""In an object store: a file that is not committed half an hour after it was written never is, and after an hour it
may be deleted.  In between lie requests that are under way and what clocks differ by."""

_REMOVED = "removed"
"""The folder of what says when files were replaced; in a store nobody can set a file's time."""

_VACUUMED = "vacuumed"
"""The transaction that counts deletions of what no log had named: it makes commits under way look again."""


@dataclass(frozen=True)
class Leftover:
    """A file in a store that no log names.

    ``removed_at``: when it was replaced, by the clock of who did; None where it never was the log's, as far as is
    known.  ``changed_at``: when it was written, by the store's clock.
    """

    name: str
    size: int
    removed_at: datetime | None
    changed_at: datetime


def leftovers(lake: ReadableLake) -> list[Leftover]:
    """Files of a lake in a store that no log names, and since when nobody needs them."""
    store = lake.store
    if store is None:
        raise TypeError("the files of a folder have their times themselves")
    current = _current(lake)
    since: dict[str, datetime] = {}
    for note in store.list(_REMOVED):
        try:
            told = json.loads(store.get(note.name))
        except FileNotFoundError:  # another machine's vacuum came first
            continue
        at = datetime.fromisoformat(told["at"])
        for file in told["files"]:
            since[file] = max(at, since.get(file, at))
    return [
        Leftover(one.name, one.size, since.get(one.name), one.changed_at)
        for table in lake.tables()
        for one in store.list(table)
        if f"/{LANDED.name}=" in one.name and one.name not in current
    ]


def never_to_be_named(lake: ReadableLake, found: Collection[Leftover]) -> list[Leftover]:
    """Those of them that no commit can name any more, not even that of a machine that slept between look and put.

    Each log gets an entry.  Whoever looked before it finds its number taken, reads on, and then sees by its clocks that
    its file is too old for a commit; whoever put its entry first has its files in the log that is read after that.
    """
    for table in sorted({one.name.partition("/")[0] for one in found if one.removed_at is None}):
        lake.step(table, _VACUUMED, lambda was: (was or 0) + 1)
    current = _current(lake)
    return [one for one in found if one.name not in current]


def delete(lake: ReadableLake, names: Collection[str]) -> None:
    """Delete files of a lake in a store that no log names, and what was noted of their removal."""
    store = lake.store
    if store is None:
        raise TypeError("files of a folder are deleted as any others")
    with ThreadPoolExecutor(FETCHING) as threads:
        list(threads.map(store.delete, names))
    gone = frozenset(names)
    for note in store.list(_REMOVED):
        try:
            told = json.loads(store.get(note.name))
        except FileNotFoundError:
            continue
        if all(file in gone or store.look(file) is None for file in told["files"]):
            store.delete(note.name)


def note_removal(store: ObjectStore, table: str, names: Sequence[str], at: datetime) -> None:
    """Remember since when files of a table are not needed any more, unless their removal comes to nothing."""
    if names:
        told = {"at": at.isoformat(), "files": [f"{table}/{name}" for name in names]}
        store.put(f"{_REMOVED}/{table}/{uuid.uuid4()}.json", json.dumps(told).encode())


def _current(lake: ReadableLake) -> set[str]:
    return {f"{table}/{file.path}" for table in lake.tables() for file in lake.logged(table)}
