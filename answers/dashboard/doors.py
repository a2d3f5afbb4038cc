"""Who may come in: a login where the address can be reached from elsewhere, and no page of another site's."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from ladder.errors import UsageError

LEAST_PASSWORD = 12
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Refusal:
    """What a request is told that may not come in."""

    status: int
    reason: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Doors:
    """How a dashboard on ``host`` lets people in.

    ``password``: HTTP Basic, any user name.  ``trusted_header``: a proxy in front names the user in it, and requests
    come from ``proxies`` alone.  Neither: only on loopback.  ``names``: by which the dashboard may be called besides.
    """

    host: str
    password: str | None = None
    trusted_header: str | None = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    names: frozenset[str] = frozenset()

    def refusal(self, method: str, headers: Mapping[str, str], peer: str | None) -> Refusal | None:
        """None: come in.  ``headers`` by their small names.  ``peer``: the address that the request comes from."""
        if self.is_local and not self._knows(headers.get("host", "")):
            # A name that its owner points at 127.0.0.1 would let their page read ours (DNS rebinding).
            return Refusal(
                421,
                "this dashboard is not known by that name; open it as http://127.0.0.1, or tell it the name by --names",
                {},
            )
        if method not in ("GET", "HEAD") and not _is_own(headers):
            return Refusal(403, "a change must come from a page of this dashboard", {})
        if self.trusted_header is not None:
            if peer is None or not any(ip_address(peer) in network for network in self.proxies):
                return Refusal(403, "requests come through the proxy in front", {})
            if not headers.get(self.trusted_header.lower()):
                return Refusal(401, f"the proxy in front names nobody in {self.trusted_header}", {})
        if self.password is not None and not self._has_password(headers.get("authorization", "")):
            asks = {"www-authenticate": 'Basic realm="Yesladder", charset="UTF-8"'}
            return Refusal(401, "a password is needed", asks)
        return None

    @property
    def is_local(self) -> bool:
        return is_loopback(self.host)

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and (name in LOOPBACK_NAMES or name in self.names or name == self.host.lower())

    def _has_password(self, authorization: str) -> bool:
        kind, _, told = authorization.partition(" ")
        try:
            given = base64.b64decode(told, validate=True).decode() if kind.lower() == "basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            given = ""
        # Of equal length, so that comparing takes the same time for all.
        digests = (sha256(text.encode()).digest() for text in (given.partition(":")[2], self.password or ""))
        return hmac.compare_digest(*digests) and bool(given)


def is_loopback(host: str) -> bool:
    """Whether only programs of the same machine reach this address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def doors(
    host: str, *, password_file: Path | None, trusted_header: str | None, proxies: str, names: str | None = None
) -> Doors:
    """Doors from settings.  ``proxies`` and ``names``: separated by commas.

    Raises ``UsageError`` where anybody could come in, and for a password that is none.
    """
    password = None if password_file is None else _password(password_file)
    if password is None and trusted_header is None and not is_loopback(host):
        raise UsageError(
            f"the dashboard would be open to anybody who reaches {host}: give --password-file, or --trusted-header "
            "where a proxy in front logs people in (or listen on 127.0.0.1)"
        )
    return Doors(
        host,
        password,
        trusted_header,
        tuple(_network(text) for text in proxies.split(",") if text.strip()),
        frozenset(name.strip().lower() for name in (names or "").split(",") if name.strip()),
    )


def _password(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the password cannot be read: {error}") from None
    if len(password) < LEAST_PASSWORD:
        raise UsageError(f"{path}: its first line is the password, {LEAST_PASSWORD} characters or more")
    return password


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise UsageError(f"--proxies {text.strip()!r}: {error}") from None


def _is_own(headers: Mapping[str, str]) -> bool:
    """Whether our own page sent it: browsers say so in one of two ways, and other programs say nothing of the kind."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")
