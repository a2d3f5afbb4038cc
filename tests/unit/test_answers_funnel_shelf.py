from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from answers.funnel_shelf import Shelf


def rows_of(columns: dict[str, Any]) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in columns.values()), strict=True))


def laid(shelf: Shelf, batches: Iterable[tuple[list[int], list[str | None]]]) -> list[list[tuple[Any, ...]]]:
    for numbers, texts in batches:
        batch = pa.RecordBatch.from_pydict(
            {"number": pa.array(numbers, pa.int64()), "text": pa.array(texts, pa.string())}
        )
        shelf.lay(batch, np.array([number % 4 for number in numbers], np.uint16))
    return [rows_of(columns) for columns in shelf.take_up()]


@pytest.mark.parametrize("most_bytes", [1 << 20, 60, 0], ids=["in memory", "now and then in a file", "all in a file"])
def test_parts_hold_their_rows_in_the_order_in_which_they_came(most_bytes: int) -> None:
    batches: list[tuple[list[int], list[str | None]]] = [
        ([4, 1, 8, 5], ["a", None, "b", "c"]),
        ([7, 0], ["d", "e"]),
        ([5], [None]),
        ([13, 12], ["", "f"]),
    ]
    assert laid(Shelf(4, most_bytes), batches) == [
        [(4, "a"), (8, "b"), (0, "e"), (12, "f")],
        [(1, None), (5, "c"), (5, None), (13, "")],
        [(7, "d")],
    ]


def test_nothing_laid_down_is_nothing_to_take_up() -> None:
    assert laid(Shelf(4, 0), []) == []
