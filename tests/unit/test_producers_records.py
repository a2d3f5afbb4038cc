from __future__ import annotations

from datetime import UTC, datetime

from ladder.rejects import REJECT_HEADER, Reject, decode_reject
from producers.records import pack, pack_reject


def test_no_events_make_no_record() -> None:
    assert pack([], partitions=4) == []


def test_a_dead_letter_travels_alone_unkeyed_and_marked() -> None:
    reject = Reject(
        reason="not_json",
        field="",
        detail="what?",
        raw=b"\xff\x00",
        rejected_at=datetime(2026, 3, 1, tzinfo=UTC),
        stage="collector",
    )
    record = pack_reject(reject)
    assert (record.key, record.partition, record.headers) == (None, None, (REJECT_HEADER,))
    assert decode_reject(record.value) == reject
