from __future__ import annotations

import gzip
import random

import pytest

from producers.bodies import plain_body
from producers.refusals import Refused

LIMIT = 1000
TEXT = b'{"batch":[]}'


def refused(body: bytes, encoding: bytes = b"gzip") -> str:
    with pytest.raises(Refused) as caught:
        plain_body(body, encoding, LIMIT)
    return caught.value.code


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip", b"", b"identity", b"br"])
def test_gzip_is_known_by_its_first_bytes_whatever_the_header_says(encoding: bytes) -> None:
    assert plain_body(gzip.compress(TEXT), encoding, LIMIT) == TEXT


@pytest.mark.parametrize("encoding", [b"", b"identity"])
def test_plain_text_stays_as_it_is(encoding: bytes) -> None:
    assert plain_body(TEXT, encoding, LIMIT) == TEXT


def test_several_gzip_members_are_one_body() -> None:
    assert plain_body(gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:]), b"gzip", LIMIT) == TEXT


def test_a_header_that_promises_gzip_is_held_to_it() -> None:
    assert refused(TEXT) == "not_gzip"
    assert refused(b"") == "not_gzip"


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"zstd", b"gzip, gzip"])
def test_another_compression_is_refused_as_such(encoding: bytes) -> None:
    assert refused(TEXT, encoding) == "unknown_encoding"


@pytest.mark.parametrize("size", range(1, len(gzip.compress(TEXT, mtime=0))))
def test_gzip_cut_anywhere_is_refused(size: int) -> None:
    assert refused(gzip.compress(TEXT, mtime=0)[:size]) == "not_gzip"


@pytest.mark.parametrize("tail", [b"\0", b"{}", b"\x1f\x8b"])
def test_gzip_with_something_behind_it_is_refused(tail: bytes) -> None:
    assert refused(gzip.compress(TEXT) + tail) == "not_gzip"


def test_gzip_with_a_flipped_bit_in_its_checksum_is_refused() -> None:
    packed = bytearray(gzip.compress(TEXT, mtime=0))
    packed[-6] ^= 1

    assert refused(bytes(packed)) == "not_gzip"


def test_the_limit_is_on_what_comes_out() -> None:
    noise = random.Random(1).randbytes(LIMIT + 1)

    assert plain_body(gzip.compress(noise[:LIMIT]), b"gzip", LIMIT) == noise[:LIMIT]
    assert refused(gzip.compress(noise)) == "too_large"
    assert refused(gzip.compress(noise[:600]) + gzip.compress(noise[:600])) == "too_large"


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 100_000_000)[:20_000] + b"\0" * 100_000_000)

    assert refused(bomb) == "too_large"
