"""Whatever comes, over HTTP or straight onto Kafka: a clear answer or a reasoned reject, and nobody dies of it.

One collector and one worker, real processes on the embedded broker, are given all of it, one bad thing after the other.
At the end both are the processes that they were, and every event that was accepted has landed or is a dead letter.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import polars as pl
import pytest
from kafka import KafkaProducer

from ladder.errors import REASONS
from ladder.events import CANONICAL_HEADER
from ladder.rejects import REJECT_HEADER
from producers.embedded import EmbeddedBroker
from producers.limits import DEFAULT_LIMITS
from producers.topics import end_offsets, ensure_topic
from tests.suites.brokers import Broker
from tests.suites.command_line import Service, free_ports, is_answering
from warehouse.lake import Lake

PARTITIONS = 2
MANY = 1_000_000


@dataclass
class Road:
    """The running parts, and what they have been given so far.

    ``accepted`` and ``refused``: events, by the collector's own answers.  ``foreign_good`` and ``foreign_bad``: what
    the records written straight to Kafka hold.
    """

    collector: Service
    worker: Service
    url: str
    worker_url: str
    lake: Lake
    broker: Broker
    topic: str
    producer: Any
    accepted: int = 0
    refused: int = 0
    foreign_good: int = 0
    foreign_bad: int = 0
    pids: list[int] = field(default_factory=list)

    def post(self, body: bytes, path: str = "/v1/batch", **headers: str) -> httpx.Response:
        """Send a request and keep count of what was taken."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = httpx.post(f"{self.url}{path}", content=body, headers=names, timeout=30)
        if answer.status_code == 200:
            self.accepted += answer.json()["accepted"]
            self.refused += answer.json()["rejected"]
        return answer

    def refusal(self, body: bytes, path: str = "/v1/batch", **headers: str) -> tuple[int, str]:
        """Status and code of an answer that must be an error with nothing but code and message."""
        answer = self.post(body, path, **headers)
        said = answer.json()
        assert set(said) == {"code", "message"}, said
        assert said["message"]
        return answer.status_code, said["code"]

    def write(self, value: bytes | None, *, good: int = 0, bad: int = 0, partition: int = 0, **more: Any) -> None:
        """Put a record onto Kafka that holds so many good events and so many to be refused."""
        self.producer.send(self.topic, value, partition=partition, **more).get(timeout=30)
        self.foreign_good += good
        self.foreign_bad += bad

    def settle(self) -> None:
        """Until everything that is on Kafka has landed."""
        ends = end_offsets(self.broker.connection, self.topic)

        def landed() -> bool:
            claim = self.lake.claim(f"kafka:{self.topic}", list(ends))
            return all(claim.next_offset(partition) >= end for partition, end in ends.items())

        self.worker.until(landed, patience_s=120)

    def check(self) -> None:
        """The same processes as in the beginning, well, and every accepted event landed or refused."""
        self.settle()
        assert [self.collector.pid, self.worker.pid] == self.pids
        assert (self.collector.is_running, self.worker.is_running) == (True, True)
        assert is_answering(f"{self.url}/health")
        assert is_answering(f"{self.worker_url}/health")
        assert self.lake.scan("events").select(pl.len()).collect().item() == self.accepted + self.foreign_good
        assert self.lake.scan("rejects").select(pl.len()).collect().item() == self.refused + self.foreign_bad
        counted = self.lake.scan("checkpoints").select("landed", "rejected", "duplicates").sum().collect().row(0)
        assert counted == (self.accepted + self.foreign_good, self.refused + self.foreign_bad, 0)


@pytest.fixture(scope="module")
def road(embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    folder = tmp_path_factory.mktemp("bad input")
    topic, (port, worker_port) = f"events-{uuid4().hex}", free_ports(2)
    kafka = ["--brokers", embedded_broker.brokers, "--topic", topic, "--partitions", PARTITIONS]
    collect = ["collect", *kafka, "--port", port]
    # The brakes are for their own test: here most of what comes is bad.
    work = [
        "worker", *kafka, "--warehouse", folder, "--session-timeout", "2s", "--worker-port", worker_port,
        "--max-reject-share", "1", "--max-reject-run", "100000000", "--checkpoint-interval", "200ms",
    ]  # fmt: skip
    with (
        Service(*collect, cwd=folder, log=folder / "collector.log") as collector,
        Service(*work, cwd=folder, log=folder / "worker.log") as worker,
    ):
        url, worker_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{worker_port}"
        collector.until(lambda: is_answering(f"{url}/health"))
        worker.until(lambda: is_answering(f"{worker_url}/health"))
        producer = KafkaProducer(bootstrap_servers=embedded_broker.brokers, max_request_size=2_000_000)
        lake = Lake(folder / "lake")
        broker, pids = Broker(embedded_broker.connection), [collector.pid, worker.pid]
        yield Road(collector, worker, url, worker_url, lake, broker, topic, producer, pids=pids)
        producer.close(timeout=5)
        assert "Traceback" not in collector.words() + worker.words()


def track(name: str = "Offer Shown", /, **more: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": uuid4().hex, "anonymousId": "ann", "event": name} | more


def batch(*messages: object) -> bytes:
    return json.dumps({"batch": messages}).encode()


def wire(**more: Any) -> bytes:
    """An event of the contract as a foreign producer writes it."""
    event = {"event_id": uuid4().hex, "visitor_id": "ann", "name": "Offer Shown", "occurred_at": "2026-11-22T20:00:00Z"}
    return json.dumps({name: value for name, value in (event | more).items() if value is not None}).encode()


# --- over HTTP ---


def test_gzip_that_breaks_off_or_is_none_is_refused(road: Road) -> None:
    whole = gzip.compress(batch(track()))
    for torn in (whole[:-1], whole[: len(whole) // 2], whole[:3], whole[:-8] + bytes(8), whole + b"more"):
        assert road.refusal(torn, content_encoding="gzip") == (400, "not_gzip")
        assert road.refusal(torn) == (400, "not_gzip")
    assert road.refusal(batch(track()), content_encoding="gzip") == (400, "not_gzip")
    assert road.refusal(batch(track()), content_encoding="br") == (415, "unknown_encoding")
    assert road.post(whole).json() == {"success": True, "accepted": 1, "rejected": 0}
    road.check()


def test_a_body_of_ten_megabytes_is_refused_with_and_without_its_length(road: Road) -> None:
    body = batch(track(properties={"filler": "x" * 10_000_000}))
    assert road.refusal(body) == (413, "too_large")
    assert road.refusal(body, "/v1/track") == (413, "too_large")
    parts = (body[at : at + 65536] for at in range(0, len(body), 65536))
    answer = httpx.post(f"{road.url}/v1/batch", content=parts, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert road.refusal(gzip.compress(body)) == (413, "too_large")
    road.check()


def test_a_gzip_bomb_is_refused_before_it_goes_off(road: Road) -> None:
    """Half a gigabyte of zeros in half a megabyte; and bombs in a row of small ones."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(500)) + packer.flush()
    assert len(bomb) < DEFAULT_LIMITS.max_body_bytes
    before = _memory_kb(road.collector.pid)
    assert road.refusal(bomb, content_encoding="gzip") == (413, "too_large")
    assert road.refusal(gzip.compress(bytes(100_000)) * 3000) == (413, "too_large")
    assert _memory_kb(road.collector.pid) - before < 64 * 1024
    road.check()


def _memory_kb(pid: int) -> int:
    """The most memory that the process has ever held."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


def test_text_in_other_encodings_is_refused(road: Road) -> None:
    text = batch(track("Angebot für Gäste")).decode()
    assert road.refusal(text.encode("utf-16")) == (400, "not_utf8")
    assert road.refusal(text.encode("utf-32")) in ((400, "not_utf8"), (400, "not_json"))
    assert road.refusal(b"\xef\xbb\xbf" + text.encode()) == (400, "not_json")
    latin = '{"batch":[{"type":"track","anonymousId":"ann","event":"Gäste"}]}'.encode("latin-1")
    said = road.post(latin, content_type="application/json; charset=iso-8859-1").json()
    assert (said["accepted"], said["rejected"], said["errors"][0]["code"]) == (0, 1, "not_utf8")
    road.check()


def test_what_is_no_number_and_no_time_is_refused_event_by_event(road: Road) -> None:
    absurd = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-13-45T99:99:99Z", "", "now", 0, -1, 1e300, [], True]
    said = road.post(batch(track(), *(track(timestamp=at) for at in absurd), track())).json()
    assert (said["accepted"], said["rejected"]) == (2, len(absurd))
    assert {error["code"] for error in said["errors"]} == {"bad_time"}
    said = road.post(
        batch(track(properties={"x": float("nan")}), track(), track(properties={"x": float("inf")}))
    ).json()
    assert (said["accepted"], said["rejected"]) == (1, 2)
    said = road.post(batch(track(timestamp=float("nan")))).json()
    assert (said["accepted"], said["rejected"]) == (0, 1)
    said = road.post(json.dumps({"batch": [track(), track()], "sentAt": "9999-99-99"}).encode()).json()
    assert (said["accepted"], said["rejected"], said["errors"][0]["code"]) == (0, 2, "bad_time")
    road.check()


def test_a_list_of_a_million_is_refused_and_one_of_as_many_as_may_be_is_judged_one_by_one(road: Road) -> None:
    assert road.refusal(b'{"batch":[' + b"0," * (MANY - 1) + b"0]}") == (413, "too_large")
    assert road.refusal(gzip.compress(b'{"batch":[' + b"0," * (MANY - 1) + b"0]}")) == (413, "too_large")
    assert road.refusal(b"[" + b"0," * 300_000 + b"0]") == (400, "not_an_event")
    assert road.refusal(b'{"batch":[' + b"0," * 300_000 + b"0]}") == (413, "too_large")
    most = DEFAULT_LIMITS.max_batch_events
    assert road.refusal(batch(*([1] * (most + 1)))) == (413, "too_large")
    said = road.post(batch(*([1] * (most - 1)), track())).json()
    assert (said["accepted"], said["rejected"], len(said["errors"])) == (1, most - 1, 10)
    road.check()


def test_fields_that_nobody_knows_do_no_harm(road: Road) -> None:
    strange: dict[str, Any] = {
        "": 1,
        "__proto__": {"x": 1},
        "event_id": "not this",
        "visitor_id": [],
        "occurred_at": "never",
    }
    body = json.dumps({"batch": [track(**strange)], "unknown": [1, {"x": None}], **strange}).encode()
    assert road.post(body).json() == {"success": True, "accepted": 1, "rejected": 0}
    assert road.post(json.dumps(track(batch="x", **strange)).encode(), "/v1/t").json()["accepted"] == 1
    road.check()


def test_nothing_nested_and_nothing_at_all(road: Road) -> None:
    for body in (b"", b" ", b"\x00", b"{", b'"', b"batch", b'{"batch":[{}]', b'{"batch":[,]}'):
        assert road.refusal(body) == (400, "not_json"), body
    for body in (b"null", b"0", b"[]", b'"batch"'):
        assert road.refusal(body) == (400, "not_an_event"), body
    assert road.refusal(b"{}") == (400, "missing_field")
    assert road.post(b'{"batch":[]}').json() == {"success": True, "accepted": 0, "rejected": 0}
    for deep in (b"[" * 300_000, b'{"batch":' * 60_000, b'{"batch":[' + b"[" * 300_000 + b"]" * 300_000 + b"]}"):
        assert road.refusal(deep)[0] == 400
    nested = b'{"type":"track","anonymousId":"ann","event":"a","properties":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    answer = road.post(b'{"batch":[' + nested + b"]}")
    assert answer.status_code == 400 or answer.json()["rejected"] == 1
    road.check()


def test_what_is_no_http_is_answered_or_hung_up_on(road: Road) -> None:
    host, port = road.url.removeprefix("http://").split(":")
    scribble = random.Random(1).randbytes(4096)
    for words in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        scribble,
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b'{"batch":[',
        b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=5) as client:
            client.sendall(words)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(10)
            said = client.recv(65536)
        assert said == b"" or said.split(b" ")[1] in (b"400", b"404", b"408", b"413", b"431"), (words[:80], said)
    assert road.refusal(batch(track()), "/v1/nowhere") == (404, "not_found")
    answer = httpx.get(f"{road.url}/v1/batch", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (405, "wrong_method")
    road.check()


# --- straight onto Kafka ---

CANONICAL, REJECT = [CANONICAL_HEADER], [REJECT_HEADER]


def test_scribbles_and_tombstones_on_kafka_are_dead_letters_with_their_bytes(road: Road) -> None:
    chance = random.Random(3)
    scribbles = [chance.randbytes(chance.choice([1, 7, 100, 5000])) for _ in range(200)]
    for n, value in enumerate(scribbles):
        headers = [CANONICAL, REJECT, [], [("content-type", b"\xff")], [("x", b"")]][n % 5]
        parts = sum(not part.isspace() for part in value.split(b"\n") if part) if headers is CANONICAL else 1
        road.write(value, bad=parts, partition=n % PARTITIONS, headers=headers, key=chance.randbytes(9))
    for headers in (CANONICAL, REJECT, []):
        road.write(None, bad=1, headers=headers, key=b"ann")
        road.write(b"", bad=1, headers=headers)
    road.check()
    kept = road.lake.scan("rejects").filter(pl.col("stage") == "stream").collect()
    assert {value for n, value in enumerate(scribbles) if n % 5} <= set(kept["raw"])
    assert set(kept["reason"]) <= set(REASONS)


def test_lists_on_kafka_are_judged_element_by_element_however_many(road: Road) -> None:
    road.write(b"[" + b",".join([b"0"] * 200_000) + b"]", bad=200_000)
    road.write(b"[" + wire() + b", null, " + wire() + b", [[[]]], " + wire(name="") + b"]", good=2, bad=3, partition=1)
    road.write(b"[]")
    road.write(b"[" * 400_000, bad=1)
    road.write(b"[" * 200_000 + b"]" * 200_000, bad=1)
    road.write(json.dumps("x" * 900_000).encode(), bad=1)
    road.write(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, bad=1)
    road.check()


LIES: dict[str, dict[str, Any]] = {
    "no id": {"event_id": ""},
    "a long id": {"visitor_id": "x" * 1000},
    "the year 9999": {"occurred_at": "9999-12-31T23:59:59Z", "received_at": "9999-12-31T23:59:59Z"},
    "the year 1": {"occurred_at": "0001-01-01T00:00:00Z", "received_at": "2026-11-22T20:00:00Z"},
    "no time": {"occurred_at": None, "received_at": "2026-11-22T20:00:00Z"},
    "a time of no zone": {"occurred_at": "2026-11-22T20:00:00", "received_at": "2026-11-22T20:00:00"},
    "an unknown kind": {"kind": "click", "received_at": "2026-11-22T20:00:00Z"},
    "properties that are a list": {"properties": "[1]", "received_at": "2026-11-22T20:00:00Z"},
    "properties that are no JSON": {"properties": "{'a'", "received_at": "2026-11-22T20:00:00Z"},
    "a number for a name": {"name": 7, "received_at": "2026-11-22T20:00:00Z"},
}


def test_records_that_only_claim_to_be_ours_are_looked_at_all_the_same(road: Road) -> None:
    for lie in LIES.values():
        road.write(wire(**lie), bad=1, headers=CANONICAL)
    good = wire(received_at="2026-11-22T20:00:01Z", properties={"an": "object"})
    road.write(good + b"\n" + wire(**LIES["no id"]) + b"\n" + wire(), good=2, bad=1, headers=CANONICAL)
    road.write(b"\n\n" + wire() + b"\n \n", good=1, headers=CANONICAL)
    road.write(wire(), bad=1, headers=REJECT)
    letter = b'{"reason":"not_json","field":"","detail":"","raw":"!","rejected_at":"x","stage":"file"}'
    road.write(letter, bad=1, headers=REJECT)
    road.check()


def test_large_events_beside_a_false_claim_land_all_the_same(road: Road) -> None:
    """An event as large as the collector takes is larger in the contract's own form, where quotes are escaped."""
    message = track(properties={"quotes": '"' * 15_000})
    assert len(json.dumps(message)) < 32 * 1024
    assert road.post(batch(message)).json()["accepted"] == 1
    road.write(b"no event", bad=1, headers=CANONICAL, partition=0)
    road.write(b"no event", bad=1, headers=CANONICAL, partition=1)
    assert road.post(batch(message | {"messageId": "again"})).json()["accepted"] == 1
    road.check()


def test_records_of_absurd_times_and_strange_headers_land(road: Road) -> None:
    for n, timestamp_ms in enumerate((0, 1, 253402300799000)):
        road.write(wire(event_id=f"absurd-{n}-{uuid4().hex}", received_at="2026-11-22T20:00:01Z"), good=1,
                   timestamp_ms=timestamp_ms)  # fmt: skip
    road.write(wire(), good=1, headers=[("content-type", b""), ("", b""), ("content-type", CANONICAL_HEADER[1] + b"x")])
    road.write(wire(), good=1, headers=[("x", b"y")] * 500, key=b"k" * 10_000)
    road.check()


def test_after_all_of_it_good_events_still_land_within_seconds(road: Road) -> None:
    message = track("The last one")
    begun = time.monotonic()
    assert road.post(batch(message)).json()["accepted"] == 1
    road.check()
    assert time.monotonic() - begun < 30
    found = road.lake.scan("events").filter(pl.col("event_id") == message["messageId"]).collect()
    assert found["name"].to_list() == ["The last one"]


# --- the brakes ---


def test_a_flood_of_dead_letters_halts_the_worker_before_it_commits_them(broker: Broker, tmp_path: Path) -> None:
    topic, good, bad = f"events-{uuid4().hex}", 700, 2000
    ensure_topic(broker.connection, topic, 1, 1)
    producer = KafkaProducer(bootstrap_servers=broker.brokers)
    for value in [wire() for _ in range(good)] + [b"a producer gone mad"] * bad:
        producer.send(topic, value)
    producer.close(timeout=30)
    work = ["worker", "--brokers", broker.brokers, "--topic", topic, "--warehouse", tmp_path]
    work += ["--session-timeout", "2s", "--worker-port", "0"]
    with Service(*work, cwd=tmp_path, log=tmp_path / "first.log") as worker:
        assert worker.wait() == 4
    last = worker.words().strip().splitlines()[-1]
    assert "events were refused (latest: not_json" in last
    assert "--max-reject-share" in last
    lake = Lake(tmp_path / "lake")
    assert lake.scan("rejects").select(pl.len()).collect().item() == 0
    with Service(*work, "--max-reject-share", "1", cwd=tmp_path, log=tmp_path / "second.log") as worker:
        worker.until(lambda: lake.claim(f"kafka:{topic}", [0]).next_offset(0) >= good + bad)
        assert worker.stop() == 0
    assert lake.scan("events").select(pl.len()).collect().item() == good
    assert lake.scan("rejects").select(pl.len()).collect().item() == bad


def test_a_topic_that_was_made_anew_halts_the_worker_before_it_passes_over_anything(tmp_path: Path) -> None:
    lake, work = Lake(tmp_path / "lake"), ["worker", "--topic", "events", "--warehouse", tmp_path, "--worker-port", "0"]
    work += ["--session-timeout", "2s", "--brokers"]
    for records, log in ((5, "first.log"), (3, "second.log")):
        with EmbeddedBroker() as broker:
            ensure_topic(broker.connection, "events", 1, 1)
            producer = KafkaProducer(bootstrap_servers=broker.brokers)
            for _ in range(records):
                producer.send("events", wire())
            producer.close(timeout=30)
            with Service(*work, broker.brokers, cwd=tmp_path, log=tmp_path / log) as worker:
                if records == 5:
                    worker.until(lambda: lake.claim("kafka:events", [0]).next_offset(0) == 5)
                    assert worker.stop() == 0
                else:
                    assert worker.wait() == 4
    last = worker.words().strip().splitlines()[-1]
    assert "partition 0 ends at offset 3, but the lake holds it up to 5: the topic was made anew" in last
    assert "--topic" in last
    assert lake.scan("events").select(pl.len()).collect().item() == 5
