"""The collector behind a real server: large bodies, bodies in parts, and stopping while requests wait."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ladder.errors import UsageError
from producers.collector import create_app
from producers.publisher import MemoryPublisher
from producers.serving import serve, serving
from tests.suites.collector_client import stored, track

ROOT = Path(__file__).parents[2]
BODY = json.dumps({"batch": [track(1)]}).encode()


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def client(publisher: MemoryPublisher) -> Iterator[httpx.Client]:
    app = create_app(publisher, write_keys=None, is_ready=lambda: True)
    with serving(app) as url, httpx.Client(base_url=url, timeout=10) as client:
        yield client


def test_a_body_of_ten_megabytes_is_answered_with_413_and_the_connection_goes_on(client: httpx.Client) -> None:
    for body in (b"x" * 10_000_000, gzip.compress(b" " * 10_000_000), b'{"batch":[' + b"1," * 1_000_000 + b"1]}"):
        answer = client.post("/v1/batch", content=body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert client.post("/v1/batch", content=BODY).status_code == 200


def test_a_large_body_without_a_length_is_refused_as_well(client: httpx.Client) -> None:
    answer = client.post("/v1/batch", content=(b"x" * 100_000 for _ in range(100)))

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_in_parts_is_put_together(client: httpx.Client, publisher: MemoryPublisher) -> None:
    answer = client.post("/v1/batch", content=(BODY[at : at + 7] for at in range(0, len(BODY), 7)))

    assert answer.json()["accepted"] == 1
    assert [event.event_id for event in stored(publisher.records)[0]] == ["m1"]


def test_head_has_the_length_of_the_body_that_get_would_have(client: httpx.Client) -> None:
    head = client.head("/health")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(client.get("/health").content))


def test_many_at_once_are_each_answered(client: httpx.Client, publisher: MemoryPublisher) -> None:
    statuses: list[int] = []

    def send(start: int) -> None:
        with httpx.Client(base_url=client.base_url) as own:
            statuses.extend(own.post("/v1/t", json=track(n)).status_code for n in range(start, start + 25))

    threads = [threading.Thread(target=send, args=(25 * place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert statuses == [200] * 200
    assert {event.event_id for event in stored(publisher.records)[0]} == {f"m{n}" for n in range(200)}


def test_an_address_that_is_taken_is_the_users_to_change() -> None:
    app = create_app(MemoryPublisher(), write_keys=None, is_ready=lambda: True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}.*choose another"):
            serve(app, "127.0.0.1", port)
    with pytest.raises(UsageError, match="no-such-host"):
        serve(app, "no-such-host.invalid", 0)


SERVER = """
import sys, threading, time
from producers.collector import create_app
from producers.limits import Limits
from producers.publisher import MemoryPublisher
from producers.serving import serve

publisher = MemoryPublisher()
publisher.pause()
app = create_app(publisher, write_keys=None, is_ready=lambda: True, limits=Limits(answer_within_s=2))
if sys.argv[1] == "late":
    threading.Thread(target=lambda: (sys.stdin.readline(), publisher.resume()), daemon=True).start()
serve(app, "127.0.0.1", 0, on_ready=lambda url: print(url, flush=True))
print("stored", sum(len(records) for records in publisher.records), flush=True)
"""


@pytest.mark.parametrize(("kafka", "status", "last_words"), [("late", 200, "stored 1"), ("silent", 503, "stored 0")])
@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_when_the_collector_is_told_to_stop_gets_its_answer(
    kafka: str, status: int, last_words: str, signal_: signal.Signals
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, kafka], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert server.stdout is not None
    assert server.stdin is not None
    url = server.stdout.readline().strip()
    answers: list[httpx.Response] = []
    idle = httpx.Client(base_url=url)
    assert idle.get("/health").status_code == 200
    asking = threading.Thread(target=lambda: answers.append(httpx.post(f"{url}/v1/batch", content=BODY, timeout=15)))
    asking.start()
    in_flight = "yesladder_collector_in_flight_bytes 0.0"
    until = time.monotonic() + 5
    while in_flight in idle.get("/metrics").text and time.monotonic() < until:
        time.sleep(0.02)

    server.send_signal(signal_)
    time.sleep(0.3)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/health", timeout=2)
    assert not answers
    server.stdin.write("now\n")
    server.stdin.flush()
    asking.join(10)
    rest, _ = server.communicate(timeout=15)

    assert [answer.status_code for answer in answers] == [status]
    assert (rest.strip(), server.returncode) == (last_words, 0)
