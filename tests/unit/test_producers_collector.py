from __future__ import annotations

import asyncio
import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ladder.errors import UsageError
from ladder.events import Event
from producers.collector import create_app
from producers.http_head import ASGIApp, Receive, Scope
from producers.limits import Limits
from producers.publisher import MemoryPublisher, PublishError
from producers.records import Record
from producers.spooling import SpoolState
from tests.suites.collector_client import NOW, ask, ask_async, post, stored, track

LIMITS = Limits()


class Rig:
    """A collector on a publisher in memory."""

    def __init__(self, **options: Any) -> None:
        self.publisher = MemoryPublisher(partitions=4)
        given: dict[str, Any] = {"write_keys": None, "is_ready": lambda: True, "now": lambda: NOW} | options
        self.app: ASGIApp = create_app(self.publisher, **given)

    @property
    def ids(self) -> list[str]:
        return [event.event_id for event in stored(self.publisher.records)[0]]

    @property
    def reasons(self) -> list[tuple[str, str]]:
        return [(reject.reason, reject.field) for reject in stored(self.publisher.records)[1]]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def basic(key: str) -> str:
    return "Basic " + b64encode(key.encode()).decode()


# --- what is stored ---


def test_an_accepted_batch_is_stored_and_answered_with_200_and_json(rig: Rig) -> None:
    answer = post(rig.app, {"batch": [track(1), track(2, anonymousId="bob")], "sentAt": NOW.isoformat()})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"success": True, "accepted": 2, "rejected": 0}
    assert stored(rig.publisher.records) == (
        [
            Event(event_id="m1", visitor_id="ann", occurred_at=NOW, received_at=NOW, name="Offer Shown"),
            Event(
                event_id="m2",
                visitor_id="bob",
                occurred_at=NOW + timedelta(microseconds=1),
                received_at=NOW + timedelta(microseconds=1),
                name="Offer Shown",
            ),
        ],
        [],
    )


def test_an_empty_batch_is_fine_and_stores_nothing(rig: Rig) -> None:
    assert post(rig.app, {"batch": []}).json() == {"success": True, "accepted": 0, "rejected": 0}
    assert rig.publisher.records == [[], [], [], []]


def test_all_events_of_a_request_are_moved_by_the_same_time() -> None:
    rig = Rig()
    at = "2026-11-22T20:00:00Z"
    post(rig.app, {"batch": [track(n, timestamp=at) for n in range(3)], "sentAt": "2026-11-22T20:30:00Z"})

    events, _ = stored(rig.publisher.records)
    assert {event.occurred_at for event in events} == {NOW - timedelta(minutes=30)}


def test_arrival_is_a_total_order_even_when_the_clock_stands_still_or_goes_back_a_little() -> None:
    clock: Iterator[datetime] = iter([NOW, NOW, NOW - timedelta(seconds=59), NOW + timedelta(hours=1)])
    rig = Rig(now=lambda: next(clock))
    for request in range(4):
        post(rig.app, {"batch": [track(2 * request), track(2 * request + 1)]})

    events, _ = stored(rig.publisher.records)
    assert [event.event_id for event in events] == [f"m{n}" for n in range(8)]
    assert len({event.received_at for event in events}) == 8
    assert events[-2].received_at == NOW + timedelta(hours=1)


def test_a_clock_that_was_far_ahead_moves_no_event_once_it_is_right_again() -> None:
    clock: Iterator[datetime] = iter([NOW + timedelta(days=1), NOW, NOW + timedelta(hours=1)])
    rig = Rig(now=lambda: next(clock))
    for hour in (0, 0, 1):
        at = (NOW + timedelta(hours=hour)).isoformat()
        post(rig.app, {"batch": [track(hour, timestamp=at)], "sentAt": at})

    events, _ = stored(rig.publisher.records)
    assert {event.occurred_at for event in events} == {NOW + timedelta(days=1), NOW, NOW + timedelta(hours=1)}


def test_the_good_events_of_a_partly_bad_batch_are_kept_and_the_others_become_dead_letters(rig: Rig) -> None:
    bad = {"type": "track", "messageId": "m1", "anonymousId": "ann"}
    batch = [track(0), bad, track(2, timestamp="never"), 17, track(4)]

    answer = post(rig.app, {"batch": batch})

    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "accepted": 2,
        "rejected": 3,
        "errors": [
            {"index": 1, "code": "missing_field", "message": "event: is required: what happened"},
            {"index": 2, "code": "bad_time", "message": "timestamp: Invalid RFC3339 encoded datetime"},
            {"index": 3, "code": "not_an_event", "message": "Expected `object`, got `int`"},
        ],
    }
    events, rejects = stored(rig.publisher.records)
    assert [event.event_id for event in events] == ["m0", "m4"]
    assert [(reject.reason, reject.field, json.loads(reject.raw), reject.stage) for reject in rejects] == [
        ("missing_field", "event", bad, "collector"),
        ("bad_time", "timestamp", batch[2], "collector"),
        ("not_an_event", "", 17, "collector"),
    ]
    assert [reject.rejected_at for reject in rejects] == [NOW + timedelta(microseconds=n) for n in (1, 2, 3)]


def test_a_batch_of_nothing_but_bad_events_is_kept_as_dead_letters_and_not_sent_again(rig: Rig) -> None:
    answer = post(rig.app, {"batch": [{}] * 25})

    assert (answer.status_code, answer.json()["rejected"], len(answer.json()["errors"])) == (200, 25, 10)
    assert rig.reasons == [("missing_field", "type")] * 25


def test_a_batch_sent_at_no_time_is_a_dead_letter_event_by_event(rig: Rig) -> None:
    answer = post(rig.app, {"batch": [track(1), track(2)], "sentAt": "soon"})

    assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
    assert rig.reasons == [("bad_time", "sentAt")] * 2


def test_not_a_number_spoils_only_its_own_event(rig: Rig) -> None:
    nan = json.dumps({"batch": [track(1), track(2, properties={"x": float("nan")}), track(3)]}).encode()
    assert b"NaN" in nan

    assert post(rig.app, nan).json()["accepted"] == 2
    assert (rig.ids, rig.reasons) == (["m1", "m3"], [("not_json", "")])


def test_an_event_sent_twice_is_stored_twice_for_whoever_reads_by_id(rig: Rig) -> None:
    for _ in range(2):
        post(rig.app, {"batch": [track(1)]})

    assert rig.ids == ["m1", "m1"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *[
            (f"/v1/{letter}", kind)
            for letter, kind in zip("tpsi", ("track", "page", "screen", "identify"), strict=True)
        ],
        *[(f"/{where}/{kind}", kind) for where in ("v1", "api/s") for kind in ("track", "page", "screen", "identify")],
        ("/v1/g", "group"),
        ("/v1/group", "group"),
        ("/api/s/group", "group"),
        ("/v1/track/", "track"),
    ],
)
def test_single_events_have_a_route_for_each_kind(rig: Rig, path: str, kind: str) -> None:
    answer = post(rig.app, track(1, type=None), path)

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert stored(rig.publisher.records)[0][0].kind == kind


@pytest.mark.parametrize("path", ["/v1/a", "/v1/alias", "/api/s/alias"])
def test_aliases_have_their_routes_too(rig: Rig, path: str) -> None:
    assert post(rig.app, {"messageId": "m1", "userId": "new", "previousId": "old"}, path).json()["accepted"] == 1


def test_json_is_read_under_any_content_type(rig: Rig) -> None:
    for content_type in ("text/plain", "application/json", "application/x-www-form-urlencoded", "nonsense"):
        assert post(rig.app, {"batch": [track(1)]}, headers={"content-type": content_type}).status_code == 200


@pytest.mark.parametrize("headers", [{"content-encoding": "gzip"}, {"content-encoding": "GZIP"}, {}])
def test_gzip_is_read_with_and_without_its_header(rig: Rig, headers: dict[str, str]) -> None:
    body = gzip.compress(json.dumps({"batch": [track(1)]}).encode())

    assert post(rig.app, body, headers=headers).status_code == 200
    assert rig.ids == ["m1"]


def test_the_name_of_a_content_encoding_is_read_in_any_case(rig: Rig) -> None:
    assert post(rig.app, {"batch": [track(1)]}, headers={"content-encoding": "Identity"}).status_code == 200


# --- keys ---

BODY = {"batch": [track(1)]}


@pytest.mark.parametrize(
    ("headers", "body_key", "status"),
    [
        ({}, None, 401),
        ({}, "good", 200),
        ({}, "bad", 401),
        ({"authorization": basic("good:")}, None, 200),
        ({"authorization": basic("good")}, None, 200),
        ({"authorization": basic("good:secret")}, None, 200),
        ({"authorization": basic("bad:")}, "good", 401),
        ({"authorization": basic(":")}, "good", 200),
        ({"authorization": "basic " + basic("good:")[6:]}, None, 200),
        ({"authorization": "Basic ???"}, "good", 200),
        ({"authorization": "Basic ???"}, None, 401),
        ({"authorization": "Bearer good"}, None, 200),
        ({"authorization": "Bearer bad"}, "good", 401),
        ({"authorization": "Digest good"}, "bad", 401),
        ({"authorization": "Digest bad", "x-write-key": "good"}, None, 200),
        ({"authorization": basic("good:"), "x-write-key": "bad"}, "bad", 200),
        ({"authorization": "Bearer good", "x-write-key": "bad"}, "bad", 200),
        ({"authorization": basic("bad:"), "x-write-key": "good"}, "good", 401),
        ({"x-write-key": "good"}, "bad", 200),
        ({"x-write-key": "id:secret"}, "id:***", 200),
        ({"x-write-key": "bad"}, "good", 401),
    ],
)
def test_the_key_is_taken_from_basic_then_bearer_then_x_write_key_then_the_body(
    headers: dict[str, str], body_key: str | None, status: int
) -> None:
    rig = Rig(write_keys=frozenset({"good", "id:secret"}))

    answer = post(rig.app, BODY | ({} if body_key is None else {"writeKey": body_key}), headers=headers)

    assert answer.status_code == status
    assert rig.ids == (["m1"] if status == 200 else [])
    if status == 401:
        assert answer.json()["code"] == "unknown_key"


def test_without_known_keys_any_is_taken_and_none_at_all(rig: Rig) -> None:
    assert post(rig.app, BODY).status_code == 200
    assert post(rig.app, BODY, headers={"authorization": basic("whatever:")}).status_code == 200


def test_an_empty_set_of_keys_knows_nobody() -> None:
    assert post(Rig(write_keys=frozenset()).app, BODY, headers={"x-write-key": "x"}).status_code == 401


def test_segments_browser_client_finds_its_settings() -> None:
    app = Rig(write_keys=frozenset({"k y"})).app

    answer = ask(app, "GET", "/v1/projects/k%20y/settings", headers={"origin": "https://shop.example"})
    assert (answer.status_code, answer.json()) == (200, {"integrations": {"Segment.io": {"apiKey": "k y"}}})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert ask(app, "GET", "/v1/projects/other/settings").status_code == 401


# --- browsers ---


def test_a_browser_may_ask_first_from_any_page(rig: Rig) -> None:
    headers = {
        "origin": "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-write-key,x-retry-count",
    }
    answer = ask(rig.app, "OPTIONS", "/v1/t", headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "x-write-key", "x-retry-count"} <= set(allowed)
    assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert answer.headers["vary"] == "Origin"


def test_a_refusal_can_be_read_by_the_page_too(rig: Rig) -> None:
    rig.publisher.close(0)
    answer = post(rig.app, BODY, headers={"origin": "null"})

    assert answer.status_code == 503
    assert answer.headers["access-control-allow-origin"] == "null"
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


def test_without_an_origin_nothing_is_said_about_origins(rig: Rig) -> None:
    assert not any(name.startswith("access-control") for name in post(rig.app, BODY).headers)


# --- refusals ---


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "not_json"),
        (b"hello", {}, 400, "not_json"),
        (b'{"batch":[{}', {}, 400, "not_json"),
        (b"[]", {}, 400, "not_an_event"),
        (b"{}", {}, 400, "missing_field"),
        (b'{"batch":5}', {}, 400, "wrong_type"),
        (b"\xff\xfe{}", {}, 400, "not_utf8"),
        (b'{"batch":' + b"[" * 300_000 + b"]" * 300_000 + b"}", {}, 400, "bad_value"),
        (gzip.compress(b"{}" * 99, mtime=0)[:-9], {}, 400, "not_gzip"),
        (b"{}", {"content-encoding": "gzip"}, 400, "not_gzip"),
        (b"{}", {"content-encoding": "br"}, 415, "unknown_encoding"),
        (b"x" * (LIMITS.max_body_bytes + 1), {}, 413, "too_large"),
        (gzip.compress(b"x" * 10_000_000, mtime=0), {}, 413, "too_large"),
        (b'{"batch":[' + b"1," * LIMITS.max_batch_events + b"1]}", {}, 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_taken_apart_is_refused_whole(
    rig: Rig, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = post(rig.app, body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message"}
    assert answer.headers["content-type"] == "application/json"
    assert "retry-after" not in answer.headers
    assert rig.publisher.records == [[], [], [], []]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/batch", 405, "wrong_method"),
        ("HEAD", "/v1/t", 405, "wrong_method"),
        ("PUT", "/api/s/track", 405, "wrong_method"),
        ("POST", "/", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("POST", "/v1/x", 404, "not_found"),
        ("POST", "/health", 404, "not_found"),
        ("GET", "/v1/projects//settings", 404, "not_found"),
        ("GET", "/v1/projects/a/b/settings", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_refused(rig: Rig, method: str, path: str, status: int, code: str) -> None:
    answer = ask(rig.app, method, path)

    assert answer.status_code == status
    assert answer.headers.get("allow") == ("POST, OPTIONS" if status == 405 else None)
    if method != "HEAD":
        assert answer.json()["code"] == code


def test_a_body_of_exactly_the_limit_is_read_in_one_part_or_many() -> None:
    text = json.dumps({"batch": [track(1)]}).encode()
    limits = Limits(max_body_bytes=len(text))

    for parts in (1, 7, len(text)):
        assert asyncio.run(send_in_parts(Rig(limits=limits).app, text, parts)) == 200
        assert asyncio.run(send_in_parts(Rig(limits=limits).app, text + b" ", parts)) == 413


async def send_in_parts(app: ASGIApp, body: bytes, parts: int, then: str = "http.request") -> int:
    """Straight into the application, in parts of equal size; 0 when it does not answer."""
    size = -(-len(body) // parts)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": then, "body": b"", "more_body": False})

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    sent = await spoken(app, receive)
    return int(sent[0]["status"]) if sent else 0


SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/batch", "headers": []}


async def spoken(app: ASGIApp, receive: Receive, scope: Scope = SCOPE) -> list[MutableMapping[str, Any]]:
    """What the application says to a server."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def test_a_body_that_says_it_is_too_large_is_not_read_and_one_without_end_not_to_its_end() -> None:
    length = (b"content-length", b"%d" % (LIMITS.max_body_bytes + 1))
    read = count()

    async def receive() -> MutableMapping[str, Any]:
        next(read)
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    assert asyncio.run(spoken(Rig().app, receive, SCOPE | {"headers": [length]}))[0]["status"] == 413
    assert next(read) == 0
    assert asyncio.run(spoken(Rig().app, receive))[0]["status"] == 413
    assert next(read) < 15


def test_a_client_that_leaves_before_its_body_is_whole_leaves_nothing_behind(rig: Rig) -> None:
    body = json.dumps(BODY).encode()

    assert asyncio.run(send_in_parts(rig.app, body, 2, then="http.disconnect")) == 0
    assert rig.publisher.records == [[], [], [], []]


def test_a_body_that_takes_too_long_is_refused_with_408_which_clients_send_again() -> None:
    rig = Rig(limits=Limits(read_within_s=0.05))

    async def receive() -> MutableMapping[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.sleep(10)
        raise AssertionError("it waited")

    messages = [{"type": "http.request", "body": b"{", "more_body": True}]

    sent = asyncio.run(spoken(rig.app, receive))

    assert sent[0]["status"] == 408
    assert (b"retry-after", b"2") in sent[0]["headers"]


def test_an_event_over_the_limit_is_a_dead_letter_and_its_neighbours_are_kept() -> None:
    rig = Rig(limits=Limits(max_event_bytes=500))

    answer = post(rig.app, {"batch": [track(1), track(2, properties={"x": "y" * 500}), track(3)]})

    assert (answer.status_code, rig.ids, rig.reasons) == (200, ["m1", "m3"], [("too_large", "")])


def test_the_largest_bad_event_there_can_be_fits_into_a_record(rig: Rig) -> None:
    envelope = b'{"batch":["%s"]}'
    body = envelope % (b"x" * (LIMITS.max_body_bytes - len(envelope) + 2))
    assert len(body) == LIMITS.max_body_bytes

    assert post(rig.app, body).json()["rejected"] == 1
    (record,) = [record for partition in rig.publisher.records for record in partition]
    assert record.size < 900_000


@pytest.mark.parametrize(
    "limit",
    [
        {"max_body_bytes": LIMITS.max_body_bytes + 1},
        {"max_body_bytes": 0},
        {"max_event_bytes": LIMITS.max_event_bytes + 1},
        {"max_event_bytes": -1},
        {"max_batch_events": 0},
        {"max_in_flight_bytes": 0},
        {"answer_within_s": 0.0},
        {"read_within_s": 0.0},
    ],
)
def test_limits_that_cannot_be_kept_are_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Limits(**limit)


# --- when Kafka does not take it ---


class Failing(MemoryPublisher):
    """Refuses the first publish with this error."""

    def __init__(self, error: PublishError) -> None:
        super().__init__()
        self.error: PublishError | None = error

    def publish(self, records: Sequence[Record]) -> Future[None]:
        if self.error is not None:
            failed: Future[None] = Future()
            failed.set_exception(self.error)
            self.error = None
            return failed
        return super().publish(records)


@pytest.mark.parametrize(
    ("error", "code", "retry_after"),
    [
        (PublishError("overloaded", "full", retry_after_s=0.2), "overloaded", "1"),
        (PublishError("unavailable", "gone", retry_after_s=4.1), "unavailable", "5"),
        (PublishError("closed", "stopping"), "unavailable", "1"),
    ],
)
def test_what_kafka_does_not_acknowledge_is_answered_with_503_and_accepted_when_sent_again(
    error: PublishError, code: str, retry_after: str
) -> None:
    publisher = Failing(error)
    app = create_app(publisher, write_keys=None, is_ready=lambda: True)

    first, second = post(app, BODY), post(app, BODY)

    assert (first.status_code, first.json()["code"], first.headers["retry-after"]) == (503, code, retry_after)
    assert second.status_code == 200
    assert [event.event_id for event in stored(publisher.records)[0]] == ["m1"]


def test_200_comes_after_the_acknowledgement_and_not_before(rig: Rig) -> None:
    async def run() -> int:
        rig.publisher.pause()
        asking = asyncio.ensure_future(ask_async(rig.app, "POST", "/v1/batch", json.dumps(BODY).encode()))
        await asyncio.sleep(0.1)
        assert not asking.done()
        rig.publisher.resume()
        return (await asking).status_code

    assert asyncio.run(run()) == 200


def test_a_kafka_that_says_nothing_is_answered_with_503_in_time() -> None:
    rig = Rig(limits=Limits(answer_within_s=0.1))
    rig.publisher.pause()

    answer = post(rig.app, BODY)

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def test_more_than_the_bytes_under_way_is_answered_with_503_at_once_and_room_comes_back() -> None:
    body = json.dumps(BODY).encode()
    rig = Rig(limits=Limits(max_in_flight_bytes=int(2.9 * len(body))))

    async def run() -> None:
        rig.publisher.pause()
        waiting = [asyncio.ensure_future(ask_async(rig.app, "POST", "/v1/batch", body)) for _ in range(2)]
        await asyncio.sleep(0.05)
        third = await ask_async(rig.app, "POST", "/v1/batch", body)
        assert (third.status_code, third.json()["code"], third.headers["retry-after"]) == (503, "overloaded", "2")
        packed = gzip.compress(b'{"batch":[]}' + b" " * 9999)
        assert len(packed) < 0.9 * len(body)
        assert (await ask_async(rig.app, "POST", "/v1/batch", packed)).status_code == 503
        rig.publisher.resume()
        assert [(await answer).status_code for answer in waiting] == [200, 200]
        for _ in range(5):
            assert (await ask_async(rig.app, "POST", "/v1/batch", body)).status_code == 200

    asyncio.run(run())


def test_a_failure_of_our_own_is_a_500_that_clients_send_again_and_the_next_request_is_served() -> None:
    calls = count()

    def clock() -> datetime:
        if next(calls) == 0:
            raise RuntimeError("the clock fell off the wall")
        return datetime.now(UTC)

    rig = Rig(now=clock)

    answer = post(rig.app, BODY)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "clock" not in answer.text
    assert post(rig.app, BODY).status_code == 200


# --- watching it ---


def test_health_is_whether_kafka_can_be_reached() -> None:
    assert ask(Rig().app, "GET", "/health").json() == {"status": "ok"}
    assert ask(Rig().app, "HEAD", "/health").content == b""
    answer = ask(Rig(is_ready=lambda: False).app, "GET", "/health")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "not_ready", "2")


def test_with_a_spool_health_is_whether_events_are_taken() -> None:
    state = SpoolState(is_direct=True, is_full=False, records=0, bytes=0, refused=0, oldest=None)
    with_kafka = Rig(spool=lambda: state)
    without = Rig(spool=lambda: state, is_ready=lambda: False)
    assert ask(with_kafka.app, "GET", "/health").json() == {"status": "ok"}
    nothing_yet = {"status": "spooling", "records": 0, "bytes": 0, "oldest_s": 0.0}
    assert ask(without.app, "GET", "/health").json() == nothing_yet
    state = SpoolState(False, False, records=3, bytes=900, refused=1, oldest=NOW - timedelta(seconds=90))
    answer = ask(with_kafka.app, "GET", "/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "spooling", "records": 3, "bytes": 900, "oldest_s": 90.0, "refused": 1}
    values = [
        REGISTRY.get_sample_value(f"yesladder_collector_spool_{name}")
        for name in ("records", "bytes", "oldest_seconds", "refused_records")
    ]
    assert values == [3, 900, 90.0, 1]
    state = state._replace(is_full=True)
    answer = ask(with_kafka.app, "GET", "/health")
    assert (answer.status_code, answer.json()["code"], "retry-after" in answer.headers) == (503, "not_ready", True)
    state = SpoolState(is_direct=True, is_full=True, records=1, bytes=9, refused=1, oldest=None)
    assert ask(without.app, "GET", "/health").status_code == 503
    assert ask(with_kafka.app, "GET", "/health").json() == {"status": "ok", "refused": 1}


def test_health_is_not_asked_more_than_once_a_second_however_many_want_to_know() -> None:
    asked = count()
    rig = Rig(is_ready=lambda: next(asked) >= 0)

    async def run() -> None:
        for _ in range(3):
            await asyncio.gather(*(ask_async(rig.app, "GET", "/health") for _ in range(10)))

    asyncio.run(run())

    assert next(asked) == 1


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_metrics_count_events_rejects_by_reason_and_answers(rig: Rig) -> None:
    watched: list[Callable[[], float]] = [
        lambda: sample("yesladder_collector_events_total"),
        lambda: sample("yesladder_collector_events_rejected_total", reason="missing_field"),
        lambda: sample("yesladder_collector_answers_total", status="200"),
        lambda: sample("yesladder_collector_answers_total", status="400"),
        lambda: sample("yesladder_collector_publish_seconds_count"),
    ]
    before = [read() for read in watched]

    post(rig.app, {"batch": [track(1), track(2), {"type": "track"}]})
    post(rig.app, b"hello")

    assert [now - then for now, then in zip((read() for read in watched), before, strict=True)] == [2, 1, 1, 1, 1]
    page = ask(rig.app, "GET", "/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert "yesladder_collector_in_flight_bytes 0.0" in page.text


def test_it_says_so_when_it_is_asked_to_speak_something_else() -> None:
    async def run() -> None:
        async def receive() -> MutableMapping[str, Any]:
            return {}

        async def send(_: MutableMapping[str, Any]) -> None:
            return

        await Rig().app({"type": "websocket", "path": "/", "headers": []}, receive, send)

    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(run())
