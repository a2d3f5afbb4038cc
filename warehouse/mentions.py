"""Where an id stands in what others sent: whole values only, never a part of a word or of a number."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import unquote, unquote_plus

import polars as pl

GONE = "erased"

SOUGHT_FROM = 6
"""Characters: a shorter id equals values that have nothing to do with it, so it is sought in fields for ids only."""

_ID_FIELDS = frozenset({"visitorid", "userid", "anonymousid", "previousid", "groupid"})

_STRING = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?', re.DOTALL)
_FIELD = re.compile(r'"([A-Za-z_-]{2,20})"\s*:\s*(?:"((?:[^"\\]|\\.)*)|(-?\d+))', re.DOTALL)
_BETWEEN = re.compile(r"[\"'\s,;:{}\[\]]+")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)


def ids_in_letter(raw: bytes) -> set[str]:
    """What may be somebody's id in a dead letter: the values of its fields for ids, and whole texts that are no word.

    Of what is no JSON (a line of a csv file, or broken) whatever stands between quotes, commas and blanks.
    """
    text = raw.decode("utf-8", errors="replace")
    try:
        return set(_ids_in(json.loads(text)))
    except (ValueError, RecursionError):
        fields = {number or _unescaped(value) for name, value, number in _FIELD.findall(text) if _is_id(name)}
        return fields | {piece for piece in _BETWEEN.split(text) if len(piece) >= SOUGHT_FROM}


def _ids_in(value: Any, *, is_id: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _ids_in(inner, is_id=_is_id(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _ids_in(inner)
    elif isinstance(value, str):
        if is_id or len(value) >= SOUGHT_FROM:
            yield value
        if value[:1] in ("{", "["):
            try:
                inner = json.loads(value)
            except (ValueError, RecursionError):
                return
            yield from _ids_in(inner)
    elif is_id and isinstance(value, int | float):
        yield str(value)


def _is_id(name: str) -> bool:
    return name.lower().replace("_", "").replace("-", "") in _ID_FIELDS


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def blotted(texts: pl.Series, ids: Collection[str], *, is_json: bool) -> pl.Series:
    """A column of JSON objects, or of addresses, in which whole values that are one of the ids are blotted out."""
    if not ids or texts.null_count() == len(texts):
        return texts
    # What is written otherwise than the id itself has an escape in it.
    escaped = "\\" if is_json else "%"
    maybe = texts.str.contains_any(list(ids)) | texts.str.contains(escaped, literal=True)
    if is_json:
        maybe = maybe | texts.str.contains("%", literal=True)
    if not maybe.any():
        return texts
    blot = blotted_json if is_json else blotted_address
    values = [
        blot(text, ids) if hit and text is not None else text for text, hit in zip(texts, maybe.to_list(), strict=True)
    ]
    return pl.Series(texts.name, values, dtype=pl.String)


def blotted_json(text: str, ids: Collection[str]) -> str:
    """JSON in which texts that are an id, or addresses that name one, are changed; all else byte by byte as it was."""

    def changed(found: re.Match[str]) -> str:
        if found[2] is not None:  # the name of a field
            return found[0]
        try:
            value = json.loads(found[1])
        except ValueError:
            return found[0]
        new = GONE if value in ids else blotted_address(value, ids)
        return found[0] if new == value else json.dumps(new)

    return _STRING.sub(changed, text)


def blotted_address(text: str, ids: Collection[str]) -> str:
    """An address in which parts of the path and values of the query that are an id, encoded or not, are blotted out."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return text
    site, path, query, fragment = found.groups()

    def part(piece: str) -> str:
        return GONE if unquote(piece) in ids or unquote_plus(piece) in ids else piece

    def pair(piece: str) -> str:
        name, equals, value = piece.partition("=")
        return part(name) + equals + part(value)

    new = (site or "") + "/".join(map(part, path.split("/")))
    if query is not None:
        new += "?" + "".join(pair(piece) for piece in re.split("([&;])", query))
    if fragment is not None:
        new += "#" + blotted_address(fragment, ids)
    return new
