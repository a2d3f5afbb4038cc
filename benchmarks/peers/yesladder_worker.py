"""Yesladder's worker as `yesladder worker` runs it: events, sessions and its checkpoints go to a lake, exactly once.

Arguments: BROKERS TOPIC SESSIONS RECORDS FOUND FOLDER, as every contender's (benchmarks/peers/contenders.py).
It ends with the commit that holds the last session.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from peers.running import BEGUN, ENDED, WRITTEN

from yesladder.allocator import keep_freed_pages

if TYPE_CHECKING:
    import pyarrow as pa

    from ladder.tables import Position
    from stream import checkpoint
    from warehouse.lake import Lake
    from warehouse.lake_claim import Claim


class _Telling:
    """A claim that counts the sessions it commits."""

    def __init__(self, claim: Claim, lake: Lake, expected: int, found: Path) -> None:
        self._claim = claim
        self._lake = lake
        self._expected = expected
        self._found = found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._claim, name)

    def commit(self, rows: Mapping[str, pa.Table], positions: Mapping[int, Position], now: datetime) -> None:
        self._claim.commit(rows, positions, now)
        self._expected -= rows["sessions"].num_rows
        if self._expected <= 0:
            # Not before the lake holds it; what is written for the comparison is no part of the work.
            print(ENDED, flush=True)
            self._write_found()

    def _write_found(self) -> None:
        import polars as pl

        milliseconds = (pl.col(name).dt.epoch("ms").alias(name) for name in ("started_at", "ended_at"))
        sessions = self._lake.scan("sessions").select("visitor_id", *milliseconds, "events").collect()
        sessions.write_csv(self._found, include_header=False)
        print(WRITTEN, flush=True)


class _TellingLake:
    def __init__(self, lake: Lake, expected: int, found: Path) -> None:
        self._lake = lake
        self._expected = expected
        self._found = found

    def claim(self, source: str, partitions: Collection[int]) -> checkpoint.Claim:
        claim = self._lake.claim(source, partitions)
        print(BEGUN, flush=True)
        return cast("checkpoint.Claim", _Telling(claim, self._lake, self._expected, self._found))


def main(brokers: str, topic: str, sessions: str, records: str, found: str, folder: str) -> None:
    keep_freed_pages()  # as the command does, before Polars is imported

    from workload import LADDER

    from ladder.connection import KafkaConnection
    from stream import app as stream_app
    from warehouse.lake import Lake

    settings = stream_app.WorkerSettings(
        KafkaConnection(brokers), topic=topic, group=f"yesladder-{os.getpid()}", idle_after=None,
        session_timeout=timedelta(seconds=2), web_port=0, data_dir=Path(folder) / "worker",
        step_minutes="step_minutes", segments=("device_class",),
    )  # fmt: skip
    lake = Lake(Path(folder) / "lake")
    threading.current_thread().name = "worker"
    stream_app.run_worker(settings, LADDER, cast(Lake, _TellingLake(lake, int(sessions), Path(found))))


if __name__ == "__main__":
    main(*sys.argv[1:])
