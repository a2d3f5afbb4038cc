"""Quix Streams as its guide writes session windows: RocksDB with a changelog, each session given out when it is closed.

Arguments: BROKERS TOPIC SESSIONS RECORDS FOUND FOLDER.  ``closing_strategy="partition"``: with the other one the last
session of a visitor would never come.  No grace: an event may be as late as the gap without it.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]  # has an environment of its own
from quixstreams.dataframe.windows import Count  # type: ignore[import-not-found]  # the same

GAP = timedelta(minutes=30)
LAST_VISITOR = "last-of-a-partition"


def main(brokers: str, topic: str, sessions: str, _: str, found: str, folder: str) -> None:
    app = Application(
        broker_address=brokers, consumer_group=f"quix-{os.getpid()}", auto_offset_reset="earliest",
        state_dir=folder, loglevel="WARNING", consumer_poll_timeout=0.1,
        consumer_extra_config={"fetch.min.bytes": 1, "queued.min.messages": 100_000},
    )  # fmt: skip
    begun: list[bool] = []
    left = int(sessions)

    def occurred_ms(value: Any, headers: Any, timestamp: float, timestamp_type: Any) -> int:
        if not begun:
            begun.append(True)
            print("begun", flush=True)
        return round(datetime.fromisoformat(value["occurred_at"]).timestamp() * 1000)

    source = app.topic(topic, value_deserializer="json", key_deserializer="str", timestamp_extractor=occurred_ms)
    frame = app.dataframe(source)
    frame = frame.session_window(inactivity_gap_ms=GAP).agg(events=Count()).final(closing_strategy="partition")
    out = Path(found).open("w", encoding="utf-8")  # noqa: SIM115 - written to as long as the process lives

    def write(value: Any, key: str, timestamp: int, headers: Any) -> None:
        nonlocal left
        if key.startswith(LAST_VISITOR):
            return
        out.write(f"{key},{value['start']},{value['end'] - 1},{value['events']}\n")
        left -= 1
        if left == 0:
            out.close()
            print("ended\nwritten", flush=True)

    frame.update(write, metadata=True)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
