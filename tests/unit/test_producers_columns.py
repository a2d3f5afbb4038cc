from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ladder.errors import EventError, UsageError
from ladder.events import Event
from producers.columns import ColumnMap, RowReader, parse_columns

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROW: dict[str, Any] = {"uid": "v1", "action": "Offer seen", "ts": "2026-03-01T11:00:00Z", "plan": "pro", "price": 9.5}


def test_a_mapping_names_who_what_and_when_and_maybe_more() -> None:
    assert parse_columns("visitor=uid, event=action,time=ts") == ColumnMap("uid", "action", "ts")
    assert parse_columns("id=n,user=mail,time=ts,event=action,visitor=uid") == ColumnMap(
        "uid", "action", "ts", "mail", "n"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("visitor=uid,event=action", "--map: time is missing"),
        ("visitor=uid,event=action,time=", "--map: 'time=' is not understood"),
        ("visitor=uid,event=action,when=ts", "--map: 'when=ts' is not understood"),
        ("visitor=uid,visitor=u2,event=action,time=ts", "--map: visitor stands there twice"),
        ("", "--map: '' is not understood"),
    ],
)
def test_a_mapping_that_is_not_understood_is_refused_with_the_place(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_columns(text)


def read(columns: ColumnMap = ColumnMap("uid", "action", "ts"), **changes: Any) -> Event:  # noqa: B008 - a frozen value
    return RowReader(columns).event({**ROW, **changes}, b"the row", 7, NOW)


def test_columns_without_a_role_are_properties_and_empty_ones_are_not() -> None:
    event = read(coupon="", referer=None)
    assert event.properties == '{"plan":"pro","price":9.5}'
    assert (event.visitor_id, event.name, event.kind) == ("v1", "Offer seen", "track")
    assert event.occurred_at == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert event.received_at == NOW


def test_an_event_of_the_future_has_happened_by_the_time_it_is_read() -> None:
    assert read(ts="2027-01-01T00:00:00Z").occurred_at == NOW


def test_a_row_without_an_id_gets_one_from_its_bytes_and_its_place() -> None:
    reader = RowReader(ColumnMap("uid", "action", "ts"))
    ids = [reader.event(ROW, raw, number, NOW).event_id for raw, number in ((b"a", 1), (b"a", 1), (b"a", 2), (b"b", 1))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_named_ids_are_text_whatever_they_were() -> None:
    columns = ColumnMap("uid", "action", "ts", user="user", id="n")
    assert read(columns, uid=17, n=4.0, user=None).event_id == "4"
    assert read(columns, uid=17, n=None, user=None).event_id.startswith("file-")
    assert read(columns, uid=17.0, n="x", user=float("nan")).visitor_id == "17"
    assert read(columns, n="x", user=float("nan")).user_id is None
    assert read(columns, n="x", user="me").user_id == "me"


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"uid": ""}, "missing_field", "uid"),
        ({"uid": None}, "missing_field", "uid"),
        ({"action": ""}, "missing_field", "action"),
        ({"action": "x" * 257}, "bad_value", "action"),
        ({"ts": "soon"}, "bad_time", "ts"),
        ({"plan": "\ud800"}, "bad_value", ""),
        ({"plan": object()}, "bad_value", ""),
    ],
)
def test_a_row_that_is_no_event_is_refused_with_the_column(changes: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(EventError) as caught:
        read(**changes)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_a_row_larger_than_an_event_may_be_is_refused() -> None:
    with pytest.raises(EventError) as caught:
        RowReader(ColumnMap("uid", "action", "ts")).event(ROW, b"x" * 32769, 1, NOW)
    assert caught.value.reason == "too_large"
