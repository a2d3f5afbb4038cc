"""When a question of the checklist is answered yes, partly or no, and when there is not enough data to say."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from ladder.rates import Rate

Verdict = Literal["yes", "partly", "no", "not enough data"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class Borders(NamedTuple):
    """A share below ``no`` means no, one above ``yes`` means yes, one between them partly."""

    no: float
    yes: float


def verdict(for_yes: Rate, for_no: Rate, borders: Borders) -> Verdict:
    """What the intervals of two shares carry; mostly the two are one and the same.

    Yes where all of the interval of ``for_yes`` lies above ``borders.yes``, no where all of that of ``for_no`` lies
    below ``borders.no``, partly where both are ruled out: all of ``for_yes`` below ``borders.yes``, all of ``for_no``
    above ``borders.no``.  An interval that reaches over a border is not enough data.
    """
    if for_yes.low > borders.yes:
        return "yes"
    if for_no.high < borders.no:
        return "no"
    if for_yes.high < borders.yes and for_no.low > borders.no:
        return "partly"
    return "not enough data"


def verdict_of_parts(parts: tuple[Verdict, ...]) -> Verdict:
    """The verdict on a whole from those on its parts.

    Yes where every part is yes, no where more than half are no, partly where any is no (or partly) and not more than
    half are; else, some being unknown or there being none, not enough data.
    """
    if parts and all(part == "yes" for part in parts):
        return "yes"
    if 2 * parts.count("no") > len(parts):
        return "no"
    if "no" in parts or "partly" in parts:
        return "partly"
    return "not enough data"
