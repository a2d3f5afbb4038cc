"""The network between the clients and one broker: it can be cut, slowed down, and made to swallow answers.

A client is known by what it calls itself in its first request, so that workers and the collector can be told apart.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

Client = Literal["worker", "collector"]
Trouble = Literal["cut", "deaf", "stalled", "slow"]
"""``cut``: connections are reset, new ones too.  ``deaf``: requests arrive and answers are swallowed; then the
connection is reset.  ``stalled``: nothing passes in either direction, and all of it later.  ``slow``: each piece takes
longer."""

_CHUNK = 64 * 1024


@dataclass(eq=False)
class _Way:
    """One connection.  ``spoiled``: bytes of it were swallowed, so it cannot be used again."""

    client: Client
    from_client: asyncio.StreamWriter
    to_broker: asyncio.StreamWriter
    spoiled: bool = False

    def reset(self) -> None:
        _reset(self.from_client)
        _reset(self.to_broker)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Hang up so that the other side is told of an error, not of an end."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """Stands before a broker's port; ``with Proxy() as proxy: ... proxy.leads_to(port)``."""

    def __init__(self) -> None:
        self.port = 0
        self._target = 0
        self._troubles: dict[Client, dict[Trouble, list[float]]] = {"worker": {}, "collector": {}}
        self._felt: Counter[tuple[Client, Trouble]] = Counter()
        self._ways: set[_Way] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def leads_to(self, port: int) -> None:
        self._target = port

    def begin(self, client: Client, trouble: Trouble, strength_s: float = 0.0) -> None:
        """Trouble for this client's connections, those to come too, until it has ended as often as it has begun.

        ``strength_s``: how slow slow is.
        """
        self._do(lambda: self._begin(client, trouble, strength_s))

    def end(self, client: Client, trouble: Trouble) -> None:
        self._do(lambda: self._end(client, trouble))

    def heal(self) -> None:
        """End all of it."""

        def end() -> None:
            for client, troubles in self._troubles.items():
                for trouble, strengths in list(troubles.items()):
                    for _ in list(strengths):
                        self._end(client, trouble)

        self._do(end)

    def felt(self, client: Client, trouble: Trouble) -> int:
        """How many connections were reset, or pieces held up, slowed down or swallowed."""
        return self._felt[client, trouble]

    def _do(self, what: Callable[[], None]) -> None:
        async def run() -> None:
            what()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _begin(self, client: Client, trouble: Trouble, strength_s: float) -> None:
        self._troubles[client].setdefault(trouble, []).append(strength_s)
        if trouble == "cut":
            for way in [way for way in self._ways if way.client == client]:
                self._felt[client, trouble] += 1
                way.reset()

    def _end(self, client: Client, trouble: Trouble) -> None:
        strengths = self._troubles[client].get(trouble, [])
        if strengths:
            strengths.pop()
        if not strengths:
            self._troubles[client].pop(trouble, None)
        for way in [way for way in self._ways if way.client == client and way.spoiled]:
            way.reset()

    async def _hold_up(self, client: Client) -> None:
        if "stalled" in self._troubles[client]:
            self._felt[client, "stalled"] += 1
        while "stalled" in self._troubles[client]:
            await asyncio.sleep(0.05)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        for way in list(self._ways):
            way.reset()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Kafka's clients speak first, and say who they are."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            first = await reader.readexactly(4)
            first += await reader.readexactly(struct.unpack(">i", first)[0])
            client = client_of(first)
            if "cut" in self._troubles[client]:
                self._felt[client, "cut"] += 1
                _reset(writer)
                return
            await self._hold_up(client)
            answers, to_broker = await asyncio.open_connection("127.0.0.1", self._target)
            way = _Way(client, writer, to_broker)
            self._ways.add(way)
            try:
                to_broker.write(first)
                await asyncio.gather(
                    self._pass_on(way, reader, to_broker, may_be_swallowed=False),
                    self._pass_on(way, answers, writer, may_be_swallowed=True),
                )
            finally:
                self._ways.discard(way)
                to_broker.close()
        writer.close()

    async def _pass_on(
        self, way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, may_be_swallowed: bool
    ) -> None:
        troubles = self._troubles[way.client]
        while data := await reader.read(_CHUNK):
            await self._hold_up(way.client)
            if "slow" in troubles:
                self._felt[way.client, "slow"] += 1
                await asyncio.sleep(max(troubles["slow"]))
            if may_be_swallowed and ("deaf" in troubles or way.spoiled):
                self._felt[way.client, "deaf"] += 1
                way.spoiled = True
                continue
            writer.write(data)
            await writer.drain()
        writer.close()


def client_of(request: bytes) -> Client:
    """Whose request this is: Faust's consumers name themselves, all else is told apart from them.

    After its size, its kind, its version and its number stands the client's name, with its length.
    """
    length = struct.unpack_from(">h", request, 12)[0]
    name = request[14 : 14 + max(0, length)]
    return "worker" if b"faust" in name or b"aiokafka" in name else "collector"
