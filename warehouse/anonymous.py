"""Rows of events and sessions without what tells who it was."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from warehouse.erased import ANONYMOUS, hashed


def anonymised(table: str, rows: pl.DataFrame, key: bytes, kept_properties: Collection[str]) -> pl.DataFrame:
    """Each visitor under a new id, made of the old one with a key: who has lost the key cannot find out who it was.

    What stays: when, what (the event's name, its id, its marks), campaign and device class; of an address the page
    without its query; of a referrer the site; of the properties those named in ``kept_properties``.
    """
    if rows.is_empty():
        return rows
    names = {one: ANONYMOUS + hashed(one, key)[:24] for one in rows["visitor_id"].unique()}
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
