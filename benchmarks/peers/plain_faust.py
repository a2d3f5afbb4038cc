"""A Faust agent with a table of sessions as Faust's guide writes one: event by event, the table's changes on Kafka.

Faust has no session windows: an event within the gap of its visitor's session makes it longer, another one ends it.
The sessions left over are found when the last event of every partition has come.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import faust
import msgspec
from peers.running import BEGUN, ENDED, WRITTEN
from peers.workload import GAP_MS, LAST_VISITOR, PARTITIONS

from ladder.events import Event


def main(brokers: str, topic: str, _: str, __: str, found: str, ___: str) -> None:
    app = faust.App(
        f"plain-{os.getpid()}", broker=f"kafka://{brokers}", store="memory://", web_enabled=False,
        topic_partitions=PARTITIONS, topic_disable_leader=True, consumer_auto_offset_reset="earliest",
        broker_session_timeout=2.0, broker_heartbeat_interval=0.5,
        datadir=tempfile.mkdtemp(),
    )  # fmt: skip
    source = app.topic(topic, key_type=str, value_type=bytes, key_serializer="raw", value_serializer="raw")
    sessions = app.Table("sessions", partitions=PARTITIONS)
    decoder = msgspec.json.Decoder(Event)
    out = Path(found).open("w", encoding="utf-8")  # noqa: SIM115 - the agent writes as long as the process lives
    ended: set[str] = set()
    begun: list[bool] = []

    def write(visitor: str, session: Any) -> None:
        out.write(f"{visitor},{session[0]},{session[1]},{session[2]}\n")

    @app.agent(source)
    async def sessionise(stream: Any) -> None:
        async for value in stream:
            if not begun:
                begun.append(True)
                print(BEGUN, flush=True)
            event = decoder.decode(value)
            visitor, at = event.visitor_id, round(event.occurred_at.timestamp() * 1000)
            session = sessions.get(visitor)
            if session is None:
                sessions[visitor] = [at, at, 1]
            elif session[0] - GAP_MS <= at <= session[1] + GAP_MS:
                sessions[visitor] = [min(session[0], at), max(session[1], at), session[2] + 1]
            else:
                write(visitor, session)
                sessions[visitor] = [at, at, 1]
            if visitor.startswith(LAST_VISITOR):
                ended.add(visitor)
                if len(ended) == PARTITIONS:
                    for left, session in sessions.items():
                        write(left, session)
                    out.close()
                    print(f"{ENDED}\n{WRITTEN}", flush=True)
                    os._exit(0)

    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    arguments, sys.argv = sys.argv[1:], sys.argv[:1]
    main(*arguments)
