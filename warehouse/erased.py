"""Who was erased, known by salted hashes only, so that nothing of theirs from before lands again.

A worker may hold events of a person in memory, Kafka or a spool may still bring some, a file may be read again: what
occurred before the erasure is left out (or made anonymous) by the lake itself, at every commit of every writer.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import polars as pl

Mode = Literal["erase", "anonymise"]

ERASURES = "erasures"
_SALT = "salt"


@dataclass(frozen=True)
class Erased:
    """The people who were erased: by the hash of each id how and when.  ``newest``: of the folder as it was read."""

    salt: bytes
    people: Mapping[str, tuple[Mode, datetime]]
    newest: int

    @classmethod
    def read(cls, warehouse: Path) -> Self | None:
        """None where nobody was erased."""
        folder = warehouse / ERASURES
        try:
            newest = folder.stat().st_mtime_ns
            salt = (folder / _SALT).read_bytes()
        except FileNotFoundError:
            return None
        people: dict[str, tuple[Mode, datetime]] = {}
        for path in sorted(folder.glob("*.json")):
            receipt = json.loads(path.read_text(encoding="utf-8"))
            for digest in receipt["people"]:
                people[digest] = (receipt["mode"], datetime.fromisoformat(receipt["erased_at"]))
        return cls(salt, people, newest)

    def stale(self, warehouse: Path) -> bool:
        """Whether somebody was erased since."""
        try:
            return (warehouse / ERASURES).stat().st_mtime_ns != self.newest
        except FileNotFoundError:
            return True

    def filtered(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of ``events`` or ``sessions`` as they may land."""
        if table not in ("events", "sessions") or rows.is_empty():
            return rows
        time = "occurred_at" if table == "events" else "started_at"
        ids = pl.concat([rows["visitor_id"], rows["user_id"]]).drop_nulls().unique().to_list()
        known = {one: self.people[digest] for one in ids if (digest := hashed(one, self.salt)) in self.people}
        if not known:
            return rows
        before = pl.DataFrame(
            {
                "id": list(known),
                "mode": [mode for mode, _ in known.values()],
                "until": [at for _, at in known.values()],
            },
            schema={"id": pl.String, "mode": pl.String, "until": pl.Datetime("us", "UTC")},
        )
        rows = rows.with_row_index("_row")
        hits = pl.concat(
            rows.select("_row", time, id=column).join(before, on="id").filter(pl.col(time) < pl.col("until"))
            for column in ("visitor_id", "user_id")
        )
        erased = hits.filter(pl.col("mode") == "erase")["_row"].unique()
        anonymous = hits.filter(pl.col("mode") == "anonymise")["_row"].unique()
        rows = rows.filter(~pl.col("_row").is_in(erased.implode()))
        is_anonymous = pl.col("_row").is_in(anonymous.implode())
        changed = anonymised(table, rows.filter(is_anonymous).drop("_row"), {})
        return pl.concat([rows.filter(~is_anonymous).drop("_row"), changed])


def hashed(one: str, salt: bytes) -> str:
    return blake2b(one.encode(errors="surrogatepass"), key=salt, digest_size=16).hexdigest()


def salt_of(warehouse: Path) -> bytes:
    """The warehouse's salt, drawn when it is first needed."""
    path = warehouse / ERASURES / _SALT
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{_SALT}.{os.getpid()}")
        draft.write_bytes(secrets.token_bytes(32))
        draft.chmod(0o600)
        draft.replace(path)
    return path.read_bytes()


def anonymised(
    table: str, rows: pl.DataFrame, names: dict[str, str], kept_properties: Iterable[str] = ()
) -> pl.DataFrame:
    """Rows of ``events`` or ``sessions`` without what tells who it was; ``names`` gives, and takes, the new ids.

    What stays: when, what (the event's name, its id, its marks), campaign and device class; of an address the page
    without its query; of a referrer the site; of the properties those named in ``kept_properties``.
    """
    if rows.is_empty():
        return rows
    for one in rows["visitor_id"].unique().to_list():
        names.setdefault(one, f"anonymous-{secrets.token_hex(12)}")
    kept = frozenset(kept_properties)
    columns: dict[str, Any] = {
        "visitor_id": pl.col("visitor_id").replace_strict(names, return_dtype=pl.String),
        "user_id": pl.lit(None, pl.String),
        "page_url": pl.col("page_url").map_elements(_page, pl.String),
        "referrer": pl.col("referrer").map_elements(_site, pl.String),
    }
    if table == "sessions":
        start = (pl.col("started_at").dt.epoch("us")).cast(pl.String)
        columns["session_id"] = columns["visitor_id"] + "@" + start
    else:
        columns["context"] = pl.lit("{}")
        columns["properties"] = pl.col("properties").map_elements(lambda text: _reduced(text, kept), pl.String)
    return rows.with_columns(**columns).select(rows.columns)


def _reduced(text: str, kept: frozenset[str]) -> str:
    if not kept or text == "{}":
        return "{}"
    found = json.loads(text)
    return json.dumps(
        {key: value for key, value in found.items() if key in kept and not isinstance(value, dict | list)}
    )


def _page(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.scheme and parts.hostname else None


def _site(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}/" if parts.scheme and parts.hostname else None
