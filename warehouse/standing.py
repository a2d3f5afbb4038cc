"""How a file of the lake stands with the quality gate, and how that outlives the file.

Written anew, rows have a file of another name, which neither the gate nor the marts know.  So the name tells how the
files stood that the rows come from, and the gate judges each standing by itself: a bad row that has just landed never
holds rows that had passed, nor do rows that were held before hold those that have just landed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from warehouse.batches import Batches
from warehouse.built import MARTS, read_built
from warehouse.lake import Lake

Standing = Literal["", "passed", "mended", "held", "accepted"]
"""``passed``: the gate let it in.  ``mended``: sessions cut anew.  ``held``, or let in all the same (``accepted``).
Empty: it has landed and was never looked at."""

JUDGED_APART: tuple[Standing, ...] = ("passed", "mended", "held", "")
"""In this order: what comes later is compared with what got in before."""

_NOTED: dict[str, Standing] = {standing: standing for standing in get_args(Standing)}


def noted(file: str) -> Standing:
    """The standing that a file's name tells."""
    return _NOTED.get(file.rpartition("/")[2].partition("-")[0], "")


def standings(lake: Lake) -> Callable[[str], Standing]:
    """How files, given relative to the lake's folder, stand now."""
    batches = Batches(lake.root.parent / "quality")
    accepted, held, replaced = batches.files("accepted"), batches.files("held"), batches.files("replaced")
    passed = batches.files("passed") | files_in_marts(lake)

    def standing(file: str) -> Standing:
        told = noted(file)
        if file in accepted or told == "accepted":
            return "accepted"
        if file in held:
            return "held"
        if file in passed:
            return "passed"
        return "held" if file in replaced else told

    return standing


def files_in_marts(lake: Lake) -> frozenset[str]:
    """The files that the marts' views name, relative to the lake's folder; none where they are another lake's."""
    built = read_built(lake.root.parent / MARTS)
    if built is None or built.root != str(lake.root):
        return frozenset()
    return frozenset().union(*built.files.values())
