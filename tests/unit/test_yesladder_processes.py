from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ladder.errors import YesladderError
from producers.embedded import EmbeddedBroker
from tests.suites.command_line import environment, is_answering
from yesladder.processes import COLLECTING_AT, Part, Restarts

OWNER = """
import sys, time
from pathlib import Path
from yesladder.processes import Part
part = Part("collector", sys.argv[2:], Path(sys.argv[1]))
print(part.pid, flush=True)
time.sleep(60)
"""


def until(done: Callable[[], bool], patience_s: float = 30) -> None:
    end = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def collector(broker: EmbeddedBroker) -> list[str]:
    """A part that stays up."""
    return ["collect", "--brokers", broker.brokers, "--topic", "parts", "--port", "0", "--spool-bytes", "0"]


def is_up(part: Part) -> bool:
    address = part.words().rpartition(COLLECTING_AT)[2].strip()
    return bool(address) and is_answering(f"{address}/health")


def test_a_part_runs_until_it_is_stopped_and_its_words_are_in_its_log(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text(f"{COLLECTING_AT}an address of yesterday\n", encoding="utf-8")
    part = Part("collector", collector(embedded_broker), tmp_path / "log")
    assert part.words() == ""
    until(lambda: is_up(part))
    assert part.running
    assert not part.check()
    assert part.last_words() == f"{part.words().strip()} (all of it in {tmp_path / 'log'})"
    assert part.words().startswith(f"{COLLECTING_AT}http://127.0.0.1:")
    assert part.stop() == 0
    assert not part.running
    assert part.stop() == 0


def test_a_part_that_died_is_started_again(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    part = Part("collector", collector(embedded_broker), tmp_path / "log", restarts=Restarts(pause_s=0.5))
    first = part.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: not part.running)
    begun = time.monotonic()
    assert not part.check()
    until(part.check)
    assert time.monotonic() - begun >= 0.5
    assert part.pid != first
    until(lambda: is_up(part))
    assert part.stop() == 0


def test_a_part_that_does_not_end_when_it_is_asked_is_killed(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    part = Part("collector", collector(embedded_broker), tmp_path / "log")
    until(lambda: is_up(part))
    os.kill(part.pid, signal.SIGSTOP)
    begun = time.monotonic()
    assert part.stop(timeout_s=0.3) == -signal.SIGKILL
    assert time.monotonic() - begun < 5


def test_a_part_that_keeps_dying_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    part = Part("help", ["--help"], tmp_path / "log", restarts=Restarts(pause_s=0.05, longest_pause_s=0.1, most=4))

    def starts() -> Iterator[bool]:
        while True:
            until(lambda: not part.running)
            until(part.check)
            yield True

    started: list[bool] = []
    with pytest.raises(YesladderError, match=r"the help stopped \(code 0\) and is not started again:   worker "):
        started.extend(starts())
    assert started == [True] * 3


def test_a_part_that_had_run_for_long_is_started_again_at_once_and_as_often_as_it_takes(tmp_path: Path) -> None:
    part = Part("help", ["--help"], tmp_path / "log", restarts=Restarts(soon_s=0.0, most=1))
    for _ in range(2):
        until(lambda: not part.running)
        assert part.check()
    part.stop()


def test_the_pauses_grow_to_half_a_minute_and_the_tenth_soon_death_is_the_last() -> None:
    pauses = [Restarts().pause(soon) for soon in range(11)]
    assert pauses == [0, 1, 2, 4, 8, 16, 30, 30, 30, 30, None]


def test_a_part_that_was_started_wrongly_is_given_up_at_once(tmp_path: Path) -> None:
    part = Part("worker", ["worker", "--brokers", "nowhere"], tmp_path / "log")
    until(lambda: not part.running)
    with pytest.raises(YesladderError, match=r"\(code 2\).*: yesladder: the broker 'nowhere' is not of the form"):
        part.check()


def test_its_last_words_are_those_for_people(tmp_path: Path) -> None:
    part = Part("help", ["--help"], tmp_path / "log")
    until(lambda: not part.running)
    with (tmp_path / "log").open("a", encoding="utf-8") as log:
        log.write("why it ended\n\x1b[?25h\x1b[0m\n")
    assert part.last_words() == f"why it ended (all of it in {tmp_path / 'log'})"
    (tmp_path / "log").write_text("", encoding="utf-8")
    assert part.last_words() == f"no word in {tmp_path / 'log'}"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_part_ends_with_its_owner_however_that_ends(
    number: signal.Signals, embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-P", "-c", OWNER, str(tmp_path / "log"), *collector(embedded_broker)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
    )
    if owner.stdout is None:
        raise RuntimeError("no output to read")
    pid = int(owner.stdout.readline())
    until(lambda: COLLECTING_AT in (tmp_path / "log").read_text(encoding="utf-8"))
    owner.send_signal(number)
    owner.wait(10)
    owner.stdout.close()
    until(lambda: _is_gone(pid))


def _is_gone(pid: int) -> bool:
    """Gone, or dead and only waiting for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_files_that_lie_where_it_is_started_are_not_taken_for_pythons_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "click", "yesladder", "ladder"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not what was meant')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    part = Part("help", ["--help"], tmp_path / "log")
    until(lambda: not part.running)
    assert part.stop() == 0
    assert part.words().startswith("Usage: yesladder ")
