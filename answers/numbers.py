"""Numbers, times and names as the pages and the terminal say them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def count(number: int) -> str:
    """``17602`` as ``17,602``."""
    return f"{number:,}"


def counted(number: int, noun: str, of_many: str | None = None) -> str:
    """``1 session``, ``1,002 sessions``; ``of_many``: where many are not called by the noun and an s."""
    return f"{count(number)} {noun if number == 1 else of_many or f'{noun}s'}"


def percent(share: float) -> str:
    """A share as per cent with one decimal.  Only a true 0 or 1 is said as 0% or 100%."""
    text = f"{share:.1%}"
    if text == "0.0%":
        return "0%" if share == 0 else "<0.1%"
    if text == "100.0%":
        return "100%" if share == 1 else ">99.9%"
    return text


def interval(low: float, high: float) -> str:
    """The two ends of an interval of shares: ``76.2% to 77.8%``."""
    return f"{percent(low)} to {percent(high)}"


def signed(share: float) -> str:
    """A difference of shares in points, with its sign: ``+3.1`` or ``−0.4``."""
    return f"{100 * share:+.1f}".replace("-", "−")


def seconds(number: float) -> str:
    """A time that passed, in the largest unit that it fills: ``0.4 s``, ``12 s``, ``3.5 min``, ``2.0 h``, ``4.1 d``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} s" if number >= 10 else f"{number:.1f} s"


def utc(moment: datetime) -> str:
    """``28 Feb 2017, 12:45 UTC``; any zone is converted.  Raises ``ValueError`` for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no zone")
    at = moment.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def listing(names: Sequence[str], last: str = "and", most: int = 4) -> str:
    """``a``, ``a and b``, ``a, b and c``; of more than ``most`` the first ones and how many others there are."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} others"]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def shortened(text: str, most: int = 80) -> str:
    """Text of at most so many characters; where some are left out, the last one is ``…``."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
