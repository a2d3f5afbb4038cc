"""The answers as docs/collector.md tells them."""

from __future__ import annotations

import re
from pathlib import Path

from producers.limits import DEFAULT_LIMITS
from producers.refusals import ANSWERS

PAGE = (Path(__file__).parents[2] / "docs" / "collector.md").read_text(encoding="utf-8")


def test_the_page_tells_each_code_its_status_and_whether_to_send_again() -> None:
    told = {
        code: (int(status), clients.startswith("send again"))
        for status, codes, clients in re.findall(r"^\| (\d{3}) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }

    assert told == {code: (answer.status, answer.again) for code, answer in ANSWERS.items()}


def test_the_page_tells_the_limits() -> None:
    limits = DEFAULT_LIMITS
    told = " ".join(PAGE.split())

    assert f"A body, unpacked: {limits.max_body_bytes // 1024} KiB." in told
    assert f"A batch: {limits.max_batch_events:,} events." in told
    assert f"An event: {limits.max_event_bytes // 1024} KiB" in told
    assert f"together: {limits.max_in_flight_bytes // 1024**2} MiB" in told
    assert f"did not acknowledge within {limits.answer_within_s:g} s" in told
    assert f"the body took more than {limits.read_within_s:g} s" in told


def test_too_many_requests_is_never_answered_for_browsers_would_drop_the_events() -> None:
    assert 429 not in {answer.status for answer in ANSWERS.values()}
