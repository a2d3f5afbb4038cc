"""Events on Kafka, a worker, the alert agent, a web server: one alert for one fall, whatever is killed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from producers.embedded import EmbeddedBroker
from tests.suites.alert_road import AGENTS, MOBILE, STEP, Road, World, alerts_of, kills_around, minutes_after, world
from tests.suites.brokers import Broker
from tests.suites.webhook import webhook

PACE = 600.0
"""Seconds of event time in one second."""
DELAY = 15
"""Minutes in which a fall by 40 % at 100 asks a minute is found, with a day and a half of history."""


@pytest.fixture(scope="module")
def shop() -> World:
    return world(datetime.now(UTC))


@pytest.fixture
def road(shop: World, embedded_broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Road]:
    with webhook() as hook:
        one = Road(shop, Broker(embedded_broker.connection), tmp_path, hook, uuid4().hex[:8])
        try:
            yield one
        finally:
            one.stop()


def test_one_alert_and_its_end_though_workers_and_agents_are_killed_and_the_other_agent_takes_over(road: Road) -> None:
    shop = road.world
    kills = kills_around(shop.falls, shop.ends, seed=1, count=4)

    def every(at: datetime) -> None:
        road.supervise()
        while kills and at >= kills[0][0]:
            road.kill(kills.pop(0)[1])

    publisher = road.publisher()
    road.feed(publisher, PACE, every)
    publisher.close(timeout_s=10)
    end = time.monotonic() + 150
    while any(len(alerts_of(road.told(sink))) < 2 for sink in ("/hook", "/slack", "/api/v2/alerts")):
        assert time.monotonic() < end, road.said()
        road.supervise()
        time.sleep(0.1)
    assert sorted(road.kills) == [*sorted(AGENTS), "worker", "worker"]

    raised, resolved = alerts_of(road.told("/hook")).values()
    assert (raised["what"], resolved["what"]) == ("raised", "resolved")
    assert raised["alert_id"] == resolved["alert_id"]
    assert (raised["step"], raised["segment"], raised["kind"]) == (STEP, MOBILE, "drop")
    assert raised["carried_by"][0]["value"] == "mobile"
    assert 0 <= minutes_after(raised["minute"], shop.falls) <= DELAY + 1
    assert minutes_after(resolved["minute"], shop.ends) > 0
    assert raised["links"]["alert"] == f"https://yes.example/alerts/{raised['alert_id']}"
    assert len(alerts_of(road.told("/slack"))) == len(alerts_of(road.told("/api/v2/alerts"))) == 2

    rows = road.rows()
    assert rows["notice_id"].n_unique() == len(rows)
    assert rows.filter(told=True)["what"].to_list() == ["raised", "resolved"]
