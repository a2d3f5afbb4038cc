from __future__ import annotations

import pytest

from stream.step_minutes_record import Asks, NotARecord, StepMinutesRecord, Yeses, decode, encode

RECORD = StepMinutesRecord(
    ladder="shop",
    source="kafka:events",
    partition=3,
    first=100,
    next=200,
    reached_us=1_700_000_000_000_000,
    segments=("device_class",),
    asks=(Asks(1, "email", ("phone",), 28_333_333, 2),),
    yeses=(Yeses(1, "email", ("phone",), 28_333_333, 4, -1),),
)


def test_a_record_is_the_json_that_the_documentation_shows() -> None:
    assert encode(RECORD) == (
        b'{"ladder":"shop","source":"kafka:events","partition":3,"first":100,"next":200,"reached_us":1700000000000000,'
        b'"segments":["device_class"],"asks":[[1,"email",["phone"],28333333,2]],'
        b'"yeses":[[1,"email",["phone"],28333333,4,-1]],"version":1}'
    )
    assert decode(encode(RECORD)) == RECORD


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (encode(RECORD).replace(b'"version":1', b'"version":2'), "version 2; this reads version 1"),
        (encode(RECORD).replace(b'"next":200', b'"next":99'), "from offset 100 to 99"),
        (encode(RECORD).replace(b'["phone"],28333333,2', b"[],28333333,2"), "1 segments and the values"),
        (encode(RECORD).replace(b"28333333,2]", b"28333333]"), "asks"),
    ],
)
def test_what_is_no_record_is_refused_by_name(value: bytes, said: str) -> None:
    with pytest.raises(NotARecord, match=said):
        decode(value)
