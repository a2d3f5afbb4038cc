"""What has landed in a Delta table since the marts were built: by files, not by dates.

Most commits only add files, and then the new files are the difference of two lists.  Compaction replaces files without
changing rows; the log says so (``dataChange: false``).  Where rows went away, marts cannot be mended, only rebuilt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True)
class Commit:
    """One commit of a table's log.  ``rearranges``: the same rows in other files (a compaction)."""

    version: int
    added: frozenset[str]
    removed: frozenset[str]
    rearranges: bool


@dataclass(frozen=True)
class Change:
    """``new``: current files with rows that were not built.  ``rows_removed``: rows that were built are gone."""

    new: frozenset[str]
    rows_removed: bool


def change(
    built: Collection[str], current: Collection[str], commits_since: Callable[[], Sequence[Commit] | None]
) -> Change:
    """What of ``current`` is still to be built, given the files that were.

    ``commits_since`` gives the commits since then (None: the log forgot some); it is asked only where files are gone.
    A file that a compaction made of built and unbuilt ones together counts as new.
    """
    if frozenset(built) <= frozenset(current):
        return Change(frozenset(current) - frozenset(built), False)
    commits = commits_since()
    if commits is None:
        return Change(frozenset(current) - frozenset(built), True)
    clean, rows_removed = set(built), False
    for commit in commits:
        if commit.rearranges and commit.removed <= clean:
            clean |= commit.added
        elif not commit.rearranges:
            rows_removed |= bool(commit.removed & clean)
        clean -= commit.removed
    return Change(frozenset(current) - frozenset(clean), rows_removed)


Log = Callable[[int], str | None]
"""What a table's log says of a version (``warehouse.lake_logs.Logs.entry``); None where it was cleaned away."""


def read_commits(log: Log, after: int, until: int) -> list[Commit] | None:
    """The commits ``after`` < version <= ``until`` of a table; None where the log lacks one."""
    commits = []
    for version in range(after + 1, until + 1):
        text = log(version)
        if text is None:
            return None
        actions = [json.loads(line) for line in text.splitlines() if line.strip()]
        adds = [action["add"] for action in actions if "add" in action]
        removes = [action["remove"] for action in actions if "remove" in action]
        commits.append(
            Commit(
                version,
                frozenset(unquote(add["path"]) for add in adds),
                frozenset(unquote(remove["path"]) for remove in removes),
                bool(adds or removes) and not any(part.get("dataChange", True) for part in (*adds, *removes)),
            )
        )
    return commits


def versions_of(log: Log, files: Collection[str], until: int) -> tuple[int, int] | None:
    """The first and last version that added any of these files, as far as the log goes back."""
    missing, found = set(files), []
    for version in range(until, -1, -1):
        commits = read_commits(log, version - 1, version) if missing else None
        if commits is None:
            break
        if commits[0].added & missing:
            missing -= commits[0].added
            found.append(version)
    return (min(found), max(found)) if found else None
