"""Lines as this project's contract prints them, checked and taken apart many at a time.

A *plain* line is one that ``ladder.events.encode`` could have printed.  One pattern over all of a line's bytes says so:
which fields there are, in their order, each once, each a text, properly escaped, and (in the narrow pattern) that
``properties`` is flat and sound JSON.  What a pattern cannot say is asked of the columns: how long ids are, and when
things happened.  A line that is not plain is not wrong: it is for ``producers.ndjson``, which finds out.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ladder.events import ARROW_SCHEMA, EARLIEST, KINDS, LATEST, MAX_CANONICAL_BYTES, MAX_ID_CHARACTERS, Event
from producers.consent import is_refused

Offsets = npt.NDArray[np.int64]

_BYTE = r'[^"\\\x00-\x1f]'
_TEXT = rf'(?:{_BYTE}|\\["\\bfnrt]|\\u00[01][0-9a-f])'
_TIME = r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{6})?Z"
_OBJECT = rf"\{{{_TEXT}*\}}"
_WITHIN = rf'\\"{_BYTE}*\\"'
_NUMBER = r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?"
_MEMBER = rf"{_WITHIN}:(?:{_WITHIN}|{_NUMBER}|true|false|null)"
_FLAT_OBJECT = rf"\{{(?:{_MEMBER}(?:,{_MEMBER})*)?\}}"


_BLOCK = 1 << 18
"""Bytes looked through at a time: what is found out about them stays in the processor's cache."""


def _line(properties: str, context: str | None) -> str:
    """The pattern of a line, byte by byte; ``context``: None for lines without one."""
    own = {"occurred_at": _TIME, "received_at": _TIME, "kind": "|".join(KINDS), "properties": properties}
    own |= {} if context is None else {"context": context}
    pattern = ""
    for field in msgspec.structs.fields(Event):
        if field.name == "context" and context is None:
            continue
        is_id = field.name in _IDS
        member = f'"{field.name}":"(?:{own.get(field.name, _TEXT + ("+" if is_id else "*"))})"'
        first = not pattern
        member = member if first else f",{member}"
        pattern += member if field.default is msgspec.NODEFAULT else f"(?:{member})?"
    return rf"^\{{{pattern}\}}\n?\z"


_IDS = ("event_id", "visitor_id", "name", "user_id")
_NARROW = _line(_FLAT_OBJECT, None)
_WIDE = _line(_OBJECT, _OBJECT)

_AS_TEXT = dict.fromkeys(ARROW_SCHEMA.names, pl.String())
_TIMES = tuple(field.name for field in ARROW_SCHEMA if field.name.endswith("_at"))
_OMITTED = {field.name: field.default for field in msgspec.structs.fields(Event) if isinstance(field.default, str)}
_object_decoder = msgspec.json.Decoder(dict[str, Any])

_SOUND = pl.all_horizontal(
    *(pl.col(name).str.len_bytes().fill_null(0) <= MAX_ID_CHARACTERS for name in _IDS),
    pl.col("occurred_at") >= EARLIEST,
    pl.col("received_at") < LATEST,
    pl.col("occurred_at") <= pl.col("received_at"),
).fill_null(False)
"""The contract for what the pattern leaves open; an id of few characters and many bytes is for the careful reader."""


def line_begins(text: bytes) -> Offsets:
    """Where each line of a text begins, and the text's end."""
    bytes_ = np.frombuffer(text, np.uint8)
    blocks = range(0, len(bytes_), _BLOCK)
    ends = [np.flatnonzero(bytes_[at : at + _BLOCK] == ord("\n")) + (at + 1) for at in blocks]
    if text and not text.endswith(b"\n"):
        ends.append(np.array([len(text)]))
    return np.concatenate([np.zeros(1, np.int64), *ends])


def take_plain(text: bytes, begins: Offsets) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    """The events of the plain lines, in the contract's columns, and which lines those are.

    ``begins``: as ``line_begins`` gives them.  What is taken is what ``producers.ndjson`` would have made of it.
    """
    count = len(begins) - 1
    buffers = [None, pa.py_buffer(begins), pa.py_buffer(text)]
    lines = pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, buffers)
    narrow = _matches(lines, _NARROW)
    taken = narrow
    if not narrow.all():
        others = np.flatnonzero(~narrow)
        taken = narrow.copy()
        taken[others] = _matches(lines.take(pa.array(others)), _WIDE)
    taken = taken & (np.diff(begins) <= MAX_CANONICAL_BYTES)
    if not _is_utf8(text):
        taken = taken & np.fromiter(map(_is_utf8, lines.to_pylist()), bool, count)
    if not taken.all():
        text = b"".join(lines.filter(pa.array(taken)).to_pylist())
    rows = _rows(text)
    if rows is None or len(rows) != int(taken.sum()):
        return pl.DataFrame(schema=_COLUMNS), np.zeros(count, bool)
    sound = rows.select(_SOUND).to_series()
    wide = ~narrow[taken]
    if wide.any():
        sound &= ~pl.Series(wide) | _objects_are_sound(rows, pl.Series(wide))
    if not sound.all():
        rows = rows.filter(sound)
        taken = taken.copy()
        taken[taken] = sound.to_numpy()
    return rows, taken


_COLUMNS: dict[str, Any] = {name: pl.Datetime("us", "UTC") if name in _TIMES else pl.String() for name in _AS_TEXT}


def _matches(lines: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    # By way of Polars: Arrow would import pandas for it, which takes as long as reading a hundred thousand lines.
    found: npt.NDArray[np.bool_] = pl.Series(pc.match_substring_regex(lines, pattern)).to_numpy()
    return found


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False


def _rows(text: bytes) -> pl.DataFrame | None:
    """Lines of the pattern as columns, a time that there never was as null; None where they cannot be read."""
    if not text:
        return pl.DataFrame(schema=_COLUMNS)
    try:
        rows = pl.read_ndjson(text, schema=_AS_TEXT)
    except pl.exceptions.PolarsError:
        return None
    return rows.with_columns(
        *(_times(rows[name]) for name in _TIMES), *(pl.col(name).fill_null(value) for name, value in _OMITTED.items())
    )


def _times(texts: pl.Series) -> pl.Series:
    try:
        # Six times as fast as Polars, which knows many more ways to write a time.
        found = pl.Series(texts.name, texts.to_arrow().cast(pa.string()).cast(pa.timestamp("us", "UTC")))
    except pa.ArrowInvalid:
        found = texts.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC", strict=False)
    return found


def _objects_are_sound(rows: pl.DataFrame, asked: pl.Series) -> pl.Series:
    """Which rows of those asked for have JSON objects in ``properties`` and ``context``, and nobody who refused."""
    some = rows.filter(asked)
    unsound = {text for text in some["properties"].unique().to_list() if _decoded(text) is None}
    contexts = {text: _decoded(text) for text in some["context"].unique().to_list()}
    refused = {text for text, found in contexts.items() if found is None or is_refused(found)}
    return ~(rows["properties"].is_in(list(unsound)) | rows["context"].is_in(list(refused)))


def _decoded(text: str) -> dict[str, Any] | None:
    try:
        return _object_decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
