"""Whatever a file holds: read in columns it is what it is line by line."""

from __future__ import annotations

import gzip
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from hypothesis import example, given, settings, strategies as st
from polars.testing import assert_frame_equal

from ladder.errors import YesladderError
from ladder.events import KINDS, Event, encode
from ladder.rejects import Reject
from producers.files import read_batches
from producers.frames import read_frames
from producers.plain import line_begins, take_plain
from stream.decoding import frame_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

texts = st.text(st.characters(codec="utf-8"), max_size=6)
ids = st.one_of(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), st.sampled_from(["x" * 256, "ü" * 129]))
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(-1e30, 1e30), texts)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2), max_leaves=4
)
flat = st.dictionaries(texts, scalars, max_size=3)
objects = flat | st.dictionaries(texts, json_values, max_size=3)
NO_OBJECTS = [
    "", "{", "}", "{}x", "[]", "null", "{'a':1}", '{"a":01}', '{"a":1,}', '{"a":.5}', '{"a":-}', '{"a":1e999}', " {}",
     "{1:2}", '{"a":NaN}', '{"a":tru}', '{"a" 1}', '{"a":"\t"}', '{"a":"\\ud800"}', "{} ", '{"a":{"b":[}}',
     "{" * 2000 + "}"
]  # fmt: skip
CONSENTS = [{"consent": "denied"}, {"consent": {"analytics": False}}, {"consent": True}, {"x": "consent"}]
TIMES = ["2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T23:59:60Z", "2026-01-01T10:00:00+02:00", "",
         "1999-12-31T23:59:59.999999Z", "2100-01-01T00:00:00Z", "2026-01-01T00:00:00.1Z", "2026-01-01 00:00:00Z",
         "0000-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-00-00T00:00:00Z",
         "2026-01-01T00:00:00"]  # fmt: skip
times = st.one_of(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)).map(
        lambda at: at.isoformat().replace("+00:00", "Z")
    ),
    st.sampled_from(TIMES),
)


@st.composite
def fields(draw: st.DrawFn) -> dict[str, Any]:
    """An event's fields, nearly always as the contract has them, in its order."""
    at = draw(times)
    made: dict[str, Any] = {
        "event_id": draw(ids),
        "visitor_id": draw(ids),
        "occurred_at": at,
        "received_at": draw(st.just(at) | times),
        "kind": draw(st.none() | st.sampled_from(KINDS)),
        "name": draw(ids),
        "user_id": draw(st.none() | ids),
        "properties": draw(st.one_of(st.none(), flat.map(_compact), objects.map(_compact), objects.map(json.dumps))),
        "context": draw(
            st.one_of(st.none(), st.none(), objects.map(_compact), st.sampled_from(CONSENTS).map(_compact))
        ),
        "page_url": draw(st.none() | texts),
        "referrer": draw(st.none() | texts),
        "utm_source": draw(st.none() | texts),
        "device_class": draw(st.none() | texts),
    }
    return {name: value for name, value in made.items() if value is not None}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _print(fields: object) -> bytes:
    return msgspec.json.encode(fields)


@st.composite
def spelled_otherwise(draw: st.DrawFn) -> bytes:
    """The same or nearly so, as other programs write it."""
    one = draw(fields())
    change = draw(st.sampled_from(["spaces", "ascii", "order", "objects", "odd", "twice", "more", "missing", "text"]))
    if change == "spaces":
        return json.dumps(one, indent=None, separators=draw(st.sampled_from([(", ", ": "), (" ,", " :")]))).encode()
    if change == "ascii":
        return json.dumps(one, separators=(",", ":")).encode().replace(b"e", b"\\u0065", draw(st.integers(0, 3)))
    if change == "order":
        return _print(dict(draw(st.permutations(list(one.items())))))
    if change == "objects":
        return _print(one | {draw(st.sampled_from(["properties", "context"])): draw(objects)})
    name = draw(st.sampled_from(sorted(one)))
    if change == "odd":
        return _print(one | {name: draw(st.sampled_from([None, 1, 1.5, True, [], {}, "", "x" * 257, "ü" * 257]))})
    if change == "twice":
        return b"%s,%s:%s}" % (_print(one)[:-1], _print(name), _print(draw(ids)))
    if change == "more":
        return _print(one | {draw(texts): draw(json_values)})
    if change == "text":
        return _print(one | {draw(st.sampled_from(["properties", "context"])): draw(st.sampled_from(NO_OBJECTS))})
    return _print({other: value for other, value in one.items() if other != name})


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A line with bytes put in, taken out or replaced."""
    line = bytearray(_print(draw(fields())))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(line)))
        with_what = draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b"\xff", b"\x00", b" ", b"\\u0000", b"{"])
        )
        line[at : at + draw(st.integers(0, 2))] = with_what
    return bytes(line)


segments = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "page", "nothing"]), "anonymousId": ids, "event": ids},
    optional={"messageId": ids, "timestamp": times, "properties": objects, "visitor_id": scalars},
).map(_print)
lines = st.one_of(
    *[fields().map(_print)] * 4,
    spelled_otherwise(),
    broken(),
    segments,
    st.sampled_from([b"", b"  ", b"\r", b"\xef\xbb\xbf", b"{}", b"\x00", b"[" * 3000, b'"visitor_id"', b"x" * 300_000]),
)
ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    written = b"".join(draw(lines) + draw(ends) for _ in range(draw(st.integers(0, 12))))
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + (
        written if draw(st.booleans()) else written.rstrip(b"\n")
    )


Found = tuple[pl.DataFrame, list[Reject], str]


def one_by_one(paths: list[Path]) -> Found:
    """The careful reader alone."""
    events: list[Event] = []
    rejects: list[Reject] = []
    said = ""
    try:
        for batch in read_batches(paths, None, NOW, batch_size=1):
            events += batch.events
            rejects += batch.rejects
    except YesladderError as error:
        said = str(error)
    return (
        frame_of(events, 0, range(len(events))).select(pl.exclude("partition", "record_offset", "record_time")),
        rejects,
        said,
    )


def in_columns(paths: list[Path], piece_bytes: int) -> Found:
    """By pieces; what they say of places puts all in one order, without a gap."""
    frames = [frame_of([], 0, []).drop("partition", "record_time")]
    placed: list[tuple[int, Reject]] = []
    said = ""
    try:
        for part in read_frames(paths, None, NOW, piece_bytes=piece_bytes):
            if part.plain is not None:
                frames.append(part.plain.select(pl.exclude("place"), record_offset="place"))
            frames.append(frame_of(part.events, 0, part.event_places).drop("partition", "record_time"))
            placed.extend(zip(part.reject_places, part.rejects, strict=True))
    except YesladderError as error:
        said = str(error)
    events = pl.concat(frames).sort("record_offset")
    places = sorted([*events["record_offset"], *(place for place, _ in placed)])
    assert places == list(range(len(places)))
    assert [place for place, _ in placed] == sorted(place for place, _ in placed)
    return events.drop("record_offset"), [reject for _, reject in placed], said


def told(rejects: list[Reject]) -> list[object]:
    return [msgspec.to_builtins(reject) for reject in rejects]


@settings(deadline=None, max_examples=50)
@given(st.lists(files(), min_size=1, max_size=2), st.sampled_from([100, 1000, 1 << 24]), st.none() | st.integers(1, 40))
@example(
    [
        b'{"event_id":"1","visitor_id":"v","occurred_at":"2026-01-01T00:00:00Z",'
        b'"received_at":"2026-01-01T00:00:00Z","name":"n","properties":"{\\"a\\":\xff}"}'
    ],
    1 << 24,
    None,
)
@example(
    [encode(Event(event_id="1", visitor_id="v", occurred_at=NOW + timedelta(1), received_at=NOW, name="n"))], 99, None
)
def test_a_file_in_columns_is_the_file_line_by_line(contents: list[bytes], piece_bytes: int, cut: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{n}.ndjson") for n in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content if cut is None else gzip.compress(content)[: -cut or None])
        want_events, want_rejects, want_said = one_by_one(paths)
        # Of a file that breaks off small reads get more than large ones.
        events, rejects, said = in_columns(paths, piece_bytes if cut is None else 1 << 24)
    assert_frame_equal(events, want_events)
    assert told(rejects) == told(want_rejects)
    assert said == want_said


def test_each_oddity_in_an_otherwise_plain_line_is_told_as_line_by_line(tmp_path: Path) -> None:
    at = "2026-01-01T00:00:00.000001Z"
    plain = {"event_id": "e", "visitor_id": "v", "occurred_at": at, "received_at": at, "name": "n"}
    odd: list[dict[str, Any]] = [plain]
    for moment in TIMES:
        odd += [plain | {"occurred_at": moment}, plain | {"received_at": moment}]
        odd += [plain | {"occurred_at": moment, "received_at": moment}]
    for text in [*NO_OBJECTS, *map(_compact, CONSENTS)]:
        odd += [plain | {"properties": text}, plain | {"context": text}, plain | {"properties": "{}", "context": text}]
    for name in ("event_id", "visitor_id", "name", "user_id", "kind", "page_url", "properties"):
        for value in (
            "",
            "x" * 256,
            "x" * 257,
            "ü" * 200,
            "ü" * 257,
            None,
            1,
            {"a": 1},
            '\n\t\x00\x7f\u2028"\\/',
            "x" * 140_000,
        ):
            odd += [{key: (plain | {name: value})[key] for key in _IN_ORDER if key in plain | {name: value}}]
    lines = [_print(one) for one in odd]
    path = tmp_path / "odd.ndjson"
    path.write_bytes(b"\n".join([*lines, *(line[:60] + b"\xe9" + line[60:] for line in lines[:3])]))
    want_events, want_rejects, _ = one_by_one([path])
    events, rejects, _ = in_columns([path], 1 << 24)
    assert_frame_equal(events, want_events)
    assert told(rejects) == told(want_rejects)
    assert len(events) > 30
    assert len(rejects) > 80


_IN_ORDER = (
    "event_id",
    "visitor_id",
    "occurred_at",
    "received_at",
    "kind",
    "name",
    "user_id",
    "properties",
    "context",
    "page_url",
)


@settings(deadline=None, max_examples=60)
@given(st.lists(fields(), min_size=1, max_size=5))
def test_what_the_contract_prints_is_read_in_columns(made: list[dict[str, Any]]) -> None:
    now = "2026-01-01T00:00:00.000001Z"
    sound = [
        one | {"occurred_at": now, "received_at": now, "context": "{}", "properties": one.get("properties") or "{}"}
        for one in made
        if all(len(str(one.get(name, "")).encode()) <= 256 for name in ("event_id", "visitor_id", "name", "user_id"))
    ]
    text = b"".join(encode(msgspec.convert(one, Event)) + b"\n" for one in sound)
    if text:
        _, taken = take_plain(text, line_begins(text))
        assert taken.all()
