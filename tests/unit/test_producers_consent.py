from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ladder.events import Event
from ladder.tiers import builtin_ladder
from producers.collector import create_app
from producers.consent import is_refused, letter, without_identity
from producers.files import read_batches
from producers.publisher import MemoryPublisher
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from tests.suites.collector_client import NOW, post, stored, track
from tests.suites.consumed import Record
from warehouse.lake import Lake

SEGMENT = {"consent": {"categoryPreferences": {"Advertising": True, "Analytics": False, "Functional": True}}}
RUDDER = {"consentManagement": {"provider": "oneTrust", "allowedConsentIds": ["C0001"], "deniedConsentIds": ["C0002"]}}


@pytest.mark.parametrize(
    "context",
    [
        SEGMENT,
        {"consent": {"categoryPreferences": {"C0001": False, "C0003": False}}},
        {"consent": {"categoryPreferences": {"analytics": "denied"}}},
        RUDDER,
        {"consentManagement": {"deniedConsentIds": ["x1"], "allowedConsentIds": []}},
        {"consent": False},
        {"consent": "Denied"},
        {"consent": {"analytics": False}},
    ],
)
def test_these_are_refusals(context: dict[str, Any]) -> None:
    assert is_refused(context)


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"consent": None},
        {"consent": True},
        {"consent": "granted"},
        {"consent": {"categoryPreferences": {}}},
        {"consent": {"categoryPreferences": {"Advertising": False, "Analytics": True}}},
        {"consent": {"categoryPreferences": {"Advertising": False, "Functional": True}}},
        {"consentManagement": {"allowedConsentIds": ["C0002"], "deniedConsentIds": ["C0004"]}},
        {"consentManagement": {"allowedConsentIds": [], "deniedConsentIds": []}},
        {"consentManagement": "denied", "consent": ["denied"]},
    ],
)
def test_these_are_none(context: dict[str, Any]) -> None:
    assert not is_refused(context)


WHO = {
    "anonymousId": "ann-cookie-7",
    "userId": "ann@example.com",
    "properties": {
        "tier": "micro",
        "role": "yes",
        "paid": True,
        "price": 9.5,
        "email": "ann@example.com",
        "userId": "u-77",
        "note": "write to ann@example.com",
        "cart": {"of": "ann-cookie-7"},
        "title": "x" * 65,
    },
}
PAGE = {
    "ip": "203.0.113.9",
    "userAgent": "Mozilla/5.0 (iPhone; ann-cookie-7)",
    "page": {"url": "https://me:pw@shop.example/a?uid=ann-cookie-7#u-77", "referrer": "https://mail.example/u-77"},
    "campaign": {"source": "news"},
    "traits": {"email": "ann@example.com"},
}
TELLING = [b"ann-cookie-7", b"ann@example.com", b"u-77", b"203.0.113.9", b"Mozilla", b"me:pw"]


@pytest.mark.parametrize("mark", [SEGMENT, RUDDER, {"consent": False}])
def test_a_refused_event_is_counted_and_nothing_of_whose_it_is_reaches_kafka_or_the_lake(
    mark: dict[str, Any], tmp_path: Path
) -> None:
    publisher = MemoryPublisher(1)
    app = create_app(publisher, write_keys=None, is_ready=lambda: True, now=lambda: NOW)
    first, second, agreed = track(1, **WHO), track(2, **WHO), track(3, anonymousId="bob")
    nobody = track(4, anonymousId=None, context=mark)
    bad = track(5, **WHO) | {"timestamp": "no time", "context": PAGE | mark}
    spoilt = b'{"type":"track","anonymousId":"ann-cookie-7","context":{"consent":"denied"},"x":NaN}'
    identify = {"type": "identify", "messageId": "m6", "userId": "u-77", "traits": {"plan": "pro"}, "context": mark}
    messages = [*(json.dumps(m | {"context": PAGE | mark}).encode() for m in (first, second))]
    messages += [json.dumps(m).encode() for m in (agreed, nobody, bad, identify, first | {"context": PAGE | mark})]
    body = b'{"batch":[' + b",".join([*messages, spoilt]) + b"]}"
    for _ in range(2):  # as clients do that had no answer
        answer = post(app, body).json()
        assert (answer["accepted"], answer["rejected"]) == (6, 2)
    events, rejects = stored(publisher.records)
    assert not any(word in record.value for part in publisher.records for record in part for word in TELLING)
    assert [reject.raw for reject in rejects] == [b"withheld: consent was refused"] * 4

    one, two, bob, four, six, again = events[:6]
    assert (bob.visitor_id, again) == ("bob", again)
    assert len({one.visitor_id, two.visitor_id, four.visitor_id, six.visitor_id}) == 4, "nothing links them"
    assert again.event_id == one.event_id, "sent again it is the same event"
    assert (one.user_id, one.context, one.page_url) == (None, "{}", "https://shop.example/a")
    assert (one.referrer, one.utm_source, one.device_class) == ("https://mail.example/", "news", "mobile")
    assert json.loads(one.properties) == {"tier": "micro", "role": "yes", "paid": True, "price": 9.5}
    assert (six.kind, six.properties) == ("identify", "{}")

    lake = Lake(tmp_path / "lake")
    hold = Hold(lake, builtin_ladder(), "events", [0], RejectBrake(share=1, run=10**6))
    hold.checkpoint(
        [Record(r.value, r.headers, n, 0, 0) for n, r in enumerate(publisher.records[0])], now=NOW, finish=True
    )
    sessions = lake.scan("sessions").collect()
    assert sessions["yeses"].sum() == 2, "each refused yes is counted once"
    assert not any(
        word in repr(lake.scan(table).collect().rows()).encode() for table in lake.versions() for word in TELLING
    )


def test_a_file_is_read_by_the_same_rule(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    bad = track(2, **WHO) | {"type": "dance", "context": SEGMENT}
    path.write_text("\n".join(json.dumps(m) for m in (track(1, **WHO) | {"context": SEGMENT}, bad)))
    (batch,) = read_batches([path], None, NOW)
    assert batch.events[0].visitor_id == batch.events[0].event_id
    assert (batch.events[0].user_id, batch.events[0].context) == (None, "{}")
    assert [reject.raw for reject in batch.rejects] == [b"withheld: consent was refused"]


def test_a_line_of_our_own_contract_is_read_by_the_same_rule(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    common = {"v": 1, "visitor_id": "ann-cookie-7", "occurred_at": "2026-03-01T00:00:00Z", "name": "Voted"}
    common |= {"user_id": "u-77", "page_url": "https://shop.example/a?uid=ann-cookie-7"}
    more = {"properties": {"plan": "pro", "email": "ann@example.com"}}
    lines = [
        common | more | {"event_id": "1", "context": {"consent": "denied", "ip": "203.0.113.9"}},
        common | more | {"event_id": "2", "context": SEGMENT},
        common | more | {"event_id": "3", "context": {"consent": "granted"}},
        common | {"event_id": "4"},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    (batch,) = read_batches([path], None, NOW)
    assert batch.rejects == []
    first, second, *agreed = batch.events
    assert [event.visitor_id for event in agreed] == ["ann-cookie-7"] * 2
    assert first.visitor_id != second.visitor_id
    for event in (first, second):
        assert (event.user_id, event.context, event.properties) == (None, "{}", '{"plan":"pro"}')
        assert not any(word in repr(event).encode() for word in TELLING)


def test_a_property_by_which_somebody_may_be_known_goes_whatever_it_is_called() -> None:
    telling = {
        **dict.fromkeys(["userid", "customerid", "deviceid", "clientid", "gclid", "fbclid", "IDNumber", "ident"], "ab"),
        **dict.fromkeys(["firstname", "lastname", "fullname", "vorname", "prenom", "nombre", "nickname"], "ann"),
        **dict.fromkeys(["emailaddress", "correo_email", "phonenumber", "telefon", "msisdn", "kundennummer"], 4711),
        **dict.fromkeys(["имя", "名前", "", "a\nb", "größe"], 5),
        **dict.fromkeys(["lat", "user.longitude", "sessionid", "ip", "birthday", "orderref"], 9.5),
        "who": "Ann Example",
        "what": "a3f9c2d1e8b7",
        "when": "x" * 21,
        "call": "0170 1234567",
        "site": "https://ann.example",
        "how much": 100_000,
        "where": 52.520008,
        "parts": ["ann"],
        "whole": {"a": "ann"},
    }
    plain = {"plan": "pro", "step": "step 2", "role": "yes", "button": "add-to-cart", "price": 129.95, "quantity": 3}
    plain |= {"paid": True, "has_email": False, "category": "shoes_men"}
    event = Event(event_id="1", visitor_id="ann", occurred_at=NOW, received_at=NOW, name="Ordered")
    assert json.loads(without_identity(event, telling | plain).properties) == plain


def test_the_bytes_of_other_dead_letters_stay() -> None:
    for raw in (b"{", b'{"context":{"consent":true}}', b'{"context":5}', b"[1]", b"\xff"):
        assert letter(raw) == raw
    assert letter(b'{"context":{"consent":tru') == b"withheld: consent was refused"
