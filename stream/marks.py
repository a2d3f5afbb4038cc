"""The ladder applied to columns: which marks each event of a batch carries."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ladder.tiers import ROLES, Ladder, Mark

_properties = msgspec.json.Decoder(dict[str, Any])


class MarkTable:
    """Every combination of marks met so far, with what a session needs of each, as arrays indexed by combination.

    Combination 0 is "no marks".  Combinations are few (names times matching rules), events are many.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._ids: dict[tuple[Mark, ...], int] = {}
        self._plain_names: dict[str, int] = {}
        self._combinations: list[tuple[Mark, ...]] = []
        self._id_of(())

    def of(self, names: pl.Series, properties: pl.Series) -> npt.NDArray[np.int32]:
        """The combination of each event.

        Only names with a ``where`` rule have their properties decoded; all others cost one look-up per distinct name.
        """
        decode_needed: list[str] = []
        for name in names.unique().to_list():
            if name in self._plain_names:
                continue
            if any(rule.where for rule in self._ladder.rules_for(name)):
                decode_needed.append(name)
            else:
                self._plain_names[name] = self._id_of(self._ladder.marks_of(name, {}))
        ids: npt.NDArray[np.int32] = (
            names.replace_strict(self._plain_names, default=0, return_dtype=pl.Int32).to_numpy().copy()
            if self._plain_names
            else np.zeros(len(names), np.int32)
        )
        if decode_needed:
            rows = names.is_in(decode_needed).arg_true()
            for row, name, text in zip(
                rows.to_list(), names.gather(rows).to_list(), properties.gather(rows).to_list(), strict=True
            ):
                ids[row] = self._id_of(self._ladder.marks_of(name, _properties.decode(text)))
        return ids

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
