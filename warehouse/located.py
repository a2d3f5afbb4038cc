"""Where a warehouse's lake is: in its folder ``lake``, or in an object store, which ``lake.json`` beside it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ladder.errors import UsageError, YesladderError
from warehouse.durable import write
from warehouse.lake import Lake
from warehouse.object_store import ObjectStore, checked_url

LOCAL = "lake"
COPIES = "lake-copies"
"""The folder of copies of the lake's files, of which DuckDB reads; safe to delete while nothing runs."""

POINTER = "lake.json"


def has_lake(warehouse: Path) -> bool:
    """Whether a lake was ever made for this warehouse."""
    return (warehouse / POINTER).exists() or (warehouse / LOCAL).exists()


def lake_of(warehouse: Path, url: str | None = None, options: Mapping[str, str] | None = None) -> Lake:
    """The lake of a warehouse, made on first use.

    ``url``: of an object store; once it was given it is known.  ``options``: as ``ObjectStore`` takes them; of these
    only the address of the server is kept, no credentials.
    Raises ``UsageError`` for another address than before, and where the warehouse has a lake in its folder already.
    """
    known, kept = _pointed(warehouse)
    given = None if url is None else checked_url(url)
    if known is not None and given not in (None, known):
        raise UsageError(f"the lake of {warehouse} is at {known}: for {given} take another folder (--warehouse)")
    at = known or given
    if at is None:
        return Lake(warehouse / LOCAL)
    if (warehouse / LOCAL).exists():
        raise UsageError(
            f"{warehouse} has a lake of its own in {warehouse / LOCAL}: for {at} take another folder (--warehouse)"
        )
    store = ObjectStore(at, kept | dict(options or {}))
    lake = Lake(warehouse / COPIES, store)
    endpoint = {name: value for name, value in store.options.items() if name == "AWS_ENDPOINT_URL"}
    if (known, kept) != (at, endpoint):
        warehouse.mkdir(parents=True, exist_ok=True)
        write(warehouse / POINTER, (json.dumps({"url": at, "options": endpoint}, indent=2) + "\n").encode())
    return lake


def _pointed(warehouse: Path) -> tuple[str | None, dict[str, str]]:
    path = warehouse / POINTER
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return checked_url(told["url"]), dict(told["options"])
    except FileNotFoundError:
        return None, {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise YesladderError(
            f"{path} does not say where the lake is any more ({error}); delete it and give the address again (--lake)"
        ) from None
