"""Where a report is sent: `mailto:`, `slack+https:`, `https:`, `s3:`, or a file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from ladder.errors import UsageError

Kind = Literal["file", "mail", "slack", "webhook", "s3"]

_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\\\"]+@[^\s@,;:<>()\[\]\\\"]+")
_IDEMPOTENT: frozenset[Kind] = frozenset(("file", "mail", "webhook", "s3"))


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
        """Whether a second copy does no harm: it replaces the first, or carries the key by which it is recognised."""
        return self.kind in _IDEMPOTENT


def parse_target(text: str) -> tuple[Target, ...]:
    """The targets of one text: one, or for mail one per address.  Raises ``UsageError`` that says what is wrong."""
    text = text.strip()
    scheme = text.partition(":")[0].lower() if ":" in text else ""
    if scheme == "mailto":
        addresses = [unquote(part).strip() for part in text.partition(":")[2].split(",")]
        wrong = next((one for one in addresses if not (one.isascii() and _ADDRESS.fullmatch(one))), None)
        if wrong is not None:
            raise UsageError(f"target {text!r}: {wrong!r} is no mail address; write mailto:ann@shop.example,ben@...")
        return tuple(Target("mail", address) for address in dict.fromkeys(addresses))
    if scheme in ("slack+https", "slack+http"):
        return (Target("slack", _address(text, text.partition("+")[2])),)
    if scheme in ("https", "http"):
        return (Target("webhook", _address(text, text)),)
    if scheme == "s3":
        parts = urlsplit(text)
        if not parts.netloc or not parts.path.strip("/") or "@" in parts.netloc or ":" in parts.netloc:
            raise UsageError(f"target {text!r}: write s3://BUCKET/KEY; credentials come from the environment")
        return (Target("s3", f"{parts.netloc}/{text.partition(parts.netloc)[2].lstrip('/')}"),)
    if scheme == "file":
        return (Target("file", unquote(urlsplit(text).path)),)
    if not text or re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE):
        raise UsageError(
            f"target {text!r}: there are a path, mailto:ADDRESS, slack+https://..., https://... and s3://BUCKET/KEY"
        )
    return (Target("file", text),)


def file_of(target: Target, name: str) -> str:
    """The path or key of a file target, to which ``name`` is added where it is a folder."""
    is_folder = target.where.endswith("/") or (target.kind == "file" and Path(target.where).is_dir())
    return f"{target.where.rstrip('/')}/{name}" if is_folder else target.where


def _address(text: str, address: str) -> str:
    parts = urlsplit(address)
    try:
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"target {text!r}: no web address; write https://HOST/PATH")
    return address
