"""Which partition a visitor belongs to: Kafka's own default, so that producers in any language agree."""

from __future__ import annotations

import struct
from functools import lru_cache

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_MASK = 0xFFFFFFFF


def partition_of(visitor_id: str, partitions: int) -> int:
    """The partition of a record whose key is this visitor, as the Java client's default partitioner chooses it."""
    return _positive_hash(visitor_id) % partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2 (32 bit, Austin Appleby) with Kafka's seed; unsigned."""
    words, tail = divmod(len(data), 4)
    state = _SEED ^ len(data)
    for word in struct.unpack_from(f"<{words}I", data):
        word = word * _MIX & _MASK
        state = (state * _MIX ^ (word ^ word >> 24) * _MIX) & _MASK
    if tail:
        state = (state ^ int.from_bytes(data[words * 4 :], "little")) * _MIX & _MASK
    state = (state ^ state >> 13) * _MIX & _MASK
    return state ^ state >> 15


@lru_cache(maxsize=1 << 16)
def _positive_hash(visitor_id: str) -> int:
    return murmur2(visitor_id.encode()) & 0x7FFFFFFF
