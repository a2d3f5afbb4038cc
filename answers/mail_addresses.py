"""Mail addresses as they stand in headers, refused in words where a mail could not be written with them."""

from __future__ import annotations

import re
from email.errors import MessageError
from email.headerregistry import Address

from ladder.errors import UsageError

_PLAIN = re.compile(r"[^\s@,;:<>()\[\]\\\"]+@[^\s@,;:<>()\[\]\\\"]+")


def mail_address(text: str) -> Address:
    """The address of ``ann@shop.example`` or ``Ann <ann@shop.example>``.  Raises ``UsageError`` for what is none."""
    before, bracket, rest = text.strip().rpartition("<")
    name, spec = (before.strip().strip('"'), rest.removesuffix(">").strip()) if bracket else ("", rest.strip())
    wrong = UsageError(f"{spec!r} is no mail address")
    if not (spec.isascii() and _PLAIN.fullmatch(spec)):
        raise wrong
    try:
        return Address(name, addr_spec=spec)
    except (MessageError, ValueError, IndexError):
        raise wrong from None
