"""The same events once from a file and once through the stream: they count once, and nothing is held back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from ladder.tiers import parse_ladder
from producers.files import read_batches
from producers.records import pack
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql, tiers
from yesladder.backfill import backfill

LADDER = parse_ladder(
    'name = "beside"\ntiers = ["spark", "micro"]\n'
    '[[on]]\nevent = "seen"\nis = [{ tier = "spark", role = "ask" }]\n'
    '[[on]]\nevent = "clicked"\nis = [{ tier = "spark", role = "yes" }]\n',
    "this test",
)
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_file_that_the_stream_brings_again_counts_once(tmp_path: Path, gate: Gate) -> None:
    file = tmp_path / "events.ndjson"
    messages = [
        {
            "type": "track",
            "messageId": f"m{n}",
            "anonymousId": f"v{n // 2}",
            "event": ("seen", "clicked")[n % 2],
            "timestamp": (START + timedelta(seconds=n)).isoformat(),
        }
        for n in range(40)
    ]
    file.write_text("".join(json.dumps(message) + "\n" for message in messages), encoding="utf-8")
    lake = Lake(tmp_path / "lake")
    landed_at = START + timedelta(days=30)
    backfill([file], lake, LADDER, now=landed_at)
    build(lake, LADDER, gate=gate, now=landed_at)

    again_at = landed_at + timedelta(days=1)
    hold = Hold(lake, LADDER, "events", [0], RejectBrake())
    packed = [record for batch in read_batches([file], None, again_at) for record in pack(batch.events, 1)]
    records = [
        SimpleNamespace(
            partition=0,
            offset=offset,
            timestamp=int(again_at.timestamp() * 1000),
            headers=record.headers,
            value=record.value,
        )
        for offset, record in enumerate(packed)
    ]
    assert hold.checkpoint(records, now=again_at, finish=True).sessions == 20

    for full in (False, True):
        done = build(lake, LADDER, gate=gate, now=again_at, full=full)
        assert done.held_back == ()
        counted = run_sql(tmp_path, "select count(*) as sessions, sum(events)::int as events from fct_sessions")
        assert counted.to_pylist() == [{"sessions": 20, "events": 40}]
        spark = tiers(tmp_path, LADDER, "session").tiers[0]
        assert (spark.asked, spark.yes) == (20, 20)
