"""The facts of the audit, from a warehouse as its last build left it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from answers.audit_facts import AuditFacts
from answers.audit_kinds import bridges_on
from ladder.tiers import Ladder
from warehouse.asks import AfterYes, after_yes
from warehouse.counted import Slice
from warehouse.effects import of_a_cheer, of_a_gift
from warehouse.seen import seen
from warehouse.stands import standing
from warehouse.too_soon import TooSoon, too_soon
from warehouse.value_first import value_first
from warehouse.ways import Came, Surprised, Way, came, surprised, ways
from warehouse.witnesses import witnesses

Row = TypeVar("Row", Way, Came, Surprised, TooSoon, AfterYes)


def gather_audit(warehouse: Path, ladder: Ladder, of: Slice) -> tuple[AuditFacts, dict[str, AuditFacts]]:
    """Of all visitors, and by the value of the slice's segment, that of most visitors first.

    Raises ``UsageError`` where no marts were built with this ladder.
    """
    of = replace(of, unit="visitor")
    whole = _facts(warehouse, ladder, of.of_all).get("", AuditFacts())
    return whole, {} if of.segment is None else _facts(warehouse, ladder, of)


def _facts(warehouse: Path, ladder: Ladder, of: Slice) -> dict[str, AuditFacts]:
    about = seen(warehouse, ladder, of)
    stands, values = standing(warehouse, ladder, of), value_first(warehouse, ladder, of)
    by_stands = {"": stands.all} if of.segment is None else stands.by
    by_value = {"": values.all} if of.segment is None else values.by
    up = _by_value(ways(warehouse, ladder, of, bridges_on(ladder)))
    arrived, asked = _by_value(came(warehouse, ladder, of)), _by_value(surprised(warehouse, ladder, of))
    soon, after = _by_value(too_soon(warehouse, ladder, of)), _by_value(after_yes(warehouse, ladder, of))
    gifts, cheers = of_a_gift(warehouse, ladder, of), of_a_cheer(warehouse, ladder, of)
    of_sessions = witnesses(warehouse, ladder, of)
    return {
        value: AuditFacts(
            visitors=about.get(value, 0),
            ways=tuple(up.get(value, ())),
            came=tuple(arrived.get(value, ())),
            surprised=next(iter(asked.get(value, ())), None),
            too_soon=next(iter(soon.get(value, ())), None),
            value=by_value.get(value),
            of_a_gift=gifts.get(value),
            after_yes=tuple(after.get(value, ())),
            of_a_cheer=cheers.get(value),
            stands=by_stands.get(value),
            witnesses=of_sessions.get(value, {}),
        )
        for value in dict.fromkeys((*about, *by_stands, *up, *after))
    }


def _by_value(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.segment_value, []).append(row)
    return found
