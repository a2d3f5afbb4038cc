"""``yesladder erase``: a person leaves the warehouse, and nothing of theirs from before comes back.

In this order, so that it may be cut short at any instant and done again: the person is written down as erased, and from
then on no writer lands their rows; the lake's files are rewritten; the gate's pages and the reports lose the ids; the
marts are built anew; the files that were replaced are deleted at once.  The receipt keeps salted hashes.  Until it is
done it keeps the ids, too, or what is left could not be found again.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from ladder.errors import UsageError
from ladder.tables import TABLES
from ladder.tiers import Ladder
from warehouse.build import build
from warehouse.built import MARTS
from warehouse.erased import ERASURES, Mode, anonymised, hashed, salt_of
from warehouse.lake import Lake
from warehouse.locks import build_lock, upkeep_lock
from warehouse.maintain import files_in_marts
from warehouse.quality import Gate
from warehouse.retention import rewrite
from warehouse.vacuum import vacuum

_PATIENCE_S = 600.0
_WRITERS_PATIENCE_S = 60.0
_GONE = "erased"

_SOUGHT_FROM = 6
"""Characters: a shorter id would be found in text that has nothing to do with it."""


@dataclass(frozen=True)
class Found:
    """What is known of a person: all ids, and how many rows of each table carry one of them."""

    visitors: tuple[str, ...]
    users: tuple[str, ...]
    rows: Mapping[str, int]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.visitors, *self.users]))

    def summary(self) -> str:
        counts = ", ".join(f"{rows:,} {table}" for table, rows in self.rows.items())
        return "\n".join(
            [
                f"visitor ids: {', '.join(self.visitors) or 'none'}",
                f"user ids: {', '.join(self.users) or 'none'}",
                counts,
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Receipt:
    """What was done, without saying about whom: ``people`` are salted hashes of the ids.

    ``rows``: by table, erased or made anonymous.  ``files_deleted``: from the lake.  ``texts``: pages and reports from
    which an id was taken.
    """

    name: str
    mode: Mode
    erased_at: datetime
    people: tuple[str, ...]
    rows: Mapping[str, int]
    files_deleted: int
    texts: int
    marts_rebuilt: bool

    def summary(self) -> str:
        verb = "erased" if self.mode == "erase" else "made anonymous"
        counts = ", ".join(f"{rows:,} {table}" for table, rows in self.rows.items())
        return f"{verb}: {counts}; {self.files_deleted:,} files deleted; receipt: {ERASURES}/{self.name}.json"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"erased_at": self.erased_at.isoformat()}


def find(lake: Lake, names: Collection[str]) -> Found:
    """Everybody these ids lead to: users seen with the visitors, the visitors seen with those users, and so on.

    Raises ``UsageError`` for an id that the lake does not know.
    """
    links = (
        pl.concat([lake.scan(table).select("visitor_id", "user_id") for table in ("events", "sessions")])
        .unique()
        .collect()
    )
    known = set(links["visitor_id"]) | set(links["user_id"].drop_nulls())
    if unknown := sorted(set(names) - known):
        raise UsageError(f"{', '.join(unknown)}: no event or session of this lake has such a visitor or user id")
    ids: set[str] = set(names)
    while True:
        touched = links.filter(pl.col("visitor_id").is_in(list(ids)) | pl.col("user_id").is_in(list(ids)))
        more = ids | set(touched["visitor_id"]) | set(touched["user_id"].drop_nulls())
        if more == ids:
            break
        ids = more
    theirs = pl.col("visitor_id").is_in(list(ids)) | pl.col("user_id").is_in(list(ids))
    rows = {t: int(lake.scan(t).filter(theirs).select(pl.len()).collect().item()) for t in ("events", "sessions")}
    pattern = _pattern(ids)
    letters = lake.scan("rejects").select("raw", "detail").collect()
    rows["rejects"] = sum(_in_letter(pattern, raw, detail) for raw, detail in letters.iter_rows())
    users = tuple(sorted(set(touched["user_id"].drop_nulls())))
    return Found(tuple(sorted(set(touched["visitor_id"]))), users, rows)


def erase(
    lake: Lake,
    ladder: Ladder,
    ids: Sequence[str],
    *,
    mode: Mode = "erase",
    gate: Gate | None = None,
    progress: Callable[[str], None] = lambda words: None,
    now: datetime,
) -> Receipt:
    """Take a person of all these ids (``find`` gives them) out of the warehouse, at once and for good.

    ``anonymise`` keeps the rows, under new random ids.  ``gate``: as for ``build``.
    Raises what ``build`` raises, and ``YesladderError`` where a writer never pauses; done again, it goes on.
    """
    warehouse = lake.root.parent
    with upkeep_lock(warehouse, now, patience_s=_PATIENCE_S):
        receipt = _begin(warehouse, ids, mode, now)
        with lake.nobody_writing(_WRITERS_PATIENCE_S):
            pass  # whoever began to write before us has committed; all others know of the erasure
        progress("rewriting the lake")
        rows = _rewrite(lake, ladder, frozenset(ids), mode, now)
        progress("taking the ids out of pages and reports")
        texts = _clean_texts(warehouse, ids)
        rebuilt = (warehouse / MARTS).exists()
        if rebuilt:
            build(lake, ladder, full=True, gate=gate, progress=progress, now=now, patience_s=_PATIENCE_S)
            texts += _clean_texts(warehouse, ids)
        progress("deleting files")
        with build_lock(warehouse, now, patience_s=_PATIENCE_S):
            gone = vacuum(lake, files_in_marts(lake), keep=timedelta(0), now=now)
        done = Receipt(
            receipt, mode, now, tuple(hashed(one, salt_of(warehouse)) for one in ids), rows, gone.files, texts, rebuilt
        )
        _write(warehouse, receipt, done.to_dict())
        return done


def unfinished(warehouse: Path) -> list[tuple[tuple[str, ...], Mode]]:
    """Erasures that were cut short: whom and how."""
    found = []
    for path in sorted((warehouse / ERASURES).glob("*.json")):
        receipt = json.loads(path.read_text(encoding="utf-8"))
        if "ids" in receipt:
            found.append((tuple(receipt["ids"]), receipt["mode"]))
    return found


def _begin(warehouse: Path, ids: Sequence[str], mode: Mode, now: datetime) -> str:
    """Write the person down as erased; returns the receipt's name, that of the earlier try if there was one."""
    salt = salt_of(warehouse)
    for path in sorted((warehouse / ERASURES).glob("*.json")):
        if json.loads(path.read_text(encoding="utf-8")).get("ids") == list(ids):
            name = path.stem
            break
    else:
        name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    people = [hashed(one, salt) for one in ids]
    _write(warehouse, name, {"mode": mode, "erased_at": now.isoformat(), "people": people, "ids": list(ids)})
    return name


def _write(warehouse: Path, name: str, receipt: Mapping[str, Any]) -> None:
    draft = warehouse / ERASURES / f"{name}.new"
    draft.write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(warehouse / ERASURES / f"{name}.json")
    # The file system's clock ticks coarsely, and writers tell by this time that they must read the folder again.
    os.utime(warehouse / ERASURES, ns=(time.time_ns(), time.time_ns()))


def _rewrite(lake: Lake, ladder: Ladder, ids: frozenset[str], mode: Mode, now: datetime) -> dict[str, int]:
    """Events before sessions: an event without its session would be taken for an open one by a worker that starts."""
    theirs = pl.col("visitor_id").is_in(list(ids)) | pl.col("user_id").is_in(list(ids)).fill_null(False)
    pattern = _pattern(ids)
    sought = re.compile("|".join(re.escape(one) for one in ids if len(one) >= _SOUGHT_FROM) or r"(?!)")
    kept = {key for rule in ladder.rules for key in rule.where}
    names: dict[str, str] = {}
    counts = dict.fromkeys(("events", "sessions", "rejects"), 0)

    def change(table: str, frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.with_row_index("_row")
        own = frame.filter(theirs)
        others = frame.filter(~theirs)
        counts[table] += len(own)
        texts = ["page_url", "referrer", *(["properties", "context"] if table == "events" else [])]
        if sought.pattern != r"(?!)":
            others = others.with_columns(pl.col(texts).str.replace_all(sought.pattern, _GONE))
        if mode == "erase" or own.is_empty():
            return others.drop("_row")
        changed = anonymised(table, own, names, kept).with_columns(
            pl.col("page_url", "referrer").str.replace_all(sought.pattern, _GONE)
            if sought.pattern != r"(?!)"
            else pl.col("page_url", "referrer")
        )
        return pl.concat([others, changed]).sort("_row").drop("_row")

    def letters(frame: pl.DataFrame) -> pl.DataFrame:
        hit = [_in_letter(pattern, raw, detail) for raw, detail in frame.select("raw", "detail").iter_rows()]
        counts["rejects"] += sum(hit)
        return frame.filter(~pl.Series(hit, dtype=pl.Boolean))

    for table in ("events", "sessions"):
        rewrite(lake, table, lake.logged(table), lambda frame, table=table: change(table, frame), now=now)  # type: ignore[misc]
    rewrite(lake, "rejects", lake.logged("rejects"), letters, now=now)
    return counts


def _pattern(ids: Collection[str]) -> re.Pattern[bytes]:
    """The ids in bytes, as they stand in text, JSON or a page, not as a part of a longer word or number."""
    forms = {form for one in ids for form in (one, json.dumps(one)[1:-1], escape(one))}
    words = "|".join(re.escape(form) for form in sorted(forms))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])".encode())


def _in_letter(pattern: re.Pattern[bytes], raw: bytes, detail: str) -> bool:
    return pattern.search(raw) is not None or pattern.search(detail.encode()) is not None


def _clean_texts(warehouse: Path, ids: Collection[str]) -> int:
    """Replace the ids in the gate's pages and verdicts and in the reports; how many files that were."""
    pattern = _pattern(ids)
    changed = 0
    for folder in ("quality", "reports"):
        for path in sorted((warehouse / folder).rglob("*")):
            if path.suffix not in (".html", ".json"):
                continue
            text = path.read_bytes()
            clean = pattern.sub(_GONE.encode(), text)
            if clean != text:
                draft = path.with_name(f"{path.name}.new")
                draft.write_bytes(clean)
                draft.replace(path)
                changed += 1
    return changed


if not {"events", "sessions", "rejects"} <= set(TABLES):
    raise RuntimeError("the tables that hold people are spelled out here")
