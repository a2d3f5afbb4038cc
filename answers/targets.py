"""Where a report is sent: `mailto:`, `slack+https:`, `https:`, `s3:`, or a file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from answers.mail_addresses import mail_address
from ladder.errors import UsageError

Kind = Literal["file", "mail", "slack", "webhook", "s3"]

_IDEMPOTENT: frozenset[Kind] = frozenset(("file", "webhook", "s3"))
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?://)?", re.IGNORECASE)
_HOST = re.compile(r"(?://|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?::\d+)?/.|[\w.-]+:\d+(?:/|$))", re.IGNORECASE)
"""How a web address begins that lacks its scheme."""


@dataclass(frozen=True)
class Target:
    """``where``: a path, one mail address, a web address, or BUCKET/KEY."""

    kind: Kind
    where: str

    @property
    def name(self) -> str:
        """For tables, logs and what is kept: without what may be secret, which the path of a webhook is."""
        if self.kind in ("slack", "webhook"):
            return f"{self.kind} {urlsplit(self.where).hostname} ({self.digest[:6]})"
        return f"{self.kind} {self.where}"

    @property
    def digest(self) -> str:
        """Tells it from every other target and tells nothing else."""
        return hashlib.sha256(f"{self.kind}\0{self.where}".encode()).hexdigest()

    @property
    def knows_copies(self) -> bool:
        """Whether a second copy does no harm: it replaces the first, or carries the key by which it is recognised.

        Mail does not: few servers look whether a ``Message-ID`` came before.
        """
        return self.kind in _IDEMPOTENT


def parse_target(text: str) -> tuple[Target, ...]:
    """The targets of one text: one, or for mail one per address.  Raises ``UsageError`` that says what is wrong.

    What it says holds of a web address the scheme and the host alone, since the path may be a secret.
    """
    text = text.strip()
    scheme = text.partition(":")[0].lower() if ":" in text else ""
    if scheme == "mailto":
        return _mail(text)
    if scheme in ("slack+https", "slack+http"):
        return (Target("slack", _address(text, text.partition("+")[2])),)
    if scheme in ("https", "http"):
        return (Target("webhook", _address(text, text)),)
    if scheme == "s3":
        return (_s3(text),)
    if scheme == "file":
        return (_file(text),)
    if not text or "://" in text:
        raise UsageError(
            f"target {_shown(text)!r}: there are a path, mailto:ADDRESS, slack+https://..., https://... and "
            "s3://BUCKET/KEY"
        )
    if _HOST.match(text):
        raise UsageError(f"target {_shown(text)!r}: write https://... or slack+https://..., or for a file ./...")
    if "@" in text and "/" not in text:
        raise UsageError(f"target {text!r}: write mailto:{text}, or for a file ./{text}")
    return (Target("file", text),)


def file_of(target: Target, name: str) -> str:
    """The path or key of a file target, to which ``name`` is added where it is a folder."""
    is_folder = target.where.endswith("/") or (target.kind == "file" and Path(target.where).is_dir())
    return f"{target.where.rstrip('/')}/{name}" if is_folder else target.where


def _mail(text: str) -> tuple[Target, ...]:
    addresses = text.partition(":")[2]
    if "?" in addresses:
        raise UsageError(f"target {text!r}: what comes after ? is not taken; write mailto:ADDRESS,ADDRESS")
    found = []
    for part in addresses.split(","):
        address = unquote(part).strip()
        try:
            if "<" in address:
                raise UsageError(f"{address!r} is no mail address")
            found.append(mail_address(address).addr_spec)
        except UsageError as error:
            raise UsageError(f"target {text!r}: {error}; write mailto:ann@shop.example,ben@...") from None
    return tuple(Target("mail", address) for address in dict.fromkeys(found))


def _s3(text: str) -> Target:
    try:
        parts = urlsplit(text)
        usable = bool(parts.netloc and parts.path.strip("/")) and not {"@", ":"} & set(parts.netloc)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"target {_shown(text)!r}: write s3://BUCKET/KEY; credentials come from the environment")
    return Target("s3", f"{parts.netloc}/{text.partition(parts.netloc)[2].lstrip('/')}")


def _file(text: str) -> Target:
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = None
    if parts is None or parts.netloc not in ("", "localhost") or not parts.path:
        raise UsageError(f"target {_shown(text)!r}: of this machine's files alone; write file:///PATH, or the path")
    return Target("file", unquote(parts.path))


def _address(text: str, address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"target {_shown(text)!r}: no web address; write https://HOST/PATH")
    return address


def _shown(text: str) -> str:
    """The scheme and the host: what comes after them may be a secret, and so may what comes before the host."""
    scheme = _SCHEME.match(text)
    start = scheme[0] if scheme and "//" in scheme[0] else ""
    host, slash, _ = text[len(start) :].lstrip("/").partition("/")
    return f"{start}{host.rpartition('@')[2].partition('?')[0]}{'/...' if slash else ''}"
