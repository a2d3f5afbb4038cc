"""The floor: the client that Faust drives and the fastest decoder we know, and nothing else.  Finds no sessions.

Arguments: those of every contender, and how many objects come before Python looks for garbage, where that is not as it
comes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer
from peers.running import BEGUN, ENDED, WRITTEN

from stream.decoding import decode

_ENOUGH_BYTES = 12_000_000


async def main(brokers: str, topic: str, _: str, records: str, __: str, ___: str, objects: str = "") -> None:
    if objects:
        gc.set_threshold(int(objects))
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    print(BEGUN, flush=True)
    gathered: list[Any] = []
    seen = size = 0
    while seen < int(records):
        for fetched in (await consumer.getmany(timeout_ms=1000, max_records=10_000)).values():
            gathered += fetched
            seen += len(fetched)
            size += sum(len(record.value) for record in fetched)
        if size > _ENOUGH_BYTES or seen >= int(records):
            decode(gathered)
            gathered, size = [], 0
    print(f"{ENDED}\n{WRITTEN}", flush=True)
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
