"""Rows laid down in parts as they stream by, to be taken up part by part: in memory, and beyond a budget in a file."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Places = npt.NDArray[np.uint16]


class Shelf:
    """Batches of one schema, without nulls in columns of numbers, dealt to ``parts``.

    The file has no name, so that nothing of it is left however the process ends.
    """

    def __init__(self, parts: int, most_bytes: int) -> None:
        self._parts = parts
        self._most_bytes = most_bytes
        self._held: list[tuple[pa.RecordBatch, list[int]]] = []
        self._bytes = 0
        self._file: Any = None
        self._written: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._schema: pa.Schema | None = None

    def lay(self, batch: pa.RecordBatch, part: Places) -> None:
        """Each row to its part; within a part rows stay in the order in which they came."""
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=self._parts)).tolist()
        # numpy's memory is used again and again, pyarrow's goes back to the system after each batch.
        columns = [
            column_of(np.take(numbers_of(column), order)) if is_number(column) else column.take(column_of(order))
            for column in batch.columns
        ]
        laid = pa.RecordBatch.from_arrays(columns, batch.schema.names)
        self._schema = laid.schema
        self._held.append((laid, [0, *ends]))
        self._bytes += laid.nbytes
        if self._bytes > self._most_bytes:
            self._write()

    def take_up(self) -> Iterator[dict[str, Any]]:
        """Each part that has rows, in order, and its columns: numpy arrays of numbers, pyarrow's of text."""
        for part in range(self._parts):
            batches = [*self._read(part), *self._slices(part)]
            if batches:
                names = batches[0].schema.names
                yield {name: _joined([batch.column(name) for batch in batches]) for name in names}
        if self._file is not None:
            self._file.close()

    def _slices(self, part: int) -> list[pa.RecordBatch]:
        return [batch[ends[part] : ends[part + 1]] for batch, ends in self._held if ends[part + 1] > ends[part]]

    def _read(self, part: int) -> Iterator[pa.RecordBatch]:
        for place, size in self._written[part]:
            self._file.seek(place)
            yield pa.ipc.read_record_batch(pa.py_buffer(self._file.read(size)), self._schema)

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the shelf
        places = [self._file.tell()]
        for part in range(self._parts):
            if slices := self._slices(part):
                (whole,) = pa.Table.from_batches(slices).combine_chunks().to_batches()
                self._file.write(whole.serialize())
                places.append(self._file.tell())
                self._written[part].append((places[-2], places[-1] - places[-2]))
        self._held.clear()
        self._bytes = 0


def is_number(column: pa.Array) -> bool:
    """Times are numbers too: microseconds since 1970."""
    return bool(pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type))


def numbers_of(column: pa.Array) -> npt.NDArray[Any]:
    """A column of numbers without nulls as it lies in memory."""
    kind = np.int64 if pa.types.is_timestamp(column.type) else column.type.to_pandas_dtype()
    array = np.frombuffer(column.buffers()[1], kind)
    return array[column.offset : column.offset + len(column)]


def column_of(numbers: npt.NDArray[Any]) -> pa.Array:
    """The same the other way round; ``pa.array`` would import pandas first, which takes a second."""
    kept = np.ascontiguousarray(numbers)
    return pa.Array.from_buffers(pa.from_numpy_dtype(kept.dtype), len(kept), [None, pa.py_buffer(kept)])


def _joined(columns: list[pa.Array]) -> Any:
    if is_number(columns[0]):
        return np.concatenate([numbers_of(column) for column in columns])
    return pa.concat_arrays(columns)
