"""Events of people who refused: what marks them, and what is left of them.

A refused event is still counted, as a visit of its own: it keeps what happened and when, and nothing that tells who did
it or that two events are one person's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ladder.events import Event

CATEGORIES = frozenset({"analytics", "performance", "measurement", "statistics", "c0002"})
"""The categories of consent that this is about, in lower case; ``C0002`` is OneTrust's for performance cookies."""

_NO = frozenset({"denied", "deny", "refused", "rejected", "false", "no", "none", "opted_out", "optout"})

_WITHHELD = b"withheld: consent was refused"

_PERSONAL = re.compile(
    "id|key|uu|name|nom|mail|phone|fon|mob|tel|msisdn|token|hash|sign|secret|pass|auth|addr|adress|street|city|zip"
    "|post|plz|lat|lon|lng|geo|ip|user|usu|nutzer|visit|besuch|person|customer|kund|client|klient|account|konto|member"
    "|login|sess|device|cookie|finger|birth|geburt|age|iban|card|ref|num|nr"
)
"""Anywhere in a property's name, in lower case, these may speak of a person, or of something that only one has."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]*")

_CHOICE = re.compile(r"[a-z]{1,20}([ _-][a-z0-9]{1,20}){0,3}")
"""What a text looks like that is one of a few: ``pro``, ``add-to-cart``, ``step 2``."""

_KEPT_TEXT = 32
_MOST_DIGITS = 2
_LARGEST = 100_000
_DECIMALS = 2


def is_refused(context: Mapping[str, Any]) -> bool:
    """Whether a message's context says that its visitor refused to be measured.

    Segment: ``consent.categoryPreferences`` has one of ``CATEGORIES`` as false, or all of them are.  Rudder:
    ``consentManagement.deniedConsentIds`` names one of them, or there are denied ones and none allowed.  Anyone:
    ``consent`` or ``consent.analytics`` is false or a word such as ``denied``.  No mark at all is no refusal.
    """
    return (
        _refuses(context.get("consent"))
        or _by_preferences(_inner(context.get("consent")).get("categoryPreferences"))
        or _by_ids(_inner(context.get("consentManagement")))
    )


def letter(raw: bytes) -> bytes:
    """The bytes of a message that became a dead letter: none of its own where its visitor refused, or may have.

    What cannot be read and speaks of consent at all is taken for a refusal.
    """
    try:
        message = json.loads(raw)
        context = message.get("context") if isinstance(message, dict) else None
        refused = isinstance(context, dict) and is_refused(context)
    except (ValueError, RecursionError):
        refused = b"consent" in raw.lower()
    return _WITHHELD if refused else raw


def without_identity(event: Event, kept: Mapping[str, Any]) -> Event:
    """What is left of a refused event.  ``kept``: its properties, decoded.

    Its ids are new ones, made of its own id, which nobody else has: sent again it is the same event still, and two
    events are never one visitor's.  ``identify`` and its kin, which only say who somebody is, keep no properties.
    Of addresses the page without query stays, and of the referrer the site; of the properties those of which many
    people have the same: flags, and small numbers and texts like ``pro`` or ``step 2`` under a name that speaks of
    nobody.
    """
    made = blake2b(event.event_id.encode(errors="surrogatepass"), digest_size=16, person=b"refused").hexdigest()
    plain = {} if event.kind in ("identify", "group", "alias") else {k: v for k, v in kept.items() if _is_plain(k, v)}
    return msgspec.structs.replace(
        event,
        event_id=f"refused-{made}",
        visitor_id=f"refused-{made}",
        user_id=None,
        properties=msgspec.json.encode(plain).decode(),
        context="{}",
        page_url=_without_query(event.page_url),
        referrer=_site(event.referrer),
    )


def _refuses(said: object) -> bool:
    if isinstance(said, Mapping):
        return any(_refuses(value) for key, value in said.items() if str(key).lower() in CATEGORIES)
    return said is False or (isinstance(said, str) and said.strip().lower() in _NO)


def _by_preferences(preferences: object) -> bool:
    if not isinstance(preferences, Mapping) or not preferences:
        return False
    return all(_refuses(value) for value in preferences.values()) or _refuses(preferences)


def _by_ids(management: Mapping[str, Any]) -> bool:
    denied, allowed = management.get("deniedConsentIds"), management.get("allowedConsentIds")
    if not isinstance(denied, list) or not denied:
        return False
    return not allowed or any(isinstance(one, str) and one.strip().lower() in CATEGORIES for one in denied)


def _inner(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_plain(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return True
    if not _NAME.fullmatch(key) or _PERSONAL.search(key.lower()):
        return False
    if isinstance(value, str):
        digits = sum(character.isdigit() for character in value)
        return len(value) <= _KEPT_TEXT and digits <= _MOST_DIGITS and _CHOICE.fullmatch(value) is not None
    return isinstance(value, int | float) and abs(value) < _LARGEST and round(value, _DECIMALS) == value


def _without_query(url: str | None) -> str | None:
    parts = _parts(url)
    return None if parts is None else f"{parts[0]}://{parts[1]}{parts[2]}"


def _site(url: str | None) -> str | None:
    parts = _parts(url)
    return None if parts is None else f"{parts[0]}://{parts[1]}/"


def _parts(url: str | None) -> tuple[str, str, str] | None:
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, parts.path) if parts.scheme and parts.hostname else None
