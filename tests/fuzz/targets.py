"""What is fuzzed: everything that strangers write and we read.

A target takes any bytes and raises where a promise is broken.  Bytes that begin with an even one are the input itself;
odd ones choose changes to real input, so that what lies behind the first check is reached, too.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import gzip
import io
import json
import random
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import click
import polars as pl
from pydantic_core import PydanticUseDefault

from ladder.connection import KafkaConnection
from ladder.durations import format_duration, parse_duration
from ladder.errors import UsageError, YesladderError
from ladder.events import CANONICAL_HEADER, Event, encode
from ladder.rejects import REJECT_HEADER
from ladder.tables import EVENTS
from ladder.tiers import ROLES, parse_ladder
from producers.collector import ROUTES, create_app
from producers.columns import parse_columns
from producers.files import read_batches
from producers.publisher import MemoryPublisher
from producers.replay import parse_speed
from stream.checkpoint import without_landed
from stream.cuts import Cuts
from stream.decoding import decode
from stream.marks import MarkTable
from tests.suites.collector_client import stored
from tests.suites.consumed import Record
from yesladder.cli import cli
from yesladder.settings import Settings, read_settings
from yesladder.simulated import simulation

Target = Callable[[bytes], None]

HERE = Path(__file__).parent
NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
_PATHS = sorted(ROUTES)
_NASTY: list[Any] = [
    None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.1, -0.0, 1e308, 5e-324, "", " ", "\x00",
    "\ud800", "\U0001f600", "a" * 255, "a" * 257, "x" * 40_000, "2026-11-22T20:00:00Z", "2026-11-22T20:00:00+23:59",
    "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z", "NaN", [], {}, [[]], {"": {}},
    [None], {"a": [{"b": {}}]}, [0] * 300, {"$ref": "#"}, "<script>", "'; drop table events; --", "http://[::1", "//",
]  # fmt: skip
_BYTES = [b"\x00", b"\xff", b"\xed\xa0\x80", b"\n", b"\r\n", b'"', b"\\u0000", b"{", b"}", b"[", b"]", b",", b"1e999"]


class Broken(Exception):
    """A promise was broken."""


def expect(holds: bool, promise: str, *shown: object) -> None:
    if not holds:
        raise Broken(f"{promise}: {', '.join(map(repr, shown))}")


# --- the collector ---


def collector(data: bytes) -> None:
    """Any request gets an answer, never a 500; what was accepted is stored, and the stream takes it."""
    chance = random.Random(data)
    body, path = (data[1:], chance.choice(_PATHS)) if _is_plain(data) else _changed_request(chance)
    headers: list[tuple[bytes, bytes]] = []
    if chance.random() < 0.1:
        body = gzip.compress(body, 1) if chance.random() < 0.7 else body
        headers.append((b"content-encoding", chance.choice([b"gzip", b"GZIP", b"x-gzip", b"br", b""])))
    publisher = MemoryPublisher(partitions=2)
    status, answer = asyncio.run(_ask(publisher, path, headers, body))
    expect(status in (200, 400, 413, 415), "a request is answered", status, answer)
    told = json.loads(answer)
    events, rejects = stored(publisher.records)
    if status != 200:
        expect(not events and not rejects and {"code", "message"} <= told.keys(), "a refusal stores nothing", told)
        return
    expect((len(events), len(rejects)) == (told["accepted"], told["rejected"]), "what was accepted is stored", told)
    records = [
        Record(record.value, record.headers, offset, partition)
        for partition, kept in enumerate(publisher.records)
        for offset, record in enumerate(kept)
    ]
    taken = decode(records)
    expect(len(taken.events) == len(events), "the stream takes what the collector accepted", taken.rejects)
    expect(all(one.reject.stage == "collector" for one in taken.rejects), "dead letters stay what they are")


async def _ask(
    publisher: MemoryPublisher, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes]:
    app = create_app(publisher, write_keys=None, is_ready=lambda: True, now=lambda: NOW)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    length = (b"content-length", b"%d" % len(body))
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": [length, *headers]}
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


@cache
def _captured() -> list[tuple[str, Any]]:
    """Paths and bodies of the real clients' requests."""
    found = []
    for file in sorted((HERE.parent / "captures").glob("*.json")):
        for request in json.loads(file.read_bytes())["requests"]:
            if "body" in request:
                found.append((request["path"], request["body"]))
            elif "body_base64" in request:
                body = base64.b64decode(request["body_base64"])
                found.append((request["path"], json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)))
    return found


def _changed_request(chance: random.Random) -> tuple[bytes, str]:
    path, body = chance.choice(_captured())
    if path not in ROUTES:
        path = chance.choice(_PATHS)
    text = json.dumps(_changed(copy.deepcopy(body), chance)).encode()
    return (_damaged(text, chance) if chance.random() < 0.1 else text), path


def _changed(value: Any, chance: random.Random) -> Any:
    """A few places of a JSON value changed."""
    for _ in range(chance.randint(1, 4)):
        value = _change(value, chance)
    return value


def _change(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        turn = chance.random()
        if turn < 0.1:
            del value[key]
        elif turn < 0.2:
            value[chance.choice([*_keys(), str(chance.choice(_NASTY))])] = copy.deepcopy(chance.choice(_NASTY))
        else:
            value[key] = _change(value[key], chance)
        return value
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        if chance.random() < 0.1:
            value.append(copy.deepcopy(value[place]))
        else:
            value[place] = _change(value[place], chance)
        return value
    return copy.deepcopy(chance.choice(_NASTY))


@cache
def _keys() -> list[str]:
    names = (
        "type event name messageId anonymousId userId previousId groupId timestamp originalTimestamp sentAt properties"
    )
    return f"{names} traits context page url referrer campaign device userAgent library consent batch category".split()


def _damaged(text: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice(_BYTES) + text[place + chance.randrange(4) :]


# --- Kafka record values ---

_EVENT = Event(event_id="e", visitor_id="v", occurred_at=NOW, received_at=NOW, name="n", properties='{"a":1}')
_HEADERS: list[tuple[tuple[str, bytes], ...]] = [(), (CANONICAL_HEADER,), (REJECT_HEADER,), (("content-type", b"?"),)]


def record(data: bytes) -> None:
    """Any record is taken apart into events and dead letters, whatever is beside it; the lake has room for each."""
    chance = random.Random(data)
    value: bytes | None
    if _is_plain(data):
        value = data[1:]
    else:
        lines = [_changed_event(chance) for _ in range(chance.randint(1, 3))]
        value = chance.choice([b"\n".join(lines), b"[" + b",".join(lines) + b"]", lines[0]])
        value = None if chance.random() < 0.01 else value
    time = chance.choice([None, -1, 0, 1_772_366_400_000, 2**62, -(2**62)])
    strange = Record(value, chance.choice(_HEADERS), 1, 0, time)
    good = Record(encode(_EVENT), (CANONICAL_HEADER,), 0, 0)
    alone, beside = decode([strange]), decode([good, strange])
    expect(
        len(alone.events) + len(alone.rejects) > 0 or not (value or b"").strip(b" []\n\r\t"), "something comes of it"
    )
    expect(beside.events["event_id"][0] == "e", "the record before it is not harmed")
    expect(beside.events.slice(1).equals(alone.events), "it is read alike alone and beside others")
    expect(len(beside.rejects) == len(alone.rejects), "it is refused alike alone and beside others")
    rows = beside.events.with_columns(late=pl.lit(False), source=pl.lit("kafka:events"))
    schema = without_landed(EVENTS)
    rows.select(schema.names).to_arrow().cast(schema)


def _changed_event(chance: random.Random) -> bytes:
    message = json.loads(encode(_EVENT)) if chance.random() < 0.7 else chance.choice(_captured())[1]
    line = json.dumps(_changed(copy.deepcopy(message), chance)).encode()
    return _damaged(line, chance) if chance.random() < 0.2 else line


# --- ladder files ---

_LADDER = """name = "l"
session_gap = "30m"
lateness = "2h"
conversion_window = "1d"
max_session_length = "24h"
max_session_events = 100
tiers = ["spark", "micro", "mini"]
[[on]]
event = "Seen"
where = { plan = "pro", seats = 2 }
is = [{ tier = "spark", role = "ask", step = "see" }, { tier = "micro", role = "yes" }]
[[on]]
where = { kind = "x" }
is = [{ tier = "mini", role = "no" }]
"""
_TOML = [
    "1", "-1", "1.5", "nan", "inf", "true", '""', '"30m"', '"99999999999d"', '"1e9d"', "[]", "{}", "2020-01-01", "'",
    '"""', "=", "[[on]]", "[on]", "tier", "role", "where = {}", "is = []", "#", '"\\u0000"', "9" * 20, ".",
]  # fmt: skip


def ladder_file(data: bytes) -> None:
    """Any text is a ladder that everything can work with, or is refused in one line that names the file and a line."""
    text = data[1:].decode(errors="replace") if _is_plain(data) else _changed_text(_LADDER, _TOML, random.Random(data))
    try:
        found = parse_ladder(text, "the file")
    except UsageError as error:
        expect(str(error).startswith("the file") and "\n" not in str(error), "it is refused in a line", str(error))
        return
    for rule in found.rules:
        for mark in found.marks_of(rule.event or "Seen", dict(rule.where)):
            expect(1 <= mark.tier <= len(found.tiers) and mark.role in ROLES, "marks stay on the ladder", mark)
    MarkTable(found).of(pl.Series(["Seen", ""]), pl.Series(['{"plan":"pro","seats":2}', "{}"]))
    Cuts.of(found)
    format_duration(found.session_gap)


def _changed_text(text: str, parts: list[str], chance: random.Random) -> str:
    tokens = text.split(" ")
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(tokens))
        turn = chance.random()
        if turn < 0.2:
            del tokens[place : place + 1]
            tokens = tokens or [""]
        elif turn < 0.4:
            tokens.insert(place, chance.choice(parts))
        elif turn < 0.5:
            tokens.insert(place, chance.choice(tokens))
        else:
            tokens[place] = chance.choice(parts)
    return " ".join(tokens)


# --- files ---

_COLUMNS = parse_columns("visitor=who,event=what,time=when,id=id")
_CSV = 'who,what,when,id,x\nann,Seen,2026-11-22T20:00:00Z,1,"a, ""b"""\nbob,Bought,1732300000,2,\n'
_CSV_PARTS = ["\n", "\r\n", '"', '""', ",", "\t", ";", "who", "\ufeff", "\x00", "2026-11-22", "1e999", "-1", "é", "NaN"]


def event_file(data: bytes) -> None:
    """Any file is read to its end, line by line into events and dead letters, or refused in one line."""
    chance = random.Random(data)
    suffix = chance.choice([".ndjson", ".csv", ".tsv", ".json", ".parquet"])
    content = data[1:] if _is_plain(data) else _changed_file(suffix, chance)
    if chance.random() < 0.1:
        content = gzip.compress(content, 1)[: None if chance.random() < 0.5 else -3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"events{suffix}"
        path.write_bytes(content)
        try:
            batches = list(read_batches([path], _COLUMNS, NOW, batch_size=7))
        except YesladderError as error:
            expect("\n" not in str(error), "it is refused in a line", str(error))
            return
    if suffix == ".ndjson" and content[:2] != b"\x1f\x8b":
        lines = [line for line in content.split(b"\n") if line.strip()]
        read = sum(len(batch.events) + len(batch.rejects) for batch in batches)
        expect(read == len(lines), "each line comes to something", read, lines)
    for batch in batches:
        for event in batch.events:
            encode(event)


def _changed_file(suffix: str, chance: random.Random) -> bytes:
    if suffix in (".csv", ".tsv"):
        return _changed_text(_CSV.replace(",", " , "), _CSV_PARTS, chance).replace(" , ", ",").encode()
    if suffix == ".parquet":
        return _damaged(_parquet(), chance)
    return b"\n".join(_changed_event(chance) for _ in range(chance.randint(1, 4)))


@cache
def _parquet() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.parquet"
        pl.DataFrame({"who": ["ann"], "what": ["Seen"], "when": [NOW], "id": ["1"], "x": [1.5]}).write_parquet(path)
        return path.read_bytes()


# --- the command line ---

_WORDS = [
    "", "-", "--", "--help", "-h", "--json", "=", "0", "-1", "1e9", "99999999999999999999", "nan", "30m", "0s", "-5m",
    "60x", "1,2", "at=2026-01-10T12:00,for=1h", "at=x,for=1h", "visitor=a,event=b,time=c", "visitor=", "localhost:9092",
    "h:0", "[::1]:9092", ":9092", "a:b:c", "\x00", "\udc80", "é", "../..", "2026-13-45", "SASL_SSL", "session", "é=1",
]  # fmt: skip


def arguments(data: bytes) -> None:
    """Any words are understood, or refused as wrong usage; no value breaks what reads it."""
    chance = random.Random(data)
    texts = data[1:].decode(errors="surrogateescape").split("\x1f") if _is_plain(data) else []
    words = texts or [chance.choice(_options() + _WORDS) for _ in range(chance.randint(0, 6))]
    name = chance.choice(sorted(cli.commands))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            cli.commands[name].make_context(name, list(words))
    except (click.ClickException, click.exceptions.Exit, YesladderError):
        pass
    except ValueError as error:  # what Python says of a path with a zero byte, which no shell can pass on
        expect("null byte" in str(error), "words are understood or refused", words)
    text = chance.choice(words or [""])
    _understood_or_refused(lambda: parse_duration(text), ValueError)
    _understood_or_refused(lambda: parse_columns(text))
    _understood_or_refused(lambda: parse_speed(text))
    _understood_or_refused(lambda: KafkaConnection(text))
    _understood_or_refused(lambda: simulation(10, 1, NOW, text, None, []))
    _understood_or_refused(lambda: simulation(10, 1, NOW, "1d", text, []))
    _understood_or_refused(lambda: simulation(10, 1, NOW, "1d", None, [text]))
    field = chance.choice(sorted(Settings.model_fields))
    _understood_or_refused(lambda: read_settings(**{field: text}))


@cache
def _options() -> list[str]:
    found = {option for command in cli.commands.values() for one in command.params for option in one.opts}
    return sorted(found) + sorted(cli.commands)


def _understood_or_refused(read: Callable[[], object], error: type[Exception] = UsageError) -> None:
    try:
        read()
    except (error, PydanticUseDefault) as refused:
        expect("\n" not in str(refused), "it is refused in a line", str(refused))


def _is_plain(data: bytes) -> bool:
    return bool(data) and data[0] % 2 == 0


TARGETS: dict[str, Target] = {
    "collector": collector,
    "record": record,
    "ladder_file": ladder_file,
    "event_file": event_file,
    "arguments": arguments,
}
