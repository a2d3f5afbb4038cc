from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest

from ladder.errors import UsageError
from stream.alerts_config import Mark, Mute
from stream.alerts_incidents import Incidents
from stream.alerts_kinds import Kind
from stream.alerts_notice import Alert
from stream.alerts_watch import Carrier, Finding
from tests.suites.alert_findings import DESKTOP, MINUTE, MOBILE, TIERS, finding

NO_MARKS: Sequence[Mark] = ()


class Book:
    """Incidents that are saved and restored before each finding."""

    def __init__(self, mute: Mute | None = None) -> None:
        self.incidents = Incidents("shop", TIERS, None)
        self.mute = mute

    def take(self, found: Finding) -> Alert:
        self.incidents = Incidents.restore("shop", TIERS, None, self.incidents.save())
        return self.incidents.take(found, NO_MARKS, self._quiet)

    def told(self, *found: Finding) -> list[tuple[str, bool]]:
        return [(made.what, made.told) for made in map(self.take, found)]

    def wake(self, minute: int) -> list[Alert]:
        self.incidents = Incidents.restore("shop", TIERS, None, self.incidents.save())
        return self.incidents.wake(datetime.fromtimestamp(minute * 60, UTC), self._quiet)

    def _quiet(self, alert: Alert) -> str | None:
        mute = self.mute
        if mute is None or not mute.covers(alert.tier_name, alert.step, dict(alert.segment), alert.minute):
            return None
        return mute.reason


def by(mobile: float) -> tuple[Carrier, ...]:
    return (Carrier("device_class", "mobile", mobile * 100, 0, 100, mobile),)


def test_a_fall_of_a_segment_and_then_of_its_step_is_told_once_and_resolved_once() -> None:
    book = Book()
    assert book.told(
        finding("alarm", MOBILE),
        finding("alarm", minute=MINUTE + 9, raised=MINUTE + 9, carriers=by(mobile=0.9)),
        finding("resolved", MOBILE, minute=MINUTE + 60),
        finding("resolved", minute=MINUTE + 70, raised=MINUTE + 9),
    ) == [("raised", True), ("joined", False), ("resolved", True), ("resolved", False)]
    assert book.incidents.open == {}


def test_the_end_is_told_in_the_words_of_the_beginning() -> None:
    book = Book()
    raised = book.take(finding("alarm", MOBILE))
    also = book.take(finding("alarm", DESKTOP, minute=MINUTE + 9, raised=MINUTE + 9))
    assert (also.what, also.told) == ("joined", True)
    assert not book.take(finding("resolved", MOBILE, minute=MINUTE + 60, lost=500.0)).told
    resolved = book.take(finding("resolved", DESKTOP, minute=MINUTE + 70, raised=MINUTE + 9, lost=777.0))
    assert resolved.told
    assert (resolved.alert_id, resolved.segment, resolved.lost) == (raised.alert_id, (MOBILE,), 500.0)


def test_others_whom_the_first_alert_did_not_name_are_told_of_once() -> None:
    book = Book()
    assert book.told(
        finding("alarm", MOBILE),
        finding("alarm", DESKTOP, minute=MINUTE + 2, raised=MINUTE + 2),
        finding("alarm", minute=MINUTE + 3, raised=MINUTE + 3, carriers=by(mobile=0.4)),
    ) == [("raised", True), ("joined", True), ("joined", False)]


def test_a_step_of_which_the_named_segment_carries_little_is_told_of() -> None:
    book = Book()
    assert book.told(
        finding("alarm", MOBILE),
        finding("alarm", minute=MINUTE + 3, raised=MINUTE + 3, carriers=by(mobile=0.4)),
    ) == [("raised", True), ("joined", True)]


def test_segments_of_a_step_that_was_told_of_are_part_of_it() -> None:
    book = Book()
    assert book.told(
        finding("alarm"), finding("alarm", MOBILE, minute=MINUTE + 1, raised=MINUTE + 1)
    ) == [("raised", True), ("joined", False)]  # fmt: skip


def test_each_step_has_an_alert_of_its_own_and_an_outage_is_one_for_all() -> None:
    book = Book()
    kind: Kind = "outage"
    assert book.told(
        finding("alarm", MOBILE),
        finding("alarm", MOBILE, step="pay", tier=4),
        finding("alarm", MOBILE, step="order", tier=5, kind=kind),
        finding("alarm", DESKTOP, step="order", tier=5, kind=kind),
        finding("alarm", DESKTOP, step="pay", tier=4, kind=kind),
        finding("resolved", MOBILE, step="order", tier=5, kind=kind, minute=MINUTE + 5),
        finding("resolved", DESKTOP, step="order", tier=5, kind=kind, minute=MINUTE + 6),
        finding("resolved", DESKTOP, step="pay", tier=4, kind=kind, minute=MINUTE + 7),
    ) == [
        ("raised", True),
        ("raised", True),
        ("raised", True),
        ("joined", False),
        ("joined", False),
        ("resolved", False),
        ("resolved", True),
        ("resolved", False),
    ]
    assert len(book.incidents.open) == 2


def test_a_muted_alert_is_made_and_told_neither_at_its_begin_nor_at_its_end() -> None:
    book = Book(Mute("add to cart", reason="known"))
    muted = book.take(finding("alarm", MOBILE))
    assert (muted.what, muted.told, muted.quiet) == ("raised", False, "known")
    assert book.told(finding("changed", MOBILE, minute=MINUTE + 5), finding("resolved", MOBILE)) == [
        ("changed", False),
        ("resolved", False),
    ]


def test_what_is_not_muted_is_told_though_it_joins_an_alert_that_is() -> None:
    book = Book(Mute(segment="device_class=mobile"))
    first = book.take(finding("alarm", MOBILE))
    second = book.take(finding("alarm", DESKTOP, minute=MINUTE + 1, raised=MINUTE + 1))
    assert [(made.what, made.told) for made in (first, second)] == [("raised", False), ("raised", True)]
    assert first.alert_id == second.alert_id
    assert book.told(
        finding("resolved", MOBILE, minute=MINUTE + 8),
        finding("resolved", DESKTOP, minute=MINUTE + 9, raised=MINUTE + 1),
    ) == [("resolved", False), ("resolved", True)]


def test_a_better_known_kind_is_told_of_whom_the_alert_is_about() -> None:
    book = Book()
    assert book.told(
        finding("alarm", MOBILE),
        finding("alarm", minute=MINUTE + 1, raised=MINUTE + 1, carriers=by(mobile=0.9)),
        finding("changed", MOBILE, minute=MINUTE + 5, kind="slow"),
        finding("changed", minute=MINUTE + 6, raised=MINUTE + 1, kind="slow"),
    ) == [("raised", True), ("joined", False), ("changed", True), ("changed", False)]


def test_the_end_of_an_alarm_from_before_is_written_down_and_not_told() -> None:
    assert Book().told(finding("resolved")) == [("resolved", False)]


def test_what_is_open_when_its_mute_ends_is_told_then_and_only_once() -> None:
    ends = datetime.fromtimestamp((MINUTE + 20) * 60, UTC)
    book = Book(Mute("add to cart", until=ends, reason="known"))
    muted = book.take(finding("alarm", MOBILE))
    assert book.wake(MINUTE + 19) == []
    [late] = book.wake(MINUTE + 20)
    assert (late.what, late.told, late.quiet, late.minute, late.raised) == ("raised", True, None, ends, muted.raised)
    assert late.alert_id == muted.alert_id
    assert late.notice_id != muted.notice_id
    assert book.wake(MINUTE + 21) == []
    assert book.told(finding("resolved", MOBILE, minute=MINUTE + 40)) == [("resolved", True)]


def test_what_is_over_when_its_mute_ends_is_not_told() -> None:
    book = Book(Mute("add to cart", until=datetime.fromtimestamp((MINUTE + 20) * 60, UTC)))
    book.take(finding("alarm", MOBILE))
    book.take(finding("resolved", MOBILE, minute=MINUTE + 10))
    assert book.wake(MINUTE + 20) == []


def test_what_another_release_saved_is_refused() -> None:
    book = Book()
    book.take(finding("alarm", MOBILE))
    saved = book.incidents.save()
    for other in (saved.replace(b'"version":2', b'"version":1'), b'{"version":2,"kept":[[{"alert_id":"x"},true]]}'):
        with pytest.raises((UsageError, msgspec.DecodeError)):
            Incidents.restore("shop", TIERS, None, other)
