"""What goes onto the topic: events packed into as few Kafka records as their partitions and sizes allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ladder.events import CANONICAL_HEADER, Event, decode, encode
from ladder.rejects import REJECT_HEADER, Reject, encode_reject
from producers.partitioner import partition_of

MAX_RECORD_BYTES = 512 * 1024
"""Half of what a broker takes by default, so that a record always fits, with its key, headers and batch."""

_NEVER = datetime.min.replace(tzinfo=UTC)
"""Every canonical line has its own ``received_at``."""


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record.  ``partition=None``: any will do."""

    key: bytes | None
    value: bytes
    partition: int | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.value) + (0 if self.key is None else len(self.key))


def pack(events: Sequence[Event], partitions: int, max_bytes: int = MAX_RECORD_BYTES) -> list[Record]:
    """Canonical records that hold exactly these events, in their order within each partition.

    A record holds events of one partition, one per line, and ``max_bytes`` at most, or a single larger event.
    Its key is the visitor, where it holds but one.
    """
    packed: list[Record] = []
    filling: dict[int, _Filling] = {}
    for event in events:
        line = encode(event)
        partition = partition_of(event.visitor_id, partitions)
        record = filling.get(partition)
        if record is None or record.size + 1 + len(line) > max_bytes:
            if record is not None:
                packed.append(record.close())
            record = filling[partition] = _Filling(partition, event.visitor_id)
        record.add(line, event.visitor_id)
    packed += [record.close() for record in filling.values()]
    return packed


def pack_reject(reject: Reject) -> Record:
    """The record that carries a dead letter."""
    return Record(key=None, value=encode_reject(reject), partition=None, headers=(REJECT_HEADER,))


def repack(record: Record, partitions: int) -> list[Record]:
    """The same events for a topic with another number of partitions, in their order within each.

    A record of any partition stays as it is.  Raises ``EventError`` for one whose events cannot be read.
    """
    if record.partition is None:
        return [record]
    lines = record.value.split(b"\n")
    return pack([decode(line, _NEVER, len(line)) for line in lines], partitions, max(MAX_RECORD_BYTES, record.size))


class _Filling:
    __slots__ = ("_lines", "_partition", "_visitor", "size")

    def __init__(self, partition: int, visitor_id: str) -> None:
        self._partition = partition
        self._visitor: str | None = visitor_id
        self._lines: list[bytes] = []
        self.size = -1  # lines less one newline

    def add(self, line: bytes, visitor_id: str) -> None:
        self._lines.append(line)
        self.size += len(line) + 1
        if visitor_id != self._visitor:
            self._visitor = None

    def close(self) -> Record:
        return Record(
            key=None if self._visitor is None else self._visitor.encode(),
            value=b"\n".join(self._lines),
            partition=self._partition,
            headers=(CANONICAL_HEADER,),
        )
