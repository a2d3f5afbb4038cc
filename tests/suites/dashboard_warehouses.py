"""Warehouses for the dashboard to show: the demo's, a simulated one, and one whose every name is out to do harm."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import sin
from pathlib import Path
from random import Random

from ladder.tiers import Ladder, load_ladder
from producers.simulate import simulate, write_simulated
from producers.simulation import Simulation
from warehouse.alerts_table import AlertsTable
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from yesladder.backfill import backfill

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)

HOSTILE = (
    '<img src=x onerror="window.harmed=1">',
    "</script><script>window.harmed=2</script>",
    "'; drop table fct_asks; --",
    "🪜🫰🏽 yes‼️",
    "\u202eevil\u202c ‏שלום",
    '=HYPERLINK("http://evil.example";"click")',
    "{{ 7 * 7 }} {% raise %} ${harmed} `harmed`",
    "w" * 10_000,
)
"""HTML, a script, SQL, emoji, text from right to left, a formula, a template, and ten thousand letters on end."""


@dataclass(frozen=True)
class Shown:
    """A warehouse that was built."""

    folder: Path
    ladder_file: Path
    ladder: Ladder


def simulated(folder: Path, gate: Gate, visitors: int = 400, days: timedelta = timedelta(days=28)) -> Shown:
    """Some weeks of the imaginary shop."""
    ladder_file = ROOT / "ladders" / "shop.toml"
    ladder = load_ladder(ladder_file)
    sent = folder / "sent.ndjson.gz"
    write_simulated(simulate(Simulation(visitors=visitors, seed=3, duration=days), ladder), sent)
    return _built(folder, [sent], ladder_file, gate)


def demo(folder: Path, gate: Gate, events: int = 1500) -> Shown:
    """The beginning of the demo's course."""
    sent = folder / "sent.ndjson"
    with gzip.open(ROOT / "datasets" / "moodle_edify" / "segment.ndjson.gz") as lines:
        sent.write_bytes(b"".join(line for line, _ in zip(lines, range(events), strict=False)))
    return _built(folder, [sent], ROOT / "ladders" / "moodle_edify.toml", gate)


def hostile(folder: Path, gate: Gate) -> Shown:
    """Tiers, steps, events, visitors and all segments named by ``HOSTILE``."""
    ladder_file = folder / "ladder.toml"
    ladder_file.write_text(_hostile_ladder(), encoding="utf-8")
    sent = folder / "sent.ndjson"
    sent.write_text("\n".join(json.dumps(message) for message in _hostile_messages()), encoding="utf-8")
    return _built(folder, [sent], ladder_file, gate)


def with_alerts(shown: Shown) -> Shown:
    """The same with two alerts about the ladder's last steps: one is over, one is open."""
    ladder = shown.ladder
    steps = sorted({(mark.tier, mark.step) for rule in ladder.rules for mark in rule.marks if mark.role == "ask"})
    raised = datetime(2026, 2, 3, 10, 12, tzinfo=UTC)
    source = HOSTILE[0] if ladder.name == HOSTILE[0] else "google"
    lost_there = {"lost": 29.0, "lost_low": 20.0, "lost_high": 38.0, "share": 0.94}
    carried = [{"column": "utm_source", "value": source, **lost_there}]
    rows: list[dict[str, object]] = []
    for number, (tier, step) in enumerate(steps[-2:], start=1):
        begun = raised + timedelta(days=3 * number)
        about: dict[str, object] = {
            "alert_id": f"a{number}",
            "ladder": ladder.name,
            "tier": tier,
            "tier_name": ladder.tiers[tier - 1],
            "step": step,
            "segment": "utm_source=google" if number == 1 else "",
            "kind": "drop",
            "raised": begun,
            "since": begun - timedelta(minutes=22),
            "fall": 0.62 / number,
            "asks_an_hour": 640.2,
            "sure": number == 1,
            "told": True,
            "quiet": None,
            "mark": "deploy 4711" if number == 1 else None,
            "marked_at": begun - timedelta(minutes=30) if number == 1 else None,
            "carried_by": json.dumps(carried if number == 1 else []),
        }
        for what, lost in (("raised", 31.0), ("resolved", 180.0))[: 3 - number]:
            minute = begun + timedelta(hours=0 if what == "raised" else 3)
            gone = 0.62 / number if what == "raised" else 0.0
            words = "fewer people say yes" if what == "raised" else "as usual again"
            told = {"notice_id": f"n{number}{what}", "what": what, "minute": minute, "headline": f"{step}: {words}"}
            by_minute = {"series": json.dumps(_hour(minute, 31.0 * number / 0.62 / 23, gone))}
            rows.append({**about, **told, **by_minute, "lost": lost, "lost_low": lost * 0.7, "lost_high": lost * 1.3})
    AlertsTable(Lake(shown.folder / "lake"), ladder.name).add(rows, now=NOW)
    return shown


def _hour(until: datetime, usual: float, gone: float) -> list[dict[str, float]]:
    """61 minutes, of which the last 23 lack the share ``gone`` of about ``usual`` yeses a minute."""
    chance = Random(7)
    last = int(until.timestamp()) // 60
    hour = []
    for minute in range(last - 60, last + 1):
        expected = round(usual * (1 + 0.1 * sin(minute / 15)), 2)
        rate = expected * (1 - gone if minute > last - 23 else 1)
        came = sum(chance.random() < rate / 40 for _ in range(40))
        hour.append({"minute": minute, "expected": expected, "came": float(came)})
    return hour


def _built(folder: Path, sent: list[Path], ladder_file: Path, gate: Gate) -> Shown:
    ladder = load_ladder(ladder_file)
    lake = Lake(folder / "lake")
    backfill(sent, lake, ladder, now=NOW)
    done = build(lake, ladder, gate=gate, now=NOW)
    if done.held_back:
        raise RuntimeError(done.held_back_message())
    return Shown(folder, ladder_file, ladder)


def _hostile_ladder() -> str:
    lines = [f"name = {_toml(HOSTILE[0])}", f"tiers = [{', '.join(_toml(name) for name in HOSTILE)}]"]
    for number, name in enumerate(HOSTILE):
        for role in ("ask", "yes", "no", "reward", "cheer"):
            lines += [
                "[[on]]",
                f"event = {_toml(_event(number, role))}",
                f"is = [{{ tier = {_toml(name)}, role = {_toml(role)}, step = {_toml(name)} }}]",
            ]
    return "\n".join(lines)


def _event(number: int, role: str) -> str:
    return f"{HOSTILE[number]} {role}"


def _hostile_messages() -> Iterator[dict[str, object]]:
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    for visitor in range(24):
        at = start + timedelta(days=visitor % 12, minutes=visitor)
        name = HOSTILE[visitor % len(HOSTILE)]
        who = f"{name[:200]} {visitor}"
        for number in range(len(HOSTILE)):
            roles = ("ask", "yes", "cheer", "reward") if (visitor + number) % 3 else ("ask", "no")
            for role in roles if number <= visitor % 9 else ("ask",):
                at += timedelta(seconds=5 + visitor)
                yield {
                    "type": "track",
                    "messageId": f"{visitor} {number} {role}",
                    "anonymousId": who,
                    "event": _event(number, role),
                    "timestamp": at.isoformat(),
                    "properties": {"plan": name},
                    "context": {
                        "page": {"url": f"https://shop.example/{name[:2000]}", "referrer": name[:2000]},
                        "campaign": {"source": name[:9000], "medium": name[:2000], "name": name[:2000]},
                    },
                }
    yield {"type": "track", "messageId": "bad", "anonymousId": "x", "event": HOSTILE[0], "timestamp": HOSTILE[1]}
    yield {"type": "track", "messageId": HOSTILE[0], "event": HOSTILE[1], "timestamp": "2026-03-02T09:00:00Z"}


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
