"""The ladder applied to columns: which marks each event of a batch carries."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ladder.tiers import ROLES, Ladder, Mark

_CACHED = 10_000
"""Distinct values of conditions remembered; all are forgotten when it is full, for values may be without number."""
_SHORT = 200

_ABSENT = msgspec.Raw(b"")


class MarkTable:
    """Every combination of marks met so far, with what a session needs of each, as arrays indexed by combination.

    Combination 0 is "no marks".  Combinations are few (names times matching rules), events are many.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._ids: dict[tuple[Mark, ...], int] = {}
        self._combinations: list[tuple[Mark, ...]] = []
        self._id_of(())
        names = {rule.event for rule in ladder.rules if rule.event is not None}
        self._conditional = {name for name in names if any(rule.where for rule in ladder.rules_for(name))}
        self._any_name_is_conditional = any(rule.event is None for rule in ladder.rules)
        self._plain = {name: self._id_of(ladder.marks_of(name, {})) for name in names - self._conditional}
        self._conditions = _Conditions(ladder)
        self._known: dict[tuple[str | None, tuple[bytes | None, ...]], int] = {}

    @property
    def remembered(self) -> int:
        """How many distinct values of conditions are remembered."""
        return len(self._known)

    def of(self, names: pl.Series, properties: pl.Series) -> npt.NDArray[np.int32]:
        """The combination of each event.  ``properties``: JSON text; what is no JSON object has no properties.

        Only names with a ``where`` rule have their properties read, and of those only what a rule asks for.
        """
        if self._any_name_is_conditional:
            return np.array([self._conditional_id(*row) for row in zip(names, properties, strict=True)], np.int32)
        ids: npt.NDArray[np.int32] = np.zeros(len(names), np.int32)
        if self._plain:
            ids = names.replace_strict(self._plain, default=0, return_dtype=pl.Int32).to_numpy().copy()
        rows = names.is_in(list(self._conditional)).arg_true()
        for row, name, text in zip(rows, names.gather(rows), properties.gather(rows), strict=True):
            ids[row] = self._conditional_id(name, text)
        return ids

    def _conditional_id(self, name: str, properties: str) -> int:
        values = self._conditions.read(properties)
        key = (name if name in self._conditional else None, values)
        found = self._known.get(key)
        if found is None:
            found = self._id_of(self._ladder.marks_of(name, self._conditions.named(values)))
            if sum(len(value) for value in values if value is not None) <= _SHORT:
                if len(self._known) >= _CACHED:
                    self._known.clear()
                self._known[key] = found
        return found

    def _id_of(self, marks: tuple[Mark, ...]) -> int:
        found = self._ids.get(marks)
        if found is None:
            found = self._ids[marks] = len(self._combinations)
            self._combinations.append(marks)
            self._rebuild()
        return found

    def _rebuild(self) -> None:
        combos = self._combinations

        def per_combo(value: Any) -> npt.NDArray[np.int64]:
            return np.array([value(marks) for marks in combos], np.int64)

        def tiers(marks: tuple[Mark, ...], role: str) -> list[int]:
            return [mark.tier for mark in marks if mark.role == role]

        self.counts = {role: per_combo(lambda marks, role=role: len(tiers(marks, role))) for role in ROLES}
        self.highest_yes = per_combo(lambda marks: max(tiers(marks, "yes"), default=0))
        self.yes_bits = per_combo(lambda marks: sum(1 << (tier - 1) for tier in set(tiers(marks, "yes"))))
        self.lowest_ask = per_combo(lambda marks: min(tiers(marks, "ask"), default=0))
        self.highest_ask = per_combo(lambda marks: max(tiers(marks, "ask"), default=0))
        rows: list[Mark | None] = []
        self.first_row = np.zeros(len(combos), np.int64)
        self.row_count = np.zeros(len(combos), np.int64)
        for i, marks in enumerate(combos):
            self.first_row[i] = len(rows)
            rows.extend(marks or (None,))
            self.row_count[i] = max(1, len(marks))
        self.row_tier = pa.array([mark and mark.tier for mark in rows], pa.int16())
        self.row_role = pa.array([mark and mark.role for mark in rows], pa.string())
        self.row_step = pa.array([mark and mark.step for mark in rows], pa.string())


class _Conditions:
    """The properties that some rule asks for, and nothing else of an event's properties."""

    def __init__(self, ladder: Ladder) -> None:
        self._keys = sorted({key for rule in ladder.rules for key in rule.where})
        fields = {f"key_{i}": key for i, key in enumerate(self._keys)}
        wanted = msgspec.defstruct("Wanted", [(field, msgspec.Raw, _ABSENT) for field in fields], rename=fields)
        self._decoder = msgspec.json.Decoder(wanted)
        self._nothing: tuple[bytes | None, ...] = (None,) * len(self._keys)

    def read(self, properties: str) -> tuple[bytes | None, ...]:
        """The JSON of each wanted property, None where absent."""
        try:
            found = msgspec.structs.astuple(self._decoder.decode(properties))
        except (msgspec.DecodeError, RecursionError):
            return self._nothing
        return tuple(None if raw is _ABSENT else bytes(raw) for raw in found)

    def named(self, values: tuple[bytes | None, ...]) -> dict[str, Any]:
        """What ``read`` gave as property values, without those nobody can hold (a number of a thousand digits)."""
        properties: dict[str, Any] = {}
        for key, value in zip(self._keys, values, strict=True):
            if value is not None:
                with suppress(msgspec.DecodeError, RecursionError):
                    properties[key] = msgspec.json.decode(value)
        return properties
