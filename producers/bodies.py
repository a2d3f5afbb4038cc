"""A request's body as plain bytes, however it was compressed, and never more of it than allowed."""

from __future__ import annotations

import zlib

from producers.refusals import Refused

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def plain_body(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body without its compression.  ``encoding``: the header Content-Encoding, empty where there is none.

    Some browsers' clients send gzip without saying so: its first two bytes, which no JSON starts with, say it too.
    Raises ``Refused`` for what is not gzip (or not all of it) and for more than ``limit`` bytes, having unpacked no
    more than that.
    """
    if body.startswith(_GZIP_MAGIC):
        return _gunzip(body, limit)
    if encoding in (b"", b"identity"):
        return body
    if encoding in (b"gzip", b"x-gzip"):
        raise Refused("not_gzip", "Content-Encoding says gzip, the body is none")
    raise Refused("unknown_encoding", "the Content-Encoding is neither gzip nor identity")


def too_large(limit: int) -> Refused:
    return Refused("too_large", f"the body has more than {limit} bytes, unpacked")


def _gunzip(body: bytes, limit: int) -> bytes:
    """A gzip stream is one or more members, one after the other."""
    plain = b""
    while body:
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            plain += member.decompress(body, limit + 1 - len(plain))
        except zlib.error as error:
            raise Refused("not_gzip", f"the body is broken gzip ({error})") from None
        if len(plain) > limit:
            raise too_large(limit)
        if not member.eof:
            raise Refused("not_gzip", "the gzip body ends too early")
        body = member.unused_data
    return plain
