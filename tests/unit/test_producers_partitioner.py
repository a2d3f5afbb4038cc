from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from kafka.partitioner import murmur2 as kafka_python_murmur2

from producers.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_the_one_the_java_client_publishes_in_its_own_tests(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected & 0xFFFFFFFF


@given(st.binary(max_size=100))
def test_the_hash_is_the_one_of_kafka_python_for_any_bytes(data: bytes) -> None:
    assert murmur2(data) == kafka_python_murmur2(data)


@given(st.text(max_size=40), st.integers(1, 100))
def test_a_visitor_goes_where_a_foreign_producer_keyed_by_visitor_sends_it(visitor_id: str, partitions: int) -> None:
    expected = (kafka_python_murmur2(visitor_id.encode()) & 0x7FFFFFFF) % partitions
    assert partition_of(visitor_id, partitions) == expected
