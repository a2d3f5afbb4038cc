"""A file of minute counts, as `yesladder alerts backtest` takes it: asks and yeses per key and minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ladder.errors import UsageError
from stream.alerts_keys import Keys
from stream.alerts_past import Past

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("key", "ask_minute", "delay_minutes", "count")


@dataclass(frozen=True)
class MinuteCounts:
    """Rows in the order of their arrival.  ``key`` counts ``keys``, which are sorted; ``delay`` is -1 for asks.

    ``arrival`` is the minute in which a row was known: that of the ask plus the delay.
    """

    keys: tuple[str, ...]
    key: NDArray[np.int64]
    ask_minute: NDArray[np.int64]
    delay: NDArray[np.int64]
    number: NDArray[np.float64]

    @classmethod
    def of_past(cls, past: Past, tiers: Sequence[str], segments: Sequence[str]) -> MinuteCounts:
        """What the lake remembers, by the keys that the agent would watch.  ``tiers``: the ladder's names."""
        watched = Keys(segments)
        watched.admit(past.volume())
        own = past.of_keys(watched)
        names = [
            " / ".join([tiers[tier - 1], step, *(f"{c}={v}" for c, v in zip(segments, values, strict=True))])
            for tier, step, values in watched.names
        ]
        keys = tuple(sorted(names))
        place = {name: number for number, name in enumerate(keys)}
        number = np.array([place[name] for name in names], np.int64)
        key = number[np.concatenate([own.asks[:, 0], own.yeses[:, 0]])]
        minute = np.concatenate([own.asks[:, 1], own.yeses[:, 1]])
        delay = np.concatenate([np.full(len(own.asks), -1), own.yeses[:, 2]])
        count = np.concatenate([own.asks[:, 2], own.yeses[:, 3]]).astype(np.float64)
        order = np.lexsort((delay, minute, key, minute + np.maximum(delay, 0)))
        return cls(keys, key[order], minute[order], delay[order], count[order])

    @property
    def arrival(self) -> NDArray[np.int64]:
        return np.asarray(self.ask_minute + np.maximum(self.delay, 0))


def read_counts(path: Path) -> MinuteCounts:
    """Read csv (``.csv``) or parquet (anything else).  ``UsageError`` names the file, the column and the row.

    Columns ``key`` (text), ``ask_minute``, ``delay_minutes`` (empty for the asks themselves), ``count``; the order of
    the rows and how counts are split over rows do not matter; further columns are passed over.
    """
    import polars as pl

    try:
        is_csv = path.suffix.lower() == ".csv"
        frame = pl.read_csv(path, infer_schema=False) if is_csv else pl.read_parquet(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except pl.exceptions.NoDataError:
        raise UsageError(f"{path}: is empty; it needs the columns {', '.join(COLUMNS)}") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{path}: cannot be read as csv or parquet: {str(error).splitlines()[0]}") from None
    absent = [name for name in COLUMNS if name not in frame.columns]
    if absent:
        raise UsageError(f"{path}: has no column {' and no column '.join(absent)}; it needs {', '.join(COLUMNS)}")
    if frame.height == 0:
        raise UsageError(f"{path}: has no rows")
    key = frame["key"]
    if key.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise UsageError(f"{path}: column key holds {key.dtype}, not text")
    key = key.cast(pl.String)
    if key.null_count() > 0:
        raise UsageError(f"{path}: column key is empty in row {_row(key.is_null())}")
    ask_minute = _whole(path, frame["ask_minute"], may_be_empty=False)
    delay = _whole(path, frame["delay_minutes"], may_be_empty=True)
    number = _whole(path, frame["count"], may_be_empty=False)
    for column in (delay, number):
        if (column < 0).any():
            raise UsageError(f"{path}: column {column.name} is negative in row {_row(column < 0)}")
    table = pl.DataFrame({"key": key, "ask": ask_minute, "delay": delay.fill_null(-1), "number": number})
    table = table.group_by("key", "ask", "delay").agg(pl.col("number").sum())
    table = table.sort(pl.col("ask") + pl.max_horizontal("delay", 0), "key", "ask", "delay")
    keys = sorted(table["key"].unique())
    codes = np.searchsorted(np.array(keys, dtype=object), table["key"].to_numpy().astype(object))
    return MinuteCounts(
        tuple(keys),
        codes.astype(np.int64),
        table["ask"].to_numpy().astype(np.int64),
        table["delay"].to_numpy().astype(np.int64),
        table["number"].to_numpy().astype(np.float64),
    )


def _whole(path: Path, column: pl.Series, *, may_be_empty: bool) -> pl.Series:
    """Whole numbers, also where they were written as text or (``NaN`` for empty) as floats."""
    import polars as pl

    if column.dtype == pl.String:
        column = column.str.strip_chars().replace("", None)
        number = column.cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric() or column.dtype == pl.Null:
        number = column.cast(pl.Float64).fill_nan(None)
        column = number
    else:
        raise UsageError(f"{path}: column {column.name} holds {column.dtype}, not whole numbers")
    wrong = (
        (number.is_null() & column.is_not_null())
        | (number != number.floor()).fill_null(False)
        | (number.abs() >= 2**53).fill_null(False)
    )
    if wrong.any():
        row = _row(wrong)
        raise UsageError(f"{path}: column {column.name} is {column[row - 1]!r} in row {row}, not a whole number")
    if number.null_count() > 0 and not may_be_empty:
        raise UsageError(f"{path}: column {column.name} is empty in row {_row(number.is_null())}")
    return number.cast(pl.Int64).alias(column.name)


def _row(where: pl.Series) -> int:
    """The first row for which it holds; data rows count from 1."""
    first = where.fill_null(False).arg_max()
    return 1 if first is None else first + 1
