"""What our Faust apps have in common: batches of a topic by ``stream.transport``, no bookkeeping of Faust's own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import faust
from faust.serializers import codecs
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ladder.connection import KafkaConnection
from stream.authentication import credentials
from stream.transport import SCHEME

App = TypeVar("App", bound=faust.App)

_HEARTBEAT_S = 1.0


class Runs(Protocol):
    """What an app's settings say of how it runs; ``web_port`` 0: no health and no metrics."""

    @property
    def connection(self) -> KafkaConnection: ...
    @property
    def group(self) -> str: ...
    @property
    def session_timeout(self) -> timedelta: ...
    @property
    def web_host(self) -> str: ...
    @property
    def web_port(self) -> int: ...
    @property
    def data_dir(self) -> Path: ...


class _Verbatim(codecs.Codec):
    """Values reach the agent as they are, to be decoded whole fetches at a time."""

    def _loads(self, s: Any) -> Any:
        return s

    def _dumps(self, s: Any) -> Any:
        return s


codecs.register("verbatim", _Verbatim())


def batch_app(kind: type[App], settings: Runs, *, fetches_ahead: int, instance: str | None = None) -> App:
    """An app whose agents get whole fetches, with its metrics as a page.

    ``fetches_ahead``: how many may wait for an agent: enough to keep it busy, little enough to hold back by.
    ``instance``: the name under which it keeps its place in the group while it is restarted (None: it has none).
    """
    session_timeout_s = settings.session_timeout.total_seconds()
    app = kind(
        settings.group,
        broker=[f"{SCHEME}://{address}" for address in settings.connection.addresses],
        broker_credentials=credentials(settings.connection),
        # Signs of life: short on the embedded broker, whose join waits half of the session timeout.
        broker_session_timeout=session_timeout_s,
        # Whoever joins or leaves, the others hear of it at their next one; until the last has, nobody works.
        broker_heartbeat_interval=min(session_timeout_s / 4, _HEARTBEAT_S),
        consumer_group_instance_id=instance,
        broker_max_poll_records=10_000,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=8 * 1024 * 1024,
        stream_buffer_maxsize=fetches_ahead,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        store="memory://",
        datadir=str(settings.data_dir),
        web_enabled=settings.web_port != 0,
        web_bind=settings.web_host,
        web_port=settings.web_port or 6066,  # Faust takes no 0, not even where nothing listens
        web_host=settings.web_host,
    )

    @app.page("/metrics")
    async def prometheus(view: Any, request: Any) -> Any:
        return view.bytes(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return app


def topic_of_bytes(app: faust.App, name: str) -> Any:
    """A topic read as it is.  ``acks=False``: Faust's own bookkeeping of offsets stalls on batches; we keep them."""
    return app.topic(name, value_type=None, value_serializer="verbatim", key_serializer="verbatim", acks=False)
