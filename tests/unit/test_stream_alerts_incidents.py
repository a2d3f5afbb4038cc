from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest

from ladder.errors import UsageError
from stream.alerts_config import Mark, Mute
from stream.alerts_incidents import Incidents
from stream.alerts_kinds import Kind
from stream.alerts_notice import Alert
from stream.alerts_sinks import request_for
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
    assert resolved.series == ()  # the desktop people's hour is not that of the mobile people


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


@pytest.mark.parametrize("kind", ["drop", "slow", "tracking", "outage"])
def test_labels_stay_the_same_from_the_beginning_to_the_end(kind: Kind) -> None:
    book = Book()
    others = [("pay", 4), ("order", 5)] if kind == "outage" else []
    made = [book.take(finding("alarm", MOBILE, kind=kind))]
    made += [book.take(finding("alarm", MOBILE, kind=kind, step=step, tier=tier)) for step, tier in others]
    made += [book.take(finding("alarm", DESKTOP, kind=kind, minute=MINUTE + 2, raised=MINUTE + 2))]
    made += [book.take(finding("resolved", MOBILE, kind=kind, minute=MINUTE + 20))]
    made += [book.take(finding("resolved", DESKTOP, kind=kind, minute=MINUTE + 21, raised=MINUTE + 2))]
    made += [book.take(finding("resolved", MOBILE, kind=kind, step=s, tier=t, minute=MINUTE + 22)) for s, t in others]
    told = [alert for alert in made if alert.told]
    assert (told[0].what, told[-1].what) == ("raised", "resolved")
    labels = []
    for alert in told:
        [sent] = json.loads(request_for("alertmanager", "http://am", {}, "key", alert.to_dict()).body)
        labels.append(sent["labels"])
    assert labels == [labels[0]] * len(told)
    assert (told[-1].tier, told[-1].tier_name, told[-1].segment) == (3, "mini", (MOBILE,))


def test_an_outage_that_another_step_is_the_last_to_come_out_of_ends_as_it_began() -> None:
    book = Book()
    raised = book.take(finding("alarm", kind="outage"))
    book.take(finding("alarm", kind="outage", step="pay", tier=4))
    [over] = [book.take(finding("resolved", kind="outage", step="pay", tier=4, minute=MINUTE + 9))]
    assert over.told
    assert (over.tier, over.tier_name, over.step) == (raised.tier, raised.tier_name, raised.step)


@pytest.mark.parametrize(("carried", "told"), [(0.9, False), (0.3, True)])
def test_muted_people_are_not_told_of_by_the_sum_that_they_carry(carried: float, told: bool) -> None:
    book = Book(Mute(segment="device_class=mobile", reason="known"))
    book.take(finding("alarm", MOBILE))
    both = book.take(finding("alarm", minute=MINUTE + 3, raised=MINUTE + 3, carriers=by(mobile=carried)))
    assert (both.told, both.quiet) == (told, None if told else "known")
    assert book.wake(MINUTE + 4) == []
    assert book.take(finding("alarm", DESKTOP, minute=MINUTE + 5, raised=MINUTE + 5)).told is not told


def test_few_asks_of_some_are_no_reason_to_be_quiet_of_all() -> None:
    incidents = Incidents("shop", TIERS, None)

    def quiet(alert: Alert) -> str | None:
        return "few" if alert.volume < 1000 else None

    assert not incidents.take(finding("alarm", MOBILE, volume=500), NO_MARKS, quiet).told
    assert incidents.take(finding("alarm", carriers=by(mobile=0.9), volume=1500), NO_MARKS, quiet).told


def test_what_is_left_of_an_alert_when_its_mute_ends_is_told() -> None:
    book = Book(Mute("add to cart", until=datetime.fromtimestamp((MINUTE + 20) * 60, UTC)))
    book.take(finding("alarm", MOBILE))
    book.take(finding("alarm", DESKTOP, minute=MINUTE + 2, raised=MINUTE + 2))
    book.take(finding("resolved", MOBILE, minute=MINUTE + 10))
    assert book.wake(MINUTE + 19) == []
    [late] = book.wake(MINUTE + 20)
    assert (late.what, late.segment, late.told, late.quiet) == ("raised", (DESKTOP,), True, None)
    assert book.wake(MINUTE + 21) == []
    over = book.take(finding("resolved", DESKTOP, minute=MINUTE + 30, raised=MINUTE + 2))
    assert (over.what, over.told, over.segment) == ("resolved", True, (DESKTOP,))


def test_others_who_were_muted_inside_an_alert_are_told_of_when_their_mute_ends() -> None:
    ends = datetime.fromtimestamp((MINUTE + 20) * 60, UTC)
    book = Book(Mute(segment="device_class=desktop", until=ends, reason="known"))
    first = book.take(finding("alarm", MOBILE))
    joined = book.take(finding("alarm", DESKTOP, minute=MINUTE + 2, raised=MINUTE + 2))
    assert (joined.told, joined.quiet) == (False, "known")
    assert book.wake(MINUTE + 19) == []
    [late] = book.wake(MINUTE + 20)
    assert (late.what, late.alert_id, late.segment, late.told) == ("joined", first.alert_id, (DESKTOP,), True)
    assert late.notice_id != joined.notice_id
    assert book.wake(MINUTE + 21) == []
    assert book.told(
        finding("resolved", MOBILE, minute=MINUTE + 30),
        finding("resolved", DESKTOP, minute=MINUTE + 31, raised=MINUTE + 2),
    ) == [("resolved", False), ("resolved", True)]


def test_who_is_muted_longer_than_the_alert_they_are_in_is_told_of_when_the_mute_ends() -> None:
    ends = datetime.fromtimestamp((MINUTE + 20) * 60, UTC)
    book = Book(Mute(segment="device_class=desktop", until=ends, reason="known"))
    first = book.take(finding("alarm", MOBILE))
    book.take(finding("alarm", DESKTOP, minute=MINUTE + 2, raised=MINUTE + 2))
    assert book.told(finding("resolved", MOBILE, minute=MINUTE + 10)) == [("resolved", True)]
    assert book.wake(MINUTE + 19) == []
    [late] = book.wake(MINUTE + 20)
    assert (late.what, late.segment, late.told) == ("raised", (DESKTOP,), True)
    assert late.alert_id != first.alert_id
    assert book.wake(MINUTE + 21) == []
    over = book.take(finding("resolved", DESKTOP, minute=MINUTE + 30, raised=MINUTE + 2))
    assert (over.what, over.told, over.alert_id) == ("resolved", True, late.alert_id)
    assert book.incidents.open == {}


def test_what_is_over_when_its_mute_ends_is_not_told() -> None:
    book = Book(Mute("add to cart", until=datetime.fromtimestamp((MINUTE + 20) * 60, UTC)))
    book.take(finding("alarm", MOBILE))
    book.take(finding("resolved", MOBILE, minute=MINUTE + 10))
    assert book.wake(MINUTE + 20) == []


def test_what_another_release_saved_is_refused() -> None:
    book = Book()
    book.take(finding("alarm", MOBILE))
    saved = book.incidents.save()
    for other in (saved.replace(b'"version":3', b'"version":2'), b'{"version":3,"kept":[[{"alert_id":"x"},true]]}'):
        with pytest.raises((UsageError, msgspec.DecodeError)):
            Incidents.restore("shop", TIERS, None, other)
