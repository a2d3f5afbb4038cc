"""Who was erased, known by salted hashes only, so that nothing of theirs from before lands again.

A worker may hold events of a person in memory, Kafka or a spool may still bring some, a file may be read again: what
occurred before the erasure is left out by the lake itself, at every commit of every writer.  A session that began
before it is left out whole; what is left of its events is cut anew by `resessionise` (see ``suspects``).
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl

from ladder.errors import YesladderError
from warehouse.durable import sync, write
from warehouse.mentions import ids_in_letter

Mode = Literal["erase", "anonymise"]

ERASURES = "erasures"
ANONYMOUS = "anonymous-"
"""How the ids begin that are given to those who are made anonymous."""

_SALT = "salt"
_SALT_BYTES = 32
_CUT_SHORT = "sessions"


@dataclass(frozen=True)
class Erased:
    """The people who were erased: by the hash of each id until when.  ``newest``: of the folder as it was read."""

    salt: bytes
    people: Mapping[str, datetime]
    newest: int

    @classmethod
    def read(cls, warehouse: Path) -> Self | None:
        """None where nobody was erased.  Raises ``YesladderError`` for a receipt that cannot be read."""
        folder = warehouse / ERASURES
        try:
            newest = folder.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        people: dict[str, datetime] = {}
        for receipt in receipts(warehouse).values():
            until = datetime.fromisoformat(receipt["erased_at"])
            for digest in receipt["people"]:
                people[digest] = max(until, people.get(digest, until))
        return cls(salt_of(warehouse), people, newest) if people else None

    def stale(self, warehouse: Path) -> bool:
        """Whether somebody was erased since."""
        try:
            return (warehouse / ERASURES).stat().st_mtime_ns != self.newest
        except FileNotFoundError:
            return True

    def filtered(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of ``events``, ``sessions`` or ``rejects`` that may land.

        A dead letter has no time that could be believed: one that names an erased person never lands.
        """
        if rows.is_empty():
            return rows
        if table == "rejects":
            hit = [bool(self._known(ids_in_letter(raw))) for raw in rows["raw"]]
            return rows.filter(~pl.Series(hit, dtype=pl.Boolean)) if any(hit) else rows
        time = "occurred_at" if table == "events" else "started_at"
        known = self._known(pl.concat([rows["visitor_id"], rows["user_id"]]).drop_nulls().unique())
        if not known:
            return rows
        before = pl.DataFrame(
            {"id": list(known), "until": list(known.values())},
            schema={"id": pl.String, "until": pl.Datetime("us", "UTC")},
        )
        numbered = rows.with_row_index("_row")
        hits = pl.concat(
            numbered.select("_row", time, id=column).join(before, on="id").filter(pl.col(time) < pl.col("until"))
            for column in ("visitor_id", "user_id")
        )
        if hits.is_empty():
            return rows
        return numbered.filter(~pl.col("_row").is_in(hits["_row"].implode())).drop("_row")

    def note(self, warehouse: Path, visitors: Iterable[str]) -> list[Path]:
        """Remember visitors (by hashes) who were not erased and lost a session all the same, before it is lost.

        Returns the files that are new.
        """
        new = {hashed(one, self.salt) for one in visitors} - self.people.keys() - _noted(warehouse)
        folder = warehouse / ERASURES / _CUT_SHORT
        if new:
            folder.mkdir(exist_ok=True)
            for digest in new:
                (folder / digest).touch()
            sync(folder)
            sync(folder.parent)
        return [folder / digest for digest in new]

    def _known(self, ids: Iterable[str]) -> dict[str, datetime]:
        return {one: self.people[digest] for one in ids if (digest := hashed(one, self.salt)) in self.people}


def suspects(warehouse: Path, visitors: pl.Series) -> pl.Series:
    """Those visitors who may have events, not late, in no session, although all is settled there.

    Such are the erased who came back during a session, those whose session went since an erased user was in it, and
    the anonymous ones whose session was still open.
    """
    erased = Erased.read(warehouse)
    if erased is None:
        return visitors.clear()
    digests = erased.people.keys() | _noted(warehouse)
    hit = [one.startswith(ANONYMOUS) or hashed(one, erased.salt) in digests for one in visitors]
    return visitors.filter(pl.Series(hit, dtype=pl.Boolean))


def receipts(warehouse: Path) -> dict[str, dict[str, Any]]:
    """All receipts by their names.  Raises ``YesladderError`` for one that cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((warehouse / ERASURES).glob("*.json")):
        try:
            receipt = json.loads(path.read_text(encoding="utf-8"))
            datetime.fromisoformat(receipt["erased_at"])
            if not isinstance(receipt["people"], list) or not isinstance(receipt["mode"], str):
                raise TypeError("people and mode are missing")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise YesladderError(
                f"{path} is no receipt of an erasure any more ({error}); without it erased people could come back:"
                " restore it from a backup"
            ) from None
        found[path.stem] = receipt
    return found


def unfinished(warehouse: Path) -> dict[str, dict[str, Any]]:
    """The receipts of erasures that were cut short; they hold the ids still."""
    return {name: receipt for name, receipt in receipts(warehouse).items() if "ids" in receipt}


def write_receipt(warehouse: Path, name: str, receipt: Mapping[str, Any]) -> None:
    """Keep a receipt, on the disk for good."""
    folder = warehouse / ERASURES
    write(folder / f"{name}.json", (json.dumps(receipt, indent=2) + "\n").encode(), private=True)
    # The file system's clock ticks coarsely, and writers tell by this time that they must read the folder again.
    os.utime(folder, ns=(time.time_ns(), time.time_ns()))


def hashed(one: str, salt: bytes) -> str:
    return blake2b(one.encode(errors="surrogatepass"), key=salt, digest_size=16).hexdigest()


def salt_of(warehouse: Path) -> bytes:
    """The warehouse's salt, drawn when it is first needed.  Raises ``YesladderError`` where it was lost."""
    folder = warehouse / ERASURES
    path = folder / _SALT
    if not path.exists():
        if any(folder.glob("*.json")):
            raise YesladderError(f"{path} is gone, and the receipts beside it are of no use without: restore it")
        if not folder.exists():
            folder.mkdir()
            sync(warehouse)
        write(path, secrets.token_bytes(_SALT_BYTES), private=True)
    salt = path.read_bytes()
    if len(salt) != _SALT_BYTES:
        raise YesladderError(f"{path} is damaged, and the receipts beside it are of no use without: restore it")
    return salt


def people_of(ids: Collection[str], salt: bytes) -> list[str]:
    """Ids as a receipt keeps them; their order says nothing."""
    return sorted(hashed(one, salt) for one in ids)


def _noted(warehouse: Path) -> set[str]:
    try:
        return {path.name for path in (warehouse / ERASURES / _CUT_SHORT).iterdir()}
    except FileNotFoundError:
        return set()
